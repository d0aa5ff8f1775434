// Desired against undesired: a point with error bars for each arm and evaluation prompt.
import * as Plot from "@observablehq/plot";
import { choice } from "./dom.ts";
import { type Figure, figureView, onPick } from "./figure.ts";
import { NARROW, type OnPick, levelDomain, levelsTable, measureChoice, warning } from "./figures_common.ts";
import { interval } from "./format.ts";
import { placeLabels } from "./labels.ts";
import type { ArmInfo, Level, Model } from "./model.ts";
import { INK, MUTED, SURFACE, colour, symbol } from "./palette.ts";
import { oneLine } from "./text.ts";

interface Pair {
  arm: ArmInfo;
  context: string;
  x: Level;
  y: Level;
}

function pairsOf(model: Model, xTrait: string, yTrait: string, where: string): Pair[] {
  const ys = new Map(model.finalLevels(yTrait).map((level) => [`${level.arm}\n${level.context}`, level]));
  return model.finalLevels(xTrait).flatMap((x) => {
    const y = ys.get(`${x.arm}\n${x.context}`);
    const arm = model.arm(x.arm);
    if (!y || !arm || x.mean === null || y.mean === null) return [];
    const isShown = where === "neutral" ? x.context === model.neutral : where === "own" ? x.context === model.neutral || x.context === arm.trainContext : true;
    return isShown ? [{ arm, context: x.context, x, y }] : [];
  });
}

export function scatterFigure(model: Model, pick: OnPick): Figure {
  let xTrait = model.firstMeasure;
  let yTrait = (model.measures.find((one) => one.role === "desired") ?? model.measures[1] ?? model.measures[0])?.key ?? "";
  let where = model.neutral === null ? "all" : "neutral";
  const label = (key: string) => model.measure(key).label;
  const redraw = () => figure.redraw();
  const controls = [
    measureChoice("Across", model.measures, xTrait, (key) => { xTrait = key; redraw(); }),
    measureChoice("Up", model.measures, yTrait, (key) => { yTrait = key; redraw(); }),
    choice("Evaluation prompts", [{ value: "neutral", text: "neutral" }, { value: "own", text: "neutral and own train prompt" }, { value: "all", text: "all" }], where, (value) => { where = value; redraw(); }),
  ];

  function draw(width: number): SVGElement | null {
    const pairs = pairsOf(model, xTrait, yTrait, where);
    if (pairs.length === 0) return null;
    const side = Math.min(width, 640);
    const margin = { left: 52, right: 16, top: 24, bottom: 44 };
    const height = Math.max(320, Math.round(side * 0.78));
    const xDomain = levelDomain(pairs.flatMap(({ x }) => [x.mean, x.low, x.high]));
    const yDomain = levelDomain(pairs.flatMap(({ y }) => [y.mean, y.low, y.high]));
    const toX = (value: number) => margin.left + ((value - xDomain[0]) / (xDomain[1] - xDomain[0])) * (side - margin.left - margin.right);
    const toY = (value: number) => height - margin.bottom - ((value - yDomain[0]) / (yDomain[1] - yDomain[0])) * (height - margin.top - margin.bottom);
    const text = (pair: Pair) => (where === "neutral" ? pair.arm.name : `${pair.arm.name}: ${model.pairLabel(pair.arm.name, pair.context)}`);
    const points = pairs.map((pair) => ({ x: toX(pair.x.mean ?? 0), y: toY(pair.y.mean ?? 0), text: `${text(pair)} △` }));
    const bars = pairs.flatMap(({ x, y }, index) => {
      const { x: atX, y: atY } = points[index] ?? { x: 0, y: 0 };
      return [{ left: toX(x.low ?? x.mean ?? 0), right: toX(x.high ?? x.mean ?? 0), top: atY - 1, bottom: atY + 1 }, { left: atX - 1, right: atX + 1, top: toY(y.high ?? y.mean ?? 0), bottom: toY(y.low ?? y.mean ?? 0) }];
    });
    const placed = placeLabels(points, { left: margin.left, right: side, top: 0, bottom: height - margin.bottom }, bars);
    const fillOf = (pair: Pair) => (pair.x.gates || pair.y.gates || pair.context !== model.neutral ? SURFACE : colour(pair.arm.index));
    const tip = (pair: Pair) => [
      model.pairLabel(pair.arm.name, pair.context), `arm ${pair.arm.name}, step ${pair.x.step}`,
      `${label(xTrait)}: ${interval(pair.x.mean, pair.x.low, pair.x.high)}`, `${label(yTrait)}: ${interval(pair.y.mean, pair.y.low, pair.y.high)}`,
      ...[warning(pair.x) && `${label(xTrait)}: ${warning(pair.x)}`, warning(pair.y) && `${label(yTrait)}: ${warning(pair.y)}`].filter((line) => line !== ""),
      `train: ${oneLine(model.trainText(pair.arm.name), 70)}`, "click: its answers",
    ].join("\n");
    const svg = Plot.plot({
      width: side, height, marginLeft: margin.left, marginRight: margin.right, marginTop: margin.top, marginBottom: margin.bottom,
      x: { domain: xDomain, label: label(xTrait), grid: true, ticks: width < NARROW ? 4 : 6, labelAnchor: "center", labelArrow: "none" },
      y: { domain: yDomain, label: label(yTrait), grid: true, ticks: 6, labelArrow: "none" },
      marks: [
        Plot.link(pairs.filter(({ x }) => x.low !== null), { x1: (p: Pair) => p.x.low, x2: (p: Pair) => p.x.high, y1: (p: Pair) => p.y.mean, y2: (p: Pair) => p.y.mean, stroke: (p: Pair) => colour(p.arm.index), strokeOpacity: 0.75, strokeWidth: 1.5, className: "mark-intervals-across" }),
        Plot.link(pairs.filter(({ y }) => y.low !== null), { x1: (p: Pair) => p.x.mean, x2: (p: Pair) => p.x.mean, y1: (p: Pair) => p.y.low, y2: (p: Pair) => p.y.high, stroke: (p: Pair) => colour(p.arm.index), strokeOpacity: 0.75, strokeWidth: 1.5, className: "mark-intervals-up" }),
        Plot.dot(pairs, { x: (p: Pair) => p.x.mean, y: (p: Pair) => p.y.mean, r: 5, symbol: (p: Pair) => symbol(p.arm.index), stroke: (p: Pair) => colour(p.arm.index), strokeWidth: 1.75, fill: fillOf, className: "mark-pairs" }),
        ...pairs.flatMap((pair, index) => {
          const place = placed[index];
          const isWarned = pair.x.gates !== null || pair.y.gates !== null;
          return place ? [Plot.text([pair], { x: pair.x.mean ?? 0, y: pair.y.mean ?? 0, text: () => text(pair) + (isWarned ? " △" : ""), dx: place.dx, dy: place.dy, textAnchor: place.anchor, fontSize: 11, fill: isWarned ? "var(--warn)" : INK, stroke: SURFACE, strokeWidth: 5 })] : [];
        }),
        Plot.tip(pairs, Plot.pointer({ x: (p: Pair) => p.x.mean, y: (p: Pair) => p.y.mean, title: tip, maxRadius: 24 })),
      ],
    }) as SVGElement;
    onPick<Pair>(svg, (pair) => pick({ arm: pair.arm.name, step: pair.x.step, set: pair.x.set === pair.y.set ? pair.x.set : null, context: pair.context }));
    return svg;
  }

  const figure = figureView({
    id: "scatter",
    beside: true,
    title: "Desired against undesired",
    lead: "Each arm after its last step. Good arms keep the desired trait (up) and lose the undesired one (left).",
    controls, draw,
    describe: () => `${pairsOf(model, xTrait, yTrait, where).length} points with intervals, ${label(xTrait)} across and ${label(yTrait)} up. The table below has the same numbers.`,
    legend: () => [
      ...model.arms.map((arm) => ({ text: `${arm.name}: ${oneLine(model.trainText(arm.name), 60)}`, colour: colour(arm.index), symbol: symbol(arm.index) })),
      { text: "hollow: not under the neutral prompt, or a gate failed (△)", colour: MUTED, symbol: "circle", hollow: true },
    ],
    contexts: () => model.contexts.filter((context) => where === "all" || context.isNeutral || (where === "own" && context.isTrain)),
    tables: () => [...new Set([xTrait, yTrait])].map((key) => levelsTable(model, `Levels of ${label(key)}`, key, pick, (row) => row.step === model.lastStep(String(row.arm)))),
  });
  return figure;
}
