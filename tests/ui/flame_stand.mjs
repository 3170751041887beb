// SPDX-License-Identifier: Apache-2.0
// The flame graph alone on a page, with data that a test gives it: what test_flame_view.mjs and the bench look at.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ui = join(dirname(fileURLToPath(import.meta.url)), "../../web/ui");
const { build } = createRequire(join(ui, "build.mjs"))("esbuild");

export const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
];

/** The named modules of the page, bundled on the fly for node. */
export async function modules(...paths) {
  const contents = paths.map((path, i) => `export * as m${i} from "./src/${path}";`).join("\n");
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: ui }, bundle: true, format: "esm", write: false, logLevel: "error",
  });
  // In a file, not a data: address, which would fill the screen with itself when a test fails.
  const file = join(mkdtempSync(join(tmpdir(), "hearth-modules-")), "page.mjs");
  writeFileSync(file, outputFiles[0].text);
  const loaded = await import(file);
  rmSync(dirname(file), { recursive: true });
  return paths.map((_, i) => loaded["m" + i]);
}

// window.stand: show() mounts or changes what is shown; told holds what came back, the newest last.
const SCRIPT = `
import { html } from "htm/preact";
import { render } from "preact";
import { FlameGraph } from "./src/flame/graph";
import { callersTreeOf } from "./src/flame/invert";
import { legendOf } from "./src/flame/legend";
import { treeOf } from "./src/flame/tree";
import { cores } from "./src/format";
const told = [], handle = { current: null };
const plain = (at) => at && { name: at.name, link: at.link, func: at.func, frames: at.frames, stack: at.stack, by: at.by, x: at.x, y: at.y };
const note = (what, value) => { told.push([what, value]); };
let props = {
  scale: { rootName: "web-03", rootWords: "whole host", groupWords: "service",
    amount: (v) => ({ number: cores(v / 1000), unit: "cores" }), ofHost: (v) => v / 8000, samples: (v) => v },
  isStill: true, handle,
  onZoom(link) { note("zoom", link); stand.show({ zoom: link }); },
  onSelect: (at) => note("select", plain(at)), onHover: (at) => note("hover", plain(at)),
  onContext: (at) => note("context", plain(at)), onCopy: (text, what) => note("copy", { text, what }),
  onPivot(func) { note("pivot", func); stand.show({ view: "sandwich", pivot: func, zoom: null }); },
  onLeave() { note("leave", null); stand.show({ view: "top-down", zoom: null }); },
  onClear: () => note("clear", null), onMatches: (found) => note("matches", found),
};
const stand = window.stand = {
  told, handle, treeOf, callersTreeOf, legendOf, props: () => props,
  last: (what) => { for (let i = told.length - 1; i >= 0; i--) if (told[i][0] === what) return told[i][1]; },
  show(changes) {
    props = { ...props, ...changes };
    render(html\`<\${FlameGraph} ...\${props} />\`, document.getElementById("app"));
  },
  data(answer, changes = {}) { stand.show({ tree: treeOf(answer), ...changes }); },
};
document.getElementById("search").addEventListener("input", (event) => stand.show({ search: event.target.value }));`;

const HTML = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Flame graph</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><link rel="stylesheet" href="/stand.css">
<main><h1 class="sr">Flame graph</h1><section class="panel" aria-labelledby="title">
<header><h2 id="title">Where it goes</h2><span class="muted">host, by service</span><span class="spacer"></span>
<span class="legend"><span>Kernel<b>21.9 %</b></span></span></header>
<div class="tools"><label class="field"><input id="search" type="search" aria-label="Search frames"></label></div><div id="app"></div></section></main>
<script src="/stand.js"></script></html>`;

/** Serves the page on a free port. files: further paths and their bytes. */
export async function serve(files = {}) {
  const bundle = (options) => build({ absWorkingDir: ui, bundle: true, minify: true, write: false, logLevel: "error", charset: "utf8", ...options });
  const script = await bundle({ stdin: { contents: SCRIPT, resolveDir: ui, loader: "ts" }, minify: !process.env.PLAIN, target: "es2020", format: "iife" });
  const style = await bundle({ entryPoints: ["src/page.css"] , outdir: "out" });
  const all = { "/": [HTML, "text/html"], "/stand.js": [script.outputFiles[0].text, "text/javascript"], "/stand.css": [style.outputFiles[0].text, "text/css"] };
  for (const [path, body] of Object.entries(files)) all[path] = [body, "application/octet-stream"];
  const server = createServer((request, response) => {
    const found = all[new URL(request.url, "http://stand").pathname];
    response.writeHead(found ? 200 : 404, found ? {
      "content-type": found[1],
      // The same as hearth sends, so that what it forbids fails here too.
      "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'",
    } : {});
    response.end(found?.[0]);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}
