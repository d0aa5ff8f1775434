// A forest plot: arms down, panels across (below one another where it is narrow), dots with intervals.
import * as Plot from "@observablehq/plot";
import { NARROW, paddedDomain } from "./figures_common.ts";
import { type Figures, type Model } from "./model.ts";
import { INK, MUTED, RULE, SURFACE, colour } from "./palette.ts";
import { oneLine } from "./text.ts";

export interface Bar extends Figures {
  arm: string; // or what else the rows are
  panel: string;
  note: string; // above the dot
  tip: string[];
}
export interface ForestOptions {
  rows?: { name: string; text: string }[]; // instead of the arms with their train prompts
  include?: number[]; // are in the domain
  rules?: number[]; // lines besides that at 0
  limits?: [number, number]; // the widest domain; intervals are cut there
}

export function forest(model: Model, bars: Bar[], panels: string[], width: number, label: string, options: ForestOptions = {}): SVGElement | null {
  const known = bars.filter((bar) => bar.value !== null);
  if (known.length === 0) return null;
  const narrow = width < NARROW;
  const all = options.rows ?? model.arms.map(({ name }) => ({ name, text: model.trainText(name) }));
  const texts = new Map(all.map((row) => [row.name, row.text]));
  const arms = all.map((row) => row.name).filter((name) => bars.some((bar) => bar.arm === name));
  const longest = Math.max(...arms.map((name) => name.length));
  const left = narrow ? Math.min(140, 16 + longest * 6.8) : 260;
  const across = narrow ? 1 : Math.max(1, Math.min(panels.length, Math.floor((width - left) / 170)));
  const down = Math.ceil(panels.length / across);
  const at = new Map(panels.map((panel, index) => [panel, { fx: index % across, fy: Math.floor(index / across) }]));
  const place = { fx: (one: { panel: string }) => at.get(one.panel)?.fx ?? 0, fy: (one: { panel: string }) => at.get(one.panel)?.fy ?? 0 };
  const names = panels.filter((panel) => at.get(panel)?.fx === 0).flatMap((panel) => arms.map((arm) => ({ arm, panel, prompt: oneLine(texts.get(arm) ?? "", 36) })));
  const has = new Set(bars.map((bar) => `${bar.arm}\n${bar.panel}`));
  const rows = panels.flatMap((panel) => arms.filter((arm) => has.has(`${arm}\n${panel}`)).map((arm) => ({ arm, panel })));
  const missing = bars.filter((bar) => bar.value === null);
  const wanted = paddedDomain(known.flatMap((bar) => [bar.value, bar.low, bar.high]), 0, ...(options.include ?? []));
  const [least, greatest] = options.limits ?? [-Infinity, Infinity];
  const domain: [number, number] = [Math.max(wanted[0], least), Math.min(wanted[1], greatest)];
  const isInside = (bar: Bar) => (bar.value ?? 0) >= domain[0] && (bar.value ?? 0) <= domain[1];
  const cut = (value: number | null) => (value === null ? null : Math.min(domain[1], Math.max(domain[0], value)));
  const drawnBars = known.filter((bar) => bar.low !== null);
  // An interval that goes on beyond the frame.
  const beyond = drawnBars.flatMap((bar) => [
    ...((bar.high ?? 0) > domain[1] ? [{ ...bar, at: domain[1], text: "▸" }] : []), ...((bar.low ?? 0) < domain[0] ? [{ ...bar, at: domain[0], text: "◂" }] : []),
  ]);
  const rowHeight = narrow ? 26 : 31;
  const inner = arms.length * rowHeight;
  const gap = 46; // between rows of panels
  return Plot.plot({
    width, height: down * inner + (down - 1) * gap + 30 + 42, marginLeft: left, marginRight: 16, marginTop: 30, marginBottom: 42,
    fx: { axis: null, domain: [...Array(across).keys()], padding: 0.08 }, fy: { axis: null, domain: [...Array(down).keys()], padding: down > 1 ? gap / (inner + gap) : 0 },
    x: { domain, grid: true, ticks: 4, label, labelAnchor: "center", labelArrow: "none" },
    y: { domain: arms, axis: null, padding: 0.2 },
    marks: [
      Plot.text(panels.map((panel) => ({ panel })), { ...place, text: "panel", frameAnchor: "top-left", dy: -16, fontWeight: 600, fontSize: 12, fill: INK }),
      Plot.ruleX([0], { stroke: MUTED }),
      Plot.ruleX(options.rules ?? [], { stroke: MUTED, strokeDasharray: "5 3" }),
      Plot.ruleY(rows, { ...place, y: "arm", stroke: RULE, strokeOpacity: 0.6 }),
      Plot.text(names, { ...place, y: "arm", text: "arm", frameAnchor: "left", textAnchor: "end", dx: -10, dy: narrow ? 0 : -6, fontWeight: 600, fontSize: 11.5, fill: INK }),
      ...(narrow ? [] : [Plot.text(names, { ...place, y: "arm", text: "prompt", frameAnchor: "left", textAnchor: "end", dx: -10, dy: 8, fontSize: 10.5, fill: MUTED })]),
      Plot.ruleY(drawnBars, { ...place, y: "arm", x1: (bar: Bar) => cut(bar.low), x2: (bar: Bar) => cut(bar.high), stroke: colour(0), strokeWidth: 1.75, className: "mark-intervals" }),
      Plot.text(beyond, { ...place, y: "arm", x: "at", text: "text", fontSize: 13, fill: colour(0), className: "mark-beyond" }),
      Plot.dot(known.filter(isInside), { ...place, y: "arm", x: "value", r: 4.25, fill: colour(0), stroke: colour(0), className: "mark-effects" }),
      Plot.text(known.filter((bar) => bar.note !== "" && isInside(bar)), { ...place, y: "arm", x: "value", text: "note", dy: -10, fontSize: 10.5, fill: MUTED, className: "mark-notes" }),
      Plot.text(missing, { ...place, y: "arm", text: () => "–", frameAnchor: "left", dx: 6, textAnchor: "start", fontSize: 11, fill: MUTED, stroke: SURFACE, strokeWidth: 4, className: "mark-missing" }),
      Plot.tip(missing, Plot.pointer({ ...place, y: "arm", x: () => domain[0], title: (bar: Bar) => [`${bar.arm}, ${bar.panel}:`, oneLine(bar.reason || "not measurable", 120)].join("\n"), maxRadius: 30 })),
      Plot.tip(known, Plot.pointer({ ...place, y: "arm", x: "value", title: (bar: Bar) => [`${bar.arm}: ${oneLine(texts.get(bar.arm) ?? "", 70)}`, ...bar.tip].join("\n"), maxRadius: 24 })),
    ],
  }) as SVGElement;
}
