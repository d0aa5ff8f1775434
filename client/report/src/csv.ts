// CSV as of RFC 4180 and JSON, the same columns as `jenner report --export` writes.
import type { Row, Value } from "./document.ts";

function field(value: Value | undefined): string {
  if (value === null || value === undefined) return "";
  const text = String(value);
  // The empty string is not null.
  return text === "" || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function toCsv(columns: string[], rows: Row[]): string {
  const lines = [columns.map(field).join(",")];
  for (const row of rows) lines.push(columns.map((column) => field(row[column])).join(","));
  return lines.join("\r\n") + "\r\n";
}

export function toJson(columns: string[], rows: Row[]): string {
  const objects = rows.map((row) => JSON.stringify(Object.fromEntries(columns.map((column) => [column, row[column] ?? null]))));
  return objects.length === 0 ? "[]\n" : `[\n${objects.join(",\n")}\n]\n`;
}
