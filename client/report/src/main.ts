// The page of a study: reads the document that is in it and draws.
import { readDocument } from "./document.ts";
import { h } from "./dom.ts";
import type { Figure } from "./figure.ts";
import { lossFigure, trajectoriesFigure } from "./figure_curves.ts";
import { contrastsFigure, effectsFigure, ratiosFigure, screenFigure } from "./figure_effects.ts";
import { levelsFigure } from "./figure_levels.ts";
import { matrixFigure } from "./figure_matrix.ts";
import { scatterFigure } from "./figure_scatter.ts";
import { associationFigure, decompositionFigure, slopeFigure } from "./figure_theory.ts";
import type { Pick } from "./figures_common.ts";
import { Model, lastComponent } from "./model.ts";
import { gates, head, notes, prompts, runs } from "./page.ts";
import { sampleBrowser } from "./samples.ts";

function contents(figures: Figure[]): HTMLElement {
  const entries = [
    ["prompts", "Prompts"], ["gates", "Gates"],
    ...figures.map((figure) => [figure.element.id, figure.element.querySelector("h3")?.textContent ?? ""]),
    ["answers", "Answers"], ["runs", "Runs and spec"],
  ];
  return h("nav", { class: "contents", "aria-label": "Contents" }, h("ul", {}, ...entries.map(([id, text]) => h("li", {}, h("a", { href: `#${id}` }, text)))));
}

function build(text: string): void {
  const model = new Model(readDocument(text));
  document.title = `${lastComponent(model.document.experiment.name)} · Jenner`;
  const browser = sampleBrowser(model);
  const pick = (wanted: Pick) => browser.show({
    arm: wanted.arm, seed: wanted.seed === null || wanted.seed === undefined ? "" : String(wanted.seed),
    step: wanted.step === null || wanted.step === undefined ? "" : String(wanted.step), set: wanted.set ?? "", context: wanted.context ?? "", trait: wanted.trait ?? "",
  });
  const screen = screenFigure(model, pick);
  // A study without trained arms has no effects to show.
  const isTrained = model.trainedArms.length > 0;
  const figures = [
    ...(screen ? [screen] : []), levelsFigure(model, pick), ...(model.measures.length > 1 ? [scatterFigure(model, pick)] : []),
    ...(isTrained ? [effectsFigure(model, pick), contrastsFigure(model, pick), associationFigure(model, pick), slopeFigure(model, pick), ratiosFigure(model), decompositionFigure(model, pick)] : []),
    matrixFigure(model, pick), ...(isTrained ? [trajectoriesFigure(model, pick), lossFigure(model)] : []),
  ];
  const main = h("main", { id: "main", tabindex: -1 });
  main.append(prompts(model), gates(model),
    h("section", { id: "figures", "aria-labelledby": "figures-title" }, h("h2", { id: "figures-title" }, "Figures"), ...figures.map((figure) => figure.element)),
    browser.element, runs(model, (job) => browser.show({ job })));
  const about = notes(model);
  document.body.replaceChildren(h("a", { href: "#main", class: "skip" }, "Skip to the content"), head(model), ...(about ? [about] : []), contents(figures), main);
  document.body.dataset.ready = "true";
}

const source = document.getElementById("document")?.textContent ?? "";
try {
  build(source);
} catch (error) {
  document.body.replaceChildren(h("main", {}, h("h1", {}, "This report cannot be shown"), h("p", {}, error instanceof Error ? error.message : String(error))));
  throw error;
}
