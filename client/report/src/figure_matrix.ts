// Train prompt x evaluation prompt as a heat map.
import * as Plot from "@observablehq/plot";
import { type Figure, figureView, onPick } from "./figure.ts";
import { type OnPick, levelDomain, levelTip, levelsTable, measureChoice, pickLevel } from "./figures_common.ts";
import { fixed } from "./format.ts";
import type { Level, Model } from "./model.ts";
import { INK, MUTED } from "./palette.ts";
import { oneLine } from "./text.ts";

interface Cell {
  row: string;
  column: string;
  level: Level;
}

export function matrixFigure(model: Model, pick: OnPick): Figure {
  let measure = model.firstMeasure;
  const controls = [measureChoice("Trait", model.measures, measure, (key) => { measure = key; figure.redraw(); })];
  const cells = (): Cell[] => model.finalLevels(measure).map((level) => ({ row: level.arm, column: level.context, level }));

  function draw(room: number): SVGElement | null {
    const all = cells();
    if (all.length === 0) return null;
    const rows = model.arms.map((arm) => arm.name).filter((name) => all.some((cell) => cell.row === name));
    const columns = model.contexts.map((context) => context.name).filter((name) => all.some((cell) => cell.column === name));
    const narrow = room < 640;
    const tight = columns.length > 8 || narrow; // no room for words in a cell
    const left = narrow ? 118 : 250;
    const longest = Math.max(...columns.map((name) => name.length));
    const top = Math.min(140, 24 + longest * 3);
    const width = Math.max(Math.min(room, left + 90 + columns.length * 110), left + 60 + columns.length * 44);
    const rowHeight = narrow ? 40 : 36;
    const domain = levelDomain(all.map((cell) => cell.level.mean));
    const isLight = (value: number | null) => value !== null && (value - domain[0]) / (domain[1] - domain[0]) > 0.45;
    const ink = (cell: Cell) => (cell.level.mean === null ? MUTED : isLight(cell.level.mean) ? "#111" : "#fff");
    const decimals = domain[1] <= 1 ? 2 : 1;
    const known = all.filter((cell) => cell.level.mean !== null);
    const names = rows.map((name) => ({ name, train: model.trainContext(name) ?? "not trained", text: oneLine(model.trainText(name), narrow ? 14 : 40) }));
    const svg = Plot.plot({
      width, height: top + rows.length * rowHeight + 24, marginLeft: left, marginRight: narrow ? 24 : 60, marginTop: top, marginBottom: 24,
      x: { domain: columns, axis: null, padding: 0.03 },
      y: { domain: rows, axis: null, padding: 0.04 },
      color: { type: "linear", scheme: "viridis", domain },
      marks: [
        Plot.cell(known, { x: "column", y: "row", fill: (cell: Cell) => cell.level.mean, className: "mark-cells" }),
        Plot.cell(all.filter((cell) => cell.level.gates !== null || cell.level.mean === null), { x: "column", y: "row", fill: "none", stroke: "var(--gate)", strokeWidth: 2.5, inset: 1.5, className: "mark-warnings" }),
        Plot.text(all, { x: "column", y: "row", text: (cell: Cell) => (cell.level.gates && !tight ? "△ " : "") + fixed(cell.level.mean, decimals), fill: ink, fontSize: 11.5, fontVariant: "tabular-nums", dy: -5 }),
        Plot.text(all.filter((cell) => cell.level.invalid > 0), { x: "column", y: "row", text: (cell: Cell) => (tight ? `${cell.level.gates ? "△" : ""}${cell.level.invalid}` : `${cell.level.invalid} invalid`), fill: ink, fontSize: 9.5, dy: 8, className: "mark-invalid" }),
        Plot.text(columns, { x: (name: string) => name, text: (name: string) => name, frameAnchor: "top", textAnchor: "start", rotate: -28, dy: -8, dx: -10, fontSize: 11.5, fill: INK }),
        Plot.text(names, { y: "name", text: (one: { name: string; train: string }) => `${one.train}`, frameAnchor: "left", textAnchor: "end", dx: -10, dy: -7, fontSize: 11.5, fontWeight: 600, fill: INK }),
        Plot.text(names, { y: "name", text: "text", frameAnchor: "left", textAnchor: "end", dx: -10, dy: 8, fontSize: 10.5, fill: MUTED }),
        Plot.text(["train prompt ↓   evaluation prompt →"], { frameAnchor: "bottom-left", dx: 0, dy: 18, textAnchor: "start", fontSize: 11, fill: MUTED }),
        Plot.tip(all, Plot.pointer({ x: "column", y: "row", title: (cell: Cell) => levelTip(model, cell.level), maxRadius: 60 })),
      ],
    }) as SVGElement;
    onPick<Cell>(svg, ({ level }) => pick(pickLevel(level)));
    return svg;
  }

  const figure = figureView({
    id: "matrix",
    title: "Train prompt × evaluation prompt",
    lead: "The level of one trait after the last step for every arm (rows, by its train prompt) under every evaluation prompt (columns). Small: how many answers were invalid. △ and outlined: a gate failed.",
    controls, draw,
    describe: () => `${cells().length} cells, ${model.arms.length} arms by evaluation prompts, for ${model.measure(measure).label}. The table below has the same numbers.`,
    contexts: () => model.contexts,
    tables: () => [levelsTable(model, `Level of ${model.measure(measure).label}, train prompt × evaluation prompt`, measure, pick, (row) => row.step === model.lastStep(String(row.arm)))],
  });
  return figure;
}
