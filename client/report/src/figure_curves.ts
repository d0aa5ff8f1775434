// Trajectories of a trait over the steps, and loss curves: seeds thin, means bold, a panel for each arm.
import * as Plot from "@observablehq/plot";
import { type At, meanCurve, thin } from "./curves.ts";
import { choice } from "./dom.ts";
import { type Figure, figureView, onPick } from "./figure.ts";
import { type OnPick, flatTable, levelDomain, levelTip, levelsTable, measureChoice, paddedDomain, pickLevel } from "./figures_common.ts";
import { type ArmInfo, type Level, type Model, lastComponent, measureKey } from "./model.ts";
import { INK, MUTED, SURFACE, colour, symbol } from "./palette.ts";
import { oneLine } from "./text.ts";

interface Grid {
  columns: number;
  rows: number;
  at: Map<string, { fx: number; fy: number }>;
  width: number; // of a panel
}

function gridOf(arms: ArmInfo[], width: number): Grid {
  const columns = Math.max(1, Math.min(arms.length, Math.floor(width / 240)));
  const at = new Map(arms.map((arm, index) => [arm.name, { fx: index % columns, fy: Math.floor(index / columns) }]));
  return { columns, rows: Math.ceil(arms.length / columns), at, width: (width - 60) / columns };
}

const fxOf = (grid: Grid) => (one: { arm: string }) => grid.at.get(one.arm)?.fx ?? 0;
const fyOf = (grid: Grid) => (one: { arm: string }) => grid.at.get(one.arm)?.fy ?? 0;

// Names of the panels: the arm and the prompt that it was trained under.
function panelNames(model: Model, arms: ArmInfo[], grid: Grid): Plot.Markish[] {
  const names = arms.map((arm) => ({ arm: arm.name, text: oneLine(model.trainText(arm.name), Math.max(16, Math.floor(grid.width / 6.4))) }));
  const where = { fx: fxOf(grid), fy: fyOf(grid), frameAnchor: "top-left", textAnchor: "start" } as const;
  return [
    Plot.text(names, { ...where, text: "arm", dy: -26, fontWeight: 600, fontSize: 12, fill: INK }),
    Plot.text(names, { ...where, text: "text", dy: -12, fontSize: 10.5, fill: MUTED }),
  ];
}

const PANEL = { marginLeft: 44, marginRight: 12, marginTop: 40, marginBottom: 40 };

// The curves over seeds with their step 0: the level of the model that the training began with.
function withInitial(model: Model, measure: string, overall: Level[]): Level[] {
  const has = new Set(overall.filter((level) => level.step === 0).map((level) => `${level.arm}\n${level.context}`));
  const curves = new Map(overall.map((level) => [`${level.arm}\n${level.context}`, level]));
  const added = [...curves].flatMap(([key, level]) => {
    const start = has.has(key) ? undefined : model.initialLevel(level.arm, measure, level.context);
    return start && start.mean !== null ? [{ ...start, arm: level.arm, step: 0 }] : [];
  });
  return [...added, ...overall];
}

// The curves of single seeds, too.
function withStart(single: Level[], overall: Level[]): Level[] {
  const starts = new Map(overall.filter((level) => level.step === 0).map((level) => [`${level.arm}\n${level.context}`, level]));
  const curves = new Map<string, Level>();
  for (const level of single) if (level.step > 0) curves.set(`${level.arm}\n${level.context}\n${level.seed}`, level);
  const added = [...curves.values()].flatMap((level) => {
    const start = starts.get(`${level.arm}\n${level.context}`);
    return start ? [{ ...start, seed: level.seed }] : [];
  });
  return [...added, ...single.filter((level) => level.step > 0)];
}

export function trajectoriesFigure(model: Model, pick: OnPick): Figure {
  let measure = model.firstMeasure;
  let all = false;
  const controls = [
    measureChoice("Trait", model.measures, measure, (key) => { measure = key; figure.redraw(); }),
    choice("Evaluation prompts", [{ value: "own", text: "neutral and own train prompt" }, { value: "all", text: "all" }], "own", (value) => { all = value === "all"; figure.redraw(); }),
  ];
  const arms = () => model.trainedArms.filter((arm) => model.lastStep(arm.name) > 0);
  const isShown = (level: Level) => measureKey(level.set, level.trait) === measure && level.mean !== null && model.trainContext(level.arm) !== null && model.lastStep(level.arm) > 0 &&
    (all || level.context === model.neutral || level.context === model.trainContext(level.arm));
  const indexOf = (level: Level) => model.context(level.context)?.index ?? 0;

  function draw(width: number): SVGElement | null {
    const overall = withInitial(model, measure, model.levels.filter(isShown));
    const single = withStart(model.seedLevels.filter(isShown), overall);
    if (overall.length === 0) return null;
    const grid = gridOf(arms(), width);
    const place = { fx: fxOf(grid), fy: fyOf(grid) };
    const stroke = (level: Level) => colour(indexOf(level));
    const svg = Plot.plot({
      width, height: grid.rows * 190 + 40, ...PANEL,
      fx: { axis: null, padding: 0.08, domain: [...Array(grid.columns).keys()] }, fy: { axis: null, padding: 0.3, domain: [...Array(grid.rows).keys()] },
      x: { label: "step", grid: false, ticks: 4, labelAnchor: "center", labelArrow: "none", tickFormat: "d" },
      y: { domain: levelDomain(overall.flatMap((level) => [level.mean, level.low, level.high])), label: null, grid: true, ticks: 4 },
      marks: [
        ...panelNames(model, arms(), grid),
        Plot.areaY(overall.filter((level) => level.low !== null), { ...place, x: "step", y1: "low", y2: "high", z: (l: Level) => `${l.arm}\n${l.context}`, fill: stroke, fillOpacity: 0.14, className: "mark-intervals" }),
        Plot.line(single, { ...place, x: "step", y: "mean", z: (l: Level) => `${l.arm}\n${l.context}\n${l.seed}`, stroke, strokeOpacity: 0.55, strokeWidth: 0.9, sort: "step", className: "mark-seeds" }),
        Plot.line(overall, { ...place, x: "step", y: "mean", z: (l: Level) => `${l.arm}\n${l.context}`, stroke, strokeWidth: 2.5, sort: "step", className: "mark-means" }),
        Plot.dot(overall, { ...place, x: "step", y: "mean", r: 3.2, stroke, strokeWidth: 1.5, fill: (l: Level) => (l.gates ? SURFACE : stroke(l)), symbol: (l: Level) => symbol(indexOf(l)), className: "mark-levels" }),
        Plot.tip(overall, Plot.pointer({ ...place, x: "step", y: "mean", title: (level: Level) => levelTip(model, level), maxRadius: 24 })),
      ],
    }) as SVGElement;
    onPick<Level>(svg, (level) => pick(pickLevel(level)));
    return svg;
  }

  const figure = figureView({
    id: "trajectories",
    title: "Trajectories over the training",
    lead: "The level of one trait at each evaluated step, a panel for each arm with its train prompt. Thin: single seeds; bold: over seeds, with its interval.",
    controls, draw,
    describe: () => `${arms().length} panels with the level of ${model.measure(measure).label} over the steps. The table below has the same numbers, also by seed.`,
    legend: () => [
      ...model.contexts.filter((context) => model.levels.some((level) => isShown(level) && level.context === context.name))
        .map((context) => ({ text: `evaluated under ${context.name}: ${oneLine(context.text, 60)}`, colour: colour(context.index), symbol: symbol(context.index) })),
      { text: "hollow: a gate failed", colour: MUTED, symbol: "circle", hollow: true },
    ],
    tables: () => [
      levelsTable(model, `Level of ${model.measure(measure).label} at each step`, measure, pick),
      flatTable(model, "results", "The same by seed, every cell", undefined, (row) => measureKey(String(row.prompt_set), String(row["traits.trait"])) === measure,
        (row) => pick({ arm: String(row.arm), seed: Number(row.seed), step: Number(row.step), set: String(row.prompt_set), context: String(row.context), trait: String(row["traits.trait"]) })),
    ],
  });
  return figure;
}

interface LossPoint extends At {
  arm: string;
  seed: string;
}

const MAX_POINTS = 240; // of a curve

// The curves of each trained arm; a job that arms share is drawn in each of them.
function lossCurves(model: Model): { arm: string; seed: string; job: string; points: At[] }[] {
  const byJob = new Map<string, At[]>();
  for (const point of model.trainPoints()) {
    if (point.loss === null) continue;
    const id = lastComponent(point.job);
    if (!byJob.has(id)) byJob.set(id, []);
    byJob.get(id)?.push({ x: point.step, y: point.loss });
  }
  const curves: { arm: string; seed: string; job: string; points: At[] }[] = [];
  for (const [job, points] of byJob) {
    points.sort((a, b) => a.x - b.x);
    for (const name of model.armsOfJob(job)) {
      const cut = name.lastIndexOf("/");
      curves.push({ arm: name.slice(0, cut), seed: name.slice(cut + 1), job, points });
    }
  }
  return curves;
}

export function lossFigure(model: Model): Figure {
  const curves = lossCurves(model);
  const arms = model.trainedArms.filter((arm) => curves.some((curve) => curve.arm === arm.name));
  const nonFinite = model.trainPoints().filter((point) => point.loss === null);

  function draw(width: number): SVGElement | null {
    if (arms.length === 0) return null;
    const grid = gridOf(arms, width);
    const place = { fx: fxOf(grid), fy: fyOf(grid) };
    const seeds: LossPoint[] = curves.flatMap((curve) => thin(curve.points, MAX_POINTS).map((at) => ({ ...at, arm: curve.arm, seed: curve.seed })));
    const means: LossPoint[] = arms.flatMap((arm) => thin(meanCurve(curves.filter((curve) => curve.arm === arm.name).map((curve) => curve.points)), 80).map((at) => ({ ...at, arm: arm.name, seed: "mean" })));
    const svg = Plot.plot({
      width, height: grid.rows * 170 + 40, ...PANEL,
      fx: { axis: null, padding: 0.08, domain: [...Array(grid.columns).keys()] }, fy: { axis: null, padding: 0.34, domain: [...Array(grid.rows).keys()] },
      x: { label: "step", ticks: 4, labelAnchor: "center", labelArrow: "none", tickFormat: "d" },
      y: { domain: paddedDomain(seeds.map((point) => point.y)), label: null, grid: true, ticks: 4 },
      marks: [
        ...panelNames(model, arms, grid),
        Plot.line(seeds, { ...place, x: "x", y: "y", z: (p: LossPoint) => `${p.arm}\n${p.seed}`, stroke: colour(0), strokeOpacity: 0.5, strokeWidth: 0.9, className: "mark-seeds" }),
        Plot.line(means, { ...place, x: "x", y: "y", z: "arm", stroke: colour(0), strokeWidth: 2.25, className: "mark-means" }),
        Plot.tip(means, Plot.pointer({ ...place, x: "x", y: "y", title: (p: LossPoint) => `arm ${p.arm}\nstep ${Math.round(p.x)}\nloss ${p.y.toFixed(4)} (mean over seeds)`, maxRadius: 40 })),
      ],
    }) as SVGElement;
    return svg;
  }

  return figureView({
    id: "loss",
    title: "Training loss",
    lead: "Nats per supervised token, a panel for each arm. Thin: single seeds; bold: their mean.",
    draw,
    describe: () => `${curves.length} loss curves in ${arms.length} panels. The table below has the same numbers.`,
    facts: () => [
      ...(nonFinite.length > 0 ? [`△ ${nonFinite.length} steps had a loss that is not a number; they are not drawn.`] : []),
      ...(curves.some((curve) => curve.points.length > MAX_POINTS) ? [`Curves of more than ${MAX_POINTS} steps are drawn as means of neighbouring steps.`] : []),
    ],
    tables: () => [flatTable(model, "train_points", "Training steps")],
  });
}
