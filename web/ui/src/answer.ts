// SPDX-License-Identifier: Apache-2.0
// The sentence above everything, made of the numbers below it.
import type { Changes, ProcessRow, Processes } from "./api";
import { cores, count } from "./format";

const QUIET_SHARE = 0.05; // of the host's CPUs: below it nothing is worth a name
const GROWTH_MIN = 0.1; // cores

export const serviceName = (row: { service_name?: string }) => row.service_name || "no service";

export function nameOf(row: ProcessRow): string {
  if (row.processes !== undefined) return serviceName(row);
  return row.process_name || (row.pid === undefined ? row.service_name || "unknown" : `pid ${row.pid}`);
}

/** "up 0.80 from the half hour before": only where it is worth saying. */
function growth(row: ProcessRow, changes: Changes | null): string {
  const found = changes?.rows.find((one) => (one.service_name ?? "") === (row.service_name ?? ""));
  if (!found || row.processes === undefined || changes!.base_recorded_ms <= 0) return "";
  const by = found.cores - found.base_cores;
  if (Math.abs(by) < GROWTH_MIN) return "";
  return `, ${by > 0 ? "up" : "down"} ${cores(Math.abs(by))} from the time before`;
}

export function answer(table: Processes, isPast: boolean, changes: Changes | null = null): string {
  const busy = `${cores(table.cores)} of ${count(table.cpus)} ${table.cpus === 1 ? "core" : "cores"}`;
  const top = table.rows[0];
  if (!top || table.cores === 0) return `${busy} busy.`;
  const were = isPast ? " were" : "";
  if (!isPast && table.cores < table.cpus * QUIET_SHARE) return `Nothing unusual: ${busy} busy.`;
  if (top.cores >= table.cores * 0.9) return `${busy}${were} busy, nearly all of it ${nameOf(top)}${growth(top, changes)}.`;
  return `${busy}${were} busy. ${nameOf(top)} ${isPast ? "used" : "uses"} ${cores(top.cores)}${growth(top, changes)}.`;
}
