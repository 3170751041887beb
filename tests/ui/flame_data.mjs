// SPDX-License-Identifier: Apache-2.0
// Flame graphs of known contents.
export const ROOT = 0, GROUP = 1, KERNEL = 2, NATIVE = 3, RUNTIME = 4, UNNAMED = 5, CUT = 6, MORE = 7;
const LETTERS = { s: GROUP, k: KERNEL, n: NATIVE, r: RUNTIME, u: UNNAMED, t: CUT, m: MORE, i: NATIVE, j: RUNTIME };

/**
 * An answer of the server from stacks: { "s:web;n:main@web;k:read@vmlinux": 12 }, kind, name and module of each frame,
 * the root first. "i:" is an inlined native frame, "j:" one that Java interpreted, "m:9" stands for nine that were left out.
 */
export function answerOf(stacks) {
  const names = ["", "total"], place = new Map([["", 0], ["total", 1]]);
  const nameAt = (name) => {
    if (!place.has(name)) place.set(name, names.push(name) - 1);
    return place.get(name);
  };
  const made = () => ({ self: 0, total: 0, children: new Map() });
  const root = made();
  for (const [stack, value] of Object.entries(stacks)) {
    let node = root;
    root.total += value;
    for (const frame of stack.split(";")) {
      if (!node.children.has(frame)) node.children.set(frame, made());
      node = node.children.get(frame);
      node.total += value;
    }
    node.self += value;
  }
  const nodes = { parent: [], name: [], module: [], kind: [], self: [], total: [], hidden: [], inlined: [], interpreted: [] };
  const put = (node, parent, letter, name, module) => {
    const at = nodes.parent.push(parent) - 1;
    nodes.name.push(letter === "m" ? 0 : nameAt(name));
    nodes.module.push(nameAt(module));
    nodes.kind.push(LETTERS[letter] ?? ROOT);
    nodes.self.push(node.self);
    nodes.total.push(node.total);
    nodes.hidden.push(letter === "m" ? Number(name) : 0);
    nodes.inlined.push(Number(letter === "i"));
    nodes.interpreted.push(Number(letter === "j"));
    // As the server orders them: by name, what was left out last.
    const children = [...node.children].sort(([a], [b]) => Number(a[0] === "m") - Number(b[0] === "m") || (a.slice(2) < b.slice(2) ? -1 : 1));
    for (const [frame, child] of children) {
      const [, kind, text, of] = /^(.):(.*?)(?:@([^@]*))?$/.exec(frame);
      put(child, at, kind, text, of ?? "");
    }
  };
  put(root, 0, "", "total", "");
  return { names, nodes };
}

const PG = "s:postgresql;n:_start@postgres;n:main@postgres;n:PostmasterMain@postgres;n:ServerLoop@postgres;n:PostgresMain@postgres;n:exec_simple_query@postgres";
const BACKUP = "s:backup;n:_start@pg_dump;n:main@pg_dump;n:dumpTableData_copy@pg_dump";
const ZSTD = `${BACKUP};n:WriteDataToArchiveZstd@pg_dump;n:ZSTD_compressStream2@libzstd.so.1.5;n:ZSTD_compressBlock_btlazy2@libzstd.so.1.5`;
const SYSCALL = "k:entry_SYSCALL_64_after_hwframe@vmlinux;k:do_syscall_64@vmlinux";
const JAVA = "s:search;r:java.lang.Thread.run@java;r:org.apache.lucene.search.IndexSearcher.search@lucene-core.jar";

/** A host with some of everything: 1000 samples. */
export const HOST = answerOf({
  [`${ZSTD};n:ZSTD_BtFindBestMatch@libzstd.so.1.5;i:ZSTD_insertDUBT1@libzstd.so.1.5`]: 110,
  [`${ZSTD};n:ZSTD_BtFindBestMatch@libzstd.so.1.5;i:ZSTD_count@libzstd.so.1.5`]: 60,
  [`${ZSTD};n:ZSTD_BtFindBestMatch@libzstd.so.1.5`]: 120,
  [`${ZSTD};n:HUF_compress4X_repeat@libzstd.so.1.5`]: 40,
  [`${BACKUP};n:PQgetCopyData@libpq.so.5;n:pqGetCopyData3@libpq.so.5;n:__libc_recv@libc.so.6;${SYSCALL};k:__x64_sys_recvfrom@vmlinux;k:tcp_recvmsg@vmlinux`]: 70,
  [`${BACKUP};n:__libc_write@libc.so.6;${SYSCALL};k:vfs_write@vmlinux;k:ext4_file_write_iter@vmlinux`]: 80,
  [`${PG};n:PortalRun@postgres;n:ExecAgg@postgres;n:hash_search_with_hash_value@postgres`]: 90,
  [`${PG};n:PortalRun@postgres;n:ExecAgg@postgres`]: 30,
  [`${PG};n:PortalRun@postgres;n:ExecScan@postgres;n:heap_getnext@postgres;n:__libc_read@libc.so.6;${SYSCALL};k:vfs_read@vmlinux`]: 40,
  [`${PG};m:143`]: 31,
  [`${JAVA};r:org.apache.lucene.search.TermScorer.score@lucene-core.jar`]: 50,
  [`${JAVA};j:org.apache.lucene.util.packed.PackedInts.get@lucene-core.jar`]: 25,
  "s:ingest;r:main.main@ingest;r:github.com/acme/ingest/pipeline.(*Batch).Flush@ingest;r:compress/flate.(*compressor).deflate@ingest": 60,
  "s:ingest;r:main.main@ingest;r:main.fib@ingest;r:main.fib@ingest;r:main.fib@ingest": 20,
  "s:ingest;r:main.main@ingest;r:main.fib@ingest": 10,
  "s:thumbs;r:resize PIL/Image.py@python3.11;u:0x7f21@libimaging.so": 44,
  "s:db;n:std::map<int, std::string>::find(int const&) const@db;n:ns::(anonymous namespace)::compare(int, int)@db": 40,
  "t:;n:lost_caller@libx.so;n:work@libx.so": 30,
  "t:;n:other_lost@libx.so": 20,
  "k:swapper@vmlinux;k:do_idle@vmlinux": 29,
  "m:12": 1,
});

/** The server's sandwich of a function; built by hand, so that nothing of ours works out what it is compared with. */
export const SANDWICH = {
  names: ["", "read", "libc", "main", "web", "shell", "vfs_read", "vmlinux"],
  callers: { parent: [0, 0, 1, 0], name: [1, 3, 4, 5], module: [2, 4, 0, 0], kind: [3, 3, 1, 1], self: [0, 0, 60, 40], total: [100, 60, 60, 40], hidden: [0, 0, 0, 0] },
  callees: { parent: [0, 0], name: [1, 6], module: [2, 7], kind: [3, 2], self: [30, 70], total: [100, 70], hidden: [0, 0] },
};
