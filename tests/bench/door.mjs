// SPDX-License-Identifier: Apache-2.0
// What the front door costs: small requests over connections that stay, against civetweb alone. The server has one core,
// h2load the other. ROUNDS (5) of each, taken in turns. By HTTP/2 the front's own thread tells its health and the page's files;
// all else takes a worker, and its two changes of threads are seen in a figure of their own.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, figure, median } from "./hearth.mjs";

const rounds = Number(process.env.ROUNDS ?? 5);
const folder = mkdtempSync(join(tmpdir(), "hearth-door-"));

try {
  execFileSync("h2load", ["--version"], { stdio: "ignore" });
} catch {
  console.log("door: skipped, there is no h2load (apt-get install nghttp2-client)");
  process.exit(0);
}

async function start(...command) {
  const child = spawn("taskset", ["-c", "0", ...command], { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  const address = await new Promise((resolve, reject) => {
    child.stderr.on("data", (piece) => {
      said += piece;
      const ready = /ready at (http:\/\/\S+)/.exec(said);
      if (ready) resolve(ready[1].replace(/\/$/, ""));
    });
    child.on("exit", (code) => reject(new Error(`${command[0]} ended with ${code}: ${said}`)));
  });
  return { child, address };
}

/** Microseconds of CPU of all threads, by the scheduler's own clock. */
function cpu(pid) {
  let sum = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`))
    sum += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]) / 1000;
  return sum;
}

function load({ server, path = "/ready", options }, count, clients) {
  const log = join(folder, "log");
  rmSync(log, { force: true });
  const before = cpu(server.child.pid);
  const said = execFileSync("taskset", ["-c", "1", "h2load", "-n", count, "-c", clients, `--log-file=${log}`, ...options,
    server.address + path], { encoding: "utf8" });
  const spent = cpu(server.child.pid) - before;
  if (!said.includes(`${count} succeeded`)) throw new Error(said);
  const times = readFileSync(log, "utf8").trim().split("\n").map((line) => Number(line.split("\t")[2]));
  return { p50: median(times), cpu: spent / count };
}

const civetweb = await start(`${build}/tests/bench/civetweb_alone`);
const hearth = await start(`${build}/hearth`, "serve", "--data", join(folder, "data"), "--http", "127.0.0.1:0");
const ways = {
  "civetweb alone": { server: civetweb, options: ["--h1"] },
  "HTTP/1.1": { server: hearth, options: ["--h1"] },
  "HTTP/2": { server: hearth, options: [] },
  "HTTP/2, by a worker": { server: hearth, path: "/api/v1/status/config/diff", options: [] },
};
const seen = Object.fromEntries(Object.keys(ways).map((way) => [way, { p50: [], cpu: [] }]));

try {
  for (let round = 0; round < rounds; round++)
    for (const [name, way] of Object.entries(ways)) {
      seen[name].p50.push(load(way, 10000, 1).p50);
      seen[name].cpu.push(load(way, 32000, 16).cpu);
    }
  const base = { p50: median(seen["civetweb alone"].p50), cpu: median(seen["civetweb alone"].cpu) };
  for (const way of Object.keys(ways)) {
    const p50 = median(seen[way].p50), cost = median(seen[way].cpu);
    figure(`small request, ${way}: p50, 1 client`, p50, "µs", way in { "civetweb alone": 1 } ? "" : `${(p50 / base.p50).toFixed(2)} ×; ≤ 1.5 ×`);
    figure(`small request, ${way}: server's CPU, 16 clients`, cost.toFixed(1), "µs",
      way in { "civetweb alone": 1 } ? "" : `${(cost / base.cpu).toFixed(2)} ×; ≤ 1.5 ×`);
  }
} finally {
  civetweb.child.kill();
  hearth.child.kill();
  await Promise.all([civetweb, hearth].map(({ child }) => new Promise((resolve) => child.on("exit", resolve))));
  rmSync(folder, { recursive: true, force: true });
}
