// SPDX-License-Identifier: Apache-2.0
// Ten gigabytes of spans go, since there is no more room for them: what a question takes that is asked meanwhile.
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, figure, median, sleep, start } from "./hearth.mjs";

const SPANS = 11, SPAN_BYTES = 2 ** 30, HOURS = 6 * SPANS, QUESTIONS = 300, PATIENCE_MS = 120000;

/** Span files are as they were, but that the file system has to free a gigabyte for each. */
function fill(path) {
  const piece = Buffer.alloc(1 << 20, "hearth"), file = openSync(path, "a");
  for (let size = statSync(path).size; size < SPAN_BYTES; size += piece.length) writeSync(file, piece);
  closeSync(file);
}

/** What questions take, from the start on until so many spans are dropped, and at least QUESTIONS of them. */
async function live(size, count) {
  const hearth = await start("serve", "--data", folder, "--retention-age", "off", "--retention-size", size);
  const times = [], end = Date.now() + PATIENCE_MS;
  const dropped = async () => Number(/hearth_store_dropped_spans_total\{reason="size"\} (\d+)/.exec(await (await fetch(`${hearth.address}/metrics`)).text())[1]);
  try {
    while (await dropped() < count || times.length < QUESTIONS) {
      const began = process.hrtime.bigint();
      await (await fetch(`${hearth.address}/api/v1/flame?from=now-6h`)).arrayBuffer();
      times.push(Number(process.hrtime.bigint() - began) / 1e6);
      if (Date.now() > end) throw new Error(`${await dropped()} of ${count} spans were dropped`);
      await sleep(0.005);
    }
  } finally {
    await hearth.stop();
  }
  return times;
}

const folder = mkdtempSync(join(tmpdir(), "hearth-drop-"));
try {
  const made = spawnSync(`${build}/tests/bench/generate`, ["--store", "--seldom", "--sparse", folder, String(HOURS * 3600), "60", "40"], { encoding: "utf8" });
  if (made.status !== 0) throw new Error(`cannot generate a store: ${made.stderr}`);
  // All but the one that is written.
  const files = readdirSync(join(folder, "data")).filter((name) => name.endsWith(".db")).sort().slice(0, -1);
  for (const name of files) fill(join(folder, "data", name));
  spawnSync("sync");
  // Once as it is, then once more while they go: both begin cold.
  const before = await live("off", 0), meanwhile = await live(`${Math.floor(1.5 * SPAN_BYTES)}`, files.length - 1);
  const said = (times) => `${times[0].toFixed(1)}; ${median(times).toFixed(1)}; ${Math.max(...times.slice(1)).toFixed(1)}`;
  figure("flame graph of 6 h, nothing dropped: first; median; at the most", said(before), "ms");
  figure(`the same while ${files.length - 1} spans of a GiB are dropped`, said(meanwhile), "ms", "≤ 100 more");
} finally {
  rmSync(folder, { recursive: true, force: true });
}
