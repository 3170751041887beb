// SPDX-License-Identifier: Apache-2.0
// What programs push: a profile as large as any, what it costs and takes of memory, and how many of the usual size a second.
import { gzipSync } from "node:zlib";
import { cpuSeconds, figure, memory, sleep, start } from "./hearth.mjs";
import { makeProfile, makePush, Pusher, saturate, usualPushes, within } from "./pushes.mjs";

const SECONDS = Number(process.env.SECONDS_PUSH ?? 10);
const CLIENTS = 24, RATE = 300;

const used = (pid) => { const { user, system } = cpuSeconds(pid); return user + system; };

async function large(packed) {
  const profile = makeProfile(100 << 20, 5000, 20000);
  const body = makePush("large", packed ? gzipSync(profile, { level: 1 }) : profile);
  const hearth = await start("serve");
  const pusher = new Pusher(hearth.address, CLIENTS);
  try {
    await sleep(1);
    const before = memory(hearth.child.pid), cpu = used(hearth.child.pid), begun = performance.now();
    await pusher.push(body);
    const seconds = (performance.now() - begun) / 1000, spent = used(hearth.child.pid) - cpu;
    const after = memory(hearth.child.pid);
    const what = packed ? "a pprof of 100 MiB, packed to " + (body.length / (1 << 20)).toFixed(0) + " MiB" : "a pprof of 100 MiB, as it is";
    figure(what, (100 * 1.048576 / seconds).toFixed(0), "MB/s", "≥ 50");
    figure("  of a core's time", (100 * 1.048576 / spent).toFixed(0), "MB/s", "≥ 50");
    figure("  peak memory over idle", (after.peak - before.now).toFixed(1), "MiB", "≤ 64");
  } finally {
    pusher.close();
    await hearth.stop();
  }
}

/** So many a second, whether or not those before were answered; what waits to be sent waits, too. */
async function paced(pusher, bodies) {
  const times = [], pushes = [], start = performance.now();
  for (let i = 0; i < RATE * SECONDS; i++) {
    const due = start + i * 1000 / RATE, early = due - performance.now();
    if (early > 0) await sleep(early / 1000);
    pushes.push(pusher.push(bodies[i % bodies.length]).then(() => times.push(performance.now() - due)));
  }
  await Promise.all(pushes);
  return times;
}

async function usual() {
  const bodies = usualPushes().map(({ body }) => body);
  const hearth = await start("serve");
  const pusher = new Pusher(hearth.address, CLIENTS);
  try {
    await sleep(1);
    const cpu = used(hearth.child.pid);
    const most = await saturate(pusher, bodies, CLIENTS, SECONDS);
    figure(`pushes of 50 KB, packed, from ${CLIENTS} clients`, (most.length / SECONDS).toFixed(0), "/s", "≥ 300");
    figure("  99 of 100 are answered within", within(most, 0.99), "ms");
    figure("  CPU each", ((used(hearth.child.pid) - cpu) / most.length * 1000).toFixed(2), "ms");
    await sleep(1);
    const even = await paced(pusher, bodies);
    figure(`the same, ${RATE} a second: half are answered within`, within(even, 0.5), "ms");
    figure("  99 of 100 are answered within", within(even, 0.99), "ms", "≤ 100");
    figure("  peak memory of the server", memory(hearth.child.pid).peak.toFixed(1), "MiB");
  } finally {
    pusher.close();
    await hearth.stop();
  }
}

await large(false);
await large(true);
await usual();
