// Writes sample/tables.json, the flat tables of a real report without the columns of its traits:
// node sample/tables.ts REPORT.html
import { readFileSync, writeFileSync } from "node:fs";
import { readDocument } from "../src/document.ts";

const [page] = process.argv.slice(2);
if (!page) throw new Error("usage: node sample/tables.ts REPORT.html");
const text = /<script type="application\/json" id="document">([^]*?)<\/script>/.exec(readFileSync(page, "utf8"))?.[1] ?? "";
const tables = readDocument(text).tables.map((table) => ({ ...table, columns: table.columns.filter(({ name }) => !name.startsWith("score.")) }));
writeFileSync(new URL("tables.json", import.meta.url), `[\n${tables.map((table) => JSON.stringify(table)).join(",\n")}\n]\n`);
