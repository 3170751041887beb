// SPDX-License-Identifier: Apache-2.0
// The flame graph under hand and eye: one canvas as high as the window at most, mouse, touch, keys.
import { Painter, type Motion } from "./canvas";
import { Palette } from "./palette";
import { barName, type Measure, matches, type Picture } from "./draw";
import { barAt, barOf, heightOf, inBar, type Layout, layOut, neighbour, rowAt, rowOf, rowTop } from "./layout";
import { findLink, funcOf, funcTest, lineage, linkOf, MORE, type Tree } from "./tree";
import type { Colouring, Func, Order, Pointed } from "./types";

export interface Listeners {
  point(at: Pointed | null): void; // hover, or a tap: the card is about it
  select(at: Pointed | null): void;
  zoom(link: string | null): void;
  context(at: Pointed): void;
  pivot(func: Func): void;
  copy(text: string, what: "frame" | "stack"): void;
  clear(): void;
  speak(at: Pointed, level: number): void;
  laidOut(layout: Layout): void;
}

export interface Shown {
  tree: Tree;
  focus: number;
  fold: boolean;
  order: Order;
  colouring: Colouring;
  found: Uint8Array | null;
  rootName: string;
  marked: Func | null;
  isStill: boolean;
}

const CARD_DELAY_MS = 60, ZOOM_MS = 120;
const ROW = 20, ROW_TOUCH = 24, MARKED_WIDTH_MIN = 2;

/** Names from the outermost caller down to the frame; of a tree's root only where it is code or alone. */
function stackOf(tree: Tree, rootName: string, node: number): string[] {
  const line = lineage(tree, node);
  const names = (tree.isSandwich || node === 0 ? line : line.slice(1)).map((at) => barName(tree, rootName, at));
  return node > 0 && node < tree.callers ? names.reverse() : names;
}

export class FlameView {
  private readonly painter: Painter;
  private palette = new Palette();
  private shown: Shown | null = null;
  private layout: Layout | null = null;
  private isMarked: ((node: number) => boolean) | null = null;
  private laidOutFor = 0; // px
  private canvasHeight = 0;
  private hot = -1; // a bar
  private hotNode = -1;
  private selectedLink: string | null = null;
  private selected = -1; // its node, -1 when it is not there
  private frame = 0;
  private needsBars = false;
  private pointing = 0;
  private pointer = "mouse";
  private told: Pointed | null = null; // the card is about this
  private motion: { from: Motion; since: number } | null = null;
  private readonly watcher: ResizeObserver;
  private readonly stop = new AbortController();
  private readonly coarse = matchMedia("(pointer: coarse)");
  private readonly reduced = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(private readonly box: HTMLElement, private readonly canvas: HTMLCanvasElement, private readonly cover: HTMLElement, private readonly tell: Listeners) {
    this.painter = new Painter(canvas);
    this.painter.forget();
    this.watcher = new ResizeObserver(() => {
      if (box.clientWidth !== this.laidOutFor) this.relayout();
    });
    this.watcher.observe(box);
    const options = { signal: this.stop.signal };
    addEventListener("scroll", () => this.later(true), { passive: true, capture: true, signal: this.stop.signal });
    addEventListener("resize", () => this.later(true), options);
    this.coarse.addEventListener("change", () => this.relayout(), options);
    canvas.addEventListener("pointerdown", (event) => (this.pointer = event.pointerType), options);
    canvas.addEventListener("mousemove", (event) => this.moved(event), options);
    canvas.addEventListener("mouseleave", () => this.left(), options);
    canvas.addEventListener("click", (event) => this.clicked(event), options);
    canvas.addEventListener("contextmenu", (event) => this.asked(event), options);
    canvas.addEventListener("keydown", (event) => this.key(event), options);
    canvas.addEventListener("focus", () => this.focused(), options);
    canvas.addEventListener("blur", () => this.blurred(), options);
  }

  destroy() {
    this.stop.abort();
    this.watcher.disconnect();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.pointing);
  }

  /** A sandwich's function is selected while nothing else is. */
  private get current() {
    return this.selected < 0 && this.shown?.tree.isSandwich ? 0 : this.selected;
  }

  private get rowHeight() {
    return this.coarse.matches ? ROW_TOUCH : ROW;
  }

  show(shown: Shown) {
    const before = this.shown, old = this.layout;
    const isOther = before?.tree !== shown.tree;
    const hotLink = isOther && before && this.hotNode > 0 ? linkOf(before.tree, this.hotNode) : null;
    this.shown = shown;
    this.isMarked = shown.marked ? funcTest(shown.tree, shown.marked) : null;
    if (isOther) {
      this.hotNode = hotLink ? findLink(shown.tree, hotLink) : -1;
      this.selected = this.selectedLink === null ? -1 : this.nodeOf(this.selectedLink);
    }
    if (isOther || !before || before.focus !== shown.focus || before.fold !== shown.fold || before.order !== shown.order) {
      this.relayout();
      if (isOther && this.told) this.pointAgain(this.told);
      if (!isOther && old && before.focus !== shown.focus) this.glide(old, before.focus, shown);
    } else {
      this.later(true);
    }
  }

  private nodeOf(link: string): number {
    return link === "" ? 0 : findLink(this.shown!.tree, link);
  }

  /** Selects what a link names: "" for the root, null for nothing. */
  selectLink(link: string | null) {
    if (link === this.selectedLink) return;
    this.selectedLink = link;
    this.selected = link === null || !this.shown ? -1 : this.nodeOf(link);
    this.later(false);
  }

  /** Colours or fonts are others now. */
  restyle() {
    this.palette = new Palette();
    this.painter.forget();
    this.later(true);
  }

  private relayout() {
    const { shown } = this, width = this.box.clientWidth;
    if (!shown || width <= 0) return;
    this.motion = null;
    this.laidOutFor = width;
    this.layout = layOut(shown.tree, shown.focus, width, shown);
    this.hot = this.hotNode < 0 ? -1 : barOf(this.layout, this.hotNode);
    this.box.style.height = heightOf(this.layout, this.rowHeight) + "px";
    this.tell.laidOut(this.layout);
    this.needsBars = true;
    this.paint();
  }

  private later(needsBars: boolean) {
    if (needsBars) this.needsBars = true;
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.paint());
  }

  /** Starts the way from where the bars were to where they are. */
  private glide(old: Layout, oldFocus: number, { tree, focus, isStill }: Shown) {
    const { layout } = this;
    if (isStill || this.reduced.matches || !layout || tree.isSandwich) return;
    const width = this.box.clientWidth;
    const inside = barOf(old, focus), outside = barOf(layout, oldFocus);
    let from: Motion | null = null;
    if (inside >= 0 && focus > oldFocus) {
      from = { scale: old.width[inside] / width, shift: old.x[inside], drop: rowTop(old, rowOf(old, inside), this.rowHeight) };
    } else if (outside >= 0) {
      const scale = width / layout.width[outside];
      from = { scale, shift: -layout.x[outside] * scale, drop: -rowTop(layout, rowOf(layout, outside), this.rowHeight) };
    }
    if (!from) return;
    this.motion = { from, since: performance.now() };
    this.later(true);
  }

  private moving(): Motion | null {
    if (!this.motion) return null;
    const { from, since } = this.motion, part = Math.min(1, (performance.now() - since) / ZOOM_MS);
    if (part === 1) {
      this.motion = null;
      return null;
    }
    const rest = (1 - part) * (1 - part); // fast at first
    return { scale: 1 + (from.scale - 1) * rest, shift: from.shift * rest, drop: from.drop * rest };
  }

  picture(): Picture | null {
    const { shown, layout } = this;
    return shown && layout ? { ...shown, layout, rowHeight: this.rowHeight } : null;
  }

  colours() {
    return this.palette;
  }

  width() {
    return this.box.clientWidth;
  }

  measure(): Measure {
    return this.painter.measure;
  }

  /** The canvas covers what the window shows of the graph, and moves along when the page scrolls. */
  private paint() {
    cancelAnimationFrame(this.frame);
    const picture = this.picture();
    if (!picture) return;
    const box = this.box.getBoundingClientRect(), ratio = devicePixelRatio || 1;
    const height = Math.min(box.height, innerHeight);
    const top = Math.max(0, Math.min(box.height - height, -box.top));
    // A canvas that changes its size is made anew, which costs more than all bars: it only grows.
    this.canvasHeight = Math.min(innerHeight, Math.max(height, this.canvasHeight));
    this.canvas.style.transform = `translateY(${top}px)`;
    this.canvas.style.width = box.width + "px";
    this.canvas.style.height = this.canvasHeight + "px";
    const motion = this.moving();
    if (this.needsBars) {
      this.needsBars = false;
      this.painter.resize(box.width, this.canvasHeight, ratio);
      this.painter.paint(picture, this.palette, box.width, height, top, motion);
    }
    if (motion) this.later(true);
    this.outline(motion ? [] : this.outlines(picture.layout), picture.layout);
  }

  /** Lines around bars are elements over the canvas: a moving pointer repaints no bar, and copies no picture. */
  private outline(wanted: { bar: number; isStrong: boolean }[], layout: Layout) {
    const { cover } = this;
    while (cover.childElementCount > wanted.length) cover.lastElementChild!.remove();
    while (cover.childElementCount < wanted.length) cover.append(document.createElement("i"));
    wanted.forEach(({ bar, isStrong }, i) => {
      const line = cover.children[i] as HTMLElement;
      line.className = isStrong ? "selected" : "";
      line.style.transform = `translate(${layout.x[bar]}px,${rowTop(layout, rowOf(layout, bar), this.rowHeight)}px)`;
      line.style.width = Math.max(3, layout.width[bar] - 1) + "px";
      line.style.height = this.rowHeight - 1 + "px";
    });
  }

  /** Bars with a line around them, the selected one last. */
  private outlines(layout: Layout): { bar: number; isStrong: boolean }[] {
    const found: { bar: number; isStrong: boolean }[] = [];
    if (this.isMarked) {
      for (let bar = 0; bar < layout.count; bar++) {
        if (layout.width[bar] < MARKED_WIDTH_MIN) continue;
        for (let node = layout.first[bar]; node <= layout.last[bar]; node++) {
          if (!this.isMarked(node)) continue;
          found.push({ bar, isStrong: false });
          break;
        }
      }
    }
    if (this.hot >= 0) found.push({ bar: this.hot, isStrong: false });
    const selected = this.current < 0 ? -1 : barOf(layout, this.current);
    if (selected >= 0) found.push({ bar: selected, isStrong: true });
    return found;
  }

  private pointed(bar: number, x: number, y: number, by: Pointed["by"]): Pointed {
    const { tree, rootName } = this.shown!, layout = this.layout!, node = layout.node[bar];
    return {
      tree, node, x, y, by,
      frames: layout.last[bar] - layout.first[bar] + 1,
      link: linkOf(tree, node), func: funcOf(tree, node), name: barName(tree, rootName, node),
      stack: stackOf(tree, rootName, node),
    };
  }

  private point(at: Pointed | null) {
    if (at === null && this.told === null) return;
    this.told = at;
    this.tell.point(at);
  }

  /** The card stays with its frame when the numbers are new. */
  private pointAgain({ link, x, y, by }: Pointed) {
    const node = findLink(this.shown!.tree, link), bar = node < 0 || !this.layout ? -1 : barOf(this.layout, node);
    this.point(bar < 0 ? null : this.pointed(bar, x, y, by));
  }

  private at(event: MouseEvent): number {
    if (!this.layout) return -1;
    const box = this.box.getBoundingClientRect();
    return barAt(this.layout, rowAt(this.layout, event.clientY - box.top, this.rowHeight), event.clientX - box.left);
  }

  private moved(event: MouseEvent) {
    if (this.pointer === "touch") return;
    const bar = this.at(event), node = bar < 0 ? -1 : this.layout!.node[bar];
    this.canvas.style.cursor = node < 0 || this.shown!.tree.kind[node] === MORE ? "default" : "pointer";
    if (bar !== this.hot) {
      this.hot = bar;
      this.hotNode = node;
      this.later(false);
    }
    clearTimeout(this.pointing);
    if (bar < 0) return this.point(null);
    const { clientX: x, clientY: y } = event;
    this.pointing = window.setTimeout(() => {
      if (this.hot === bar) this.point(this.pointed(bar, x, y, "mouse"));
    }, CARD_DELAY_MS);
  }

  private left() {
    clearTimeout(this.pointing);
    if (this.pointer === "touch") return; // the sheet stays
    this.hot = this.hotNode = -1;
    this.later(false);
    this.point(null);
  }

  /** The canvas is where keys go: something must be selected for them to mean anything. */
  private focused() {
    if (this.selected < 0 && this.layout && this.canvas.matches(":focus-visible")) this.select(this.current < 0 ? 0 : barOf(this.layout, this.current));
  }

  private blurred() {
    clearTimeout(this.pointing);
    if (this.pointer !== "touch") this.point(null);
  }

  private keep(at: Pointed) {
    this.selectedLink = at.link ?? "";
    this.selected = at.node;
    this.later(false);
    this.tell.select(at);
  }

  private clicked(event: MouseEvent) {
    const bar = this.at(event);
    if (bar < 0) {
      if (this.pointer === "touch") this.point(null);
      return;
    }
    const at = this.pointed(bar, event.clientX, event.clientY, this.pointer === "touch" ? "touch" : "mouse");
    this.keep(at);
    if (at.by === "touch") this.point(at);
    else this.zoomTo(at.node);
  }

  private asked(event: MouseEvent) {
    const isKey = event.button !== 2 && this.current >= 0;
    const bar = isKey ? barOf(this.layout!, this.current) : this.at(event);
    if (bar < 0) return;
    event.preventDefault();
    this.context(bar, isKey ? null : event);
  }

  private context(bar: number, event: MouseEvent | null) {
    clearTimeout(this.pointing);
    this.point(null);
    const place = this.placeOf(bar);
    const at = this.pointed(bar, event?.clientX ?? place.x, event?.clientY ?? place.y, event ? "mouse" : "keys");
    this.keep(at);
    this.tell.context(at);
  }

  /** Just below a bar, in the window. */
  private placeOf(bar: number): { x: number; y: number } {
    const layout = this.layout!, box = this.box.getBoundingClientRect(), row = rowOf(layout, bar);
    return {
      x: box.left + Math.min(layout.x[bar] + layout.width[bar] / 2, box.width - 20),
      y: box.top + rowTop(layout, row, this.rowHeight) + this.rowHeight,
    };
  }

  private zoomTo(node: number) {
    const { tree, focus } = this.shown!;
    if (tree.kind[node] === MORE || node === focus) return;
    clearTimeout(this.pointing);
    this.hot = this.hotNode = -1;
    this.point(null);
    this.tell.zoom(linkOf(tree, node));
  }

  /** One step back; a sandwich's sides end at its function. */
  zoomOut() {
    if (this.shown && this.shown.focus > 0) this.zoomTo(this.shown.tree.parent[this.shown.focus]);
  }

  private select(bar: number) {
    if (!this.layout || bar < 0) return;
    const row = rowOf(this.layout, bar), top = rowTop(this.layout, row, this.rowHeight);
    const y = this.box.getBoundingClientRect().top + top;
    if (y < 60) scrollBy(0, y - 60);
    else if (y + this.rowHeight > innerHeight) scrollBy(0, y + this.rowHeight - innerHeight + 8);
    const place = this.placeOf(bar), at = this.pointed(bar, place.x, place.y, "keys");
    this.keep(at);
    this.point(at);
    this.tell.speak(at, Math.abs(row - this.layout.above) + (this.layout.above > 0 ? 0 : 1));
  }

  /** Bars that match the search, and the place of the selected one among them, from 1. */
  matchCount(): { bars: number; at: number } {
    const picture = this.picture();
    let bars = 0, at = 0;
    if (!picture || !picture.found) return { bars, at };
    for (let bar = 0; bar < picture.layout.count; bar++) {
      if (!matches(picture, bar)) continue;
      bars++;
      if (this.selected >= 0 && inBar(picture.layout, bar, this.selected)) at = bars;
    }
    return { bars, at };
  }

  /** To the next bar that matches the search, or the one before; around at the ends. */
  nextMatch(step: 1 | -1) {
    const picture = this.picture();
    if (!picture || !picture.found) return;
    const { layout } = picture, current = this.selected < 0 ? -1 : barOf(layout, this.selected);
    for (let i = 1; i <= layout.count; i++) {
      const from = current < 0 && step < 0 ? 0 : current;
      const bar = (((from + i * step) % layout.count) + layout.count) % layout.count;
      if (matches(picture, bar)) {
        if (this.selected < 0) this.selected = layout.node[bar]; // or focus would select the first bar
        this.canvas.focus();
        return this.select(bar);
      }
    }
  }

  focus() {
    this.canvas.focus();
  }

  /** What is selected, drawn or not. */
  copyText(what: "frame" | "stack"): string | null {
    const { shown, current } = this;
    if (!shown || current < 0) return null;
    if (what === "frame") return barName(shown.tree, shown.rootName, current);
    return stackOf(shown.tree, shown.rootName, current).join("\n");
  }

  private escape() {
    if (this.selected >= 0) {
      this.selectedLink = null;
      this.selected = -1;
      this.tell.select(null);
    }
    clearTimeout(this.pointing);
    this.point(null);
    if (this.shown!.focus > 0) this.tell.zoom(null);
    this.tell.clear();
    this.later(false);
  }

  private key(event: KeyboardEvent) {
    if (!this.shown || !this.layout || event.ctrlKey || event.metaKey || event.altKey) return;
    this.pointer = "keys";
    const { tree } = this.shown, bar = this.current < 0 ? -1 : barOf(this.layout, this.current);
    if (event.key.startsWith("Arrow")) {
      this.select(bar < 0 ? 0 : neighbour(this.layout, bar, event.key));
    } else if (event.key === "Enter" && bar >= 0) {
      this.zoomTo(this.layout.node[bar]);
    } else if (event.key === "Backspace") {
      this.zoomOut();
    } else if (event.key === "Escape") {
      this.escape();
    } else if (event.key === "s" && bar >= 0) {
      const func = funcOf(tree, this.layout.node[bar]);
      if (!func) return;
      this.tell.pivot(func);
    } else if ((event.key === "c" || event.key === "C") && this.current >= 0) {
      const what = event.key === "c" ? "frame" : "stack";
      this.tell.copy(this.copyText(what)!, what);
    } else if (event.key === "." && bar >= 0) {
      this.context(bar, null);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}
