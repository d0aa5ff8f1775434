// The document that `jenner report` puts into the page: docs/formats/report.md is its specification.

export type Value = string | number | boolean | null;
export type ColumnType = "string" | "int64" | "float64" | "bool";

// A column has its values, or for strings that repeat a dictionary and one index into it a row (-1: null).
export interface Column {
  name: string;
  type: ColumnType;
  values?: Value[];
  dictionary?: string[];
  codes?: number[];
}
export interface Table {
  name: string;
  columns: Column[];
}

// The messages of proto/jenner/v1/experiment.proto in proto's JSON mapping, as far as the page reads them.
export interface Context {
  system?: string;
  user_prefix?: string;
  user_suffix?: string;
  [other: string]: unknown;
}
export interface Arm {
  name: string;
  train_context?: string;
  [other: string]: unknown;
}
export interface Job {
  name: string;
  state: string;
  arms?: string[];
  attempt?: number;
  step?: number;
  total_steps?: number;
  start_time?: string;
  end_time?: string;
  workers?: string[];
  artifacts?: { path: string; sha256: string; size_bytes: string }[];
  state_reason?: { code?: string; message?: string; blame?: string };
}
export interface Experiment {
  name: string;
  state: string;
  create_time?: string;
  end_time?: string;
  owner?: string;
  spec_sha256?: string;
  spec: {
    base_model: string;
    contexts: Record<string, Context>;
    arms: Arm[];
    seeds?: (string | number)[];
    [other: string]: unknown;
  };
  jobs?: Job[];
}

export interface ReportDocument {
  format: "jenner-report";
  version: 1;
  generated: { time: string; jenner_version: string; server: string };
  experiment: Experiment;
  // Which context is the neutral one, what is wanted and what is not; null or empty where the study does
  // not say.
  roles: { neutral_context: string | null; desired: string[]; undesired: string[] };
  // Of every interval: its level; of bootstrap intervals: how many resamples, from which seed.
  statistics: { confidence: number; resamples: number; seed: number };
  notes: string[];
  samples: { total: number; embedded: number };
  tables: Table[];
}

export type Row = Record<string, Value>;

// Rows as objects; what the types say of their columns is checked by readDocument.
export interface Level extends Row {
  arm: string;
  seed: number | null; // null: over all seeds
  job: string | null;
  step: number;
  context: string;
  trait: string;
  seeds: number;
  prompts: number;
  answers: number;
  invalid: number;
  mean: number | null;
  low: number | null;
  high: number | null;
  interval: string | null;
  gates: string | null; // of failed gates, joined by "; "
}
export interface Effect extends Row {
  arm: string;
  trait: string;
  step: number;
  quantity: string;
  value: number | null;
  low: number | null;
  high: number | null;
}
export interface Contrast extends Row {
  arm: string;
  reference: string;
  step: number;
  context: string;
  trait: string;
  difference: number | null;
  low: number | null;
  high: number | null;
  p: number | null;
  p_holm: number | null;
  test: string | null;
  pairs: number;
}
export interface Slope extends Row {
  trait: string; // "*": over all
  scale: string;
  method: string;
  k: number | null;
  low: number | null;
  high: number | null;
  points: number;
}
export interface SlopePoint extends Row {
  arm: string;
  seed: number | null;
  trait: string;
  scale: string;
  x: number;
  y: number;
  excluded: string | null;
}
export interface Association extends Row {
  trait: string;
  n: number;
  pearson: number | null;
  pearson_low: number | null; // the lowest without one arm
  pearson_high: number | null;
  spearman: number | null;
  slope: number | null;
  intercept: number | null;
  rmse: number | null;
}
export interface BandPoint extends Row {
  trait: string;
  x: number;
  fit: number;
  low: number;
  high: number;
}
export interface TrainPoint extends Row {
  job: string;
  step: number;
  loss: number | null;
}
export interface Sample extends Row {
  job: string;
  attempt: number;
  step: number;
  context: string;
  prompt_id: string;
  sample_idx: number;
  answer: string;
  num_tokens: number;
  finish_reason: string;
}

function columnValues(column: Column): Value[] {
  if (column.values) return column.values;
  const { dictionary, codes } = column;
  if (!dictionary || !codes) throw new Error(`column ${column.name}: neither values nor codes`);
  return codes.map((code) => (code < 0 ? null : dictionary[code] ?? null));
}

// The rows of a table. Throws if its columns are not equally long.
export function rowsOf(table: Table): Row[] {
  const columns = table.columns.map((column) => ({ name: column.name, values: columnValues(column) }));
  const length = columns[0]?.values.length ?? 0;
  for (const column of columns) {
    if (column.values.length !== length) {
      throw new Error(`table ${table.name}: column ${column.name} has ${column.values.length} rows; expected ${length}`);
    }
  }
  const rows = new Array<Row>(length);
  for (let i = 0; i < length; i++) {
    const row: Row = {};
    for (const column of columns) row[column.name] = column.values[i] ?? null;
    rows[i] = row;
  }
  return rows;
}

// What each table must have; a table that is absent is an empty one.
export const REQUIRED: Record<string, string[]> = {
  levels: ["arm", "seed", "job", "step", "context", "trait", "seeds", "prompts", "answers", "invalid", "mean", "low", "high", "interval", "gates"],
  effects: ["arm", "trait", "step", "quantity", "value", "low", "high"],
  contrasts: ["arm", "reference", "step", "context", "trait", "difference", "low", "high", "p", "p_holm", "test", "pairs"],
  decomposition: ["arm", "trait", "k", "elicitation_part", "conditionalization_part", "predicted", "observed"],
  k: ["trait", "scale", "method", "k", "low", "high", "points"],
  k_points: ["arm", "seed", "trait", "scale", "x", "y", "excluded"],
  associations: ["trait", "n", "pearson", "pearson_low", "pearson_high", "spearman", "slope", "intercept", "rmse"],
  association_bands: ["trait", "x", "fit", "low", "high"],
  gates: ["arm", "seed", "step", "context", "gate", "passed", "message"],
  train_points: ["job", "step", "loss"],
  samples: ["job", "attempt", "step", "context", "prompt_id", "sample_idx", "answer", "num_tokens", "finish_reason"],
  prompts: ["prompt_id", "text"],
};

// Parses and checks. Throws an Error that says what is wrong.
export function readDocument(text: string): ReportDocument {
  const document = JSON.parse(text) as ReportDocument;
  if (document.format !== "jenner-report") throw new Error(`format: expected "jenner-report"; found ${JSON.stringify(document.format)}`);
  if (document.version !== 1) throw new Error(`version: expected 1; found ${JSON.stringify(document.version)}`);
  for (const table of document.tables) {
    const names = new Set(table.columns.map((column) => column.name));
    for (const name of REQUIRED[table.name] ?? []) {
      if (!names.has(name)) throw new Error(`table ${table.name}: no column ${name}`);
    }
  }
  return document;
}
