// SPDX-License-Identifier: Apache-2.0
// The page over a real hearth that profiles this host: what a program is known to do is what is shown, while it
// runs and after it has ended.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { BUILD, checkAccess, complaints, open, says, shoot, start, startHearth, stop, text, texts, until, wholeTest } from "./browser.mjs";
import { skip, step } from "./tap.mjs";

const SHOWN_MS = 60_000; // names follow as symbol files are read
const NO_RIGHTS = "no rights to load BPF";

/** CPU seconds of a process since it began. */
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function testLive(page, address, burn, startedAt) {
  await step("the answer and the first row name burn as what uses most", async () => {
    await until("burn in the answer and in the first row", async () =>
      (await page.locator("#answer").count()) > 0 && /\bburn\b/.test(await text(page, "#answer"))
      && (await page.locator("#processes tbody a").count()) > 0 && (await text(page, "#processes tbody a")) === "burn", SHOWN_MS);
    assert.match(await text(page, "#answer"), /^\d+\.\d\d of \d+ cores? busy/);
  });

  await step("the cores of burn are those that the kernel counted", async () => {
    await until("cores within a third of what /proc says", async () => {
      const shown = Number(await text(page, "#processes tbody td.n"));
      const counted = cpuSeconds(burn.pid) / ((Date.now() - startedAt) / 1000);
      return shown > counted * 0.67 && shown < counted * 1.5;
    }, SHOWN_MS);
  });

  await step("Now goes on by itself", async () => {
    const first = await text(page, ".frames, .crumbs");
    await until("other numbers", async () => (await text(page, ".frames, .crumbs")) !== first, SHOWN_MS);
    await shoot(page, "live-now-light");
  });

  await step("a process that is chosen shows its own functions, about 70 and 30 %", async () => {
    await page.locator(".seg button", { hasText: "Processes" }).click();
    await page.locator("#find").fill(String(burn.pid));
    await until("burn by its pid", async () => (await texts(page, "#processes tbody a")).join() === "burn");
    await page.locator("#processes tbody a").click();
    await says(page, "#when-title", /^burn uses \d\.\d\d cores/);
    await until("its names", async () => /^spend_seventy/.test((await texts(page, "#functions tbody th")).join()), SHOWN_MS);
    const [self, total] = (await texts(page, "#functions tbody tr:first-child td")).map(parseFloat);
    assert.ok(self > 60 && self < 80, `${self} %`);
    assert.ok(total >= self);
    assert.equal((await texts(page, "#functions tbody th"))[1], "spend_thirty");
    await page.locator(".flame canvas").first().waitFor();
    await checkAccess(page, "a live process");
    await shoot(page, "live-explore-light");
  });

  await step("the search of a function says its share of the view", async () => {
    await page.locator("#search").fill("spend_thirty");
    await says(page, ".found", /^\d\d\.\d %of view/);
    const share = parseFloat(await text(page, ".found"));
    assert.ok(share > 20 && share < 40, `${share} %`);
    await page.locator("#search").fill("");
  });

  await step("a process that has ended stays findable by pid and by name, and says that it has ended", async () => {
    await stop(burn);
    await page.locator("#whole").click();
    for (const wanted of [String(burn.pid), "burn"]) {
      await until(`burn has ended, found by ${wanted}`, async () => {
        await page.locator("#process").click();
        await page.keyboard.type(wanted);
        await page.waitForTimeout(400);
        const found = await texts(page, "#process-list li");
        await page.keyboard.press("Escape");
        return found.some((one) => one.includes(`pid ${burn.pid}, ended`));
      }, SHOWN_MS);
    }
  });
}

async function testSilence(page, hearth) {
  await step("a server that has gone leaves the page readable, and says so", async () => {
    await page.goto(`${hearth.address}/#/now`);
    await says(page, "#answer", /busy/);
    const said = complaints.length;
    await stop(hearth.child);
    await says(page, ".bad-notice", /^No answer from hearth serve for \d+ s ?The page shows what it had at \d\d:\d\d:\d\d and tries again every 2 s\./);
    assert.ok((await page.locator("#processes tbody tr").count()) > 0);
    assert.match(await text(page, ".health"), /No answer/);
    await checkAccess(page, "no answer");
    await shoot(page, "state-silent-light");
    complaints.splice(said); // the browser says, too, that nobody answers
  });
}

async function main(browser) {
  const hearth = await startHearth("run", /ready at/, "--frequency", "997"), startedAt = Date.now();
  // Ahead of whatever else the machine does (where that is allowed), so that it is the busiest.
  const burn = start("nice", "-n", "-10", `${BUILD}/tests/live/targets/burn`, "120");
  const status = await (await fetch(`${hearth.address}/api/v1/status`)).json();
  const mayProfile = status.collector.state !== "no_rights";
  const page = await open(browser, hearth.address);
  await page.goto(`${hearth.address}/`);
  if (mayProfile || process.env.HEARTH_REQUIRE_BPF === "1") {
    await testLive(page, hearth.address, burn, startedAt);
    await testSilence(page, hearth);
  } else {
    skip("what burn does is shown", NO_RIGHTS);
    await step("a host that may not be profiled says so, and what to do", async () => {
      await says(page, ".notice", /^This host is not being profiled.*sudo hearth run/);
    });
  }
}

await wholeTest(main);
