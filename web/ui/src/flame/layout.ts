// SPDX-License-Identifier: Apache-2.0
// Where the bars of a flame graph stand: only those that can be seen, sorted by row, then by x.
import { isFrame, type Tree } from "./tree";

export const WIDTH_MIN = 0.6; // px; narrower bars are not drawn
const WIDTH_SEEN = 3; // px; bars from here on decide how high the graph is
const FOLD_SHARE = 0.985; // of its parent: an only child from here on is folded into one bar with it

export interface Layout {
  readonly count: number;
  readonly node: Int32Array; // what the bar is called: the last of a folded chain
  readonly first: Int32Array; // the first of the chain
  readonly x: Float32Array;
  readonly width: Float32Array;
  readonly rowStart: Int32Array; // rows + 1 places
  readonly rows: number;
  readonly deeper: number; // levels below, all too narrow to see
}

/** Whether the node's only child says the same as itself. */
function folds(tree: Tree, node: number): boolean {
  const child = node + 1;
  return child < tree.end[node] && tree.end[child] === tree.end[node] && isFrame(tree.kind[node]) &&
    tree.kind[child] === tree.kind[node] && tree.total[child] >= tree.total[node] * FOLD_SHARE;
}

export function layOut(tree: Tree, focus: number, width: number, fold: boolean): Layout {
  const node: number[] = [], first: number[] = [], xs: number[] = [], widths: number[] = [], row: number[] = [];
  const scale = tree.total[focus] > 0 ? width / tree.total[focus] : 0;
  // Places of the walk that are still to be done: node, x and row of each.
  const open: number[] = [focus], openX: number[] = [0], openRow: number[] = [0];
  let seen = 0, deepest = 0;
  while (open.length > 0) {
    const start = open.pop()!, x = openX.pop()!, level = openRow.pop()!;
    const own = start === focus ? width : tree.total[start] * scale;
    let last = start;
    if (fold) while (folds(tree, last)) last++;
    node.push(last);
    first.push(start);
    xs.push(x);
    widths.push(own);
    row.push(level);
    deepest = Math.max(deepest, level);
    if (own >= WIDTH_SEEN) seen = Math.max(seen, level);
    const from = open.length;
    let childX = x;
    for (let child = last + 1; child < tree.end[last]; child = tree.end[child]) {
      const childWidth = tree.total[child] * scale;
      if (childWidth >= WIDTH_MIN) {
        open.push(child);
        openX.push(childX);
        openRow.push(level + 1);
      }
      childX += childWidth;
    }
    // The widest was put last but must come first: bars of a row then run from left to right.
    reverse(open, from);
    reverse(openX, from);
    reverse(openRow, from);
  }
  return sorted(node, first, xs, widths, row, seen + 1, deepest - seen);
}

function reverse(list: number[], from: number) {
  for (let i = from, j = list.length - 1; i < j; i++, j--) {
    const kept = list[i];
    list[i] = list[j];
    list[j] = kept;
  }
}

/** By row; what is below the last row that is shown falls away. */
function sorted(node: number[], first: number[], x: number[], width: number[], row: number[], rows: number, deeper: number): Layout {
  const rowStart = new Int32Array(rows + 1);
  let count = 0;
  for (const level of row) {
    if (level >= rows) continue;
    rowStart[level + 1]++;
    count++;
  }
  for (let level = 0; level < rows; level++) rowStart[level + 1] += rowStart[level];
  const next = rowStart.slice();
  const layout = {
    count, rowStart, rows, deeper,
    node: new Int32Array(count), first: new Int32Array(count),
    x: new Float32Array(count), width: new Float32Array(count),
  };
  for (let i = 0; i < row.length; i++) {
    if (row[i] >= rows) continue;
    const place = next[row[i]]++;
    layout.node[place] = node[i];
    layout.first[place] = first[i];
    layout.x[place] = x[i];
    layout.width[place] = width[i];
  }
  return layout;
}

export function rowOf(layout: Layout, bar: number): number {
  let row = 0;
  while (row < layout.rows - 1 && layout.rowStart[row + 1] <= bar) row++;
  return row;
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

/** The bar that a node is in, folded or not; -1 when it is not drawn. */
export function barOf(layout: Layout, node: number): number {
  for (let bar = 0; bar < layout.count; bar++) {
    if (node >= layout.first[bar] && node <= layout.node[bar]) return bar;
  }
  return -1;
}

/** Where an arrow key leads from a bar; the bar itself when there is nothing. */
export function neighbour(layout: Layout, bar: number, key: string): number {
  const row = rowOf(layout, bar), middle = layout.x[bar] + layout.width[bar] / 2;
  if (key === "ArrowLeft") return bar > layout.rowStart[row] ? bar - 1 : bar;
  if (key === "ArrowRight") return bar + 1 < layout.rowStart[row + 1] ? bar + 1 : bar;
  if (key === "ArrowUp") {
    const above = barAt(layout, row - 1, Math.max(0, middle));
    return above >= 0 ? above : bar;
  }
  if (row + 1 >= layout.rows) return bar;
  let best = bar, widest = 0;
  for (let i = layout.rowStart[row + 1]; i < layout.rowStart[row + 2]; i++) {
    if (layout.x[i] < layout.x[bar] - 0.5 || layout.x[i] >= layout.x[bar] + layout.width[bar]) continue;
    if (layout.width[i] > widest) {
      widest = layout.width[i];
      best = i;
    }
  }
  return best;
}
