// SPDX-License-Identifier: Apache-2.0
// "Now" over a recording in which everything is known (make_recording.c): by mouse and by keyboard.
import assert from "node:assert/strict";
import { checkAccess, look, LOOKS, open, says, shoot, startKnown, text, texts, until, wholeTest } from "./browser.mjs";
import { step } from "./tap.mjs";

const numberIn = (words) => Number(/[\d.]+/.exec(words)[0]);

async function main(browser) {
  const known = await startKnown();
  const { address } = known;
  const page = await open(browser, address);
  await step("the page comes with a policy that lets nothing else in", async () => {
    const reply = await page.goto(`${address}/`);
    assert.equal(reply.status(), 200);
    assert.match(reply.headers()["content-security-policy"] ?? "", /default-src 'none'/);
  });

  await step("the answer is made of the numbers of the tables", async () => {
    await says(page, "#answer", /^\d+\.\d\d of 4 cores busy\. db uses 1\.20/);
    const rows = await texts(page, "#processes tbody tr td:nth-child(2)");
    const sum = rows.reduce((total, cores) => total + Number(cores), 0);
    assert.ok(Math.abs(sum - numberIn(await text(page, "#answer"))) < 0.05, `${sum}`);
    const [user, kernel] = (await texts(page, ".facts dd")).map(numberIn);
    assert.ok(Math.abs(user + kernel - sum) < 0.05);
    assert.equal(kernel, 0.46);
    assert.match(await text(page, ".lead p"), /^Hottest code: hash_lookup, 0\.50 cores\.$/);
  });

  await step("services stand by what they use, with their share, kernel part and line", async () => {
    const names = await texts(page, "#processes tbody th a");
    assert.deepEqual(names.slice(0, 4), ["db", "search", "web", "calc"]);
    assert.deepEqual((await texts(page, "#processes tbody tr:first-child td")).slice(0, 4), ["1.20", "30.0 %", "", "30.0 %"]);
    assert.ok((await page.locator("#processes tbody tr:first-child svg.spark path").count()) === 2);
    assert.match(await text(page, "#processes tbody tr:nth-child(3) .from"), /^2 processes$/);
  });

  await step("whose stacks are complete, and why the others are not", async () => {
    const whole = (name) => page.locator("#processes tbody tr", { hasText: name }).locator("td:nth-child(6)").first();
    await until("shares of whole stacks", async () => /%/.test(await whole("db").textContent()));
    assert.match(await whole("db").textContent(), /^100\.0\s%$/);
    assert.equal(await whole("db").getAttribute("title"), null);
    assert.match(await whole("legacy").textContent(), /^0\.0\s%/);
    assert.match(await whole("legacy").getAttribute("title"), /^100\.0 % no unwind information: The code has neither unwind tables nor a frame pointer/);
    await page.locator("#processes tbody tr", { hasText: "legacy" }).locator(".twist").click();
    await until("of a process, too", async () => /^0\.0\s%/.test(await page.locator("#processes tr.sub td:nth-child(6)").first().textContent()));
    await page.locator("#processes tbody tr", { hasText: "legacy" }).first().locator(".twist").click();
    await until("legacy closed", async () => (await page.locator("#processes tr.sub").count()) === 0);
  });

  await step("a service opens to its processes, by mouse and by keyboard", async () => {
    await page.locator("#processes tbody tr", { hasText: "web" }).locator(".twist").click();
    await until("two web servers", async () => (await page.locator("#processes tr.sub").count()) === 2);
    assert.deepEqual(await texts(page, "#processes tr.sub .from"), ["pid 301", "pid 302"]);
    await page.locator("#processes tbody th a").first().focus();
    await page.keyboard.press("ArrowRight");
    await says(page, "#processes tr.sub .from", /^pid 200$/);
    await page.keyboard.press("ArrowDown");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "dbserver");
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("ArrowLeft");
    await until("db closed", async () => (await page.locator("#processes tr.sub").count()) === 2);
  });

  await step("what changed: the service that is new, and the one that has gone", async () => {
    await says(page, ".changes li", /^\+0\.\d\d ?searchnew ?0\.00 → 0\.\d\d cores ?Open$/);
    assert.match(await page.locator(".changes li a").first().getAttribute("href"), /service_name.*search/);
    assert.match((await texts(page, ".changes li")).pop(), /^\u22120\.18 ?backupgone/);
  });

  await step("the hottest functions, and what their share is of", async () => {
    assert.deepEqual((await texts(page, "#functions tbody th")).slice(0, 3), ["hash_lookup", "tokenize_document", "render_template"].map((one) => one));
    assert.match(await text(page, "#functions tbody td.n"), /^12\.5 %$/);
  });

  await step("the flame graph has services as its first rows; what is unnamed or cut short is said", async () => {
    const legend = await texts(page, ".kinds > span");
    assert.ok(legend.some((one) => /^Unnamed\d\.\d %$/.test(one)) && legend.some((one) => /^Callers missing\d\.\d %$/.test(one)), legend.join());
    assert.deepEqual((await texts(page, ".facts dd")).slice(2, 4).map((one) => one.replace(/\d\d\.\d/, "N")), ["N %", "N %"]);
    await page.locator(".flame [tabindex]").focus();
    await page.keyboard.press("ArrowDown");
    await until("it is spoken", async () => /^db, 4\d\.\d percent, level 2$/.test((await texts(page, ".flamebox [role=status]")).join("")));
    await page.keyboard.press("Enter");
    await until("db is zoomed", () => page.url().includes("zoom=db"));
    await page.keyboard.press("Escape");
    await until("the whole again", () => !page.url().includes("zoom="));
  });

  await step("processes, those of earlier as well, are found by pid and by name", async () => {
    await page.locator("#when").click();
    await page.locator(".spans button", { hasText: "last 15 min" }).click();
    await page.locator(".seg button", { hasText: "Processes" }).click();
    await says(page, "#processes thead th", /^Process$/);
    for (const wanted of ["777", "backu"]) {
      await page.locator("#find").fill(wanted);
      await until(`only backup for ${wanted}`, async () => (await texts(page, "#processes tbody th")).join() === "backuppid 777");
    }
    await page.locator("#find").fill("nobody");
    await says(page, ".who .nothing strong", /^No process called “nobody” in the last 15 min$/);
    await shoot(page, "now-no-process-light");
    await page.locator("#find").fill("");
    assert.match(page.url(), /last=15m/);
    assert.match(page.url(), /who=processes/);
  });

  await step("back undoes a choice, reload keeps it", async () => {
    await page.goBack();
    await says(page, "#processes thead th", /^Service$/);
    assert.match(page.url(), /last=15m/);
    await page.reload();
    await says(page, ".who .muted", /^last 15 min$/);
    await page.goBack();
    await says(page, ".who .muted", /^last 5 min$/);
  });

  await step("Space pauses and goes on", async () => {
    await page.locator("main").focus();
    await page.keyboard.press(" ");
    await says(page, "#when", /^Paused, last 5 min/);
    const shown = await text(page, "#answer");
    await page.waitForTimeout(600);
    assert.equal(await text(page, "#answer"), shown);
    await page.keyboard.press(" ");
    await says(page, "#when", /^Live, last 5 min/);
  });

  await step("a click on a service leads to Explore, with that service", async () => {
    await page.locator("#processes tbody th a", { hasText: "search" }).click();
    await says(page, "#when-title", /^search uses 0\.\d\d cores/);
    assert.equal(new URLSearchParams(page.url().split("?")[1]).get("q"), '{service_name="search"}');
    await page.goBack();
    await page.locator("#answer").waitFor();
  });

  await step("a drag on the timeline leads to Explore, with that time", async () => {
    await page.locator(".u-over").waitFor();
    const box = await page.locator(".u-over").boundingBox();
    await page.mouse.move(box.x + box.width * 0.8, box.y + 40);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.9, box.y + 40, { steps: 5 });
    await page.mouse.up();
    await until("a range in the address", () => /#\/explore\?from=\d+&to=\d+/.test(page.url()));
    await page.goBack();
  });

  await step("light or dark is switched by hand and remembered", async () => {
    const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const light = await ground();
    await page.locator("#theme").click();
    assert.notEqual(await ground(), light);
    await page.reload();
    await page.locator("#theme").waitFor();
    assert.notEqual(await ground(), light);
    await page.locator("#theme").click();
  });

  await step("the list of keys opens with ? and closes with Escape", async () => {
    await page.keyboard.press("?");
    assert.ok(await page.locator("#help").isVisible());
    await checkAccess(page, "the list of keys");
    await page.keyboard.press("Escape");
    assert.ok(!(await page.locator("#help").isVisible()));
  });
  await page.close();

  const other = await open(browser, address);
  await other.goto(`${address}/`);
  await says(other, "#answer", /busy/);

  await step("who sends OpenTelemetry's profiles, in which revision, and what was wrong", async () => {
    assert.equal(await other.locator("#senders").count(), 0);
    const sample = (stackIndex) => ({ stackIndex, values: ["2"] });
    const body = JSON.stringify({
      resourceProfiles: [{ scopeProfiles: [{ profiles: [{ sampleType: { typeStrindex: 1, unitStrindex: 2 }, samples: [sample(1), sample(1), sample(9)] }] }] }],
      dictionary: { stringTable: ["", "things", "count"], stackTable: [{}, {}] },
    });
    const reply = await fetch(`${address}/v1development/profiles`, { method: "POST", body, headers: { "content-type": "application/json", "user-agent": "sender/1.0" } });
    assert.equal(reply.status, 200);
    await says(other, "#senders tbody th", /^127\.0\.0\.1 sender\/1\.0$/);
    const cells = await texts(other, "#senders tbody td");
    assert.deepEqual(cells.slice(0, 2), ["1.10 http/json", "2"]);
    assert.match(cells[3], /^1 sample left out ?left out: 1 samples whose stack is not there$/);
  });
  await other.locator(".twist").first().click();
  await other.locator("#processes tr.sub a").first().waitFor();
  await other.locator(".flame canvas").first().waitFor();
  for (const [word, viewport, colorScheme] of [...LOOKS, ["4k-dark", { width: 3840, height: 2160 }, "dark"]]) {
    await step(`Now is whole, ${word}`, async () => {
      await look(other, viewport, colorScheme);
      await checkAccess(other, "Now");
      await shoot(other, `now-${word}`);
    });
  }
  await other.close();
}

await wholeTest(main);
