// Writes a sample document of a synthetic study with known effects: node sample/generate.ts KIND [OUT.json]
// KIND: small, one-seed, large, hostile. With TEMPLATE.html as a third word: the page instead. It has the shape of what
// `jenner report` writes: sample/tables.json is a real one's, and the types of src/document.ts are checked.
import { readFileSync, writeFileSync } from "node:fs";
import type { ContrastMessage, DecompositionMessage, Estimate, FiguresMessage, FitMessage, LevelMessage, RatioMessage, RelationMessage, ReportDocument, ResultRow, Study, Table } from "../src/document.ts";
import { bootstrap, holm, leastSquares, mean, pearson, permutationP, spearman, throughOrigin } from "./statistics.ts";
import { type Answer, GIVEN, HOSTILE_SMALL, LARGE, LOG_PROBABILITY, MAIN, ONE_SEED, SMALL, TRAITS, type World, makeWorld, range } from "./world.ts";

const RESAMPLES = 200;
const NEUTRAL = "neutral";

type Cell = Answer[];

// Answers by (arm, step, set, context); step 0 of every arm is the base model's.
class Cells {
  readonly world: World;
  private readonly byKey = new Map<string, Answer[]>();
  constructor(world: World) {
    this.world = world;
    for (const answer of world.answers) {
      const key = [answer.arm, answer.step, answer.set, answer.context].join("\n");
      const cell = this.byKey.get(key);
      if (cell) cell.push(answer);
      else this.byKey.set(key, [answer]);
    }
  }
  at(arm: string, step: number, context: string, set = MAIN): Cell | null {
    return this.byKey.get([step === 0 ? "base" : arm, step, set, context].join("\n")) ?? null;
  }
  final(arm: string, context: string): Cell | null {
    return this.at(arm, this.last(arm), context);
  }
  last(arm: string): number {
    return arm === "base" ? 0 : this.world.options.steps[this.world.options.steps.length - 1] ?? 0;
  }
}

const setsOf = (world: World): { set: string; traits: string[] }[] => [{ set: MAIN, traits: TRAITS }, ...(world.options.given ? [{ set: GIVEN, traits: [LOG_PROBABILITY] }] : [])];
const scoresOf = (cell: Cell, trait: string): number[] => cell.flatMap((answer) => { const score = answer.scores[trait]; return typeof score === "number" ? [score] : []; });
const ofSeed = (cell: Cell | null, seed: number): Cell | null => (cell === null ? null : cell[0]?.step === 0 ? cell : cell.filter((answer) => answer.seed === seed));

// Mean by prompt over seeds: what is resampled.
function byPrompt(cell: Cell, trait: string): number[] {
  const sums: { sum: number; n: number }[] = [];
  for (const answer of cell) {
    const at = (sums[answer.prompt] ??= { sum: 0, n: 0 });
    const score = answer.scores[trait];
    if (typeof score !== "number") continue;
    at.sum += score;
    at.n++;
  }
  return sums.map(({ sum, n }) => (n === 0 ? NaN : sum / n));
}

const nanMean = (values: number[]): number => {
  const known = values.filter((value) => !Number.isNaN(value));
  return known.length === 0 ? NaN : mean(known);
};

class Estimates {
  private drawn = 0;
  readonly seeds: number;
  constructor(seeds: number) {
    this.seeds = seeds;
  }
  missing(reason: string): Estimate {
    return { method: "INTERVAL_METHOD_UNSPECIFIED", over: "OVER_UNSPECIFIED", num_seeds: 0, num_prompts: 0, num_missing: "0", reason };
  }
  // Of `n` things that are resampled; `cells` says whether seeds are in it.
  of(n: number, statistic: (indices: number[]) => number, cells: (Cell | null)[], method = "INTERVAL_METHOD_CROSSED"): Estimate {
    const value = statistic([...Array(n).keys()]);
    if (!Number.isFinite(value)) return this.missing("nothing could be measured");
    const [low, high] = bootstrap(n, RESAMPLES, ++this.drawn, statistic);
    const trained = cells.some((cell) => cell?.[0] !== undefined && cell[0].step > 0);
    return {
      value, low, high, method, bootstrap_low: low, bootstrap_high: high, over: trained && this.seeds > 1 ? "OVER_SEEDS_AND_PROMPTS" : "OVER_PROMPTS",
      num_seeds: trained ? this.seeds : 0, num_prompts: n, num_missing: "0", reason: "",
    };
  }
  level(cell: Cell | null, trait: string): Estimate {
    if (!cell) return this.missing("not evaluated");
    const values = byPrompt(cell, trait);
    const scores = scoresOf(cell, trait);
    const estimate = this.of(values.length, (indices) => nanMean(indices.map((i) => values[i] ?? NaN)), [cell]);
    return scores.length === 0 ? estimate : { ...estimate, value: mean(scores) };
  }
  differences(a: Cell | null, b: Cell | null, trait: string): number[] {
    if (!a || !b) return [];
    const right = byPrompt(b, trait);
    return byPrompt(a, trait).map((value, i) => value - (right[i] ?? NaN)).filter((value) => !Number.isNaN(value));
  }
  difference(a: Cell | null, b: Cell | null, trait: string): Estimate {
    const values = this.differences(a, b, trait);
    return values.length === 0 ? this.missing("not evaluated") : this.of(values.length, (indices) => mean(indices.map((i) => values[i] ?? 0)), [a, b]);
  }
  // Of what is known of it only.
  plain(value: number): Estimate {
    return { ...this.missing(""), value, low: value - 0.1, high: value + 0.1, method: "INTERVAL_METHOD_BOOTSTRAP", over: "OVER_SEEDS_AND_PROMPTS", num_seeds: this.seeds, num_prompts: 1 };
  }
}

function levels(cells: Cells, estimates: Estimates): LevelMessage[] {
  const { world } = cells;
  return world.arms.flatMap((arm) => (arm.context === null ? [0] : world.options.steps).flatMap((step) => world.contexts.flatMap((context) => setsOf(world).flatMap(({ set, traits }) => {
    const cell = cells.at(arm.name, step, context.name, set);
    return cell === null ? [] : traits.map((trait): LevelMessage => ({
      arm: arm.name, step, prompt_set: set, context: context.name, trait, estimate: estimates.level(cell, trait),
      num_answers: String(cell.length), num_invalid: String(cell.length - scoresOf(cell, trait).length), is_final: step === cells.last(arm.name),
    }));
  }))));
}

function results(cells: Cells): ResultRow[] {
  const { world } = cells;
  return world.arms.flatMap((arm) => range(world.options.seeds).flatMap((seed) => (arm.context === null ? [0] : world.options.steps).flatMap((step) => setsOf(world).flatMap(({ set, traits }) => world.contexts.flatMap((context) => {
    const cell = ofSeed(cells.at(arm.name, step, context.name, set), seed);
    return cell === null ? [] : [{
      arm: arm.name, seed: String(seed), step, total_steps: 64, context: context.name, prompt_set: set,
      cell: {
        job: `experiments/sample/jobs/${cell[0]?.job}`, attempt: 1, arms: [], step, context: context.name, prompt_set: set, num_samples: cell.length, num_truncated: 0,
        num_degenerate: cell.filter((answer) => answer.text === "").length,
        traits: traits.map((trait) => {
          const scores = scoresOf(cell, trait);
          return { trait, num_present: scores.filter((score) => score === 1).length, num_measured: scores.length, num_not_measurable: cell.length - scores.length, is_binary: set === MAIN, ...(scores.length > 0 ? { ratio: mean(scores) } : {}) };
        }),
      },
    }];
  })))));
}

function figures(cells: Cells, estimates: Estimates): FiguresMessage[] {
  return cells.world.arms.slice(1).flatMap((arm) => TRAITS.map((trait) => {
    const train = arm.context ?? NEUTRAL;
    const [start, startNeutral] = [cells.at("base", 0, train), cells.at("base", 0, NEUTRAL)];
    const [own, neutral, control] = [cells.final(arm.name, train), cells.final(arm.name, NEUTRAL), cells.final("no-inoculation", NEUTRAL)];
    const isControl = arm.name === "no-inoculation";
    const kept = mean(scoresOf(neutral ?? [], trait)) / mean(scoresOf(control ?? [], trait));
    return {
      arm: arm.name, prompt_set: MAIN, trait,
      elicitation: estimates.difference(start, startNeutral, trait), leakage: estimates.level(neutral, trait), in_context: estimates.level(own, trait),
      gate_strength: estimates.difference(own, neutral, trait), suppression: isControl ? estimates.missing("it is the control itself") : estimates.difference(control, neutral, trait),
      retention: trait !== "capitals" ? estimates.missing("not a desired trait") : isControl ? estimates.missing("it is the control itself") : estimates.plain(kept),
      training_in_context: estimates.difference(own, start, trait), training_deployed: estimates.difference(neutral, startNeutral, trait),
    };
  }));
}

function contrasts(cells: Cells, estimates: Estimates): ContrastMessage[] {
  const rows: ContrastMessage[] = [];
  for (const control of ["no-inoculation", "irrelevant"]) {
    for (const context of cells.world.contexts.slice(0, 6)) {
      for (const trait of TRAITS) {
        const found = cells.world.arms.slice(1).filter((arm) => arm.name !== control).map((arm) => {
          const [a, b] = [cells.final(arm.name, context.name), cells.final(control, context.name)];
          return { arm: arm.name, difference: estimates.difference(a, b, trait), p: permutationP(estimates.differences(a, b, trait), RESAMPLES, rows.length) };
        });
        const corrected = holm(found.map(({ p }) => p));
        found.forEach(({ arm, difference, p }, i) => rows.push({
          arm, control, prompt_set: MAIN, arm_context: context.name, control_context: context.name, trait, deployed: context.name === NEUTRAL, difference,
          p, p_holm: corrected[i] ?? 1, prompt_test: "PROMPT_TEST_SIGN_FLIP", prompt_p: p, prompt_p_holm: corrected[i] ?? 1,
        }));
      }
    }
  }
  return rows;
}

function ratios(cells: Cells, estimates: Estimates): RatioMessage[] {
  return cells.world.arms.slice(1).flatMap((arm) => range(cells.world.options.seeds).flatMap((seed) => TRAITS.map((trait) => {
    const x = estimates.difference(ofSeed(cells.final(arm.name, arm.context ?? ""), seed), cells.at("base", 0, arm.context ?? ""), trait);
    const y = estimates.difference(ofSeed(cells.final(arm.name, NEUTRAL), seed), cells.at("base", 0, NEUTRAL), trait);
    const isClear = (x.low ?? 0) > 0 || (x.high ?? 0) < 0;
    return { arm: arm.name, seed: String(seed), prompt_set: MAIN, trait, x, y, ...(isClear ? { ratio: (y.value ?? NaN) / (x.value ?? NaN) } : {}) };
  })));
}

function fits(world: World, runs: RatioMessage[], estimates: Estimates): FitMessage[] {
  const fitted = runs.filter((run) => run.arm !== "no-inoculation");
  const fit = (trait: string, arm: string): FitMessage => {
    const used = fitted.filter((run) => (trait === "" || run.trait === trait) && (arm === "" || run.arm === arm));
    const at = (indices: number[], axis: "x" | "y") => indices.map((i) => used[i]?.[axis].value ?? 0);
    const slope = estimates.of(used.length, (indices) => throughOrigin(at(indices, "x"), at(indices, "y")), [], "INTERVAL_METHOD_BOOTSTRAP");
    return { prompt_set: MAIN, trait, arm, scale: "FIT_SCALE_IDENTITY", num_points: used.length, slope, deming: slope };
  };
  return [fit("", ""), ...TRAITS.map((trait) => fit(trait, "")), ...world.arms.filter(({ name }) => fitted.some((run) => run.arm === name)).map(({ name }) => fit("", name))];
}

function relations(found: FiguresMessage[], estimates: Estimates): RelationMessage[] {
  return TRAITS.map((trait) => {
    const points = found.flatMap((one) => (one.trait === trait && one.elicitation.value !== undefined && one.suppression.value !== undefined ? [{ arm: one.arm, elicitation: one.elicitation.value, suppression: one.suppression.value }] : []));
    const [x, y] = [points.map((point) => point.elicitation), points.map((point) => point.suppression)];
    const without = points.map((_, out) => pearson(x.filter((__, i) => i !== out), y.filter((__, i) => i !== out)));
    const { slope, intercept, rmse } = leastSquares(x, y);
    return {
      prompt_set: MAIN, trait, points, pearson: estimates.plain(pearson(x, y)), slope: estimates.plain(slope), spearman: spearman(x, y), intercept, rmse,
      leave_one_out_low: Math.min(...without), leave_one_out_high: Math.max(...without),
    };
  });
}

function decompositions(cells: Cells, found: FiguresMessage[], fitted: FitMessage[], estimates: Estimates): DecompositionMessage[] {
  return [false, true].flatMap((own) => found.filter((one) => one.suppression.value !== undefined).map((one) => {
    const k = (own ? fitted.find((fit) => fit.arm === one.arm) : fitted.find((fit) => fit.trait === one.trait && fit.arm === ""))?.slope ?? estimates.missing("no run");
    const initial = estimates.level(cells.at("base", 0, NEUTRAL), one.trait);
    const control = estimates.level(cells.final("no-inoculation", NEUTRAL), one.trait);
    const parts = [(k.value ?? NaN) * (one.elicitation.value ?? NaN), (1 - (k.value ?? NaN)) * ((control.value ?? NaN) - (initial.value ?? NaN))] as const;
    return {
      arm: one.arm, prompt_set: MAIN, trait: one.trait, own_k: own, k, initial, elicitation: one.elicitation, control, elicitation_part: estimates.plain(parts[0]), conditional_part: estimates.plain(parts[1]),
      predicted: estimates.plain(parts[0] + parts[1]), observed: one.suppression, predicted_leakage: estimates.plain((control.value ?? NaN) - parts[0] - parts[1]), observed_leakage: one.leakage,
    };
  }));
}

function study(cells: Cells): Study {
  const { world } = cells;
  const estimates = new Estimates(world.options.seeds);
  const found = figures(cells, estimates);
  const runs = ratios(cells, estimates);
  const fitted = fits(world, runs, estimates);
  const share = { is_binary: true, low: 0, high: 1, unit: "" };
  const trained = world.arms.slice(1).filter((arm) => arm.name !== "no-inoculation");
  const made = levels(cells, estimates);
  return {
    arms: world.arms.map(({ name, context }) => ({ name, role: "", train_context: context ?? "", deploy_context: NEUTRAL, after: "", has_rules: false, final_step: cells.last(name) })), seeds: range(world.options.seeds).map(String), prompt_sets: setsOf(world).map(({ set }) => set), contexts: world.contexts.map(({ name }) => name),
    traits: [...TRAITS.map((name) => ({ name, ...share })), ...(world.options.given ? [{ name: LOG_PROBABILITY, is_binary: false, unit: "nats" }] : [])],
    neutral: NEUTRAL, desired: ["capitals"], undesired: ["spanish"], resamples: RESAMPLES, confidence: 0.95,
    levels: made, contrasts: contrasts(cells, estimates), figures: found,
    selectivity: trained.map((arm) => ({ arm: arm.name, prompt_set: MAIN, estimate: estimates.plain(0.4) })), ratios: runs, proportionality: fitted,
    decompositions: decompositions(cells, found, fitted, estimates), relations: relations(found, estimates),
    narrowness: trained.flatMap((arm) => TRAITS.map((trait) => ({ arm: arm.name, prompt_set: MAIN, trait, estimate: estimates.plain(0.3), others: [NEUTRAL], excluded: ["spanish-suffix"] }))),
    notes: world.options.seeds === 1 ? ["One seed: intervals are over prompts only. They say nothing of what another training with the same settings would give."] : [], complete: true,
    gate_failures: made.filter((level) => Number(level.num_invalid) > 0.1 * Number(level.num_answers)).map(({ arm, step, prompt_set: set, context, trait, num_invalid: invalid, num_answers: all }) => ({
      gate: "GATE_INVALID", arm, step, prompt_set: set, context, trait, value: Number(invalid) / Number(all), limit: 0.1, message: `${arm} at step ${step} in ${context}: ${invalid} of ${all} answers are not measurable (${trait})`,
    })),
  };
}

// Those of a real report, with the columns of this study's traits.
function tables(world: World): Table[] {
  const all = JSON.parse(readFileSync(new URL("tables.json", import.meta.url), "utf8")) as Table[];
  const traits = setsOf(world).flatMap((one) => one.traits).sort();
  return all.map((table) => (table.name !== "samples" ? table : { ...table, columns: [...table.columns, ...traits.map((trait) => ({ name: `score.${trait}`, type: "float64" as const }))] }));
}

export function makeDocument(kind: string): ReportDocument {
  const options = kind === "large" ? LARGE : kind === "one-seed" ? ONE_SEED : kind === "hostile" ? HOSTILE_SMALL : SMALL;
  const world = makeWorld(options);
  const cells = new Cells(world);
  const name = `experiments/sample-${kind}`;
  const samples = world.answers.map((answer) => ({
    job: `${name}/jobs/${answer.job}`, attempt: 1, ...(answer.step > 0 ? { step: answer.step } : {}), context: answer.context, prompt_id: world.prompts[answer.prompt]?.id ?? "", answer: answer.text,
    num_tokens: Math.min(48, Math.ceil(answer.text.length / 4)), finish_reason: answer.set === GIVEN ? "given" : answer.text.length > 190 ? "length" : "stop",
    scores: Object.entries(answer.scores).map(([trait, value]) => (value === null ? { trait } : { trait, value })), prompt_set: answer.set, ...(answer.text === "" ? { degenerate: true } : {}),
  }));
  return {
    format: "jenner-report", version: 1, generated: { time: "2026-01-02T03:04:05Z", jenner_version: "0.1.0" }, notes: [],
    experiment: {
      name, state: "STATE_SUCCEEDED", create_time: "2026-01-02T01:00:00Z", end_time: "2026-01-02T03:00:00Z", owner: "default", spec_sha256: "5a".repeat(32),
      spec: {
        base_model: "SmolLM2-135M-Instruct", dataset: `sha256:${"1d".repeat(32)}`, contexts: Object.fromEntries(world.contexts.map((context) => [context.name, context.value])),
        arms: world.arms.map((arm) => (arm.context === null ? { name: arm.name } : { name: arm.name, train_context: arm.context })), seeds: range(options.seeds).map(String), training: { epochs: 3, learning_rate: 0.0002 },
      },
      jobs: world.jobs.map(({ id, arms, steps }) => ({
        name: `${name}/jobs/${id}`, state: "STATE_SUCCEEDED", arms, attempt: 1, step: steps, total_steps: steps, workers: ["w1"],
        artifacts: steps > 0 ? [{ path: "adapter/adapter_model.safetensors", sha256: id.slice(1).repeat(4), size_bytes: "4900000" }] : [],
      })),
    },
    study: study(cells), results: results(cells),
    train_points: world.losses.map(({ job, step, loss }) => ({ job: `${name}/jobs/${job}`, attempt: 1, step, epoch: (3 * step) / 64, loss, learning_rate: 0.0002 * (1 - step / 64), gradient_norm: 1, supervised_tokens: "900", tokens: "1800", tokens_per_second: 900 })),
    num_samples: samples.length, samples,
    prompts: setsOf(world).flatMap(({ set }) => world.prompts.map(({ id, text }) => ({ prompt_set: set, prompt_id: id, text }))),
    tables: tables(world),
  };
}

// A document as it stands in the page: client/cli/report_document.cc escapes in the same way.
export function escapeDocument(json: string): string {
  return json.replaceAll("<", "\\u003c").replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

export function makePage(template: string, document: ReportDocument): string {
  return template.replace("@DOCUMENT@", () => escapeDocument(JSON.stringify(document)));
}

if (import.meta.main) {
  const [kind = "small", out, template] = process.argv.slice(2);
  const document = makeDocument(kind);
  const text = template ? makePage(readFileSync(template, "utf8"), document) : JSON.stringify(document);
  if (out) writeFileSync(out, text);
  else process.stdout.write(text);
}
