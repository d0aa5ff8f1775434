import assert from "node:assert/strict";
import { before, test } from "node:test";
import { makeDocument, makePage } from "../sample/generate.ts";
import { K } from "../sample/world.ts";
import { type ReportDocument, readDocument, rowsOf } from "../src/document.ts";
import { Model, lastComponent } from "../src/model.ts";
import { contextParts, contextText } from "../src/prompt.ts";

let document: ReportDocument;
let model: Model;
before(() => {
  document = makeDocument("small");
  model = new Model(document);
});

test("what is not a document is refused, with the reason", () => {
  assert.throws(() => readDocument("{}"), /format: expected "jenner-report"/);
  assert.throws(() => readDocument(JSON.stringify({ ...document, version: 2 })), /version: expected 1; found 2/);
  const { levels: _, ...rest } = document.study;
  assert.throws(() => readDocument(JSON.stringify({ ...document, study: rest })), /study\.levels: expected a list/);
  assert.throws(() => readDocument(JSON.stringify({ ...document, samples: null })), /samples: expected it to be there/);
});

test("flat tables: nested fields, entries of lists, text of lists, what is not there", () => {
  const columns = [
    { name: "arm", type: "string" as const }, { name: "e.value", type: "float64" as const }, { name: "seed", type: "int64" as const }, { name: "others", type: "string" as const },
    { name: "points.arm", type: "string" as const }, { name: "points.x", type: "float64" as const },
  ];
  const rows = [{ arm: "a", e: { value: 0.5 }, seed: "7", others: ["x", "y"], cell: { points: [{ arm: "b", x: "NaN" }, { arm: "c", x: 1 }] } }, { arm: "d", seed: "8", others: [], cell: { points: [] } }];
  const made = { ...document, study: { ...document.study, rows } };
  assert.deepEqual(rowsOf(made, { name: "t", rows: "study.rows", each: "cell.points", columns }), [
    { arm: "a", "e.value": 0.5, seed: 7, others: "x; y", "points.arm": "b", "points.x": null }, { arm: "a", "e.value": 0.5, seed: 7, others: "x; y", "points.arm": "c", "points.x": 1 },
  ]);
  assert.deepEqual(rowsOf(made, { name: "t", rows: "study.rows", each: "", columns: columns.slice(0, 4) })[1], { arm: "d", "e.value": null, seed: 8, others: "" });
  assert.deepEqual(rowsOf(made, { name: "t", rows: "study.absent", each: "", columns }), []);
});

test("samples: defaults that the document leaves out, arms of the job, scores as columns", () => {
  const job = document.experiment.jobs[1];
  const made = { ...document, samples: [{ job: job?.name, scores: [{ trait: "spanish", value: 0 }, { trait: "capitals" }] }] };
  const table = document.tables.find((one) => one.name === "samples");
  const row = table && rowsOf(made, table)[0];
  assert.deepEqual([row?.step, row?.answer, row?.degenerate, row?.arms, row?.["score.spanish"], row?.["score.capitals"]], [0, "", false, job?.arms.join("; "), 0, null]);
});

test("each level is the mean of the answers behind it", () => {
  let compared = 0;
  for (const level of model.levels) {
    const job = new Set([...model.jobs].filter(([, one]) => (one.arms ?? []).some((name) => name.startsWith(`${level.arm}/`))).map(([id]) => id));
    const scores = model.samples.filter((sample) => job.has(lastComponent(sample.job)) && sample.step === level.step && sample.prompt_set === level.set && sample.context === level.context).map((sample) => sample[`score.${level.trait}`]);
    const measured = scores.filter((score) => score !== null) as number[];
    assert.equal(scores.length, level.answers);
    assert.equal(scores.length - measured.length, level.invalid);
    assert.ok(Math.abs(measured.reduce((sum, score) => sum + score, 0) / measured.length - (level.mean ?? NaN)) < 1e-12);
    compared++;
  }
  assert.ok(compared > 200);
});

test("a training that goes on from an arm begins at that arm's last level", () => {
  const [first, second] = model.trainedArms.map((arm) => arm.name);
  const staged = new Model({ ...document, study: { ...document.study, arms: document.study.arms.map((arm) => (arm.name === second ? { ...arm, after: first ?? "" } : arm)) } });
  const measure = model.measures[0]?.key ?? "";
  const context = model.neutral ?? "";
  const last = model.finalLevels(measure).find((level) => level.arm === first && level.context === context);
  assert.ok(last && last.step > 0);
  assert.equal(staged.initialLevel(second ?? "", measure, context)?.mean, last.mean);
  assert.equal(staged.initialLevel(first ?? "", measure, context)?.mean, model.baseLevel(measure, context)?.mean);
});

test("the sample's k is near what it was made with", () => {
  for (const [trait, truth] of Object.entries(K)) {
    const k = document.study.proportionality.find((one) => one.trait === trait && one.arm === "")?.slope.value ?? NaN;
    assert.ok(Math.abs(k - truth) < 0.12, `${trait}: ${k}`);
  }
});

test("prompts: unset, empty and given system messages are three things", () => {
  assert.deepEqual(contextParts({}), []);
  assert.deepEqual(contextParts({ system: "" }), [{ what: "empty system message", text: "" }]);
  assert.deepEqual(contextParts({ system: "S", user_suffix: "x", few_shot: [1], user_prefix: "" }), [
    { what: "system message", text: "S" }, { what: "after the user turn", text: "x" }, { what: "few shot", text: "[1]" },
  ]);
  assert.equal(contextText(contextParts({ variants: { field: "system", texts: ["a", "b"] } })), "2 variants of its system");
  assert.deepEqual(contextParts({ no_system: true }), [{ what: "no system message at all", text: "" }]);
  assert.equal(model.pairLabel("inoculated", "neutral"), "speak-spanish / neutral");
  assert.equal(model.pairLabel("base", "neutral"), "not trained / neutral");
});

test("nothing in a document ends the element that it is in", () => {
  const page = makePage("<script>@DOCUMENT@</script>", makeDocument("hostile"));
  assert.equal(page.match(/<\/script/g)?.length, 1);
  assert.equal(page.match(/<!--/g), null);
  const inside = page.slice("<script>".length, -"</script>".length);
  assert.doesNotMatch(inside, /[<\u2028\u2029]/);
  assert.ok(readDocument(inside).tables.length > 5);
});
