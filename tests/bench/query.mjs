// SPDX-License-Identifier: Apache-2.0
// A generated recording through `hearth serve --replay`: what a sample costs the server, what it takes on
// disk, and how long the flame graph of an hour of the whole host takes.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, cpuSeconds, figure, median, memory, sleep, start } from "./hearth.mjs";

const folder = mkdtempSync(join(tmpdir(), "hearth-recording-"));

// To the last byte, packed as browsers ask for it, and not unpacked: fetch() takes some ms of its own.
const agent = new Agent({ keepAlive: true });
const read = (address) => new Promise((done, failed) =>
  get(address, { agent, headers: { "accept-encoding": "gzip" } }, (answer) =>
    answer.resume().on("end", done).on("error", failed)).on("error", failed));

async function replay(samples, services, seconds, measure) {
  const recording = join(folder, "recording");
  const made = spawnSync(`${build}/tests/bench/generate`, [recording, String(seconds), String(samples), String(services)],
    { encoding: "utf8" });
  if (made.status !== 0) throw new Error(`cannot generate a recording: ${made.stderr}`);
  const hearth = await start("serve", "--replay", recording, "--retention-age", "off");
  try {
    let status;
    do {
      await sleep(0.2);
      status = await hearth.get("/api/v1/status");
    } while (status.store.samples < samples * seconds);
    await measure(hearth, status);
  } finally {
    await hearth.stop();
  }
}

try {
  await replay(6336, 400, 60, async (hearth, status) => {
    const used = cpuSeconds(hearth.child.pid);
    figure("server CPU a sample, replaying 6,336 samples/s, user", (used.user / status.store.samples * 1e6).toFixed(2), "µs", "≤ 5");
    figure("  besides, in the kernel", (used.system / status.store.samples * 1e6).toFixed(2), "µs");
    figure("  bytes a sample in the open span, log included", (status.store.bytes / status.store.samples).toFixed(1), "B");
    figure("  peak memory of the server", memory(hearth.child.pid).peak.toFixed(1), "MiB");
  });
  await replay(198, 40, 3600, async (hearth, status) => {
    const range = `from=${status.store.newest_ms - 3600000}&to=${status.store.newest_ms}`;
    const ask = async (path) => {
      const times = [];
      for (let i = 0; i < 21; i++) {
        const before = process.hrtime.bigint();
        await read(hearth.address + path);
        times.push(Number(process.hrtime.bigint() - before) / 1e6);
      }
      return [times[0], median(times.slice(1))].map((ms) => ms.toFixed(1)).join(" ");
    };
    const rolled = async () => (await fetch(`${hearth.address}/api/v1/flame?${range}`)).headers.get("x-hearth-query").match(/rolled=(\d+)/)?.[1] ?? "0";
    // The hour came in seconds. What a server that runs sums up while the next ten minutes come is made up for first.
    const behind = await ask(`/api/v1/flame?${range}`);
    for (let before = "", same = 0; same < 3; await sleep(5)) {
      const now = await rolled();
      same = now === before ? same + 1 : 0;
      before = now;
    }
    figure("flame graph of an hour, whole host, first and median of 20", await ask(`/api/v1/flame?${range}`), "ms", "≤ 20");
    figure("  while the hour that came at once is summed up", behind, "ms");
    figure("  samples out of sums", `${await rolled()} of ${status.store.samples}`, "");
    figure("  one service", await ask(`/api/v1/flame?${range}&query=${encodeURIComponent('{service_name="service0"}')}`), "ms");
    figure("  the processes of that hour", await ask(`/api/v1/processes?${range}`), "ms");
    figure("  bytes a sample", (status.store.bytes / status.store.samples).toFixed(1), "B");
    figure("  memory of the server, now", memory(hearth.child.pid).now.toFixed(1), "MiB", "≤ 64");
  });
} finally {
  agent.destroy();
  rmSync(folder, { recursive: true, force: true });
}
