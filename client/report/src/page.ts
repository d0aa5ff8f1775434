// What stands around the figures: head, notes, gates, prompts, runs.
import { toCsv } from "./csv.ts";
import type { Row } from "./document.ts";
import { download, h } from "./dom.ts";
import { count } from "./format.ts";
import { type Model, lastComponent } from "./model.ts";
import { foreign } from "./samples.ts";
import { foldedTable, tableView } from "./table.ts";

type Theme = "light" | "dark";

export function themeToggle(): HTMLElement {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const current = (): Theme => (document.documentElement.dataset.theme as Theme | undefined) ?? (dark.matches ? "dark" : "light");
  const button = h("button", { type: "button", class: "theme" });
  const label = () => {
    button.textContent = current() === "dark" ? "Light colours" : "Dark colours";
  };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = current() === "dark" ? "light" : "dark";
    label();
  });
  dark.addEventListener("change", label);
  label();
  return button;
}

function saveAll(model: Model, kind: "csv" | "json"): void {
  const name = lastComponent(model.document.experiment.name);
  if (kind === "json") {
    const tables = Object.fromEntries(model.document.tables.map((table) => [table.name, model.rows(table.name)]));
    download(`${name}.json`, "application/json", JSON.stringify({ experiment: model.document.experiment, notes: model.study.notes, tables }, null, 1));
    return;
  }
  for (const table of model.document.tables) {
    download(`${name}-${table.name}.csv`, "text/csv", toCsv(table.columns.map((column) => column.name), model.rows(table.name)));
  }
}

function fact(name: string, value: string): HTMLElement {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

// "50", or by set where there are several.
function promptCounts(model: Model): string {
  const counts = new Map(model.sets.map((set) => [set, 0]));
  for (const { prompt_set: set } of model.document.prompts) counts.set(set, (counts.get(set) ?? 0) + 1);
  const all = [...counts].filter(([, n]) => n > 0);
  return all.length === 0 ? "–" : all.map(([set, n]) => (all.length > 1 ? `${n} ${set}` : String(n))).join(", ");
}

export function head(model: Model): HTMLElement {
  const { experiment, generated, num_samples: numSamples } = model.document;
  const { spec } = experiment;
  const state = experiment.state.replace(/^STATE_/, "").toLowerCase();
  return h("header", {},
    h("div", { class: "row" }, h("p", { class: "kind" }, "Jenner · inoculation prompting study"), themeToggle()),
    h("h1", {}, lastComponent(experiment.name)),
    h("dl", { class: "about" },
      fact("State", state), fact("Base model", spec.base_model), fact("Arms", String(model.arms.length)), fact("Seeds", spec.seeds.join(", ")),
      fact("Prompts", promptCounts(model)), fact("Answers", numSamples.toLocaleString("en-US")),
      fact("Intervals", `${model.study.confidence * 100} %; bootstraps of ${model.study.resamples.toLocaleString("en-US")}`),
      fact("Spec", experiment.spec_sha256 ? `sha256 ${experiment.spec_sha256.slice(0, 16)}` : "–"),
      fact("Made", `${generated.time} by jenner ${generated.jenner_version}`)),
    h("p", { class: "savers" }, "Save all tables: ",
      h("button", { type: "button", onclick: () => saveAll(model, "csv"), "aria-label": "Save all tables as CSV files" }, "CSV"),
      h("button", { type: "button", onclick: () => saveAll(model, "json"), "aria-label": "Save all tables as one JSON file" }, "JSON")));
}

// What the service says of the figures as a whole: before any of them.
export function notes(model: Model): HTMLElement | null {
  const all = [...model.document.notes, ...model.study.notes];
  const state = model.document.experiment.state;
  if (state !== "STATE_SUCCEEDED") all.unshift(`The experiment is ${state.replace(/^STATE_/, "").toLowerCase()}: figures are of what there is so far.`);
  if (all.length === 0) return null;
  return h("section", { class: "notes", "aria-labelledby": "notes-title" }, h("h2", { id: "notes-title" }, "Read this first"),
    h("ul", {}, ...all.map((text) => h("li", {}, text))));
}

export function gates(model: Model): HTMLElement {
  const failed = model.rows("gate_failures");
  const invalid = model.levels.filter((level) => level.invalid > 0).sort((a, b) => b.invalid / b.answers - a.invalid / a.answers);
  const answers = invalid.reduce((sum, level) => sum + level.invalid, 0);
  const odd = new Map<string, Row>(); // by job, step, set and context, for arms share cells
  for (const { arm, step, prompt_set: set, context, cell } of model.document.results) {
    if (cell.num_degenerate > 0 || cell.num_truncated > 0) {
      odd.set([cell.job, step, set, context].join("\n"), { arm, step, set, context, degenerate: cell.num_degenerate, cut: cell.num_truncated, answers: cell.num_samples });
    }
  }
  const columns = model.columnsOf("gate_failures").map((name) => ({ name, format: name === "gate" ? (row: Row) => String(row.gate).replace("GATE_", "").toLowerCase().replaceAll("_", " ") : undefined }));
  return h("section", { id: "gates", "aria-labelledby": "gates-title" }, h("h2", { id: "gates-title" }, "Gates and invalid answers"),
    h("p", { class: "lead" }, `${failed.length === 0 ? "No gate" : count(failed.length, "gate")} failed. ${count(answers, "score")} in ${count(invalid.length, "level")} could not be measured. Nothing is dropped: the figures mark these.`),
    failed.length > 0 ? tableView({ name: "gate_failures", caption: "Failed gates", columns, rows: failed }) : null,
    ...[
      { name: "invalid", caption: "Levels with answers that could not be measured", columns: ["arm", "step", "set", "context", "trait", "invalid", "answers"].map((name) => ({ name })), rows: invalid as unknown as Row[] },
      { name: "odd_answers", caption: "Cells with degenerate answers (empty or repeated text) or answers cut at the limit of tokens", columns: ["arm", "step", "set", "context", "degenerate", "cut", "answers"].map((name) => ({ name })), rows: [...odd.values()] },
    ].filter((table) => table.rows.length > 0).map(foldedTable));
}

export function prompts(model: Model): HTMLElement {
  const list = h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": "Table of prompts" });
  const body = h("tbody");
  for (const context of model.contexts) {
    const parts = context.parts.length === 0 ? [h("p", {}, "nothing: the chat template's own default")] : context.parts.flatMap(({ what, text }) => [h("p", { class: "part" }, what), text ? foreign(text, "") : null]);
    const arms = model.arms.filter((arm) => arm.trainContext === context.name).map((arm) => arm.name);
    const roles = [context.isNeutral ? "neutral evaluation prompt" : "", arms.length > 0 ? `train prompt of ${arms.join(", ")}` : ""].filter((role) => role !== "");
    body.append(h("tr", { id: `prompt-${context.index}` }, h("th", { scope: "row" }, context.name), h("td", {}, ...parts), h("td", {}, roles.join("; ") || "evaluation prompt")));
  }
  list.append(h("table", { class: "prompt-table" }, h("caption", {}, "Prompts: name, full text, role"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "name"), h("th", { scope: "col" }, "text"), h("th", { scope: "col" }, "role"))), body));
  return h("section", { id: "prompts", "aria-labelledby": "prompts-title" }, h("h2", { id: "prompts-title" }, "Prompts"),
    h("p", { class: "lead" }, "What surrounds the task, in training and in evaluation. Figures name a pair “train prompt / evaluation prompt”."), list);
}

export function runs(model: Model, show: (job: string) => void): HTMLElement {
  const rows = [...model.jobs].map(([id, job]) => ({
    job: id, arms: job.arms.join(", "), state: job.state.replace(/^STATE_/, "").toLowerCase(), attempt: job.attempt, steps: job.total_steps,
    workers: job.workers.join(", "), reason: [job.state_reason?.code, job.state_reason?.message].filter(Boolean).join(": "),
    artifacts: job.artifacts.map((one) => `${one.path} sha256 ${one.sha256}`).join("; "),
  }));
  const shortened = (row: Row) => {
    const arms = String(row.arms).split(", ");
    return arms.length > 3 ? `${arms.slice(0, 3).join(", ")} and ${arms.length - 3} more` : String(row.arms);
  };
  const columns = ["job", "arms", "state", "attempt", "steps", "workers", "reason", "artifacts"].map((name) => (name === "arms" ? { name, format: shortened } : { name }));
  return h("section", { id: "runs", "aria-labelledby": "runs-title" }, h("h2", { id: "runs-title" }, "Runs and spec"),
    tableView({ name: "runs", caption: "Jobs of the experiment", columns, rows, onPick: (row) => show(String(row.job)) }),
    h("details", { class: "folded" }, h("summary", {}, "The resolved spec"), h("pre", { class: "spec", tabindex: 0 }, JSON.stringify(model.document.experiment.spec, null, 2))));
}
