// Writes a sample document of a synthetic study with known effects: node sample/generate.ts KIND [OUT.json]
// KIND: small, one-seed, large, hostile. With TEMPLATE.html as a third word: the page instead.
import { readFileSync, writeFileSync } from "node:fs";
import type { Column, ColumnType, ReportDocument, Row, Table } from "../src/document.ts";
import { bootstrap, holm, leastSquares, mean, pearson, permutationP, spearman, throughOrigin } from "./statistics.ts";
import { type Answer, LARGE, ONE_SEED, SMALL, TRAITS, type Trait, type World, makeWorld, range } from "./world.ts";

const RESAMPLES = 200;

interface Cell {
  answers: Answer[];
  seeds: number[];
}

// Answers by (arm, step, context); step 0 of every arm is the base model's.
class Cells {
  private readonly world: World;
  private readonly byKey = new Map<string, Answer[]>();
  constructor(world: World) {
    this.world = world;
    for (const answer of world.answers) {
      const key = `${answer.arm}\n${answer.step}\n${answer.context}`;
      const cell = this.byKey.get(key);
      if (cell) cell.push(answer);
      else this.byKey.set(key, [answer]);
    }
  }
  at(arm: string, step: number, context: string): Cell | null {
    const answers = this.byKey.get(`${step === 0 ? "base" : arm}\n${step}\n${context}`);
    return answers ? { answers, seeds: [...new Set(answers.map((answer) => answer.seed))] } : null;
  }
  last(arm: string): number {
    return arm === "base" ? 0 : this.world.options.steps[this.world.options.steps.length - 1] ?? 0;
  }
}

const scoresOf = (answers: Answer[], trait: Trait): number[] => answers.flatMap((answer) => (answer.scores[trait] === null ? [] : [answer.scores[trait] as number]));

// Mean by prompt over seeds: what is resampled.
function byPrompt(cell: Cell, trait: Trait, prompts: number): number[] {
  const sums = Array.from({ length: prompts }, () => ({ sum: 0, n: 0 }));
  for (const answer of cell.answers) {
    const score = answer.scores[trait];
    const at = sums[answer.prompt];
    if (score !== null && at) {
      at.sum += score;
      at.n++;
    }
  }
  return sums.map(({ sum, n }) => (n === 0 ? NaN : sum / n));
}

const nanMean = (values: number[]): number => {
  const known = values.filter((value) => !Number.isNaN(value));
  return known.length === 0 ? NaN : mean(known);
};

function levelRow(world: World, cell: Cell, arm: string, seed: number | null, step: number, context: string, trait: Trait, n: number): Row {
  const answers = seed === null || step === 0 ? cell.answers : cell.answers.filter((answer) => answer.seed === seed);
  const scores = scoresOf(answers, trait);
  const prompts = byPrompt({ ...cell, answers }, trait, world.options.prompts);
  const [low, high] = scores.length === 0 ? [null, null] : bootstrap(prompts.length, seed === null ? RESAMPLES : 60, n, (indices) => nanMean(indices.map((i) => prompts[i] ?? NaN)));
  const invalid = answers.length - scores.length;
  return {
    arm, seed, job: seed === null ? null : answers[0]?.job ?? null, step, context, trait, seeds: step === 0 ? 1 : seed === null ? world.options.seeds : 1, prompts: world.options.prompts,
    answers: answers.length, invalid, mean: scores.length === 0 ? null : mean(scores), low, high,
    interval: seed === null && world.options.seeds > 1 && step > 0 ? "seeds and prompts" : "prompts",
    gates: invalid > 0.1 * answers.length ? `invalid-rate: ${invalid} of ${answers.length} answers are not measurable; at most 10 % may be` : null,
  };
}

function levelRows(world: World, cells: Cells): Row[] {
  const rows: Row[] = [];
  for (const arm of world.arms) {
    for (const step of arm.context === null ? [0] : world.options.steps) {
      for (const context of world.contexts) {
        const cell = cells.at(arm.name, step, context.name);
        if (!cell) continue;
        for (const trait of TRAITS) {
          rows.push(levelRow(world, cell, arm.name, null, step, context.name, trait, rows.length));
          for (const seed of step === 0 ? [1] : range(world.options.seeds)) rows.push(levelRow(world, cell, arm.name, seed, step, context.name, trait, rows.length));
        }
      }
    }
  }
  return rows;
}

function difference(world: World, a: Cell | null, b: Cell | null, trait: Trait, seed: number): { value: number; low: number; high: number; pairs: number; p: number } | null {
  if (!a || !b) return null;
  const left = byPrompt(a, trait, world.options.prompts);
  const right = byPrompt(b, trait, world.options.prompts);
  const differences = left.map((value, i) => value - (right[i] ?? NaN)).filter((value) => !Number.isNaN(value));
  if (differences.length === 0) return null;
  const [low, high] = bootstrap(differences.length, RESAMPLES, seed, (indices) => mean(indices.map((i) => differences[i] ?? 0)));
  return { value: mean(differences), low, high, pairs: differences.length, p: permutationP(differences, RESAMPLES, seed) };
}

function effectRows(world: World, cells: Cells): Row[] {
  const rows: Row[] = [];
  const neutral = "neutral";
  for (const arm of world.arms.slice(1)) {
    const train = arm.context ?? neutral;
    const step = cells.last(arm.name);
    for (const trait of TRAITS) {
      const one = (quantity: string, a: Cell | null, b: Cell | null) => {
        const value = difference(world, a, b, trait, rows.length);
        rows.push({ arm: arm.name, trait, step, quantity, value: value?.value ?? null, low: value?.low ?? null, high: value?.high ?? null });
      };
      const inContext = cells.at(arm.name, step, train);
      const leakage = cells.at(arm.name, step, neutral);
      one("elicitation", cells.at("base", 0, train), cells.at("base", 0, neutral));
      one("suppression", cells.at("no-inoculation", step, neutral), leakage);
      one("gate_strength", inContext, leakage);
    }
  }
  return rows;
}

function contrastRows(world: World, cells: Cells): Row[] {
  const rows: Row[] = [];
  for (const reference of ["no-inoculation", "irrelevant"]) {
    for (const context of world.contexts.slice(0, 6)) {
      for (const trait of TRAITS) {
        const found = world.arms.slice(1).filter((arm) => arm.name !== reference).flatMap((arm) => {
          const step = cells.last(arm.name);
          const value = difference(world, cells.at(arm.name, step, context.name), cells.at(reference, step, context.name), trait, rows.length);
          return value ? [{ arm: arm.name, step, ...value }] : [];
        });
        const corrected = holm(found.map(({ p }) => p));
        found.forEach(({ arm, step, value, low, high, pairs, p }, i) => rows.push({ arm, reference, step, context: context.name, trait, difference: value, low, high, p, p_holm: corrected[i] ?? null, test: "permutation", pairs }));
      }
    }
  }
  return rows;
}

function slopeTables(world: World, cells: Cells): { points: Row[]; k: Row[] } {
  const points: Row[] = [];
  for (const arm of world.arms.slice(1)) {
    if (arm.context === "neutral") continue;
    const step = cells.last(arm.name);
    for (const seed of range(world.options.seeds)) {
      for (const trait of TRAITS) {
        const rate = (name: string, at: number, context: string, only: number | null) => nanMean(scoresOf((cells.at(name, at, context)?.answers ?? []).filter((answer) => only === null || answer.seed === only), trait));
        const x = rate(arm.name, step, arm.context ?? "", seed) - rate("base", 0, arm.context ?? "", null);
        const y = rate(arm.name, step, "neutral", seed) - rate("base", 0, "neutral", null);
        if (Number.isFinite(x) && Number.isFinite(y)) points.push({ arm: arm.name, seed, trait, scale: "identity", x, y, excluded: Math.abs(x) < 0.05 ? "x is smaller than 0.05" : null });
      }
    }
  }
  const k = ["*", ...TRAITS].map((trait, i) => {
    const used = points.filter((point) => (trait === "*" || point.trait === trait) && point.excluded === null) as unknown as { x: number; y: number }[];
    const fit = (indices: number[]) => throughOrigin(indices.map((at) => used[at]?.x ?? 0), indices.map((at) => used[at]?.y ?? 0));
    const [low, high] = bootstrap(used.length, RESAMPLES, i, fit);
    return { trait, scale: "identity", method: "origin", k: fit(used.map((_, at) => at)), low, high, points: used.length };
  });
  return { points, k };
}

function associationTables(effects: Row[]): { associations: Row[]; bands: Row[] } {
  const associations: Row[] = [];
  const bands: Row[] = [];
  for (const trait of TRAITS) {
    const of = (quantity: string) => new Map(effects.filter((effect) => effect.trait === trait && effect.quantity === quantity).map((effect) => [effect.arm, effect.value]));
    const suppression = of("suppression");
    const pairs = [...of("elicitation")].flatMap(([arm, value]) => (typeof value === "number" && typeof suppression.get(arm) === "number" ? [{ x: value, y: suppression.get(arm) as number }] : []));
    const x = pairs.map((pair) => pair.x);
    const y = pairs.map((pair) => pair.y);
    const without = pairs.map((_, out) => pearson(x.filter((__, i) => i !== out), y.filter((__, i) => i !== out)));
    const { slope, intercept, rmse, sxx } = leastSquares(x, y);
    associations.push({ trait, n: pairs.length, pearson: pearson(x, y), pearson_low: Math.min(...without), pearson_high: Math.max(...without), spearman: spearman(x, y), slope, intercept, rmse });
    const s = rmse * Math.sqrt(pairs.length / (pairs.length - 2));
    for (let i = 0; i <= 40; i++) {
      const at = -0.15 + (i / 40) * 1.1;
      const half = 2.4 * s * Math.sqrt(1 / pairs.length + (at - mean(x)) ** 2 / sxx);
      bands.push({ trait, x: at, fit: slope * at + intercept, low: slope * at + intercept - half, high: slope * at + intercept + half });
    }
  }
  return { associations, bands };
}

function decompositionRows(effects: Row[], k: Row[], levels: Row[]): Row[] {
  return effects.filter((effect) => effect.quantity === "elicitation").map((effect) => {
    const slope = Number(k.find((one) => one.trait === effect.trait)?.k);
    const level = (arm: string, step: number) => Number(levels.find((row) => row.arm === arm && row.trait === effect.trait && row.context === "neutral" && row.step === step && row.seed === null)?.mean);
    const [parts, rest] = [slope * Number(effect.value), (1 - slope) * (level("no-inoculation", Number(effect.step)) - level("base", 0))];
    const observed = effects.find((one) => one.arm === effect.arm && one.trait === effect.trait && one.quantity === "suppression")?.value ?? null;
    return { arm: effect.arm ?? null, trait: effect.trait ?? null, k: slope, elicitation_part: parts, conditionalization_part: rest, predicted: parts + rest, observed };
  });
}

function gateRows(levels: Row[]): Row[] {
  return levels.filter((row) => row.seed === null && row.trait === "spanish").map((row) => ({
    arm: row.arm ?? null, seed: null, step: row.step ?? null, context: row.context ?? null, gate: "invalid-rate", passed: row.gates === null, message: row.gates ?? "",
  }));
}

const TYPES: Record<string, ColumnType> = { seed: "int64", step: "int64", seeds: "int64", prompts: "int64", answers: "int64", invalid: "int64", pairs: "int64", points: "int64", n: "int64", attempt: "int64", sample_idx: "int64", num_tokens: "int64", passed: "bool" };

// Columns; strings that repeat have a dictionary.
function table(name: string, rows: Row[]): Table {
  const columns = Object.keys(rows[0] ?? {}).map((column): Column => {
    const values = rows.map((row) => row[column] ?? null);
    const strings = values.filter((value) => typeof value === "string");
    const type = TYPES[column] ?? (strings.length > 0 || column === "gates" || column === "excluded" || column === "message" ? "string" : "float64");
    const distinct = new Set(strings);
    if (strings.length === 0 || distinct.size * 2 > values.length) return { name: column, type, values };
    const dictionary = [...distinct] as string[];
    const codes = new Map(dictionary.map((text, i) => [text, i]));
    return { name: column, type, dictionary, codes: values.map((value) => (value === null ? -1 : codes.get(String(value)) ?? -1)) };
  });
  return { name, columns };
}

export function makeDocument(kind: string): ReportDocument {
  const options = kind === "large" ? LARGE : kind === "one-seed" ? ONE_SEED : { ...SMALL, hostile: kind === "hostile" };
  const world = makeWorld(options);
  const cells = new Cells(world);
  const levels = levelRows(world, cells);
  const effects = effectRows(world, cells);
  const { points, k } = slopeTables(world, cells);
  const { associations, bands } = associationTables(effects);
  const samples = world.answers.map((answer): Row => ({
    job: answer.job, attempt: 1, step: answer.step, context: answer.context, prompt_id: world.prompts[answer.prompt]?.id ?? "", sample_idx: 0, answer: answer.text, num_tokens: Math.min(48, Math.ceil(answer.text.length / 4)),
    finish_reason: answer.text.length > 190 ? "length" : "stop", "score.spanish": answer.scores.spanish, "score.capitals": answer.scores.capitals,
  }));
  const notes = options.seeds === 1 ? ["One seed: every interval is over prompts only and says nothing about other trainings."] : [];
  if (levels.some((row) => row.gates !== null)) notes.push("Gates failed in some cells; they are marked and kept.");
  return {
    format: "jenner-report", version: 1, generated: { time: "2026-01-02T03:04:05Z", jenner_version: "0.1.0", server: "sample" },
    experiment: {
      name: `experiments/sample-${kind}`, state: "STATE_SUCCEEDED", create_time: "2026-01-02T01:00:00Z", end_time: "2026-01-02T03:00:00Z", owner: "default", spec_sha256: "5a".repeat(32),
      spec: {
        base_model: "SmolLM2-135M-Instruct", dataset: `sha256:${"1d".repeat(32)}`, contexts: Object.fromEntries(world.contexts.map(({ name, value }) => [name, value])),
        arms: world.arms.map(({ name, context }) => (context === null ? { name } : { name, train_context: context })), seeds: range(options.seeds), training: { epochs: 3, learning_rate: 0.0002 },
      },
      jobs: world.jobs.map(({ id, arms, steps }) => ({
        name: `experiments/sample-${kind}/jobs/${id}`, state: "STATE_SUCCEEDED", arms, attempt: 1, step: steps, total_steps: steps, workers: ["w1"],
        artifacts: steps > 0 ? [{ path: "adapter/adapter_model.safetensors", sha256: id.slice(1).repeat(4), size_bytes: "4900000" }] : [],
      })),
    },
    roles: { neutral_context: "neutral", desired: ["capitals"], undesired: ["spanish"] },
    statistics: { confidence: 0.95, resamples: RESAMPLES, seed: 1 }, notes, samples: { total: samples.length, embedded: samples.length },
    tables: [
      table("levels", levels), table("effects", effects), table("contrasts", contrastRows(world, cells)), table("decomposition", decompositionRows(effects, k, levels)), table("k", k), table("k_points", points),
      table("associations", associations), table("association_bands", bands), table("gates", gateRows(levels)),
      table("train_points", world.losses.map(({ job, step, loss }) => ({ job, attempt: 1, step, epoch: (3 * step) / 64, loss, learning_rate: 0.0002 * (1 - step / 64), gradient_norm: 1, supervised_tokens: 900 }))),
      table("samples", samples), table("prompts", world.prompts.map(({ id, text }) => ({ prompt_id: id, text }))),
    ],
  };
}

// A document as it stands in the page: client/cli/report.cc escapes in the same way.
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
