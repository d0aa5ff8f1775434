// Elicitation against suppression with its fit; y against x with k; suppression as predicted against as observed.
import * as Plot from "@observablehq/plot";
import { type Cross, MARGIN, crossPlot } from "./crosses.ts";
import { choice } from "./dom.ts";
import { type Figure, figureView, onPick } from "./figure.ts";
import { type OnPick, flatTable, measureChoice, paddedDomain } from "./figures_common.ts";
import { interval, number } from "./format.ts";
import { type Measure, type Model, drawn, measureKey } from "./model.ts";
import { INK, MUTED, SURFACE, colour, symbol } from "./palette.ts";
import { oneLine } from "./text.ts";

const armLegend = (model: Model, names: Set<string>, withSymbols = true) => model.trainedArms.filter((arm) => names.has(arm.name))
  .map((arm) => ({ text: `${arm.name}: ${oneLine(model.trainText(arm.name), 60)}`, colour: colour(arm.index), symbol: withSymbols ? symbol(arm.index) : "circle" }));

export function associationFigure(model: Model, pick: OnPick): Figure {
  const measures = model.studied;
  let measure = measures[0]?.key ?? "";
  const controls = [measureChoice("Trait", measures, measure, (key) => { measure = key; figure.redraw(); })];
  const relation = () => model.study.relations.find((one) => measureKey(one.prompt_set, one.trait) === measure);

  // The arms of the relation, with the intervals of their effects.
  function crosses(): Cross[] {
    const names = new Set(relation()?.points.map((point) => point.arm));
    return model.study.figures.flatMap((one) => {
      const arm = model.arm(one.arm);
      const x = drawn(one.elicitation);
      const y = drawn(one.suppression);
      if (!arm || measureKey(one.prompt_set, one.trait) !== measure || !names.has(one.arm) || x.value === null || y.value === null) return [];
      const tip = [`arm ${arm.name}: ${oneLine(model.trainText(arm.name), 70)}`, `elicitation ${interval(x.value, x.low, x.high)}`, `suppression ${interval(y.value, y.low, y.high)}`, "click: its answers"];
      return [{ arm, x, y, tip }];
    });
  }

  // The line through the mean point, and what its slope's interval allows.
  function fit(points: Cross[], [from, to]: [number, number]): Plot.Markish[] {
    const one = relation();
    const slope = one?.slope.value;
    if (!one || slope === undefined || one.intercept === undefined) return [];
    const middle = points.reduce((sum, { x }) => sum + (x.value ?? 0), 0) / points.length;
    const height = slope * middle + one.intercept;
    const { low, high } = one.slope;
    const at = (value: number, by: number) => height + by * (value - middle);
    const cone = low === undefined || high === undefined ? [] : [from, middle, to].map((value) => ({ value, low: at(value, low), high: at(value, high) }));
    return [
      Plot.areaY(cone, { x: "value", y1: "low", y2: "high", fill: MUTED, fillOpacity: 0.16, clip: true, className: "mark-band" }),
      Plot.line([from, to].map((value) => ({ value, fit: at(value, slope) })), { x: "value", y: "fit", stroke: MUTED, strokeWidth: 2, clip: true, className: "mark-fit" }),
    ];
  }

  const figure = figureView({
    id: "association",
    beside: true,
    title: "Elicitation against suppression",
    lead: "Does a prompt that elicits the trait from the base model suppress it when trained under? A point for each trained arm; the line is of least squares, the band what the interval of its slope allows about the mean point.",
    controls,
    draw: (width) => {
      const points = crosses();
      const svg = crossPlot(points, width, { xLabel: "elicitation: base model, train prompt minus neutral", yLabel: `suppression of ${model.measure(measure).trait} against no inoculation`, behind: (x) => fit(points, x) });
      if (svg) onPick<Cross>(svg, ({ arm }) => pick({ arm: arm.name, step: model.lastStep(arm.name), set: model.measure(measure).set, context: arm.deployContext, trait: model.measure(measure).trait }));
      return svg;
    },
    describe: () => `${crosses().length} arms, elicitation across and suppression up, for ${model.measure(measure).label}. The tables below have the same numbers.`,
    facts: () => {
      const one = relation();
      if (!one || one.points.length === 0) return [];
      const { value, low, high, reason } = drawn(one.pearson);
      const slope = drawn(one.slope);
      const { leave_one_out_low: least, leave_one_out_high: most } = one;
      const n = one.points.length;
      return [
        value === null ? `No correlation over ${n} arms: ${reason}.` : `Pearson r = ${interval(value, low, high)}${least === undefined ? "" : ` (leaving one arm out: ${number(least)} to ${number(most)})`}, Spearman ρ = ${number(one.spearman)}, over ${n} arms.`,
        ...(slope.value === null ? [] : [`Slope ${interval(slope.value, slope.low, slope.high)}, intercept ${number(one.intercept)}, root mean square error ${number(one.rmse)}.`]),
        ...(n < 8 ? [`With ${n} arms one prompt can carry the correlation: see the leave-one-out range.`] : []),
      ];
    },
    legend: () => armLegend(model, new Set(crosses().map(({ arm }) => arm.name))),
    tables: () => [
      flatTable(model, "relations", "Elicitation against suppression, by trait"),
      flatTable(model, "relations.points", "Its points", measure),
    ],
  });
  return figure;
}

interface RunPoint {
  arm: string;
  seed: number;
  trait: string;
  x: number;
  y: number;
  excluded: string; // from the fits, why
}

// The runs of a set as shares of the traits' ranges, so that traits can be drawn together.
function runPoints(model: Model, set: string, trait: string): RunPoint[] {
  const after = new Set(model.study.arms.map((arm) => arm.after));
  return model.study.ratios.flatMap((one) => {
    const { low, high } = model.trait(one.trait) ?? {};
    const range = low !== undefined && high !== undefined ? high - low : null;
    if (one.prompt_set !== set || (trait !== "" && one.trait !== trait) || (trait === "" && range === null) || one.x.value === undefined || one.y.value === undefined) return [];
    const width = range ?? 1;
    const arm = model.arm(one.arm);
    const excluded = arm?.trainContext === arm?.deployContext ? "trained where it is deployed: y is x" : after.has(one.arm) ? "another arm goes on from it" : "";
    return [{ arm: one.arm, seed: Number(one.seed), trait: one.trait, x: one.x.value / width, y: one.y.value / width, excluded }];
  });
}

export function slopeFigure(model: Model, pick: OnPick): Figure {
  const choices: Measure[] = model.sets.filter((set) => model.study.proportionality.some((one) => one.prompt_set === set && one.num_points > 0))
    .flatMap((set): Measure[] => [{ key: measureKey(set, ""), set, trait: "", label: model.sets.length > 1 ? `all traits of ${set}` : "all traits", role: "" }, ...model.studied.filter((one) => one.set === set)]);
  let chosen = choices[0]?.key ?? "";
  let method: "slope" | "deming" = "slope";
  const redraw = () => figure.redraw();
  const controls = [
    measureChoice("Trait", choices, chosen, (key) => { chosen = key; redraw(); }),
    choice("Fit", [{ value: "slope", text: "least squares through the origin" }, { value: "deming", text: "Deming" }], method, (value) => { method = value as typeof method; redraw(); }),
  ];
  const measure = (): Measure => choices.find((one) => one.key === chosen) ?? { key: "", set: "", trait: "", label: "", role: "" };
  const points = () => runPoints(model, measure().set, measure().trait);
  const fitOf = (scale: string) => model.study.proportionality.find((one) => one.arm === "" && measureKey(one.prompt_set, one.trait) === chosen && one.scale === scale);
  const slope = () => drawn(fitOf("FIT_SCALE_IDENTITY")?.[method]);
  const traits = () => [...new Set(points().map((point) => point.trait))];

  function draw(width: number): SVGElement | null {
    const shown = points();
    if (shown.length === 0) return null;
    const side = Math.min(width, 600);
    const height = Math.max(320, Math.round(side * 0.85));
    const x = paddedDomain(shown.flatMap((point) => [point.x, point.y]), 0);
    const y = x; // so that slopes can be seen as they are
    const k = slope();
    const cone = k.low !== null && k.high !== null ? [x[0], 0, x[1]].map((at) => ({ x: at, low: at * (k.low ?? 0), high: at * (k.high ?? 0) })) : [];
    const indexOf = (point: RunPoint) => model.arm(point.arm)?.index ?? 0;
    const traitSymbol = (point: RunPoint) => symbol(Math.max(0, traits().indexOf(point.trait)));
    const tip = (point: RunPoint) => [
      `arm ${point.arm}, seed ${point.seed}: ${point.trait}`, `x ${number(point.x)}, y ${number(point.y)}`,
      ...(point.excluded ? [`not in k: ${point.excluded}`] : []), `train: ${oneLine(model.trainText(point.arm), 70)}`, "click: its answers",
    ].join("\n");
    const line = [x[0], x[1]].map((at) => ({ at }));
    const svg = Plot.plot({
      width: side, height, marginLeft: MARGIN.left, marginRight: MARGIN.right, marginTop: MARGIN.top, marginBottom: MARGIN.bottom,
      x: { domain: x, label: "x: effect of training under the train prompt", grid: true, labelAnchor: "center", labelArrow: "none", ticks: 6 },
      y: { domain: y, label: "y: effect of training under the neutral prompt", grid: true, labelArrow: "none", ticks: 6 },
      marks: [
        Plot.ruleX([0], { stroke: MUTED }), Plot.ruleY([0], { stroke: MUTED }),
        Plot.areaY(cone, { x: "x", y1: "low", y2: "high", fill: MUTED, fillOpacity: 0.18, clip: true, className: "mark-band" }),
        Plot.line(line, { x: "at", y: "at", stroke: MUTED, strokeDasharray: "5 3", clip: true, className: "mark-diagonal" }),
        ...(k.value !== null ? [Plot.line(line, { x: "at", y: ({ at }: { at: number }) => at * (k.value ?? 0), stroke: INK, strokeWidth: 2, clip: true, className: "mark-fit" })] : []),
        Plot.dot(shown, { x: "x", y: "y", r: 4.5, symbol: traitSymbol, stroke: (p: RunPoint) => colour(indexOf(p)), strokeWidth: 1.75, fill: (p: RunPoint) => (p.excluded ? SURFACE : colour(indexOf(p))), fillOpacity: 0.8, className: "mark-runs" }),
        Plot.tip(shown, Plot.pointer({ x: "x", y: "y", title: tip, maxRadius: 24 })),
      ],
    }) as SVGElement;
    onPick<RunPoint>(svg, (point) => pick({ arm: point.arm, seed: point.seed, step: model.lastStep(point.arm), set: measure().set, trait: point.trait }));
    return svg;
  }

  const figure = figureView({
    id: "k",
    beside: true,
    title: "Training effect: neutral prompt against train prompt (k)",
    lead: "A point for each run and trait, as shares of the trait's range. k is the slope through the origin: on the diagonal (k = 1) what was learnt shows without the prompt as much as with it; with k = 0 the prompt has become a condition.",
    controls, draw,
    describe: () => `${points().length} runs, the effect of training under the train prompt across and under the neutral prompt up, with the diagonal and the fitted slope. The tables below have the same numbers.`,
    facts: () => {
      const k = slope();
      const fit = fitOf("FIT_SCALE_IDENTITY");
      const logit = drawn(fitOf("FIT_SCALE_LOGIT")?.[method]);
      if (!fit) return [];
      return [
        k.value === null ? `No k: ${k.reason}.` : `k = ${interval(k.value, k.low, k.high)} (${measure().label}), from ${fit.num_points} points${points().some((point) => point.excluded) ? "; hollow points are not in it" : ""}.`,
        ...(logit.value === null ? [] : [`On the logit scale (not drawn) k = ${interval(logit.value, logit.low, logit.high)}.`]),
      ];
    },
    legend: () => [
      ...armLegend(model, new Set(points().map((point) => point.arm)), false),
      ...(traits().length > 1 ? traits().map((one, index) => ({ text: `trait ${one}`, colour: MUTED, symbol: symbol(index) })) : []),
      { text: "diagonal, k = 1", colour: MUTED, symbol: "dashed" }, { text: "fitted k with its interval", colour: INK, symbol: "line" },
      { text: "hollow: not in k", colour: MUTED, symbol: "circle", hollow: true },
    ],
    tables: () => [
      flatTable(model, "proportionality", "k by trait and arm (empty: all), identity and logit scale", undefined, (row) => row.prompt_set === measure().set),
      flatTable(model, "ratios", "Runs behind k, in the trait's unit", undefined, (row) => row.prompt_set === measure().set && (measure().trait === "" || row.trait === measure().trait),
        (row) => pick({ arm: String(row.arm), seed: Number(row.seed), set: String(row.prompt_set), trait: String(row.trait) })),
    ],
  });
  return figure;
}

export function decompositionFigure(model: Model, pick: OnPick): Figure {
  const have = new Set(model.study.decompositions.map((one) => measureKey(one.prompt_set, one.trait)));
  const measures = model.measures.filter((one) => have.has(one.key));
  let measure = measures[0]?.key ?? "";
  let own = false;
  const redraw = () => figure.redraw();
  const controls = [
    measureChoice("Trait", measures, measure, (key) => { measure = key; redraw(); }),
    choice("k", [{ value: "", text: "of the trait, over all arms" }, { value: "own", text: "of each arm, over its traits" }], "", (value) => { own = value === "own"; redraw(); }),
  ];
  const crosses = (): Cross[] => model.study.decompositions.flatMap((one) => {
    const arm = model.arm(one.arm);
    const x = drawn(one.predicted);
    const y = drawn(one.observed);
    if (!arm || measureKey(one.prompt_set, one.trait) !== measure || one.own_k !== own || x.value === null || y.value === null) return [];
    const part = (name: string, estimate: typeof one.k) => { const { value, low, high } = drawn(estimate); return `${name} ${interval(value, low, high)}`; };
    return [{ arm, x, y, tip: [
      `arm ${arm.name}: ${oneLine(model.trainText(arm.name), 70)}`, part("predicted", one.predicted), part("  by elicitation, k e:", one.elicitation_part),
      part("  by conditionalization, (1 − k)(T* − T0):", one.conditional_part), part("observed", one.observed), part("k", one.k), "click: its answers",
    ] }];
  });
  const figure = figureView({
    id: "decomposition",
    beside: true,
    title: "Suppression: predicted against observed",
    lead: "Suppression = k e + (1 − k)(T* − T0): a part by elicitation e and a part by conditionalization, where T* is the level without inoculation and T0 the base model's, both under the neutral prompt. On the diagonal the two parts explain all of it.",
    controls,
    draw: (width) => {
      const svg = crossPlot(crosses(), width, {
        same: true, xLabel: "predicted suppression", yLabel: `observed suppression of ${model.measure(measure).trait}`,
        behind: ([low, high]) => [Plot.line([low, high].map((at) => ({ at })), { x: "at", y: "at", stroke: MUTED, strokeDasharray: "5 3", clip: true, className: "mark-diagonal" })],
      });
      if (svg) onPick<Cross>(svg, ({ arm }) => pick({ arm: arm.name, step: model.lastStep(arm.name), set: model.measure(measure).set, context: arm.deployContext, trait: model.measure(measure).trait }));
      return svg;
    },
    describe: () => `${crosses().length} arms, predicted suppression across and observed suppression up, for ${model.measure(measure).label}. The table below has the same numbers.`,
    facts: () => (own ? ["An arm's own k is fitted to the arm itself: the prediction is less of a test."] : []),
    legend: () => [...armLegend(model, new Set(crosses().map(({ arm }) => arm.name))), { text: "predicted = observed", colour: MUTED, symbol: "dashed" }],
    tables: () => [flatTable(model, "decompositions", "Suppression in two parts", measure)],
  });
  return figure;
}
