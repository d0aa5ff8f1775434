// Colours (custom properties of style.css, so that light and dark differ) and symbols. Colours follow Okabe
// and Ito's palette, darkened or lightened to a contrast of at least 3:1; no figure tells by colour alone.
const NUM_COLOURS = 8;
const SYMBOLS = ["circle", "square", "diamond", "triangle", "star", "cross", "hexagon", "wye", "square2", "triangle2"] as const;
export type SymbolName = (typeof SYMBOLS)[number];

export function colour(index: number): string {
  return `var(--series-${(index % NUM_COLOURS) + 1})`;
}
// Changes when the colours begin again, too: 8 colours and 10 symbols tell 40 series apart.
export function symbol(index: number): SymbolName {
  return SYMBOLS[(index + Math.floor(index / NUM_COLOURS)) % SYMBOLS.length] ?? "circle";
}
export const INK = "var(--ink)";
export const MUTED = "var(--muted)";
export const RULE = "var(--rule)";
export const SURFACE = "var(--surface)";
