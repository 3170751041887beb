// SPDX-License-Identifier: Apache-2.0
// A server lives through a generated day of a busy host, sixty times as fast as the host, while two people ask it a thousand mixed
// questions: what memory that takes, at the median and at the most. A day settles, is rolled up and written anew as it would in a
// day. HOURS_DAY, SAMPLES_DAY (a second) and QUESTIONS_DAY make it another one; a full 64-core host takes 6336. PACE_DAY is how fast
// it lives; at 0, as fast as it can, ten minutes of a host are over before what the ten before them took is given back.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, cpuSeconds, figure, median, sleep, start } from "./hearth.mjs";

const HOURS = Number(process.env.HOURS_DAY ?? 24), SAMPLES = Number(process.env.SAMPLES_DAY ?? 600);
const QUESTIONS = Number(process.env.QUESTIONS_DAY ?? 1000), ASKERS = 2, LOOK_MS = 20, END_MS = 5000;
const PACE = Number(process.env.PACE_DAY ?? 60);
const HOUR_MS = 3600000;
const TYPE = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

const folder = mkdtempSync(join(tmpdir(), "hearth-day-"));

/** MiB: resident, and of that what is not of files. */
function memory(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const of = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)[1]) / 1024;
  return { resident: of("VmRSS"), anonymous: of("RssAnon"), peak: of("VmHWM") };
}

const page = (path, hours, rest = "") => (from, to) => [`/api/v1/${path}?from=${Math.max(from, to - hours * HOUR_MS)}&to=${to}${rest}`];
const service = (number) => encodeURIComponent(`{service_name="service${number}"}`);
const grafana = (call, rest) => (from, to) => [`/querier.v1.QuerierService/${call}`, {
  method: "POST", headers: { "content-type": "application/json" },
  body: JSON.stringify({ start: String(from), end: String(to), profileTypeID: TYPE, labelSelector: "{}", ...rest }),
}];

// As often as they stand here: most look at what is new, some at all of it.
const kinds = [
  page("flame", 0.25), page("flame", 1), page("flame", 1, `&query=${service(0)}`), page("processes", 1), page("timeline", 1),
  page("flame", 1, `&query=${service(20)}`), page("flame", 6), page("functions", 0.25), page("flame", HOURS), page("labels", HOURS),
  page("flame", HOURS, `&query=${service(0)}`), page("changes", 0.5), page("timeline", HOURS), page("modules", 1),
  page("flame", 2 / 60), page("types", HOURS), page("processes", 6), page("flame", 6, `&query=${service(3)}`),
  grafana("SelectMergeStacktraces", { maxNodes: 16384 }), grafana("SelectSeries", { step: 60, groupBy: ["service_name"] }),
  grafana("LabelValues", { name: "service_name" }),
];

let running = 0;

async function ask(hearth, number, from, to) {
  const [path, options] = kinds[number % kinds.length](from, to);
  running++;
  try {
    const answer = await fetch(hearth.address + path, options);
    await answer.arrayBuffer();
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status}`);
  } finally {
    running--;
  }
}

let host;
try {
  const recording = join(folder, "recording");
  const end = Date.now(), begin = end - HOURS * HOUR_MS;
  if (spawnSync("mkfifo", [recording]).status !== 0) throw new Error(`cannot make the pipe ${recording}`);
  host = spawn(`${build}/tests/bench/generate`, ["--rhythm", "--files", ...(PACE ? ["--pace", String(PACE)] : []), recording, String(HOURS * 3600), String(SAMPLES)],
    { stdio: ["ignore", "ignore", "inherit"] });
  const hearth = await start("serve", "--replay", recording, "--retention-age", "off");
  const seen = { resident: [], anonymous: [] }, alone = [];
  let peak = 0, asked = 0, failed = 0, newest = begin, isOver = false;
  const look = setInterval(() => {
    const now = memory(hearth.child.pid);
    for (const what of Object.keys(seen)) seen[what].push(now[what]);
    // A day has its questions in a few minutes here, and one is running much of the time.
    if (running === 0) alone.push(now.resident);
    peak = now.peak;
  }, LOOK_MS);
  try {
    const askers = Array.from({ length: ASKERS }, async () => {
      while (!isOver || asked < QUESTIONS)
        // Even over the day that passes, not over ours.
        if (asked < QUESTIONS && (isOver || asked * HOURS * HOUR_MS < (newest - begin) * QUESTIONS))
          await ask(hearth, asked++, begin, newest).catch((error) => { failed++; console.error(error.message); });
        else
          await sleep(0.02);
    });
    let status;
    // Settling may take longer than a look: it is over when the last hour's end is there.
    do {
      await sleep(2);
      if (host.exitCode || hearth.child.exitCode !== null) throw new Error(`the host ended with ${host.exitCode}, hearth with ${hearth.child.exitCode}`);
      status = await hearth.get("/api/v1/status");
      newest = status.store.newest_ms || begin;
    } while (newest < end - END_MS);
    isOver = true;
    await Promise.all(askers);
    const used = cpuSeconds(hearth.child.pid);
    figure(`a day of ${HOURS} h, ${PACE ? `${PACE} times as fast` : "as fast as can be"}: samples`, (status.store.samples / 1e6).toFixed(2), "million");
    figure("  questions meanwhile; of these not answered", `${asked}; ${failed}`, "", "1000; 0");
    figure("  files taken for damaged", (await hearth.get("/api/v1/status")).store.damaged, "", "0");
    figure("  server, CPU of all of it, a sample", ((used.user + used.system) / status.store.samples * 1e6).toFixed(2), "µs");
    figure("  memory of the server, resident, median", median(seen.resident).toFixed(1), "MiB", "≤ 96");
    figure("    at its highest", peak.toFixed(1), "MiB", "≤ 128");
    figure("    median while nobody asks", median(alone).toFixed(1), "MiB");
    figure("  of that not of files, median; at its highest", `${median(seen.anonymous).toFixed(1)}; ${Math.max(...seen.anonymous).toFixed(1)}`, "MiB");
    figure("  bytes a sample at its end", (status.store.bytes / status.store.samples).toFixed(2), "B");
  } finally {
    clearInterval(look);
    await hearth.stop();
  }
} finally {
  host?.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}
