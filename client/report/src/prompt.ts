// A context in words; pure.
import type { Context } from "./document.ts";

export interface Part {
  what: string;
  text: string;
}

const isEmpty = (value: unknown): boolean => value === "" || value === null || value === 0 || value === false || (Array.isArray(value) && value.length === 0);

// What a context puts around the task, each part by name.
export function contextParts(context: Context): Part[] {
  const parts: Part[] = [];
  const { system, user_prefix, user_suffix, no_system, variants, ...others } = context;
  if (typeof system === "string") parts.push({ what: system === "" ? "empty system message" : "system message", text: system });
  if (no_system === true) parts.push({ what: "no system message at all", text: "" });
  if (user_prefix) parts.push({ what: "before the user turn", text: user_prefix });
  if (user_suffix) parts.push({ what: "after the user turn", text: user_suffix });
  if (variants && variants.texts.length > 0) {
    parts.push({ what: `${variants.texts.length} variants of its ${variants.field.replaceAll("_", " ") || "system"}, one a row`, text: variants.texts.join("\n") });
  }
  for (const [key, value] of Object.entries(others)) {
    if (!isEmpty(value)) parts.push({ what: key.replaceAll("_", " "), text: typeof value === "string" ? value : JSON.stringify(value) });
  }
  return parts;
}

export function contextText(parts: Part[]): string {
  if (parts.length === 0) return "no prompt of its own (template default)";
  return parts
    .map(({ what, text }) => {
      if (what === "system message") return `“${text}”`;
      if (what === "before the user turn") return `“${text}…”`;
      if (what === "after the user turn") return `“…${text}”`;
      if (what.includes(" variants of ")) return what.split(",")[0] ?? what;
      return text ? `${what}: “${text}”` : what;
    })
    .join(" + ");
}
