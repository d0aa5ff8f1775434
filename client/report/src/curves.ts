// Curves made thin enough to draw; pure.

export interface At {
  x: number;
  y: number;
}

// At most `limit` points: means of runs of neighbours. The table and the saved files have all of them.
export function thin(points: At[], limit: number): At[] {
  if (points.length <= limit) return points;
  const out: At[] = [];
  for (let bucket = 0; bucket < limit; bucket++) {
    const from = Math.floor((bucket * points.length) / limit);
    const to = Math.floor(((bucket + 1) * points.length) / limit);
    let x = 0;
    let y = 0;
    for (let i = from; i < to; i++) {
      x += points[i]?.x ?? 0;
      y += points[i]?.y ?? 0;
    }
    out.push({ x: x / (to - from), y: y / (to - from) });
  }
  return out;
}

// The mean over curves at each x that all of them have, ascending.
export function meanCurve(curves: At[][]): At[] {
  const sums = new Map<number, { sum: number; n: number }>();
  for (const curve of curves) {
    for (const { x, y } of curve) {
      const at = sums.get(x) ?? { sum: 0, n: 0 };
      sums.set(x, { sum: at.sum + y, n: at.n + 1 });
    }
  }
  return [...sums].filter(([, { n }]) => n === curves.length).map(([x, { sum, n }]) => ({ x, y: sum / n })).sort((a, b) => a.x - b.x);
}
