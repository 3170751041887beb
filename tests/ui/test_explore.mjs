// SPDX-License-Identifier: Apache-2.0
// "Explore" over a recording in which everything is known (make_recording.c): by mouse and by keyboard.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { checkAccess, look, LOOKS, NARROW, open, says, shoot, startKnown, text, texts, until, wholeTest, WIDE } from "./browser.mjs";
import { step } from "./tap.mjs";

const parameters = (page) => new URLSearchParams(page.url().split("?")[1] ?? "");
const selector = (page) => parameters(page).get("q");
const rangeOf = (page) => [Number(parameters(page).get("from")), Number(parameters(page).get("to"))];
const clipboard = (page) => page.evaluate(() => navigator.clipboard.readText());

/** Down in the graph, until what is spoken fits. */
async function walkTo(page, pattern) {
  const spoken = async () => (await texts(page, ".flamebox [role=status]")).join("");
  for (let i = 0; i < 12 && !pattern.test(await spoken()); i++) {
    await page.keyboard.press("ArrowDown");
    await page.waitForTimeout(60);
  }
  assert.match(await spoken(), pattern);
}

async function testSelectors(page) {
  await step("how many stacks are complete, and why the others are not", async () => {
    await says(page, ".complete", /^Stacks complete 9\d\.\d %no unwind information \d\.\d %$/);
    assert.match(await page.locator(".complete [title]").getAttribute("title"), /neither unwind tables nor a frame pointer/);
  });

  await step("a service is chosen by mouse", async () => {
    await page.locator("#service").click();
    await until("services by what they use", async () => (await texts(page, "#service-list .name")).slice(0, 3).join() === "Any service,db,search");
    await page.locator("#service-list li", { hasText: "web" }).click();
    await says(page, "#when-title", /^web uses 0\.50 cores, 12\.5 % of host\.$/);
    assert.equal(selector(page), '{service_name="web"}');
    await says(page, ".crumbs [aria-current]", /^web$/);
    await says(page, ".complete", /^Stacks complete 100(\.0)? %$/);
    await until("only its functions", async () => (await texts(page, "#functions tbody th")).slice(0, 2).join() === "render_template,net_rx_action");
  });

  await step("a process is chosen by keyboard, by its pid", async () => {
    await page.locator("#process").focus();
    await page.keyboard.press("Enter");
    await page.locator("#process-list").waitFor();
    await page.keyboard.type("302");
    await until("only 302", async () => (await texts(page, "#process-list li")).join() === "webserverpid 3020.20");
    await page.keyboard.press("Enter");
    await says(page, "#when-title", /^webserver uses 0\.20 cores/);
    assert.match(selector(page), /^\{service_name="web",process="302\.\d+\.1"\}$/);
    assert.equal(await page.evaluate(() => document.activeElement.id), "process");
  });

  await step("a thread is chosen among those of the view", async () => {
    await page.locator("#whole").click();
    await page.locator("#thread").click();
    await page.locator("#thread-list li", { hasText: "db-writer" }).click();
    await says(page, "#when-title", /^db-writer uses 0\.24 cores/);
    await until("its functions", async () => (await texts(page, "#functions tbody th")).slice(0, 2).join() === "write_log,copy_page");
  });

  await step("any label filters, with any operator; a chip takes it back", async () => {
    await page.locator("#whole").click();
    await page.locator("#filter").click();
    await page.locator("#filter-label").selectOption("process_name");
    await page.locator("#filter-how").selectOption("=~");
    await page.locator("#filter-value").fill("web.*|calc");
    await page.keyboard.press("Enter");
    await says(page, "#when-title", / uses 0\.70 cores/);
    assert.equal(selector(page), '{process_name=~"web.*|calc"}');
    await page.locator(".chip button").click();
    await says(page, "#when-title", /^\d\.\d\d of 4 cores busy/);
    assert.equal(selector(page), null);
  });

  await step("the profile type is chosen from those that there are", async () => {
    await page.locator("#type").click();
    await until("CPU", async () => (await texts(page, "#type-list .name")).join() === "CPU");
    await page.keyboard.press("Escape");
    assert.equal(await page.evaluate(() => document.activeElement.id), "type");
  });

  await step("a process that has ended is found by its name", async () => {
    await page.locator("#when").click();
    await page.locator(".spans button", { hasText: "last 15 min" }).click();
    await page.locator("#process").click();
    await page.keyboard.type("backup");
    await until("backup", async () => /^backuppid 777/.test((await texts(page, "#process-list li")).join()));
    await page.keyboard.press("Enter");
    await says(page, "#when-title", /^backup uses 0\.\d\d cores/);
    await until("its functions", async () => (await texts(page, "#functions tbody th")).slice(0, 2).join() === "compress_block,vfs_read");
    await page.locator("#whole").click();
  });
}

async function testTime(page, known) {
  const from = known.newest - 120_000, to = known.newest;
  await step("a range in the address is what is shown: exact numbers", async () => {
    await page.goto(`${known.address}/#/explore?from=${from}&to=${to}`);
    await says(page, "#when-title", /^2\.90 of 4 cores were busy\. db used 1\.20\.$/);
    assert.deepEqual((await texts(page, "#functions tbody tr:first-child td")), ["17.2 %", "17.2 %"]);
    assert.match(await text(page, "#functions tbody th"), /tokenize_document|hash_lookup/);
  });

  await step("a drag picks a range; its edges are sliders for the keyboard", async () => {
    const box = await page.locator(".u-over").boundingBox();
    await page.mouse.move(box.x + box.width * 0.5, box.y + 40);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.75, box.y + 40, { steps: 4 });
    await page.mouse.up();
    await until("another range", () => rangeOf(page)[0] !== from);
    const picked = rangeOf(page), start = page.locator("[role=slider]").first();
    await start.focus();
    await page.keyboard.press("ArrowLeft");
    await until("the start has moved", () => rangeOf(page)[0] < picked[0]);
    assert.equal(rangeOf(page)[1], picked[1]);
    const words = await start.getAttribute("aria-valuetext");
    assert.match(words, /^\d\d:\d\d:\d\d$/);
    await page.locator("[role=slider]").nth(1).focus();
    await page.keyboard.press("PageDown");
    await until("the end has moved", () => rangeOf(page)[1] < picked[1]);
  });

  await step("an edge is dragged", async () => {
    const had = rangeOf(page), box = await page.locator("[role=slider]").nth(1).boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2 + 60, box.y + box.height / 2, { steps: 3 });
    await page.mouse.up();
    await until("the end is later", () => rangeOf(page)[1] > had[1]);
    assert.equal(rangeOf(page)[0], had[0]);
  });

  await step("[ ] move a range, - + make it longer and shorter", async () => {
    await page.locator("main").focus();
    const [a, b] = rangeOf(page);
    await page.keyboard.press("[");
    await until("earlier", () => rangeOf(page)[1] === a);
    await page.keyboard.press("]");
    await until("as before", () => rangeOf(page)[0] === a && rangeOf(page)[1] === b);
    await page.keyboard.press("+");
    await until("half as long", () => Math.abs((rangeOf(page)[1] - rangeOf(page)[0]) * 2 - (b - a)) <= 2);
    await page.keyboard.press("-");
    await until("as long again", () => Math.abs(rangeOf(page)[1] - rangeOf(page)[0] - (b - a)) <= 2);
  });

  await step("times are typed in the range picker", async () => {
    await page.locator("#when").click();
    const field = (time) => new Date(time - new Date(time).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
    await page.locator("#to").fill(field(from));
    await page.locator("#from").fill(field(to));
    await says(page, ".own .none", /^The end lies before the start$/);
    await page.locator("#from").fill(field(from));
    await page.locator("#to").fill(field(to));
    await page.locator(".own button[type=submit]").click();
    await until("these times", () => Math.abs(rangeOf(page)[0] - from) < 1000 && Math.abs(rangeOf(page)[1] - to) < 1000);
  });

  await step("a gap in the range is said, with its reason; the shares are of what was recorded", async () => {
    const gap = known.oldest + 300_000;
    await page.goto(`${known.address}/#/explore?from=${gap - 29_999}&to=${gap + 60_000}`);
    await says(page, ".notice", /^Nothing recorded from \d\d:\d\d:\d\d to \d\d:\d\d:\d\d ?The host was suspended\. Shares are of the (60|61|59|1) (s|min) that were recorded\.$/);
    await says(page, "#when-title", /^2\.1\d of 4 cores were busy\. db used 1\.2\d\.$/);
    await shoot(page, "explore-gap-light");
  });

  await step("a range in which the process did not run says so", async () => {
    await page.goto(`${known.address}/#/explore?q=${encodeURIComponent('{service_name="backup"}')}&from=${from}&to=${to}`);
    await says(page, ".pane-graph .nothing", /^No sample of backup between .* and .*The host was recorded then; this did not run, or did not use the CPU\.Whole host$/);
    await shoot(page, "explore-no-match-light");
    await page.locator(".pane-graph .nothing button").click();
    await says(page, "#when-title", /^2\.90 of 4 cores/);
  });
  return { from, to };
}

async function testGraph(page) {
  await step("the table is sorted by self and by total, by mouse and by keyboard", async () => {
    await page.locator(".c-total button").click();
    await until("by total", async () => (await texts(page, "#functions tbody th")).slice(0, 1).join() === "main");
    assert.equal(await page.locator(".c-total").getAttribute("aria-sort"), "descending");
    await page.locator(".c-self button").focus();
    await page.keyboard.press("Enter");
    await until("by self", async () => /hash_lookup|tokenize/.test((await texts(page, "#functions tbody th"))[0]));
  });

  await step("a search shows its share, counts each stack once, and lists its functions", async () => {
    await page.keyboard.press("/");
    await until("the field has the keyboard", () => page.evaluate(() => document.activeElement.id === "search"));
    await page.keyboard.type("vfs_");
    await says(page, ".found", /^15\.9 %of view, [1-9]/);
    await until("only matches", async () => (await texts(page, "#functions tbody th")).sort().join() === "vfs_read,vfs_write");
    await page.keyboard.press("Escape");
    await until("no search", () => !page.url().includes("search="));
    await page.locator("#search").fill("evaluate_tree");
    await says(page, ".found", /^6\.9 %of view/);
  });

  await step("a pattern is one only with the switch on; n and N go through the matches", async () => {
    await page.locator("#search").fill("^(vfs|copy)_");
    await says(page, ".found", /^No frame matches$/);
    await page.locator("#regex").click();
    await says(page, ".found", /^15\.9 %of view, \d/);
    await until("by pattern", async () => (await texts(page, "#functions tbody th")).length === 3);
    await page.locator("#search").press("Escape");
    await page.locator("#search").fill("(");
    await says(page, ".found", /^Not a regular expression yet$/);
    await page.locator("#search").fill("copy_page");
    await page.locator("#search").press("Enter");
    await says(page, ".found", /1 of \d/);
    await page.keyboard.press("n");
    await says(page, ".found", /2 of \d/);
    await page.keyboard.press("N");
    await says(page, ".found", /1 of \d/);
    await page.locator(".found button").nth(1).click();
    await says(page, ".found", /2 of \d/);
    await shoot(page, "explore-search-light");
    await page.locator("#regex").click();
    await page.locator("#search").fill("");
  });

  await step("a click in the table shows callers and callees, exact", async () => {
    await page.locator("#functions tbody th a", { hasText: "do_syscall_64" }).click();
    await says(page, ".between", /Callers/);
    await says(page, ".crumbs", /do_syscall_64/);
    assert.equal(parameters(page).get("view"), "sandwich");
    assert.equal(await page.locator("#functions tr[aria-current] th").textContent(), "do_syscall_64");
    const said = (await texts(page, ".between")).join(" ");
    assert.match(said, /self 0\.0 %/);
    await shoot(page, "sandwich-light");
  });

  await step("the same by keyboard, and back", async () => {
    await page.locator("#functions tr[aria-current] a").focus();
    await page.keyboard.press("ArrowUp");
    const name = await page.evaluate(() => document.activeElement.textContent);
    await page.keyboard.press("Enter");
    await until(`callers of ${name}`, async () => (await page.locator("#functions tr[aria-current] th").textContent()) === name);
    await page.goBack();
    await until("do_syscall_64 again", async () => (await page.locator("#functions tr[aria-current] th").textContent()) === "do_syscall_64");
    await page.locator(".seg [data-value=graph]").click();
  });

  await step("inverted: functions that ran, with their callers below", async () => {
    await page.locator(".seg [data-value=inverted]").click();
    await until("in the address", () => parameters(page).get("view") === "inverted");
    await page.locator(".flame [tabindex]").first().focus();
    await walkTo(page, /^(hash_lookup|tokenize_document), 17\.2 percent, level 2$/);
    await shoot(page, "inverted-light");
    await page.locator(".seg [data-value=graph]").click();
  });

  await step("a frame is zoomed, its sandwich opened, its menu used, by keyboard", async () => {
    await page.locator(".flame [tabindex]").first().focus();
    await page.keyboard.press("ArrowDown");
    await page.waitForTimeout(60);
    await walkTo(page, /^hash_lookup,/);
    await page.keyboard.press("Enter");
    await until("zoomed", () => /zoom=hash_lookup/.test(page.url()));
    await page.keyboard.press("Backspace");
    await until("one back", () => !/zoom=hash_lookup/.test(page.url()));
    await page.keyboard.press("Escape");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press(".");
    await page.locator(".pop .actions").waitFor();
    assert.deepEqual(await texts(page, ".pop .actions button"), ["Zoom in", "Callers and callees", "Search for it", "Copy frame", "Copy stack"]);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await until("its sandwich", () => parameters(page).get("view") === "sandwich");
    await page.goBack();
  });

  await step("colour, order and folding are chosen and kept in the address", async () => {
    await page.locator("#look").click();
    await page.locator(".pop button", { hasText: "By module" }).click();
    await until("by module", () => parameters(page).get("colour") === "module");
    await page.locator("#look").click();
    await page.locator(".pop button", { hasText: "By name" }).click();
    await page.locator("#fold").click();
    await until("not folded", () => parameters(page).get("fold") === "0" && parameters(page).get("order") === "name");
    await page.reload();
    await until("kept", async () => (await page.locator("#fold").getAttribute("aria-pressed")) === "false" && /module/.test(await text(page, "#look")));
    await page.goBack();
    await page.goBack();
    await page.goBack();
  });
}

async function testTaking(page, known) {
  const { address } = known, [from, to] = rangeOf(page);
  await step("frame, stack and link are copied", async () => {
    await page.locator(".flame [tabindex]").first().focus();
    await page.keyboard.press("Escape");
    for (let i = 0; i < 4; i++) await page.keyboard.press("ArrowDown");
    await page.keyboard.press("c");
    await says(page, ".said", /^Copied the frame/);
    const frame = await clipboard(page);
    await page.keyboard.press("C");
    await says(page, ".said", /^Copied the stack, \d+ lines/);
    const stack = (await clipboard(page)).split("\n");
    assert.ok(stack.length >= 3 && stack.includes(frame), stack.join());
    await page.keyboard.press("l");
    await says(page, ".said", /^Copied the link/);
    assert.equal(await clipboard(page), page.url());
    await page.locator("#share").click();
    await page.locator(".pop button").first().click();
    assert.match(await clipboard(page), /#\/explore\?from=\d+&to=\d+/);
  });

  const saved = async (words) => {
    await page.locator("#export").click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator(".pop .actions > *", { hasText: words }).click()]);
    return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
  };
  await step("pprof and folded stacks are the server's, of what is shown", async () => {
    const pprof = await saved("pprof");
    assert.match(pprof.name, /\.pb\.gz$/);
    const message = gunzipSync(pprof.bytes);
    assert.ok(message.includes("hash_lookup") && !message.includes("compress_block"));
    const folded = await saved("Folded");
    const lines = folded.bytes.toString().trim().split("\n");
    const sum = lines.reduce((total, line) => total + Number(line.split(" ").pop()), 0);
    assert.ok(Math.abs(sum / 1e9 - 2.9 * ((to - from) / 1000)) < 2.9, `${sum}`);
    assert.ok(lines.some((line) => /main;serve_client;run_query;scan_table;hash_lookup \d+$/.test(line)), lines.join("\n"));
  });

  await step("SVG and PNG are what is drawn", async () => {
    const svg = (await saved("SVG")).bytes.toString();
    assert.match(svg, /^(<\?xml[^>]*>\s*)?<svg /);
    assert.ok(svg.includes("hash_lookup"));
    const png = await saved("PNG");
    assert.deepEqual([...png.bytes.subarray(0, 4)], [0x89, 0x50, 0x4e, 0x47]);
    assert.match(png.name, /\.png$/);
  });

  await step("a link brings back everything: selector, range, view, function, search", async () => {
    const hash = `#/explore?q=${encodeURIComponent('{service_name="db"}')}&from=${from}&to=${to}&view=sandwich&fn=scan_table%7Cdbserver&search=hash`;
    await page.goto(`${address}/${hash}`);
    const look = async () => {
      await says(page, "#when-title", /^db used 1\.20 cores/);
      await until("the function", async () => (await page.locator("#search").inputValue()) === "hash" && /scan_table/.test((await texts(page, ".crumbs")).join()));
    };
    await look();
    const before = parameters(page);
    await page.reload();
    await look();
    assert.deepEqual([...parameters(page)].sort(), [...before].sort());
  });

  await step("a link whose selector cannot be read says so", async () => {
    await page.goto(`${address}/#/explore?q=${encodeURIComponent('{service_name=db"}')}`);
    await says(page, ".bad-notice", /^The link’s selector could not be read ?\{service_name=db"\} The whole host is shown instead\.$/);
    await page.locator("#pause").waitFor();
  });
}

async function testWindows(browser, { address }, { from, to }) {
  const at = `from=${from}&to=${to}`;
  const views = { explore: at, sandwich: `${at}&view=sandwich&fn=do_syscall_64%7Ckernel`, table: `${at}&view=table`, process: `${at}&q=${encodeURIComponent('{service_name="db"}')}` };
  const page = await open(browser, address);
  for (const [name, query] of Object.entries(views)) {
    await step(`Explore is whole: ${name}`, async () => {
      await look(page, name === "table" ? NARROW : WIDE, "light");
      await page.goto(`${address}/#/explore?${query}`);
      await says(page, "#when-title", /cores/);
      await page.locator(name === "table" ? "#functions tbody tr" : ".flame canvas").first().waitFor();
      const looks = name === "explore" ? [...LOOKS, ["4k-light", { width: 3840, height: 2160 }, "light"]] : name === "table" ? LOOKS.slice(2) : LOOKS.slice(1, 4);
      for (const [word, viewport, colorScheme] of looks) {
        await look(page, viewport, colorScheme);
        await checkAccess(page, `${name}, ${word}`);
        await shoot(page, `${name}-${word}`);
      }
    });
  }
  await step("menus are whole as well", async () => {
    await page.goto(`${address}/#/explore?${at}`);
    for (const [viewport, colorScheme, ids] of [[NARROW, "dark", ["when", "process", "filter"]], [WIDE, "light", ["service", "export", "look"]]]) {
      await look(page, viewport, colorScheme);
      for (const id of ids) {
        await page.locator(`#${id}`).click();
        await page.locator(".pop").waitFor();
        if (id === "process") await page.locator("#process-list li").nth(2).waitFor();
        await page.waitForTimeout(100);
        await checkAccess(page, `menu ${id}`);
        await shoot(page, `menu-${id}`, false);
        await page.keyboard.press("Escape");
      }
    }
  });
  await page.close();
}

async function main(browser) {
  const known = await startKnown();
  const context = await browser.newContext({ permissions: ["clipboard-read", "clipboard-write"], viewport: WIDE });
  const page = await open(context, known.address);
  await page.goto(`${known.address}/#/explore`);
  await says(page, "#when-title", /busy/);
  await testSelectors(page);
  const range = await testTime(page, known);
  await testGraph(page);
  await testTaking(page, known);
  await context.close();
  await testWindows(browser, known, range);
}

await wholeTest(main);
