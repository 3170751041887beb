// SPDX-License-Identifier: Apache-2.0
// The parts of the page that need no browser: numbers, names, the tree, the layout.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { finish, step } from "./tap.mjs";

const ui = join(dirname(fileURLToPath(import.meta.url)), "../../web/ui");
const { build } = createRequire(join(ui, "build.mjs"))("esbuild");

/** The named modules of the page, bundled on the fly. */
async function modules(...paths) {
  const contents = paths.map((path, i) => `export * as m${i} from "./src/${path}";`).join("\n");
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: ui }, bundle: true, format: "esm", write: false, logLevel: "error",
  });
  const loaded = await import("data:text/javascript;base64," + Buffer.from(outputFiles[0].text).toString("base64"));
  return paths.map((_, i) => loaded["m" + i]);
}

const [format, tree, layout, labels, answer, api] =
  await modules("format.ts", "flame/tree.ts", "flame/layout.ts", "flame/labels.ts", "answer.ts", "api.ts");
const NARROW = "\u202f";

await step("cores have two decimals, fewer from ten and a hundred, and are never a false zero", () => {
  const said = [1.87, 12.44, 128.4, 0.004, 0, 0.005, 9.996, 99.96].map(format.cores);
  assert.deepEqual(said, ["1.87", "12.4", "128", "<0.01", "0.00", "0.01", "10.0", "100"]);
});

await step("a share is 0 or 100 only when it is exact", () => {
  const said = [0.2338, 0.0004, 0, 1, 0.9996, 0.9994].map(format.percent);
  assert.deepEqual(said, ["23.4", "<0.1", "0.0", "100.0", ">99.9", "99.9"]);
});

await step("changes carry a sign, counts groups of three, bytes three digits", () => {
  assert.deepEqual([0.8, -0.05, 0.001].map(format.change), ["+0.80", "\u22120.05", "0.00"]);
  assert.equal(format.count(101574), `101${NARROW}574`);
  assert.equal(format.counted(1, "frame"), "1 frame");
  assert.deepEqual([486e6, 1.31e9, 12].map(format.bytes), [`486${NARROW}MB`, `1.31${NARROW}GB`, `12${NARROW}B`]);
});

await step("times are of 24 hours, ages of one unit", () => {
  const noon = new Date(2026, 10, 24, 12, 5, 9).getTime();
  assert.equal(format.clock(noon), "12:05");
  assert.equal(format.clock(noon, true), "12:05:09");
  assert.equal(format.range(noon, noon + 60_000, noon), "12:05:09 – 12:06:09");
  assert.equal(format.range(noon, noon + 3_600_000, noon), "12:05 – 13:05");
  assert.match(format.range(noon, noon + 3_600_000, noon + 3 * 86_400_000), /^24 Nov, 12:05/);
  assert.deepEqual([2000, 300_000, 8e6, 4e8].map(format.duration),
    [`2${NARROW}s`, `5${NARROW}min`, `2${NARROW}h`, `5${NARROW}d`]);
});

await step("the answer names the busiest process by how much of the whole it is", () => {
  const table = (cores, ...rows) => ({ cpus: 2, cores, rows: rows.map(([process_name, own]) => ({ process_name, pid: 1, cores: own })) });
  assert.equal(answer.answer(table(0.93, ["burn", 0.6]), false), "0.93 of 2 cores busy, most of it burn");
  assert.equal(answer.answer(table(0.93, ["burn", 0.92]), false), "0.93 of 2 cores busy, nearly all of it burn");
  assert.equal(answer.answer(table(0.93, ["burn", 0.3]), true), "0.93 of 2 cores were busy. burn used the most, 0.30");
  assert.equal(answer.answer(table(0.05, ["burn", 0.05]), false), "Nothing unusual: 0.05 of 2 cores busy");
  assert.equal(answer.answer(table(0), false), "0.00 of 2 cores busy");
});

await step("a selector escapes what its value holds", () => {
  assert.equal(api.selector("process", 'a"b\\c'), '{process="a\\"b\\\\c"}');
});

await step("names are shortened from the front, then cut at the end", () => {
  const wide = (text) => text.length;
  const fit = (name, kind, room) => labels.fitting(name, kind, room, wide);
  const search = "org.apache.lucene.search.IndexSearcher.search";
  assert.equal(fit(search, tree.RUNTIME, 60), search);
  assert.equal(fit(search, tree.RUNTIME, 30), "o.a.l.s.IndexSearcher.search");
  assert.equal(fit(search, tree.RUNTIME, 22), "IndexSearcher.search");
  assert.equal(fit(search, tree.RUNTIME, 6), "search");
  assert.equal(fit("db::Table<int, A<int>>::insert(int const&)", tree.NATIVE, 20), "db::Table::insert");
  assert.equal(fit("db::Table<int, A<int>>::insert(int const&)", tree.NATIVE, 8), "insert");
  assert.equal(fit("hash_search_with_hash_value", tree.NATIVE, 10), "hash_sear…");
  assert.equal(fit("hash_search_with_hash_value", tree.NATIVE, 5), null);
});

/** An answer from rows of [parent, name, kind, self]; totals are summed up. */
function answerOf(rows) {
  const names = [""], place = new Map([["", 0]]);
  const nameAt = (name) => {
    if (!place.has(name)) place.set(name, names.push(name) - 1);
    return place.get(name);
  };
  const nodes = { parent: [], name: [], module: [], kind: [], self: [], total: [], hidden: [] };
  for (const [parent, name, kind, self] of rows) {
    nodes.parent.push(parent);
    nodes.name.push(nameAt(name));
    nodes.module.push(0);
    nodes.kind.push(kind);
    nodes.self.push(self);
    nodes.total.push(self);
    nodes.hidden.push(0);
  }
  for (let i = rows.length - 1; i > 0; i--) nodes.total[nodes.parent[i]] += nodes.total[i];
  return { names, nodes };
}

const BURN = answerOf([
  [0, "total", tree.ROOT, 0], [0, "", tree.MORE, 50], [0, "burn", tree.GROUP, 0],
  [2, "main", tree.NATIVE, 0], [3, "work", tree.NATIVE, 0],
  [4, "spend_thirty", tree.NATIVE, 30], [4, "spend_seventy", tree.NATIVE, 65], [6, "do_irq", tree.KERNEL, 5],
]);

await step("the widest child stands first, what was left out last", () => {
  const made = tree.treeOf(BURN);
  const names = Array.from({ length: made.count }, (_, i) => tree.nameOf(made, i));
  assert.deepEqual(names, ["total", "burn", "main", "work", "spend_seventy", "do_irq", "spend_thirty", ""]);
  assert.deepEqual([...made.end], [8, 7, 7, 7, 6, 6, 7, 8]);
  assert.deepEqual([...made.depth], [0, 1, 2, 3, 4, 5, 4, 1]);
});

await step("the hottest function is that with the most time of its own", () => {
  const hot = tree.hottest(tree.treeOf(BURN), 2);
  assert.deepEqual(hot.map((row) => [row.name, row.self]), [["spend_seventy", 65], ["spend_thirty", 30]]);
});

await step("a search counts each stack once and knows patterns from texts", () => {
  const made = tree.treeOf(BURN);
  assert.deepEqual([tree.searchFor(made, "SPEND", false).frames, tree.searchFor(made, "spend", false).total], [2, 100]);
  assert.equal(tree.searchFor(made, "work|spend", true).total, 100);
  assert.equal(tree.searchFor(made, "work|spend", false).frames, 0);
  assert.equal(tree.searchFor(made, "(", true), null);
  assert.equal(tree.searchFor(made, "", false), null);
});

await step("a link finds its frame again in another order of the tree", () => {
  const made = tree.treeOf(BURN);
  const link = tree.linkOf(made, 4);
  const other = tree.treeOf(answerOf([
    [0, "total", tree.ROOT, 0], [0, "burn", tree.GROUP, 0], [1, "main", tree.NATIVE, 0], [2, "work", tree.NATIVE, 0],
    [3, "spend_thirty", tree.NATIVE, 90], [3, "spend_seventy", tree.NATIVE, 10],
  ]));
  assert.equal(tree.nameOf(other, tree.findLink(other, link)), "spend_seventy");
  assert.equal(tree.linkName(link), "spend_seventy");
  assert.equal(tree.findLink(other, "gone~1234"), -1);
  assert.equal(tree.findLink(other, null), 0);
});

await step("a chain of only children is one bar, called like its last", () => {
  const made = tree.treeOf(BURN);
  const folded = layout.layOut(made, 0, 1000, true), open = layout.layOut(made, 0, 1000, false);
  assert.equal(open.rows - folded.rows, 1);
  const bar = layout.barOf(folded, 2);
  assert.equal(tree.nameOf(made, folded.node[bar]), "work");
  assert.equal(folded.node[bar] - folded.first[bar], 1);
});

await step("a zoomed frame fills the width and is the first row", () => {
  const made = tree.treeOf(BURN), zoomed = layout.layOut(made, 3, 800, true);
  assert.equal(tree.nameOf(made, zoomed.node[0]), "work");
  assert.equal(zoomed.width[0], 800);
  assert.equal(tree.nameOf(made, zoomed.node[layout.barAt(zoomed, 1, 10)]), "spend_seventy");
  assert.equal(layout.barAt(zoomed, 1, 799.9) >= 0, true);
  assert.equal(layout.barAt(zoomed, 9, 10), -1);
});

await step("arrows lead to callers, callees and neighbours", () => {
  const made = tree.treeOf(BURN), drawn = layout.layOut(made, 0, 1000, false);
  const named = (bar) => tree.nameOf(made, drawn.node[bar]);
  const seventy = layout.barOf(drawn, 4);
  assert.equal(named(layout.neighbour(drawn, seventy, "ArrowUp")), "work");
  assert.equal(named(layout.neighbour(drawn, seventy, "ArrowDown")), "do_irq");
  assert.equal(named(layout.neighbour(drawn, seventy, "ArrowRight")), "spend_thirty");
  assert.equal(layout.neighbour(drawn, seventy, "ArrowLeft"), seventy);
});

await step("trees without stacks, and with parents that make no sense, are drawn all the same", () => {
  const empty = tree.treeOf(answerOf([[0, "total", tree.ROOT, 0]]));
  assert.equal(layout.layOut(empty, 0, 500, true).count, 1);
  const odd = answerOf([[0, "total", tree.ROOT, 1], [0, "a", tree.NATIVE, 1], [0, "b", tree.NATIVE, 1]]);
  odd.nodes.parent = [5, 7, -3];
  assert.deepEqual([...tree.treeOf(odd).parent], [0, 0, 0]);
});

await step("bars of any tree lie within their callers and do not overlap", () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e6);
  let state = seed;
  const random = () => (state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff) / 0x80000000;
  for (let round = 0; round < 40; round++) {
    const rows = [[0, "total", tree.ROOT, 0]];
    const count = 1 + Math.floor(random() * 400);
    for (let i = 1; i <= count; i++) {
      const back = random() < 0.6 ? i - 1 : Math.floor(random() * i);
      rows.push([back, "f" + Math.floor(random() * 30), 2 + Math.floor(random() * 6), Math.floor(random() * 100)]);
    }
    const made = tree.treeOf(answerOf(rows)), width = 200 + random() * 3000;
    const drawn = layout.layOut(made, Math.floor(random() * made.count), width, random() < 0.5);
    for (let row = 0; row < drawn.rows; row++) {
      let end = 0;
      for (let bar = drawn.rowStart[row]; bar < drawn.rowStart[row + 1]; bar++) {
        const where = `seed ${seed}, round ${round}, bar ${bar}`;
        assert.ok(drawn.x[bar] >= end - 0.01, `${where} overlaps the one before`);
        end = drawn.x[bar] + drawn.width[bar];
        assert.ok(end <= width + 0.01, `${where} leaves the graph`);
        assert.equal(layout.rowOf(drawn, bar), row, where);
        if (row === 0) continue;
        const up = layout.barOf(drawn, made.parent[drawn.first[bar]]);
        assert.ok(up >= 0 && drawn.x[bar] >= drawn.x[up] - 0.01 && end <= drawn.x[up] + drawn.width[up] + 0.01,
          `${where} is not below its caller`);
      }
    }
  }
});

finish();
