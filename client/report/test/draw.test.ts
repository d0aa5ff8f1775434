import assert from "node:assert/strict";
import { test } from "node:test";
import { meanCurve, thin } from "../src/curves.ts";
import { fixed, interval, number, pValue } from "../src/format.ts";
import { placeLabels } from "../src/labels.ts";

test("thin keeps the mean and the ends of short curves", () => {
  const points = Array.from({ length: 1000 }, (_, i) => ({ x: i, y: i % 2 }));
  const few = thin(points, 100);
  assert.equal(few.length, 100);
  for (const { y } of few) assert.equal(y, 0.5);
  assert.equal(few[0]?.x, 4.5);
  assert.equal(thin(points.slice(0, 5), 100).length, 5);
});

test("meanCurve has the steps that all curves have", () => {
  assert.deepEqual(meanCurve([[{ x: 2, y: 1 }, { x: 1, y: 0 }], [{ x: 1, y: 4 }]]), [{ x: 1, y: 2 }]);
  assert.deepEqual(meanCurve([]), []);
});

test("labels overlap neither each other nor the points, or are left out", () => {
  const points = Array.from({ length: 40 }, (_, i) => ({ x: 100 + (i % 3), y: 100 + i / 10, text: "an arm" }));
  const placed = placeLabels(points, { left: 0, right: 300, top: 0, bottom: 200 });
  const boxes = placed.flatMap((place, i) => {
    const point = points[i];
    if (!place || !point) return [];
    const left = point.x + place.dx - (place.anchor === "end" ? 36 : place.anchor === "middle" ? 18 : 0);
    return [{ left, right: left + 36, y: point.y + place.dy }];
  });
  assert.ok(boxes.length >= 4 && boxes.length < 40);
  boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => assert.ok(a.right <= b.left || b.right <= a.left || Math.abs(a.y - b.y) >= 13)));
});

test("few labels may cross a line where they must, never leave the frame", () => {
  const frame = { left: 50, right: 300, top: 0, bottom: 110 };
  const line = { left: 0, right: 300, top: 0, bottom: 200 };
  const near = { x: 52, y: 105, text: "an arm" };
  const [placed] = placeLabels([near], frame, [line]);
  assert.ok(placed && placed.anchor === "start" && placed.dy < 0);
  assert.deepEqual(placeLabels(Array.from({ length: 13 }, (_, i) => ({ ...near, x: 60 + 15 * i })), frame, [line]), Array(13).fill(null));
});

test("numbers for people", () => {
  assert.equal(number(0.123456), "0.123");
  assert.equal(number(-12.345), "\u221212.3");
  assert.equal(number(1234), "1234");
  assert.equal(number(0.0000123), "1.2e\u22125");
  assert.equal(number(null), "–");
  assert.equal(fixed(NaN), "–");
  assert.equal(interval(0.5, 0.25, 0.75), "0.500 [0.250, 0.750]");
  assert.equal(interval(0.5, null, null), "0.500 (no interval)");
  assert.equal(interval(null, null, null), "not measurable");
  assert.equal(pValue(0.0004), "<0.001");
});
