// What the figures share: the arms, contexts and traits of a document and its rows by table.
import {
  type Association, type BandPoint, type Context, type Contrast, type Effect, type Job, type Level,
  type ReportDocument, type Row, type Sample, type Slope, type SlopePoint, type TrainPoint, rowsOf,
} from "./document.ts";

export interface ArmInfo {
  name: string;
  trainContext: string | null; // null: not trained, the base model
  index: number;
}
export interface ContextInfo {
  name: string;
  text: string; // its prompt in short, for a label
  parts: { what: string; text: string }[]; // in full
  isNeutral: boolean;
  isTrain: boolean; // of at least one arm
  index: number;
}

// What a context puts around the task, each part by name.
export function contextParts(context: Context): { what: string; text: string }[] {
  const parts: { what: string; text: string }[] = [];
  const { system, user_prefix, user_suffix, ...others } = context;
  if (typeof system === "string") parts.push({ what: system === "" ? "empty system message" : "system message", text: system });
  if (user_prefix) parts.push({ what: "before the user turn", text: user_prefix });
  if (user_suffix) parts.push({ what: "after the user turn", text: user_suffix });
  for (const [key, value] of Object.entries(others)) {
    const isEmpty = value === "" || value === null || value === 0 || value === false || (Array.isArray(value) && value.length === 0);
    if (!isEmpty) parts.push({ what: key.replaceAll("_", " "), text: typeof value === "string" ? value : JSON.stringify(value) });
  }
  return parts;
}

function contextText(parts: { what: string; text: string }[]): string {
  if (parts.length === 0) return "no prompt of its own (template default)";
  return parts
    .map(({ what, text }) => {
      if (what === "system message") return `“${text}”`;
      if (what === "before the user turn") return `“${text}…”`;
      if (what === "after the user turn") return `“…${text}”`;
      return text ? `${what}: “${text}”` : what;
    })
    .join(" + ");
}

export class Model {
  readonly document: ReportDocument;
  readonly arms: ArmInfo[];
  readonly contexts: ContextInfo[];
  readonly jobs: Map<string, Job>;
  readonly prompts: Map<string, string>;
  readonly levels: Level[]; // over seeds
  readonly seedLevels: Level[];
  readonly traits: string[]; // undesired first, then desired, then the others
  readonly desired: string[];
  readonly undesired: string[];
  readonly neutral: string | null;
  readonly seeds: number[];
  readonly samples: Sample[];
  readonly scoreColumns: string[]; // "score.<trait>" of the samples
  private readonly tables = new Map<string, Row[]>();
  private readonly columns = new Map<string, string[]>();
  private readonly armByName = new Map<string, ArmInfo>();
  private readonly contextByName = new Map<string, ContextInfo>();
  private readonly lastSteps = new Map<string, number>();

  constructor(document: ReportDocument) {
    this.document = document;
    for (const table of document.tables) {
      this.tables.set(table.name, rowsOf(table));
      this.columns.set(table.name, table.columns.map((column) => column.name));
    }
    const { spec, jobs } = document.experiment;
    this.neutral = document.roles.neutral_context;
    this.arms = spec.arms.map((arm, index) => ({ name: arm.name, trainContext: arm.train_context ?? null, index }));
    for (const arm of this.arms) this.armByName.set(arm.name, arm);
    const trained = new Set(this.arms.map((arm) => arm.trainContext));
    const names = Object.keys(spec.contexts).sort((a, b) => Number(b === this.neutral) - Number(a === this.neutral));
    this.contexts = names.map((name, index) => {
      const parts = contextParts(spec.contexts[name] ?? {});
      return { name, parts, text: contextText(parts), isNeutral: name === this.neutral, isTrain: trained.has(name), index };
    });
    for (const context of this.contexts) this.contextByName.set(context.name, context);
    this.jobs = new Map((jobs ?? []).map((job) => [lastComponent(job.name), job]));
    this.prompts = new Map(this.rows<Row>("prompts").map((row) => [String(row.prompt_id), String(row.text)]));
    const levels = this.rows<Level>("levels");
    this.levels = levels.filter((level) => level.seed === null);
    this.seedLevels = levels.filter((level) => level.seed !== null);
    for (const level of levels) this.lastSteps.set(level.arm, Math.max(level.step, this.lastSteps.get(level.arm) ?? 0));
    this.desired = document.roles.desired;
    this.undesired = document.roles.undesired;
    const found = [...new Set(levels.map((level) => level.trait))];
    const named = [...this.undesired, ...this.desired].filter((trait) => found.includes(trait));
    this.traits = [...named, ...found.filter((trait) => !named.includes(trait))];
    this.seeds = [...new Set(this.seedLevels.map((level) => level.seed as number))].sort((a, b) => a - b);
    this.samples = this.rows<Sample>("samples");
    this.scoreColumns = this.columnsOf("samples").filter((name) => name.startsWith("score."));
  }

  rows<T extends Row>(table: string): T[] {
    return (this.tables.get(table) ?? []) as T[];
  }
  columnsOf(table: string): string[] {
    return this.columns.get(table) ?? [];
  }
  effects = (): Effect[] => this.rows<Effect>("effects");
  contrasts = (): Contrast[] => this.rows<Contrast>("contrasts");
  slopes = (): Slope[] => this.rows<Slope>("k");
  slopePoints = (): SlopePoint[] => this.rows<SlopePoint>("k_points");
  associations = (): Association[] => this.rows<Association>("associations");
  bands = (): BandPoint[] => this.rows<BandPoint>("association_bands");
  trainPoints = (): TrainPoint[] => this.rows<TrainPoint>("train_points");

  arm(name: string): ArmInfo | undefined {
    return this.armByName.get(name);
  }
  context(name: string): ContextInfo | undefined {
    return this.contextByName.get(name);
  }
  trainContext(arm: string): string | null {
    return this.armByName.get(arm)?.trainContext ?? null;
  }
  // The last step at which `arm` was evaluated.
  lastStep(arm: string): number {
    return this.lastSteps.get(arm) ?? 0;
  }
  get base(): ArmInfo | undefined {
    return this.arms.find((arm) => arm.trainContext === null);
  }
  get trainedArms(): ArmInfo[] {
    return this.arms.filter((arm) => arm.trainContext !== null);
  }
  // Steps of all levels, ascending.
  get steps(): number[] {
    return [...new Set(this.levels.map((level) => level.step))].sort((a, b) => a - b);
  }
  // "train prompt / evaluation prompt" by their names.
  pairLabel(arm: string, context: string): string {
    return `${this.trainContext(arm) ?? "not trained"} / ${context}`;
  }
  // The prompt that `arm` was trained under, as text.
  trainText(arm: string): string {
    const name = this.trainContext(arm);
    return name === null ? "base model, not trained" : this.context(name)?.text ?? name;
  }
  // Levels over seeds at the last step of each arm.
  finalLevels(trait: string): Level[] {
    return this.levels.filter((level) => level.trait === trait && level.step === this.lastStep(level.arm));
  }
  // Level of the base model before training; undefined if it was not evaluated there.
  baseLevel(trait: string, context: string): Level | undefined {
    const base = this.base?.name;
    return this.levels.find((level) => level.trait === trait && level.context === context && level.step === 0 && (base === undefined || level.arm === base));
  }
  roleOf(trait: string): string {
    return this.undesired.includes(trait) ? "undesired" : this.desired.includes(trait) ? "desired" : "";
  }
  traitLabel(trait: string): string {
    const role = this.roleOf(trait);
    return role ? `${trait} (${role})` : trait;
  }
  // "arm/seed" of the arms that share the job of a sample.
  armsOfJob(job: string): string[] {
    return this.jobs.get(job)?.arms ?? [];
  }
}

export function lastComponent(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}
