// What several figures need: domains, the texts of tips and the marks of failed gates.
import type { Row } from "./document.ts";
import { choice } from "./dom.ts";
import { interval } from "./format.ts";
import { type Level, type Measure, type Model, measureKey } from "./model.ts";
import type { TableOptions } from "./table.ts";
import { oneLine } from "./text.ts";

export const NARROW = 640; // pixels; below, labels stand above what they name

// Where one sees the answers behind a point.
export interface Pick {
  arm: string;
  seed?: number | null;
  step?: number | null;
  set?: string | null;
  context?: string | null;
  trait?: string | null;
}
export type OnPick = (pick: Pick) => void;

// [0, 1] for shares; otherwise from the least to the greatest, a little more on both sides.
export function levelDomain(values: (number | null)[]): [number, number] {
  const known = values.filter((value): value is number => value !== null && Number.isFinite(value));
  return known.every((value) => value >= 0 && value <= 1) ? [0, 1] : paddedDomain(known);
}

// From the least to the greatest, a little more on both sides.
export function paddedDomain(values: (number | null)[], ...include: number[]): [number, number] {
  const known = [...values.filter((value): value is number => value !== null && Number.isFinite(value)), ...include];
  if (known.length === 0) return [0, 1];
  const low = Math.min(...known);
  const high = Math.max(...known);
  const margin = (high - low || 1) * 0.06;
  return [low - margin, high + margin];
}

// What a figure marks beside a point; "" if there is nothing to tell. A failed gate also shows as a hollow
// or outlined mark.
export function warning(level: Level): string {
  const invalid = level.invalid > 0 ? `${level.invalid} invalid` : "";
  return level.gates ? `△ gate failed${invalid ? `, ${invalid}` : ""}` : invalid;
}
export const warningColour = (level: Level): string => (level.gates ? "var(--warn)" : "var(--muted)");

export function levelTip(model: Model, level: Level): string {
  const lines = [
    model.pairLabel(level.arm, level.context),
    `arm ${level.arm}, step ${level.step}${level.seed === null ? "" : `, seed ${level.seed}`}`,
    `${level.trait}: ${interval(level.mean, level.low, level.high)}`,
    `${level.answers} answers, ${level.invalid} not measurable, ${level.prompts} prompts, ${level.seeds} seed${level.seeds === 1 ? "" : "s"}`,
    `interval over ${level.over}`,
  ];
  if (model.sets.length > 1) lines.push(`prompt set ${level.set}`);
  if (level.gates) lines.push(`gate failed: ${level.gates}`);
  lines.push(`train: ${oneLine(model.trainText(level.arm), 70)}`, `evaluate: ${oneLine(model.context(level.context)?.text ?? "", 70)}`, "click: its answers");
  return lines.join("\n");
}

export function pickLevel(level: Level): Pick {
  return { arm: level.arm, seed: level.seed, step: level.step, set: level.set, context: level.context, trait: level.trait };
}

// Chooses one of `measures`.
export function measureChoice(label: string, measures: Measure[], selected: string, onChange: (key: string) => void): HTMLLabelElement {
  return choice(label, measures.map(({ key, label: text }) => ({ value: key, text })), selected, onChange);
}

// Columns of the saved files that a table on the page leaves out, and what the others are called there.
const HIDDEN = /(^|\.)(method|num_missing|bootstrap_low|bootstrap_high)$/;
const columnLabel = (name: string): string => name.replace(/(^|\.)estimate\./, "$1").replace(/^num_/, "").replace(/\.num_/, " ").replaceAll("_", " ").replaceAll(".", " ");

// A flat table of the document as a table of the page: the rows of `measure` (absent: all) that `keep` keeps.
export function flatTable(model: Model, name: string, caption: string, measure?: string, keep: (row: Row) => boolean = () => true, onPick?: (row: Row) => void): TableOptions {
  const columns = model.columnsOf(name);
  const isOf = (row: Row) => measure === undefined || measureKey(String(row.prompt_set), String(row.trait)) === measure;
  return {
    name, caption, saved: columns, rows: model.rows(name).filter((row) => isOf(row) && keep(row)), onPick,
    columns: columns.filter((column) => !HIDDEN.test(column)).map((column) => ({ name: column, label: columnLabel(column) })),
  };
}

// The levels over seeds of a measure.
export function levelsTable(model: Model, caption: string, measure: string, pick: OnPick, keep?: (row: Row) => boolean): TableOptions {
  return flatTable(model, "levels", caption, measure, keep, (row) => pick({ arm: String(row.arm), step: Number(row.step), set: String(row.prompt_set), context: String(row.context), trait: String(row.trait) }));
}
