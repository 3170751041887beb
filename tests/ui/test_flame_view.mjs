// SPDX-License-Identifier: Apache-2.0
// The flame graph in a real Chromium, alone on its page: by mouse, by keyboard, by finger; what it paints, says and saves.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { answerOf, HOST, SANDWICH } from "./flame_data.mjs";
import { FLAGS, modules, serve } from "./flame_stand.mjs";
import { finish, step } from "./tap.mjs";

const SCREENSHOTS = join(process.env.BUILD ?? "build", "screenshots");
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const ROW = 20, NARROW = "\u202f";
const WIDE = { viewport: { width: 1440, height: 900 } };
mkdirSync(SCREENSHOTS, { recursive: true });

const [tree, invert, layout] = await modules("flame/tree.ts", "flame/invert.ts", "flame/layout.ts");
const stand = await serve();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
const complaints = [];

async function open(options = {}, data = HOST, props = {}) {
  const page = await browser.newPage({ ...WIDE, colorScheme: "light", ...options });
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error.stack ?? error)));
  await page.goto(stand.origin);
  await page.evaluate(([answer, changes]) => window.stand.data(answer, changes), [data, props]);
  return page;
}

const text = async (page, selector) => ((await page.locator(selector).first().textContent()) ?? "").replaceAll(NARROW, " ").trim();
const show = (page, changes) => page.evaluate((props) => window.stand.show(props), changes);
const last = (page, what) => page.evaluate((key) => window.stand.last(key), what);
const current = (page) => text(page, ".crumbs [aria-current]");
/** The next frame has been painted. */
const painted = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

/** Where the bar of a name stands in the window: worked out in here from the same data. */
async function placeOf(page, name, { of = tree.treeOf(HOST), focus = 0, options = {}, nth = 0 } = {}) {
  const box = await page.locator(".flame").boundingBox(), drawn = layout.layOut(of, focus, box.width, options);
  const bars = Array.from({ length: drawn.count }, (_, bar) => bar).filter((bar) => tree.nameOf(of, drawn.node[bar]) === name);
  assert.ok(bars.length > nth, `${name} is not drawn`);
  const bar = bars[nth], top = layout.rowTop(drawn, layout.rowOf(drawn, bar), ROW);
  return { x: box.x + drawn.x[bar] + drawn.width[bar] / 2, y: box.y + top + ROW / 2, left: box.x + drawn.x[bar], top: box.y + top, width: drawn.width[bar] };
}

async function cardOf(page, name, options) {
  const at = await placeOf(page, name, options);
  await page.mouse.move(at.x, at.y);
  await page.locator("#card").waitFor();
  await page.waitForFunction((wanted) => document.querySelector("#card strong")?.textContent.includes(wanted), name || "");
  return { at, words: await text(page, "#card") };
}

/** The colour of a pixel in the window, as the screen shows it. */
async function pixel(page, x, y) {
  return page.evaluate(([px, py]) => {
    const canvas = document.querySelector("#flame"), box = canvas.getBoundingClientRect();
    const copy = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
    copy.drawImage(canvas, -Math.round(px - box.left), -Math.round(py - box.top));
    const [r, g, b, a] = copy.getImageData(0, 0, 1, 1).data;
    return a === 0 ? null : `rgb(${r},${g},${b})`;
  }, [x, y]);
}

/** The lines around bars: in the window, in the order in which they are drawn. */
const outlines = (page) => page.evaluate(() => [...document.querySelectorAll(".cover i")].map((line) => {
  const { x, y, width } = line.getBoundingClientRect(), colour = getComputedStyle(line).borderTopColor.replaceAll(" ", "");
  return { x: Math.round(x), y: Math.round(y), width: Math.round(width), colour };
}));

const token = (page, name) => page.evaluate((key) => {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(--${key})`;
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color.replaceAll(" ", "");
}, name);

async function axe(page, what) {
  const before = complaints.length;
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document));
  await page.waitForTimeout(50);
  complaints.length = before; // what axe does itself is not for the page's policy
  assert.deepEqual(violations.map(({ id, nodes }) => `${what}: ${id}: ${nodes.map((node) => node.html).join(" | ").slice(0, 300)}`), []);
}

async function byMouse() {
  const page = await open();

  await step("the card says what is under the pointer, beside it", async () => {
    const { at, words } = await cardOf(page, "ExecAgg");
    assert.match(words, /^ExecAgg\s*Native, postgres/);
    assert.match(words, /Self0.03 cores0.4 %3.0 %Total0.12 cores1.5 %12.0 %120 samples · click to zoom$/);
    const cut = await page.evaluate(() => [...document.querySelectorAll("#card th, #card td")].filter((cell) => cell.scrollWidth > cell.clientWidth).length);
    assert.equal(cut, 0); // no word and no number is
    const card = await page.locator("#card").boundingBox();
    assert.ok(Math.abs(card.x - at.x - 14) <= 1 && Math.abs(card.y - at.y - 18) <= 1, JSON.stringify({ at, card }));
    await page.mouse.move(at.x, 890);
    await page.locator("#card").waitFor({ state: "detached" });
  });

  await step("at the right edge the card stays in the window and off the pointer", async () => {
    const { at } = await cardOf(page, "do_idle");
    const card = await page.locator("#card").boundingBox();
    assert.ok(card.x + card.width <= 1440 && (at.y < card.y || at.x < card.x), JSON.stringify({ at, card }));
  });

  await step("the card tells folded, inlined, interpreted, unnamed, cut and left-out apart", async () => {
    assert.match((await cardOf(page, "exec_simple_query")).words, /6 frames in one bar/);
    assert.match((await cardOf(page, "ZSTD_insertDUBT1")).words, /Native, inlined, libzstd\.so\.1\.5/);
    assert.match((await cardOf(page, "org.apache.lucene.util.packed.PackedInts.get")).words, /Runtime, interpreted, lucene-core\.jar/);
    assert.match((await cardOf(page, "0x7f21")).words, /Unnamed: no symbols for libimaging\.so/);
    assert.match((await cardOf(page, "postgresql")).words, /^postgresql\s*service/);
    const more = await placeOf(page, "", { nth: 2 });
    await page.mouse.move(more.x, more.y);
    await page.waitForFunction(() => /^143 more/.test(document.querySelector("#card strong")?.textContent ?? ""));
    assert.match(await text(page, "#card"), /Each too narrow to draw here\. Counted in every number\..*31 samples$/);
    const cut = await placeOf(page, "");
    await page.mouse.move(cut.x, cut.y);
    await page.waitForFunction(() => document.querySelector("#card strong")?.textContent === "callers missing");
    assert.match(await text(page, "#card"), /could not be walked further/);
  });

  await step("kinds have their colours, strange frames their patterns", async () => {
    const kernel = await placeOf(page, "ext4_file_write_iter"), of = tree.treeOf(HOST);
    const shades = [await token(page, "f-kernel"), await token(page, "f-kernel-2")];
    const [from, to] = shades.map((rgb) => rgb.match(/\d+/g).map(Number));
    const got = (await pixel(page, kernel.left + 2, kernel.top + 3)).match(/\d+/g).map(Number);
    got.forEach((value, i) => assert.ok(value >= Math.min(from[i], to[i]) && value <= Math.max(from[i], to[i]), `${got} of ${shades}`));
    const inlined = await placeOf(page, "ZSTD_count");
    assert.equal(await pixel(page, inlined.left + 1, inlined.top + 10), await token(page, "f-native"));
    assert.notEqual(await pixel(page, inlined.left + 8, inlined.top + 10), await token(page, "f-native"));
    const unnamed = await placeOf(page, "0x7f21"), colours = new Set();
    for (let i = 0; i < 14; i++) colours.add(await pixel(page, unnamed.left + 6 + i, unnamed.top + 3));
    assert.ok(colours.size > 1, "no hatch");
    const more = await placeOf(page, "", { nth: 2 });
    assert.equal(await pixel(page, more.left + 4, more.top + 4), null); // an outline around nothing
    const cut = await placeOf(page, "", { of });
    const edge = new Set();
    for (let i = 0; i < 9; i++) edge.add(await pixel(page, cut.left + 5 + i, cut.top + 2));
    assert.ok(edge.size > 1, "no torn edge");
  });

  await step("a click zooms and selects; shares of the view stay, one of the zoom joins them", async () => {
    const at = await placeOf(page, "PortalRun");
    await page.mouse.click(at.x, at.y);
    assert.equal(await current(page), "PortalRun");
    assert.match(await last(page, "zoom"), /^PortalRun~[0-9a-f]+$/);
    assert.equal((await last(page, "select")).name, "PortalRun");
    const of = tree.treeOf(HOST), focus = [...of.name].findIndex((name) => of.names[name] === "PortalRun");
    const { words } = await cardOf(page, "ExecAgg", { focus });
    assert.match(words, /12\.0 %75\.0 %/);
    const top = await placeOf(page, "PortalRun", { focus }), box = await page.locator(".flame").boundingBox();
    assert.equal(top.width, box.width);
    await painted(page);
    const colour = await token(page, "accent"), strong = (await outlines(page)).filter((line) => line.colour === colour);
    assert.deepEqual(strong, [{ x: Math.round(top.left), y: Math.round(top.top), width: Math.round(top.width - 1), colour }]);
  });

  await step("crumbs lead back, and so does the reset", async () => {
    await page.mouse.move(5, 5);
    assert.match(await text(page, ".crumbs"), /^web-03\s*›\s*⋯3\s*›\s*PostmasterMain/); // the middle of a long path
    await page.locator(".crumbs button", { hasText: "PostgresMain" }).click();
    assert.equal(await current(page), "PostgresMain");
    await page.locator(".crumbs .reset").click();
    assert.equal(await current(page), "web-03");
    assert.equal(await last(page, "zoom"), null);
  });

  await step("a right click tells the page where and with which stack", async () => {
    const at = await placeOf(page, "ExecAgg");
    await page.mouse.click(at.x, at.y, { button: "right" });
    const asked = await last(page, "context");
    assert.deepEqual([asked.name, asked.func, asked.by, asked.frames], ["ExecAgg", { name: "ExecAgg", module: "postgres" }, "mouse", 1]);
    assert.ok(Math.abs(asked.x - at.x) <= 1 && Math.abs(asked.y - at.y) <= 1);
    assert.deepEqual(asked.stack, ["postgresql", "_start", "main", "PostmasterMain", "ServerLoop", "PostgresMain", "exec_simple_query", "PortalRun", "ExecAgg"]);
    assert.equal(await current(page), "web-03"); // and zooms not
    assert.equal(await page.locator("#card").count(), 0);
  });

  await step("a hovered row of a table outlines all frames of its function", async () => {
    await page.mouse.move(5, 5);
    await page.mouse.click(700, 880); // nothing
    await show(page, { marked: { name: "do_syscall_64", module: "vmlinux" } });
    await painted(page);
    const places = await Promise.all(["ext4_file_write_iter", "tcp_recvmsg", "vfs_read"].map((name) => placeOf(page, name)));
    const colour = await token(page, "text"), lines = (await outlines(page)).filter((line) => line.colour === colour);
    assert.deepEqual(lines.map(({ x, y }) => [x, y]), places.map((at) => [Math.round(at.left), Math.round(at.top)]));
    await show(page, { marked: null });
  });
  await page.close();
}

async function byKeys() {
  const page = await open();
  const spoken = () => text(page, ".flamebox [role=status]");
  const press = async (...keys) => {
    for (const key of keys) await page.keyboard.press(key);
    await painted(page);
  };

  await step("the graph is one stop of Tab; arrows move and are spoken", async () => {
    await page.locator("#search").focus();
    await press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.id), "flame");
    assert.equal(await spoken(), "web-03, 100.0 percent, level 1");
    await press("ArrowDown", "ArrowRight", "ArrowDown");
    assert.equal(await spoken(), "exec_simple_query, 19.1 percent, level 3");
    await press("ArrowDown", "ArrowDown");
    assert.equal(await spoken(), "ExecAgg, 12.0 percent, level 5");
    await press("ArrowRight");
    assert.equal(await spoken(), "__libc_read, 4.0 percent, level 5");
    await press("ArrowUp", "ArrowUp", "ArrowUp", "ArrowUp", "ArrowUp");
    assert.equal(await spoken(), "web-03, 100.0 percent, level 1");
    assert.match(await text(page, "#card"), /^web-03\s*whole host/);
    const outline = await page.evaluate(() => getComputedStyle(document.querySelector(".flame")).outlineWidth);
    assert.equal(outline, "2px"); // the focus ring
  });

  await step("Enter zooms, Backspace goes back a frame, Escape resets", async () => {
    await press("ArrowDown", "ArrowDown", "Enter");
    assert.equal(await current(page), "dumpTableData_copy");
    await press("Backspace");
    assert.equal(await current(page), "main"); // its caller, though folded
    await press("Escape");
    assert.equal(await current(page), "web-03");
    assert.equal(await page.locator("#card").count(), 0);
    assert.equal(await last(page, "clear"), null);
  });

  await step("c copies the frame, C the stack, . asks for the menu", async () => {
    await press("ArrowDown", "ArrowDown", "c");
    await press("ArrowDown", "c");
    assert.deepEqual(await last(page, "copy"), { text: "dumpTableData_copy", what: "frame" });
    await press("C");
    assert.deepEqual(await last(page, "copy"), { text: "backup\n_start\nmain\ndumpTableData_copy", what: "stack" });
    await press(".");
    const asked = await last(page, "context");
    assert.deepEqual([asked.name, asked.by], ["dumpTableData_copy", "keys"]);
  });

  await step("s turns to the sandwich of the frame; arrows reach both sides; the crumb leaves it", async () => {
    await press("ArrowDown", "ArrowRight", "s");
    assert.deepEqual(await last(page, "pivot"), { name: "__libc_write", module: "libc.so.6" });
    assert.equal(await current(page), "__libc_write");
    assert.match(await text(page, ".between >> nth=0"), /Callers, nearest at the bottom1 call path/);
    assert.match(await text(page, ".between >> nth=1"), /Callees\s*self 0\.0 %, callees 8\.0 % of view/);
    await page.locator("#flame").focus();
    await press("ArrowUp");
    assert.equal(await spoken(), "dumpTableData_copy, 8.0 percent, level 1");
    await press("ArrowDown", "ArrowDown");
    assert.equal(await spoken(), "ext4_file_write_iter, 8.0 percent, level 1");
    await page.locator(".crumbs button", { hasText: "web-03" }).click();
    assert.equal(await last(page, "leave"), null);
    assert.equal(await page.locator(".between").count(), 0);
  });
  await page.close();
}

async function views() {
  const page = await open();

  await step("bottom-up shows who spent the time, callers below", async () => {
    await show(page, { view: "bottom-up" });
    const of = invert.bottomUp(tree.treeOf(HOST));
    assert.match((await cardOf(page, "ZSTD_insertDUBT1", { of })).words, /Self0\.11 cores1\.4 %11\.0 %110 samples/);
    const at = await placeOf(page, "ZSTD_insertDUBT1", { of });
    await page.mouse.click(at.x, at.y, { button: "right" });
    assert.deepEqual((await last(page, "context")).stack, ["ZSTD_insertDUBT1"]);
    const caller = await placeOf(page, "backup", { of, nth: 1 });
    await page.mouse.click(caller.x, caller.y, { button: "right" });
    assert.deepEqual((await last(page, "context")).stack.slice(0, 4), ["backup", "_start", "main", "dumpTableData_copy"]);
    assert.match(await text(page, "#flame-words"), /bottom-up: 1\.00 cores\./);
  });

  await step("the server's bottom-up answer is drawn where there is one", async () => {
    const answer = answerOf({ "k:read@vmlinux;n:main@web;s:web": 60, "k:read@vmlinux;n:start@db;s:db": 40 });
    await page.evaluate((given) => window.stand.show({ inverted: window.stand.callersTreeOf(given) }), answer);
    const of = invert.callersTreeOf(answer);
    const at = await placeOf(page, "main", { of });
    assert.ok(at.width > 800); // of 100, and folded into its caller's service it is not
    await page.mouse.click(at.x, at.y, { button: "right" });
    assert.deepEqual((await last(page, "context")).stack, ["main", "read"]);
    await show(page, { inverted: null });
  });

  await step("the sandwich is the server's where there is one", async () => {
    await show(page, { view: "sandwich", pivot: { name: "read", module: "libc" }, sandwich: SANDWICH });
    const of = invert.sandwichFrom(SANDWICH, 1000);
    assert.match(await text(page, ".crumbs"), /^web-03\s*›\s*read.*0\.10 cores, 10\.0 % of view$/);
    assert.match(await text(page, ".between >> nth=0"), /2 call paths/);
    assert.match(await text(page, ".between >> nth=1"), /self 3\.0 %, callees 7\.0 % of view/);
    assert.match((await cardOf(page, "main", { of })).words, /Total0\.06 cores0\.8 %6\.0 %/);
    const at = await placeOf(page, "web", { of });
    await page.mouse.click(at.x, at.y);
    assert.equal(await current(page), "web");
    const zoomed = await placeOf(page, "vfs_read", { of, focus: 2 });
    assert.ok(zoomed.width < 1400 * 0.71 && zoomed.width > 900); // the other side keeps its scale
  });

  await step("without the server's it is worked out, and zooming into callees keeps the function", async () => {
    const pivot = { name: "entry_SYSCALL_64_after_hwframe", module: "vmlinux" };
    await show(page, { view: "sandwich", pivot, sandwich: null, zoom: null });
    const of = invert.sandwichOf(tree.treeOf(HOST), pivot);
    assert.match(await text(page, ".crumbs"), /0\.19 cores, 19\.0 % of view$/);
    const at = await placeOf(page, "tcp_recvmsg", { of });
    await page.mouse.click(at.x, at.y);
    assert.equal(await current(page), "tcp_recvmsg");
    assert.equal(await page.locator(".between").count(), 2);
  });

  await step("by name instead of by width", async () => {
    await show(page, { view: "top-down", order: "name", zoom: null, pivot: null });
    assert.match((await cardOf(page, "db", { options: { order: "name" } })).words, /^db\s*service/);
    await show(page, { order: "widest" });
  });

  await step("unfolded, every frame has its bar", async () => {
    await show(page, { fold: false });
    assert.match((await cardOf(page, "PostmasterMain", { options: { fold: false } })).words, /^PostmasterMain.*191 samples · click to zoom$/);
    await show(page, { fold: true });
  });
  await page.close();
}

async function searching() {
  const page = await open();

  await step("a search tells its share once per stack, and paints matches and the rest", async () => {
    await page.locator("#search").fill("zstd");
    await painted(page);
    const told = await last(page, "matches");
    assert.deepEqual([told.share, told.frames, told.bars, told.at, told.isBroken], [0.33, 6, 4, 0, false]);
    const match = await placeOf(page, "ZSTD_count"), other = await placeOf(page, "ExecAgg");
    assert.equal(await pixel(page, match.left + 2, match.top + 3), await token(page, "f-match"));
    assert.equal(await pixel(page, other.left + 2, other.top + 3), await token(page, "f-faded"));
    await page.locator("#search").fill("PostmasterMain"); // within a folded chain
    await painted(page);
    const chain = await placeOf(page, "exec_simple_query");
    assert.equal(await pixel(page, chain.left + 2, chain.top + 3), await token(page, "f-match"));
  });

  await step("next and previous go from match to match and around", async () => {
    await page.locator("#search").fill("libc_");
    const go = async (way) => {
      await page.evaluate((by) => window.stand.handle.current.nextMatch(by), way);
      await painted(page);
      return [(await last(page, "select")).name, (await last(page, "matches")).at];
    };
    assert.deepEqual([await go(1), await go(1), await go(1), await go(1)],
      [["__libc_write", 1], ["__libc_recv", 2], ["__libc_read", 3], ["__libc_write", 1]]);
    assert.deepEqual([await go(-1), await go(-1)], [["__libc_read", 3], ["__libc_recv", 2]]);
    assert.equal(await page.evaluate(() => document.activeElement.id), "flame");
  });

  await step("what is no pattern is told, and nothing fades", async () => {
    await show(page, { search: "(", isPattern: true });
    await painted(page);
    assert.equal((await last(page, "matches")).isBroken, true);
    const other = await placeOf(page, "ExecAgg");
    await painted(page);
    assert.notEqual(await pixel(page, other.left + 2, other.top + 3), await token(page, "f-faded"));
    await show(page, { search: "^(Exec|main\\.fib$)", isPattern: true });
    await painted(page);
    assert.equal((await last(page, "matches")).share, 0.221); // exec_simple_query and what it calls, and fib once
    await show(page, { search: "" });
    await painted(page);
    assert.equal(await last(page, "matches"), null);
  });

  await step("Escape leaves the search to the page", async () => {
    await show(page, { search: "zstd" });
    await page.locator("#flame").focus();
    const before = await page.evaluate(() => window.stand.told.filter(([what]) => what === "clear").length);
    await page.keyboard.press("Escape");
    assert.equal(await page.evaluate(() => window.stand.told.filter(([what]) => what === "clear").length), before + 1);
  });
  await page.close();
}

async function refreshing() {
  const page = await open();
  const fresh = answerOf({
    "s:postgresql;n:_start@postgres;n:main@postgres;n:PostmasterMain@postgres;n:ServerLoop@postgres;n:PostgresMain@postgres;n:exec_simple_query@postgres;n:PortalRun@postgres;n:ExecAgg@postgres": 30,
    "s:zeta;n:another@z": 300,
  });
  const frame = () => page.evaluate(() => window.stand.handle.current.copyText("frame"));

  await step("selection, zoom and card outlive new numbers; what is gone comes back", async () => {
    const at = await placeOf(page, "ExecAgg");
    await page.mouse.click(at.x, at.y);
    assert.equal(await current(page), "ExecAgg");
    await page.evaluate((answer) => window.stand.data(answer), fresh);
    assert.equal(await current(page), "ExecAgg");
    assert.equal(await frame(), "ExecAgg");
    await page.evaluate((answer) => window.stand.data(answer), answerOf({ "s:zeta;n:another@z": 300 }));
    assert.match(await text(page, ".note"), /^ExecAgg is not in this range\. All of web-03 is shown instead\.$/);
    assert.equal(await current(page), "web-03");
    assert.equal(await frame(), null);
    await page.evaluate((answer) => window.stand.data(answer), HOST);
    assert.equal(await current(page), "ExecAgg");
    assert.equal(await frame(), "ExecAgg");
    assert.equal(await page.locator(".note").count(), 0);
  });

  await step("a card stays with its frame and takes the new numbers", async () => {
    await show(page, { zoom: null });
    await cardOf(page, "postgresql");
    await page.evaluate((answer) => window.stand.data(answer), fresh);
    assert.match(await text(page, "#card"), /^postgresql.*Total0\.03 cores0\.4 %9\.1 %/);
    await page.evaluate((answer) => window.stand.data(answer), answerOf({ "s:zeta;n:another@z": 300 }));
    assert.equal(await page.locator("#card").count(), 0);
  });

  await step("another theme is painted at once", async () => {
    await page.evaluate((answer) => window.stand.data(answer), HOST);
    const at = await placeOf(page, "postgresql");
    const light = await pixel(page, at.left + 2, at.top + 3);
    await page.evaluate(() => (document.documentElement.dataset.theme = "dark"));
    await show(page, { theme: 1 });
    await painted(page);
    const dark = await pixel(page, at.left + 2, at.top + 3);
    assert.equal(dark, await token(page, "f-group"));
    assert.notEqual(dark, light);
  });

  await step("another width is laid out at once", async () => {
    await page.setViewportSize({ width: 700, height: 900 });
    await painted(page);
    assert.match((await cardOf(page, "ExecAgg")).words, /^ExecAgg/);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 700);
  });
  await page.close();
}

async function bySize() {
  await step("a stack of a thousand frames scrolls under a canvas that is no higher than the window", async () => {
    const stack = ["s:deep", ...Array.from({ length: 1000 }, (_, i) => `${i % 2 ? "n" : "k"}:frame_${i}@x`)].join(";");
    const page = await open({}, answerOf({ [stack]: 10, "s:other;n:b@x": 1 }));
    assert.ok((await page.locator(".flame").boundingBox()).height >= 1002 * ROW);
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
    await painted(page);
    const canvas = await page.locator("#flame").boundingBox();
    const box = await page.locator(".flame").boundingBox();
    assert.ok(canvas.height <= 900 && canvas.y <= 0 && canvas.y + canvas.height >= box.y + box.height - 1, JSON.stringify({ canvas, box }));
    await page.mouse.move(box.x + 200, box.y + 1001 * ROW + 10);
    await page.waitForFunction(() => document.querySelector("#card strong")?.textContent === "frame_999");
    assert.notEqual(await pixel(page, box.x + 200, box.y + 1001 * ROW + 3), null);
    await page.close();
  });

  await step("levels that are too narrow to see are told about", async () => {
    const page = await open({}, answerOf({ "n:wide@x": 999_000, "n:thin@x;k:a@x;n:b@x": 1000 }));
    assert.equal(await text(page, ".cut"), "2 deeper levels, all narrower than 3 px: zoom in to see");
    await page.close();
  });

  await step("names are text, whatever they look like", async () => {
    const hostile = `<img src=x onerror="document.title='owned'">`;
    const page = await open({}, answerOf({ [`s:${hostile};n:${hostile}@${hostile}`]: 10 }));
    const box = await page.locator(".flame").boundingBox();
    await page.mouse.move(box.x + 50, box.y + 50);
    await page.locator("#card").waitFor();
    assert.ok((await text(page, "#card")).startsWith(hostile));
    assert.equal(await page.locator("img").count(), 0);
    const svg = await page.evaluate(() => window.stand.handle.current.exportSvg({ title: "<b>", subtitle: "&" }));
    assert.ok(!svg.includes("<img") && svg.includes("&lt;img"));
    assert.notEqual(await page.title(), "owned");
    await page.close();
  });
}

async function gliding() {
  const paintings = (page, run) => page.evaluate(async (link) => {
    const seen = [], canvas = document.querySelector("#flame");
    const look = () => seen.push(canvas.toDataURL());
    window.stand.show({ zoom: link });
    const end = performance.now() + 400;
    while (performance.now() < end) {
      await new Promise(requestAnimationFrame);
      look();
    }
    return { different: new Set(seen).size, isLast: seen[seen.length - 1] === seen[seen.length - 2] };
  }, run);

  await step("a zoom glides for a moment, and does not where motion is not wanted", async () => {
    const of = tree.treeOf(HOST), link = tree.linkOf(of, [...of.name].findIndex((name) => of.names[name] === "PortalRun"));
    const page = await open({}, HOST, { isStill: false });
    await painted(page);
    const into = await paintings(page, link), out = await paintings(page, null);
    assert.ok(into.different >= 3 && into.isLast, JSON.stringify(into));
    assert.ok(out.different >= 3 && out.isLast, JSON.stringify(out));
    await page.close();
    const still = await open({ reducedMotion: "reduce" }, HOST, { isStill: false });
    await painted(still);
    assert.equal((await paintings(still, link)).different, 1);
    await still.close();
  });
}

async function byFinger() {
  const page = await open({ viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true, colorScheme: "dark" });
  const tap = async (name) => {
    const box = await page.locator(".flame").boundingBox(), of = tree.treeOf(HOST), drawn = layout.layOut(of, 0, box.width);
    const bar = [...drawn.node].findIndex((node) => tree.nameOf(of, node) === name), row = layout.rowOf(drawn, bar);
    await page.touchscreen.tap(box.x + drawn.x[bar] + drawn.width[bar] / 2, box.y + row * 24 + 12); // rows of 24 px
  };

  await step("the first tap selects and opens a sheet; its buttons do the rest", async () => {
    await tap("exec_simple_query");
    await page.locator(".card.sheet").waitFor();
    assert.match(await text(page, ".card strong"), /^exec_simple_query$/);
    assert.match(await text(page, ".card .keys"), /191 samples · 6 frames in one bar · tap outside to close/);
    assert.equal(await current(page), "web-03");
    const sheet = await page.locator(".card").boundingBox();
    assert.equal(Math.round(sheet.y + sheet.height), 780);
    assert.equal(sheet.width, 390);
    for (const button of await page.locator(".card .btn").all()) assert.ok((await button.boundingBox()).height >= 36);
    await axe(page, "sheet");
    await page.screenshot({ path: join(SCREENSHOTS, "flame-sheet-narrow-dark.png") });
    await page.getByRole("button", { name: "Copy" }).tap();
    assert.deepEqual(await last(page, "copy"), { text: "exec_simple_query", what: "frame" });
    await tap("backup");
    await page.getByRole("button", { name: "Zoom in" }).tap();
    assert.equal(await current(page), "backup");
    assert.equal(await page.locator(".card").count(), 0);
  });

  await step("a tap outside closes the sheet, a tap on another bar moves it", async () => {
    await show(page, { zoom: null });
    await tap("backup");
    await page.locator(".card.sheet").waitFor();
    await tap("exec_simple_query");
    await page.waitForFunction(() => document.querySelector(".card strong")?.textContent === "exec_simple_query");
    await page.touchscreen.tap(200, 40);
    await page.locator(".card").waitFor({ state: "detached" });
    await tap("exec_simple_query");
    await page.getByRole("button", { name: "Sandwich" }).tap();
    assert.deepEqual(await last(page, "pivot"), { name: "exec_simple_query", module: "postgres" });
  });
  await page.close();
}

async function saving() {
  const page = await open();
  const words = { title: "web-03: CPU <all>", subtitle: "02:36 – 02:45 & more" };

  await step("the SVG is well-formed, names every bar and brings all it needs", async () => {
    const svg = await page.evaluate((w) => window.stand.handle.current.exportSvg(w), words);
    writeFileSync(join(SCREENSHOTS, "flame.svg"), svg);
    const before = complaints.length;
    const read = await page.evaluate((source) => {
      const parsed = new DOMParser().parseFromString(source, "image/svg+xml");
      return {
        error: parsed.querySelector("parsererror")?.textContent ?? null, title: parsed.querySelector("title").textContent,
        bars: [...parsed.querySelectorAll("g")].map((g) => g.querySelector("title").textContent),
        texts: [...parsed.querySelectorAll("text")].map((one) => one.textContent),
        foreign: parsed.querySelectorAll("script, image, foreignObject, [href]").length,
      };
    }, svg);
    await page.waitForTimeout(50);
    complaints.length = before; // the page's policy is none of the file's, though the parser asks it about its styles
    assert.equal(read.error, null);
    assert.equal(read.title, "web-03: CPU <all>, 02:36 – 02:45 & more");
    assert.equal(read.foreign, 0);
    const box = await page.locator(".flame").boundingBox();
    assert.equal(read.bars.length, layout.layOut(tree.treeOf(HOST), 0, box.width).count);
    assert.ok(read.bars.includes(`ExecAgg, 12.0${NARROW}%`) && read.bars.includes(`exec_simple_query, 19.1${NARROW}%, 6 frames in one bar`));
    assert.ok(read.texts.includes("ExecAgg") && read.texts.includes(words.title) && read.texts.includes(words.subtitle));
    for (const [, value] of svg.matchAll(/(?:fill|stroke)="([^"]+)"/g)) assert.match(value, /^(rgb\(\d+,\d+,\d+\)|none|url\(#hatch\))$/);
  });

  await step("the PNG is a picture of twice the size, with the title above", async () => {
    const bytes = Buffer.from(await page.evaluate(async (w) => {
      const blob = await window.stand.handle.current.exportPng(w);
      return [...new Uint8Array(await blob.arrayBuffer())];
    }, words));
    writeFileSync(join(SCREENSHOTS, "flame.png"), bytes);
    assert.equal(bytes.subarray(1, 4).toString(), "PNG");
    const box = await page.locator(".flame").boundingBox();
    assert.equal(bytes.readUInt32BE(16), 2 * (box.width + 32));
    assert.equal(bytes.readUInt32BE(20), 2 * (box.height + 52 + 16));
    assert.ok(bytes.length > 20_000);
  });
  await page.close();
}

async function pictures() {
  const shots = {
    graph: {}, bottom: { view: "bottom-up" }, modules: { colouring: "module" }, search: { search: "zstd|exec", isPattern: true },
    sandwich: { view: "sandwich", pivot: { name: "entry_SYSCALL_64_after_hwframe", module: "vmlinux" } },
  };
  for (const [word, width, height] of [["wide", 1440, 480], ["narrow", 360, 640]]) {
    for (const colorScheme of ["light", "dark"]) {
      await step(`no barrier and nothing wider than a window of ${width} px, ${colorScheme}`, async () => {
        const page = await open({ viewport: { width, height }, colorScheme });
        for (const [name, props] of Object.entries(shots)) {
          await show(page, { view: "top-down", colouring: "kind", search: "", isPattern: false, zoom: null, ...props });
          await painted(page);
          await axe(page, name);
          assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, name);
          await page.screenshot({ path: join(SCREENSHOTS, `flame-${name}-${word}-${colorScheme}.png`) });
        }
        await show(page, { view: "top-down", search: "" });
        await cardOf(page, "dumpTableData_copy");
        await axe(page, "card");
        await page.screenshot({ path: join(SCREENSHOTS, `flame-card-${word}-${colorScheme}.png`) });
        await page.close();
      });
    }
  }
}

try {
  for (const part of [byMouse, byKeys, views, searching, refreshing, bySize, gliding, byFinger, saving, pictures]) {
    try {
      await part();
    } catch (error) {
      await step(`${part.name} runs to its end`, () => {
        throw error;
      });
    }
  }
  await step("no error and no warning in the console", () => assert.deepEqual(complaints, []));
} finally {
  await browser.close();
  stand.close();
}
finish();
