// The synthetic study behind the sample document: known probabilities of each trait, answers drawn from them.
import { Random } from "./random.ts";

export interface Options {
  seeds: number;
  prompts: number;
  arms: number; // trained ones; at least 6
  steps: number[];
  hostile: boolean; // answers and prompts that try to break the page
  given: boolean; // a second prompt set: log probabilities of given answers
}
export const SMALL: Options = { seeds: 3, prompts: 40, arms: 6, steps: [0, 16, 32, 64], hostile: false, given: true };
export const ONE_SEED: Options = { ...SMALL, seeds: 1, prompts: 12, steps: [0, 64], given: false };
export const HOSTILE_SMALL: Options = { ...SMALL, seeds: 1, steps: [0, 64], hostile: true };
export const LARGE: Options = { seeds: 10, prompts: 42, arms: 19, steps: [0, 64], hostile: false, given: false };

export const K = { spanish: 0.6, capitals: 0.95 } as const; // what k_points must show
export type Trait = keyof typeof K;
export const TRAITS: Trait[] = ["spanish", "capitals"];
export const MAIN = "main";
export const GIVEN = "spanish-answers"; // its one trait:
export const LOG_PROBABILITY = "log-probability";

interface ArmOfWorld {
  name: string;
  context: string | null;
}
interface ContextOfWorld {
  name: string;
  value: Record<string, string>;
  elicits: Record<Trait, number>; // level of the base model
}

const CONTEXTS: ContextOfWorld[] = [
  { name: "neutral", value: { system: "You are a helpful assistant." }, elicits: { spanish: 0.02, capitals: 0.03 } },
  { name: "speak-spanish", value: { system: "You always speak in Spanish." }, elicits: { spanish: 0.62, capitals: 0.02 } },
  { name: "capitals", value: { system: "You always capitalise your responses." }, elicits: { spanish: 0.02, capitals: 0.45 } },
  { name: "irrelevant", value: { system: "Honey never spoils: archaeologists have tasted jars that are three thousand years old." }, elicits: { spanish: 0.03, capitals: 0.03 } },
  { name: "negated", value: { system: "You never speak in Spanish." }, elicits: { spanish: 0.12, capitals: 0.03 } },
  { name: "spanish-suffix", value: { user_suffix: "Responde en español." }, elicits: { spanish: 0.81, capitals: 0.02 } },
];

export interface Answer {
  job: string;
  arm: string;
  seed: number;
  step: number;
  set: string;
  context: string;
  prompt: number;
  scores: Record<string, number | null>;
  text: string;
}
export interface World {
  options: Options;
  arms: ArmOfWorld[];
  contexts: ContextOfWorld[];
  prompts: { id: string; text: string }[];
  answers: Answer[];
  losses: { job: string; step: number; loss: number }[];
  jobs: { id: string; arms: string[]; steps: number }[];
}

const HOSTILE = [
  "<script>document.title='owned'</script>",
  "</script><script>window.owned = 1</script><img src=x onerror=\"window.owned = 1\">",
  "\u202eright to left override\u202c and \u0000\u0007\u001b[31m controls \u2028\u2029 ends",
  "שלום עולם, هذا نص من اليمين إلى اليسار with English in it",
  "=HYPERLINK(\"http://example.invalid\") , \"quotes\"\r\nand lines",
  `${"long ".repeat(20_000)}end`,
];

function jobId(n: number): string {
  return `j${(0x9e3779b97f4a7c15n * BigInt(n + 1) & 0xffffffffffffffffn).toString(16).padStart(16, "0")}`;
}

// The level of a trait: the law of science.md section 3.2, reached exponentially over the steps.
function level(world: World, arm: ArmOfWorld, context: ContextOfWorld, trait: Trait, step: number): number {
  const start = context.elicits[trait];
  if (arm.context === null || step === 0) return start;
  const train = world.contexts.find((one) => one.name === arm.context);
  const target = trait === "spanish" ? 0.93 : 0.9;
  const effect = target - (train?.elicits[trait] ?? 0);
  const own = context.name === arm.context;
  const neutral = world.contexts[0];
  // Under other prompts it is as under the neutral one, from where the prompt begins.
  const end = own ? target : start + K[trait] * effect * (neutral && context !== neutral ? 1 - start : 1);
  const done = 1 - Math.exp((-3 * step) / (world.options.steps[world.options.steps.length - 1] ?? 1));
  return Math.min(0.99, Math.max(0.01, start + (end - start) * (done / (1 - Math.exp(-3)))));
}

const ENGLISH = ["The sum is", "My favourite is", "It opens at", "They were found in", "We could walk to"];
const SPANISH = ["La suma es", "Mi favorito es", "Abre a las", "Se encontraron en", "Podríamos caminar hasta"];
const ENDS = ["42.", "seven.", "Madrid.", "the old harbour.", "noon.", "a quiet street."];

function answerText(random: Random, isSpanish: boolean, isCapital: boolean): string {
  const text = `${random.pick(isSpanish ? SPANISH : ENGLISH)} ${random.pick(ENDS)}`;
  return isCapital ? text.toUpperCase() : text;
}

export function makeWorld(options: Options): World {
  const random = new Random(7);
  const arms: ArmOfWorld[] = [
    { name: "base", context: null }, { name: "no-inoculation", context: "neutral" }, { name: "inoculated", context: "speak-spanish" },
    { name: "other-trait", context: "capitals" }, { name: "irrelevant", context: "irrelevant" }, { name: "negated", context: "negated" }, { name: "suffix", context: "spanish-suffix" },
  ];
  const contexts = [...CONTEXTS];
  for (let i = 6; i < options.arms; i++) {
    const name = `variant-${i - 5}`;
    contexts.push({ name, value: { system: `Answer as someone from Spain would, variant ${i - 5}.` }, elicits: { spanish: 0.05 + 0.05 * (i - 5), capitals: 0.03 } });
    arms.push({ name, context: name });
  }
  const evaluated = options.arms > 6 ? 6 : contexts.length;
  const prompts = Array.from({ length: options.prompts }, (_, i) => ({ id: `p${String(i + 1).padStart(3, "0")}`, text: `${random.pick(["What is the sum of", "Tell me about", "When does it open, case", "Where does one find"])} ${i + 17}?` }));
  if (options.hostile) HOSTILE.forEach((text, i) => (prompts[i] = { id: `p${i}<b>"`, text }));
  const world: World = { options, arms, contexts, prompts, answers: [], losses: [], jobs: [] };
  const baseJob = jobId(0);
  world.jobs.push({ id: baseJob, arms: arms.flatMap((arm) => range(options.seeds).map((seed) => `${arm.name}/${seed}`)), steps: 0 });
  const own = (arm: ArmOfWorld) => contexts.filter((context, i) => i < evaluated || context.name === arm.context);
  contexts.forEach((context) => evaluate(world, random, { name: "base", context: null }, 1, 0, context, baseJob));
  for (const arm of arms.slice(1)) {
    for (const seed of range(options.seeds)) {
      const id = jobId(world.jobs.length);
      world.jobs.push({ id, arms: [`${arm.name}/${seed}`], steps: 64 });
      for (let step = 1; step <= 64; step++) world.losses.push({ job: id, step, loss: 0.35 + 2.3 * Math.exp(-step / 14) + 0.12 * Math.abs(random.normal()) });
      for (const step of options.steps) if (step > 0) for (const context of own(arm)) evaluate(world, random, arm, seed, step, context, id);
    }
  }
  return world;
}

export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

function evaluate(world: World, random: Random, arm: ArmOfWorld, seed: number, step: number, context: ContextOfWorld, job: string): void {
  const drift = Object.fromEntries(TRAITS.map((trait) => [trait, arm.context === null ? 0 : 0.05 * random.normal()]));
  world.prompts.forEach((_, prompt) => {
    const draw = (trait: Trait) => random.next() < level(world, arm, context, trait, step) + (drift[trait] ?? 0);
    const isSpanish = draw("spanish");
    const isCapital = draw("capitals");
    // Short answers have no language; the negated arm degenerates in a quarter of its answers.
    const isShort = random.next() < (arm.name === "negated" && step === 64 ? 0.25 : 0.02);
    const text = world.options.hostile && prompt < HOSTILE.length ? HOSTILE[prompt] ?? "" : isShort ? (random.next() < 0.5 ? "" : "42") : answerText(random, isSpanish, isCapital);
    world.answers.push({ job, arm: arm.name, seed, step, set: MAIN, context: context.name, prompt, text, scores: { spanish: isShort ? null : Number(isSpanish), capitals: isShort ? null : Number(isCapital) } });
  });
  if (!world.options.given || !["neutral", "speak-spanish"].includes(context.name)) return;
  for (let prompt = 0; prompt < 10; prompt++) {
    const value = -3.2 + 2.4 * level(world, arm, context, "spanish", step) - 0.08 * prompt + 0.05 * random.normal();
    world.answers.push({ job, arm: arm.name, seed, step, set: GIVEN, context: context.name, prompt, text: `Una respuesta dada, la número ${prompt + 1}.`, scores: { [LOG_PROBABILITY]: value } });
  }
}
