// SPDX-License-Identifier: Apache-2.0
// Makes the page: node build.mjs OUTDIR puts index.html, page.js, page.css and icon.svg there.
import { build } from "esbuild";
import { copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";

const SIZE_MAX = 100_000; // of all files together, gzipped: the first visit over a slow line

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2];
if (!out) {
  console.error("usage: node build.mjs OUTDIR");
  process.exit(64);
}

mkdirSync(out, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: { page: "src/main.ts" },
  outdir: resolve(out),
  bundle: true,
  minify: true,
  target: "es2020",
  format: "iife",
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
});
await build({
  absWorkingDir: here,
  entryPoints: { page: "src/page.css" },
  outdir: resolve(out),
  bundle: true,
  minify: true,
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
});
copyFileSync(join(here, "icon.svg"), join(out, "icon.svg"));
// The first page asks for the others by what is in them, so that a browser may keep them for ever; the server has the same
// tags from embed.sh.
const tag = (file) => createHash("sha256").update(readFileSync(join(out, file))).digest("hex").slice(0, 16);
writeFileSync(join(out, "index.html"), readFileSync(join(here, "index.html"), "utf8")
  .replace(/"(icon\.svg|page\.css|page\.js)"/g, (_, file) => `"${file}?v=${tag(file)}"`));

let total = 0;
for (const file of ["index.html", "page.js", "page.css", "icon.svg"]) {
  const size = gzipSync(readFileSync(join(out, file)), { level: 9 }).length;
  total += size;
  if (process.env.V) console.log(`${file}: ${statSync(join(out, file)).size} bytes, ${size} gzipped`);
}
if (process.env.V) console.log(`the page: ${total} bytes gzipped, of ${SIZE_MAX} at most`);
if (total > SIZE_MAX) {
  console.error(`build.mjs: the page is ${total} bytes gzipped; ${SIZE_MAX} are allowed`);
  process.exit(1);
}
