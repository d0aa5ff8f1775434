// Levels: a dot with its interval for each arm and evaluation context, the base model as dashed lines.
import * as Plot from "@observablehq/plot";
import type { Level } from "./document.ts";
import { choice } from "./dom.ts";
import { type Figure, figureView, onPick } from "./figure.ts";
import { LEVEL_COLUMNS, NARROW, type OnPick, levelDomain, levelRow, levelTip, warning } from "./figures_common.ts";
import type { ArmInfo, ContextInfo, Model } from "./model.ts";
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

function shownOf(model: Model, lines: Line[], traits: string[]): Shown[] {
  const byKey = new Map(traits.flatMap((trait) => model.finalLevels(trait)).map((level) => [`${level.arm}\n${level.context}\n${level.trait}`, level]));
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
    .map((level) => ({ line: `${level.arm}\n${level.context}`, trait: level.trait, text: `△ not measurable: ${level.invalid} of ${level.answers} invalid` }));
}

// The base model's level under each arm's train prompt, over the lines of that arm.
function elicitedLines(model: Model, lines: Line[], traits: string[]) {
  return model.trainedArms.flatMap((arm) => {
    const own = lines.filter((line) => line.arm === arm);
    const context = arm.trainContext;
    if (context === null || context === model.neutral || own.length < 2) return [];
    return traits.flatMap((trait) => {
      const x = model.baseLevel(trait, context)?.mean ?? null;
      return x === null ? [] : [{ trait, x, from: own[0]?.id, to: own[own.length - 1]?.id }];
    });
  });
}

export function levelsFigure(model: Model, pick: OnPick): Figure {
  let all = false;
  let trait = "";
  const traitsShown = () => (trait ? [trait] : model.traits);
  const controls = [
    choice("Evaluation prompts", [{ value: "own", text: "neutral and own train prompt" }, { value: "all", text: "all" }], "own", (value) => {
      all = value === "all";
      figure.redraw();
    }),
    choice("Trait", [{ value: "", text: model.traits.length > 3 ? "the first three" : "all" }, ...model.traits.map((name) => ({ value: name, text: model.traitLabel(name) }))], "", (value) => {
      trait = value;
      figure.redraw();
    }),
  ];

  function draw(width: number): SVGElement | null {
    const lines = linesOf(model, all);
    const narrow = width < NARROW;
    const traits = traitsShown().slice(0, narrow ? 1 : 3);
    const shown = shownOf(model, lines, traits);
    if (shown.length === 0) return null;
    const first = traits[0] ?? "";
    const left = narrow ? 4 : 210;
    const height = lines.length * (narrow ? 34 : 21) + 70;
    const base = traits.flatMap((name) => {
      const x = model.neutral === null ? null : model.baseLevel(name, model.neutral)?.mean ?? null;
      return x === null ? [] : [{ trait: name, x }];
    });
    const names = lines.filter((line) => !line.context).map((line) => ({
      ...line, trait: first, text: line.arm.name, prompt: `train: ${oneLine(clip(model.trainText(line.arm.name), narrow ? 40 : 56))}`,
    }));
    const labels = lines.flatMap((line) => (line.context ? [{ id: line.id, trait: first, text: model.pairLabel(line.arm.name, line.context.name) }] : []));
    const warned = shown.filter((one) => warning(one.level) !== "");
    const svg = Plot.plot({
      width, height, marginLeft: left, marginRight: 14, marginTop: 26, marginBottom: 40,
      fx: { domain: traits, label: null, axis: null, padding: 0.06 },
      x: { domain: levelDomain(shown.flatMap((one) => [one.mean, one.low, one.high])), label: "level of the trait", grid: true, nice: true, ticks: 5, labelAnchor: "center", labelArrow: "none" },
      y: { domain: lines.map((line) => line.id), axis: null, padding: 0 },
      marks: [
        Plot.text(traits, { fx: (name: string) => name, text: (name: string) => model.traitLabel(name), frameAnchor: "top-left", dy: -18, fontWeight: 600, fontSize: 12, fill: INK }),
        Plot.ruleY(names.slice(1), { y: "id", fx: null, stroke: RULE, dy: narrow ? -17 : -10.5, insetLeft: narrow ? 0 : -left + 6 }),
        Plot.ruleX(base, { fx: "trait", x: "x", stroke: MUTED, strokeDasharray: "5 3", ariaLabel: "base model, neutral prompt" }),
        Plot.ruleX(elicitedLines(model, lines, traits), { fx: "trait", x: "x", y1: "from", y2: "to", stroke: colour(1), strokeDasharray: "1.5 3", strokeWidth: 1.75, ariaLabel: "base model, train prompt" }),
        Plot.text(names, { fx: "trait", y: "id", text: "text", frameAnchor: "left", textAnchor: "start", dx: -left + 8, fontWeight: 600, fontSize: 12, fill: INK, dy: narrow ? -2 : 0 }),
        Plot.text(names, { fx: "trait", y: "id", text: "prompt", frameAnchor: "left", textAnchor: "start", dx: narrow ? 8 - left : 2, dy: narrow ? 11 : 0, fill: MUTED, stroke: SURFACE, strokeWidth: 4, fontSize: 11 }),
        Plot.text(labels, { fx: "trait", y: "id", text: "text", frameAnchor: "left", textAnchor: "start", dx: -left + (narrow ? 8 : 20), dy: narrow ? -10 : 0, fontSize: 11, fill: INK }),
        Plot.ruleY(shown.filter((one) => one.low !== null), { fx: "trait", y: "line", x1: "low", x2: "high", stroke: (one: Shown) => ROLES[one.role].colour, strokeWidth: 1.75, dy: narrow ? 4 : 0, ariaLabel: "intervals" }),
        Plot.dot(shown, {
          fx: "trait", y: "line", x: "mean", r: 4.5, dy: narrow ? 4 : 0, symbol: (one: Shown) => ROLES[one.role].symbol, ariaLabel: "levels",
          stroke: (one: Shown) => ROLES[one.role].colour, strokeWidth: 1.75, fill: (one: Shown) => (one.level.gates ? SURFACE : ROLES[one.role].colour),
        }),
        Plot.text(warned.filter((one) => one.mean <= 0.6), { fx: "trait", y: "line", x: (one: Shown) => one.high ?? one.mean, text: (one: Shown) => `△ ${warning(one.level)}`, textAnchor: "start", dx: 8, dy: narrow ? 4 : 0, fill: "var(--warn)", fontSize: 11, ariaLabel: "warnings" }),
        Plot.text(warned.filter((one) => one.mean > 0.6), { fx: "trait", y: "line", x: (one: Shown) => one.low ?? one.mean, text: (one: Shown) => `△ ${warning(one.level)}`, textAnchor: "end", dx: -8, dy: narrow ? 4 : 0, fill: "var(--warn)", fontSize: 11, ariaLabel: "warnings" }),
        Plot.text(unmeasurable(model, lines, traits), { fx: "trait", y: "line", frameAnchor: "left", textAnchor: "start", text: "text", dx: 6, dy: narrow ? 4 : 0, fill: "var(--warn)", fontSize: 11, ariaLabel: "not measurable" }),
        Plot.tip(shown, Plot.pointer({ fx: "trait", y: "line", x: "mean", title: (one: Shown) => levelTip(model, one.level), maxRadius: 24 })),
      ],
    }) as SVGElement;
    onPick<Shown>(svg, ({ level }) => pick({ arm: level.arm, step: level.step, context: level.context, trait: level.trait }));
    return svg;
  }

  const figure = figureView({
    id: "levels",
    title: "Levels by arm and evaluation prompt",
    lead: "How often each arm shows a trait after its last step. Lines are named “train prompt / evaluation prompt”; each arm's train prompt stands beside its name.",
    controls, draw,
    describe: () => `A dot with its interval for each of ${linesOf(model, all).filter((line) => line.context).length} pairs of arm and evaluation prompt, for ${traitsShown().join(", ")}. The table below has the same numbers.`,
    legend: () => [
      { ...ROLES.neutral }, { ...ROLES.own }, { ...ROLES.other },
      { text: "base model, neutral prompt", colour: MUTED, symbol: "dashed" },
      { text: "base model under the arm's train prompt (elicited)", colour: colour(1), symbol: "dotted" },
      { text: "a gate failed (hollow)", colour: colour(0), symbol: "circle", hollow: true },
    ],
    contexts: () => model.contexts.filter((context) => all || context.isNeutral || context.isTrain),
    tables: () => {
      const shown = new Set(traitsShown());
      return [{
        name: "levels", caption: "Levels over seeds, of every step", columns: LEVEL_COLUMNS.map((name) => ({ name })), saved: model.columnsOf("levels"),
        rows: model.levels.filter((level) => shown.has(level.trait)).map((level) => levelRow(model, level)),
        onPick: (row) => pick({ arm: String(row.arm), step: Number(row.step), context: String(row.context), trait: String(row.trait) }),
      }];
    },
  });
  return figure;
}
