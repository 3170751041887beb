// SPDX-License-Identifier: Apache-2.0
// The flame graph under hand and eye: one canvas as high as the window at most, mouse, touch, keys.
import { type Picture, Painter, barName, matches } from "./draw";
import { barAt, barOf, type Layout, layOut, neighbour, rowOf } from "./layout";
import { findPath, MORE, type Search, type Tree } from "./tree";

export interface Pointed {
  node: number;
  folded: number; // further frames in the same bar
  x: number; // in the window
  y: number;
  byTouch: boolean;
}

export interface Listeners {
  point(at: Pointed | null): void;
  zoom(node: number): void;
  speak(text: string): void;
  laidOut(layout: Layout): void;
  describe(node: number, row: number): string;
  copy(text: string): void;
  clear(): void;
}

const CARD_DELAY_MS = 60;

export class FlameView {
  private readonly painter: Painter;
  private tree: Tree | null = null;
  private layout: Layout | null = null;
  private focus = 0;
  private fold = true;
  private search: Search | null = null;
  private rootName = "";
  private hot = -1;
  private selectedPath = 0; // no node has 0: nothing is selected
  private frame = 0;
  private pointing = 0;
  private readonly watcher: ResizeObserver;
  private readonly stop = new AbortController();

  constructor(private readonly box: HTMLElement, private readonly canvas: HTMLCanvasElement, private readonly tell: Listeners) {
    this.painter = new Painter(canvas, () => (matchMedia("(pointer: coarse)").matches ? 24 : 20));
    this.painter.forget();
    this.watcher = new ResizeObserver(() => this.relayout());
    this.watcher.observe(box);
    const options = { signal: this.stop.signal };
    addEventListener("scroll", () => this.later(), { passive: true, signal: this.stop.signal });
    addEventListener("resize", () => this.later(), options);
    canvas.addEventListener("mousemove", (event) => this.moved(event), options);
    canvas.addEventListener("mouseleave", () => this.left(), options);
    canvas.addEventListener("click", (event) => this.clicked(event as PointerEvent), options);
    canvas.addEventListener("keydown", (event) => this.key(event), options);
    canvas.addEventListener("blur", () => this.tell.point(null), options);
  }

  destroy() {
    this.stop.abort();
    this.watcher.disconnect();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.pointing);
  }

  show(tree: Tree, focus: number, fold: boolean, search: Search | null, rootName: string) {
    const same = tree === this.tree;
    const hotPath = !same && this.tree && this.hot > 0 ? this.tree.path[this.hot] : 0;
    this.tree = tree;
    this.focus = focus;
    this.fold = fold;
    this.search = search;
    this.rootName = rootName;
    if (!same) this.hot = hotPath ? findPath(tree, hotPath) : -1;
    this.relayout();
  }

  /** Colours or fonts are others now. */
  restyle() {
    this.painter.forget();
    this.later();
  }

  /** Outlines a node as if the pointer were on it: a row of a table is. */
  highlight(node: number) {
    this.hot = node;
    this.later();
  }

  private relayout() {
    if (!this.tree) return;
    const width = this.box.clientWidth;
    if (width <= 0) return;
    this.layout = layOut(this.tree, this.focus, width, this.fold);
    this.box.style.height = this.layout.rows * this.painter.rowHeight() + "px";
    this.tell.laidOut(this.layout);
    this.paint();
  }

  private later() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.paint());
  }

  private picture(): Picture | null {
    if (!this.tree || !this.layout) return null;
    return {
      tree: this.tree, layout: this.layout, search: this.search, rootName: this.rootName,
      hot: this.hot, selected: this.selected(),
    };
  }

  private selected(): number {
    return this.tree && this.selectedPath ? findPath(this.tree, this.selectedPath) : -1;
  }

  /** The canvas covers what the window shows of the graph, and moves along when the page scrolls. */
  private paint() {
    const picture = this.picture();
    if (!picture) return;
    const box = this.box.getBoundingClientRect();
    const height = Math.min(box.height, innerHeight);
    const top = Math.max(0, Math.min(box.height - height, -box.top));
    this.canvas.style.transform = `translateY(${top}px)`;
    this.canvas.style.width = box.width + "px";
    this.canvas.style.height = height + "px";
    this.painter.paint(picture, box.width, height, top);
  }

  private at(event: MouseEvent): number {
    if (!this.layout) return -1;
    const box = this.box.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top) / this.painter.rowHeight());
    return barAt(this.layout, row, event.clientX - box.left);
  }

  private moved(event: MouseEvent) {
    const bar = this.at(event), node = bar < 0 ? -1 : this.layout!.node[bar];
    this.canvas.style.cursor = node < 0 || this.tree!.kind[node] === MORE ? "default" : "pointer";
    if (node !== this.hot) {
      this.hot = node;
      this.later();
    }
    clearTimeout(this.pointing);
    if (bar < 0) return this.tell.point(null);
    const { clientX: x, clientY: y } = event;
    this.pointing = window.setTimeout(() => this.point(bar, x, y, false), CARD_DELAY_MS);
  }

  private left() {
    clearTimeout(this.pointing);
    this.hot = -1;
    this.later();
    this.tell.point(null);
  }

  private point(bar: number, x: number, y: number, byTouch: boolean) {
    const { layout } = this;
    if (!layout || bar >= layout.count) return;
    this.tell.point({ node: layout.node[bar], folded: layout.node[bar] - layout.first[bar], x, y, byTouch });
  }

  private clicked(event: PointerEvent) {
    const bar = this.at(event);
    if (bar < 0 || !this.tree || !this.layout) return;
    const node = this.layout.node[bar];
    this.selectedPath = this.tree.path[node];
    if (event.pointerType === "touch") {
      this.point(bar, event.clientX, event.clientY, true);
      this.later();
    } else {
      this.zoomTo(node);
    }
  }

  private zoomTo(node: number) {
    if (!this.tree || this.tree.kind[node] === MORE) return this.later();
    clearTimeout(this.pointing);
    this.tell.point(null);
    this.tell.zoom(node);
    this.later();
  }

  private select(bar: number) {
    if (!this.tree || !this.layout) return;
    const node = this.layout.node[bar], row = rowOf(this.layout, bar);
    this.selectedPath = this.tree.path[node];
    this.later();
    const rowHeight = this.painter.rowHeight();
    const box = this.box.getBoundingClientRect();
    const y = box.top + row * rowHeight;
    if (y < 60) scrollBy(0, y - 60);
    else if (y + rowHeight > innerHeight) scrollBy(0, y + rowHeight - innerHeight + 8);
    const after = this.box.getBoundingClientRect();
    const x = after.left + Math.min(this.layout.x[bar] + this.layout.width[bar] / 2, after.width - 20);
    this.point(bar, x, after.top + (row + 1) * rowHeight, false);
    this.tell.speak(this.tell.describe(node, row + 1));
  }

  /** To the next bar that matches the search, or the one before. */
  nextMatch(step: 1 | -1) {
    const picture = this.picture();
    if (!picture || !picture.search) return;
    const { layout } = picture;
    const current = barOf(layout, this.selected());
    for (let i = 1; i <= layout.count; i++) {
      const bar = (((current < 0 && step < 0 ? 0 : current) + i * step) % layout.count + layout.count) % layout.count;
      if (matches(picture, bar)) {
        this.canvas.focus();
        return this.select(bar);
      }
    }
  }

  private key(event: KeyboardEvent) {
    if (!this.tree || !this.layout || event.ctrlKey || event.metaKey || event.altKey) return;
    const current = barOf(this.layout, this.selected());
    if (event.key.startsWith("Arrow")) {
      this.select(current < 0 ? 0 : neighbour(this.layout, current, event.key));
    } else if (event.key === "Enter" && current >= 0) {
      this.zoomTo(this.layout.node[current]);
    } else if (event.key === "Backspace") {
      if (this.focus > 0) this.zoomTo(this.tree.parent[this.focus]);
    } else if (event.key === "Escape") {
      this.selectedPath = 0;
      this.tell.clear();
      this.zoomTo(0);
    } else if (event.key === "c" && current >= 0) {
      this.tell.copy(barName({ tree: this.tree, rootName: this.rootName }, this.layout.node[current]));
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}
