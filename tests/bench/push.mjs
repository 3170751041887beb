// SPDX-License-Identifier: Apache-2.0
// What programs push: a profile as large as any, what it costs and takes of memory, and how many of the usual size a second.
import { Agent, request } from "node:http";
import { gzipSync } from "node:zlib";
import { cpuSeconds, figure, memory, sleep, start } from "./hearth.mjs";

const SECONDS = Number(process.env.SECONDS_PUSH ?? 10);
const CLIENTS = 24, RATE = 300;

class Message {
  constructor(size) { this.bytes = Buffer.allocUnsafe(size); this.size = 0; }
  varint(value) {
    let rest = BigInt(value);
    while (rest >= 128n) { this.bytes[this.size++] = Number(rest & 127n) | 128; rest >>= 7n; }
    this.bytes[this.size++] = Number(rest);
    return this;
  }
  small(value) {
    while (value >= 128) { this.bytes[this.size++] = (value & 127) | 128; value >>>= 7; }
    this.bytes[this.size++] = value;
  }
  number(field, value) { return this.varint(field << 3).varint(value); }
  sized(field, bytes) {
    this.varint(field << 3 | 2).varint(bytes.length);
    this.size += Buffer.from(bytes).copy(this.bytes, this.size);
    return this;
  }
  get done() { return this.bytes.subarray(0, this.size); }
}

let seed = 1;
const random = (below) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % below;

/** A heap profile as Go's are: stacks of 30 frames that share their callers, two values, a number as a label. */
function makeProfile(size, functions, stackCount) {
  const profile = new Message(size + (8 << 20));
  const texts = ["", "alloc_objects", "count", "alloc_space", "bytes", "space"];
  const values = (type, unit) => new Message(16).number(1, type).number(2, unit).done;
  profile.sized(1, values(1, 2)).sized(1, values(3, 4));
  const stacks = [[1]];
  for (let i = 1; i < stackCount; i++) {
    const parent = stacks[random(i)];
    const stack = parent.slice(0, 29);
    while (stack.length < 12 + random(18)) stack.unshift(1 + random(functions));
    stacks.push(stack);
  }
  const part = new Message(4096), list = new Message(4096);
  for (let i = 0; profile.size < size; i++) {
    part.size = list.size = 0;
    for (const location of stacks[i % stackCount]) list.small(location);
    part.sized(1, list.done);
    list.size = 0;
    list.small(1 + random(100));
    list.small(512 + random(100000));
    part.sized(2, list.done);
    list.size = 0;
    list.small(8); list.small(4); list.small(24); list.small(16 + (i / stackCount | 0) * 16);
    part.sized(3, list.done);
    profile.sized(2, part.done);
  }
  for (let i = 1; i <= functions; i++) {
    const line = new Message(16).number(1, i).number(2, i % 900).done;
    profile.sized(4, new Message(64).number(1, i).number(3, 0x400000 + i * 16).sized(4, line).done);
    profile.sized(5, new Message(64).number(1, i).number(2, 4 + 2 * i).number(3, 4 + 2 * i).number(4, 5 + 2 * i).done);
    texts.push(`github.com/example/shop/internal/package${i % 97}.(*Service${i % 13}).handle${i}`, `/src/shop/internal/package${i % 97}/file${i}.go`);
  }
  for (const text of texts) profile.sized(6, Buffer.from(text));
  profile.number(9, BigInt(Date.now()) * 1000000n).number(10, 15000000000n).sized(11, values(5, 4)).number(12, 524288);
  return profile.done;
}

function makePush(service, profile) {
  const pair = (name, value) => new Message(256).sized(1, Buffer.from(name)).sized(2, Buffer.from(value)).done;
  const sample = new Message(profile.length + 16).sized(1, profile).done;
  const series = new Message(sample.length + 512).sized(1, pair("__name__", "memory")).sized(1, pair("service_name", service)).sized(2, sample).done;
  return new Message(series.length + 16).sized(1, series).done;
}

const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });

function push(address, body) {
  return new Promise((resolve, reject) => {
    const call = request(`${address}/push.v1.PusherService/Push`, {
      method: "POST", agent, headers: { "content-type": "application/proto", "content-length": body.length },
    }, (answer) => {
      let said = "";
      answer.on("data", (piece) => { said += piece; });
      answer.on("end", () => (answer.statusCode === 200 ? resolve() : reject(new Error(`${answer.statusCode}: ${said}`))));
    });
    call.on("error", reject);
    call.end(body);
  });
}

const used = (pid) => { const { user, system } = cpuSeconds(pid); return user + system; };

async function large(packed) {
  const profile = makeProfile(100 << 20, 5000, 20000);
  const body = makePush("large", packed ? gzipSync(profile, { level: 1 }) : profile);
  const hearth = await start("serve");
  try {
    await sleep(1);
    const before = memory(hearth.child.pid), cpu = used(hearth.child.pid), begun = performance.now();
    await push(hearth.address, body);
    const seconds = (performance.now() - begun) / 1000, spent = used(hearth.child.pid) - cpu;
    const after = memory(hearth.child.pid);
    const what = packed ? "a pprof of 100 MiB, packed to " + (body.length / (1 << 20)).toFixed(0) + " MiB" : "a pprof of 100 MiB, as it is";
    figure(what, (100 * 1.048576 / seconds).toFixed(0), "MB/s", "≥ 50");
    figure("  of a core's time", (100 * 1.048576 / spent).toFixed(0), "MB/s", "≥ 50");
    figure("  peak memory over idle", (after.peak - before.now).toFixed(1), "MiB", "≤ 64");
  } finally {
    await hearth.stop();
  }
}

const at = (times, part) => times.sort((a, b) => a - b)[Math.floor(times.length * part)].toFixed(0);

/** As many as the server takes from so many clients, each of which waits for its answer. */
async function saturated(address, bodies) {
  const times = [], end = performance.now() + SECONDS * 1000;
  await Promise.all(Array.from({ length: CLIENTS }, async (_, client) => {
    for (let i = client; performance.now() < end; i++) {
      const begun = performance.now();
      await push(address, bodies[i % bodies.length]);
      times.push(performance.now() - begun);
    }
  }));
  return times;
}

/** So many a second, whether or not those before were answered; what waits to be sent waits, too. */
async function paced(address, bodies) {
  const times = [], pushes = [], start = performance.now();
  for (let i = 0; i < RATE * SECONDS; i++) {
    const due = start + i * 1000 / RATE, early = due - performance.now();
    if (early > 0) await sleep(early / 1000);
    pushes.push(push(address, bodies[i % bodies.length]).then(() => times.push(performance.now() - due)));
  }
  await Promise.all(pushes);
  return times;
}

async function usual() {
  const profiles = [];
  for (let size = 200 << 10; profiles.length < 8; seed += 77) {
    const packed = gzipSync(makeProfile(size, 1500, 2000));
    if (packed.length > 52 << 10) { size *= 0.95; continue; }
    if (packed.length < 48 << 10) { size *= 1.05; continue; }
    profiles.push(packed);
  }
  const bodies = profiles.map((profile, i) => makePush(`service${i}`, profile));
  const hearth = await start("serve");
  try {
    await sleep(1);
    const cpu = used(hearth.child.pid);
    const most = await saturated(hearth.address, bodies);
    figure(`pushes of 50 KB, packed, from ${CLIENTS} clients`, (most.length / SECONDS).toFixed(0), "/s", "≥ 300");
    figure("  99 of 100 are answered within", at(most, 0.99), "ms");
    figure("  CPU each", ((used(hearth.child.pid) - cpu) / most.length * 1000).toFixed(2), "ms");
    await sleep(1);
    const even = await paced(hearth.address, bodies);
    figure(`the same, ${RATE} a second: half are answered within`, at(even, 0.5), "ms");
    figure("  99 of 100 are answered within", at(even, 0.99), "ms", "≤ 100");
    figure("  peak memory of the server", memory(hearth.child.pid).peak.toFixed(1), "MiB");
  } finally {
    await hearth.stop();
  }
}

try {
  await large(false);
  await large(true);
  await usual();
} finally {
  agent.destroy();
}
