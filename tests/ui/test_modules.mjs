// SPDX-License-Identifier: Apache-2.0
// "Modules" over a recording in which everything is known, and whose files nobody has: which lack names, and what is said about it.
import assert from "node:assert/strict";
import { checkAccess, look, LOOKS, NARROW, open, says, shoot, startKnown, text, texts, until, wholeTest } from "./browser.mjs";
import { step } from "./tap.mjs";

async function main(browser) {
  const { address } = await startKnown();
  const page = await open(browser, address);
  await page.goto(`${address}/`);
  await page.locator(".tabs a", { hasText: "Modules" }).click();

  await step("modules stand by what ran in them, and add up to the server's numbers", async () => {
    await says(page, "#answer", /^\d+(\.\d+)? % of what ran has names\.$/);
    const answer = await (await fetch(`${address}/api/v1/modules?from=now-5m`)).json();
    const shown = (await texts(page, "#modules tbody td:nth-child(4)")).map((one) => Number(/[\d.]+/.exec(one)[0]));
    assert.equal(shown.length, answer.rows.length);
    assert.ok(shown.every((one, i) => i === 0 || one <= shown[i - 1]), shown.join(" "));
    assert.ok(Math.abs(shown[0] - (100 * answer.rows[0].self) / answer.total) < 0.6);
    const named = answer.rows.reduce((sum, row) => sum + row.named, 0) / answer.total;
    assert.ok(Math.abs(Number(/[\d.]+/.exec(await text(page, "#answer"))[0]) - 100 * named) < 0.6);
  });

  await step("a module without names says what helps", async () => {
    const poor = page.locator("#modules tbody tr", { has: page.locator(".dot.w") }).first();
    assert.match(await poor.locator("td.help").textContent(), /hearth symbols upload|--build-id|perf/);
  });

  await step("a module's name leads to its functions, and the page is kept in the address", async () => {
    await page.reload();
    await says(page, "#answer", /has names/);
    const name = await text(page, "#modules tbody th a");
    await page.locator("#modules tbody th a").first().click();
    await page.locator("#search").waitFor();
    assert.equal(await page.locator("#search").inputValue(), name);
    await page.goBack();
    await says(page, "#answer", /has names/);
  });

  await step("names as compiled are asked for by a switch that the address keeps", async () => {
    const asked = [];
    page.on("request", (request) => asked.push(request.url()));
    await page.goto(`${address}/#/explore`);
    await page.locator("#look").click();
    await page.locator(".pop button", { hasText: "Names as compiled" }).click();
    await until("flame graph with raw names", () => asked.some((url) => /\/flame\?.*names=raw/.test(url)));
    assert.match(page.url(), /names=raw/);
    await page.locator("#look").click();
    assert.equal(await page.locator(".pop button", { hasText: "Names as compiled" }).getAttribute("aria-pressed"), "true");
    await page.goto(`${address}/#/modules`);
    await says(page, "#answer", /has names/);
  });

  await step("in a narrow window what helps stands below the name, uncut", async () => {
    await look(page, NARROW, "light");
    const poor = page.locator("#modules tbody tr", { has: page.locator(".dot.w") }).first();
    const help = poor.locator(".help.below");
    assert.equal(await help.isVisible(), true);
    assert.equal(await poor.locator("td.help").isVisible(), false);
    const cut = await help.evaluate((one) => [one, ...one.querySelectorAll("*")].some((part) => part.scrollWidth > part.clientWidth + 1 && part.clientWidth > 0));
    assert.equal(cut, false);
  });

  for (const [word, viewport, colorScheme] of LOOKS) {
    await step(`Modules is whole, ${word}`, async () => {
      await look(page, viewport, colorScheme);
      await checkAccess(page, "Modules");
      await shoot(page, `modules-${word}`);
    });
  }
  await page.close();
}

await wholeTest(main);
