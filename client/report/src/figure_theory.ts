// Elicitation against suppression with its fit, and y against x with k.
import * as Plot from "@observablehq/plot";
import type { Effect, SlopePoint } from "./document.ts";
import { choice } from "./dom.ts";
import { type Figure, figureView, onPick } from "./figure.ts";
import { type OnPick, paddedDomain } from "./figures_common.ts";
import { interval, number } from "./format.ts";
import { placeLabels } from "./labels.ts";
import type { ArmInfo, Model } from "./model.ts";
import { INK, MUTED, colour, symbol } from "./palette.ts";
import { oneLine } from "./text.ts";

const MARGIN = { left: 56, right: 18, top: 24, bottom: 46 };

interface Scaled {
  side: number;
  height: number;
  x: [number, number];
  y: [number, number];
}

// The arms' names beside their points, where there is room.
function armLabels(couples: Couple[], frame: Scaled): Plot.Markish[] {
  const scale = (value: number | null, [low, high]: [number, number]) => ((value ?? 0) - low) / (high - low);
  const toX = (value: number | null) => MARGIN.left + scale(value, frame.x) * (frame.side - MARGIN.left - MARGIN.right);
  const toY = (value: number | null) => frame.height - MARGIN.bottom - scale(value, frame.y) * (frame.height - MARGIN.top - MARGIN.bottom);
  const pixels = couples.map(({ arm, elicitation: e, suppression: s }) => ({ text: arm.name, x: toX(e.value), y: toY(s.value) }));
  const bars = couples.flatMap(({ elicitation: e, suppression: s }) => [
    { left: toX(e.low ?? e.value), right: toX(e.high ?? e.value), top: toY(s.value) - 1, bottom: toY(s.value) + 1 },
    { left: toX(e.value) - 1, right: toX(e.value) + 1, top: toY(s.high ?? s.value), bottom: toY(s.low ?? s.value) },
  ]);
  const placed = placeLabels(pixels, frame.side, frame.height, bars);
  return couples.flatMap(({ arm, elicitation, suppression }, index) => {
    const place = placed[index];
    return place ? [Plot.text([arm.name], { x: [elicitation.value], y: [suppression.value], text: [arm.name], dx: place.dx, dy: place.dy, textAnchor: place.anchor, fontSize: 11, fill: INK })] : [];
  });
}

interface Couple {
  arm: ArmInfo;
  elicitation: Effect;
  suppression: Effect;
}

function couplesOf(model: Model, trait: string): Couple[] {
  const find = (arm: string, quantity: string) => model.effects().find((effect) => effect.arm === arm && effect.trait === trait && effect.quantity === quantity && effect.step === model.lastStep(arm));
  return model.trainedArms.flatMap((arm) => {
    const elicitation = find(arm.name, "elicitation");
    const suppression = find(arm.name, "suppression");
    return elicitation && suppression && elicitation.value !== null && suppression.value !== null ? [{ arm, elicitation, suppression }] : [];
  });
}

export function associationFigure(model: Model, pick: OnPick): Figure {
  let trait = model.undesired[0] ?? model.traits[0] ?? "";
  const controls = [choice("Trait", model.traits.map((name) => ({ value: name, text: model.traitLabel(name) })), trait, (value) => { trait = value; figure.redraw(); })];
  const association = () => model.associations().find((one) => one.trait === trait);

  function draw(width: number): SVGElement | null {
    const couples = couplesOf(model, trait);
    if (couples.length === 0) return null;
    const band = model.bands().filter((point) => point.trait === trait);
    const side = Math.min(width, 640);
    const height = Math.max(320, Math.round(side * 0.7));
    const x = paddedDomain(couples.flatMap(({ elicitation: e }) => [e.value, e.low, e.high]), 0);
    const y = paddedDomain([...couples.flatMap(({ suppression: s }) => [s.value, s.low, s.high])], 0);
    const fit = association();
    // The line is drawn where the band is.
    const ends = band.length > 0 ? [band[0]?.x ?? 0, band[band.length - 1]?.x ?? 0] : x;
    const line = fit && fit.slope !== null && fit.intercept !== null ? ends.map((at) => ({ x: at, y: (fit.slope ?? 0) * at + (fit.intercept ?? 0) })) : [];
    const tip = (one: Couple) => [
      `arm ${one.arm.name}: ${oneLine(model.trainText(one.arm.name), 70)}`,
      `elicitation ${interval(one.elicitation.value, one.elicitation.low, one.elicitation.high)}`,
      `suppression ${interval(one.suppression.value, one.suppression.low, one.suppression.high)}`, "click: its answers",
    ].join("\n");
    const stroke = (one: Couple) => colour(one.arm.index);
    const svg = Plot.plot({
      width: side, height, marginLeft: MARGIN.left, marginRight: MARGIN.right, marginTop: MARGIN.top, marginBottom: MARGIN.bottom,
      x: { domain: x, label: "elicitation: base model, train prompt minus neutral", grid: true, labelAnchor: "center", labelArrow: "none", ticks: 6 },
      y: { domain: y, label: `suppression of ${trait} against no inoculation`, grid: true, labelArrow: "none", ticks: 6 },
      marks: [
        Plot.ruleX([0], { stroke: MUTED }), Plot.ruleY([0], { stroke: MUTED }),
        Plot.areaY(band, { x: "x", y1: "low", y2: "high", fill: MUTED, fillOpacity: 0.16, clip: true, className: "mark-band" }),
        Plot.line(line, { x: "x", y: "y", stroke: MUTED, strokeWidth: 2, clip: true, className: "mark-fit" }),
        Plot.link(couples.filter((one) => one.elicitation.low !== null), { x1: (c: Couple) => c.elicitation.low, x2: (c: Couple) => c.elicitation.high, y: (c: Couple) => c.suppression.value, stroke, strokeOpacity: 0.75, strokeWidth: 1.5 }),
        Plot.link(couples.filter((one) => one.suppression.low !== null), { x: (c: Couple) => c.elicitation.value, y1: (c: Couple) => c.suppression.low, y2: (c: Couple) => c.suppression.high, stroke, strokeOpacity: 0.75, strokeWidth: 1.5 }),
        Plot.dot(couples, { x: (c: Couple) => c.elicitation.value, y: (c: Couple) => c.suppression.value, r: 5, fill: stroke, stroke, symbol: (c: Couple) => symbol(c.arm.index), className: "mark-arms" }),
        ...armLabels(couples, { side, height, x, y }),
        Plot.tip(couples, Plot.pointer({ x: (c: Couple) => c.elicitation.value, y: (c: Couple) => c.suppression.value, title: tip, maxRadius: 24 })),
      ],
    }) as SVGElement;
    onPick<Couple>(svg, (one) => pick({ arm: one.arm.name, step: model.lastStep(one.arm.name), context: model.neutral, trait }));
    return svg;
  }

  const figure = figureView({
    id: "association",
    beside: true,
    title: "Elicitation against suppression",
    lead: "Does a prompt that elicits the trait from the base model suppress it when trained under? A point for each trained arm; line and band: least squares.",
    controls, draw,
    describe: () => `${couplesOf(model, trait).length} arms, elicitation across and suppression up, for ${trait}. The table below has the same numbers.`,
    facts: () => {
      const fit = association();
      if (!fit) return [];
      return [
        `Pearson r = ${number(fit.pearson)} (leaving one arm out: ${number(fit.pearson_low)} to ${number(fit.pearson_high)}), Spearman ρ = ${number(fit.spearman)}, over ${fit.n} arms.`,
        `Slope ${number(fit.slope)}, intercept ${number(fit.intercept)}, root mean square error ${number(fit.rmse)}.`,
        ...(fit.n < 8 ? [`With ${fit.n} arms one prompt can carry the correlation: see the leave-one-out range.`] : []),
      ];
    },
    legend: () => model.trainedArms.map((arm) => ({ text: `${arm.name}: ${oneLine(model.trainText(arm.name), 60)}`, colour: colour(arm.index), symbol: symbol(arm.index) })),
    tables: () => [
      { name: "effects", caption: "Effects by arm", columns: ["arm", "trait", "step", "quantity", "value", "low", "high"].map((name) => ({ name })), saved: model.columnsOf("effects"), rows: model.effects() },
      { name: "associations", caption: "Elicitation against suppression, by trait", columns: model.columnsOf("associations").map((name) => ({ name })), rows: model.associations() },
    ],
  });
  return figure;
}

export function slopeFigure(model: Model, pick: OnPick): Figure {
  const scales = [...new Set(model.slopePoints().map((point) => point.scale))];
  const methods = [...new Set(model.slopes().map((slope) => slope.method))];
  let trait = "*";
  let scale = scales[0] ?? "identity";
  let method = methods[0] ?? "origin";
  const redraw = () => figure.redraw();
  const name = (one: string) => (one === "*" ? "all traits" : model.traitLabel(one));
  const controls = [
    choice("Trait", ["*", ...model.traits].map((one) => ({ value: one, text: name(one) })), trait, (value) => { trait = value; redraw(); }),
    choice("Scale", scales.map((one) => ({ value: one, text: one })), scale, (value) => { scale = value; redraw(); }),
    choice("Fit", methods.map((one) => ({ value: one, text: one })), method, (value) => { method = value; redraw(); }),
  ];
  const points = () => model.slopePoints().filter((point) => (trait === "*" || point.trait === trait) && point.scale === scale);
  const slope = () => model.slopes().find((one) => one.trait === trait && one.scale === scale && one.method === method);

  function draw(width: number): SVGElement | null {
    const shown = points();
    if (shown.length === 0) return null;
    const side = Math.min(width, 600);
    const height = Math.max(320, Math.round(side * 0.85));
    const x = paddedDomain(shown.map((point) => point.x), 0);
    const y = paddedDomain(shown.map((point) => point.y), 0);
    const k = slope();
    const cone = k && k.low !== null && k.high !== null ? [x[0], 0, x[1]].map((at) => ({ x: at, low: at * (k.low ?? 0), high: at * (k.high ?? 0) })) : [];
    const indexOf = (point: SlopePoint) => model.arm(point.arm)?.index ?? 0;
    const traitSymbol = (point: SlopePoint) => symbol(Math.max(0, model.traits.indexOf(point.trait)));
    const tip = (point: SlopePoint) => [
      `arm ${point.arm}${point.seed === null ? "" : `, seed ${point.seed}`}: ${point.trait}`, `x ${number(point.x)}, y ${number(point.y)}`,
      ...(point.excluded ? [`excluded: ${point.excluded}`] : []), `train: ${oneLine(model.trainText(point.arm), 70)}`, "click: its answers",
    ].join("\n");
    const svg = Plot.plot({
      width: side, height, marginLeft: MARGIN.left, marginRight: MARGIN.right, marginTop: MARGIN.top, marginBottom: MARGIN.bottom,
      x: { domain: x, label: "x: effect of training under the train prompt", grid: true, labelAnchor: "center", labelArrow: "none", ticks: 6 },
      y: { domain: y, label: "y: effect of training under the neutral prompt", grid: true, labelArrow: "none", ticks: 6 },
      marks: [
        Plot.ruleX([0], { stroke: MUTED }), Plot.ruleY([0], { stroke: MUTED }),
        Plot.areaY(cone, { x: "x", y1: "low", y2: "high", fill: MUTED, fillOpacity: 0.18, clip: true, className: "mark-band" }),
        Plot.line(x.map((at) => ({ at })), { x: "at", y: "at", stroke: MUTED, strokeDasharray: "5 3", clip: true, className: "mark-diagonal" }),
        ...(k && k.k !== null ? [Plot.line(x.map((at) => ({ at })), { x: "at", y: ({ at }: { at: number }) => at * (k.k ?? 0), stroke: INK, strokeWidth: 2, clip: true, className: "mark-fit" })] : []),
        Plot.dot(shown, { x: "x", y: "y", r: 4.5, symbol: traitSymbol, stroke: (p: SlopePoint) => colour(indexOf(p)), strokeWidth: 1.75, fill: (p: SlopePoint) => (p.excluded ? "var(--surface)" : colour(indexOf(p))), fillOpacity: 0.8, className: "mark-runs" }),
        Plot.tip(shown, Plot.pointer({ x: "x", y: "y", title: tip, maxRadius: 24 })),
      ],
    }) as SVGElement;
    onPick<SlopePoint>(svg, (point) => pick({ arm: point.arm, seed: point.seed, step: model.lastStep(point.arm), trait: point.trait }));
    return svg;
  }

  const figure = figureView({
    id: "k",
    beside: true,
    title: "Training effect: neutral prompt against train prompt (k)",
    lead: "A point for each run and trait. k is the slope through the origin: on the diagonal (k = 1) what was learnt shows without the prompt as much as with it; with k = 0 the prompt has become a condition.",
    controls, draw,
    describe: () => `${points().length} runs, the effect of training under the train prompt across and under the neutral prompt up, with the diagonal and the fitted slope. The table below has the same numbers.`,
    facts: () => {
      const k = slope();
      return k ? [`k = ${interval(k.k, k.low, k.high)} (${name(trait)}, ${scale} scale, ${method}), from ${k.points} points${points().some((point) => point.excluded) ? "; hollow points are excluded from the fit" : ""}.`] : [];
    },
    legend: () => [
      ...model.trainedArms.filter((arm) => points().some((point) => point.arm === arm.name)).map((arm) => ({ text: `${arm.name}: ${oneLine(model.trainText(arm.name), 60)}`, colour: colour(arm.index), symbol: "circle" })),
      ...(trait === "*" ? model.traits.map((one, index) => ({ text: `trait ${one}`, colour: MUTED, symbol: symbol(index) })) : []),
      { text: "diagonal, k = 1", colour: MUTED, symbol: "dashed" }, { text: "fitted k with its interval", colour: INK, symbol: "line" },
    ],
    tables: () => [
      { name: "k", caption: "k by trait, scale and fit", columns: model.columnsOf("k").map((column) => ({ name: column })), rows: model.slopes() },
      { name: "k_points", caption: "Runs behind k", columns: model.columnsOf("k_points").map((column) => ({ name: column })), rows: points(), saved: model.columnsOf("k_points"), onPick: (row) => pick({ arm: String(row.arm), seed: row.seed === null ? null : Number(row.seed), trait: String(row.trait) }) },
      { name: "decomposition", caption: "Suppression = elicitation part + conditionalization part", columns: model.columnsOf("decomposition").map((column) => ({ name: column })), rows: model.rows("decomposition") },
    ],
  });
  return figure;
}
