// SPDX-License-Identifier: Apache-2.0
// The page's flame graph in a headless Chromium: from the data in hand to the picture, a zoom by click, a search by
// typing. NODES="10000 100000" asks for other sizes, RUNS for more runs; a fresh browser for each.
import { cpus } from "node:os";
import { createRequire } from "node:module";
import { FLAGS, serve } from "../ui/flame_stand.mjs";
import { pruned, treeOfSize } from "./flame_tree.mjs";
import { figure, median } from "./hearth.mjs";

const { chromium } = createRequire(new URL("../ui/package.json", import.meta.url))("playwright-core");
const SIZES = (process.env.NODES ?? "10000 100000 1000000").split(" ").map(Number), RUNS = Number(process.env.RUNS ?? 3);
const WIDTH = 1600, HEIGHT = 1000, ROW = 20, LEVEL = 6, TERM = "alloc_";
const BARS = { pruned: 100, 100000: 150, 1000000: 250 }, ZOOM_BAR = 50, SEARCH_BAR = 90;

/**
 * In the page: bench.from(types) starts the clock at the first such event, bench.start() now; bench.done() gives, once
 * nothing has been painted for a while, the ms to the first and to the last frame in which something was, and the longest frame.
 */
function instrument() {
  let began = 0, first = 0, last = 0, isDirty = false, longest = 0, before = 0;
  for (const name of ["clearRect", "fillRect", "fillText", "strokeRect", "stroke"]) {
    const real = CanvasRenderingContext2D.prototype[name];
    CanvasRenderingContext2D.prototype[name] = function (...values) {
      isDirty = true;
      return real.apply(this, values);
    };
  }
  const channel = new MessageChannel(); // its message comes after the frame has been made
  channel.port1.onmessage = () => {
    last = performance.now();
    first ||= last;
  };
  const tick = (now) => {
    if (began && before >= began) longest = Math.max(longest, now - before);
    before = now;
    if (isDirty) {
      isDirty = false;
      channel.port2.postMessage(0);
    }
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
  const start = (at = performance.now()) => {
    began = at;
    first = last = longest = 0;
    isDirty = false;
  };
  window.bench = {
    start,
    from: (type) => addEventListener(type, (event) => start(event.timeStamp), { capture: true, once: true }),
    async done() {
      const asked = performance.now();
      while (performance.now() - Math.max(last, asked) < 400) await new Promise((resolve) => setTimeout(resolve, 50));
      return { first: first - began, last: last - began, longest };
    },
    async load(name) {
      const [names, packed] = await Promise.all([fetch(`/${name}.json`).then((r) => r.json()), fetch(`/${name}.bin`).then((r) => r.arrayBuffer())]);
      const count = packed.byteLength / 33, nodes = {};
      let at = 0;
      for (const [column, Type] of [["self", Float64Array], ["total", Float64Array], ["parent", Int32Array], ["name", Int32Array], ["module", Int32Array], ["hidden", Int32Array], ["kind", Uint8Array]]) {
        nodes[column] = new Type(packed, at, count);
        at += count * Type.BYTES_PER_ELEMENT;
      }
      window.answer = { names, nodes };
      return count;
    },
  };
}

/** The columns one after the other, the widest first, as load() reads them. */
function packed({ nodes }) {
  const columns = [Float64Array.from(nodes.self), Float64Array.from(nodes.total), Int32Array.from(nodes.parent), Int32Array.from(nodes.name),
    Int32Array.from(nodes.module), Int32Array.from(nodes.hidden), Uint8Array.from(nodes.kind)];
  return Buffer.concat(columns.map((column) => Buffer.from(column.buffer)));
}

/** Where the frame of a level lies that most nodes stand above: what is zoomed into. Siblings stand widest first. */
function target({ nodes }) {
  const count = nodes.parent.length, depth = new Int32Array(count), children = Array.from({ length: count }, () => null);
  const below = new Int32Array(count).fill(1), x = new Float64Array(count);
  for (let i = 1; i < count; i++) {
    depth[i] = depth[nodes.parent[i]] + 1;
    if (depth[i] <= LEVEL) (children[nodes.parent[i]] ??= []).push(i);
  }
  for (let i = count - 1; i > 0; i--) below[nodes.parent[i]] += below[i];
  let best = -1;
  for (let i = 0; i < count; i++) {
    let at = x[i];
    const isMore = (node) => Number(nodes.kind[node] === 7);
    for (const child of (children[i] ?? []).sort((a, b) => isMore(a) - isMore(b) || nodes.total[b] - nodes.total[a] || a - b)) {
      x[child] = at;
      at += nodes.total[child];
    }
    // What is wide enough to be hit by a pointer.
    if (depth[i] === LEVEL && nodes.total[i] > nodes.total[0] / 400 && !isMore(i) && (best < 0 || below[i] > below[best])) best = i;
  }
  return { x: (x[best] + nodes.total[best] / 2) / nodes.total[0], nodes: below[best] };
}

async function run(origin, name, goal) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
  try {
    const page = await browser.newPage({ viewport: { width: WIDTH, height: HEIGHT } });
    await page.addInitScript(instrument);
    await page.goto(origin);
    await page.evaluate((what) => bench.load(what), name);
    const settings = { fold: false }; // so that a level is a row
    const draw = await page.evaluate(async (changes) => {
      bench.start();
      stand.data(window.answer, changes);
      return bench.done();
    }, settings);
    const box = await page.locator("#flame").boundingBox();
    const at = { x: box.x + box.width * goal.x, y: box.y + ROW * (LEVEL + 0.5) };
    await page.mouse.move(at.x, at.y);
    await page.waitForTimeout(200);
    await page.evaluate(() => bench.from("click"));
    await page.mouse.click(at.x, at.y);
    const zoom = await page.evaluate(() => bench.done());
    const isZoomed = await page.evaluate(() => stand.props().zoom !== null);
    await page.evaluate(async () => {
      stand.show({ zoom: null, isStill: false });
      return bench.done();
    });
    await page.evaluate(() => bench.from("click"));
    await page.mouse.click(at.x, at.y);
    const glide = await page.evaluate(() => bench.done());
    await page.evaluate(() => stand.show({ zoom: null, isStill: true }));
    await page.locator("#search").focus();
    await page.waitForTimeout(300);
    await page.evaluate(() => bench.from("input"));
    await page.keyboard.insertText(TERM);
    const search = await page.evaluate(() => bench.done());
    const found = await page.evaluate(() => stand.last("matches"));
    if (!isZoomed || !(found?.frames > 0)) throw new Error(`${name}: the click or the search did nothing`);
    return { draw: draw.last, zoom: zoom.last, glide: glide.longest, search: search.last };
  } finally {
    await browser.close();
  }
}

const files = {}, goals = {};
const add = (name, tree) => {
  files[`/${name}.json`] = JSON.stringify(tree.names);
  files[`/${name}.bin`] = packed(tree);
  goals[name] = target(tree);
};
for (const size of SIZES) {
  const tree = treeOfSize(size);
  add(String(size), tree);
  if (size === Math.max(...SIZES)) add("pruned", pruned(tree, WIDTH));
}
const stand = await serve(files);
console.log(`flame graph, ${cpus()[0].model.trim()} × ${cpus().length}, ${WIDTH} × ${HEIGHT}, software rendering, median of ${RUNS}`);
for (const name of Object.keys(goals)) {
  const runs = [];
  for (let i = 0; i < RUNS; i++) runs.push(await run(stand.origin, name, goals[name]));
  const of = (step) => median(runs.map((one) => one[step])).toFixed(0);
  const words = name === "pruned" ? `a pruned answer, ${files["/pruned.bin"].length / 33} nodes` : `${name} nodes`;
  figure(`${words}: first paint`, of("draw"), "ms", BARS[name] && `≤ ${BARS[name]}`);
  figure(`${words}: zoom by click into ${goals[name].nodes} nodes`, of("zoom"), "ms", `≤ ${ZOOM_BAR}`);
  figure(`${words}: longest frame of a zoom that glides`, of("glide"), "ms");
  figure(`${words}: search for ${TERM}`, of("search"), "ms", `≤ ${SEARCH_BAR}`);
}
stand.close();
