// What the figures share: the arms, contexts and measures of a document, its levels, and its flat tables.
import {
  type Context, type Estimate, type GateFailure, type Job, type LevelMessage, type ReportDocument, type Row, type Sample, type Study,
  type TrainPoint, type TraitInfo, rowsOf,
} from "./document.ts";
import { contextParts, contextText, type Part } from "./prompt.ts";

export interface ArmInfo {
  name: string;
  trainContext: string | null; // null: not trained, the base model
  deployContext: string; // where its neutral level is measured
  after: string; // the arm with whose model its training begins; "": with the base model
  index: number;
}
export interface ContextInfo {
  name: string;
  text: string; // its prompt in short, for a label
  parts: Part[]; // in full
  isNeutral: boolean;
  isTrain: boolean; // of at least one arm
  index: number;
}
// A trait on a prompt set.
export interface Measure {
  key: string;
  set: string;
  trait: string;
  label: string;
  role: "undesired" | "desired" | "";
}

// An estimate as the figures draw it.
export interface Figures {
  value: number | null;
  low: number | null;
  high: number | null;
  reason: string;
}
export function drawn(estimate: Estimate | undefined): Figures {
  return { value: estimate?.value ?? null, low: estimate?.low ?? null, high: estimate?.high ?? null, reason: estimate?.reason ?? "" };
}

export interface Level {
  arm: string;
  seed: number | null; // null: over all seeds
  step: number;
  set: string;
  context: string;
  trait: string;
  seeds: number;
  prompts: number;
  answers: number;
  invalid: number;
  mean: number | null;
  low: number | null;
  high: number | null;
  over: string;
  gates: string | null; // of failed gates, joined by "; "
}

export const measureKey = (set: string, trait: string): string => `${set}\n${trait}`;

function levelOf(message: LevelMessage): Level {
  const { estimate } = message;
  const { value, low, high } = drawn(estimate);
  return {
    arm: message.arm, seed: null, step: message.step, set: message.prompt_set, context: message.context, trait: message.trait,
    seeds: estimate.num_seeds, prompts: estimate.num_prompts, answers: Number(message.num_answers), invalid: Number(message.num_invalid),
    mean: value, low, high, over: estimate.over === "OVER_SEEDS_AND_PROMPTS" ? "seeds and prompts" : "prompts", gates: null,
  };
}

export class Model {
  readonly document: ReportDocument;
  readonly study: Study;
  readonly arms: ArmInfo[];
  readonly contexts: ContextInfo[];
  readonly jobs: Map<string, Job>; // by id
  readonly levels: Level[]; // over seeds
  readonly seedLevels: Level[];
  readonly measures: Measure[]; // undesired first, then desired, then the others, each prompt set by itself
  readonly neutral: string | null;
  readonly samples: Sample[];
  readonly sets: string[];
  private readonly traitsOfSet = new Map<string, string[]>();
  private readonly flat = new Map<string, Row[]>();
  private readonly promptTexts: Map<string, string>;
  private readonly armByName: Map<string, ArmInfo>;
  private readonly contextByName: Map<string, ContextInfo>;
  private readonly lastSteps = new Map<string, number>();
  private readonly traitByName: Map<string, TraitInfo>;

  constructor(document: ReportDocument) {
    this.document = document;
    this.study = document.study;
    const { spec, jobs } = document.experiment;
    this.neutral = this.study.neutral === "" ? null : this.study.neutral;
    this.arms = this.study.arms.map((arm, index) => ({ name: arm.name, trainContext: arm.train_context || null, deployContext: arm.deploy_context, after: arm.after, index }));
    this.armByName = new Map(this.arms.map((arm) => [arm.name, arm]));
    this.contexts = contextsOf(spec.contexts, this.arms, this.neutral);
    this.contextByName = new Map(this.contexts.map((context) => [context.name, context]));
    this.jobs = new Map(jobs.map((job) => [lastComponent(job.name), job]));
    this.promptTexts = new Map(document.prompts.map((prompt) => [measureKey(prompt.prompt_set, prompt.prompt_id), prompt.text]));
    this.traitByName = new Map(this.study.traits.map((trait) => [trait.name, trait]));
    this.sets = this.study.prompt_sets;
    const failed = failedGates(this.study);
    this.levels = this.study.levels.map((message) => ({ ...levelOf(message), gates: failed(message) }));
    for (const arm of this.study.arms) this.lastSteps.set(arm.name, Math.max(0, arm.final_step));
    this.seedLevels = document.results.flatMap(({ arm, seed, step, prompt_set, context, cell }) => cell.traits.map((one) => ({
      arm, seed: Number(seed), step, set: prompt_set, context, trait: one.trait, seeds: 1, prompts: 0, answers: cell.num_samples, invalid: one.num_not_measurable,
      mean: one.ratio ?? null, low: one.low ?? null, high: one.high ?? null, over: "prompts", gates: null,
    })));
    this.measures = this.findMeasures();
    const rankOf = new Map(this.sets.map((set, index) => [set, index]));
    this.samples = ([...this.rows("samples")] as Sample[]).sort((a, b) => (rankOf.get(a.prompt_set) ?? 0) - (rankOf.get(b.prompt_set) ?? 0));
  }

  private findMeasures(): Measure[] {
    const { undesired, desired } = this.study;
    const found = new Map<string, Measure>();
    for (const { set, trait } of this.levels) {
      const key = measureKey(set, trait);
      const role = undesired.includes(trait) ? "undesired" : desired.includes(trait) ? "desired" : "";
      const name = this.sets.length > 1 && set !== this.sets[0] ? `${trait} on ${set}` : trait;
      if (!found.has(key)) found.set(key, { key, set, trait, role, label: role ? `${name} (${role})` : name });
    }
    const rank = ({ set, trait, role }: Measure) => this.sets.indexOf(set) * 1000 + (role === "undesired" ? undesired.indexOf(trait) : role === "desired" ? 100 + desired.indexOf(trait) : 200);
    return [...found.values()].sort((a, b) => rank(a) - rank(b));
  }

  // A flat table of the document.
  rows(table: string): Row[] {
    let rows = this.flat.get(table);
    if (!rows) {
      const found = this.document.tables.find((one) => one.name === table);
      rows = found === undefined ? [] : table === "prompts" ? this.document.prompts.map((prompt) => ({ ...prompt })) : rowsOf(this.document, found);
      this.flat.set(table, rows);
    }
    return rows;
  }
  columnsOf(table: string): string[] {
    return this.document.tables.find((one) => one.name === table)?.columns.map((column) => column.name) ?? [];
  }
  trainPoints = (): TrainPoint[] => this.rows("train_points") as TrainPoint[];

  measure(key: string): Measure {
    return this.measures.find((one) => one.key === key) ?? { key, set: "", trait: "", label: "", role: "" };
  }
  // What is drawn until the reader chooses.
  get firstMeasure(): string {
    return this.measures[0]?.key ?? "";
  }
  // The measures of studied traits, which have effects; all if the study names none.
  get studied(): Measure[] {
    const have = new Set(this.study.figures.map((one) => measureKey(one.prompt_set, one.trait)));
    return this.measures.filter((one) => have.has(one.key));
  }
  // The scores of a trait are shares.
  isShare(trait: string): boolean {
    const info = this.traitByName.get(trait);
    return info?.low === 0 && info.high === 1;
  }
  trait(name: string): TraitInfo | undefined {
    return this.traitByName.get(name);
  }
  promptText(set: string, id: string): string | undefined {
    return this.promptTexts.get(measureKey(set, id));
  }
  // The traits of the set that an answer is of.
  scoredTraits(sample: Sample): string[] {
    let traits = this.traitsOfSet.get(sample.prompt_set);
    if (!traits) {
      traits = [...new Set(this.measures.filter((one) => one.set === sample.prompt_set).map((one) => one.trait))];
      this.traitsOfSet.set(sample.prompt_set, traits);
    }
    return traits;
  }
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
  finalLevels(measure: string): Level[] {
    return this.levels.filter((level) => measureKey(level.set, level.trait) === measure && level.step === this.lastStep(level.arm));
  }
  // Level before the training of `arm`: of the arm that it goes on from, or of the base model.
  initialLevel(arm: string, measure: string, context: string): Level | undefined {
    const after = this.armByName.get(arm)?.after;
    if (!after) return this.baseLevel(measure, context);
    return this.finalLevels(measure).find((level) => level.arm === after && level.context === context);
  }
  // Level of the base model before training; undefined if it was not evaluated there.
  baseLevel(measure: string, context: string): Level | undefined {
    const starts = this.levels.filter((level) => level.step === 0 && level.context === context && measureKey(level.set, level.trait) === measure);
    return starts.find((level) => level.arm === this.base?.name) ?? starts[0];
  }
  // "arm/seed" of the arms that share the job of a sample.
  armsOfJob(job: string): string[] {
    return this.jobs.get(lastComponent(job))?.arms ?? [];
  }
}

function contextsOf(contexts: Record<string, Context>, arms: ArmInfo[], neutral: string | null): ContextInfo[] {
  const order = [neutral, ...arms.map((arm) => arm.trainContext)];
  const rank = (name: string) => (order.includes(name) ? order.indexOf(name) : order.length);
  const names = Object.keys(contexts).sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  return names.map((name, index) => {
    const parts = contextParts(contexts[name] ?? {});
    return { name, parts, text: contextText(parts), isNeutral: name === neutral, isTrain: order.includes(name) && name !== neutral || arms.some((arm) => arm.trainContext === name), index };
  });
}

// Of a level, the messages of the gates that failed there: those of its cell and those of its whole arm.
function failedGates(study: Study): (level: LevelMessage) => string | null {
  const isAbout = (failure: GateFailure, level: LevelMessage) => failure.arm === level.arm && (failure.step === undefined || failure.step === level.step) &&
    (failure.prompt_set === "" || failure.prompt_set === level.prompt_set) && (failure.context === "" || failure.context === level.context) && (failure.trait === "" || failure.trait === level.trait) &&
    (failure.step !== undefined || level.is_final);
  return (level) => {
    const failed = study.gate_failures.filter((failure) => isAbout(failure, level));
    return failed.length === 0 ? null : [...new Set(failed.map((failure) => failure.message))].join("; ");
  };
}

export function lastComponent(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}
