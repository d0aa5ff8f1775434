// Headless Chromium for the tests, and what every page is held to: no error on its console, no request.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Browser, type Page, chromium } from "playwright-core";

export const OUT = process.env.JENNER_REPORT_OUT ?? "build/report";
export const CHROMIUM = process.env.JENNER_CHROMIUM ?? "/usr/bin/chromium";

export async function startBrowser(): Promise<Browser> {
  mkdirSync(join(OUT, "screenshots"), { recursive: true });
  if (!existsSync(CHROMIUM)) throw new Error(`no Chromium at ${CHROMIUM}: run tools/setup, or name one with JENNER_CHROMIUM`);
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-color-profile=srgb"],
  });
}

export interface Opened {
  page: Page;
  faults: string[]; // errors of the page and requests that it made
}

export interface Look {
  width?: number;
  height?: number;
  scheme?: "light" | "dark";
  hash?: string;
}

export async function open(browser: Browser, file: string, look: Look = {}): Promise<Opened> {
  const context = await browser.newContext({ viewport: { width: look.width ?? 1280, height: look.height ?? 900 }, colorScheme: look.scheme ?? "light", acceptDownloads: true, reducedMotion: "reduce" });
  const page = await context.newPage();
  // A busy machine is slow; nothing here is waited for in vain.
  page.setDefaultTimeout(120_000);
  const faults: string[] = [];
  const url = `file://${file}`;
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") faults.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  page.on("request", (request) => {
    if (request.url().split("#")[0] !== url && !request.url().startsWith("blob:")) faults.push(`request: ${request.url()}`);
  });
  await page.goto(url + (look.hash ?? ""));
  await page.waitForSelector("body[data-ready]");
  await page.waitForSelector(".drawing svg");
  return { page, faults };
}
