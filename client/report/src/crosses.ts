// A square plot of points with intervals both ways, a name at each: what several figures are made of.
import * as Plot from "@observablehq/plot";
import { paddedDomain } from "./figures_common.ts";
import { placeLabels } from "./labels.ts";
import type { ArmInfo, Figures } from "./model.ts";
import { INK, MUTED, SURFACE, colour, symbol } from "./palette.ts";

export const MARGIN = { left: 56, right: 18, top: 24, bottom: 46 };

export interface Cross {
  arm: ArmInfo;
  x: Figures;
  y: Figures;
  tip: string[];
}
export interface CrossOptions {
  xLabel: string;
  yLabel: string;
  same?: boolean; // both axes have one domain
  behind?: (x: [number, number], y: [number, number]) => Plot.Markish[]; // marks under the points
}

interface Frame {
  side: number;
  height: number;
  x: [number, number];
  y: [number, number];
}

// The arms' names beside their points, where there is room.
function armLabels(crosses: Cross[], frame: Frame): Plot.Markish[] {
  const scale = (value: number | null, [low, high]: [number, number]) => ((value ?? 0) - low) / (high - low);
  const toX = (value: number | null) => MARGIN.left + scale(value, frame.x) * (frame.side - MARGIN.left - MARGIN.right);
  const toY = (value: number | null) => frame.height - MARGIN.bottom - scale(value, frame.y) * (frame.height - MARGIN.top - MARGIN.bottom);
  const pixels = crosses.map(({ arm, x, y }) => ({ text: arm.name, x: toX(x.value), y: toY(y.value) }));
  const bars = crosses.flatMap(({ x, y }) => [
    { left: toX(x.low ?? x.value), right: toX(x.high ?? x.value), top: toY(y.value) - 1, bottom: toY(y.value) + 1 },
    { left: toX(x.value) - 1, right: toX(x.value) + 1, top: toY(y.high ?? y.value), bottom: toY(y.low ?? y.value) },
  ]);
  const placed = placeLabels(pixels, { left: MARGIN.left, right: frame.side, top: 0, bottom: frame.height - MARGIN.bottom }, bars);
  return crosses.flatMap(({ arm, x, y }, index) => {
    const place = placed[index];
    return place ? [Plot.text([arm.name], { x: [x.value], y: [y.value], text: [arm.name], dx: place.dx, dy: place.dy, textAnchor: place.anchor, fontSize: 11, fill: INK, stroke: SURFACE, strokeWidth: 5, className: "mark-names" })] : [];
  });
}

export function crossPlot(crosses: Cross[], width: number, options: CrossOptions): SVGElement | null {
  if (crosses.length === 0) return null;
  const side = Math.min(width, 640);
  const height = Math.max(320, Math.round(side * 0.72));
  const all = (axis: "x" | "y") => crosses.flatMap((one) => [one[axis].value, one[axis].low, one[axis].high]);
  const both = [...all("x"), ...all("y")];
  const x = paddedDomain(options.same ? both : all("x"), 0);
  const y = paddedDomain(options.same ? both : all("y"), 0);
  const stroke = (one: Cross) => colour(one.arm.index);
  return Plot.plot({
    width: side, height, marginLeft: MARGIN.left, marginRight: MARGIN.right, marginTop: MARGIN.top, marginBottom: MARGIN.bottom,
    x: { domain: x, label: options.xLabel, grid: true, labelAnchor: "center", labelArrow: "none", ticks: 6 },
    y: { domain: y, label: options.yLabel, grid: true, labelArrow: "none", ticks: 6 },
    marks: [
      Plot.ruleX([0], { stroke: MUTED }), Plot.ruleY([0], { stroke: MUTED }),
      ...(options.behind?.(x, y) ?? []),
      Plot.link(crosses.filter((one) => one.x.low !== null), { x1: (c: Cross) => c.x.low, x2: (c: Cross) => c.x.high, y: (c: Cross) => c.y.value, stroke, strokeOpacity: 0.75, strokeWidth: 1.5 }),
      Plot.link(crosses.filter((one) => one.y.low !== null), { x: (c: Cross) => c.x.value, y1: (c: Cross) => c.y.low, y2: (c: Cross) => c.y.high, stroke, strokeOpacity: 0.75, strokeWidth: 1.5 }),
      Plot.dot(crosses, { x: (c: Cross) => c.x.value, y: (c: Cross) => c.y.value, r: 5, fill: stroke, stroke, symbol: (c: Cross) => symbol(c.arm.index), className: "mark-arms" }),
      ...armLabels(crosses, { side, height, x, y }),
      Plot.tip(crosses, Plot.pointer({ x: (c: Cross) => c.x.value, y: (c: Cross) => c.y.value, title: (c: Cross) => c.tip.join("\n"), maxRadius: 24 })),
    ],
  }) as SVGElement;
}
