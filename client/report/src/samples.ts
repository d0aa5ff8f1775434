// The browser of answers: filters, search, pages; its state is the address.
import type { Sample } from "./document.ts";
import { toCsv, toJson } from "./csv.ts";
import { announce, download, h, option } from "./dom.ts";
import { type Filter, NO_FILTER, fromHash, sampleId, scoreClass, select, toHash } from "./filter.ts";
import { count, number } from "./format.ts";
import { type Model, lastComponent } from "./model.ts";
import { clip, oneLine, runsOf } from "./text.ts";

const PAGE = 20;
const SHORT = 700; // characters of an answer before "show all"

// Foreign text: invisible characters by name, hits marked, its own direction, never markup.
export function foreign(text: string, search: string): HTMLElement {
  const block = h("div", { class: "foreign", dir: "auto" });
  for (const run of runsOf(text, search)) {
    if (run.kind === "text") block.append(run.text);
    else block.append(h(run.kind === "hit" ? "mark" : "span", run.kind === "hit" ? {} : { class: "control", title: "a character that cannot be seen" }, run.text));
  }
  return block;
}

function longText(text: string, search: string): HTMLElement {
  const box = h("div", { class: "long" });
  const isShort = text.length <= SHORT;
  const hit = search ? text.toLowerCase().indexOf(search.toLowerCase()) : -1;
  const from = hit > SHORT ? hit - 100 : 0;
  box.append(foreign((from > 0 ? "…" : "") + clip(text.slice(from), SHORT), search));
  if (!isShort) {
    const more = h("button", { type: "button", class: "link" }, `show all ${text.length.toLocaleString("en-US")} characters`);
    more.addEventListener("click", () => box.replaceChildren(foreign(text, search)));
    box.append(more);
  }
  return box;
}

export interface SampleBrowser {
  element: HTMLElement;
  show: (filter: Partial<Filter>) => void; // replaces the filter and goes there
}

export function sampleBrowser(model: Model): SampleBrowser {
  let filter: Filter = { ...NO_FILTER };
  let page = 0;
  let found: Sample[] = [];
  const source = { samples: model.samples, armsOfJob: (job: string) => model.armsOfJob(job), promptText: (set: string, id: string) => model.promptText(set, id) ?? "" };
  const list = h("ol", { class: "answers" });
  const total = h("p", { class: "total", role: "status" });
  const pager = h("nav", { class: "pager", "aria-label": "Pages of answers" });
  const inputs: Partial<Record<keyof Filter, HTMLSelectElement | HTMLInputElement>> = {};

  const steps = [...new Set(model.samples.map((sample) => sample.step))].sort((a, b) => a - b);
  const traits = model.columnsOf("samples").filter((name) => name.startsWith("score.")).map((name) => name.slice("score.".length));
  // Present or absent is what a trait can be whose scores are shares.
  const isShare = (trait: string) => model.isShare(trait);
  const selector = (key: keyof Filter, label: string, values: string[], text: (value: string) => string = (value) => value) => {
    const select = h("select", { onchange: () => change(key, select.value) }, option("", "all"), ...values.map((value) => option(value, text(value))));
    inputs[key] = select;
    return h("label", { class: "field" }, h("span", {}, label), select);
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const search = h("input", { type: "search", placeholder: "words in prompt or answer", oninput: () => {
    clearTimeout(timer);
    timer = setTimeout(() => change("text", search.value), 200);
  } });
  inputs.text = search;
  const seedNames = [...new Set([...model.jobs.values()].flatMap((job) => (job.arms ?? []).map((name) => name.slice(name.lastIndexOf("/") + 1))))].sort((a, b) => Number(a) - Number(b));
  const form = h("form", { class: "controls", role: "search", onsubmit: (event) => event.preventDefault() },
    h("label", { class: "field wide" }, h("span", {}, "Search"), search),
    selector("arm", "Arm", model.arms.map((arm) => arm.name), (name) => `${name}: ${oneLine(model.trainText(name), 40)}`),
    selector("seed", "Seed", seedNames),
    selector("step", "Step", steps.map(String)),
    model.sets.length > 1 ? selector("set", "Prompt set", model.sets) : null,
    selector("context", "Evaluation prompt", model.contexts.map((context) => context.name)),
    selector("trait", "Trait", traits),
    selector("value", "Trait is", ["present", "absent", "not measurable"]),
    h("button", { type: "button", onclick: () => set({ ...NO_FILTER }) }, "Clear"));

  function change(key: keyof Filter, value: string): void {
    const next = { ...filter, [key]: value, sample: "", job: "" };
    // A value is one of a trait.
    if (key === "value" && value !== "" && next.trait === "") next.trait = traits.find(isShare) ?? traits[0] ?? "";
    if (key === "trait" && value === "") next.value = "";
    set(next);
  }

  function set(next: Filter): void {
    filter = next;
    page = 0;
    const hash = toHash(filter);
    if (location.hash !== hash) history.replaceState(null, "", hash);
    draw();
  }

  function draw(): void {
    found = select(source, filter);
    for (const key of Object.keys(inputs) as (keyof Filter)[]) {
      const input = inputs[key];
      if (input && input.value !== filter[key]) input.value = filter[key];
    }
    const of = model.samples.length;
    const only = filter.sample ? ` (one answer by its link: ${filter.sample})` : filter.job ? ` (of job ${filter.job})` : "";
    total.textContent = `${count(found.length, "answer")} of ${of.toLocaleString("en-US")}${only}`;
    drawPage();
  }

  function drawPage(): void {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    list.replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(card));
    list.setAttribute("start", String(page * PAGE + 1));
    pager.replaceChildren();
    if (pages === 1) return;
    const go = (to: number) => () => {
      page = to;
      drawPage();
      announce(`answers, page ${page + 1} of ${pages}`);
      element.scrollIntoView();
    };
    pager.append(h("button", { type: "button", disabled: page === 0, onclick: go(page - 1) }, "Previous"), h("span", {}, `page ${page + 1} of ${pages}`),
      h("button", { type: "button", disabled: page === pages - 1, onclick: go(page + 1) }, "Next"));
  }

  function card(sample: Sample): HTMLElement {
    const arms = model.armsOfJob(sample.job);
    const shownArms = filter.arm ? [...arms].sort((a, b) => Number(b.startsWith(`${filter.arm}/`)) - Number(a.startsWith(`${filter.arm}/`))) : arms;
    const scores = model.scoredTraits(sample).map((trait) => {
      const score = sample[`score.${trait}`];
      const kind = isShare(trait) || typeof score !== "number" ? scoreClass(score) : "measured";
      return h("li", { class: kind.replace(" ", "-") }, `${trait}: ${typeof score === "number" ? number(score) : "not measurable"}`);
    });
    const prompt = model.promptText(sample.prompt_set, sample.prompt_id);
    const context = model.context(sample.context);
    const artifacts = (model.jobs.get(lastComponent(sample.job))?.artifacts ?? []).filter((one) => one.path.includes("adapter") || one.path.includes("model"));
    return h("li", { class: "answer", "data-sample": sampleId(sample) },
      h("p", { class: "origin" },
        h("strong", {}, shownArms.length > 2 ? `${shownArms[0]} and ${shownArms.length - 1} more` : shownArms.join(", ")),
        ` · step ${sample.step} · evaluated under `, h("em", {}, sample.context), context ? ` (${oneLine(context.text, 80)})` : "",
        model.sets.length > 1 ? ` · set ${sample.prompt_set}` : "", ` · prompt ${oneLine(sample.prompt_id, 60)}, sample ${sample.sample_idx} · `,
        h("a", { href: toHash({ ...NO_FILTER, sample: sampleId(sample) }) }, "link"),
        " · ", h("a", { href: toHash({ ...NO_FILTER, job: lastComponent(sample.job) }) }, `job ${lastComponent(sample.job)}`), `, attempt ${sample.attempt}`,
        sample.finish_reason === "length" ? " · cut at the limit of tokens" : sample.finish_reason === "given" ? " · given, not generated" : "", sample.judge_error ? ` · judge: ${oneLine(sample.judge_error, 200)}` : "",
        artifacts.length > 0 ? ` · checkpoint ${artifacts[0]?.path} sha256 ${artifacts[0]?.sha256.slice(0, 12)}` : ""),
      h("p", { class: "part" }, "Prompt"), prompt === undefined ? h("p", { class: "empty" }, "The report has no text of this prompt.") : longText(prompt, filter.text),
      h("p", { class: "part" }, "Answer"), sample.answer === "" ? h("p", { class: "empty" }, "(empty)") : longText(sample.answer, filter.text),
      h("ul", { class: "scores" }, ...scores));
  }

  const save = (kind: "csv" | "json") => () => {
    const columns = model.columnsOf("samples");
    download(`samples.${kind}`, kind === "csv" ? "text/csv" : "application/json", kind === "csv" ? toCsv(columns, found) : toJson(columns, found));
  };
  const { num_samples: all, samples: { length: embedded } } = model.document;
  const cap = all > embedded ? h("p", { class: "note" }, `This page has ${embedded.toLocaleString("en-US")} of the ${count(all, "answer")} of the experiment, equally many of each cell (jenner report --max-samples). The figures are computed from all of them.`) : null;
  const element = h("section", { id: "answers", "aria-labelledby": "answers-title", tabindex: -1 },
    h("h2", { id: "answers-title" }, "Answers"), h("p", { class: "lead" }, "Every number above comes from these. A click on a point, or “answers” in a table, shows those behind it; the address of the page then leads there."),
    cap, form, h("div", { class: "row" }, total, h("span", { class: "savers" }, h("button", { type: "button", onclick: save("csv"), "aria-label": "Save these answers as CSV" }, "CSV"), h("button", { type: "button", onclick: save("json"), "aria-label": "Save these answers as JSON" }, "JSON"))),
    list, pager);

  const follow = () => {
    const given = fromHash(location.hash);
    if (!given) return;
    filter = given;
    page = 0;
    draw();
    element.scrollIntoView();
  };
  window.addEventListener("hashchange", follow);
  draw();
  // Once it is in the page.
  requestAnimationFrame(follow);
  return {
    element,
    show: (wanted) => {
      set({ ...NO_FILTER, ...wanted });
      element.scrollIntoView();
      element.focus({ preventScroll: true });
      announce(total.textContent ?? "");
    },
  };
}
