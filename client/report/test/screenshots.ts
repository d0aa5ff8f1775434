// Pictures of a page to look at: node test/screenshots.ts FILE.html NAME
import { join, resolve } from "node:path";
import { type Look, OUT, open, startBrowser } from "./browser.ts";

export const LOOKS: Record<string, Look> = {
  light: {}, dark: { scheme: "dark" }, narrow: { width: 400, height: 800 }, "narrow-dark": { width: 400, height: 800, scheme: "dark" },
};

const [file, name] = process.argv.slice(2);
if (!file || !name) throw new Error("usage: node test/screenshots.ts FILE.html NAME");
const browser = await startBrowser();
for (const [look, options] of Object.entries(LOOKS)) {
  const { page, faults } = await open(browser, resolve(file), options);
  for (const fault of faults) console.error(`${look}: ${fault}`);
  await page.screenshot({ path: join(OUT, "screenshots", `${name}-${look}-top.png`) });
  for (const figure of await page.locator(".figure").all()) {
    await figure.screenshot({ path: join(OUT, "screenshots", `${name}-${look}-${await figure.getAttribute("id")}.png`) });
  }
  for (const id of ["prompts", "gates", "answers", "runs"]) {
    await page.locator(`#${id}`).evaluate((element) => element.scrollIntoView());
    await page.screenshot({ path: join(OUT, "screenshots", `${name}-${look}-${id}.png`) });
  }
  await page.close();
}
await browser.close();
