// SPDX-License-Identifier: Apache-2.0
// What the flame graph takes and what it tells: the whole interface to the page. See README.md.
import type { Tree } from "./tree";

/** The columns of an answer; see docs/PAGE_API.md. Arrays from JSON or typed arrays. */
export interface Columns {
  parent: ArrayLike<number>;
  name: ArrayLike<number>;
  module: ArrayLike<number>;
  kind: ArrayLike<number>;
  self: ArrayLike<number>;
  total: ArrayLike<number>;
  hidden: ArrayLike<number>;
  inlined?: ArrayLike<number>; // 1: the compiler put this frame into its caller
  interpreted?: ArrayLike<number>; // 1: it was not compiled
  file?: ArrayLike<number>; // of the source, in names; 0: not known
  line?: ArrayLike<number>; // there, the heaviest; 0: not known
}

/** A function: what is in the middle of the sandwich, what a row of a table is about. */
export interface Func {
  name: string;
  module: string; // "": of any
}

/** Callers and callees of a function, each with the function itself as node 0; see docs/PAGE_API.md. */
export interface SandwichAnswer {
  names: readonly string[];
  callers: Columns;
  callees: Columns;
}

/** Callees below their callers; callers below their callees; one function with both around it. */
export type View = "top-down" | "bottom-up" | "sandwich";
/** Of siblings: the widest stands first, or the first in the alphabet. */
export type Order = "widest" | "name";
/** What gives a bar its hue. By kind, the module gives the shade. */
export type Colouring = "kind" | "module" | "package";

/** What the values mean, for the card and for exports. */
export interface Scale {
  rootName: string; // of the host, the service, the process
  rootWords: string; // "whole host"
  groupWords: string; // "service": what the first rows are
  amount(value: number): { number: string; unit: string }; // unit "": the number has its own
  ofHost: ((value: number) => number) | null; // a fraction of all CPUs; null: it is no time of theirs
  samples(value: number): number;
  rolled?: number; // share of the samples that comes out of sums over long times, which lack light frames
}

/** One bar, when the page is told about it. */
export interface Pointed {
  tree: Tree; // of the view: not always that of the data
  node: number; // its last frame
  frames: number; // folded into it, itself included
  link: string | null; // what zooms to it or selects it; null for the root
  func: Func | null; // null for what is no code
  name: string; // as the bar says it
  stack: readonly string[]; // names, the root first
  x: number; // in the window
  y: number;
  by: "mouse" | "touch" | "keys";
}

export interface Matches {
  total: number; // value of the stacks with a match, each once
  share: number; // of the view, whatever is zoomed
  frames: number; // matching frames of the data
  bars: number; // matching bars that are drawn
  at: number; // the selected one of these, from 1; 0: none
  isBroken: boolean; // not a pattern
}

export interface LegendEntry {
  key: string;
  words: string;
  token: string; // CSS custom property of its colour, without the "--"
  share: number; // of the view, by self time; stacks cut short under their cut
}

/** What a page can ask of a mounted flame graph. */
export interface FlameHandle {
  focus(): void;
  zoomOut(): void; // one step; as Backspace does
  reset(): void;
  nextMatch(step: 1 | -1): void;
  copyText(what: "frame" | "stack"): string | null; // of the selected bar
  exportSvg(words: ExportWords): string;
  exportPng(words: ExportWords): Promise<Blob>;
}

export interface ExportWords {
  title: string;
  subtitle: string; // the time range, and what else picks the data
}

export interface FlameProps {
  tree: Tree; // treeOf(answer): made once for each answer
  scale: Scale;
  view?: View; // default: top-down
  order?: Order; // default: widest
  colouring?: Colouring; // default: kind
  fold?: boolean; // default: true
  pivot?: Func | null; // the function of the sandwich
  sandwich?: SandwichAnswer | null; // the server's; worked out from the tree without it
  inverted?: Tree | null; // callersTreeOf() of the server's bottom-up answer; worked out from the tree without it
  search?: string;
  isPattern?: boolean;
  zoom?: string | null; // link of the zoomed frame
  selected?: string | null; // link of the selected frame: given, the page keeps it; else kept in here
  marked?: Func | null; // its bars are outlined
  theme?: number; // another number: colours have changed
  isStill?: boolean; // no zoom animation; reduced motion alone does that too
  handle?: { current: FlameHandle | null };
  onZoom(link: string | null): void;
  onSelect?(at: Pointed | null): void;
  onHover?(at: Pointed | null): void; // after the card's delay; the card itself is drawn in here
  onContext?(at: Pointed): void; // right click, the menu key, "."
  onPivot?(func: Func): void; // "s", and Sandwich in the sheet
  onLeave?(): void; // from the sandwich back to the whole: its first crumb
  onCopy?(text: string, what: "frame" | "stack"): void; // "c", "C", Copy in the sheet
  onClear?(): void; // Escape, when nothing is zoomed or selected any more
  onMatches?(found: Matches | null): void;
}
