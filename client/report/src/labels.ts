// Labels beside points so that they cover neither each other nor the points; pure.

export interface Point {
  x: number; // pixels
  y: number;
  text: string;
}
export interface Placed {
  dx: number;
  dy: number;
  anchor: "start" | "middle" | "end";
}
export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

const CHARACTER = 6.1; // of a 11 px sans-serif, on average
const HEIGHT = 13;

function boxOf(point: Point, place: Placed): Box {
  const width = point.text.length * CHARACTER;
  const start = point.x + place.dx - (place.anchor === "start" ? 0 : place.anchor === "end" ? width : width / 2);
  const middle = point.y + place.dy;
  return { left: start, right: start + width, top: middle - HEIGHT / 2, bottom: middle + HEIGHT / 2 };
}

function overlaps(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

const PLACES: Placed[] = [
  { dx: 8, dy: -10, anchor: "start" },
  { dx: 8, dy: 11, anchor: "start" },
  { dx: -8, dy: -10, anchor: "end" },
  { dx: -8, dy: 11, anchor: "end" },
  { dx: 10, dy: 0, anchor: "start" },
  { dx: -10, dy: 0, anchor: "end" },
  { dx: 0, dy: -15, anchor: "middle" },
  { dx: 0, dy: 16, anchor: "middle" },
  { dx: 12, dy: -26, anchor: "start" },
  { dx: 12, dy: 26, anchor: "start" },
  { dx: -12, dy: -26, anchor: "end" },
  { dx: -12, dy: 26, anchor: "end" },
];

const FEW = 12; // points whose texts may cross a thin line

// A place for each point's text inside `frame`, off the other texts and the points, and off the `obstacles` (thin
// lines; where points are few, off these only if there is such a place); in the order of the points. null: none.
export function placeLabels(points: Point[], frame: Box, obstacles: Box[] = []): (Placed | null)[] {
  const taken: Box[] = points.map(({ x, y }) => ({ left: x - 5, right: x + 5, top: y - 5, bottom: y + 5 }));
  const place = (point: Point, others: Box[]): Placed | null => {
    for (const one of PLACES) {
      const box = boxOf(point, one);
      const isInside = box.left >= frame.left && box.right <= frame.right && box.top >= frame.top && box.bottom <= frame.bottom;
      if (!isInside || others.some((other) => overlaps(box, other))) continue;
      taken.push(box);
      return one;
    }
    return null;
  };
  return points.map((point) => place(point, [...taken, ...obstacles]) ?? (points.length <= FEW ? place(point, taken) : null));
}
