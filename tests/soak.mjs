// SPDX-License-Identifier: Apache-2.0
// Does anything grow that should not? A real `hearth run` under mixed load (programs that come and go, questions of the
// page and of Grafana, profiles pushed, clients that leave) for SOAK_SECONDS: what grows an hour is printed. In a pid namespace of its own
// (unshare --pid --fork --mount-proc), what else the host does is left out. TAP.
import { execFileSync, spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, programs, sleep, startIn } from "./bench/hearth.mjs";

const SECONDS = Number(process.env.SOAK_SECONDS ?? 300);
const LONG = 2 * 3600; // from here on what grows is told from what settles
const IS_LONG = SECONDS >= LONG;
// Questions are of the last hour (changes: of half an hour and the one before), of which the first ten minutes are settled as one:
// until there is all of it, their answers, and what is kept of them, grow.
const WARM_UP = IS_LONG ? 3600 + 600 : SECONDS / 3;
// Seldom, what comes and goes with each question is seen now more and now less often than it is there.
const EVERY = 1;
// The server knows the names and stacks of the running span by heart, and forgets them with it: six hours as a rule, so that a run
// of two would see nothing but one of them grow. Means of a span's time know nothing of its life.
const SPAN = 1200;
// Roll-ups of a month grow for a month, and what is kept of their file with them, up to half a MiB a reader: a week of another host is
// there already, as on a server that was not begun today. It ends where a file of six hours ends: what is left open goes on until
// then, and what it knows by heart with it.
const DAYS_BEFORE = 7;
const TOLD_EVERY = 120; // that somebody who waits sees it live, and how it went
const GROWTH_MAX = 0.01; // an hour, of the mean
// A short run asks whether the least of its last third is more than the most of its first one, and by how much: what a
// busy machine delays is in both, a leak is not.
const SHORT_GROWTH_MAX = { "server anonymous": 32 << 10, "collector anonymous": 4 << 10, threads: 4, descriptors: 16 };
const SERVER_KIB_MAX = 96 << 10;

let number = 0, failures = 0;
function check(what, holds, said) {
  console.log(`${holds ? "ok" : "not ok"} ${++number} - ${what}`);
  if (!holds) { failures++; console.log(`# ${said}`); }
}

/** Below a folder. */
function files(folder) {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) =>
    sum + (entry.isDirectory() ? files(join(folder, entry.name)) : 1), 0);
}

function state(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const of = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)[1]);
  // Pages of files are the page cache's: a host that is short of memory takes them back, and symbol files come with what runs there.
  return { file: of("RssFile"), anonymous: of("RssAnon"), threads: of("Threads"), descriptors: readdirSync(`/proc/${pid}/fd`).length };
}

/** [seconds, value] points by the mean of each span's time; as they are when there are too few. */
function bySpan(points) {
  const groups = Object.values(points.reduce((all, point) => {
    (all[Math.floor((point[0] - points[0][0]) / SPAN)] ??= []).push(point);
    return all;
  }, {}));
  const full = groups.filter((group) => group.at(-1)[0] - group[0][0] >= SPAN * 0.9);
  return full.length < 3 ? points : full.map((group) => [0, 1].map((of) => group.reduce((sum, point) => sum + point[of], 0) / group.length));
}

/** Of [seconds, value] points: the mean, the least-squares slope a second, and that one's standard error. */
function trend(points) {
  const mean = (of) => points.reduce((sum, point) => sum + point[of], 0) / points.length;
  const x = mean(0), y = mean(1);
  const spread = points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
  const slope = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0) / spread;
  const left = points.reduce((sum, point) => sum + (point[1] - y - slope * (point[0] - x)) ** 2, 0);
  return { mean: y, slope, error: Math.sqrt(left / (points.length - 2) / spread) };
}

const data = mkdtempSync(join(tmpdir(), "hearth-bench-"));
if (IS_LONG) {
  execFileSync(`${build}/tests/bench/generate`, ["--store", "--whole", "--seldom", "--sparse", data, String(DAYS_BEFORE * 86400), "60", "40"], { stdio: "ignore" });
  // As whom the server runs.
  execFileSync("sh", ["-c", 'chown -R "$(id -un hearth 2>/dev/null || echo nobody)" "$0"', data]);
}

// 99 Hz, on a machine that is not busy: one program at work a third of the time, four started a second.
// Under a name of its own: what else runs on the host may ask for "burn".
const place = mkdtempSync(join(tmpdir(), "hearth-soak-"));
const program = join(place, "soakload");
copyFileSync(`${build}/tests/live/targets/burn`, program);
const load = spawn("sh", ["-c", `
  i=0
  while :; do
    timeout 0.35 "$0" 1 >/dev/null 2>&1 &
    sleep 1
    sh -c ':'; ls / >/dev/null
    i=$((i + 1))
    [ $((i % 20)) != 0 ] || "${process.execPath}" -e '0'
  done`, program], { stdio: "ignore", detached: true });
const hearth = await startIn(data, "run", ...IS_LONG ? ["--span", `${SPAN}s`] : []);
const counts = { questions: 0, pushes: 0, gone: 0, failed: 0 };
let isOver = false;
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => { isOver = true; });

async function ask(path, options) {
  counts.questions++;
  try {
    const answer = await fetch(hearth.address + path, { signal: AbortSignal.timeout(60000), ...options });
    await answer.arrayBuffer();
    if (answer.status !== 200) { counts.failed++; console.log(`# ${path}: ${answer.status}`); }
  } catch (error) { counts.failed++; console.log(`# ${path}: ${error}`); }
}
const pages = ["flame?from=now-1h", "processes?from=now-1h", "timeline?from=now-1h", "functions?from=now-15m", "modules?from=now-1h", "changes?from=now-30m", "status"];
const selector = JSON.stringify({ profileTypeID: "process_cpu:cpu:nanoseconds:cpu:nanoseconds", labelSelector: "{}", start: 0, end: 0, maxNodes: 4096 });
const grafana = () => {
  const now = Date.now();
  return ask("/querier.v1.QuerierService/SelectMergeStacktraces", {
    method: "POST", headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...JSON.parse(selector), start: String(now - 3600000), end: String(now) }),
  });
};
let pushed = 0;
async function push() {
  const until = Math.floor(Date.now() / 1000);
  const lines = Array.from({ length: 50 }, (_, i) => `main;step${(pushed + i) % 97};leaf${i} ${1 + i}`).join("\n");
  counts.pushes++;
  pushed++;
  await ask(`/ingest?name=soak&format=folded&from=${until - 10}&until=${until}&units=samples&sampleRate=100`, { method: "POST", body: lines });
}
/** A question whose asker is gone before the answer, and a head that is never ended. */
async function leave() {
  const port = new URL(hearth.address).port;
  for (const text of ["GET /api/v1/flame?from=now-1h HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /api"]) {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(text);
    await sleep(0.05);
    socket.destroy();
    counts.gone++;
  }
}

/** What falls due in this second, all of it at once: by the clock, so that each span has the same load, and two questions meet as often. */
function tick(second) {
  const due = [ask("/api/v1/" + pages[second % pages.length])];
  if (second % 5 === 0) due.push(grafana());
  if (second % 2 === 0) due.push(push());
  if (second % 3 === 0) due.push(leave());
  return Promise.all(due);
}
async function askOn() {
  const began = Date.now();
  for (let second = 0; !isOver; second = Math.max(second + 1, Math.ceil((Date.now() - began) / 1000))) {
    await sleep((began + second * 1000 - Date.now()) / 1000);
    await tick(second);
  }
}

try {
  const asking = askOn();
  await sleep(3);
  const running = programs(hearth.child.pid);
  const ids = { collector: running["hearth-collect"], server: running["hearth-serve"] };
  check("both programs run", ids.collector && ids.server, JSON.stringify(running));
  const series = {};
  const began = Date.now();
  let before = 0; // when it looked last
  while (!isOver && Date.now() - began < SECONDS * 1000) {
    await sleep(EVERY);
    const at = (Date.now() - began) / 1000;
    const note = (name, value) => { if (at >= WARM_UP) (series[name] ??= []).push([at, value]); };
    note("files", files(hearth.data));
    // What something holds, what lies free in between, and what of it are caches, which have an end.
    const metrics = await (await fetch(`${hearth.address}/metrics`)).text();
    const now = { collector: state(ids.collector), server: state(ids.server) };
    const gauge = (name) => Number(new RegExp(`^hearth_${name}_bytes (\\S+)`, "m").exec(metrics)[1]) / 1024;
    for (const [who, its] of Object.entries(now))
      for (const [what, value] of Object.entries(its)) note(`${who} ${what}`, value);
    note("server heap held", gauge("heap_used"));
    note("server heap free", gauge("heap_free"));
    const caches = gauge("question_kept") + gauge("store_cache");
    const { anonymous, file } = now.server;
    note("server caches", caches);
    note("server but caches", anonymous - caches);
    const isToBeTold = Math.floor(at / TOLD_EVERY) !== Math.floor(before / TOLD_EVERY);
    before = at;
    if (!isToBeTold) continue;
    console.log(`# ${Math.round(at)} s: server anonymous ${anonymous}, of files ${file}, heap ${gauge("heap_used").toFixed(0)} and free ${gauge("heap_free").toFixed(0)}, caches ${gauge("question_kept").toFixed(0)} and ${gauge("store_cache").toFixed(0)} KiB; collector ${now.collector.anonymous} KiB`);
  }
  isOver = true;
  await asking;

  console.log(`# ${SECONDS} s, the first ${Math.round(WARM_UP)} to warm up; ${JSON.stringify(counts)}`);
  for (const [name, points] of Object.entries(series)) {
    const { mean, slope, error } = trend(IS_LONG ? bySpan(points) : points);
    const percent = (value) => (value * 360000 / mean).toFixed(2);
    console.log(`# ${name.padEnd(22)} mean ${mean.toFixed(1).padStart(9)}${/file$|anonymous|heap|caches/.test(name) ? " KiB" : "    "}  slope ${(slope * 3600).toFixed(1).padStart(8)} an hour = ${percent(slope)} ± ${percent(error)} %`);
    // Files of the store come with the data, which age takes away again; of memory it counts what the host can't take back.
    if (!/anonymous|threads|descriptors/.test(name)) continue;
    if (IS_LONG) {
      check(`${name} does not grow`, slope * 3600 / mean <= GROWTH_MAX, `${percent(slope)} % an hour`);
      continue;
    }
    const values = points.map((point) => point[1]), third = Math.ceil(values.length / 3);
    const grown = Math.min(...values.slice(-third)) - Math.max(...values.slice(0, third));
    check(`${name} does not grow`, grown <= (SHORT_GROWTH_MAX[name] ?? SHORT_GROWTH_MAX[name.split(" ")[1]]), `by ${grown}`);
    if (name === "server anonymous") check(`${name} is within its bar`, Math.max(...values) <= SERVER_KIB_MAX, `${Math.max(...values)} KiB`);
  }
  const now = programs(hearth.child.pid);
  check("both are the ones of the start", now["hearth-collect"] === ids.collector && now["hearth-serve"] === ids.server, JSON.stringify(now));
  check("every question was answered", counts.failed === 0 && counts.questions > pages.length, JSON.stringify(counts));
  const status = await hearth.get("/api/v1/status");
  const lost = Object.values(status.collector.lost).reduce((a, b) => a + b, 0);
  const ended = Math.floor(SECONDS / SPAN) - 1;
  if (IS_LONG) check("its files ended", status.store.spans - DAYS_BEFORE * 4 >= ended, `${status.store.spans} of ${ended} and a week`);
  check("no file was taken for damaged", status.store.damaged === 0, `${status.store.damaged_file}: ${status.store.damage}`);
  const share = IS_LONG ? 1000 : 100; // a machine that stalls for seconds loses some
  check("hardly a sample is lost", lost <= status.collector.samples / share, `of ${status.collector.samples} ${JSON.stringify(status.collector.lost)}`);
} finally {
  isOver = true;
  try { process.kill(-load.pid, "SIGKILL"); } catch { /* it has ended */ }
  await hearth.stop();
  rmSync(place, { recursive: true, force: true });
}
console.log(`1..${number}`);
process.exit(failures ? 1 : 0);
