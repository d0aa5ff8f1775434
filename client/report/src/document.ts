// The document that `jenner report` puts into the page: docs/formats/report.md is its specification. It holds
// messages of proto/jenner/v1 in proto's JSON mapping with the proto's field names; fields without presence are
// always there, 64-bit integers are strings. Only in samples and train points, of which there are many, fields with
// their default value are left out, and a sample's arms: they are its job's.

export type Value = string | number | boolean | null;
export type Row = Record<string, Value>;

export interface Context {
  system?: string;
  user_prefix?: string;
  user_suffix?: string;
  variants?: { field: string; texts: string[] };
  [other: string]: unknown;
}
export interface Arm {
  name: string;
  train_context?: string;
  role?: string;
  after?: string;
  deploy_context?: string;
  [other: string]: unknown;
}
export interface Job {
  name: string;
  state: string;
  arms: string[]; // "arm/seed"
  attempt: number;
  step: number;
  total_steps: number;
  workers: string[];
  artifacts: { path: string; sha256: string; size_bytes: string }[];
  state_reason?: { code: string; message: string; blame: string };
  [other: string]: unknown;
}
export interface Experiment {
  name: string;
  state: string;
  create_time?: string;
  end_time?: string;
  owner: string;
  spec_sha256: string;
  spec: {
    base_model: string;
    contexts: Record<string, Context>;
    arms: Arm[];
    seeds: string[];
    evaluation?: { sets?: { name: string; mode: string }[]; [other: string]: unknown };
    [other: string]: unknown;
  };
  jobs: Job[];
}

// Of study.proto.
export interface Estimate {
  value?: number; // absent: see reason
  low?: number;
  high?: number;
  method: string;
  bootstrap_low?: number;
  bootstrap_high?: number;
  over: string;
  num_seeds: number;
  num_prompts: number;
  num_missing: string;
  reason: string;
}
interface Measured {
  prompt_set: string;
  trait: string;
}
export interface LevelMessage extends Measured {
  arm: string;
  step: number;
  context: string;
  estimate: Estimate;
  num_answers: string;
  num_invalid: string;
  is_final: boolean;
}
export interface ContrastMessage extends Measured {
  arm: string;
  control: string;
  arm_context: string;
  control_context: string;
  deployed: boolean;
  difference: Estimate;
  p?: number;
  p_holm?: number;
  prompt_test: string;
  prompt_p?: number;
  prompt_p_holm?: number;
}
export const QUANTITIES = ["elicitation", "in_context", "leakage", "suppression", "gate_strength", "training_in_context", "training_deployed", "retention"] as const;
export type Quantity = (typeof QUANTITIES)[number];
export type FiguresMessage = Measured & { arm: string } & Record<Quantity, Estimate>;
export interface RatioMessage extends Measured {
  arm: string;
  seed: string;
  x: Estimate;
  y: Estimate;
  ratio?: number;
}
export interface FitMessage extends Measured { // trait and arm "": all
  arm: string;
  scale: string;
  num_points: number;
  slope: Estimate;
  deming: Estimate;
}
export const DECOMPOSED = ["k", "initial", "elicitation", "control", "elicitation_part", "conditional_part", "predicted", "observed", "predicted_leakage", "observed_leakage"] as const;
export type DecompositionMessage = Measured & { arm: string; own_k: boolean } & Record<(typeof DECOMPOSED)[number], Estimate>;
export interface RelationMessage extends Measured {
  points: { arm: string; elicitation: number; suppression: number }[];
  pearson: Estimate;
  slope: Estimate;
  spearman?: number;
  intercept?: number;
  rmse?: number;
  leave_one_out_low?: number;
  leave_one_out_high?: number;
}
export interface SelectivityMessage {
  arm: string;
  prompt_set: string;
  estimate: Estimate;
}
export interface NarrownessMessage extends Measured {
  arm: string;
  estimate: Estimate;
  others: string[];
  excluded: string[];
}
export interface TraitInfo {
  name: string;
  is_binary: boolean;
  low?: number;
  high?: number;
  unit: string;
}
// What does not apply is empty or absent.
export interface GateFailure {
  gate: string;
  arm: string;
  seed?: string;
  step?: number;
  prompt_set: string;
  context: string;
  trait: string;
  value: number;
  limit: number;
  message: string;
}
export interface ScreenCandidate {
  name: string;
  rank: number; // 0: not ranked
  level: Estimate;
  elicitation: Estimate;
  predictors: { prompt_set: string; estimate: Estimate }[];
}
export interface StudyArm {
  name: string;
  role: string;
  train_context: string; // "": not trained
  deploy_context: string;
  after: string;
  final_step: number; // -1: nothing was answered
  [other: string]: unknown;
}
export interface Study {
  arms: StudyArm[];
  seeds: string[];
  prompt_sets: string[];
  traits: TraitInfo[];
  neutral: string;
  desired: string[];
  undesired: string[];
  resamples: number;
  confidence: number;
  levels: LevelMessage[];
  contrasts: ContrastMessage[];
  figures: FiguresMessage[];
  selectivity: SelectivityMessage[];
  ratios: RatioMessage[];
  proportionality: FitMessage[];
  decompositions: DecompositionMessage[];
  relations: RelationMessage[];
  narrowness: NarrownessMessage[];
  notes: string[];
  gate_failures: GateFailure[];
  screen?: { trait: string; prompt_set: string; candidates: ScreenCandidate[] };
  complete: boolean;
  [other: string]: unknown;
}
export interface ResultRow {
  arm: string;
  seed: string;
  step: number;
  prompt_set: string;
  context: string;
  cell: {
    job: string;
    num_samples: number;
    num_truncated: number;
    num_degenerate: number;
    traits: { trait: string; num_measured: number; num_not_measurable: number; ratio?: number; low?: number; high?: number }[];
  };
}

// A flat table: its rows are at the path `rows` of the document; with `each`, a list in each of them, it has a
// row an entry of that list. A column is the path of a field; those of the list begin with its name.
export interface Table {
  name: string;
  rows: string;
  each: string;
  columns: { name: string; type: "string" | "int64" | "float64" | "bool" }[];
}

export interface ReportDocument {
  format: "jenner-report";
  version: 1;
  generated: { time: string; jenner_version: string };
  notes: string[]; // what is missing in the document
  experiment: Experiment;
  study: Study;
  results: ResultRow[];
  train_points: Record<string, unknown>[];
  num_samples: number; // of the experiment
  samples: Record<string, unknown>[]; // in the document
  prompts: { prompt_set: string; prompt_id: string; text: string }[];
  tables: Table[];
}

// Rows of flat tables that the page reads by name.
export interface TrainPoint extends Row {
  job: string;
  step: number;
  loss: number | null;
}
export interface Sample extends Row { // and "score.<trait>"
  job: string;
  attempt: number;
  step: number;
  context: string;
  prompt_set: string;
  prompt_id: string;
  sample_idx: number;
  answer: string;
  num_tokens: number;
  finish_reason: string;
  judge_error: string;
}

type Message = Record<string, unknown>;

function at(message: unknown, path: string[]): unknown {
  return path.reduce<unknown>((value, key) => (value === null || value === undefined ? undefined : (value as Message)[key]), message);
}

function convert(value: unknown, type: Table["columns"][number]["type"]): Value {
  if (value === undefined || value === null) return null;
  if (Array.isArray(value)) return value.join("; ");
  if (type === "string") return String(value);
  if (type === "bool") return Boolean(value);
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
}

const SCORE = "score.";
const DEFAULTS = { string: "", bool: false, int64: 0, float64: 0 };

// Puts in what the document leaves out of a sample.
function completeSample(message: Message, armsOf: Map<unknown, string[]>): void {
  for (const { trait, value } of (message.scores ?? []) as { trait: string; value?: number }[]) message[SCORE + trait] = value;
  message.arms ??= armsOf.get(message.job) ?? [];
}

// The rows of a table, as client/cli/flat_table.cc makes them.
export function rowsOf(document: ReportDocument, table: Table): Row[] {
  const messages = at(document, table.rows.split(".")) as Message[] | undefined;
  const inner = `${table.each.slice(table.each.lastIndexOf(".") + 1)}.`;
  const columns = table.columns.map(({ name, type }) => {
    const isInner = table.each !== "" && name.startsWith(inner);
    const isScore = table.name === "samples" && name.startsWith(SCORE);
    return { name, type, isInner, path: isScore ? [name] : (isInner ? name.slice(inner.length) : name).split(".") };
  });
  const isSparse = table.rows === "samples" || table.rows === "train_points";
  const armsOf = new Map<unknown, string[]>(document.experiment.jobs.map((job) => [job.name, job.arms]));
  const rows: Row[] = [];
  for (const message of messages ?? []) {
    if (table.rows === "samples") completeSample(message, armsOf);
    for (const entry of table.each === "" ? [message] : (at(message, table.each.split(".")) as Message[])) {
      const row: Row = {};
      for (const { name, type, isInner, path } of columns) {
        const value = at(isInner ? entry : message, path);
        row[name] = value === undefined && isSparse && !name.startsWith(SCORE) ? DEFAULTS[type] : convert(value, type);
      }
      rows.push(row);
    }
  }
  return rows;
}

// Parses and checks. Throws an Error that says what is wrong.
export function readDocument(text: string): ReportDocument {
  const document = JSON.parse(text) as ReportDocument;
  if (document.format !== "jenner-report") throw new Error(`format: expected "jenner-report"; found ${JSON.stringify(document.format)}`);
  if (document.version !== 1) throw new Error(`version: expected 1; found ${JSON.stringify(document.version)}`);
  for (const key of ["experiment", "study", "results", "train_points", "samples", "prompts", "tables"] as const) {
    if (typeof document[key] !== "object" || document[key] === null) throw new Error(`${key}: expected it to be there`);
  }
  for (const key of ["levels", "contrasts", "figures", "selectivity", "ratios", "proportionality", "decompositions", "relations", "narrowness", "gate_failures"] as const) {
    if (!Array.isArray(document.study[key])) throw new Error(`study.${key}: expected a list`);
  }
  return document;
}
