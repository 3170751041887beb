// SPDX-License-Identifier: Apache-2.0
// Trees worked out from another tree: bottom-up, and callers and callees of one function.
import { funcTest, GROUP, KERNEL, MORE, NATIVE, ROOT, type Tree, treeOf } from "./tree";
import type { Columns, Func, SandwichAnswer } from "./types";

/** Up to so many steps from leaves to the root nothing is left out; beyond, what is below 1 / NARROW of all. */
const STEPS_EXACT = 400_000, NARROW = 100_000;

/** Columns that grow. */
class Writer {
  count = 0;
  private parent: Int32Array;
  private name: Int32Array;
  private module: Int32Array;
  private kind: Uint8Array;
  private hidden: Int32Array;
  private inlined: Uint8Array;
  private interpreted: Uint8Array;
  private file: Int32Array;
  private line: Int32Array;
  self: Float64Array;
  total: Float64Array;

  constructor(size = 1024) {
    this.parent = new Int32Array(size);
    this.name = new Int32Array(size);
    this.module = new Int32Array(size);
    this.kind = new Uint8Array(size);
    this.hidden = new Int32Array(size);
    this.inlined = new Uint8Array(size);
    this.interpreted = new Uint8Array(size);
    this.file = new Int32Array(size);
    this.line = new Int32Array(size);
    this.self = new Float64Array(size);
    this.total = new Float64Array(size);
  }

  private grow() {
    const bigger = new Writer(this.parent.length * 2);
    for (const column of ["parent", "name", "module", "kind", "hidden", "inlined", "interpreted", "file", "line", "self", "total"] as const) {
      bigger[column].set(this[column]);
      (this[column] as unknown) = bigger[column];
    }
  }

  add(parent: number, name: number, module: number, kind: number, self: number, total: number, hidden: number, inlined: number): number {
    if (this.count === this.parent.length) this.grow();
    const at = this.count++;
    this.parent[at] = parent;
    this.name[at] = name;
    this.module[at] = module;
    this.kind[at] = kind;
    this.self[at] = self;
    this.total[at] = total;
    this.hidden[at] = hidden;
    this.inlined[at] = inlined;
    return at;
  }

  like(tree: Tree, node: number, parent: number): number {
    const kind = tree.kind[node] === ROOT ? GROUP : tree.kind[node];
    const at = this.add(parent, tree.name[node], tree.module[node], kind, 0, 0, 0, tree.inlined?.[node] ?? 0);
    this.interpreted[at] = tree.interpreted?.[node] ?? 0;
    this.file[at] = tree.file?.[node] ?? 0;
    this.line[at] = tree.line?.[node] ?? 0;
    return at;
  }

  more(parent: number, total: number, hidden: number) {
    this.add(parent, 0, 0, MORE, total, total, hidden, 0);
  }

  put(node: number, self: number, total: number, hidden: number) {
    this.self[node] = self;
    this.total[node] = total;
    this.hidden[node] = hidden;
  }

  columns(): Columns {
    const { count } = this, cut = <T extends Int32Array | Uint8Array | Float64Array>(column: T) => column.slice(0, count) as T;
    return {
      parent: cut(this.parent), name: cut(this.name), module: cut(this.module), kind: cut(this.kind), self: cut(this.self),
      total: cut(this.total), hidden: cut(this.hidden), inlined: cut(this.inlined), interpreted: cut(this.interpreted),
      file: cut(this.file), line: cut(this.line),
    };
  }
}

/** For each node a number that all nodes of the same function share, from 0 without holes. */
function sameness(tree: Tree): { of: Int32Array; count: number } {
  const of = new Int32Array(tree.count), known = new Map<number, number>();
  for (let i = 0; i < tree.count; i++) {
    const key = ((tree.name[i] * 0x100000 + tree.module[i]) * 8 + tree.kind[i]) * 2 + (tree.inlined?.[i] ?? 0);
    let id = known.get(key);
    if (id === undefined) known.set(key, (id = known.size));
    of[i] = id;
  }
  return { of, count: known.size };
}

/** Parts of a list: entries that belong together stand together, the order is kept otherwise. */
class Grouping {
  private readonly slot: Int32Array;
  readonly starts: number[] = [];

  constructor(private readonly same: { of: Int32Array; count: number }) {
    this.slot = new Int32Array(same.count).fill(-1);
  }

  /** Regroups list[from … to) and, along with it, weight; starts holds where each group begins. */
  group(list: Int32Array, weight: Float64Array | null, from: number, to: number) {
    const { slot, starts } = this, { of } = this.same;
    starts.length = 0;
    if (to - from <= 1) { // most are: a stack that nobody shares
      if (to > from) starts.push(from);
      starts.push(to);
      return;
    }
    const sizes: number[] = [], ids: number[] = [];
    for (let i = from; i < to; i++) {
      const id = of[list[i]];
      if (slot[id] < 0) {
        slot[id] = sizes.length;
        sizes.push(0);
        ids.push(id);
      }
      sizes[slot[id]]++;
    }
    let at = from;
    for (const size of sizes) {
      starts.push(at);
      at += size;
    }
    if (sizes.length > 1 && sizes.length < to - from) {
      const next = starts.slice();
      const oldList = list.slice(from, to), oldWeight = weight && weight.slice(from, to);
      for (let i = 0; i < oldList.length; i++) {
        const place = next[slot[of[oldList[i]]]]++;
        list[place] = oldList[i];
        if (weight) weight[place] = oldWeight![i];
      }
    }
    starts.push(to);
    for (const id of ids) slot[id] = -1;
  }
}

/**
 * Hangs callers below whom they call. list: nodes with the time that was spent below them, each a caller of `root`.
 * Groups below `floor` go into one "more".
 */
function climb(tree: Tree, writer: Writer, root: number, list: Int32Array, weight: Float64Array, floor: number) {
  const grouping = new Grouping(sameness(tree));
  const openRoot: number[] = [], openFrom: number[] = [], openTo: number[] = [];
  const open = (parent: number, from: number, to: number) => {
    grouping.group(list, weight, from, to);
    const { starts } = grouping;
    let rest = 0, hidden = 0;
    for (let i = starts.length - 2; i >= 0; i--) {
      if (floor > 0) {
        let total = 0;
        for (let j = starts[i]; j < starts[i + 1]; j++) total += weight[j];
        if (total < floor) {
          rest += total;
          hidden++;
          continue;
        }
      }
      openRoot.push(parent);
      openFrom.push(starts[i]);
      openTo.push(starts[i + 1]);
    }
    if (hidden > 0) writer.more(parent, rest, hidden);
  };
  open(root, 0, list.length);
  while (openRoot.length > 0) {
    const parent = openRoot.pop()!, from = openFrom.pop()!, to = openTo.pop()!;
    let total = 0, self = 0, kept = from;
    const node = writer.like(tree, list[from], parent);
    for (let i = from; i < to; i++) {
      const up = tree.parent[list[i]], own = weight[i];
      total += own;
      if (up === 0) {
        self += own; // nobody above but the root, who is not shown
        continue;
      }
      list[kept] = up;
      weight[kept++] = own;
    }
    writer.put(node, self, total, 0);
    if (kept > from) open(node, from, kept);
  }
}

/** The stacks turned over: first who spent the time himself, below him who called. */
export function bottomUp(tree: Tree): Tree {
  const writer = new Writer();
  let count = 0, steps = 0, more = 0, hidden = 0;
  for (let i = 1; i < tree.count; i++) {
    if (tree.kind[i] === MORE) {
      more += tree.total[i];
      hidden += tree.hidden[i];
    } else if (tree.self[i] > 0) {
      count++;
      steps += tree.depth[i];
    }
  }
  const list = new Int32Array(count), weight = new Float64Array(count);
  for (let i = 1, at = 0; i < tree.count; i++) {
    if (tree.self[i] <= 0 || tree.kind[i] === MORE) continue;
    list[at] = i;
    weight[at++] = tree.self[i];
  }
  writer.add(0, tree.name[0] ?? 0, 0, ROOT, tree.self[0] ?? 0, tree.total[0] ?? 0, 0, 0);
  climb(tree, writer, 0, list, weight, steps > STEPS_EXACT ? tree.total[0] / NARROW : 0);
  if (more > 0) writer.more(0, more, hidden);
  return treeOf({ names: tree.names, nodes: writer.columns() }, { callers: writer.count, viewTotal: tree.viewTotal });
}

/** The tree of an answer that stands bottom-up already. */
export const callersTreeOf = (answer: { names: readonly string[]; nodes: Columns }) => treeOf(answer, { callers: answer.nodes.parent.length });

/** Merges the subtrees of some nodes: children of the same function become one. */
function descend(tree: Tree, writer: Writer, root: number, tops: number[]) {
  const grouping = new Grouping(sameness(tree));
  const list = new Int32Array(tree.count + tops.length);
  let used = 0;
  const openRoot: number[] = [], openFrom: number[] = [], openTo: number[] = [];
  const open = (parent: number, from: number, to: number, nodes: ArrayLike<number>) => {
    const start = used;
    for (let i = from; i < to; i++) {
      for (let child = nodes[i] + 1; child < tree.end[nodes[i]]; child = tree.end[child]) list[used++] = child;
    }
    grouping.group(list, null, start, used);
    for (let i = grouping.starts.length - 2; i >= 0; i--) {
      openRoot.push(parent);
      openFrom.push(grouping.starts[i]);
      openTo.push(grouping.starts[i + 1]);
    }
  };
  open(root, 0, tops.length, tops);
  while (openRoot.length > 0) {
    const parent = openRoot.pop()!, from = openFrom.pop()!, to = openTo.pop()!;
    const node = writer.like(tree, list[from], parent);
    let total = 0, self = 0, hidden = 0;
    for (let i = from; i < to; i++) {
      total += tree.total[list[i]];
      self += tree.self[list[i]];
      hidden += tree.hidden[list[i]];
    }
    writer.put(node, self, total, hidden);
    open(node, from, to, list);
  }
}

/** Callers and callees of a function, by its outermost calls: each stack counts once. */
export function sandwichOf(tree: Tree, func: Func): Tree {
  const isIt = funcTest(tree, func), tops: number[] = [];
  let total = 0, self = 0;
  for (let i = 1; i < tree.count; i++) {
    if (!isIt(i)) continue;
    tops.push(i);
    total += tree.total[i];
    self += tree.self[i];
    i = tree.end[i] - 1; // the calls within are below it
  }
  const writer = new Writer();
  const kind = tops.length > 0 ? tree.kind[tops[0]] : NATIVE;
  const place = (text: string) => Math.max(0, tree.names.indexOf(text));
  writer.add(0, tops.length > 0 ? tree.name[tops[0]] : place(func.name), tops.length > 0 ? tree.module[tops[0]] : place(func.module),
    Math.max(KERNEL, kind), self, total, 0, 0);
  const above = tops.filter((top) => tree.parent[top] > 0);
  climb(tree, writer, 0, Int32Array.from(above, (top) => tree.parent[top]), Float64Array.from(above, (top) => tree.total[top]), 0);
  const callers = writer.count;
  descend(tree, writer, 0, tops);
  return treeOf({ names: tree.names, nodes: writer.columns() }, { callers, isSandwich: true, viewTotal: tree.viewTotal });
}

/** The server's sandwich as one tree: the function, its callers, its callees. */
export function sandwichFrom(answer: SandwichAnswer, viewTotal: number): Tree {
  const { callers, callees } = answer, above = callers.parent.length, below = callees.parent.length;
  const both = (pick: (columns: Columns) => ArrayLike<number> | undefined, ofCallers = 0) => {
    const column = new Float64Array(Math.max(1, above + below - 1)), up = pick(callers), down = pick(callees);
    for (let i = 0; i < above; i++) column[i] = up?.[i] ?? 0;
    for (let i = 1; i < below; i++) {
      const value = down?.[i] ?? 0;
      column[above + i - 1] = value + (value > 0 ? ofCallers : 0);
    }
    return column;
  };
  const nodes = {
    parent: both((columns) => columns.parent, above - 1), name: both((columns) => columns.name),
    module: both((columns) => columns.module), kind: both((columns) => columns.kind),
    self: both((columns) => columns.self), total: both((columns) => columns.total),
    hidden: both((columns) => columns.hidden), inlined: both((columns) => columns.inlined),
    interpreted: both((columns) => columns.interpreted),
    file: both((columns) => columns.file), line: both((columns) => columns.line),
  };
  nodes.self[0] = callees.self[0] ?? 0; // for the callers it is what nobody called
  return treeOf({ names: answer.names, nodes }, { callers: above, isSandwich: true, viewTotal });
}
