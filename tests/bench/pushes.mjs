// SPDX-License-Identifier: Apache-2.0
// Pushes as programs send them, and a client that sends them over so many connections.
import { Agent, request } from "node:http";
import { gzipSync } from "node:zlib";

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
export function makeProfile(size, functions, stackCount) {
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

export function makePush(service, profile) {
  const pair = (name, value) => new Message(256).sized(1, Buffer.from(name)).sized(2, Buffer.from(value)).done;
  const sample = new Message(profile.length + 16).sized(1, profile).done;
  const series = new Message(sample.length + 512).sized(1, pair("__name__", "memory")).sized(1, pair("service_name", service)).sized(2, sample).done;
  return new Message(series.length + 16).sized(1, series).done;
}

/** Bodies of some 50 KB, packed, as agents push every fifteen seconds; and how large their profiles are, unpacked. */
export function usualPushes() {
  const pushes = [];
  for (let size = 200 << 10; pushes.length < 8; seed += 77) {
    const plain = makeProfile(size, 1500, 2000), packed = gzipSync(plain);
    if (packed.length > 52 << 10) { size *= 0.95; continue; }
    if (packed.length < 48 << 10) { size *= 1.05; continue; }
    pushes.push({ body: makePush(`service${pushes.length}`, packed), size: plain.length });
  }
  return pushes;
}

export class Pusher {
  constructor(address, connections) {
    this.address = address;
    this.agent = new Agent({ keepAlive: true, maxSockets: connections });
  }
  push(body) {
    return new Promise((resolve, reject) => {
      const call = request(`${this.address}/push.v1.PusherService/Push`, {
        method: "POST", agent: this.agent, headers: { "content-type": "application/proto", "content-length": body.length },
      }, (answer) => {
        let said = "";
        answer.on("data", (piece) => { said += piece; });
        answer.on("end", () => (answer.statusCode === 200 ? resolve() : reject(new Error(`${answer.statusCode}: ${said}`))));
      });
      call.on("error", reject);
      call.end(body);
    });
  }
  close() { this.agent.destroy(); }
}

/** As many as the server takes from so many clients, each of which waits for its answer: how long each took, in ms. */
export async function saturate(pusher, bodies, clients, seconds) {
  const times = [], end = performance.now() + seconds * 1000;
  await Promise.all(Array.from({ length: clients }, async (_, client) => {
    for (let i = client; performance.now() < end; i++) {
      const begun = performance.now();
      await pusher.push(bodies[i % bodies.length]);
      times.push(performance.now() - begun);
    }
  }));
  return times;
}

/** What so large a part of the times is within. */
export const within = (times, part) => [...times].sort((a, b) => a - b)[Math.floor(times.length * part)].toFixed(0);
