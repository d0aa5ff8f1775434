// Bundles the page into one file and that into C++: node build.ts OUT.html OUT.cc. Run by CMake.
// OUT.html has "@DOCUMENT@" where the document goes.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));

// `text` as C++ string literals: every byte that is not plain ASCII in octal, a literal a line.
function literal(text: string): string {
  const lines: string[] = [];
  let line = "";
  for (const byte of Buffer.from(text, "utf8")) {
    const isPlain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c && byte !== 0x3f;
    line += isPlain ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, "0")}`;
    if (line.length > 110) {
      lines.push(`    "${line}"`);
      line = "";
    }
  }
  lines.push(`    "${line}"`);
  return lines.join("\n");
}

async function bundle(): Promise<string> {
  const result = await build({
    entryPoints: [join(here, "src/main.ts")], bundle: true, minify: true, write: false, format: "iife", target: "es2022", charset: "ascii", legalComments: "none", logLevel: "warning",
  });
  const text = (result.outputFiles[0]?.text ?? "").trim();
  // esbuild escapes what would end the element; "<!--" would change how the rest is read.
  if (/<\/script|<!--/i.test(text)) throw new Error("the bundle cannot stand in a script element");
  return text;
}

const [htmlPath, ccPath] = process.argv.slice(2);
if (!htmlPath || !ccPath) throw new Error("usage: node build.ts OUT.html OUT.cc");
const script = await bundle();
const dark = readFileSync(join(here, "src/dark.css"), "utf8").trim().replaceAll("\n", " ");
const style = readFileSync(join(here, "src/style.css"), "utf8").replaceAll("/*DARK*/", dark);
const hash = createHash("sha256").update(script).digest("base64");
const html = readFileSync(join(here, "template.html"), "utf8")
  .replace("@HASH@", () => hash).replace("@STYLE@", () => style).replace("@SCRIPT@", () => script);
const marker = "@DOCUMENT@";
const at = html.indexOf(marker);
if (at < 0 || html.indexOf(marker, at + 1) >= 0) throw new Error(`expected ${marker} once`);
writeFileSync(htmlPath, html);
writeFileSync(ccPath, `// Made by client/report/build.ts.
#include "client/cli/report_page.h"

namespace jenner::cli {

const char kReportPageHead[] =
${literal(html.slice(0, at))};
const char kReportPageTail[] =
${literal(html.slice(at + marker.length))};

}  // namespace jenner::cli
`);
