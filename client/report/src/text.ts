// Foreign text (prompts, answers) as safe text: what cannot be seen is made visible, nothing is markup.

const C0 = "NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US";
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;

// One run of text: ordinary, a hit of the search, or the name of an invisible character.
export interface Run {
  kind: "text" | "hit" | "control";
  text: string;
}

function nameOf(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const short = C0.split(" ")[code];
  if (short !== undefined) return short;
  if (code === 0x7f) return "DEL";
  return "U+" + code.toString(16).toUpperCase().padStart(4, "0");
}

function isControl(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  if (code === 0x0a || code === 0x09) return false;
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || BIDI.test(character) ||
    code === 0x200b || code === 0x2028 || code === 0x2029 || code === 0xfeff || (code >= 0xd800 && code < 0xe000);
}

// `text` as runs; `search` (any case) is marked. A hit may not span an invisible character.
export function runsOf(text: string, search = ""): Run[] {
  const runs: Run[] = [];
  let plain = "";
  const flush = () => {
    if (plain) runs.push(...splitHits(plain, search));
    plain = "";
  };
  for (const character of text) {
    if (isControl(character)) {
      flush();
      runs.push({ kind: "control", text: nameOf(character) });
    } else {
      plain += character;
    }
  }
  flush();
  return runs;
}

function splitHits(text: string, search: string): Run[] {
  const needle = search.toLowerCase();
  const lower = text.toLowerCase();
  // Lower case of a few characters is longer; then positions differ and nothing is marked.
  if (!needle || lower.length !== text.length) return [{ kind: "text", text }];
  const runs: Run[] = [];
  let from = 0;
  for (let at = lower.indexOf(needle); at >= 0; at = lower.indexOf(needle, from)) {
    if (at > from) runs.push({ kind: "text", text: text.slice(from, at) });
    runs.push({ kind: "hit", text: text.slice(at, at + needle.length) });
    from = at + needle.length;
  }
  if (from < text.length) runs.push({ kind: "text", text: text.slice(from) });
  return runs;
}

// At most `limit` characters, never half of a pair; "…" tells that something is missing.
export function clip(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const last = text.charCodeAt(limit - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? limit - 1 : limit) + "…";
}

// One line for a label: invisible characters by name, line ends as a sign.
export function oneLine(text: string, limit = Infinity): string {
  const visible = runsOf(clip(text, limit === Infinity ? text.length : limit)).map((run) => run.text).join("");
  return visible.replace(/\n/g, "\u21b5").replace(/\s+/g, " ");
}
