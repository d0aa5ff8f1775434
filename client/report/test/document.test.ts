import assert from "node:assert/strict";
import { before, test } from "node:test";
import { makeDocument, makePage } from "../sample/generate.ts";
import { K } from "../sample/world.ts";
import { type ReportDocument, readDocument, rowsOf } from "../src/document.ts";
import { Model, contextParts } from "../src/model.ts";

let document: ReportDocument;
let model: Model;
before(() => {
  document = makeDocument("small");
  model = new Model(document);
});

test("what is not a document is refused, with the reason", () => {
  assert.throws(() => readDocument("{}"), /format: expected "jenner-report"/);
  assert.throws(() => readDocument(JSON.stringify({ ...document, version: 2 })), /version: expected 1; found 2/);
  const cut = { ...document, tables: [{ name: "levels", columns: [] }] };
  assert.throws(() => readDocument(JSON.stringify(cut)), /table levels: no column arm/);
  assert.throws(() => rowsOf({ name: "t", columns: [{ name: "a", type: "int64", values: [1] }, { name: "b", type: "int64", values: [] }] }), /column b has 0 rows; expected 1/);
});

test("dictionaries give back the values", () => {
  assert.deepEqual(rowsOf({ name: "t", columns: [{ name: "a", type: "string", dictionary: ["x", "y"], codes: [1, -1, 0] }] }), [{ a: "y" }, { a: null }, { a: "x" }]);
});

test("each level is the mean of the answers behind it", () => {
  let compared = 0;
  for (const level of model.levels) {
    const job = new Set([...model.jobs].filter(([, one]) => (one.arms ?? []).some((name) => name.startsWith(`${level.arm}/`))).map(([id]) => id));
    const scores = model.samples.filter((sample) => job.has(sample.job) && sample.step === level.step && sample.context === level.context).map((sample) => sample[`score.${level.trait}`]);
    const measured = scores.filter((score) => score !== null) as number[];
    assert.equal(scores.length, level.answers);
    assert.equal(scores.length - measured.length, level.invalid);
    assert.ok(Math.abs(measured.reduce((sum, score) => sum + score, 0) / measured.length - (level.mean ?? NaN)) < 1e-12);
    compared++;
  }
  assert.ok(compared > 200);
});

test("the sample's k is near what it was made with", () => {
  for (const [trait, truth] of Object.entries(K)) {
    const k = model.slopes().find((slope) => slope.trait === trait)?.k ?? NaN;
    assert.ok(Math.abs(k - truth) < 0.12, `${trait}: ${k}`);
  }
});

test("prompts: unset, empty and given system messages are three things", () => {
  assert.deepEqual(contextParts({}), []);
  assert.deepEqual(contextParts({ system: "" }), [{ what: "empty system message", text: "" }]);
  assert.deepEqual(contextParts({ system: "S", user_suffix: "x", few_shot: [1], user_prefix: "" }), [
    { what: "system message", text: "S" }, { what: "after the user turn", text: "x" }, { what: "few shot", text: "[1]" },
  ]);
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
