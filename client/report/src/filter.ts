// Which answers are shown, and the part of the address that says so: "#answers?arm=x&step=60"; pure.
import type { Sample } from "./document.ts";
import { lastComponent } from "./model.ts";

export interface Filter {
  arm: string; // "": all, as of the others
  seed: string;
  job: string;
  step: string;
  set: string; // of prompts
  context: string;
  trait: string;
  value: string; // of the trait: "present", "absent", "not measurable" or "" for all
  text: string; // in prompt or answer, any case
  sample: string; // one answer: sampleId
}
export const NO_FILTER: Filter = { arm: "", seed: "", job: "", step: "", set: "", context: "", trait: "", value: "", text: "", sample: "" };
const KEYS = Object.keys(NO_FILTER) as (keyof Filter)[];

export function toHash(filter: Filter): string {
  const parameters = new URLSearchParams();
  for (const key of KEYS) if (filter[key] !== "") parameters.set(key, filter[key]);
  const text = parameters.toString();
  return text ? `#answers?${text}` : "#answers";
}

// null: the address is about something else.
export function fromHash(hash: string): Filter | null {
  if (hash !== "#answers" && !hash.startsWith("#answers?")) return null;
  const parameters = new URLSearchParams(hash.slice("#answers?".length));
  const filter = { ...NO_FILTER };
  for (const key of KEYS) filter[key] = parameters.get(key) ?? "";
  return filter;
}

// Where an answer is from; the same in every report of the experiment.
export function sampleId(sample: Sample): string {
  return [lastComponent(sample.job), sample.step, sample.prompt_set, sample.context, sample.prompt_id, sample.sample_idx].join("/");
}

// A share of 0.5 or more of a score in [0, 1], or any score above 0 beyond it, counts as present.
export function scoreClass(score: unknown): "present" | "absent" | "not measurable" {
  if (typeof score !== "number" || Number.isNaN(score)) return "not measurable";
  return score >= 0.5 ? "present" : "absent";
}

export interface Source {
  samples: Sample[];
  armsOfJob: (job: string) => string[]; // "arm/seed"
  promptText: (set: string, id: string) => string;
}

// The samples that pass, in their order.
export function select({ samples, armsOfJob, promptText }: Source, filter: Filter): Sample[] {
  if (filter.sample) return samples.filter((sample) => sampleId(sample) === filter.sample);
  const needle = filter.text.toLowerCase();
  const step = filter.step === "" ? null : Number(filter.step);
  const jobs = new Map<string, boolean>();
  const passesJob = (job: string): boolean => {
    const known = jobs.get(job);
    if (known !== undefined) return known;
    const passes = (filter.job === "" || lastComponent(job) === filter.job) && (filter.arm === "" && filter.seed === "" || armsOfJob(job).some((name) => {
      const cut = name.lastIndexOf("/");
      return (filter.arm === "" || name.slice(0, cut) === filter.arm) && (filter.seed === "" || name.slice(cut + 1) === filter.seed);
    }));
    jobs.set(job, passes);
    return passes;
  };
  const prompts = new Map<string, boolean>();
  const promptHas = (set: string, id: string): boolean => {
    const key = `${set}\n${id}`;
    let has = prompts.get(key);
    if (has === undefined) prompts.set(key, (has = promptText(set, id).toLowerCase().includes(needle)));
    return has;
  };
  return samples.filter((sample) =>
    (step === null || sample.step === step) &&
    (filter.set === "" || sample.prompt_set === filter.set) &&
    (filter.context === "" || sample.context === filter.context) &&
    passesJob(sample.job) &&
    (filter.value === "" || filter.trait === "" || scoreClass(sample[`score.${filter.trait}`]) === filter.value) &&
    (needle === "" || promptHas(sample.prompt_set, sample.prompt_id) || sample.answer.toLowerCase().includes(needle)));
}
