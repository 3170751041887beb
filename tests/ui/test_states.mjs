// SPDX-License-Identifier: Apache-2.0
// States that a healthy host does not show: each says what is so, why, and what to do. The server is real; its answers are
// changed on their way, or held back.
import assert from "node:assert/strict";
import { checkAccess, complaints, look, LOOKS, open, says, shoot, startKnown, text, until, wholeTest } from "./browser.mjs";
import { step } from "./tap.mjs";

/** A page whose answers are changed on their way. */
async function withAnswers(browser, address, changes, run, hash = "") {
  const page = await open(browser, address);
  await page.route("**/api/v1/*", async (route) => {
    const call = new URL(route.request().url()).pathname.split("/").pop();
    const reply = await route.fetch({ maxRetries: 3 });
    const answer = await reply.json();
    changes[call]?.(answer);
    await route.fulfill({ response: reply, json: answer });
  });
  await page.goto(`${address}/${hash}`);
  try {
    await run(page);
  } finally {
    await page.unrouteAll({ behavior: "ignoreErrors" });
    await page.close();
  }
}

const nothing = (answer) => Object.assign(answer, { cores: 0, kernel_cores: 0, rows: [], more: { rows: 0, cores: 0 } });

const collector = (part) => (answer) => Object.assign(answer.collector, part);

async function testWords(browser, address) {
  const shown = (name, changes, selector, pattern, hash) => withAnswers(browser, address, changes, async (page) => {
    await says(page, selector, pattern);
    for (const [word, viewport, colorScheme] of [LOOKS[0], LOOKS[2]]) {
      await look(page, viewport, colorScheme);
      await checkAccess(page, `${name}, ${word}`);
      await shoot(page, `state-${name}-${word}`, false);
    }
  }, hash);
  await step("a host that may not be profiled", () => shown("no-rights", { status: collector({ state: "no_rights", reason: "" }) },
    ".notice", /^This host is not being profiled ?hearth was started without the right to load BPF\. .* sudo hearth run$/));
  await step("a hearth that has just been started", () => shown("starting", {
    status: (answer) => Object.assign(answer, {
      started_ms: answer.time_ms - 2000, collector: { ...answer.collector, state: "sampling", since_ms: answer.time_ms - 1000 },
      store: { ...answer.store, oldest_ms: null, newest_ms: null },
    }),
    processes: nothing,
  }, ".state", /^First samples in about 5 s ?Sampling 100 times a second on each CPU\. Started 2 s ago\./));
  await step("lost samples", () => shown("loss", { status: collector({ state: "sampling", samples: 88, lost: { ring_full: 12 } }) },
    ".notice", /^12\.0 % of samples lost since the start ?The ring buffer was full\. Shares below are still right, counts are too low\.$/));
  const store = (part) => (answer) => Object.assign(answer.store, part);
  await step("a disk that is nearly full", () => shown("shedding", {
    status: store({ state: "shedding", reason: "The disk has 900 MiB left: the oldest profiles are dropped, down to the last day. Make room on it." }),
  }, ".notice", /^The disk is nearly full ?The disk has 900 MiB left: the oldest profiles are dropped, .* Make room on it\.$/));
  await step("a disk that can't be written", () => shown("read-only", { status: store({ state: "read-only", reason: "The disk could not be written." }) },
    ".bad-notice", /^Nothing new is stored ?The disk could not be written\.$/));
  await step("a file that was damaged", () => shown("damaged", {
    status: store({ damaged: 1, damaged_file: "20251124T160000-1.db", damage: "entries of a row of block does not unpack" }),
  }, ".notice", /^1 damaged file of profiles set aside ?The last is 20251124T160000-1\.db: entries of a row of block does not unpack\. The other hours are shown\.$/));
  await step("a file that is sound and yet can't be read", () => shown("failing", {
    status: store({ failing: 1, failing_file: "20251124T160000-1.db" }),
  }, ".notice", /^1 file of profiles left out ?The last is 20251124T160000-1\.db: questions fail on it, though it is not damaged\. It is tried again at the next start\. This is a mistake of Hearth’s: please report it\.$/));
  await step("an address that is taken", () => shown("taken", {
    status: (answer) => Object.assign(answer, { address_missing: "port 4040 is taken by pid 812 (pyroscope)" }),
  }, ".notice", /^One of the addresses is taken ?port 4040 is taken by pid 812 \(pyroscope\)$/));
  await step("a collector that has gone", () => shown("absent", {
    status: (answer) => Object.assign(answer, { started_ms: answer.time_ms - 60_000, collector: { ...answer.collector, state: "absent", reason: "" } }),
  }, ".notice", /^Nothing is recorded since \d\d:\d\d:\d\d ?No collector is connected to hearth serve\. To profile the host: sudo hearth run$/));
  await step("a quiet host", () => shown("quiet", { processes: (answer) => Object.assign(answer, { cores: 0.05, rows: answer.rows.slice(0, 1) }) },
    "#answer", /^Nothing unusual: 0\.05 of 4 cores busy\.$/));
  await step("a function that is not in the range", () => shown("no-function", {},
    ".pane-graph .nothing", /^no_such_function is not in this range ?No stack of the view holds it\. ?Search for it$/, "#/explore?view=sandwich&fn=no_such_function%7C"));
  await step("no function picked", () => shown("no-pick", {}, ".pane-graph .nothing", /^No function is picked/, "#/explore?view=sandwich"));
  await step("an idle hour", () => shown("idle", {
    processes: nothing, flame: (answer) => Object.assign(answer, { total: 0, samples: 0 }),
    functions: (answer) => Object.assign(answer, { total: 0, rows: [], more: { rows: 0, self: 0 } }),
  }, ".pane-graph .nothing", /^No sample in the last 5 min ?The host was recorded then and was idle\.$/, "#/explore"));
  await step("where a change lies is said", () => shown("change", {
    changes: (answer) => Object.assign(answer, {
      rows: [{ service_name: "db", cores: 1.2, base_cores: 0.4, frame: { name: "vacuum_heap", module: "postgres", kind: 3, cores: 0.8, base_cores: 0.1, path: ["main", "vacuum_heap"] } }],
      more: { rows: 3 },
    }),
  }, ".changed", /\+0\.80 ?db ?0\.40 → 1\.20 cores, in vacuum_heap \+0\.70 ?Open ?3 more services changed$/));
  await step("a view out of roll-ups, and the same exactly", () => withAnswers(browser, address, {
    flame: (answer) => Object.assign(answer, { rolled_samples: answer.samples * 0.75 }),
  }, async (page) => {
    const asked = [];
    await says(page, ".crumbs", /samples, 75\.0 % out of roll-ups$/);
    page.on("request", (request) => asked.push(request.url()));
    await page.locator("#look").click();
    await page.locator(".pop button", { hasText: "Every frame, exactly" }).click();
    await until("asked exactly", () => asked.some((url) => /\/flame\?.*exact=1/.test(url)));
    assert.match(page.url(), /exact=1/);
  }, "#/explore"));
  await step("nothing to compare with yet", () => shown("no-base", { changes: (answer) => Object.assign(answer, { rows: [], base_recorded_ms: 0 }) },
    ".changed .nothing", /^Nothing to compare with yet: there is no recording of the 30 min before\.$/));
}

async function testMore(browser, address) {
  await step("names are text, whatever they look like", async () => {
    const hostile = `<img src=x onerror="document.title='owned'"><b>x</b>`;
    await withAnswers(browser, address, {
      status: (answer) => (answer.host.name = hostile),
      processes: (answer) => Object.assign(answer, { rows: answer.rows.map((row, i) => ({ ...row, service_name: hostile + i, process_name: hostile })) }),
      functions: (answer) => answer.rows.forEach((row) => Object.assign(row, { name: hostile, module: hostile })),
      flame: (answer) => (answer.names = answer.names.map((name) => name && hostile)),
      timeline: (answer) => answer.series.forEach((row) => (row.labels.service_name = hostile)),
      changes: (answer) => answer.rows.forEach((row) => (row.service_name = hostile)),
    }, async (page) => {
      await page.locator("#processes tbody tr").first().waitFor();
      await page.locator(".flame canvas").first().waitFor();
      await page.waitForTimeout(300);
      assert.equal(await page.locator("img, main b > b").count(), 0);
      assert.equal(await text(page, "#processes tbody tr .name"), hostile + "0");
      assert.equal(await text(page, "#functions tbody tr .name"), hostile);
      assert.notEqual(await page.title(), "owned");
    });
  });

  await step("a refusal takes the place of its own panel only, in the server's words", async () => {
    const page = await open(browser, address), said = complaints.length;
    await page.route("**/api/v1/flame*", (route) => route.fulfill({ status: 400, json: { error: "query: a quote is not closed", parameter: "query" } }));
    await page.goto(`${address}/`);
    await says(page, ".where-panel .nothing", /^The server refused the question ?query: a quote is not closed$/);
    assert.match(await text(page, "#answer"), /busy/);
    assert.ok((await page.locator("#functions tbody tr").count()) > 3);
    await checkAccess(page, "refused");
    await shoot(page, "state-refused-light");
    await page.unrouteAll({ behavior: "ignoreErrors" });
    await page.close();
    complaints.splice(said); // the browser says the 400, too
  });

  await step("a selector that the server does not take is said in its words", async () => {
    const page = await open(browser, address), said = complaints.length;
    await page.goto(`${address}/#/explore?q=${encodeURIComponent('{process_name=~"("}')}`);
    await says(page, ".pane-graph .nothing", /^The server refused the question ?query: /);
    await page.locator("#whole").click();
    await says(page, "#when-title", /busy/);
    await page.close();
    complaints.splice(said);
  });

  await step("what takes long says what is read, and can be stopped", async () => {
    const page = await open(browser, address);
    await page.goto(`${address}/#/explore`);
    await says(page, "#when-title", /busy/);
    const held = [];
    await page.route("**/api/v1/flame*", (route) => held.push(route));
    await page.locator("#when").click();
    await page.locator(".spans button", { hasText: "last 24 h" }).click();
    await says(page, ".notice", /^Reading 24 h of the whole host$/);
    await page.locator("#cancel").click();
    await says(page, ".notice", /^Stopped ?The page shows what it had before\. ?Ask again$/);
    await checkAccess(page, "stopped");
    await page.unrouteAll({ behavior: "ignoreErrors" });
    await page.locator(".notice button").click();
    await until("the answer is there", async () => (await page.locator(".notice").count()) === 0);
    assert.match(await text(page, "#when"), /last 24 h/);
    await page.close();
  });

  await step("until the first answer there are bones, not an empty chart", async () => {
    const page = await open(browser, address);
    await page.route("**/api/v1/*", () => undefined);
    await page.goto(`${address}/`);
    await page.locator("[role=status][aria-label=Loading]").waitFor();
    await page.waitForTimeout(400);
    await checkAccess(page, "loading");
    await shoot(page, "state-loading-light", false);
    await page.unrouteAll({ behavior: "ignoreErrors" });
    await page.close();
  });

  await step("data that end before the time shown: where there is something", async () => {
    const late = 3_600_000 * 3;
    await withAnswers(browser, address, {
      status: (answer) => Object.assign(answer, { store: { ...answer.store, oldest_ms: answer.store.oldest_ms - late, newest_ms: answer.store.newest_ms - late } }),
    }, async (page) => {
      await says(page, ".notice", /^Nothing is recorded in the last 5 min ?The newest data are of .*Show them$/);
      await page.locator("#newest").click();
      await until("a range in the address", () => /explore\?from=\d+&to=\d+/.test(page.url()));
    });
  });
}

async function main(browser) {
  const { address } = await startKnown();
  await testWords(browser, address);
  await testMore(browser, address);
}

await wholeTest(main);
