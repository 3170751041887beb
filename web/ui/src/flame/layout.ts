// SPDX-License-Identifier: Apache-2.0
// Where the bars of a flame graph stand: only those that can be seen, sorted by row, then by x.
import { isFrame, MORE, type Tree } from "./tree";
import type { Order } from "./types";

export const WIDTH_MIN = 0.6; // px; narrower bars are not drawn
export const SANDWICH_GAP = 8; // px between the callers and the function
const WIDTH_SEEN = 3; // px; bars from here on decide how high the graph is
const FOLD_SHARE = 0.985; // of its parent: an only child from here on is folded into one bar with it

export interface Layout {
  readonly count: number;
  readonly node: Int32Array; // what the bar is called: of a folded chain the last, of callers the nearest
  readonly first: Int32Array; // the chain, which is first … last
  readonly last: Int32Array;
  readonly x: Float32Array;
  readonly width: Float32Array;
  readonly rowStart: Int32Array; // rows + 1 places
  readonly rows: number;
  readonly above: number; // rows of callers above the function of a sandwich
  readonly deeper: number; // levels that are there, all too narrow to see
}

/** Whether the node's only child says the same as itself. */
function folds(tree: Tree, node: number): boolean {
  const child = node + 1;
  return child < tree.end[node] && tree.end[child] === tree.end[node] && isFrame(tree.kind[node]) &&
    tree.kind[child] === tree.kind[node] && tree.inlined?.[child] === tree.inlined?.[node] &&
    tree.total[child] >= tree.total[node] * FOLD_SHARE;
}

/** Bars in the order of the walk, level by level; narrow levels at the end are not kept. */
class Half {
  readonly node: number[] = [];
  readonly first: number[] = [];
  readonly last: number[] = [];
  readonly x: number[] = [];
  readonly width: number[] = [];
  readonly level: number[] = [];
  seen = -1;
  deepest = -1;

  constructor(private readonly tree: Tree, private readonly order: Order, private readonly fold: boolean, private readonly scale: number) {}

  private add(first: number, x: number, width: number, level: number): number {
    const { tree } = this;
    let last = first;
    if (this.fold) while (folds(tree, last)) last++;
    this.first.push(first);
    this.last.push(last);
    this.node.push(first > 0 && first < tree.callers ? first : last);
    this.x.push(x);
    this.width.push(width);
    this.level.push(level);
    if (level > this.deepest) this.deepest = level;
    if (width >= WIDTH_SEEN && level > this.seen) this.seen = level;
    return last;
  }

  // Bars that are still to be added: the next one last.
  private readonly open: number[] = [];
  private readonly openX: number[] = [];
  private readonly openLevel: number[] = [];

  private put(node: number, x: number, level: number) {
    this.open.push(node);
    this.openX.push(x);
    this.openLevel.push(level);
  }

  /** Puts down those of a node's children that can be seen, the last one first. */
  private descend(from: number, to: number, left: number, level: number) {
    const { tree, scale, open, openX } = this, { total, kind, end } = tree, byName = this.order === "name";
    const shown: number[] = [];
    let more = -1, sum = 0;
    for (let child = from; child < to; child = end[child]) {
      if (kind[child] === MORE) {
        more = child;
        continue;
      }
      sum += total[child];
      if (byName || total[child] * scale >= WIDTH_MIN) shown.push(child);
    }
    if (shown.length > 1) shown.sort(byName ? this.earlier : this.wider);
    const start = open.length;
    let x = left;
    for (let i = 0; i < shown.length; i++) {
      const width = total[shown[i]] * scale;
      if (width >= WIDTH_MIN) this.put(shown[i], x, level);
      x += width;
    }
    if (more >= 0 && total[more] * scale >= WIDTH_MIN) this.put(more, left + sum * scale, level);
    reverse(open, start);
    reverse(openX, start);
  }

  private readonly wider = (a: number, b: number) => this.tree.total[b] - this.tree.total[a] || a - b;
  private readonly earlier = (a: number, b: number) => {
    const { names, name } = this.tree, left = names[name[a]] ?? "", right = names[name[b]] ?? "";
    return left < right ? -1 : left > right ? 1 : a - b;
  };

  /** The bars from a node down, or (from the root of a sandwich) from one side of its children. */
  walk(focus: number, width: number, from: number, to: number) {
    const { tree, open, openX, openLevel } = this, { end, total } = tree;
    if (focus < 0) {
      this.descend(from, to, 0, 0);
    } else {
      const last = this.add(focus, 0, width, 0);
      this.descend(last + 1, end[last], 0, 1);
    }
    while (open.length > 0) {
      const first = open.pop()!, x = openX.pop()!, level = openLevel.pop()!;
      const last = this.add(first, x, total[first] * this.scale, level);
      if (last + 1 < end[last]) this.descend(last + 1, end[last], x, level + 1);
    }
  }
}

function reverse(list: number[], from: number) {
  for (let i = from, j = list.length - 1; i < j; i++, j--) {
    const kept = list[i];
    list[i] = list[j];
    list[j] = kept;
  }
}

export interface LayoutOptions {
  fold?: boolean;
  order?: Order;
}

/** focus: the node that is as wide as the graph. In a sandwich it has its own side for itself. */
export function layOut(tree: Tree, focus: number, width: number, { fold = true, order = "widest" }: LayoutOptions = {}): Layout {
  const half = (of: number, total = tree.total[of]) => new Half(tree, order, fold, total > 0 ? width / total : 0);
  if (!tree.isSandwich) {
    const down = half(focus);
    down.walk(focus, width, 0, 0);
    return sorted(null, down, 0);
  }
  const isAbove = focus > 0 && focus < tree.callers, isBelow = focus >= tree.callers;
  const up = half(isAbove ? focus : 0), down = half(isBelow ? focus : 0);
  up.walk(isAbove ? focus : -1, width, 1, tree.callers);
  if (isBelow) {
    down.walk(focus, width, 0, 0);
  } else {
    down.walk(-1, width, tree.callers, tree.count);
  }
  return sorted(up, down, width);
}

/** By row; what is below the last row that is shown falls away. Callers grow upwards from their nearest. */
function sorted(up: Half | null, down: Half, functionWidth: number): Layout {
  const above = up ? up.seen + 1 : 0, middle = up ? 1 : 0;
  const rows = above + middle + Math.max(down.seen + 1, middle ? 0 : 1);
  const rowStart = new Int32Array(rows + 1);
  const rowOfUp = (level: number) => above - 1 - level, rowOfDown = (level: number) => above + middle + level;
  let count = middle;
  const countRows = (half: Half, rowOfLevel: (level: number) => number) => {
    for (const level of half.level) {
      const row = rowOfLevel(level);
      if (row < 0 || row >= rows) continue;
      rowStart[row + 1]++;
      count++;
    }
  };
  if (up) {
    countRows(up, rowOfUp);
    rowStart[above + 1]++;
  }
  countRows(down, rowOfDown);
  for (let row = 0; row < rows; row++) rowStart[row + 1] += rowStart[row];

  const next = rowStart.slice();
  const layout = {
    count, rowStart, rows, above,
    deeper: Math.max(up ? up.deepest - up.seen : 0, down.deepest - down.seen),
    node: new Int32Array(count), first: new Int32Array(count), last: new Int32Array(count),
    x: new Float32Array(count), width: new Float32Array(count),
  };
  const place = (half: Half, rowOfLevel: (level: number) => number) => {
    for (let i = 0; i < half.level.length; i++) {
      const row = rowOfLevel(half.level[i]);
      if (row < 0 || row >= rows) continue;
      const at = next[row]++;
      layout.node[at] = half.node[i];
      layout.first[at] = half.first[i];
      layout.last[at] = half.last[i];
      layout.x[at] = half.x[i];
      layout.width[at] = half.width[i];
    }
  };
  if (up) {
    place(up, rowOfUp);
    layout.width[next[above]] = functionWidth; // of node 0, at 0
  }
  place(down, rowOfDown);
  return layout;
}

/** How far a row lies below the top of the graph. */
export const rowTop = (layout: Layout, row: number, rowHeight: number) =>
  row * rowHeight + (layout.above > 0 && row >= layout.above ? SANDWICH_GAP : 0);

export const heightOf = (layout: Layout, rowHeight: number) => rowTop(layout, layout.rows, rowHeight);

/** The row at a height, or -1 between and outside of rows. */
export function rowAt(layout: Layout, y: number, rowHeight: number): number {
  let row = Math.floor(y / rowHeight);
  if (layout.above > 0 && row >= layout.above) {
    row = Math.floor((y - SANDWICH_GAP) / rowHeight);
    if (row < layout.above) return -1;
  }
  return row < layout.rows ? row : -1;
}

export function rowOf(layout: Layout, bar: number): number {
  let low = 0, high = layout.rows - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (layout.rowStart[middle] <= bar) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The bar of a row at x, or -1. */
export function barAt(layout: Layout, row: number, x: number): number {
  if (row < 0 || row >= layout.rows) return -1;
  let low = layout.rowStart[row], high = layout.rowStart[row + 1] - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (layout.x[middle] <= x) low = middle;
    else high = middle - 1;
  }
  return low <= high && x >= layout.x[low] && x < layout.x[low] + layout.width[low] ? low : -1;
}

export const inBar = (layout: Layout, bar: number, node: number) => node >= layout.first[bar] && node <= layout.last[bar];

/** The bar that a node is in, folded or not; -1 when it is not drawn. */
export function barOf(layout: Layout, node: number): number {
  for (let bar = 0; bar < layout.count; bar++) if (inBar(layout, bar, node)) return bar;
  return -1;
}

/** The widest bar of a row that lies over or under the given one, or -1. */
function widestNextTo(layout: Layout, row: number, bar: number): number {
  if (row < 0 || row >= layout.rows) return -1;
  const left = layout.x[bar], right = left + layout.width[bar];
  let best = -1, widest = 0;
  for (let i = layout.rowStart[row]; i < layout.rowStart[row + 1]; i++) {
    const common = Math.min(right, layout.x[i] + layout.width[i]) - Math.max(left, layout.x[i]);
    if (common > 0.01 && common > widest) {
      widest = common;
      best = i;
    }
  }
  return best;
}

/** Where an arrow key leads from a bar; the bar itself when there is nothing. */
export function neighbour(layout: Layout, bar: number, key: string): number {
  const row = rowOf(layout, bar);
  if (key === "ArrowLeft") return bar > layout.rowStart[row] ? bar - 1 : bar;
  if (key === "ArrowRight") return bar + 1 < layout.rowStart[row + 1] ? bar + 1 : bar;
  const next = widestNextTo(layout, key === "ArrowUp" ? row - 1 : row + 1, bar);
  return next >= 0 ? next : bar;
}
