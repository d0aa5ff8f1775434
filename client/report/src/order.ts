// Sorting of table rows; pure.
import type { Row, Value } from "./document.ts";

const collator = new Intl.Collator("en", { numeric: true });

// Numbers by size, text by its words; what is not there comes last, either way.
export function compareValues(a: Value | undefined, b: Value | undefined, descending: boolean): number {
  const isMissing = (value: Value | undefined) => value === null || value === undefined || Number.isNaN(value);
  if (isMissing(a) || isMissing(b)) return Number(isMissing(a)) - Number(isMissing(b));
  const order = typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));
  return descending ? -order : order;
}

// A sorted copy; rows that compare equal keep their order.
export function sortRows<T extends Row>(rows: T[], column: string, descending: boolean): T[] {
  return [...rows].sort((a, b) => compareValues(a[column], b[column], descending));
}
