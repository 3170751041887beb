// SPDX-License-Identifier: Apache-2.0
// What many connections cost: another's worst request beside slow clients (F15), and memory per idle connection.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { build, figure, memory, sleep, start } from "./hearth.mjs";

const IDLE = Number(process.env.CONNECTIONS ?? 1000), EACH = 64;
const keys = mkdtempSync(join(tmpdir(), "hearth-keys-"));
execFileSync(`${build}/hearth`, ["tls", "self-signed", "--data", keys], { stdio: "ignore" });
const secure = ["--tls-certificate", join(keys, "tls.crt"), "--tls-key", join(keys, "tls.key")];
const portOf = (hearth) => Number(new URL(hearth.address).port);

/** A socket that never makes us end. */
const quiet = (socket) => socket.on("error", () => {});
const dial = (port) => quiet(connect(port, "127.0.0.1"));
const head = (method, path, ...more) => [`${method} ${path} HTTP/1.1`, "Host: localhost", ...more, "", ""].join("\r\n");
const get = (port, path) => new Promise((resolve, reject) => {
  const socket = connect(port, "127.0.0.1"), began = performance.now();
  let said = "";
  socket.on("data", (piece) => { said += piece; });
  socket.on("end", () => said.startsWith("HTTP/1.1 200") ? resolve(performance.now() - began) : reject(new Error(said.slice(0, 200))));
  socket.on("error", reject);
  socket.write(head("GET", path, "Connection: close"));
});

/** What slow clients say at once, and what again and again. */
const kinds = {
  idle: ["", ""],
  "a head by the byte": ["GET /", "x"],
  "a body by the byte": [head("POST", "/querier.v1.QuerierService/LabelValues", "Content-Type: application/json", "Content-Length: 100000"), " "],
  "answers that nobody reads": [head("GET", "/page.js").repeat(20), ""],
  "half a head behind a request": [`${head("GET", "/ready")}GET /re`, "a"],
};

async function beside(port, name, mixture) {
  const slow = mixture.map((kind) => {
    const socket = dial(port), [first, then] = kinds[kind];
    if (kind === "answers that nobody reads") socket.pause();
    else socket.resume();
    socket.write(first);
    return { socket, then };
  });
  let worst = 0;
  for (const end = performance.now() + 4000; performance.now() < end;) {
    for (const { socket, then } of slow) if (then && socket.writable) socket.write(then);
    worst = Math.max(worst, await get(port, "/ready"), await get(port, "/api/v1/status"));
    await sleep(0.05);
  }
  slow.forEach(({ socket }) => socket.destroy());
  figure(`beside ${mixture.length} ${name}: another's worst request`, worst.toFixed(1), "ms", "< 1000");
}

const openings = {
  "HTTP/1.1": (port) => new Promise((resolve) => {
    const socket = dial(port);
    socket.once("data", () => resolve(() => socket.destroy()));
    socket.write(head("GET", "/ready"));
  }),
  "HTTP/1.1, TLS": (port) => new Promise((resolve) => {
    const socket = quiet(connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] }));
    socket.once("data", () => resolve(() => socket.destroy()));
    socket.write(head("GET", "/ready"));
  }),
  "HTTP/2": (port) => ask(connectHttp2(`http://127.0.0.1:${port}`)),
  "HTTP/2, TLS": (port) => ask(connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })),
};
const ask = (session) => new Promise((resolve) => {
  quiet(session);
  const stream = quiet(session.request({ ":path": "/ready" }));
  stream.resume();
  stream.on("end", () => resolve(() => session.destroy()));
});

/** Each on a server of its own, so that what one kind left does not serve the next. */
async function idleMemory(name, bar) {
  const hearth = await start("serve", ...(name.includes("TLS") ? secure : []));
  const port = portOf(hearth), closings = [];
  try {
    for (let i = 0; i < 20; i++) closings.push(await openings[name](port));
    await sleep(1);
    const before = memory(hearth.child.pid).now;
    while (closings.length < IDLE + 20) closings.push(...await Promise.all(Array.from({ length: 20 }, () => openings[name](port))));
    await sleep(2);
    figure(`memory per idle connection, ${IDLE} of ${name}`, ((memory(hearth.child.pid).now - before) * 1024 / IDLE).toFixed(1), "KiB", bar);
  } finally {
    closings.forEach((close) => close());
    await hearth.stop();
  }
}

const hearth = await start("serve");
try {
  for (const kind of Object.keys(kinds)) await beside(portOf(hearth), kind, Array(EACH).fill(kind));
  await beside(portOf(hearth), "of all kinds", Array.from({ length: 208 }, (_, i) => Object.keys(kinds)[i % 5]));
} finally {
  await hearth.stop();
}
for (const [name, bar] of Object.entries({ "HTTP/1.1": "≤ 24", "HTTP/1.1, TLS": "≤ 24", "HTTP/2": "≤ 24", "HTTP/2, TLS": "≤ 48" }))
  await idleMemory(name, bar);
rmSync(keys, { recursive: true });
