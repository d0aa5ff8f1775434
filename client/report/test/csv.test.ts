import assert from "node:assert/strict";
import { test } from "node:test";
import { toCsv, toJson } from "../src/csv.ts";

test("CSV quotes what RFC 4180 asks for; null is empty, the empty string is quoted", () => {
  const rows = [{ a: 'say "x"', b: 0.1, c: null }, { a: "two\r\nlines, here", b: -3, c: "" }, { a: "plain", b: 1e-9, c: true }];
  assert.equal(toCsv(["a", "b", "c"], rows), 'a,b,c\r\n"say ""x""",0.1,\r\n"two\r\nlines, here",-3,""\r\nplain,1e-9,true\r\n');
});

test("JSON keeps types and the order of columns", () => {
  const text = toJson(["b", "a"], [{ a: "x", b: 1 }, { a: null, b: 2 }]);
  assert.deepEqual(JSON.parse(text), [{ b: 1, a: "x" }, { b: 2, a: null }]);
  assert.match(text, /^\[\n\{"b":1/);
  assert.deepEqual(JSON.parse(toJson(["a"], [])), []);
});
