// SPDX-License-Identifier: Apache-2.0
// A server with a week of a host in it: pushes from eight clients as fast as they are taken, and then questions for flame
// graphs of an hour, a day and the week, one and eight at once, while a megabyte a second is pushed.
// To fill it takes 12 µs a sample, minutes for a week of a quiet host; tests/bench/month asks of busy ones.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { Agent, get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, cpuSeconds, figure, memory, sleep, start } from "./hearth.mjs";
import { Pusher, saturate, usualPushes, within } from "./pushes.mjs";

const SECONDS = Number(process.env.SECONDS_LOAD ?? 60);
const DAYS = Number(process.env.DAYS_LOAD ?? 7), SAMPLES = Number(process.env.SAMPLES_LOAD ?? 20);
const CLIENTS = 8, QUESTIONS = Number(process.env.QUESTIONS_LOAD ?? 200), PUSHED_BYTES = 1 << 20; // a second, packed
const HOUR_MS = 3600000;

const folder = mkdtempSync(join(tmpdir(), "hearth-load-"));
const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });

function fill() {
  const made = spawnSync(`${build}/tests/bench/generate`, ["--store", "--rhythm", folder, String(DAYS * 86400), String(SAMPLES), "40"],
    { encoding: "utf8" });
  if (made.status !== 0) throw new Error(`cannot fill a store: ${made.stderr}`);
}

/** To the last byte, packed as browsers ask for it; the status. */
const read = (address) => new Promise((done, failed) =>
  get(address, { agent, headers: { "accept-encoding": "gzip" } }, (answer) =>
    answer.resume().on("end", () => done(answer.statusCode)).on("error", failed)).on("error", failed));

/** What has not been copied from logs into their files, MiB. */
function logSize() {
  const data = join(folder, "data");
  return readdirSync(data).filter((name) => name.endsWith("-wal"))
    .reduce((sum, name) => sum + statSync(join(data, name), { throwIfNoEntry: false })?.size ?? 0, 0) / (1 << 20);
}

async function ask(hearth, hours, count) {
  const times = [], now = Date.now();
  let left = QUESTIONS, refused = 0;
  await Promise.all(Array.from({ length: count }, async () => {
    while (left-- > 0) {
      const begun = performance.now();
      // Each another range, as people's are: none is answered out of what the one before kept.
      const to = now - left * 1000;
      refused += await read(`${hearth.address}/api/v1/flame?from=${to - hours * HOUR_MS}&to=${to}`) !== 200;
      times.push(performance.now() - begun);
    }
  }));
  if (refused) figure("  of which were not answered in time", refused, "", "0");
  return times;
}

/** Pushes at an even rate until it is told to stop, and the last is answered; how long each took. */
function pushEvenly(pusher, pushes) {
  const times = [], sent = [], timer = setInterval(() => {
    const begun = performance.now();
    sent.push(pusher.push(pushes[sent.length % pushes.length].body).then(() => times.push(performance.now() - begun), (error) => {
      console.error(`a push failed: ${error.message}`);
      process.exitCode = 1;
    }));
  }, 1000 * pushes[0].body.length / PUSHED_BYTES);
  return async () => { clearInterval(timer); await Promise.all(sent); return times; };
}

try {
  fill();
  const pushes = usualPushes();
  const hearth = await start("serve", "--data", folder, "--retention-age", "off");
  const pusher = new Pusher(hearth.address, CLIENTS);
  try {
    await sleep(2);
    const before = cpuSeconds(hearth.child.pid);
    const times = await saturate(pusher, pushes.map(({ body }) => body), CLIENTS, SECONDS);
    const mean = pushes.reduce((sum, { size }) => sum + size, 0) / pushes.length;
    figure(`L1: pushes of 50 KB, packed, from ${CLIENTS} clients, ${SECONDS} s`, (times.length / SECONDS).toFixed(0), "/s", "≥ 300");
    const after = cpuSeconds(hearth.child.pid);
    figure("  CPU each, user and kernel", ["user", "system"].map((kind) => ((after[kind] - before[kind]) * 1000 / times.length).toFixed(2)).join(" "), "ms");
    figure("  of profiles, unpacked", (times.length * mean / SECONDS / 1e6).toFixed(0), "MB/s", "≥ 15");
    figure("  half, and 99 of 100, are answered within", `${within(times, 0.5)} ${within(times, 0.99)}`, "ms", "≤ 100");
    figure("  peak memory of the server", memory(hearth.child.pid).peak.toFixed(1), "MiB", "< 300");
    const stop = pushEvenly(pusher, pushes);
    let logs = 0;
    const watch = setInterval(() => { logs = Math.max(logs, logSize()); }, 200);
    for (const [hours, name, bar] of [[1, "1 h", "≤ 150"], [24, "24 h", "≤ 500"], [DAYS * 24, `${DAYS} d`, "≤ 2000"]])
      for (const count of [1, CLIENTS]) {
        const asked = await ask(hearth, hours, count);
        figure(`L4: flame graph of ${name}, ${count} at once, while 1 MB/s is pushed: half, 99 %`,
          `${within(asked, 0.5)} ${within(asked, 0.99)}`, "ms", bar);
      }
    clearInterval(watch);
    const meanwhile = await stop();
    figure("  the pushes meanwhile: half, 99 of 100", `${within(meanwhile, 0.5)} ${within(meanwhile, 0.99)}`, "ms", "≤ 100");
    figure("  largest sum of logs that wait to be copied", logs.toFixed(1), "MiB", "< 32");
    figure("  peak memory of the server", memory(hearth.child.pid).peak.toFixed(1), "MiB");
  } finally {
    pusher.close();
    await hearth.stop();
  }
} finally {
  agent.destroy();
  rmSync(folder, { recursive: true, force: true });
}
