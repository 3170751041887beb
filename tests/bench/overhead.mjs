// SPDX-License-Identifier: Apache-2.0
// What both processes cost at 99 Hz with every core busy: CPU over 60 s, memory after MINUTES more.
import { spawn } from "node:child_process";
import { cpus } from "node:os";
import { build, cpuSeconds, figure, mapsOfBpf, memory, programs, sleep, start } from "./hearth.mjs";

const seconds = Number(process.env.SECONDS_BUSY ?? 60);
const minutes = Number(process.env.MINUTES ?? 10);
const burners = cpus().map(() => spawn(`${build}/tests/live/targets/burn`, [String(seconds + minutes * 60 + 60)], { stdio: "ignore" }));
const hearth = await start("run");

try {
  await sleep(10); // symbols are read once, at the start
  const running = programs(hearth.child.pid);
  const ids = [running["hearth-collect"], running["hearth-serve"]];
  const before = ids.map(cpuSeconds);
  await sleep(seconds);
  const after = ids.map(cpuSeconds);
  const percent = (kind) => ids.map((_, i) => (after[i][kind] - before[i][kind]) / seconds * 100);
  const [collect, serve] = percent("user");
  const [collectSystem, serveSystem] = percent("system");
  figure(`user CPU of both at 99 Hz, ${cpus().length} cores busy, ${seconds} s`, (collect + serve).toFixed(2), "% of a core", "≤ 1");
  figure("  of it collector, server", `${collect.toFixed(2)} ${serve.toFixed(2)}`, "%");
  figure("  besides, in the kernel: collector, server", `${collectSystem.toFixed(2)} ${serveSystem.toFixed(2)}`, "%");
  await sleep(minutes * 60);
  const [collector, server] = ids.map(memory);
  figure(`resident memory of the collector after ${minutes} min (peak)`, `${collector.now.toFixed(1)} (${collector.peak.toFixed(1)})`, "MiB", "≤ 32");
  figure("  of it ring and unwind tables, which depend on what runs", mapsOfBpf(ids[0]).toFixed(1), "MiB");
  figure(`resident memory of the server after ${minutes} min (peak)`, `${server.now.toFixed(1)} (${server.peak.toFixed(1)})`, "MiB", "≤ 64");
  const status = await hearth.get("/api/v1/status");
  figure("samples lost, all kinds", Object.values(status.collector.lost).reduce((a, b) => a + b, 0), `of ${status.collector.samples}`);
} finally {
  burners.forEach((burner) => burner.kill());
  await hearth.stop();
}
