// SPDX-License-Identifier: Apache-2.0
// OpenTelemetry's profiles by gRPC: what receiving the same requests costs Hearth, which stores them, and OpenTelemetry's
// Collector, which sends them on to a peer that only says yes. Of CPU time, so that what else runs here matters little.
// HEARTH_COLLECTOR, or a Collector that the long tests built (tests/system/test_collector.c); without one Hearth alone is measured.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import http2 from "node:http2";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, cpuSeconds, figure, sleep, start } from "./hearth.mjs";

const EXPORT = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";
const TOGETHER = 2, WINDOW = 16 << 20, ROUNDS = Number(process.env.ROUNDS_OTLP ?? 1);
const SEGMENT = 600; // seconds, as the store's: whole ones, so that their settling is part of it
// Of about 1 MB each.
const HOSTS = [
  { what: "a host with 8 busy CPUs", cpus: 8, seconds: 6, segments: 2 },
  { what: "a host with 48 busy CPUs", cpus: 48, seconds: 1, segments: 0.3 },
];

const folder = mkdtempSync(join(tmpdir(), "hearth-otlp-"));
const collector = process.env.HEARTH_COLLECTOR ?? [`${build}/tests/clients/collector/collector`].find((path) => existsSync(path));

const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

function makeRequests({ cpus, seconds, segments }) {
  const requests = mkdtempSync(join(folder, "requests-"));
  execFileSync(`${build}/tests/bench/otlp_requests`, [requests, cpus, seconds, Math.ceil(segments * SEGMENT / seconds)]);
  return readdirSync(requests).sort().map((name) => {
    const bytes = readFileSync(join(requests, name)), head = Buffer.alloc(5);
    head.writeUInt32BE(bytes.length, 1);
    return Buffer.concat([head, bytes]);
  });
}

/** Reads what it is sent, and says yes. */
function startSink(port) {
  const server = http2.createServer({ settings: { initialWindowSize: WINDOW, maxFrameSize: 1 << 20 } });
  server.on("session", (session) => session.setLocalWindowSize(WINDOW));
  server.on("stream", (stream) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.resume();
    stream.on("end", () => stream.end(Buffer.alloc(5)));
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server)));
}

function send(session, body) {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":method": "POST", ":path": EXPORT, "content-type": "application/grpc", te: "trailers" });
    let status;
    const note = (headers) => { status = headers["grpc-status"] ?? status; };
    stream.on("response", note);
    stream.on("trailers", note);
    stream.on("error", reject);
    stream.on("close", () => (status === "0" ? resolve() : reject(new Error(`grpc-status ${status}`))));
    stream.resume();
    stream.end(body);
  });
}

const used = (pid) => { const { user, system } = cpuSeconds(pid); return user + system; };

/** Until it does nothing more: what it left for later counts. */
async function untilIdle(pid) {
  for (let before = -1, now = used(pid); now - before > 0.02; before = now, now = used(pid)) await sleep(2);
}

async function sendAll(port, pid, requests) {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  await new Promise((resolve, reject) => { session.on("connect", resolve); session.on("error", reject); });
  const before = used(pid);
  let next = 0;
  await Promise.all(Array.from({ length: TOGETHER }, async () => {
    while (next < requests.length) await send(session, requests[next++]);
  }));
  await untilIdle(pid);
  session.close();
  return used(pid) - before;
}

async function ofHearth(requests) {
  const port = await freePort();
  const hearth = await start("serve", "--otlp-grpc", `127.0.0.1:${port}`);
  try {
    await sleep(1);
    return await sendAll(port, hearth.child.pid, requests);
  } finally {
    await hearth.stop();
  }
}

async function ofCollector(requests, exporter, settings) {
  const port = await freePort(), peer = await freePort(), sink = await startSink(peer);
  const config = join(folder, "collector.yaml");
  writeFileSync(config, `receivers: { otlp: { protocols: { grpc: { endpoint: "127.0.0.1:${port}" } } } }
exporters: { ${exporter}: ${settings.replace("PEER", `endpoint: "127.0.0.1:${peer}", tls: { insecure: true }, sending_queue: { enabled: false }`)} }
service: { telemetry: { metrics: { level: none } }, pipelines: { profiles: { receivers: [otlp], exporters: [${exporter}] } } }\n`);
  const child = spawn(collector, ["--config", config, "--feature-gates=service.profilesSupport"], { stdio: ["ignore", "ignore", "pipe"] });
  try {
    let said = "";
    await new Promise((resolve, reject) => {
      child.stderr.on("data", (piece) => { said += piece; if (/Everything is ready/.test(said)) resolve(); });
      child.on("exit", () => reject(new Error(`the Collector ended: ${said}`)));
    });
    child.removeAllListeners("exit");
    await sleep(1);
    return await sendAll(port, child.pid, requests);
  } finally {
    child.kill("SIGTERM");
    sink.close();
  }
}

const COLLECTORS = [
  ["otlp_grpc, as it is set from the start: gzip", "otlp_grpc", "{ PEER }"],
  ["otlp_grpc, compression: none", "otlp_grpc", "{ PEER, compression: none }"],
  ["nop", "nop", "{}"],
];

async function measure(host) {
  const requests = makeRequests(host);
  const mb = requests.reduce((sum, request) => sum + request.length, 0) / 1e6;
  const speed = async (run) => {
    let seconds = 0;
    for (let round = 0; round < ROUNDS; round++) seconds += await run();
    return mb * ROUNDS / seconds;
  };
  console.log(`${host.what}: ${requests.length} requests of ${(mb / requests.length).toFixed(2)} MB`);
  const own = await speed(() => ofHearth(requests));
  figure("  Hearth, received, stored, synced and settled", own.toFixed(1), "MB/s of a core", "≥ 60");
  if (!collector) return;
  for (const [what, exporter, settings] of COLLECTORS) {
    const theirs = await speed(() => ofCollector(requests, exporter, settings));
    figure(`  the Collector, to ${what}`, theirs.toFixed(1), "MB/s of a core");
    figure("    Hearth takes so many times as much", (own / theirs).toFixed(2), "", exporter === "nop" ? undefined : "≥ 4");
  }
}

try {
  if (!collector) console.log("no Collector: make test-long builds one, HEARTH_COLLECTOR names another");
  for (const host of HOSTS) await measure(host);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
