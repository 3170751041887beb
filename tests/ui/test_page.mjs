// SPDX-License-Identifier: Apache-2.0
// The page in a real Chromium, over a real hearth that profiles a real program: says what is
// so, shows where it goes, stays within its origin and its window.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { finish, skip, step } from "./tap.mjs";

const BUILD = process.env.BUILD ?? "build";
// Another server that speaks the page's API may stand in while the page is worked on.
const ELSEWHERE = process.env.HEARTH_URL;
const SCREENSHOTS = join(BUILD, "screenshots");
const READY_MS = 30_000, SHOWN_MS = 60_000;
const NO_RIGHTS = "no rights to load BPF";
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
];

const folder = mkdtempSync(join(tmpdir(), "hearth-page-"));
// The server runs as somebody else and has to get to its data in there.
chmodSync(folder, 0o755);
const children = [];

function start(program, ...options) {
  const child = spawn(program, options, { stdio: ["ignore", "ignore", "pipe"] });
  children.push(child);
  return child;
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.on("exit", resolve));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await gone;
  clearTimeout(timer);
}

/** Starts hearth on a free port of its own; resolves to where it is. */
async function startHearth() {
  const child = start(`${BUILD}/hearth`, "run", "--data", join(folder, "data"), "--http", "127.0.0.1:0", "--frequency", "997");
  let said = "";
  const address = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`hearth was not ready in time: ${said}`)), READY_MS);
    child.stderr.on("data", (piece) => {
      said += piece;
      const ready = /ready at (http:\/\/[^\s/]+)/.exec(said);
      if (ready) {
        clearTimeout(timer);
        resolve(ready[1]);
      }
    });
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`hearth ended with ${code}: ${said}`)));
  });
  return { child, address };
}

/** Ahead of whatever else the machine does (where that is allowed), so that it is the busiest. */
function startBurn() {
  return start("nice", "-n", "-10", `${BUILD}/tests/live/targets/burn`, "120");
}

/** CPU seconds of a process since it began. */
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Waits for a condition to hold in this process. */
async function until(what, condition, limitMs = SHOWN_MS) {
  const end = Date.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

const complaints = [], strangers = [];

/** A page that writes down whatever it should not do. */
async function open(browser, address, options = {}) {
  const page = await browser.newPage(options);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error.stack ?? error)));
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== new URL(address).origin && protocol !== "data:") strangers.push(request.url());
  });
  return page;
}

const text = async (page, selector) => ((await page.locator(selector).first().textContent()) ?? "").replace(/\u202f/g, " ").trim();
const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** Stops the page's clock, or lets it go on. */
async function setPaused(page, wanted) {
  const isPaused = (await text(page, "#pause")) === "Go live";
  if (isPaused !== wanted) await page.locator("#pause").click();
}

/** Moves the pointer down the left edge of the flame graph until the card is about the frame. */
async function pointAt(page, name) {
  await page.locator("#flame").scrollIntoViewIfNeeded();
  const box = await page.locator("#flame").boundingBox();
  for (let y = 10; y < box.height; y += 20) {
    await page.mouse.move(box.x + 30, box.y + y);
    await page.waitForTimeout(160);
    if ((await page.locator("#card").count()) > 0 && (await text(page, "#card strong")) === name) return { x: box.x + 30, y: box.y + y };
  }
  throw new Error(`no bar of ${name} along the left edge`);
}

async function testLive(page, address, burn, startedAt) {
  await step("the answer and the first row name burn as the busiest process", async () => {
    await until("burn in the answer and in the first row", async () =>
      /\bburn\b/.test(await text(page, "#answer")) && (await text(page, "#processes tbody tr .name")) === "burn");
    assert.match(await text(page, "#answer"), /^\d+\.\d\d of \d+ cores? busy/);
  });

  await step("the cores of burn are those that the kernel counted", async () => {
    if (ELSEWHERE) return;
    await until("cores within a third of what /proc says", async () => {
      const shown = Number(await text(page, "#processes tbody tr td.n"));
      const counted = cpuSeconds(burn.pid) / ((Date.now() - startedAt) / 1000);
      return shown > counted * 0.67 && shown < counted * 1.5;
    });
  });

  await step("the table shows the server's numbers", async () => {
    await setPaused(page, true);
    const answer = await page.evaluate(() => fetch("api/v1/processes?limit=1&from=now-15m").then((reply) => reply.json()));
    assert.equal(answer.rows[0].process_name, "burn");
    const share = Number((await text(page, "#processes tbody tr td.n:nth-of-type(3)")).replace(/[^\d.]/g, ""));
    assert.ok(Math.abs(share - answer.rows[0].share * 100) < 10, `${share} of ${answer.rows[0].share}`);
    await setPaused(page, false);
  });

  await step("a process that is selected shows its own flame graph", async () => {
    await page.locator("#processes tbody tr").first().click();
    await until("the graph of burn", async () => /^Flame graph of burn: /.test(await text(page, "#flame-words")));
    assert.match(page.url(), /[?&]process=\d+\.\d+\.\d+/);
    assert.equal(await page.locator("#processes tbody tr").first().getAttribute("aria-selected"), "true");
  });

  await step("spend_seventy is the hottest function, with about 70 %", async () => {
    // Names follow as symbol files are read.
    await until("burn has its names", async () => /Hottest function: spend_/.test(await text(page, "#flame-words")));
    const words = await text(page, "#flame-words");
    const [, name, part] = /Hottest function: (\S+), .* cores, ([\d.]+) % of view/.exec(words) ?? assert.fail(words);
    assert.equal(name, "spend_seventy");
    assert.ok(Number(part) > 60 && Number(part) < 80, words);
    assert.equal(await text(page, "#functions tbody tr .name"), "spend_seventy");
    assert.equal(await text(page, "#functions tbody tr:nth-child(2) .name"), "spend_thirty");
  });

  await step("the card says what is under the pointer", async () => {
    await setPaused(page, true);
    await pointAt(page, "spend_seventy");
    const card = await text(page, "#card");
    assert.match(card, /Native, burn/);
    assert.match(card, /Self.*cores.*%/);
    assert.match(card, /samples/);
  });

  await step("a click zooms, Backspace goes back, Escape resets", async () => {
    const at = await pointAt(page, "spend_seventy");
    await page.mouse.click(at.x, at.y);
    const caller = page.locator(".crumbs button:not(.reset)").last();
    await until("spend_seventy as the zoomed frame", async () => (await text(page, ".crumbs [aria-current]")) === "spend_seventy");
    assert.match(page.url(), /zoom=spend_seventy/);
    const callerName = await caller.textContent();
    await page.keyboard.press("Backspace");
    assert.equal(await text(page, ".crumbs [aria-current]"), callerName);
    await page.keyboard.press("Escape");
    assert.equal(await text(page, ".crumbs [aria-current]"), "burn");
    assert.doesNotMatch(page.url(), /zoom=/);
  });

  await step("arrows and Enter do the same as the pointer, and it is spoken", async () => {
    await page.locator("#flame").focus();
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press("ArrowDown");
      await page.waitForTimeout(30);
      if (/^spend_seventy, [\d.]+ percent, level \d+$/.test(await text(page, ".flamebox [role=status]"))) break;
    }
    assert.match(await text(page, ".flamebox [role=status]"), /^spend_seventy, /);
    await page.keyboard.press("Enter");
    await until("spend_seventy as the zoomed frame", async () => (await text(page, ".crumbs [aria-current]")) === "spend_seventy");
  });

  await step("a link brings back process, zoom and search", async () => {
    await page.locator("#search").fill("thirty");
    await until("the search in the address", () => page.url().includes("search=thirty"));
    const other = await open(page.context().browser(), address, { viewport: { width: 1440, height: 900 } });
    await other.goto(page.url());
    await until("the same zoom", async () => (await other.locator(".crumbs [aria-current]").count()) > 0
      && (await text(other, ".crumbs [aria-current]")) === "spend_seventy");
    assert.equal(await other.locator("#search").inputValue(), "thirty");
    assert.match(await text(other, ".found"), /of view in [1-9]/);
    await other.close();
    await page.locator("#search").fill("");
    await setPaused(page, false);
  });
}

async function testWindows(browser, address, process) {
  mkdirSync(SCREENSHOTS, { recursive: true });
  for (const [width, height, word] of [[360, 780, "narrow"], [1440, 900, "wide"], [3840, 2160, "4k"]]) {
    await step(`nothing is wider than a window of ${width} px`, async () => {
      for (const colorScheme of ["light", "dark"]) {
        const page = await open(browser, address, { viewport: { width, height }, colorScheme });
        await page.goto(`${address}/`);
        await page.locator("#processes tbody tr, .state strong, .nothing").first().waitFor();
        await page.waitForTimeout(400);
        assert.equal(await overflow(page), 0, `${width} px, ${colorScheme}`);
        await page.screenshot({ path: join(SCREENSHOTS, `now-${word}-${colorScheme}.png`), fullPage: true });
        if (process) {
          await page.goto(`${address}/#/now?process=${process}`);
          await page.reload();
          await page.locator("#flame").waitFor();
          await page.waitForTimeout(400);
          assert.equal(await overflow(page), 0, `${width} px, ${colorScheme}, a process`);
          await page.screenshot({ path: join(SCREENSHOTS, `process-${word}-${colorScheme}.png`), fullPage: true });
        }
        await page.close();
      }
    });
  }
}

async function testTheme(browser, address) {
  await step("light or dark is switched by hand and remembered", async () => {
    const page = await open(browser, address, { colorScheme: "light" });
    await page.goto(`${address}/`);
    const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const light = await ground();
    await page.locator("#theme").click();
    assert.notEqual(await ground(), light);
    await page.reload();
    await page.locator("#theme").waitFor();
    assert.notEqual(await ground(), light);
    await page.close();
  });
}

/** A page whose answers are changed on their way: states that a healthy host does not show. */
async function withAnswers(browser, address, changes, run) {
  const page = await open(browser, address, { viewport: { width: 1440, height: 900 } });
  await page.route("**/api/v1/*", async (route) => {
    const call = new URL(route.request().url()).pathname.split("/").pop();
    const reply = await route.fetch();
    const answer = await reply.json();
    changes[call]?.(answer);
    await route.fulfill({ response: reply, json: answer });
  });
  await page.goto(`${address}/`);
  await run(page);
  await page.unrouteAll({ behavior: "ignoreErrors" });
  await page.close();
}

async function testStates(browser, address) {
  await step("a host that may not be profiled says so, and what to do", async () => {
    const status = (answer) => Object.assign(answer.collector, { state: "no_rights", reason: "" });
    await withAnswers(browser, address, { status }, async (page) => {
      await page.locator(".notice").first().waitFor();
      assert.match(await text(page, ".notice"), /This host is not being profiled.*sudo hearth run/);
      await page.screenshot({ path: join(SCREENSHOTS, "state-no-rights.png") });
    });
  });

  await step("a hearth that has just been started says when to expect something", async () => {
    await withAnswers(browser, address, {
      status: (answer) => Object.assign(answer, { started_ms: answer.time_ms - 2000, collector: { ...answer.collector, state: "sampling", since_ms: answer.time_ms - 1000 } }),
      processes: (answer) => Object.assign(answer, { cores: 0, kernel_cores: 0, rows: [], more: undefined }),
    }, async (page) => {
      await page.locator(".state strong").waitFor();
      assert.equal(await text(page, ".state strong"), "First samples in about 5 s");
      await page.screenshot({ path: join(SCREENSHOTS, "state-starting.png") });
    });
  });

  await step("lost samples are owned up to", async () => {
    const status = (answer) => Object.assign(answer.collector, { state: "sampling", samples: 88, lost: { ring_full: 12 } });
    await withAnswers(browser, address, { status }, async (page) => {
      await page.locator(".notice").first().waitFor();
      assert.match(await text(page, ".notice"), /^12.0 % of samples lost.*The ring buffer was full/);
    });
  });

  await step("names are text, whatever they look like", async () => {
    const hostile = `<img src=x onerror="document.title='owned'"><b>x</b>`;
    await withAnswers(browser, address, {
      status: (answer) => (answer.host.name = hostile),
      processes: (answer) => Object.assign(answer, {
        cores: 1, rows: [{ process: "1.1.1", pid: 1, process_name: hostile, service_name: hostile, cores: 1, kernel_cores: 0, share: 0.5, last_seen_ms: answer.to_ms, spark: [1, null, 1] }],
      }),
      flame: (answer) => Object.assign(answer, {
        recorded_ms: 1000, total: 10, samples: 1, names: ["", "total", hostile],
        nodes: { parent: [0, 0], name: [1, 2], module: [0, 2], kind: [0, 3], self: [0, 10], total: [10, 10], hidden: [0, 0] },
      }),
    }, async (page) => {
      await page.locator("#processes tbody tr").first().waitFor();
      await page.waitForTimeout(300);
      assert.equal(await page.locator("img").count(), 0);
      assert.equal(await text(page, "#processes tbody tr .name"), hostile);
      assert.equal(await text(page, "#functions tbody tr .name"), hostile);
      assert.notEqual(await page.title(), "owned");
    });
  });

  await step("a refusal is shown in the server's own words", async () => {
    const page = await open(browser, address);
    await page.route("**/api/v1/flame*", (route) => route.fulfill({ status: 400, json: { error: "query: a quote is not closed", parameter: "query" } }));
    await page.goto(`${address}/`);
    await page.locator(".bad-notice").waitFor();
    assert.match(await text(page, ".bad-notice"), /query: a quote is not closed/);
    await page.close();
    // The browser itself reports the 400 that was asked for.
    complaints.splice(0, complaints.length, ...complaints.filter((line) => !/status of 400/.test(line)));
  });
}

async function testSilence(page, hearth) {
  await step("a server that has gone leaves the page readable, and says so", async () => {
    await setPaused(page, false);
    await stop(hearth.child);
    await page.locator(".bad-notice").waitFor({ timeout: SHOWN_MS });
    assert.match(await text(page, ".bad-notice"), /No answer from hearth serve for \d+ s.*shows what it had at \d\d:\d\d:\d\d/);
    assert.ok((await page.locator("#processes tbody tr").count()) > 0);
    await page.screenshot({ path: join(SCREENSHOTS, "state-silent.png") });
  });
}

async function main() {
  const hearth = ELSEWHERE ? { child: null, address: ELSEWHERE } : await startHearth();
  const { address } = hearth;
  const startedAt = Date.now();
  const burn = ELSEWHERE ? null : startBurn();
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
  try {
    const status = await (await fetch(`${address}/api/v1/status`)).json();
    const mayProfile = status.collector.state !== "no_rights";
    const page = await open(browser, address, { viewport: { width: 1440, height: 900 }, colorScheme: "light" });
    await step("the page comes with a policy that lets nothing else in", async () => {
      const reply = await page.goto(`${address}/`);
      assert.equal(reply.status(), 200);
      assert.match(reply.headers()["content-security-policy"] ?? "", /default-src 'none'/);
      await page.locator("#theme").waitFor();
    });
    if (mayProfile || process.env.HEARTH_REQUIRE_BPF === "1") await testLive(page, address, burn, startedAt);
    else skip("what burn does is shown", NO_RIGHTS);
    const selected = new URLSearchParams(page.url().split("?")[1] ?? "").get("process");
    await testWindows(browser, address, selected);
    if (burn) await stop(burn);
    await testTheme(browser, address);
    await testStates(browser, address);
    await step("no error and no warning in the console", () => assert.deepEqual(complaints, []));
    await step("no request to another origin", () => assert.deepEqual(strangers, []));
    if (hearth.child && mayProfile) await testSilence(page, hearth);
  } finally {
    await browser.close();
  }
}

try {
  await main();
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
