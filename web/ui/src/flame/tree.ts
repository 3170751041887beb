// SPDX-License-Identifier: Apache-2.0
// The tree behind a flame graph, in columns: preorder, siblings as they were given.
import type { Columns, Func } from "./types";

export const ROOT = 0, GROUP = 1, KERNEL = 2, NATIVE = 3, RUNTIME = 4, UNNAMED = 5, CUT = 6, MORE = 7, FOLDED = 8;

export const KIND_WORDS = ["Host", "Group", "Kernel", "Native", "Runtime", "Unnamed", "Callers missing", "More", "Folded"];

export type Values = Float64Array | Int32Array;

export interface Tree {
  readonly count: number;
  readonly names: readonly string[];
  readonly parent: Int32Array;
  readonly name: Int32Array;
  readonly module: Int32Array;
  readonly kind: Uint8Array;
  readonly self: Values;
  readonly total: Values;
  readonly hidden: Int32Array;
  readonly inlined: Uint8Array | null;
  readonly interpreted: Uint8Array | null;
  readonly file: Int32Array | null; // of the source, in names
  readonly line: Int32Array | null;
  readonly end: Int32Array; // the first node after this one's subtree
  readonly depth: Uint16Array;
  /** Nodes 1 … callers - 1 hang below whom they call: all in bottom-up, one side of the sandwich. */
  readonly callers: number;
  readonly isSandwich: boolean;
  readonly viewTotal: number; // what shares are of
}

export function hash(text: string): number {
  let value = 2166136261;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 16777619);
  return value >>> 0;
}

const ints = (given: ArrayLike<number>, count: number) =>
  given instanceof Int32Array && given.length === count ? given : Int32Array.from(slice(given, count));
const bytes = (given: ArrayLike<number>, count: number) =>
  given instanceof Uint8Array && given.length === count ? given : Uint8Array.from(slice(given, count));

function values(given: ArrayLike<number>, count: number): Values {
  if ((given instanceof Float64Array || given instanceof Int32Array) && given.length === count) return given;
  return Float64Array.from(slice(given, count));
}

function slice(given: ArrayLike<number>, count: number): ArrayLike<number> {
  return given.length === count ? given : Array.prototype.slice.call(given, 0, count);
}

/** Where each subtree ends and how deep nodes lie; null when the columns are not in preorder. */
function shapeOf(parent: Int32Array): { end: Int32Array; depth: Uint16Array } | null {
  const count = parent.length, end = new Int32Array(count), depth = new Uint16Array(count);
  for (let i = 1; i < count; i++) {
    const up = parent[i];
    if (up < 0 || up >= i) return null;
    // From the node before up to the parent: those subtrees end here.
    let open = i - 1;
    while (open > up) {
      end[open] = i;
      open = parent[open];
    }
    if (open !== up) return null;
    depth[i] = depth[up] + 1;
  }
  for (let open = count - 1; open > 0; open = parent[open]) end[open] = count;
  if (count > 0) end[0] = count;
  return { end, depth };
}

/** The order that makes preorder of columns in which parents merely stand before their children. */
function preorder(parent: Int32Array): Int32Array {
  const count = parent.length;
  const start = new Int32Array(count + 1);
  for (let i = 1; i < count; i++) start[parent[i] + 1]++;
  for (let i = 0; i < count; i++) start[i + 1] += start[i];
  const next = start.slice(), children = new Int32Array(count);
  for (let i = 1; i < count; i++) children[next[parent[i]]++] = i;
  const order = new Int32Array(count), open = new Int32Array(count + 1);
  let depth = 1, done = 0; // open[0] is 0, the root
  while (depth > 0) {
    const node = open[--depth];
    order[done++] = node;
    for (let i = start[node + 1] - 1; i >= start[node]; i--) open[depth++] = children[i];
  }
  return order;
}

const arranged = (given: ArrayLike<number>, order: Int32Array) => Float64Array.from(order, (from) => given[from]);

export interface Form {
  callers?: number;
  isSandwich?: boolean;
  viewTotal?: number;
}

export function treeOf({ names, nodes }: { names: readonly string[]; nodes: Columns }, form: Form = {}): Tree {
  const lengths = [nodes.parent, nodes.name, nodes.module, nodes.kind, nodes.self, nodes.total, nodes.hidden];
  const count = Math.min(...lengths.map((column) => column.length));
  let parent = ints(nodes.parent, count), columns = nodes;
  let shape = shapeOf(parent);
  if (!shape && count > 0) {
    const given = parent.map((up, i) => (up >= 0 && up < i ? up : 0)); // a parent stands before its children
    const order = preorder(given), place = new Int32Array(count);
    for (let i = 0; i < count; i++) place[order[i]] = i;
    parent = Int32Array.from(order, (from) => place[given[from]]);
    const of = (column: ArrayLike<number>) => arranged(column, order);
    columns = {
      parent, name: of(nodes.name), module: of(nodes.module), kind: of(nodes.kind), self: of(nodes.self),
      total: of(nodes.total), hidden: of(nodes.hidden), inlined: nodes.inlined && of(nodes.inlined),
      interpreted: nodes.interpreted && of(nodes.interpreted),
      file: nodes.file && of(nodes.file), line: nodes.line && of(nodes.line),
    };
    shape = shapeOf(parent)!;
  }
  const total = values(columns.total, count);
  return {
    count, names, parent, total,
    name: ints(columns.name, count), module: ints(columns.module, count), kind: bytes(columns.kind, count),
    self: values(columns.self, count), hidden: ints(columns.hidden, count),
    inlined: columns.inlined && columns.inlined.length >= count ? bytes(columns.inlined, count) : null,
    interpreted: columns.interpreted && columns.interpreted.length >= count ? bytes(columns.interpreted, count) : null,
    file: columns.file && columns.file.length >= count ? ints(columns.file, count) : null,
    line: columns.line && columns.line.length >= count ? ints(columns.line, count) : null,
    ...(shape ?? { end: new Int32Array(0), depth: new Uint16Array(0) }),
    callers: form.callers ?? 1, isSandwich: form.isSandwich ?? false, viewTotal: form.viewTotal ?? total[0] ?? 0,
  };
}

/** A frame that was pushed with an empty name says so; rows without a label, cuts, and what stands for many nodes have none. */
export const nameOf = (tree: Tree, node: number) => tree.names[tree.name[node]] || (isFrame(tree.kind[node]) && tree.kind[node] !== CUT ? "[unknown]" : "");
/** "/src/a.c:12": where in the source the frame mostly stood; "" when nobody knows. */
export function placeOf(tree: Tree, node: number): string {
  const file = tree.names[tree.file?.[node] ?? 0] ?? "", line = tree.line?.[node] ?? 0;
  return file && line > 0 ? `${file}:${line}` : file;
}
export const moduleOf = (tree: Tree, node: number) => tree.names[tree.module[node]] ?? "";

/** Whether a node stands for code, and not for the host, a service or what was left out. */
export const isFrame = (kind: number) => kind >= KERNEL && kind <= CUT;
/** Whether a node is of a function that a table can list. */
export const isCode = (kind: number) => kind >= KERNEL && kind <= UNNAMED;

export const funcOf = (tree: Tree, node: number): Func | null =>
  isCode(tree.kind[node]) ? { name: nameOf(tree, node), module: moduleOf(tree, node) } : null;

/** Tells whether nodes are of a function, by places in the names of a tree. */
export function funcTest(tree: Tree, func: Func): (node: number) => boolean {
  const name = tree.names.indexOf(func.name), module = func.module ? tree.names.indexOf(func.module) : -1;
  if (name < 0 || (func.module && module < 0)) return () => false;
  return (node) => tree.name[node] === name && isCode(tree.kind[node]) && (module < 0 || tree.module[node] === module);
}

/** What a path of names hashes to: the root's own name is the page's affair, so it is 1. */
const ROOT_PATH = 1;
const step = (path: number, name: number, kind: number, depth: number) =>
  (Math.imul(path ^ name ^ kind, 16777619) + depth) >>> 0;

function pathOf(tree: Tree, node: number): number {
  let path = ROOT_PATH;
  for (const at of lineage(tree, node)) if (at > 0) path = step(path, hash(nameOf(tree, at)), tree.kind[at], tree.depth[at]);
  return path;
}

/** The node of a path, or -1. */
export function findPath(tree: Tree, path: number): number {
  const names = Uint32Array.from(tree.names, hash), paths = new Uint32Array(tree.count);
  if (path === ROOT_PATH) return 0;
  paths[0] = ROOT_PATH;
  for (let i = 1; i < tree.count; i++) {
    paths[i] = step(paths[tree.parent[i]], names[tree.name[i]] ?? 0, tree.kind[i], tree.depth[i]);
    if (paths[i] === path) return i;
  }
  return -1;
}

/** Links that were given out, so that following one need not search the tree. */
const given = new WeakMap<Tree, Map<string, number>>();

/** What a link says about a frame; null for the root. */
export function linkOf(tree: Tree, node: number): string | null {
  if (node <= 0) return null;
  const link = nameOf(tree, node) + "~" + pathOf(tree, node).toString(16);
  const known = given.get(tree) ?? new Map<string, number>();
  given.set(tree, known.set(link, node));
  return link;
}

export const linkName = (link: string) => link.slice(0, link.lastIndexOf("~"));

/** The node that a link names: 0 without a link, -1 when it is not there. */
export function findLink(tree: Tree, link: string | null): number {
  if (!link) return 0;
  const known = given.get(tree)?.get(link);
  if (known !== undefined) return known;
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
  const { kind, name, module, self } = tree, rows: (HotFunction & { most: number })[] = [];
  // Nearly every name is of one module: the row of the first is found by name alone, others by both.
  const rowOf = new Int32Array(tree.names.length).fill(-1), others = new Map<number, number>();
  for (let i = 1; i < tree.count; i++) {
    const own = self[i];
    if (own <= 0 || !isCode(kind[i])) continue;
    let at = rowOf[name[i]] ?? -1;
    if (at >= 0 && module[i] !== module[rows[at].node]) at = others.get(name[i] * 0x200000 + module[i]) ?? -1;
    if (at < 0) {
      at = rows.push({ name: nameOf(tree, i), module: moduleOf(tree, i), kind: kind[i], self: 0, node: i, most: 0 }) - 1;
      if (rowOf[name[i]] === -1) rowOf[name[i]] = at;
      else others.set(name[i] * 0x200000 + module[i], at);
    }
    const row = rows[at];
    row.self += own;
    if (own > row.most) {
      row.most = own;
      row.node = i;
    }
  }
  return rows.sort((a, b) => b.self - a.self).slice(0, limit);
}

/** Time spent in each kind of code itself; the stacks whose callers are missing are under CUT. */
export function byKind(tree: Tree): Float64Array {
  const sum = new Float64Array(KIND_WORDS.length);
  for (let i = 0; i < tree.count; i++) {
    if (tree.kind[i] === CUT) sum[CUT] += tree.total[i];
    else sum[tree.kind[i]] += tree.self[i];
  }
  return sum;
}
