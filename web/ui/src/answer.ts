// SPDX-License-Identifier: Apache-2.0
// The sentence above everything, made of the numbers below it.
import type { ProcessRow, Processes } from "./api";
import { cores, count } from "./format";

const QUIET_SHARE = 0.05; // of the host's CPUs: below it nothing is worth a name

export const nameOf = (row: ProcessRow) =>
  row.process_name || (row.pid === undefined ? row.service_name || "unknown" : `pid ${row.pid}`);

export function answer(table: Processes, past: boolean): string {
  const busy = `${cores(table.cores)} of ${count(table.cpus)} ${table.cpus === 1 ? "core" : "cores"}`;
  const top = table.rows[0];
  if (!top || table.cores === 0) return `${busy} busy`;
  if (table.cores < table.cpus * QUIET_SHARE) return `Nothing unusual: ${busy} busy`;
  const were = past ? " were" : "";
  if (top.cores >= table.cores * 0.9) return `${busy}${were} busy, nearly all of it ${nameOf(top)}`;
  if (top.cores >= table.cores * 0.5) return `${busy}${were} busy, most of it ${nameOf(top)}`;
  const use = past ? "used" : "uses";
  return `${busy}${were} busy. ${nameOf(top)} ${use} the most, ${cores(top.cores)}`;
}
