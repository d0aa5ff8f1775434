// Numbers for people.

const MINUS = "\u2212";

function signed(text: string): string {
  return text.replace("-", MINUS);
}

// Three significant digits at most, no more than needed; "–" for what is not measurable.
export function number(value: number | null | undefined, digits = 3): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return signed(String(value));
  if (value !== 0 && Math.abs(value) < 1e-3) return signed(value.toExponential(1));
  return signed(value.toFixed(Math.max(0, Math.min(digits, digits - Math.floor(Math.log10(Math.abs(value) || 1)) - 1))));
}

// A share or score with a fixed number of decimals, so that columns align.
export function fixed(value: number | null | undefined, decimals = 3): string {
  return value === null || value === undefined || !Number.isFinite(value) ? "–" : signed(value.toFixed(decimals));
}

export function interval(value: number | null, low: number | null, high: number | null): string {
  if (value === null) return "not measurable";
  return low === null || high === null ? `${fixed(value)} (no interval)` : `${fixed(value)} [${fixed(low)}, ${fixed(high)}]`;
}

export function pValue(p: number | null): string {
  if (p === null || !Number.isFinite(p)) return "–";
  return p < 0.001 ? "<0.001" : p.toFixed(3);
}

export function count(n: number, noun: string): string {
  return `${n.toLocaleString("en-US")} ${noun}${n === 1 ? "" : "s"}`;
}

export function bytes(n: number): string {
  return n < 1024 ? `${n} B` : n < 1048576 ? `${(n / 1024).toFixed(0)} KiB` : `${(n / 1048576).toFixed(1)} MiB`;
}
