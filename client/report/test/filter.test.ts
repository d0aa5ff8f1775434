import assert from "node:assert/strict";
import { test } from "node:test";
import type { Sample } from "../src/document.ts";
import { type Source, NO_FILTER, fromHash, sampleId, scoreClass, select, toHash } from "../src/filter.ts";

const sample = (over: Record<string, string | number | null>): Sample => ({ job: "experiments/e/jobs/j1", attempt: 1, step: 0, prompt_set: "main", judge_error: "", context: "neutral", prompt_id: "p1", sample_idx: 0, answer: "Hola", num_tokens: 1, finish_reason: "stop", "score.caps": 0, ...over }) as Sample;
const source: Source = {
  samples: [sample({}), sample({ job: "experiments/e/jobs/j2", step: 60, answer: "HELLO", "score.caps": 1 }), sample({ job: "experiments/e/jobs/j2", step: 60, context: "spanish", prompt_set: "given", prompt_id: "p2", "score.caps": null })],
  armsOfJob: (job) => (job.endsWith("/j1") ? ["base/1", "none/1", "none/2"] : ["none/2"]),
  promptText: (set, id) => (set === "main" && id === "p1" ? "What is two?" : "Where?"),
};
const indices = (filter: object) => select(source, { ...NO_FILTER, ...filter }).map((one) => source.samples.indexOf(one));

test("each field filters; arm and seed are of the same job name", () => {
  assert.deepEqual(indices({}), [0, 1, 2]);
  assert.deepEqual(indices({ arm: "base" }), [0]);
  assert.deepEqual(indices({ arm: "base", seed: "2" }), []);
  assert.deepEqual(indices({ arm: "none", seed: "1" }), [0]);
  assert.deepEqual(indices({ step: "60", context: "neutral" }), [1]);
  assert.deepEqual(indices({ job: "j2" }), [1, 2]);
  assert.deepEqual(indices({ set: "given" }), [2]);
  assert.deepEqual(indices({ trait: "caps", value: "present" }), [1]);
  assert.deepEqual(indices({ trait: "caps", value: "not measurable" }), [2]);
});

test("search looks into prompt and answer, in any case", () => {
  assert.deepEqual(indices({ text: "TWO" }), [0, 1]);
  assert.deepEqual(indices({ text: "hello" }), [1]);
  assert.deepEqual(indices({ text: "nowhere" }), []);
});

test("a link leads to one answer and survives its characters", () => {
  const odd = sample({ prompt_id: 'a/b&c=<"#é' });
  const filter = fromHash(toHash({ ...NO_FILTER, sample: sampleId(odd) }));
  assert.equal(filter?.sample, 'j1/0/main/neutral/a/b&c=<"#é/0');
  assert.deepEqual(fromHash(toHash({ ...NO_FILTER, arm: "x", text: "a b" })), { ...NO_FILTER, arm: "x", text: "a b" });
  assert.equal(fromHash("#levels"), null);
  assert.equal(fromHash("#answersx"), null);
  assert.equal(toHash(NO_FILTER), "#answers");
});

test("what is not a number is not measurable", () => {
  assert.equal(scoreClass(null), "not measurable");
  assert.equal(scoreClass(NaN), "not measurable");
  assert.equal(scoreClass(0), "absent");
  assert.equal(scoreClass(1), "present");
});
