// SPDX-License-Identifier: Apache-2.0
// An administrator deletes what is picked, and sees before what goes; who is none is told so.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { BUILD, checkAccess, complaints, folder, look, LOOKS, open, says, shoot, startHearth, text, until, WIDE, wholeTest } from "./browser.mjs";
import { step } from "./tap.mjs";

const HEAP = "memory:inuse_space:bytes:space:bytes";

await wholeTest(async (browser) => {
  const tokens = join(folder, "tokens");
  const token = execFileSync(`${BUILD}/hearth`, ["token", "new", "ops", "--role", "admin", "--token-file", tokens], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  chmodSync(tokens, 0o644);
  const { address } = await startHearth("serve", /ready at/, "--token-file", tokens);
  const bring = async (service, folded) => {
    const answer = await fetch(`${address}/api/v1/import?type=${HEAP}&label=service_name=${service}`, { method: "POST", body: folded });
    assert.equal(answer.status, 200, await answer.text());
  };
  await bring("shop", "main;cache 3000000\nmain;index 1000000\n");
  await bring("till", "main;drawer 2000000\n");
  const where = (service) => `${address}/#/explore?from=now-15m&type=${HEAP}&q=${encodeURIComponent(`{service_name="${service}"}`)}`;
  const services = async () => (await (await fetch(`${address}/api/v1/labels?name=service_name&type=${HEAP}`)).json()).values;

  const anybody = await open(browser, address);
  await step("nothing picked, nothing to delete", async () => {
    await anybody.goto(`${address}/#/explore?from=now-15m&type=${HEAP}`);
    await says(anybody, "#when-title", /6\.00 MB/);
    assert.equal(await anybody.locator("#delete").count(), 0);
  });

  await step("who is no administrator is told so", async () => {
    await anybody.goto(where("shop"));
    await anybody.locator("#delete").click();
    await says(anybody, ".deleting [role=status]", /token for admin/);
    assert.equal(await anybody.locator(".deleting button[type=submit]").isDisabled(), true);
    assert.deepEqual(await services(), ["shop", "till"]);
    // The browser writes down that it was refused.
    assert.match(complaints.splice(0).join(), /403/);
  });
  await anybody.close();

  const page = await open(browser, address, { extraHTTPHeaders: { Authorization: `Bearer ${token}` } });
  await step("an administrator sees what goes", async () => {
    await page.goto(where("shop"));
    await page.locator("#delete").click();
    await says(page, ".deleting [role=status]", /^1 series, .* of all time\. Nothing brings them back\.$/);
    assert.equal(await text(page, ".deleting .mono"), '{service_name="shop"}');
  });

  for (const [word, viewport, colorScheme] of LOOKS) {
    await step(`the form is whole, ${word}`, async () => {
      await look(page, viewport, colorScheme);
      await checkAccess(page, "deleting");
      await shoot(page, `delete-${word}`, false);
    });
  }

  await step("and it goes, and nothing else", async () => {
    await look(page, WIDE, "light");
    await page.locator(".deleting button[type=submit]").click();
    await until("the form is gone", async () => (await page.locator(".deleting").count()) === 0);
    assert.deepEqual(await services(), ["till"]);
    await says(page, "#when-title", /2\.00 MB/);
    const { deletions } = await (await fetch(`${address}/api/v1/deletions`)).json();
    assert.equal(deletions.length, 1);
    assert.equal(deletions[0].query, '{service_name="shop"}');
    assert.match(deletions[0].by, /ops/);
  });

  const rows = () => page.locator(".deleting li").evaluateAll((all) => all.map((row) => [...row.children].map((part) => part.textContent)));
  await step("what was deleted stands there, the last first, until the files are rid of it", async () => {
    await page.goto(where("till"));
    await page.locator("#delete").click();
    await until("the first is listed", async () => (await rows()).length === 1);
    const [[query, what]] = await rows();
    assert.equal(query, '{service_name="shop"}');
    assert.match(what, /^2 samples, of all time, .* ago by .*ops/);
    await until("it is removed, and that is said without being asked again", async () => (await rows())[0][2] === "Removed from the files", 60000);
    const { deletions } = await (await fetch(`${address}/api/v1/deletions`)).json();
    assert.equal(deletions[0].state, "removed");
  });

  for (const [word, viewport, colorScheme] of LOOKS) {
    await step(`the list is whole, ${word}`, async () => {
      await look(page, viewport, colorScheme);
      await checkAccess(page, "deleted");
      await shoot(page, `deleted-${word}`, false);
    });
  }

  await step("more than fits is counted", async () => {
    await look(page, WIDE, "light");
    for (let i = 0; i < 21; i++) {
      await bring(`old${i}`, "main 1000\n");
      const gone = await fetch(`${address}/api/v1/delete?query=${encodeURIComponent(`{service_name="old${i}"}`)}`, { method: "POST", headers: { Authorization: `Bearer ${token}` } });
      assert.equal(gone.status, 200, await gone.text());
    }
    await page.keyboard.press("Escape");
    await page.locator("#delete").click();
    await until("twenty are listed", async () => (await rows()).length === 20, 20000);
    assert.equal((await rows())[0][0], '{service_name="old20"}');
    assert.equal(await text(page, ".deleting section .none"), "and 2 more; hearth delete lists all");
  });
  await page.close();
});
