// SPDX-License-Identifier: Apache-2.0
// What each bar looks like; canvas.ts and export.ts bring it onto a canvas and into SVG.
import { counted, NARROW, percent } from "../format";
import { colourIndex, swatchOf } from "./colours";
import { fitting } from "./labels";
import { type Layout, rowTop } from "./layout";
import type { Palette } from "./palette";
import { CUT, GROUP, isFrame, KERNEL, MORE, nameOf, type Tree, UNNAMED } from "./tree";
import type { Colouring } from "./types";

export { swatchOf };

export const LABEL_WIDTH_MIN = 30, SHARE_ROOM_MIN = 190, GAP_WIDTH_MIN = 3;
const PAD = 6, PAD_INLINED = 8, TOP_SHARE_ROOM_MIN = 90, FOLD_ROOM_MIN = 90, DETAIL_WIDTH_MIN = 4;
export const STRIPE = 3, TOOTH = 4, HATCH_STEP = 7;

export interface Picture {
  tree: Tree;
  layout: Layout;
  found: Uint8Array | null; // by place in names
  rootName: string;
  colouring: Colouring;
  rowHeight: number;
}

export const PLAIN = 0, BOLD = 1, SMALL = 2; // fonts
export type Measure = (text: string, font: number) => number;

/** One bar, to be brought onto something. Written over by the next. */
export class Bar {
  x = 0;
  y = 0;
  width = 0;
  height = 0;
  fill = ""; // none: ""
  ink = "";
  stripe = ""; // at the left of inlined frames
  isHatched = false;
  torn = 0; // where callers are missing: -1 at the top, 1 at the bottom
  isDashed = false;
  name = "";
  nameX = 0;
  font = PLAIN;
  folded = "";
  share = "";
  shareX = 0;
}

/** Works out a bar of a picture. x, y and width are the bar's place now: it may be on its way. */
export function describe(picture: Picture, palette: Palette, at: number, x: number, y: number, width: number, measure: Measure | null, bar: Bar) {
  const { tree, layout, rowHeight } = picture;
  const node = layout.node[at], kind = tree.kind[node];
  const isMatch = matches(picture, at), isFaded = picture.found !== null && !isMatch && kind >= KERNEL;
  const isInlined = tree.inlined !== null && tree.inlined[node] === 1;
  const index = colourIndex(tree, node, picture.colouring);
  bar.x = x;
  bar.y = y;
  bar.width = Math.max(0.6, width - (width > GAP_WIDTH_MIN ? 1 : 0));
  bar.height = rowHeight - 1;
  bar.fill = index < 0 ? "" : isMatch ? palette.match : isFaded ? palette.faded : (isInlined ? palette.fillsInlined : palette.fills)[index];
  bar.ink = isMatch ? palette.matchText : isFaded ? palette.fadedText : kind === MORE ? palette.moreText : palette.text;
  const isDetailed = !isMatch && !isFaded && bar.width > DETAIL_WIDTH_MIN;
  bar.isHatched = isDetailed && kind === UNNAMED;
  bar.stripe = isDetailed && isInlined && index >= 0 ? palette.stripes[index] : "";
  bar.torn = isDetailed && kind === CUT ? (isCaller(tree, node) && !tree.isSandwich ? 1 : -1) : 0;
  bar.isDashed = kind === MORE && bar.width > 2;
  bar.name = bar.folded = bar.share = "";
  if (measure && bar.width >= LABEL_WIDTH_MIN) label(picture, at, node, kind, isMatch, isInlined, measure, bar);
}

const isCaller = (tree: Tree, node: number) => node > 0 && node < tree.callers;

function label(picture: Picture, at: number, node: number, kind: number, isMatch: boolean, isInlined: boolean, measure: Measure, bar: Bar) {
  const { tree, layout } = picture, isTop = kind <= GROUP, pad = isInlined ? PAD_INLINED : PAD;
  let room = bar.width - pad - 5;
  bar.font = isTop || isMatch ? BOLD : PLAIN;
  bar.nameX = bar.x + pad;
  if (room > SHARE_ROOM_MIN || (isTop && room > TOP_SHARE_ROOM_MIN)) {
    bar.share = shareText(tree, node);
    const width = measure(bar.share, SMALL);
    bar.shareX = bar.x + bar.width - width - 6;
    room -= width + 12;
  }
  const frames = layout.last[at] - layout.first[at] + 1;
  if (frames > 1 && room > FOLD_ROOM_MIN) {
    bar.folded = "⋯" + frames;
    const width = measure(bar.folded, SMALL) + 5;
    bar.nameX += width;
    room -= width;
  }
  bar.name = fitting(barName(tree, picture.rootName, node), room, (text) => measure(text, bar.font)) ?? "";
}

export const shareText = (tree: Tree, node: number) =>
  percent(tree.viewTotal > 0 ? tree.total[node] / tree.viewTotal : 0) + NARROW + "%";

/** Whether a frame of the bar matches the search; it looks into folded chains. */
export function matches({ tree, layout, found }: Picture, at: number): boolean {
  if (!found) return false;
  for (let node = layout.first[at]; node <= layout.last[at]; node++) {
    if (found[tree.name[node]] === 1 && isFrame(tree.kind[node])) return true;
  }
  return false;
}

/** What a node is called, whatever it stands for. */
export function barName(tree: Tree, rootName: string, node: number): string {
  const kind = tree.kind[node], name = nameOf(tree, node);
  if (node === 0 && !tree.isSandwich) return rootName;
  if (kind === MORE) return tree.hidden[node] > 0 ? counted(tree.hidden[node], "more", "more") : "more";
  if (kind === CUT) return name || "callers missing";
  return name || (kind === GROUP ? "no service" : "unnamed");
}

export const topOf = (picture: Picture, row: number) => rowTop(picture.layout, row, picture.rowHeight);
