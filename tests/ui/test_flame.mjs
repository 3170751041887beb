// SPDX-License-Identifier: Apache-2.0
// The flame graph without a browser: the tree, its turned-over forms, the layout, labels, searches, colours.
import assert from "node:assert/strict";
import { answerOf, CUT, GROUP, HOST, KERNEL, MORE, NATIVE, ROOT, RUNTIME, SANDWICH } from "./flame_data.mjs";
import { modules } from "./flame_stand.mjs";
import { finish, step } from "./tap.mjs";

const [tree, invert, layout, labels, search, colours, legend, draw, svg] = await modules("flame/tree.ts", "flame/invert.ts",
  "flame/layout.ts", "flame/labels.ts", "flame/search.ts", "flame/colours.ts", "flame/legend.ts", "flame/draw.ts", "flame/export.ts");

const SEED = Number(process.env.HEARTH_SEED ?? Date.now() % 1e6);
console.log(`# HEARTH_SEED=${SEED}`);
let state = SEED;
const random = () => (state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff) / 0x80000000;

const BURN = answerOf({
  "m:9": 50,
  "s:burn;n:main;n:work;n:spend_thirty": 30,
  "s:burn;n:main;n:work;n:spend_seventy": 65,
  "s:burn;n:main;n:work;n:spend_seventy;k:do_irq": 5,
});

/** Any stacks of few functions: recursion, shared tails, all kinds. */
function anyStacks() {
  const stacks = {}, count = 1 + Math.floor(random() * 200);
  for (let i = 0; i < count; i++) {
    const frames = [`s:service${Math.floor(random() * 3)}`];
    if (random() < 0.1) frames.push("t:");
    const depth = Math.floor(random() * 12);
    for (let j = 0; j < depth; j++) frames.push(`${"nnrk"[Math.floor(random() * 4)]}:f${Math.floor(random() * 8)}@m${Math.floor(random() * 2)}`);
    if (random() < 0.05) frames.push("m:3");
    stacks[frames.join(";")] = 1 + Math.floor(random() * 100);
  }
  return stacks;
}

/** A tree as text, a line a node: what is compared. */
function lines(made, node = 0, depth = 0) {
  const own = `${"  ".repeat(depth)}${tree.nameOf(made, node) || "-"} ${made.total[node]} ${made.self[node]}`;
  const children = [];
  for (let child = node + 1; child < made.end[node]; child = made.end[child]) children.push(lines(made, child, depth + 1));
  const text = (child) => child.join("\n");
  return [own, ...children.sort((a, b) => (text(a) < text(b) ? -1 : 1)).flat()];
}

await step("a tree says where subtrees end and how deep nodes lie", () => {
  const made = tree.treeOf(BURN);
  assert.deepEqual(Array.from({ length: made.count }, (_, i) => tree.nameOf(made, i)),
    ["total", "burn", "main", "work", "spend_seventy", "do_irq", "spend_thirty", ""]);
  assert.deepEqual([...made.end], [8, 7, 7, 7, 6, 6, 7, 8]);
  assert.deepEqual([...made.depth], [0, 1, 2, 3, 4, 5, 4, 1]);
  assert.deepEqual([made.viewTotal, made.callers, made.isSandwich], [150, 1, false]);
});

await step("columns in any order that has parents first give the same tree", () => {
  // Level by level instead of preorder.
  const { nodes, names } = BURN, order = [0, 1, 7, 2, 3, 4, 6, 5], place = [];
  order.forEach((from, to) => (place[from] = to));
  const moved = Object.fromEntries(Object.entries(nodes).map(([key, column]) => [key, order.map((from) => column[from])]));
  moved.parent = order.map((from) => place[nodes.parent[from]]);
  assert.deepEqual(lines(tree.treeOf({ names, nodes: moved })), lines(tree.treeOf(BURN)));
});

await step("typed arrays in preorder are used as they are", () => {
  const { nodes, names } = BURN;
  const typed = {
    parent: Int32Array.from(nodes.parent), name: Int32Array.from(nodes.name), module: Int32Array.from(nodes.module), kind: Uint8Array.from(nodes.kind),
    self: Float64Array.from(nodes.self), total: Int32Array.from(nodes.total), hidden: Int32Array.from(nodes.hidden),
  };
  const made = tree.treeOf({ names, nodes: typed });
  assert.equal(made.total, typed.total);
  assert.equal(made.parent, typed.parent);
  assert.deepEqual(lines(made), lines(tree.treeOf(BURN)));
});

await step("trees without stacks, and with parents that make no sense, are drawn all the same", () => {
  const empty = tree.treeOf(answerOf({}));
  assert.equal(layout.layOut(empty, 0, 500).count, 1);
  const odd = { names: ["", "a"], nodes: { parent: [5, 7, -3], name: [0, 1, 1], module: [0, 0, 0], kind: [0, 3, 3], self: [0, 1, 1], total: [2, 1, 1], hidden: [0, 0, 0] } };
  assert.deepEqual([...tree.treeOf(odd).parent], [0, 0, 0]);
  assert.equal(layout.layOut(tree.treeOf(odd), 0, 100, { fold: false }).count, 3);
});

await step("the hottest function is that with the most time of its own", () => {
  const hot = tree.hottest(tree.treeOf(BURN), 2);
  assert.deepEqual(hot.map((row) => [row.name, row.self]), [["spend_seventy", 65], ["spend_thirty", 30]]);
});

await step("a link finds its frame again among other numbers and in another order", () => {
  const made = tree.treeOf(BURN), link = tree.linkOf(made, 4);
  const other = tree.treeOf(answerOf({ "s:burn;n:main;n:work;n:spend_thirty": 90, "s:burn;n:main;n:work;n:spend_seventy": 10, "s:another;n:spend_seventy": 5 }));
  const found = tree.findLink(other, link);
  assert.equal(tree.nameOf(other, found), "spend_seventy");
  assert.equal(other.total[found], 10);
  assert.equal(tree.linkName(link), "spend_seventy");
  assert.equal(tree.findLink(other, "gone~1234"), -1);
  assert.equal(tree.findLink(other, "spend_seventy~nonsense"), -1);
  assert.equal(tree.findLink(other, null), 0);
  const fresh = tree.treeOf(BURN); // that has given out no link
  for (let node = 1; node < made.count; node++) assert.equal(tree.findLink(fresh, tree.linkOf(made, node)), node);
});

await step("bottom-up: who spent the time stands first, callers below", () => {
  assert.deepEqual(lines(invert.bottomUp(tree.treeOf(BURN))), [
    "total 150 0", "- 50 50", "do_irq 5 0", "  spend_seventy 5 0", "    work 5 0", "      main 5 0", "        burn 5 5",
    "spend_seventy 65 0", "  work 65 0", "    main 65 0", "      burn 65 65",
    "spend_thirty 30 0", "  work 30 0", "    main 30 0", "      burn 30 30",
  ].map((line) => (line.startsWith("total") ? line : "  " + line)));
});

await step("bottom-up of any stacks is what turning each stack over gives", () => {
  for (let round = 0; round < 60; round++) {
    const stacks = anyStacks(), made = tree.treeOf(answerOf(stacks)), turned = {};
    for (const [stack, value] of Object.entries(stacks)) {
      const frames = stack.split(";");
      const key = frames[frames.length - 1].startsWith("m:") ? "m:3" : frames.reverse().join(";");
      turned[key] = (turned[key] ?? 0) + value;
    }
    assert.deepEqual(lines(invert.bottomUp(made)), lines(tree.treeOf(answerOf(turned))), `HEARTH_SEED=${SEED}, round ${round}`);
  }
});

await step("a sandwich of any function counts each stack once, by the outermost call", () => {
  for (let round = 0; round < 60; round++) {
    const stacks = anyStacks(), made = tree.treeOf(answerOf(stacks)), up = {}, down = {};
    const isIt = (frame) => /^[nrk]:f3@m1$/.test(frame);
    let total = 0, kinds = new Set();
    for (const [stack, value] of Object.entries(stacks)) {
      const frames = stack.split(";"), first = frames.findIndex(isIt);
      if (first < 0) continue;
      kinds.add(frames[first][0]);
      total += value;
      const above = frames.slice(0, first).reverse().join(";"), below = frames.slice(first + 1).join(";");
      if (above) up[above] = (up[above] ?? 0) + value;
      if (below) down[below] = (down[below] ?? 0) + value;
    }
    const side = (of) => lines(tree.treeOf(answerOf(of))).slice(1);
    const sandwich = invert.sandwichOf(made, { name: "f3", module: "m1" });
    assert.equal(sandwich.total[0], total);
    assert.equal(sandwich.viewTotal, made.total[0]);
    const all = lines(sandwich).slice(1), wanted = [...side(up), ...side(down)];
    assert.deepEqual(all.sort(), wanted.sort(), `HEARTH_SEED=${SEED}, round ${round}`);
    // Nodes below `callers` are callers, the rest callees.
    let callers = 0;
    for (let node = 1; node < sandwich.callers; node = sandwich.end[node]) callers += sandwich.total[node];
    assert.equal(callers, Object.values(up).reduce((sum, value) => sum + value, 0));
  }
});

await step("recursion is counted once in a sandwich, and shows in its callees", () => {
  const made = tree.treeOf(HOST), sandwich = invert.sandwichOf(made, { name: "main.fib", module: "ingest" });
  assert.equal(sandwich.total[0], 30);
  assert.deepEqual(lines(sandwich), ["main.fib 30 10", "  main.fib 20 0", "    main.fib 20 20", "  main.main 30 0", "    ingest 30 30"]);
  const any = invert.sandwichOf(made, { name: "main.fib", module: "" });
  assert.deepEqual(lines(any), lines(sandwich));
});

await step("a sandwich of a function that no stack holds is empty", () => {
  const sandwich = invert.sandwichOf(tree.treeOf(HOST), { name: "nowhere", module: "x" });
  assert.deepEqual([sandwich.count, sandwich.total[0]], [1, 0]);
  assert.equal(layout.layOut(sandwich, 0, 500).count, 1);
});

await step("the server's sandwich becomes one tree, its callers above", () => {
  const made = invert.sandwichFrom(SANDWICH, 400);
  assert.deepEqual([made.count, made.callers, made.viewTotal, made.isSandwich], [5, 4, 400, true]);
  assert.deepEqual(Array.from({ length: 5 }, (_, i) => tree.nameOf(made, i)), ["read", "main", "web", "shell", "vfs_read"]);
  assert.deepEqual([...made.parent], [0, 0, 1, 0, 0]);
  assert.deepEqual([...made.self], [30, 0, 60, 40, 70]);
  const drawn = layout.layOut(made, 0, 1000);
  assert.equal(drawn.above, 2);
  assert.deepEqual([...drawn.node].map((node) => tree.nameOf(made, node)), ["web", "main", "shell", "read", "vfs_read"]);
  assert.deepEqual([...drawn.rowStart], [0, 1, 3, 4, 5]);
  assert.deepEqual([...drawn.x].map(Math.round), [0, 0, 600, 0, 0]);
  assert.deepEqual([...drawn.width].map(Math.round), [600, 600, 400, 1000, 700]);
});

await step("a side of a sandwich that is zoomed is as wide as the graph, the function stays", () => {
  const made = invert.sandwichFrom(SANDWICH, 400), zoomed = layout.layOut(made, 1, 1000);
  assert.deepEqual([...zoomed.node].map((node) => tree.nameOf(made, node)), ["web", "main", "read", "vfs_read"]);
  assert.deepEqual([...zoomed.width].map(Math.round), [1000, 1000, 1000, 700]);
  assert.deepEqual([...layout.layOut(made, 4, 1000).width].map(Math.round), [600, 600, 400, 1000, 1000]);
});

await step("the widest child stands first, or the first of the alphabet; what was left out last", () => {
  const made = tree.treeOf(HOST);
  const second = (order) => {
    const drawn = layout.layOut(made, 0, 1000, { order });
    return Array.from({ length: drawn.rowStart[2] - drawn.rowStart[1] }, (_, i) => tree.nameOf(made, drawn.first[drawn.rowStart[1] + i]));
  };
  assert.deepEqual(second("widest"), ["backup", "postgresql", "ingest", "search", "", "thumbs", "db", "swapper", ""]);
  assert.deepEqual(second("name"), ["", "backup", "db", "ingest", "postgresql", "search", "swapper", "thumbs", ""]);
  const drawn = layout.layOut(made, 0, 1000, { order: "name" });
  assert.deepEqual([...drawn.x.subarray(drawn.rowStart[1], drawn.rowStart[2])].map(Math.round), [0, 50, 530, 570, 660, 851, 926, 955, 999]);
});

await step("chains of the same kind are folded into one bar, callers into the nearest", () => {
  const made = tree.treeOf(BURN), drawn = layout.layOut(made, 1, 1000);
  const bars = Array.from({ length: drawn.count }, (_, i) => [tree.nameOf(made, drawn.node[i]), drawn.last[i] - drawn.first[i] + 1]);
  assert.deepEqual(bars, [["burn", 1], ["work", 2], ["spend_seventy", 1], ["spend_thirty", 1], ["do_irq", 1]]);
  const up = invert.bottomUp(made), turned = layout.layOut(up, 0, 1000);
  const seventy = [...turned.node].findIndex((node, bar) => tree.nameOf(up, node) === "spend_seventy" && turned.last[bar] > turned.first[bar]);
  assert.equal(turned.last[seventy] - turned.first[seventy] + 1, 3); // and work and main above it
});

await step("an inlined frame is not folded into one that is not", () => {
  const made = tree.treeOf(answerOf({ "n:a@x;n:b@x;i:c@x": 10 }));
  const drawn = layout.layOut(made, 0, 1000);
  assert.deepEqual([...drawn.node].map((node) => tree.nameOf(made, node)), ["total", "b", "c"]);
});

await step("bars too narrow to see are not drawn, and the levels they fill are counted", () => {
  const made = tree.treeOf(answerOf({ "n:wide": 99_800, "n:thin;n:a;k:b;n:c": 200, "n:wide;n:hair": 5 }));
  const drawn = layout.layOut(made, 0, 1000, { fold: false });
  assert.equal(drawn.rows, 2); // thin is 2 px wide, and hair nothing
  assert.equal(drawn.deeper, 3);
  assert.ok([...drawn.width].every((width) => width >= 0.6));
  const zoomed = layout.layOut(made, tree.findLink(made, tree.linkOf(made, 1)), 1000, { fold: false });
  assert.equal(zoomed.rows, 4);
  assert.equal(zoomed.deeper, 0);
});

await step("a zoomed frame is the top row and as wide as the graph; hover finds bars by place", () => {
  const made = tree.treeOf(BURN), zoomed = layout.layOut(made, 3, 800);
  assert.equal(tree.nameOf(made, zoomed.node[0]), "work");
  assert.equal(zoomed.width[0], 800);
  assert.equal(tree.nameOf(made, zoomed.node[layout.barAt(zoomed, 1, 10)]), "spend_seventy");
  assert.ok(layout.barAt(zoomed, 1, 799.9) >= 0);
  assert.equal(layout.barAt(zoomed, 9, 10), -1);
  assert.deepEqual([0, 19, 20, 59, 60].map((y) => layout.rowAt(zoomed, y, 20)), [0, 0, 1, 2, -1]);
});

await step("arrows lead to callers, callees and neighbours", () => {
  const made = tree.treeOf(BURN), drawn = layout.layOut(made, 0, 1000, { fold: false });
  const named = (bar) => tree.nameOf(made, drawn.node[bar]);
  const seventy = layout.barOf(drawn, 4);
  assert.equal(named(layout.neighbour(drawn, seventy, "ArrowUp")), "work");
  assert.equal(named(layout.neighbour(drawn, seventy, "ArrowDown")), "do_irq");
  assert.equal(named(layout.neighbour(drawn, seventy, "ArrowRight")), "spend_thirty");
  assert.equal(layout.neighbour(drawn, seventy, "ArrowLeft"), seventy);
  const both = invert.sandwichFrom(SANDWICH, 400), sandwich = layout.layOut(both, 0, 1000), middle = layout.barOf(sandwich, 0);
  assert.equal(tree.nameOf(both, sandwich.node[layout.neighbour(sandwich, middle, "ArrowUp")]), "main");
  assert.equal(tree.nameOf(both, sandwich.node[layout.neighbour(sandwich, middle, "ArrowDown")]), "vfs_read");
});

await step("bars of any tree lie within their callers and do not overlap", () => {
  for (let round = 0; round < 80; round++) {
    let made = tree.treeOf(answerOf(anyStacks()));
    if (round % 2) made = invert.bottomUp(made);
    const width = 200 + random() * 3000;
    const drawn = layout.layOut(made, Math.floor(random() * made.count), width, { fold: random() < 0.5, order: random() < 0.5 ? "name" : "widest" });
    for (let row = 0; row < drawn.rows; row++) {
      let end = 0;
      for (let bar = drawn.rowStart[row]; bar < drawn.rowStart[row + 1]; bar++) {
        const where = `HEARTH_SEED=${SEED}, round ${round}, bar ${bar}`;
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

await step("names are shortened from the front, the tail goes last", () => {
  const cases = {
    "org.apache.lucene.search.IndexSearcher.search":
      ["o.a.l.s.IndexSearcher.search", "IndexSearcher.search", "search"],
    "db::Table<int, A<int>>::insert(int const&)": ["db::Table::insert", "Table::insert", "insert"],
    "ns::(anonymous namespace)::compare(int, int)": ["ns::(anonymous namespace)::compare", "(anonymous namespace)::compare", "compare"],
    "std::map<int, std::string>::operator[](int const&) const": ["std::map::operator[]", "map::operator[]", "operator[]"],
    "A::operator()(int)": ["A::operator()", "operator()"],
    "operator<(A const&, B const&)": ["operator<"],
    "<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop": ["drop"],
    "github.com/acme/ingest/pipeline.(*Batch).Flush": ["pipeline.(*Batch).Flush", "(*Batch).Flush", "Flush"],
    "runtime.mallocgc": ["mallocgc"],
    "resize PIL/Image.py": ["resize"],
    "<module> app.py": ["<module>"],
    "java.lang.Object.<init>": ["j.l.Object.<init>", "Object.<init>", "<init>"],
    "tcp_sendmsg_locked.constprop.0": ["tcp_sendmsg_locked"],
    "hash_search_with_hash_value": [],
    "__libc_start_main@plt": [],
  };
  for (const [name, shorter] of Object.entries(cases)) assert.deepEqual(labels.forms(name), [name, ...shorter], name);
});

await step("the first form that fits is taken, then one is cut; fewer than six characters say nothing", () => {
  const wide = (text) => text.length, search = "org.apache.lucene.search.IndexSearcher.search";
  assert.equal(labels.fitting(search, 60, wide), search);
  assert.equal(labels.fitting(search, 30, wide), "o.a.l.s.IndexSearcher.search");
  assert.equal(labels.fitting(search, 22, wide), "IndexSearcher.search");
  assert.equal(labels.fitting(search, 6, wide), "search");
  assert.equal(labels.fitting(search, 5, wide), null);
  assert.equal(labels.fitting("hash_search_with_hash_value", 10, wide), "hash_sear…");
  assert.equal(labels.fitting("hash_search_with_hash_value", 7, wide), "hash_s…");
  assert.equal(labels.fitting("hash_search_with_hash_value", 6, wide), null);
  assert.equal(labels.fitting("abcdefg😀hijkl", 9, wide), "abcdefg…"); // not half a character
});

await step("whatever the name, a label is never wider than its room", () => {
  const alphabet = ["a", "b", "::", "<", ">", "(", ")", ".", "/", " ", "operator", "{", "}", "😀", "*", "->", "[", "]", "~", "_long_word_"];
  for (let round = 0; round < 5000; round++) {
    const name = Array.from({ length: Math.floor(random() * 14) }, () => alphabet[Math.floor(random() * alphabet.length)]).join("");
    const room = Math.floor(random() * 30), label = labels.fitting(name, room, (text) => text.length);
    const where = `HEARTH_SEED=${SEED}: ${JSON.stringify(name)} in ${room}: ${label}`;
    assert.ok(label === null || label.length <= room, where);
    if (name.length <= room) assert.equal(label, name, where);
    for (const form of labels.forms(name)) assert.ok(form !== "" && form.length <= name.length, where);
  }
});

await step("a search counts each stack once and knows patterns from texts", () => {
  const made = tree.treeOf(BURN);
  assert.deepEqual([search.searchFor(made, "SPEND", false).frames, search.searchFor(made, "spend", false).total], [2, 100]);
  assert.equal(search.searchFor(made, "work|spend", true).total, 100);
  assert.equal(search.searchFor(made, "work|spend", false).frames, 0);
  assert.equal(search.searchFor(made, "(", true), null);
  assert.equal(search.searchFor(made, "", false), null);
  const host = tree.treeOf(HOST);
  assert.equal(search.searchFor(host, "(*compressor)", false).total, 60);
  assert.deepEqual([search.searchFor(host, "fib", false).frames, search.searchFor(host, "fib", false).total], [3, 30]);
  assert.equal(search.searchFor(host, "postgresql", false).frames, 0); // a service is no frame
});

await step("a search sees into folded chains", () => {
  const made = tree.treeOf(HOST), drawn = layout.layOut(made, 0, 1000);
  const picture = { tree: made, layout: drawn, found: search.searchFor(made, "postmaster", false).names, rootName: "", colouring: "kind", rowHeight: 20 };
  const bars = Array.from({ length: drawn.count }, (_, bar) => bar).filter((bar) => draw.matches(picture, bar));
  assert.deepEqual(bars.map((bar) => tree.nameOf(made, drawn.node[bar])), ["exec_simple_query"]);
});

await step("the same module has the same shade, and kind, module and package are coloured apart", () => {
  // FNV-1a, bits 8 and 9, of the empty text: 2166136261 >>> 8 & 3.
  assert.equal(colours.shadeOf(""), (2166136261 >>> 8) & 3);
  assert.equal(colours.shadeOf("a"), (0xe40c292c >>> 8) & 3);
  assert.deepEqual([KERNEL, NATIVE, RUNTIME, CUT, GROUP, ROOT].map(colours.swatchOf), ["f-kernel", "f-native", "f-runtime", "f-unnamed", "f-group", "f-group"]);
  const cases = {
    "org.apache.lucene.search.IndexSearcher.search": "org.apache.lucene.search", "std::map<int>::find(int)": "std",
    "github.com/acme/ingest/pipeline.(*Batch).Flush": "github.com/acme/ingest/pipeline", "resize PIL/Image.py": "PIL",
    "tcp_recvmsg": "module", "foo.constprop.0": "module",
  };
  for (const [name, wanted] of Object.entries(cases)) assert.equal(colours.packageOf(name, "module"), wanted, name);
  const made = tree.treeOf(HOST), at = (name) => [...made.name].findIndex((place) => made.names[place] === name);
  const index = (name, colouring) => colours.colourIndex(made, at(name), colouring);
  assert.equal(index("ZSTD_count", "module"), index("HUF_compress4X_repeat", "module"));
  assert.ok(index("vfs_read", "kind") < 4 && index("ExecAgg", "kind") >= 4 && index("ExecAgg", "kind") < 8);
  assert.equal(colours.colourIndex(made, [...made.kind].indexOf(MORE), "kind"), -1);
});

await step("the legend's shares are of the view, and add up", () => {
  const made = tree.treeOf(HOST), byKind = legend.legendOf(made, "kind");
  const shares = Object.fromEntries(byKind.map(({ words, share }) => [words, Math.round(share * 1000)]));
  assert.deepEqual(shares, { Kernel: 219, Native: 540, Runtime: 165, Unnamed: 44, "Callers missing": 50 });
  const byModule = legend.legendOf(made, "module");
  assert.equal(byModule[0].words, "libzstd.so.1.5");
  assert.equal(Math.round(byModule[0].share * 1000), 330);
  assert.equal(byModule[0].token, `f-${colours.colourOf("libzstd.so.1.5")}`);
  assert.ok(byModule.some((entry) => entry.key === "rest"));
});

await step("text in SVG is escaped, and what XML can't hold is replaced", () => {
  assert.equal(svg.escaped(`<b a="1">&\u0001\ud800x😀`), "&lt;b a=&quot;1&quot;&gt;&amp;\ufffd\ufffdx😀");
});

finish();
