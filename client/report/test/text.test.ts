import assert from "node:assert/strict";
import { test } from "node:test";
import { clip, oneLine, runsOf } from "../src/text.ts";

test("invisible characters are named, the rest is as it was", () => {
  assert.deepEqual(runsOf("a\u0000b\u202ec\td\n"), [
    { kind: "text", text: "a" }, { kind: "control", text: "NUL" }, { kind: "text", text: "b" }, { kind: "control", text: "U+202E" }, { kind: "text", text: "c\td\n" },
  ]);
  assert.deepEqual(runsOf("\u2028\u007f\u0085"), ["U+2028", "DEL", "U+0085"].map((text) => ({ kind: "control", text })));
});

test("hits of the search are marked in any case", () => {
  assert.deepEqual(runsOf("Ab ab", "AB"), [{ kind: "hit", text: "Ab" }, { kind: "text", text: " " }, { kind: "hit", text: "ab" }]);
  assert.deepEqual(runsOf("", "x"), []);
  // The lower case of İ is two characters.
  assert.deepEqual(runsOf("İab", "a"), [{ kind: "text", text: "İab" }]);
});

test("clip cuts no pair in two", () => {
  assert.equal(clip("ab", 2), "ab");
  assert.equal(clip("a\u{1f600}b", 2), "a…");
  assert.equal(oneLine("a\nb\u0007  c"), "a\u21b5bBEL c");
});
