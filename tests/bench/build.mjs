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
  const metrics = await (await fetch(hearth.address + "/metrics")).text();
  const metric = (name) => Number(new RegExp(`^${name} (\\S+)`, "m").exec(metrics)[1]);
  const stacks = [...metrics.matchAll(/^hearth_stacks_total\{verdict="(\w+)"\} (\d+)/gm)].map(([, verdict, n]) => [verdict, Number(n)]);
  const all = stacks.reduce((sum, [, n]) => sum + n, 0);
  const whole = stacks.filter(([verdict]) => verdict === "complete" || verdict === "no_user_stack").reduce((sum, [, n]) => sum + n, 0);
  figure("stacks complete, whole host, its start included", (whole / all * 100).toFixed(2), "%", "≥ 99.5");
  figure("  the others", stacks.filter(([verdict, n]) => n > 0 && verdict !== "complete" && verdict !== "no_user_stack").map(([verdict, n]) => `${verdict} ${n}`).join(", "), `of ${all}`);
  const told = metric("hearth_mappings_told_total"), late = metric("hearth_mappings_told_late_total");
  figure("mappings that the walk knew of within 2 ms", ((1 - late / told) * 100).toFixed(2), `% of ${told}`, "≥ 99");
  const found = metric("hearth_mappings_told_late_found_total");
  figure("  or found by itself, since their files are known", ((1 - (late - found) / told) * 100).toFixed(2), "%", "≥ 99");
  const within = [...metrics.matchAll(/^hearth_mapping_telling_seconds_bucket\{le="([\d.]+)"\} (\d+)/gm)].map(([, seconds, n]) => [Number(seconds) * 1000, Number(n)]);
  const p99 = within.find(([, n]) => n >= told * 0.99);
  figure("  99 in 100 of them within", p99 ? p99[0] : `more than ${within.at(-1)[0]}`, "ms", "≤ 2");
  figure("walked twice: with another outcome", metric("hearth_walks_different_total"), `of ${metric("hearth_walks_checked_total")}`, "0");
  figure("walked by mappings that only the kernel knew yet", metric("hearth_walks_by_kernels_mappings_total"), "");
  figure("walked late; without all that they waited for; that brought no stack", `${metric("hearth_late_walks_total")} ${metric("hearth_late_walks_expired_total")} ${metric("hearth_late_walks_left_out_total")}`, "");
  figure("  samples", status.store.samples, "");
  figure("  lost, all kinds", Object.values(status.collector.lost).reduce((a, b) => a + b, 0), "");
} finally {
  stopping = true;
  builder?.kill();
  rmSync("build/bench", { recursive: true, force: true });
  await hearth.stop();
}
