// Effects of each arm (elicitation, suppression, ...) and its contrasts against the controls, as dots with intervals.
import * as Plot from "@observablehq/plot";
import type { Contrast, Effect } from "./document.ts";
import { choice } from "./dom.ts";
import { type Figure, figureView, onPick } from "./figure.ts";
import { NARROW, type OnPick, paddedDomain } from "./figures_common.ts";
import { interval, pValue } from "./format.ts";
import type { Model } from "./model.ts";
import { INK, MUTED, RULE, colour } from "./palette.ts";
import { oneLine } from "./text.ts";

interface Bar {
  arm: string;
  panel: string;
  value: number | null;
  low: number | null;
  high: number | null;
  note: string;
  tip: string[];
}

// Arms down, panels across (below one another where it is narrow).
function forest(model: Model, bars: Bar[], panels: string[], width: number, label: string): SVGElement | null {
  const known = bars.filter((bar) => bar.value !== null);
  if (known.length === 0) return null;
  const narrow = width < NARROW;
  const left = narrow ? 100 : 260;
  const across = narrow ? 1 : Math.max(1, Math.min(panels.length, Math.floor((width - left) / 170)));
  const down = Math.ceil(panels.length / across);
  const at = new Map(panels.map((panel, index) => [panel, { fx: index % across, fy: Math.floor(index / across) }]));
  const place = { fx: (one: { panel: string }) => at.get(one.panel)?.fx ?? 0, fy: (one: { panel: string }) => at.get(one.panel)?.fy ?? 0 };
  const arms = model.arms.map((arm) => arm.name).filter((name) => bars.some((bar) => bar.arm === name));
  const names = panels.filter((panel) => at.get(panel)?.fx === 0).flatMap((panel) => arms.map((arm) => ({ arm, panel, prompt: oneLine(model.trainText(arm), 36) })));
  const missing = bars.filter((bar) => bar.value === null);
  return Plot.plot({
    width, height: down * (arms.length * (narrow ? 24 : 30) + 44) + 44, marginLeft: left, marginRight: 12, marginTop: 28, marginBottom: 40,
    fx: { axis: null, domain: [...Array(across).keys()], padding: 0.08 }, fy: { axis: null, domain: [...Array(down).keys()], padding: down > 1 ? 0.16 : 0 },
    x: { domain: paddedDomain(known.flatMap((bar) => [bar.value, bar.low, bar.high]), 0), grid: true, ticks: 4, label, labelAnchor: "center", labelArrow: "none" },
    y: { domain: arms, axis: null, padding: 0.2 },
    marks: [
      Plot.text(panels.map((panel) => ({ panel })), { ...place, text: "panel", frameAnchor: "top-left", dy: -16, fontWeight: 600, fontSize: 12, fill: INK }),
      Plot.ruleX([0], { stroke: MUTED }),
      Plot.ruleY(arms, { y: (arm: string) => arm, stroke: RULE, strokeOpacity: 0.6 }),
      Plot.text(names, { ...place, y: "arm", text: "arm", frameAnchor: "left", textAnchor: "end", dx: -10, dy: narrow ? 0 : -6, fontWeight: 600, fontSize: 11.5, fill: INK }),
      ...(narrow ? [] : [Plot.text(names, { ...place, y: "arm", text: "prompt", frameAnchor: "left", textAnchor: "end", dx: -10, dy: 8, fontSize: 10.5, fill: MUTED })]),
      Plot.ruleY(known.filter((bar) => bar.low !== null), { ...place, y: "arm", x1: "low", x2: "high", stroke: colour(0), strokeWidth: 1.75, className: "mark-intervals" }),
      Plot.dot(known, { ...place, y: "arm", x: "value", r: 4.25, fill: colour(0), stroke: colour(0), className: "mark-effects" }),
      Plot.text(known.filter((bar) => bar.note !== ""), { ...place, y: "arm", x: "value", text: "note", dy: -10, fontSize: 10.5, fill: MUTED, className: "mark-notes" }),
      Plot.text(missing, { ...place, y: "arm", text: () => "△ not measurable", frameAnchor: "left", dx: 6, textAnchor: "start", fontSize: 10.5, fill: "var(--warn)", className: "mark-warnings" }),
      Plot.tip(known, Plot.pointer({ ...place, y: "arm", x: "value", title: (bar: Bar) => [`arm ${bar.arm}: ${oneLine(model.trainText(bar.arm), 70)}`, ...bar.tip].join("\n"), maxRadius: 24 })),
    ],
  }) as SVGElement;
}

const QUANTITIES = ["elicitation", "in_context", "leakage", "suppression", "gate_strength", "retention", "selectivity"];

export function effectsFigure(model: Model, pick: OnPick): Figure {
  let trait = model.undesired[0] ?? model.traits[0] ?? "";
  const controls = [choice("Trait", model.traits.map((name) => ({ value: name, text: model.traitLabel(name) })), trait, (value) => { trait = value; figure.redraw(); })];
  const shown = (): Effect[] => model.effects().filter((effect) => effect.trait === trait && effect.step === model.lastStep(effect.arm));
  const panelsOf = (effects: Effect[]) => {
    const found = [...new Set(effects.map((effect) => effect.quantity))];
    return [...QUANTITIES.filter((name) => found.includes(name)), ...found.filter((name) => !QUANTITIES.includes(name))];
  };
  const figure = figureView({
    id: "effects",
    title: "Effects of each arm",
    lead: "Elicitation: base model, train prompt minus neutral. In context: trained, under the train prompt. Leakage: trained, neutral prompt. Suppression: no inoculation minus this arm, neutral prompt. Gate strength: in context minus leakage.",
    controls,
    draw: (width) => {
      const effects = shown();
      const bars = effects.map((effect) => ({ ...effect, panel: effect.quantity.replaceAll("_", " "), note: "", tip: [`${effect.quantity} of ${effect.trait}: ${interval(effect.value, effect.low, effect.high)}`] }));
      const svg = forest(model, bars, panelsOf(effects).map((name) => name.replaceAll("_", " ")), width, "difference or level of the trait");
      if (svg) onPick<Bar>(svg, (bar) => pick({ arm: bar.arm, step: model.lastStep(bar.arm), trait }));
      return svg;
    },
    describe: () => `${shown().length} effects with intervals for ${trait}. The table below has the same numbers.`,
    tables: () => [{ name: "effects", caption: `Effects on ${trait}`, columns: model.columnsOf("effects").map((name) => ({ name })), rows: shown() }],
  });
  return figure;
}

export function contrastsFigure(model: Model, pick: OnPick): Figure {
  let trait = model.undesired[0] ?? model.traits[0] ?? "";
  let context = model.neutral ?? model.contexts[0]?.name ?? "";
  const contexts = [...new Set(model.contrasts().map((contrast) => contrast.context))];
  const redraw = () => figure.redraw();
  const controls = [
    choice("Trait", model.traits.map((name) => ({ value: name, text: model.traitLabel(name) })), trait, (value) => { trait = value; redraw(); }),
    choice("Evaluation prompt", contexts.map((name) => ({ value: name, text: name })), context, (value) => { context = value; redraw(); }),
  ];
  const shown = (): Contrast[] => model.contrasts().filter((one) => one.trait === trait && one.context === context && one.step === model.lastStep(one.arm));
  const figure = figureView({
    id: "contrasts",
    title: "Contrasts with the controls",
    lead: "The same seeds and prompts in both arms: this arm minus the reference. p is corrected over the arms by Holm's method.",
    controls,
    draw: (width) => {
      const contrasts = shown();
      const bars = contrasts.map((one) => ({
        ...one, panel: `against ${one.reference}`, value: one.difference, note: `p ${pValue(one.p_holm)}`.replace("p <", "p<").replace("p 0", "p=0"),
        tip: [`against ${one.reference}: ${interval(one.difference, one.low, one.high)}`, `p ${pValue(one.p)}, by Holm ${pValue(one.p_holm)} (${one.test ?? ""}, ${one.pairs} pairs)`],
      }));
      const svg = forest(model, bars, [...new Set(bars.map((bar) => bar.panel))], width, `difference of ${trait} under ${context}`);
      if (svg) onPick<Bar>(svg, (bar) => pick({ arm: bar.arm, step: model.lastStep(bar.arm), context, trait }));
      return svg;
    },
    describe: () => `${shown().length} differences with intervals and p-values for ${trait} under ${context}. The table below has the same numbers.`,
    contexts: () => model.contexts.filter((one) => one.name === context),
    tables: () => [{ name: "contrasts", caption: `Contrasts of ${trait}`, columns: model.columnsOf("contrasts").map((name) => ({ name })), saved: model.columnsOf("contrasts"), rows: model.contrasts().filter((one) => one.trait === trait) }],
  });
  return figure;
}
