// SPDX-License-Identifier: Apache-2.0
// What the collector takes in memory with 2,000 processes, maps in the kernel included.
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { figure, mapsOfBpf, memory, programs, sleep, start } from "./hearth.mjs";

const COUNT = Number(process.env.PROCESSES ?? 2000), seconds = Number(process.env.SECONDS_PROCESSES ?? 20);

/** MiB of the BPF maps that this process holds. */
function mapsOf(pid) {
  let bytes = 0;
  const seen = new Set();
  for (const fd of readdirSync(`/proc/${pid}/fdinfo`)) {
    const info = readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8");
    const id = /^map_id:\s+(\d+)/m.exec(info)?.[1], size = /^memlock:\s+(\d+)/m.exec(info)?.[1];
    if (!id || seen.has(id)) continue;
    seen.add(id);
    bytes += Number(size);
  }
  return bytes / 1048576;
}

const hearth = await start("run");
const sleepers = [];
try {
  while (sleepers.length < COUNT) {
    sleepers.push(spawn("/bin/sleep", ["600"], { stdio: "ignore" }));
    if (sleepers.length % 50 === 0) await sleep(0.2);
  }
  await sleep(seconds);
  const collector = programs(hearth.child.pid)["hearth-collect"], { now, peak } = memory(collector), maps = mapsOf(collector);
  const metrics = await (await fetch(hearth.address + "/metrics")).text();
  const used = Number(/^hearth_walk_memory_bytes (\S+)/m.exec(metrics)[1]) / 1048576, chunks = Math.ceil(used / 4) * 4;
  // What is mapped of the maps is in the resident memory as far as it was touched; it is counted with the maps, once.
  const mapped = mapsOfBpf(collector), own = now - mapped;
  figure(`collector with ${COUNT} processes: resident, of it the peak`, `${now.toFixed(1)} (${peak.toFixed(1)})`, "MiB");
  figure("  without what it has mapped of its maps", own.toFixed(1), "MiB");
  figure("  its maps in the kernel", maps.toFixed(1), "MiB");
  figure("  chunks of tables and mappings there; of it used", `${chunks} (${used.toFixed(1)})`, "MiB");
  figure("  all together", (own + maps + chunks).toFixed(1), "MiB", "≤ 64");
  figure("  processes that found no room", /^hearth_walk_processes_left_out_total (\S+)/m.exec(metrics)[1], "", "0");
} finally {
  sleepers.forEach((sleeper) => sleeper.kill("SIGKILL"));
  await hearth.stop();
}
