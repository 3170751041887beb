// SPDX-License-Identifier: Apache-2.0
// Whether our stacks are those of `perf record --call-graph dwarf`, which carries 64 KiB of each stack into user space and
// unwinds it there: both look at the same program at the same time. Of perf's hottest stacks that reach the program's start,
// how many we have with the same functions in the same order.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { figure, sleep, start } from "./hearth.mjs";

const seconds = Number(process.env.SECONDS_PERF ?? 30), HOTTEST = 20;
const loads = {
  sqlite3: ["sqlite3", ":memory:", "with recursive c(x) as (select 1 union all select x+1 from c where x<1e9) select count(*), sum(length(hex(x*7919))), max(printf('%d-%s', x, x)) from c"],
  perl: ["perl", "-e", 'my %h; while (1) { for my $i (1..300000) { $h{$i % 5000} .= "x$i" if "a$i" =~ /a(\\d+)7/; } %h = (); }'],
  python3: ["python3", "-c", "import json\nd={str(i):[i]*5 for i in range(2000)}\nwhile 1: json.loads(json.dumps(d)); sorted(d, key=lambda k: k[::-1])"],
};

try {
  execFileSync("perf", ["--version"], { stdio: "ignore" });
} catch {
  console.log("stacks against perf's: skipped, there is no perf (linux-perf)");
  process.exit(0);
}

/** Fields of a protobuf message: [number, value], numbers as BigInt, the rest as bytes. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = Number(varint());
    if ((key & 7) === 0) {
      yield [key >> 3, varint()];
    } else {
      const size = Number(varint());
      yield [key >> 3, bytes.subarray(at, at += size)];
    }
  }
}

const all = (bytes, number) => [...fields(bytes)].filter(([one]) => one === number).map(([, value]) => value);
const packed = (bytes) => {
  const values = [];
  let value = 0n, shift = 0n;
  for (const byte of bytes) {
    value |= BigInt(byte & 127) << shift;
    shift += 7n;
    if (byte < 128) {
      values.push(value);
      value = shift = 0n;
    }
  }
  return values;
};

/** The functions that a stack of a pprof file stands in, root first, without those that were inlined: as perf has them. */
function stacksOfPprof(bytes) {
  const texts = all(bytes, 6).map((text) => text.toString());
  const functions = new Map(all(bytes, 5).map((one) => [all(one, 1)[0], texts[Number(all(one, 2)[0] ?? 0n)]]));
  const locations = new Map(all(bytes, 4).map((one) => {
    const line = all(one, 4).at(-1); // none where there is no name
    return [all(one, 1)[0], line ? functions.get(all(line, 1)[0]) : "[unknown]"];
  }));
  const stacks = new Map();
  for (const sample of all(bytes, 2)) {
    const names = packed(all(sample, 1)[0]).map((id) => locations.get(id)).reverse();
    const stack = names.join(";"), weight = Number(packed(all(sample, 2)[0])[0]);
    stacks.set(stack, (stacks.get(stack) ?? 0) + weight);
  }
  return stacks;
}

/** The same of `perf script`: a line for each frame, leaf first, an empty one after each sample. */
function stacksOfPerf(text) {
  const stacks = new Map();
  for (const sample of text.split("\n\n")) {
    const names = sample.split("\n").filter((line) => line.trim()).map((line) => line.trim().replace(/^[0-9a-f]+ /, "").replace(/@@.*/, "")).reverse();
    if (names.length > 1) stacks.set(names.join(";"), (stacks.get(names.join(";")) ?? 0) + 1);
  }
  return stacks;
}

/** What has no name is "[unknown]" to perf, and the start of its function to us; of names of one address each takes its own. */
const aliases = [[/^.*\+0x[0-9a-f]+$/, "[unknown]"], [/^cfree@.*/, "free"], [/^__memcpy_/, "__memmove_"]];
const likened = (stack) => stack.split(";").map((name) => aliases.reduce((one, [from, to]) => one.replace(from, to), name)).join(";");

async function compare(hearth, name, [program, ...options]) {
  const folder = mkdtempSync(join(tmpdir(), "hearth-perf-")), data = join(folder, "data");
  const load = spawn(program, options, { stdio: "ignore" });
  await sleep(3);
  const from = Date.now();
  execFileSync("perf", ["record", "-q", "-e", "cpu-clock:u", "-F", "99", "--call-graph", "dwarf,65528", "-p", load.pid, "-o", data,
    "sleep", seconds], { stdio: ["ignore", "ignore", "pipe"] });
  const to = Date.now();
  load.kill("SIGKILL");
  await sleep(2);
  const perf = stacksOfPerf(execFileSync("perf", ["script", "-i", data, "--no-inline", "-F", "ip,sym"],
    { encoding: "utf8", maxBuffer: 1 << 30, stdio: ["ignore", "pipe", "ignore"] }));
  const query = encodeURIComponent(`{pid="${load.pid}"}`);
  const ask = () => fetch(`${hearth.address}/api/v1/export?from=${from}&to=${to}&query=${query}&format=pprof`);
  await (await ask()).arrayBuffer(); // what it comes upon is named, if it was not
  await sleep(8);
  const ours = stacksOfPprof(gunzipSync(Buffer.from(await (await ask()).arrayBuffer())));
  rmSync(folder, { recursive: true });

  const known = new Set([...ours.keys()].map(likened));
  const complete = [...perf].filter(([stack]) => /^[^;]*;__libc_start_main/.test(stack)).sort(([, a], [, b]) => b - a);
  const hottest = complete.slice(0, HOTTEST), found = hottest.filter(([stack]) => known.has(likened(stack)));
  figure(`${name}: of perf's ${hottest.length} hottest complete stacks we have`, found.length, "", "all");
  if (process.env.HEARTH_TELL) {
    for (const [stack, count] of hottest.filter((one) => !found.includes(one))) console.log(`  ${count} ${stack}`);
    for (const [stack, count] of [...perf].sort(([, a], [, b]) => b - a).slice(0, 5)) console.log(`  perf ${count} ${stack}`);
    for (const [stack, weight] of [...ours].sort(([, a], [, b]) => b - a).slice(0, 12)) console.log(`  ours ${weight} ${stack}`);
  }
}

const hearth = await start("run", "--frequency", "499");
try {
  for (const [name, load] of Object.entries(loads)) if (name.includes(process.argv[2] ?? "")) await compare(hearth, name, load);
} finally {
  await hearth.stop();
}
