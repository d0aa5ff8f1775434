// What several figures need: domains, the texts of tips and the marks of failed gates.
import type { Level } from "./document.ts";
import { interval } from "./format.ts";
import type { Model } from "./model.ts";
import { oneLine } from "./text.ts";

export const NARROW = 640; // pixels; below, labels stand above what they name

// Where one sees the answers behind a point.
export interface Pick {
  arm: string;
  seed?: number | null;
  step?: number | null;
  context?: string | null;
  trait?: string | null;
}
export type OnPick = (pick: Pick) => void;

// [0, 1] for shares; otherwise from the least to the greatest with 0 in it.
export function levelDomain(values: (number | null)[]): [number, number] {
  const known = values.filter((value): value is number => value !== null && Number.isFinite(value));
  const low = Math.min(0, ...known);
  const high = Math.max(0, ...known);
  return low >= 0 && high <= 1 ? [0, 1] : [low, high === low ? low + 1 : high];
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
    `${level.answers} answers, ${level.invalid} invalid, ${level.prompts} prompts, ${level.seeds} seed${level.seeds === 1 ? "" : "s"}`,
  ];
  if (level.interval) lines.push(`interval over ${level.interval}`);
  if (level.gates) lines.push(`gate failed: ${level.gates}`);
  lines.push(`train: ${oneLine(model.trainText(level.arm), 70)}`, `evaluate: ${oneLine(model.context(level.context)?.text ?? "", 70)}`, "click: its answers");
  return lines.join("\n");
}

export const LEVEL_COLUMNS = ["arm", "train_prompt", "context", "trait", "step", "mean", "low", "high", "interval", "seeds", "prompts", "answers", "invalid", "gates"];

// A level as a row of a table.
export function levelRow(model: Model, level: Level): Record<string, string | number | boolean | null> {
  return { ...level, train_prompt: model.trainContext(level.arm) ?? "not trained" };
}
