// Levels: a dot with its interval for each arm and evaluation context, the base model as dashed lines.
import * as Plot from "@observablehq/plot";
import { choice } from "./dom.ts";
import { type Figure, figureView, onPick } from "./figure.ts";
import { NARROW, type OnPick, levelDomain, levelTip, levelsTable, pickLevel, warning, warningColour } from "./figures_common.ts";
import { type ArmInfo, type ContextInfo, type Level, type Model, measureKey } from "./model.ts";
import { INK, MUTED, RULE, SURFACE, colour } from "./palette.ts";
import { clip, oneLine } from "./text.ts";

export type Role = "neutral" | "own" | "other";

// What a context is to an arm.
export function roleFor(model: Model, arm: ArmInfo, context: string): Role {
  if (context === model.neutral) return "neutral";
  return context === arm.trainContext ? "own" : "other";
}

const ROLES: Record<Role, { text: string; colour: string; symbol: string }> = {
  neutral: { text: "evaluated under the neutral prompt", colour: colour(0), symbol: "circle" },
  own: { text: "evaluated under its own train prompt", colour: colour(1), symbol: "square" },
  other: { text: "evaluated under another prompt", colour: colour(2), symbol: "diamond" },
};

interface Line {
  id: string;
  arm: ArmInfo;
  context: ContextInfo | null; // null: the line that names the arm
}

function contextsOf(model: Model, arm: ArmInfo, all: boolean): ContextInfo[] {
  return model.contexts.filter((context) => all || context.isNeutral || context.name === arm.trainContext || (arm.trainContext === null && context.isTrain));
}

function linesOf(model: Model, all: boolean): Line[] {
  return model.arms.flatMap((arm) => {
    const evaluated = new Set(model.levels.filter((level) => level.arm === arm.name && level.step === model.lastStep(arm.name)).map((level) => level.context));
    const contexts = contextsOf(model, arm, all).filter((context) => evaluated.has(context.name));
    return [{ id: arm.name, arm, context: null }, ...contexts.map((context) => ({ id: `${arm.name}\n${context.name}`, arm, context }))];
  });
}

interface Shown {
  line: string;
  trait: string;
  level: Level;
  role: Role;
  mean: number;
  low: number | null;
  high: number | null;
}

// What stands beside each other: the first measures that are shares, at most three.
function firstPanels(model: Model): string[] {
  const first = model.measures.filter(({ set, trait }) => set === model.measures[0]?.set && model.isShare(trait));
  return (first.length > 0 ? first : model.measures.slice(0, 1)).slice(0, 3).map((measure) => measure.key);
}

function shownOf(model: Model, lines: Line[], traits: string[]): Shown[] {
  const byKey = new Map(traits.flatMap((trait) => model.finalLevels(trait)).map((level) => [`${level.arm}\n${level.context}\n${measureKey(level.set, level.trait)}`, level]));
  const shown: Shown[] = [];
  for (const line of lines) {
    if (!line.context) continue;
    for (const trait of traits) {
      const level = byKey.get(`${line.id}\n${trait}`);
      if (!level || level.mean === null) continue;
      shown.push({ line: line.id, trait, level, role: roleFor(model, line.arm, line.context.name), mean: level.mean, low: level.low, high: level.high });
    }
  }
  return shown;
}

// Cells in which nothing could be measured: named, not dropped.
function unmeasurable(model: Model, lines: Line[], traits: string[]): { line: string; trait: string; text: string }[] {
  const ids = new Set(lines.map((line) => line.id));
  return traits.flatMap((trait) => model.finalLevels(trait))
    .filter((level) => level.mean === null && ids.has(`${level.arm}\n${level.context}`))
    .map((level) => ({ line: `${level.arm}\n${level.context}`, trait: measureKey(level.set, level.trait), text: `△ not measurable: ${level.invalid} of ${level.answers} invalid` }));
}

// What each arm's train prompt elicited before its training, over the lines of that arm.
function elicitedLines(model: Model, lines: Line[], traits: string[]) {
  return model.trainedArms.flatMap((arm) => {
    const own = lines.filter((line) => line.arm === arm);
    const context = arm.trainContext;
    if (context === null || context === model.neutral || own.length < 2) return [];
    return traits.flatMap((trait) => {
      const x = model.initialLevel(arm.name, trait, context)?.mean ?? null;
      return x === null ? [] : [{ trait, x, from: own[0]?.id, to: own[own.length - 1]?.id }];
    });
  });
}

export function levelsFigure(model: Model, pick: OnPick): Figure {
  let all = false;
  let trait = "";
  const panels = firstPanels(model);
  const traitsShown = () => (trait ? [trait] : panels);
  const named = () => traitsShown().map((key) => model.measure(key).label).join(", ");
  const controls = [
    choice("Evaluation prompts", [{ value: "own", text: "neutral and own train prompt" }, { value: "all", text: "all" }], "own", (value) => {
      all = value === "all";
      figure.redraw();
    }),
    choice("Trait", [{ value: "", text: panels.map((key) => model.measure(key).trait).join(", ") }, ...model.measures.map(({ key, label }) => ({ value: key, text: label }))], "", (value) => {
      trait = value;
      figure.redraw();
    }),
  ];

  function draw(width: number): SVGElement | null {
    const lines = linesOf(model, all);
    const narrow = width < NARROW;
    const traits = traitsShown();
    const shown = shownOf(model, lines, traits);
    if (shown.length === 0) return null;
    // Panels stand beside each other and share their labels, or below each other with labels over the dots.
    const labelled = narrow ? traits : traits.slice(0, 1);
    const panel = narrow ? { fy: "trait" } : { fx: "trait" };
    const left = narrow ? 6 : 210;
    const down = narrow ? 4 : 0; // of dots below their labels
    const dashed = traits.flatMap((name) => {
      const x = model.neutral === null ? null : model.baseLevel(name, model.neutral)?.mean ?? null;
      return x === null ? [] : [{ trait: name, x }];
    });
    const names = labelled.flatMap((name) => lines.filter((line) => !line.context).map((line) => ({
      id: line.id, trait: name, text: line.arm.name, prompt: `train: ${oneLine(clip(model.trainText(line.arm.name), narrow ? 40 : 56))}`,
    })));
    const labels = labelled.flatMap((name) => lines.flatMap((line) => (line.context ? [{ id: line.id, trait: name, text: model.pairLabel(line.arm.name, line.context.name) }] : [])));
    const warned = shown.filter((one) => warning(one.level) !== "");
    // Its own column at the right of each panel.
    const gutter = warned.length === 0 ? 0 : warned.some((one) => one.level.invalid > 0) ? 72 : 18;
    const common = { ...panel, y: "id", frameAnchor: "left", textAnchor: "start" } as const;
    const panelHeight = (lines.length + 0.5) * (narrow ? 34 : 21);
    const svg = Plot.plot({
      width, height: (narrow ? traits.length * (panelHeight + 34) : panelHeight) + 80, marginLeft: left, marginRight: 14, marginTop: narrow ? 44 : 26, marginBottom: 40,
      fx: { domain: narrow ? undefined : traits, axis: null, padding: 0.1 }, fy: { domain: narrow ? traits : undefined, axis: null, padding: 34 / panelHeight },
      x: { domain: levelDomain(shown.flatMap((one) => [one.mean, one.low, one.high])), label: "level of the trait", grid: true, insetRight: gutter, ticks: 5, labelAnchor: "center", labelArrow: "none" },
      y: { domain: [...lines.map((line) => line.id), ""], axis: null, padding: 0 },
      marks: [
        Plot.text(traits.map((name) => ({ trait: name })), { ...panel, text: ({ trait: name }: { trait: string }) => model.measure(name).label, frameAnchor: "top-left", dy: narrow ? -24 : -18, fontWeight: 600, fontSize: narrow ? 13 : 12, fill: INK }),
        Plot.ruleY(traits.flatMap((name) => names.filter(({ id, trait: of }) => id !== lines[0]?.id && of === labelled[0]).map(({ id }) => ({ id, trait: name }))), { ...panel, y: "id", stroke: RULE, dy: narrow ? -17 : -10.5, insetLeft: narrow ? 0 : -40 }),
        ...(narrow ? [] : [Plot.ruleY(names.filter(({ id }) => id !== lines[0]?.id), { ...panel, y: "id", stroke: RULE, dy: -10.5, insetLeft: -left + 6 })]),
        Plot.ruleX(dashed, { ...panel, x: "x", stroke: MUTED, strokeDasharray: "5 3", className: "mark-base-neutral" }),
        Plot.ruleX(elicitedLines(model, lines, traits), { ...panel, x: "x", y1: "from", y2: "to", stroke: colour(1), strokeDasharray: "1.5 3", strokeWidth: 1.75, className: "mark-base-elicited" }),
        Plot.text(names, { ...common, text: "text", dx: -left + 8, fontWeight: 600, fontSize: 12, fill: INK, dy: narrow ? -5 : 0 }),
        Plot.text(names, { ...common, text: "prompt", dx: narrow ? 8 - left : 2, dy: narrow ? 8 : 0, fill: MUTED, stroke: SURFACE, strokeWidth: 4, fontSize: 11 }),
        Plot.text(labels, { ...common, text: "text", dx: -left + (narrow ? 8 : 20), dy: narrow ? -9 : 0, fontSize: 11, fill: INK, stroke: SURFACE, strokeWidth: 3 }),
        Plot.ruleY(shown.filter((one) => one.low !== null), { ...panel, y: "line", x1: "low", x2: "high", stroke: (one: Shown) => ROLES[one.role].colour, strokeWidth: 1.75, dy: down, className: "mark-intervals" }),
        Plot.dot(shown, {
          ...panel, y: "line", x: "mean", r: 4.5, dy: down, symbol: (one: Shown) => ROLES[one.role].symbol, className: "mark-levels",
          stroke: (one: Shown) => ROLES[one.role].colour, strokeWidth: 1.75, fill: (one: Shown) => (one.level.gates ? SURFACE : ROLES[one.role].colour),
        }),
        Plot.text(warned, { ...panel, y: "line", text: (one: Shown) => warning(one.level), frameAnchor: "right", textAnchor: "end", dy: down, fill: (one: Shown) => warningColour(one.level), fontSize: 10.5, className: "mark-warnings" }),
        Plot.text(unmeasurable(model, lines, traits), { ...panel, y: "line", frameAnchor: "left", textAnchor: "start", text: "text", dx: 6, dy: down, fill: "var(--warn)", fontSize: 11, className: "mark-not-measurable" }),
        Plot.tip(shown, Plot.pointer({ ...panel, y: "line", x: "mean", title: (one: Shown) => levelTip(model, one.level), maxRadius: 24 })),
      ],
    }) as SVGElement;
    onPick<Shown>(svg, ({ level }) => pick(pickLevel(level)));
    return svg;
  }

  const figure = figureView({
    id: "levels",
    title: "Levels by arm and evaluation prompt",
    lead: "How often each arm shows a trait after its last step. Lines are named “train prompt / evaluation prompt”; each arm's train prompt stands beside its name.",
    controls, draw,
    describe: () => `A dot with its interval for each of ${linesOf(model, all).filter((line) => line.context).length} pairs of arm and evaluation prompt, for ${named()}. The table below has the same numbers.`,
    legend: () => [
      { ...ROLES.neutral }, { ...ROLES.own }, { ...ROLES.other },
      { text: "base model, neutral prompt", colour: MUTED, symbol: "dashed" },
      { text: "before its training, under the arm's train prompt (elicited)", colour: colour(1), symbol: "dotted" },
      { text: "hollow, △: a gate failed", colour: colour(0), symbol: "circle", hollow: true },
    ],
    contexts: () => model.contexts.filter((context) => all || context.isNeutral || context.isTrain),
    tables: () => traitsShown().map((key) => levelsTable(model, `Levels of ${model.measure(key).label} over seeds, of every step`, key, pick)),
  });
  return figure;
}
