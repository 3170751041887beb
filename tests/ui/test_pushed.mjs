// SPDX-License-Identifier: Apache-2.0
// What programs push of themselves, explored like our own: each type in its own unit, and nothing of it in cores.
import assert from "node:assert/strict";
import { checkAccess, look, LOOKS, open, says, shoot, startHearth, text, until, wholeTest } from "./browser.mjs";
import { step } from "./tap.mjs";

const HEAP = "memory:inuse_space:bytes:space:bytes", DELAY = "mutex:delay:nanoseconds:mutex:count";

/** The card of the widest bar below the root's. */
async function cardWords(page) {
  const box = await page.locator(".flame canvas").first().boundingBox();
  await page.mouse.move(box.x + 40, box.y + 30);
  await page.locator("#card").waitFor();
  return text(page, "#card");
}

await wholeTest(async (browser) => {
  const { address } = await startHearth("serve", /ready at/);
  const bring = async (type, folded) => {
    const answer = await fetch(`${address}/api/v1/import?type=${type}&label=service_name=shop`, { method: "POST", body: folded });
    assert.equal(answer.status, 200, await answer.text());
  };
  await bring(HEAP, "main;cache 3000000\nmain;index 1000000\n");
  await bring(DELAY, "main;lock 2500000000\n");
  const page = await open(browser, address);

  await step("the heap is shown in bytes", async () => {
    await page.goto(`${address}/#/explore?from=now-15m&type=${HEAP}`);
    await says(page, "#when-title", /4\.00 MB/);
    assert.match(await text(page, ".when .sr"), /^Sums of each .*: at most 4\.00.MB/);
    const words = await cardWords(page);
    assert.match(words, /Total ?4\.00 MB/);
    assert.doesNotMatch(words, /core|of host/);
    assert.match(await text(page, "#flame-words"), /4\.00 MB\. Hottest function: cache, 3\.00 MB, 75\.0 % of view/);
  });

  for (const [word, viewport, colorScheme] of LOOKS) {
    await step(`the heap is whole, ${word}`, async () => {
      await look(page, viewport, colorScheme);
      await checkAccess(page, "the heap");
      await shoot(page, `pushed-${word}`);
    });
  }

  await step("time that was waited for a lock is time, not cores", async () => {
    await page.goto(`${address}/#/explore?from=now-15m&type=${DELAY}`);
    await until("the other type", async () => /lock/.test(await text(page, "#flame-words")));
    assert.match(await text(page, "#flame-words"), /2\.50 s\. Hottest function: lock, 2\.50 s, 100\.0 %/);
    assert.doesNotMatch(await text(page, "main"), /\d cores/);
    assert.match(await text(page, ".when .sr"), /at most 2\.50.s/);
  });
  await page.close();
});
