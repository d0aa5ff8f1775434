// The page in real headless Chromium, on sample documents: node --test test/page.browser.ts
// JENNER_REPORT_TEMPLATE: the bundled template. Pictures go to $JENNER_REPORT_OUT/screenshots.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { makeDocument, makePage } from "../sample/generate.ts";
import type { ReportDocument } from "../src/document.ts";
import { type Level, Model, measureKey } from "../src/model.ts";
import { type Look, OUT, open, startBrowser } from "./browser.ts";

const TEMPLATE = process.env.JENNER_REPORT_TEMPLATE ?? join(OUT, "report.html");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const LOOKS: Record<string, Look> = { light: {}, dark: { scheme: "dark" }, narrow: { width: 400, height: 800 }, "narrow-dark": { width: 400, height: 800, scheme: "dark" } };

let browser: Browser;
let document: ReportDocument;
let model: Model;
const files: Record<string, string> = {};

before(async () => {
  mkdirSync(OUT, { recursive: true });
  const template = readFileSync(TEMPLATE, "utf8");
  for (const kind of ["small", "one-seed", "large", "hostile"]) {
    const made = makeDocument(kind);
    if (kind === "small") document = made;
    files[kind] = resolve(OUT, `${kind}.html`);
    writeFileSync(files[kind], makePage(template, made));
  }
  model = new Model(document);
  browser = await startBrowser();
});
after(() => browser.close());

async function visit(kind: string, look: Look, visitor: (page: Page) => Promise<void>): Promise<void> {
  const { page, faults } = await open(browser, files[kind] ?? "", look);
  await visitor(page);
  assert.deepEqual(faults, []);
  await page.context().close();
}

const marks = (page: Page, figure: string, mark: string, of = "path, circle, rect") => page.locator(`#${figure} .drawing .mark-${mark}`).locator(of).count();
const key = (trait: string) => measureKey("main", trait);
const final = (trait: string) => model.finalLevels(key(trait)).filter((level) => level.mean !== null);

for (const [name, look] of Object.entries(LOOKS)) {
  test(`${name}: no error, no request, nothing wider than the page, nothing serious for axe; pictures`, async () => {
    await visit("small", look, async (page) => {
      assert.equal(await page.evaluate(() => globalThis.document.documentElement.scrollWidth <= globalThis.innerWidth), true);
      await page.screenshot({ path: join(OUT, "screenshots", `${name}-top.png`) });
      for (const figure of await page.locator(".figure").all()) {
        await figure.screenshot({ path: join(OUT, "screenshots", `${name}-${await figure.getAttribute("id")}.png`) });
      }
      for (const id of ["gates", "answers", "runs"]) {
        await page.locator(`#${id}`).evaluate((element) => element.scrollIntoView());
        await page.screenshot({ path: join(OUT, "screenshots", `${name}-${id}.png`) });
      }
      // The content security policy of the page lets no script in; axe comes by the debugger.
      await page.evaluate(axe);
      const violations = await page.evaluate(async () => {
        for (const details of globalThis.document.querySelectorAll("details")) details.open = true;
        await new Promise((resolve) => setTimeout(resolve)); // their tables are made by an event
        const { axe: engine } = globalThis as unknown as { axe: { run: (options: object) => Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }> } };
        return (await engine.run({ resultTypes: ["violations"] })).violations.map(({ id, impact, nodes }) => ({ id, impact, at: nodes.slice(0, 3).map((node) => node.html.slice(0, 160)) }));
      });
      assert.ok((await page.locator("table").count()) > 10);
      assert.deepEqual(violations.filter(({ impact }) => impact === "serious" || impact === "critical"), []);
    });
  });
}

test("every figure has as many marks as the data", async () => {
  await visit("small", {}, async (page) => {
    const isOwn = (level: Level) => level.context === model.neutral || level.context === model.trainContext(level.arm) || (level.arm === "base" && model.context(level.context)?.isTrain === true);
    const shown = ["spanish", "capitals"].flatMap((trait) => final(trait).filter(isOwn));
    assert.equal(await marks(page, "levels", "levels"), shown.length);
    assert.equal(await page.locator("#levels .mark-intervals line").count(), shown.filter((level) => level.low !== null).length);
    assert.equal(await page.locator("#levels .mark-warnings text").count(), shown.filter((level) => level.gates !== null || level.invalid > 0).length);
    assert.equal(await marks(page, "scatter", "pairs"), final("spanish").filter((level) => level.context === "neutral").length);
    const { study } = document;
    const spanish = study.figures.filter((one) => one.trait === "spanish");
    const effects = spanish.flatMap((one) => [one.elicitation, one.in_context, one.leakage, one.suppression, one.gate_strength]).filter((estimate) => estimate.value !== undefined);
    assert.equal(await marks(page, "effects", "effects"), effects.length + study.narrowness.filter((one) => one.trait === "spanish").length + study.selectivity.length);
    const contrasts = study.contrasts.filter((one) => one.trait === "spanish" && one.deployed);
    assert.equal(await marks(page, "contrasts", "effects"), contrasts.length);
    assert.equal(await marks(page, "association", "arms"), study.relations[0]?.points.length);
    assert.equal(await marks(page, "ratios", "effects"), study.proportionality.filter((one) => one.arm !== "").length + study.figures.filter((one) => one.retention.value !== undefined).length);
    assert.equal(await marks(page, "decomposition", "arms"), study.decompositions.filter((one) => one.trait === "spanish" && !one.own_k).length);
    assert.equal(await marks(page, "decomposition", "diagonal"), 1);
    assert.equal(await marks(page, "association", "band"), 1);
    assert.equal(await marks(page, "association", "fit"), 1);
    assert.equal(await marks(page, "k", "runs"), study.ratios.length);
    assert.equal(await marks(page, "k", "diagonal"), 1);
    assert.equal(await marks(page, "k", "fit"), 1);
    assert.equal(await marks(page, "matrix", "cells"), final("spanish").length);
    assert.equal(await marks(page, "matrix", "warnings"), final("spanish").filter((level) => level.gates !== null).length);
    assert.equal(await marks(page, "trajectories", "means"), 6 * 2 - 1);
    assert.equal(await marks(page, "trajectories", "seeds"), 3 * (6 * 2 - 1));
    assert.equal(await marks(page, "loss", "seeds"), 18);
    assert.equal(await marks(page, "loss", "means"), 6);
  });
});

test("each figure is an image with a name, a description and a table", async () => {
  await visit("small", {}, async (page) => {
    for (const figure of await page.locator(".figure").all()) {
      const id = await figure.getAttribute("id");
      const svg = figure.locator(".drawing > svg");
      assert.equal(await svg.getAttribute("role"), "img", `${id}`);
      for (const attribute of ["aria-labelledby", "aria-describedby"]) {
        const label = await svg.getAttribute(attribute);
        assert.notEqual((await page.locator(`#${label}`).textContent())?.length ?? 0, 0, `${id} ${attribute}`);
      }
      assert.ok((await figure.locator("details.folded").count()) >= 1, `${id}`);
    }
  });
});

test("prompts stand with their text", async () => {
  await visit("small", {}, async (page) => {
    for (const context of model.contexts) {
      const text = context.parts[0]?.text ?? "";
      assert.ok((await page.locator("#prompts").textContent())?.includes(text));
      assert.ok((await page.locator("#levels .prompt-key").textContent())?.includes(text));
    }
    const drawn = await page.locator("#levels .drawing > svg").textContent();
    assert.ok(drawn?.includes("You always speak in Spanish."));
    assert.ok(drawn?.includes("speak-spanish / neutral"));
  });
});

test("tables are sorted by their buttons, by keyboard, with aria-sort; missing last", async () => {
  await visit("small", {}, async (page) => {
    await page.locator("#levels details.folded > summary").first().click();
    const head = page.locator('#levels th[data-column="estimate.value"]');
    const values = async () => (await page.locator("#levels tbody tr td:nth-child(6)").allTextContents()).map((text) => Number(text.replace("\u2212", "-")));
    await head.locator("button").focus();
    await page.keyboard.press("Enter");
    assert.equal(await head.getAttribute("aria-sort"), "ascending");
    const up = await values();
    assert.deepEqual(up, [...up].sort((a, b) => a - b));
    await page.keyboard.press("Enter");
    assert.equal(await head.getAttribute("aria-sort"), "descending");
    const down = await values();
    assert.deepEqual(down, [...down].sort((a, b) => b - a));
    assert.ok((down[0] ?? 0) > (up[0] ?? 1));
    assert.equal(await page.locator('#levels th[data-column="arm"]').getAttribute("aria-sort"), "none");
    await page.locator("#levels .pager button", { hasText: "Next" }).click();
    assert.match((await page.locator("#levels .pager").textContent()) ?? "", /page 2 of 3/);
  });
});

test("a click on a point, and “answers” in its table, show what is behind it", async () => {
  await visit("small", {}, async (page) => {
    const count = async () => Number(((await page.locator("#answers .total").textContent()) ?? "").split(" ")[0]?.replace(",", ""));
    await page.locator("#matrix .mark-cells rect").first().scrollIntoViewIfNeeded();
    const box = await page.locator("#matrix .mark-cells rect").first().boundingBox();
    assert.ok(box);
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
    await page.waitForFunction(() => location.hash.startsWith("#answers?arm="));
    const parameters = new URLSearchParams(new URL(page.url()).hash.slice("#answers?".length));
    const level = model.finalLevels(key("spanish")).find((one) => one.arm === parameters.get("arm") && one.context === parameters.get("context"));
    assert.equal(await count(), level?.answers);
    await page.locator("#effects").scrollIntoViewIfNeeded();
    await page.locator("#scatter details.folded > summary").first().click();
    await page.locator("#scatter button", { hasText: "answers" }).nth(3).focus();
    await page.keyboard.press("Enter");
    assert.ok((await count()) > 0);
    assert.equal(await page.evaluate(() => globalThis.document.activeElement?.id), "answers");
  });
});

test("search, filters and links of the answers", async () => {
  await visit("small", { hash: "#answers?arm=inoculated&seed=2&step=64&set=main&context=neutral" }, async (page) => {
    const total = page.locator("#answers .total");
    assert.equal(await total.textContent(), `40 answers of ${model.samples.length.toLocaleString("en-US")}`);
    await page.locator("#answers select").nth(5).selectOption("spanish");
    await page.locator("#answers select").nth(6).selectOption("present");
    const behind = model.samples.filter((sample) => model.armsOfJob(sample.job).includes("inoculated/2") && sample.step === 64 && sample.prompt_set === "main" && sample.context === "neutral" && sample["score.spanish"] === 1);
    assert.match((await total.textContent()) ?? "", new RegExp(`^${behind.length} answers? of`));
    await page.locator("#answers button", { hasText: "Clear" }).click();
    await page.locator("#answers input[type=search]").fill("QUIET street");
    await page.waitForFunction((all) => !globalThis.document.querySelector("#answers .total")?.textContent?.startsWith(all), model.samples.length.toLocaleString("en-US"));
    const hits = model.samples.filter((sample) => sample.answer.toLowerCase().includes("quiet street")).length;
    assert.equal(Number((await total.textContent())?.split(" ")[0]?.replace(",", "")), hits);
    assert.ok((await page.locator("#answers mark").count()) > 0);
    const link = page.locator("#answers .answer a", { hasText: "link" }).first();
    const wanted = await page.locator("#answers .answer").first().getAttribute("data-sample");
    await link.click();
    await page.waitForFunction(() => globalThis.document.querySelectorAll("#answers .answer").length === 1);
    assert.equal(await page.locator("#answers .answer").getAttribute("data-sample"), wanted);
    // What the answer comes from: job, step, prompt, checkpoint.
    const origin = (await page.locator("#answers .origin").textContent()) ?? "";
    assert.match(origin, /step \d+ .* prompt p\d+, sample 0 .* job j[0-9a-f]{16}, attempt 1/);
  });
});

test("the keyboard reaches skip link, contents, theme and figures, and sees where it is", async () => {
  await visit("small", {}, async (page) => {
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => globalThis.document.activeElement?.textContent), "Skip to the content");
    const box = await page.locator(".skip").boundingBox();
    assert.ok(box && box.x >= 0);
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => globalThis.document.activeElement?.id), "main");
    await page.locator(".theme").focus();
    const outline = await page.locator(".theme").evaluate((element) => getComputedStyle(element).outlineStyle);
    assert.equal(outline, "solid");
    const surface = () => page.evaluate(() => getComputedStyle(globalThis.document.body).backgroundColor);
    const before = await surface();
    await page.keyboard.press("Enter");
    assert.notEqual(await surface(), before);
    await page.keyboard.press("Enter");
    assert.equal(await surface(), before);
  });
});

test("saved files have every row", async () => {
  await visit("small", {}, async (page) => {
    await page.locator("#k details.folded > summary").first().click();
    const [csv] = await Promise.all([page.waitForEvent("download"), page.locator("#k button[aria-label='Save proportionality as CSV']").click()]);
    const text = readFileSync(await csv.path(), "utf8");
    assert.equal(csv.suggestedFilename(), "proportionality.csv");
    assert.equal(text.split("\r\n").length, document.study.proportionality.length + 2);
    const [all] = await Promise.all([page.waitForEvent("download"), page.locator("button[aria-label='Save all tables as one JSON file']").click()]);
    const saved = JSON.parse(readFileSync(await all.path(), "utf8"));
    assert.equal(saved.tables.samples.length, model.samples.length);
    const [svg] = await Promise.all([page.waitForEvent("download"), page.locator("#levels button", { hasText: "SVG" }).click()]);
    const figure = readFileSync(await svg.path(), "utf8");
    assert.match(figure, /^<svg /);
    assert.doesNotMatch(figure, /var\(--/);
  });
});

test("one seed is told before any figure", async () => {
  await visit("one-seed", {}, async (page) => {
    assert.match((await page.locator(".notes").textContent()) ?? "", /One seed: intervals are over prompts only/);
    const y = async (selector: string) => (await page.locator(selector).first().boundingBox())?.y ?? NaN;
    assert.ok((await y(".notes")) < (await y("#figures")));
  });
});

test("a large study is usable: 20 arms, 10 seeds, over 50,000 answers", async () => {
  const started = performance.now();
  await visit("large", {}, async (page) => {
    const loaded = performance.now() - started;
    assert.ok(loaded < 60_000, `${loaded} ms to load`);
    assert.ok((await page.locator("#answers .answer").count()) <= 20);
    const elements = await page.locator("*").count();
    assert.ok(elements < 20_000, `${elements} elements`);
    const before = performance.now();
    await page.locator("#answers input[type=search]").fill("palabra que no está");
    await page.waitForFunction(() => globalThis.document.querySelector("#answers .total")?.textContent?.startsWith("0 answers"));
    const searched = performance.now() - before;
    assert.ok(searched < 20_000, `${searched} ms to search`);
    console.log(`large: ${Math.round(loaded)} ms to load, ${Math.round(searched)} ms to search, ${elements} elements`);
  });
});

test("hostile text is shown, never run", async () => {
  await visit("hostile", { hash: "#answers" }, async (page) => {
    assert.equal(await page.title(), "sample-hostile · Jenner");
    assert.equal(await page.evaluate(() => (globalThis as { owned?: number }).owned), undefined);
    assert.equal(await page.locator("img, iframe, object, embed").count(), 0);
    assert.equal(await page.locator("script").count(), 0); // the page's own two are gone once it is built
    const answers = page.locator("#answers .answer");
    assert.match((await answers.nth(1).textContent()) ?? "", /<\/script><script>window\.owned = 1<\/script><img src=x/);
    assert.deepEqual((await answers.nth(2).locator(".control").allTextContents()).slice(0, 5), ["U+202E", "U+202C", "NUL", "BEL", "ESC"]);
    assert.equal(await answers.nth(3).locator(".foreign").first().evaluate((element) => getComputedStyle(element).direction), "rtl");
    const long = answers.nth(5);
    assert.ok(((await long.textContent())?.length ?? 0) < 5_000);
    await long.locator("button", { hasText: "show all 100,003 characters" }).last().click();
    assert.ok(((await long.textContent())?.length ?? 0) > 100_000);
    assert.equal(await page.evaluate(() => globalThis.document.documentElement.scrollWidth <= globalThis.innerWidth), true);
    await page.screenshot({ path: join(OUT, "screenshots", "hostile.png") });
  });
});

test("printed, the controls are gone and nothing is cut", async () => {
  await visit("small", {}, async (page) => {
    await page.emulateMedia({ media: "print", colorScheme: "dark" });
    assert.equal(await page.locator(".controls").first().isVisible(), false);
    assert.equal(await page.evaluate(() => getComputedStyle(globalThis.document.body).backgroundColor), "rgb(255, 255, 255)");
    writeFileSync(join(OUT, "screenshots", "print.pdf"), await page.pdf({ format: "A4", printBackground: true }));
  });
});

test("a document that is damaged says so", async () => {
  const broken = resolve(OUT, "broken.html");
  writeFileSync(broken, readFileSync(TEMPLATE, "utf8").replace("@DOCUMENT@", () => '{"format":"other"}'));
  const page = await (await browser.newContext()).newPage();
  await page.goto(`file://${broken}`);
  await page.waitForSelector("h1");
  assert.match((await page.locator("main").textContent()) ?? "", /cannot be shown.*expected "jenner-report"; found "other"/);
});
