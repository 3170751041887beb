// SPDX-License-Identifier: Apache-2.0
// The picture as a file: SVG that names every bar, PNG of twice the size. Neither needs anything else.
import { counted } from "../format";
import { Painter } from "./canvas";
import type { Palette } from "./palette";
import { Bar, barName, BOLD, describe, HATCH_STEP, type Measure, type Picture, PLAIN, shareText, STRIPE, TOOTH, topOf } from "./draw";
import { heightOf } from "./layout";
import type { ExportWords } from "./types";

const PAD = 16, HEAD = 52, PIXEL_RATIO = 2, SIDE_MAX = 16_000; // px of a PNG, which browsers can make
const FAMILY = "Inter, system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";

const ESCAPES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** Text for SVG; what XML can't hold becomes a replacement character. */
export const escaped = (text: string) =>
  text.replace(/[&<>"]/g, (c) => ESCAPES[c]).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Cs}/gu, "\ufffd");

const short = (value: number) => Number(value.toFixed(2)).toString();

function sawOf(bar: Bar): string {
  const edge = bar.torn < 0 ? bar.y : bar.y + bar.height, into = -bar.torn;
  let path = `M${short(bar.x)} ${short(edge)}`;
  for (let i = 0; i * TOOTH < bar.width + TOOTH; i++) {
    path += `L${short(Math.min(bar.x + bar.width, bar.x + i * TOOTH))} ${short(edge + (i % 2 ? 5 * into : 0))}`;
  }
  return path;
}

function barSvg(picture: Picture, palette: Palette, at: number, bar: Bar): string {
  const { tree, layout } = picture, node = layout.node[at];
  const box = `x="${short(bar.x)}" y="${short(bar.y)}" width="${short(bar.width)}" height="${bar.height}"`;
  const text = (x: number, words: string, name: string) =>
    `<text class="${name}" x="${short(x)}" y="${short(bar.y + bar.height / 2 + 4.5)}" fill="${bar.ink}">${escaped(words)}</text>`;
  const folded = layout.last[at] - layout.first[at];
  let svg = `<g><title>${escaped(barName(tree, picture.rootName, node))}, ${shareText(tree, node)}` +
    `${folded > 0 ? `, ${counted(folded + 1, "frame")} in one bar` : ""}</title>`;
  svg += bar.fill ? `<rect ${box} fill="${bar.fill}"/>` : `<rect ${box} fill="none" pointer-events="all"/>`;
  if (bar.isHatched) svg += `<rect ${box} fill="url(#hatch)"/>`;
  if (bar.stripe) svg += `<rect x="${short(bar.x)}" y="${short(bar.y)}" width="${STRIPE}" height="${bar.height}" fill="${bar.stripe}"/>`;
  if (bar.torn) svg += `<path d="${sawOf(bar)}" fill="${palette.surface}" stroke="${palette.line}"/>`;
  if (bar.isDashed) {
    svg += `<rect x="${short(bar.x + 0.5)}" y="${short(bar.y + 0.5)}" width="${short(bar.width - 1)}" height="${bar.height - 1}" ` +
      `fill="none" stroke="${palette.line}" stroke-dasharray="3 3"/>`;
  }
  if (bar.share) svg += text(bar.shareX, bar.share, "s");
  if (bar.folded) svg += text(bar.x + 6, bar.folded, "s");
  if (bar.name) svg += text(bar.nameX, bar.name, bar.font === BOLD ? "b" : bar.font === PLAIN ? "n" : "s");
  return svg + "</g>\n";
}

function eachBar(picture: Picture, palette: Palette, measure: Measure, take: (at: number, bar: Bar) => void) {
  const bar = new Bar(), { layout } = picture;
  for (let row = 0; row < layout.rows; row++) {
    for (let at = layout.rowStart[row]; at < layout.rowStart[row + 1]; at++) {
      describe(picture, palette, at, PAD + layout.x[at], HEAD + topOf(picture, row), layout.width[at], measure, bar);
      take(at, bar);
    }
  }
}

/** measure is of the fonts that the page has; the file asks for the same, with a little room for others. */
export function svgOf(picture: Picture, palette: Palette, width: number, measure: Measure, words: ExportWords): string {
  const height = HEAD + heightOf(picture.layout, picture.rowHeight) + PAD, whole = width + 2 * PAD;
  const bars: string[] = [];
  eachBar(picture, palette, (text, font) => measure(text, font) * 1.06, (at, bar) => bars.push(barSvg(picture, palette, at, bar)));
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="${whole}" height="${height}" viewBox="0 0 ${whole} ${height}" role="img" aria-labelledby="title">
<title id="title">${escaped(`${words.title}, ${words.subtitle}`)}</title>
<style>text{font:400 12px ${FAMILY};white-space:pre}.b{font-weight:600}.s{font-size:11px;font-weight:500}.h{font-size:14px;font-weight:600}g:hover>rect{stroke:${palette.outline};stroke-width:1}</style>
<defs><pattern id="hatch" width="${HATCH_STEP}" height="${HATCH_STEP}" patternUnits="userSpaceOnUse"><path d="M-1 1L1-1M0 ${HATCH_STEP}L${HATCH_STEP} 0M${HATCH_STEP - 1} ${HATCH_STEP + 1}L${HATCH_STEP + 1} ${HATCH_STEP - 1}" stroke="${palette.hatch}"/></pattern></defs>
<rect width="100%" height="100%" fill="${palette.surface}"/>
<text class="h" x="${PAD}" y="24" fill="${palette.outline}">${escaped(words.title)}</text>
<text class="s" x="${PAD}" y="41" fill="${palette.note}">${escaped(words.subtitle)}</text>
${bars.join("")}</svg>
`;
}

export function pngOf(picture: Picture, palette: Palette, width: number, words: ExportWords): Promise<Blob> {
  const whole = width + 2 * PAD, height = HEAD + heightOf(picture.layout, picture.rowHeight) + PAD;
  const ratio = Math.min(PIXEL_RATIO, SIDE_MAX / whole, SIDE_MAX / height);
  const graph = document.createElement("canvas"), sheet = document.createElement("canvas");
  const painter = new Painter(graph), frame = new Painter(sheet);
  painter.forget();
  frame.forget();
  const inner = height - HEAD - PAD;
  painter.resize(width, inner, ratio);
  painter.paint(picture, palette, width, inner, 0);
  frame.resize(whole, height, ratio);
  frame.ground(palette.surface, whole, height);
  frame.words(palette, words.title, PAD, 24, true);
  frame.words(palette, words.subtitle, PAD, 41, false);
  sheet.getContext("2d")!.drawImage(graph, PAD, HEAD, width, inner);
  return new Promise((resolve, reject) =>
    sheet.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the browser could not make the picture"))), "image/png"));
}
