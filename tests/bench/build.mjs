// SPDX-License-Identifier: Apache-2.0
// What this machine busy with a build of this project takes on disk: MINUTES of it, 5 unless said.
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { figure, sleep, start } from "./hearth.mjs";

const minutes = Number(process.env.MINUTES_BUILD ?? 5);
const hearth = await start("run");
let builder;
let stopping = false;

function buildAgain() {
  if (stopping) return;
  builder = spawn("make", ["-s", "-j2", "-B", "BUILD=build/bench", "build/bench/libstore.a", "build/bench/libsymbols.a", "build/bench/libcollector.a"], { stdio: "ignore" });
  builder.on("exit", buildAgain);
}

try {
  buildAgain();
  await sleep(minutes * 60);
  const status = await hearth.get("/api/v1/status");
  figure(`bytes stored a sample, a build for ${minutes} min (open span, log included)`, (status.store.bytes / status.store.samples).toFixed(1), "B");
  figure("  samples", status.store.samples, "");
  figure("  lost, all kinds", Object.values(status.collector.lost).reduce((a, b) => a + b, 0), "");
} finally {
  stopping = true;
  builder?.kill();
  rmSync("build/bench", { recursive: true, force: true });
  await hearth.stop();
}
