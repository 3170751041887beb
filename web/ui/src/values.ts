// SPDX-License-Identifier: Apache-2.0
// What a value of a profile means: CPU time is said in cores, everything else in its own unit.
import { bytes, count, duration, NARROW } from "./format";

interface Measured {
  unit: string;
  recorded_ms: number;
}

const NS_PER_MS = 1e6;

/** Cores that CPU time stands for. */
export const coresIn = (value: number, { recorded_ms }: Measured) => (recorded_ms > 0 ? value / (recorded_ms * NS_PER_MS) : 0);

/** Three digits: 12.5 µs, 840 ms, 2.50 s. */
function seconds(ns: number): string {
  const units: [string, number][] = [["ns", 1], ["µs", 1e3], ["ms", 1e6], ["s", 1e9]];
  const [unit, size] = units.filter(([, size]) => ns >= size).pop() ?? units[0];
  const value = ns / size;
  return value.toFixed(unit === "ns" || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2) + NARROW + unit;
}

/** A value of a profile that is not of CPU time. */
export function amount(value: number, answer: Pick<Measured, "unit">): string {
  if (answer.unit === "nanoseconds") return seconds(value);
  if (answer.unit === "bytes") return bytes(value);
  if (answer.unit === "milliseconds") return duration(value);
  return count(value) + (answer.unit && answer.unit !== "count" ? NARROW + answer.unit : "");
}
