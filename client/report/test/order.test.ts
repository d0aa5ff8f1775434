import assert from "node:assert/strict";
import { test } from "node:test";
import { sortRows } from "../src/order.ts";

const rows = [{ n: 10, t: "arm-10" }, { n: null, t: "arm-9" }, { n: -2, t: "Arm-1" }];
test("numbers by size, text by its numbers, missing last in both directions", () => {
  assert.deepEqual(sortRows(rows, "n", false).map((row) => row.n), [-2, 10, null]);
  assert.deepEqual(sortRows(rows, "n", true).map((row) => row.n), [10, -2, null]);
  assert.deepEqual(sortRows(rows, "t", false).map((row) => row.t), ["Arm-1", "arm-9", "arm-10"]);
});
test("equal rows keep their order", () => {
  const equal = [{ n: 1, i: 0 }, { n: 1, i: 1 }, { n: 0, i: 2 }];
  assert.deepEqual(sortRows(equal, "n", false).map((row) => row.i), [2, 0, 1]);
  assert.deepEqual(equal.map((row) => row.i), [0, 1, 2]);
});
