// The frame of a figure: title, what it shows, controls, legends, the drawing, its table.
import * as Plot from "@observablehq/plot";
import { append, download, h } from "./dom.ts";
import type { ContextInfo } from "./model.ts";
import { type TableOptions, foldedTable } from "./table.ts";
import { oneLine } from "./text.ts";

export interface LegendItem {
  text: string;
  colour: string;
  symbol?: string; // a name of Plot's; "line", "dashed" and "dotted" are lines
  hollow?: boolean;
}
export interface FigureOptions {
  id: string;
  title: string;
  lead: string; // one or two sentences: what is drawn
  controls?: HTMLElement[];
  // For whoever cannot see it: what there is and how much of it.
  describe: () => string;
  draw: (width: number) => SVGElement | null;
  legend?: () => LegendItem[];
  contexts?: () => ContextInfo[];
  beside?: boolean; // legends beside the drawing where there is room
  facts?: () => string[]; // figures in words, below the drawing
  tables: () => TableOptions[];
}
export interface Figure {
  element: HTMLElement;
  redraw: () => void;
}

const SVG = "http://www.w3.org/2000/svg";
const WIDEST = 1080;

// Plot names its groups by attributes that ARIA does not allow there; the image has its own name.
function dropGroupNames(svg: SVGElement): void {
  for (const group of svg.querySelectorAll("g[aria-label], g[aria-description]")) {
    group.removeAttribute("aria-label");
    group.removeAttribute("aria-description");
  }
}

function legendMark(item: LegendItem): SVGElement {
  const isLine = item.symbol === "line" || item.symbol === "dashed" || item.symbol === "dotted";
  const mark = isLine
    ? Plot.ruleY([0], { stroke: item.colour, strokeWidth: item.symbol === "line" ? 2.5 : 1.5, strokeDasharray: item.symbol === "dashed" ? "5 3" : item.symbol === "dotted" ? "1.5 3" : undefined })
    : Plot.dot([0], { x: 0, y: 0, r: 5, symbol: (item.symbol ?? "circle") as Plot.SymbolType, fill: item.hollow ? "var(--surface)" : item.colour, stroke: item.colour, strokeWidth: 1.75 });
  const svg = Plot.plot({ width: 24, height: 16, margin: 0, axis: null, x: { domain: [-1, 1] }, y: { domain: [-1, 1] }, marks: [mark] }) as SVGElement;
  svg.setAttribute("aria-hidden", "true");
  dropGroupNames(svg);
  return svg;
}

function legendView(items: LegendItem[]): HTMLElement {
  return h("ul", { class: "legend" }, ...items.map((item) => h("li", {}, legendMark(item), h("span", {}, item.text))));
}

// Names of prompts with their text: no figure has coded labels only.
export function contextLegend(contexts: ContextInfo[]): HTMLElement {
  const list = h("dl", { class: "prompts" });
  for (const context of contexts) {
    list.append(h("dt", {}, context.name), h("dd", { dir: "auto" }, oneLine(context.text, 240)));
  }
  return h("details", { class: "prompt-key", open: contexts.length <= 8 }, h("summary", {}, `Prompts in this figure (${contexts.length})`), list);
}

// The drawing alone, with the colours that it has now.
function standalone(svg: SVGElement): string {
  const copy = svg.cloneNode(true) as SVGElement;
  const style = getComputedStyle(document.documentElement);
  const background = document.createElementNS(SVG, "rect");
  background.setAttribute("width", "100%");
  background.setAttribute("height", "100%");
  background.setAttribute("fill", "var(--surface)");
  copy.prepend(background);
  copy.setAttribute("xmlns", SVG);
  copy.setAttribute("color", "var(--ink)");
  copy.setAttribute("font-family", "sans-serif");
  return new XMLSerializer().serializeToString(copy)
    .replace(/var\((--[\w-]+)\)/g, (_, name: string) => style.getPropertyValue(name).trim() || "currentColor");
}

export function figureView(options: FigureOptions): Figure {
  const drawing = h("div", { class: "drawing" });
  const below = h("div", { class: "below" });
  const tables = h("div", { class: "tables" });
  const titleId = `${options.id}-title`;
  const saveSvg = h("button", { type: "button", "aria-label": `Save the figure ${options.title} as SVG` }, "SVG");
  saveSvg.addEventListener("click", () => {
    const svg = drawing.querySelector("svg");
    if (svg) download(`${options.id}.svg`, "image/svg+xml", standalone(svg));
  });
  const bar = h("div", { class: "controls" }, ...(options.controls ?? []), h("span", { class: "savers" }, saveSvg));
  const element = h("section", { class: options.beside ? "figure beside" : "figure", id: options.id, "aria-labelledby": titleId },
    h("h3", { id: titleId }, options.title), h("p", { class: "lead" }, options.lead), bar, drawing, below, tables);
  let width = 0;

  function draw(): void {
    const svg = width > 0 ? options.draw(width) : null;
    if (svg) {
      label(svg);
      drawing.replaceChildren(svg);
      // What is wider than its room can be scrolled, by the keyboard, too.
      if (Number(svg.getAttribute("width")) > width) drawing.tabIndex = 0;
      else drawing.removeAttribute("tabindex");
    } else if (width > 0) {
      drawing.replaceChildren(h("p", { class: "empty" }, "Nothing to draw: the study has no such figures."));
    }
    saveSvg.hidden = svg === null;
  }

  function label(svg: SVGElement): void {
    const title = document.createElementNS(SVG, "title");
    const description = document.createElementNS(SVG, "desc");
    title.id = `${options.id}-svg-title`;
    description.id = `${options.id}-svg-description`;
    title.textContent = options.title;
    description.textContent = options.describe();
    dropGroupNames(svg);
    svg.prepend(title, description);
    svg.setAttribute("role", "img");
    svg.removeAttribute("aria-label");
    svg.setAttribute("aria-labelledby", title.id);
    svg.setAttribute("aria-describedby", description.id);
  }

  function redraw(): void {
    draw();
    below.replaceChildren();
    const legend = options.legend?.() ?? [];
    if (legend.length > 0) below.append(legendView(legend));
    const facts = options.facts?.() ?? [];
    if (facts.length > 0) below.append(h("ul", { class: "facts" }, ...facts.map((fact) => h("li", {}, fact))));
    const contexts = options.contexts?.() ?? [];
    if (contexts.length > 0) below.append(contextLegend(contexts));
    tables.replaceChildren();
    append(tables, options.tables().map(foldedTable));
  }

  redraw();
  new ResizeObserver((entries) => {
    const room = Math.min(WIDEST, Math.floor(entries[0]?.contentRect.width ?? 0));
    if (room === width || room === 0) return;
    width = room;
    draw();
  }).observe(drawing);
  return { element, redraw };
}

// Calls `pick` with what is under the pointer when the drawing is clicked. The marks' data come from a
// Plot.pointer transform.
export function onPick<T>(svg: SVGElement, pick: (datum: T) => void): void {
  svg.classList.add("pickable");
  svg.addEventListener("click", () => {
    const datum = (svg as unknown as { value?: T | null }).value;
    if (datum) pick(datum);
  });
}
