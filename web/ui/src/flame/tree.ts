// SPDX-License-Identifier: Apache-2.0
// The tree behind a flame graph, in columns: preorder, the widest child first, "more" last.
import type { Flame } from "../api";

export const ROOT = 0, GROUP = 1, KERNEL = 2, NATIVE = 3, RUNTIME = 4, UNNAMED = 5, CUT = 6, MORE = 7;

export const KIND_WORDS = ["Host", "Group", "Kernel", "Native", "Runtime", "Unnamed", "Callers missing", "More"];

export interface Tree {
  readonly count: number;
  readonly names: readonly string[];
  readonly parent: Int32Array;
  readonly name: Int32Array;
  readonly module: Int32Array;
  readonly kind: Uint8Array;
  readonly self: Float64Array;
  readonly total: Float64Array;
  readonly hidden: Int32Array;
  readonly end: Int32Array; // the first node after this one's subtree
  readonly depth: Uint16Array;
  readonly path: Uint32Array; // a hash of the names from the root: what survives a refresh
  readonly tint: Uint8Array; // by place in names: 0…3, the shade that a module of that name has
}

function hash(text: string): number {
  let value = 2166136261;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 16777619);
  return value >>> 0;
}

/** The same module has the same shade on every host, every day. */
export const tintOf = (module: string) => (hash(module) >>> 8) & 3;

/** Node indices of the answer in the order in which they are drawn. */
function widestFirst(parent: Int32Array, kind: readonly number[], total: readonly number[]): Int32Array {
  const count = parent.length;
  const start = new Int32Array(count + 1);
  for (let i = 1; i < count; i++) start[parent[i] + 1]++;
  for (let i = 0; i < count; i++) start[i + 1] += start[i];
  const next = start.slice();
  const children = new Int32Array(Math.max(0, count - 1));
  for (let i = 1; i < count; i++) children[next[parent[i]]++] = i;

  const narrower = (a: number, b: number) =>
    Number(kind[a] === MORE) - Number(kind[b] === MORE) || total[b] - total[a] || a - b;
  const order = new Int32Array(count);
  const open = new Int32Array(count);
  let depth = 0, done = 0;
  if (count > 0) open[depth++] = 0;
  while (depth > 0) {
    const node = open[--depth];
    order[done++] = node;
    const own = children.subarray(start[node], start[node + 1]);
    if (own.length > 1) own.sort(narrower);
    for (let i = own.length - 1; i >= 0; i--) open[depth++] = own[i];
  }
  return order;
}

export function treeOf(answer: Pick<Flame, "names" | "nodes">): Tree {
  const { names, nodes } = answer;
  const count = Math.min(...Object.values(nodes).map((column) => column.length));
  const given = new Int32Array(count);
  for (let i = 1; i < count; i++) {
    const up = nodes.parent[i];
    given[i] = up >= 0 && up < i ? up : 0; // a parent stands before its children
  }
  const order = widestFirst(given, nodes.kind, nodes.total);
  const place = new Int32Array(count);
  for (let i = 0; i < count; i++) place[order[i]] = i;

  const hashes = Uint32Array.from(names, hash);
  const tree = {
    count, names,
    parent: new Int32Array(count), name: new Int32Array(count), module: new Int32Array(count),
    kind: new Uint8Array(count), self: new Float64Array(count), total: new Float64Array(count),
    hidden: new Int32Array(count), end: new Int32Array(count), depth: new Uint16Array(count),
    path: new Uint32Array(count), tint: Uint8Array.from(names, tintOf),
  };
  for (let i = 0; i < count; i++) {
    const from = order[i], up = place[given[from]];
    tree.parent[i] = up;
    tree.name[i] = nodes.name[from];
    tree.module[i] = nodes.module[from];
    tree.kind[i] = nodes.kind[from];
    tree.self[i] = nodes.self[from];
    tree.total[i] = nodes.total[from];
    tree.hidden[i] = nodes.hidden[from];
    tree.end[i] = i + 1;
    if (i === 0) {
      tree.path[0] = 1; // its own name is the page's affair
      continue;
    }
    tree.depth[i] = tree.depth[up] + 1;
    tree.path[i] = Math.imul(tree.path[up] ^ (hashes[tree.name[i]] ?? 0) ^ tree.kind[i], 16777619) + tree.depth[i];
  }
  for (let i = count - 1; i > 0; i--) {
    const up = tree.parent[i];
    if (tree.end[i] > tree.end[up]) tree.end[up] = tree.end[i];
  }
  return tree;
}

export const nameOf = (tree: Tree, node: number) => tree.names[tree.name[node]] ?? "";
export const moduleOf = (tree: Tree, node: number) => tree.names[tree.module[node]] ?? "";

/** Whether a node stands for code, and not for the host, a service or what was left out. */
export const isFrame = (kind: number) => kind >= KERNEL && kind <= CUT;

/** What a link says about a frame. */
export const linkOf = (tree: Tree, node: number) =>
  node > 0 ? nameOf(tree, node) + "~" + tree.path[node].toString(16) : null;

export const linkName = (link: string) => link.slice(0, link.lastIndexOf("~"));

/** The node of a path, or -1. */
export function findPath(tree: Tree, path: number): number {
  return tree.path.indexOf(path);
}

export function findLink(tree: Tree, link: string | null): number {
  if (!link) return 0;
  const path = parseInt(link.slice(link.lastIndexOf("~") + 1), 16);
  return Number.isNaN(path) ? -1 : findPath(tree, path);
}

/** From the root down to the node. */
export function lineage(tree: Tree, node: number): number[] {
  const line = [node];
  while (node > 0) line.push((node = tree.parent[node]));
  return line.reverse();
}

export interface HotFunction {
  name: string;
  module: string;
  kind: number;
  self: number;
  node: number; // where most of it is spent
}

/** Functions by the time spent in themselves, the hottest first. */
export function hottest(tree: Tree, limit: number): HotFunction[] {
  const found = new Map<number, HotFunction & { most: number }>();
  for (let i = 1; i < tree.count; i++) {
    const kind = tree.kind[i], self = tree.self[i];
    if (self <= 0 || kind < KERNEL || kind > UNNAMED) continue;
    const key = tree.name[i] * 0x200000 + tree.module[i];
    const known = found.get(key);
    if (!known) {
      found.set(key, { name: nameOf(tree, i), module: moduleOf(tree, i), kind, self, node: i, most: self });
    } else {
      known.self += self;
      if (self > known.most) {
        known.most = self;
        known.node = i;
      }
    }
  }
  return [...found.values()].sort((a, b) => b.self - a.self).slice(0, limit);
}

/** Time spent in each kind of code itself; the stacks whose callers are missing are under CUT. */
export function byKind(tree: Tree): Float64Array {
  const sum = new Float64Array(8);
  for (let i = 0; i < tree.count; i++) {
    if (tree.kind[i] === CUT) sum[CUT] += tree.total[i];
    else sum[tree.kind[i]] += tree.self[i];
  }
  return sum;
}

export interface Search {
  names: Uint8Array; // by place in names: whether it matches
  frames: number; // matching nodes
  total: number; // their time, each stack counted once
}

/** Looks for a text (case does not matter) or a pattern; null when there is nothing to look for. */
export function searchFor(tree: Tree, text: string, isPattern: boolean): Search | null {
  if (!text) return null;
  let test: (name: string) => boolean;
  if (isPattern) {
    let pattern: RegExp;
    try {
      pattern = new RegExp(text, "i");
    } catch {
      return null;
    }
    test = (name) => pattern.test(name);
  } else {
    const wanted = text.toLowerCase();
    test = (name) => name.toLowerCase().includes(wanted);
  }
  const names = Uint8Array.from(tree.names, (name) => Number(test(name)));
  const found: Search = { names, frames: 0, total: 0 };
  let inside = 0; // the end of the outermost match that is open
  for (let i = 1; i < tree.count; i++) {
    if (!isFrame(tree.kind[i]) || !names[tree.name[i]]) continue;
    found.frames++;
    if (i < inside) continue;
    found.total += tree.total[i];
    inside = tree.end[i];
  }
  return found;
}
