// SPDX-License-Identifier: Apache-2.0
// What the benchmark programs share: a hearth of one's own, its processes, and what they cost.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const build = process.env.BUILD ?? "build";

/** Starts `hearth COMMAND …` with a data folder of its own; resolves when it says where it is. */
export const start = (command, ...options) => startIn(mkdtempSync(join(tmpdir(), "hearth-bench-")), command, ...options);

/** The same with this data folder, which goes with it. */
export async function startIn(data, command, ...options) {
  const started = process.hrtime.bigint();
  const child = spawn(`${build}/hearth`, [command, "--data", data, "--http", "127.0.0.1:0", "--otlp-grpc", "off", "--otlp-http", "off", ...options], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  const address = await new Promise((resolve, reject) => {
    child.stderr.on("data", (piece) => {
      said += piece;
      const ready = /ready at (https?:\/\/\S+)/.exec(said);
      if (ready) resolve(ready[1].replace(/\/$/, ""));
    });
    child.on("exit", (code) => reject(new Error(`hearth ended with ${code}: ${said}`)));
  });
  return {
    child, data, address, started,
    said: () => said,
    get: async (path) => (await fetch(address + path)).json(),
    async stop() {
      const gone = new Promise((resolve) => child.on("exit", resolve));
      child.kill("SIGTERM");
      await gone;
      rmSync(data, { recursive: true, force: true });
    },
  };
}

/** The children of `hearth run`, by the names that they give themselves. */
export function programs(parent) {
  const found = {};
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const [, name, rest] = /\((.*)\) (.*)$/.exec(readFileSync(`/proc/${entry}/stat`, "utf8").trim());
      if (Number(rest.split(" ")[1]) === parent) found[name] = Number(entry);
    } catch { /* it has ended */ }
  }
  return found;
}

/** Seconds of CPU time: in user space, in the kernel. */
export function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").trim().replace(/^.*\) /, "").split(" ");
  return { user: Number(fields[11]) / 100, system: Number(fields[12]) / 100 };
}

/** MiB of resident memory: now, and at its highest. */
export function memory(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const of = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)[1]) / 1024;
  return { now: of("VmRSS"), peak: of("VmHWM") };
}

/** MiB of it in maps of the BPF program: what it shares with the kernel, the ring's 4 MiB counted twice as they are mapped. */
export function mapsOfBpf(pid) {
  const parts = readFileSync(`/proc/${pid}/smaps`, "utf8").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  return parts.filter((part) => /bpf-map/.test(part.split("\n", 1)[0]))
    .reduce((sum, part) => sum + Number(/^Rss:\s+(\d+)/m.exec(part)[1]) / 1024, 0);
}

export const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

export const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** One line a figure, the same form everywhere. */
export function figure(what, value, unit, bar) {
  console.log(`${what.padEnd(66)} ${String(value).padStart(10)} ${unit}${bar ? `   (bar: ${bar})` : ""}`);
}
