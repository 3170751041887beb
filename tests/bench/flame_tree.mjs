// SPDX-License-Identifier: Apache-2.0
// A call tree of exactly so many nodes, as a long profile of a busy host gives it: some deep entries, shared trunks, a
// wide crown in which few paths weigh most. From a seed.

const AREAS = ["net", "ext4", "mm", "sched", "libc", "ssl", "json", "sql", "http", "gc", "jit", "zlib", "img", "rpc", "log", "cfg"];
const DEEDS = ["alloc_", "free_", "read_", "write_", "parse_", "find_", "copy_", "hash_", "lock_", "wait_", "send_", "merge_"];
const THINGS = ["page", "row", "buffer", "header", "node", "key", "frame", "socket", "string", "chunk", "entry", "list"];
const ENTRIES = 32, DEPTH_MAX = 100, KERNEL = 2, NATIVE = 3, RUNTIME = 4, MORE = 7;

/** Numbers in 0 … 1 from a seed: xorshift, which is the same everywhere. */
function numbers(seed) {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 4294967296;
  };
}

/** Columns as the server sends them: preorder, siblings by name. */
export function treeOfSize(count, seed = 7) {
  const random = numbers(seed + count), pick = (list) => list[Math.floor(random() * list.length)];
  const functionCount = Math.min(30_000, Math.max(1000, count >> 4));
  const skewed = (below) => Math.min(below - 1, Math.floor(below * random() ** 3.5));
  const names = ["", "total", ...AREAS], first = names.length, kinds = [], areas = [], calls = [];
  for (let i = 0; i < functionCount; i++) {
    const area = Math.floor(random() * AREAS.length);
    names.push(`${AREAS[area]}::${pick(DEEDS)}${pick(THINGS)}_${i.toString(36)}`);
    areas.push(2 + area);
    kinds.push(area < 4 ? KERNEL : area < 9 ? NATIVE : RUNTIME);
    const callees = random() < 0.15 ? 0 : 1 + Math.floor(random() * 7);
    calls.push(Array.from({ length: callees }, () => Math.floor(random() * functionCount)));
  }
  const entries = Array.from({ length: ENTRIES }, () =>
    Array.from({ length: 6 + Math.floor(random() * 20) }, () => Math.floor(random() * functionCount)));

  const parent = [0], func = [-1], self = [0], place = new Map();
  while (parent.length < count) {
    const entry = entries[skewed(ENTRIES)];
    let node = 0, called = entry[0];
    for (let depth = 1; depth <= DEPTH_MAX; depth++) {
      const key = node * functionCount + called;
      let child = place.get(key);
      if (child === undefined) {
        if (parent.length === count) break;
        child = parent.push(node) - 1;
        place.set(key, child);
        func.push(called);
        self.push(0);
      }
      node = child;
      if (depth < entry.length) called = entry[depth];
      else if (calls[called].length > 0) called = calls[called][skewed(calls[called].length)];
      else break;
    }
    self[node]++;
  }
  return preorder({ names, parent, func, self, first, kinds, areas });
}

function preorder({ names, parent, func, self, first, kinds, areas }) {
  const count = parent.length, total = Float64Array.from(self);
  for (let i = count - 1; i > 0; i--) total[parent[i]] += total[i];
  const start = new Int32Array(count + 1), next = new Int32Array(count), children = new Int32Array(count);
  for (let i = 1; i < count; i++) start[parent[i] + 1]++;
  for (let i = 0; i < count; i++) start[i + 1] += start[i];
  next.set(start.subarray(0, count));
  for (let i = 1; i < count; i++) children[next[parent[i]]++] = i;
  const nodes = {
    parent: new Int32Array(count), name: new Int32Array(count), module: new Int32Array(count), kind: new Uint8Array(count),
    self: new Float64Array(count), total: new Float64Array(count), hidden: new Int32Array(count),
  };
  const open = [[0, 0]];
  for (let at = 0; open.length > 0; at++) {
    const [node, up] = open.pop();
    nodes.parent[at] = up;
    nodes.name[at] = node === 0 ? 1 : first + func[node];
    nodes.module[at] = node === 0 ? 0 : areas[func[node]];
    nodes.kind[at] = node === 0 ? 0 : kinds[func[node]];
    nodes.self[at] = self[node];
    nodes.total[at] = total[node];
    const own = [...children.subarray(start[node], start[node + 1])];
    own.sort((a, b) => (names[first + func[a]] < names[first + func[b]] ? 1 : -1));
    for (const child of own) open.push([child, at]);
  }
  return { names, nodes };
}

/** What a server sends of a tree to a window of so many px: what is wider than half of one, the rest as "more". */
export function pruned({ names, nodes }, width) {
  const floor = nodes.total[0] / (2 * width), count = nodes.parent.length;
  const kept = { parent: [], name: [], module: [], kind: [], self: [], total: [], hidden: [] };
  const put = (parent, name, module, kind, self, total, hidden) => {
    const values = { name, module, kind, self, total, hidden };
    for (const [column, value] of Object.entries(values)) kept[column].push(value);
    return kept.parent.push(parent) - 1;
  };
  const open = []; // the path to the node before: its place there and here, and what was left out below it
  const close = (upTo) => {
    while (open.length > 0 && open[open.length - 1].from !== upTo) {
      const { at, rest, hidden } = open.pop();
      if (hidden > 0) put(at, 0, 0, MORE, rest, rest, hidden);
    }
  };
  const isKept = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const up = nodes.parent[i];
    if (i > 0 && !isKept[up]) continue;
    if (i > 0) close(up);
    const parent = i > 0 ? open[open.length - 1] : null;
    if (parent && nodes.total[i] < floor) {
      parent.rest += nodes.total[i];
      parent.hidden++;
      continue;
    }
    isKept[i] = 1;
    const at = put(parent ? parent.at : 0, nodes.name[i], nodes.module[i], nodes.kind[i], nodes.self[i], nodes.total[i], 0);
    open.push({ from: i, at, rest: 0, hidden: 0 });
  }
  close(-1);
  return { names, nodes: kept };
}
