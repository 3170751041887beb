// SPDX-License-Identifier: Apache-2.0
// What the tests of the page share: a hearth of their own, a browser, and a page that writes down what it should not do.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { finish, step } from "./tap.mjs";

export const BUILD = process.env.BUILD ?? "build";
export const SCREENSHOTS = join(BUILD, "screenshots");
export const WIDE = { width: 1440, height: 900 }, NARROW = { width: 360, height: 780 };
const KNOWN_MS = 720_000, READY_MS = 30_000, SHOWN_MS = Number(process.env.SHOWN_MS ?? 20_000);
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
];
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const folder = mkdtempSync(join(tmpdir(), "hearth-page-"));
// The server runs as somebody else and has to get to its data in there.
chmodSync(folder, 0o755);
mkdirSync(SCREENSHOTS, { recursive: true });

const children = [];

export function start(program, ...options) {
  const child = spawn(program, options, { stdio: ["ignore", "ignore", "pipe"] });
  children.push(child);
  return child;
}

export async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.on("exit", resolve));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await gone;
  clearTimeout(timer);
}

/** Starts `hearth COMMAND` on a free port of its own; resolves to where it is once it has said these words. */
export async function startHearth(command, words, ...options) {
  const data = mkdtempSync(join(folder, "data-"));
  chmodSync(data, 0o755);
  const child = start(`${BUILD}/hearth`, command, "--data", join(data, "d"), "--http", "127.0.0.1:0", "--otlp-grpc", "off", "--otlp-http", "off", ...options);
  let said = "";
  const address = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`hearth was not ready in time: ${said}`)), READY_MS);
    child.stderr.on("data", (piece) => {
      said += piece;
      const ready = /ready at (https?:\/\/[^\s/]+)/.exec(said);
      if (!ready || !words.test(said)) return;
      clearTimeout(timer);
      resolve(ready[1]);
    });
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`hearth ended with ${code}: ${said}`)));
  });
  return { child, address };
}

/** The recording in which everything is known, as a file; see make_recording.c. */
export async function makeKnown() {
  const file = join(folder, "known.rec");
  const maker = start(`${BUILD}/tests/ui/make_recording`, file);
  assert.equal(await new Promise((resolve) => maker.on("exit", resolve)), 0, "make_recording");
  chmodSync(file, 0o644);
  return file;
}

/** A server with that recording. */
export async function startKnown() {
  const hearth = await startHearth("serve", /the recording is read/, "--replay", await makeKnown());
  // Read is not yet committed.
  const status = await until("all twelve minutes are there", async () => {
    const said = await (await fetch(`${hearth.address}/api/v1/status`)).json();
    return said.store.newest_ms - said.store.oldest_ms === KNOWN_MS && said;
  });
  return { ...hearth, oldest: status.store.oldest_ms, newest: status.store.newest_ms };
}

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });

export const complaints = [], strangers = [];

/** A page that writes down whatever it should not do. */
export async function open(browser, address, options = {}) {
  const page = await browser.newPage("newContext" in browser ? { viewport: WIDE, ...options } : undefined);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error.stack ?? error)));
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== new URL(address).origin && !["data:", "blob:"].includes(protocol)) strangers.push(request.url());
  });
  page.setDefaultTimeout(SHOWN_MS);
  return page;
}

/** Waits for a condition to hold; fails with what it was about. */
export async function until(what, condition, limitMs = SHOWN_MS) {
  const end = Date.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
}

export const text = async (page, selector) => ((await page.locator(selector).first().textContent()) ?? "").replace(/\u202f/g, " ").replace(/\s+/g, " ").trim();
export const texts = async (page, selector) => (await page.locator(selector).allTextContents()).map((one) => one.replace(/\u202f/g, " ").replace(/\s+/g, " ").trim());
/** Waits until a text fits to a pattern. */
export const says = (page, selector, pattern) => until(`${selector} says ${pattern}`, async () =>
  (await page.locator(selector).count()) > 0 && pattern.test(await text(page, selector)));

export const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** Nothing that axe-core finds wrong, and nothing wider than the window. */
export async function checkAccess(page, what) {
  // The page's policy lets no script in; a debugger may.
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const found = violations.map((one) => `${one.id}: ${one.help}\n  ${one.nodes.slice(0, 4).map((node) => node.html.slice(0, 160)).join("\n  ")}`);
  assert.deepEqual(found, [], what);
  assert.equal(await overflow(page), 0, `${what}: something is wider than the window`);
}

/** Wide and narrow, light and dark. */
export const LOOKS = [
  ["wide-light", WIDE, "light"], ["wide-dark", WIDE, "dark"], ["narrow-dark", NARROW, "dark"], ["narrow-light", NARROW, "light"],
];

/** The same page with another look: it has to follow, as it does when a window is resized or evening comes. */
export async function look(page, viewport, colorScheme) {
  await page.setViewportSize(viewport);
  await page.emulateMedia({ colorScheme });
  await page.waitForTimeout(200);
}

export const shoot = (page, name, fullPage = true) => page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage });

/** A test from a browser's start to the last line of TAP: what `run(browser)` throws is a failed step, and nothing stays. */
export async function wholeTest(run) {
  try {
    const browser = await launch();
    try {
      await run(browser);
      await step("no error and no warning in the console", () => assert.deepEqual(complaints, []));
      await step("no request to another origin", () => assert.deepEqual(strangers, []));
    } finally {
      await browser.close();
    }
  } catch (error) {
    await step("the test runs to its end", () => {
      throw error;
    });
  } finally {
    for (const child of children) await stop(child);
    rmSync(folder, { recursive: true, force: true });
  }
  finish();
  process.exit();
}
