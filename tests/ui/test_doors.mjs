// SPDX-License-Identifier: Apache-2.0
// The page as it is reached from elsewhere: over HTTPS with a certificate of our own making, and behind nginx, which
// adds a prefix to its paths and asks for a token.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { BUILD, folder, makeKnown, open, says, shoot, start, startHearth, until, wholeTest } from "./browser.mjs";
import { step } from "./tap.mjs";

const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

/** What came over which protocol, by the browser's own account. */
const protocols = (page) => page.evaluate(() =>
  [...new Set(performance.getEntries().filter((one) => one.nextHopProtocol).map((one) => one.nextHopProtocol))]);

async function overHttps(browser, recording) {
  const keys = join(folder, "keys");
  mkdirSync(keys);
  execFileSync(`${BUILD}/hearth`, ["tls", "self-signed", "--data", keys], { stdio: "ignore" });
  chmodSync(join(keys, "tls.key"), 0o644);
  const { address } = await startHearth("serve", /the recording is read/, "--replay", recording,
    "--tls-certificate", join(keys, "tls.crt"), "--tls-key", join(keys, "tls.key"));
  const secure = address.replace(/^https?:/, "https:");
  const page = await open(browser, secure, { ignoreHTTPSErrors: true });

  await step("over HTTPS the page shows what it shows, by HTTP/2", async () => {
    await page.goto(`${secure}/#/explore?from=now-15m`);
    await page.locator(".flame canvas").first().waitFor();
    await until("everything came by HTTP/2", async () => (await protocols(page)).join() === "h2");
    await shoot(page, "doors-https");
  });
  await page.close();
}

async function behindNginx(browser, recording) {
  const outside = await freePort(), tokens = join(folder, "tokens");
  const token = execFileSync(`${BUILD}/hearth`, ["token", "new", "page", "--role", "read", "--token-file", tokens],
    { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  chmodSync(tokens, 0o644);
  const { address } = await startHearth("serve", /the recording is read/, "--replay", recording, "--token-file", tokens,
    "--path-prefix", "/profiles", "--trusted-proxies", "127.0.0.1");
  const configuration = join(folder, "nginx.conf");
  writeFileSync(configuration, `
    daemon off;
    master_process off;
    pid ${folder}/nginx.pid;
    error_log ${folder}/nginx.log;
    events {}
    http {
      access_log off;
      client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder};
      uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
      server {
        listen 127.0.0.1:${outside};
        location /profiles/ {
          proxy_pass ${address};
          proxy_http_version 1.1;
          proxy_set_header Connection "";
          proxy_set_header Host $http_host;
          # As from another host: this one's own clients would be taken for such by the address.
          proxy_set_header X-Forwarded-For 198.51.100.7;
        }
      }
    }`);
  start("/usr/sbin/nginx", "-c", configuration, "-p", folder);
  const front = `http://127.0.0.1:${outside}`;

  await step("behind nginx nobody gets in without a token", async () => {
    await until("nginx answers", () => fetch(`${front}/profiles/ready`).then((answer) => answer.status === 200, () => false));
    const refused = await fetch(`${front}/profiles/api/v1/status`);
    assert.equal(refused.status, 401);
    assert.match(refused.headers.get("www-authenticate"), /Basic/);
  });

  const page = await open(browser, front, { httpCredentials: { username: "page", password: token } });

  await step("behind nginx, below a prefix, the page shows what it shows", async () => {
    await page.goto(`${front}/profiles/#/explore?from=now-15m`);
    await page.locator(".flame canvas").first().waitFor();
    await page.locator(".tabs a", { hasText: "Modules" }).click();
    await says(page, "#answer", /has names/);
    assert.ok(page.url().startsWith(`${front}/profiles/#/`), page.url());
    await shoot(page, "doors-nginx");
  });
  await page.close();
}

await wholeTest(async (browser) => {
  const recording = await makeKnown();
  await overHttps(browser, recording);
  await behindNginx(browser, recording);
});
