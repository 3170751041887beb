// SPDX-License-Identifier: Apache-2.0
// What a value of a profile means: CPU time is said in cores, everything else in its own unit.
import { bytes, cores, count, duration, NARROW } from "./format";

interface Measured {
  unit: string;
  recorded_ms: number;
}

const NS_PER_MS = 1e6;

/** Cores that CPU time stands for. */
export const coresIn = (value: number, { recorded_ms }: Measured) => (recorded_ms > 0 ? value / (recorded_ms * NS_PER_MS) : 0);

export function amount(value: number, answer: Measured): string {
  if (answer.unit === "nanoseconds") return cores(coresIn(value, answer)) + NARROW + "cores";
  if (answer.unit === "bytes") return bytes(value);
  if (answer.unit === "milliseconds") return duration(value);
  return count(value) + (answer.unit && answer.unit !== "count" ? NARROW + answer.unit : "");
}
