// SPDX-License-Identifier: Apache-2.0
// From `hearth run` to the first flame graph with names in a browser, with something burning.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { build, figure, median, start } from "./hearth.mjs";

const { chromium } = createRequire(new URL("../ui/package.json", import.meta.url))("playwright-core");
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
const burner = spawn(`${build}/tests/live/targets/burn`, ["60"], { stdio: "ignore" });
const times = [];

try {
  for (let run = 0; run < 5; run++) {
    const hearth = await start("run");
    const page = await browser.newPage();
    await page.goto(hearth.address + "/");
    // The page says its hottest function in words, for those who can't see the picture.
    await page.waitForFunction(() => /spend_seventy/.test(document.body.innerText), null, { timeout: 30000, polling: 50 });
    times.push(Number(process.hrtime.bigint() - hearth.started) / 1e9);
    await page.close();
    await hearth.stop();
  }
} finally {
  burner.kill();
  await browser.close();
}
figure("start to first named flame graph in the browser, median of 5", median(times).toFixed(2), "s", "≤ 3");
