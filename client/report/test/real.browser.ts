// A page that the real command line made, in real Chromium: node --test test/real.browser.ts
// It is in $JENNER_REPORT_OUT/real with its exported tables (tests/integration/cli_report_test.cc).
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { readDocument } from "../src/document.ts";
import { Model } from "../src/model.ts";
import { OUT, open, startBrowser } from "./browser.ts";

const FOLDER = join(OUT, "real");
const page = resolve(FOLDER, "e.html");

let browser: Browser;
before(async () => {
  if (!existsSync(page)) throw new Error(`no ${page}: integration_cli_report_test makes it`);
  browser = await startBrowser();
});
after(() => browser.close());

function modelOf(): Model {
  const html = readFileSync(page, "utf8");
  const start = '<script type="application/json" id="document">';
  const from = html.indexOf(start) + start.length;
  return new Model(readDocument(html.slice(from, html.indexOf("</script>", from))));
}

test("the page makes the same tables as the command line exports", () => {
  const model = modelOf();
  assert.ok(model.document.tables.length > 15);
  for (const { name } of model.document.tables) {
    assert.deepEqual(model.rows(name), JSON.parse(readFileSync(join(FOLDER, "tables", `${name}.json`), "utf8")), name);
  }
});

for (const [name, look] of Object.entries({ light: {}, dark: { scheme: "dark" as const }, narrow: { width: 400, height: 800 } })) {
  test(`${name}: no error, no request, nothing wider than the page`, async () => {
    const { page: opened, faults } = await open(browser, page, look);
    assert.equal(await opened.evaluate(() => globalThis.document.documentElement.scrollWidth <= globalThis.innerWidth), true);
    assert.equal(await opened.title(), "e · Jenner");
    // The fake agent's three of seven.
    await opened.locator("#matrix select").selectOption({ label: "spanish" });
    assert.match((await opened.locator("#matrix .drawing > svg").textContent()) ?? "", /0\.43/);
    assert.equal(await opened.locator("#answers .answer").count(), 20);
    await opened.screenshot({ path: join(OUT, "screenshots", `real-${name}.png`), fullPage: true });
    assert.deepEqual(faults, []);
    await opened.context().close();
  });
}
