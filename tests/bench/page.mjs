// SPDX-License-Identifier: Apache-2.0
// The page: how soon it is there, how much comes over the line, and what it costs while it is open and live.
// MINUTES_PAGE (10) is how long it stays open.
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { build, cpuSeconds, figure, median, programs, sleep, start } from "./hearth.mjs";

const { chromium } = createRequire(new URL("../ui/package.json", import.meta.url))("playwright-core");
const minutes = Number(process.env.MINUTES_PAGE ?? 10);
const launch = () => chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});

/** Processes of a browser by what they are for; the tab is the renderer that has used most CPU time. */
function browserProcesses() {
  const found = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const words = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
      if (!/chrom/.test(words[0])) continue;
      // Of this browser: it is a descendant of this program.
      for (let at = Number(entry); at > 1;) {
        at = Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${at}/stat`, "utf8"))[1]);
        if (at === process.pid) {
          found.push({ pid: Number(entry), type: /--type=([\w-]+)/.exec(words.join(" "))?.[1] ?? "browser" });
          break;
        }
      }
    } catch { /* it has ended */ }
  }
  return found;
}

const cpuOf = (pid) => {
  try {
    const { user, system } = cpuSeconds(pid);
    return user + system;
  } catch {
    return 0;
  }
};

const hearth = await start("run");
const burner = spawn(`${build}/tests/live/targets/burn`, [String(minutes * 60 + 120)], { stdio: "ignore" });
try {
  let bytes = 0;
  for (const file of ["", "page.js", "page.css", "icon.svg"]) {
    const reply = await fetch(`${hearth.address}/${file}`, { headers: { "accept-encoding": "gzip" } });
    bytes += Number(reply.headers.get("content-length"));
    await reply.arrayBuffer();
  }
  figure("the page's files, gzipped", bytes, "B", "≤ 100000");

  await sleep(15); // so that there is something to show
  const first = [], whole = [];
  for (let run = 0; run < 5; run++) {
    const browser = await launch();
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    await page.goto(`${hearth.address}/`);
    await page.locator(".flame canvas").first().waitFor();
    const times = await page.evaluate(() => new Promise((resolve) => {
      const answerAt = performance.now();
      const paint = performance.getEntriesByName("first-contentful-paint")[0];
      resolve({ paint: paint?.startTime ?? NaN, answerAt });
    }));
    first.push(times.paint);
    whole.push(times.answerAt);
    await browser.close();
  }
  figure("Now, cold browser: first paint, median of 5", median(first).toFixed(0), "ms", "≤ 300");
  figure("Now, cold browser: flame graph is there, median of 5", median(whole).toFixed(0), "ms");

  const browser = await launch();
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.goto(`${hearth.address}/`);
  await page.locator(".flame canvas").first().waitFor();
  await sleep(10);
  const server = programs(hearth.child.pid)["hearth-serve"];
  const measure = () => ({
    server: cpuOf(server), processes: browserProcesses().map((one) => ({ ...one, cpu: cpuOf(one.pid) })), at: process.hrtime.bigint(),
  });
  const before = measure();
  await sleep(minutes * 60);
  const after = measure();
  const seconds = Number(after.at - before.at) / 1e9;
  const spent = (type) => Math.max(0, ...after.processes.filter((one) => one.type === type).map((one) =>
    one.cpu - (before.processes.find((other) => other.pid === one.pid)?.cpu ?? 0)));
  const all = after.processes.reduce((sum, one) => sum + one.cpu - (before.processes.find((other) => other.pid === one.pid)?.cpu ?? 0), 0);
  figure(`Now open and live for ${minutes} min: the tab`, (100 * spent("renderer") / seconds).toFixed(2), "% of a core", "≤ 3");
  figure("the same: the whole browser, its drawing in software included", (100 * all / seconds).toFixed(2), "% of a core");
  figure("the same: hearth serve", (100 * (after.server - before.server) / seconds).toFixed(2), "% of a core", "≤ 1");
  await browser.close();
} finally {
  burner.kill();
  await hearth.stop();
}
