// The statistics of the sample document. Only for the sample: a real document has those of the service.
import { Random } from "./random.ts";

export const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

export function quantile(sorted: number[], q: number): number {
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)] ?? NaN;
  const high = sorted[Math.ceil(at)] ?? NaN;
  return low + (high - low) * (at - Math.floor(at));
}

// [low, high] at 95 % of `statistic` over `resamples` draws of indices [0, n).
export function bootstrap(n: number, resamples: number, seed: number, statistic: (indices: number[]) => number): [number, number] {
  const random = new Random(seed);
  const values = Array.from({ length: resamples }, () => statistic(Array.from({ length: n }, () => random.below(n))));
  values.sort((a, b) => a - b);
  return [quantile(values, 0.025), quantile(values, 0.975)];
}

export function leastSquares(x: number[], y: number[]): { slope: number; intercept: number; rmse: number; sxx: number } {
  const mx = mean(x);
  const my = mean(y);
  let sxy = 0;
  let sxx = 0;
  x.forEach((at, i) => {
    sxy += (at - mx) * ((y[i] ?? 0) - my);
    sxx += (at - mx) ** 2;
  });
  const slope = sxy / sxx;
  const intercept = my - slope * mx;
  const rmse = Math.sqrt(mean(x.map((at, i) => ((y[i] ?? 0) - slope * at - intercept) ** 2)));
  return { slope, intercept, rmse, sxx };
}

export function pearson(x: number[], y: number[]): number {
  const mx = mean(x);
  const my = mean(y);
  let sxy = 0;
  let sxx = 0;
  let syy = 0;
  x.forEach((at, i) => {
    const up = (y[i] ?? 0) - my;
    sxy += (at - mx) * up;
    sxx += (at - mx) ** 2;
    syy += up ** 2;
  });
  return sxy / Math.sqrt(sxx * syy);
}

const ranks = (values: number[]): number[] => values.map((value) => values.filter((other) => other < value).length + values.filter((other) => other === value).length / 2);
export const spearman = (x: number[], y: number[]): number => pearson(ranks(x), ranks(y));
export const throughOrigin = (x: number[], y: number[]): number => x.reduce((sum, at, i) => sum + at * (y[i] ?? 0), 0) / x.reduce((sum, at) => sum + at * at, 0);

// Holm's correction.
export function holm(p: number[]): number[] {
  const order = p.map((_, index) => index).sort((a, b) => (p[a] ?? 0) - (p[b] ?? 0));
  const out = new Array<number>(p.length).fill(1);
  let worst = 0;
  order.forEach((index, rank) => {
    worst = Math.max(worst, Math.min(1, (p[index] ?? 1) * (p.length - rank)));
    out[index] = worst;
  });
  return out;
}

// Two-sided p of a mean difference of 0, by flipping signs.
export function permutationP(differences: number[], resamples: number, seed: number): number {
  const random = new Random(seed);
  const observed = Math.abs(mean(differences));
  let extreme = 0;
  for (let i = 0; i < resamples; i++) {
    if (Math.abs(mean(differences.map((d) => (random.next() < 0.5 ? d : -d)))) >= observed - 1e-12) extreme++;
  }
  return (extreme + 1) / (resamples + 1);
}
