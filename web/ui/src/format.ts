// SPDX-License-Identifier: Apache-2.0
// Numbers and times as the page says them: one rule for each kind of number, everywhere.

/** Narrow no-break space: between a number and its unit, and between thousands. */
export const NARROW = "\u202f";
const MINUS = "\u2212";

/** 1.87, 12.4, 128, <0.01: never a zero that is none. */
export function cores(value: number): string {
  if (value > 0 && value < 0.005) return "<0.01";
  if (value < 9.995) return value.toFixed(2);
  return value.toFixed(value < 99.95 ? 1 : 0);
}

/** A fraction in percent, without the sign: 0 and 100 only when exact. */
export function percent(fraction: number): string {
  const value = fraction * 100;
  if (value > 0 && value < 0.05) return "<0.1";
  if (value < 100 && value >= 99.95) return ">99.9";
  return value.toFixed(1);
}

export function percentSign(fraction: number): string {
  return percent(fraction) + NARROW + "%";
}

/** A change, always with its sign. */
export function change(value: number): string {
  if (Math.abs(value) < 0.005) return "0.00";
  return (value > 0 ? "+" : MINUS) + Math.abs(value).toFixed(2);
}

/** Exact, in groups of three: 101 574. */
export function count(value: number): string {
  return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, NARROW);
}

/** "1 frame", "12 frames". */
export function counted(value: number, one: string, many = one + "s"): string {
  return count(value) + " " + (Math.round(value) === 1 ? one : many);
}

/** Three digits and a decimal unit: 486 MB, 1.31 GB. */
export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return value.toFixed(digits) + NARROW + units[unit];
}

const two = (value: number) => String(value).padStart(2, "0");

/** 14:20, or 14:20:08. */
export function clock(timeMs: number, seconds = false): string {
  const time = new Date(timeMs);
  return two(time.getHours()) + ":" + two(time.getMinutes()) + (seconds ? ":" + two(time.getSeconds()) : "");
}

/** 2 Mar, or nothing when that is today. */
function day(timeMs: number, nowMs: number): string {
  const today = new Date(nowMs).toDateString() === new Date(timeMs).toDateString();
  return today ? "" : new Date(timeMs).toLocaleDateString("en-GB", { day: "numeric", month: "short" }) + ", ";
}

/** 02:36, the day only where it is another one. */
export const moment = (timeMs: number, nowMs: number) => day(timeMs, nowMs) + clock(timeMs);

/** 02:36 – 02:45; seconds only below ten minutes, the day only where it is another one. */
export function range(fromMs: number, toMs: number, nowMs: number): string {
  const seconds = toMs - fromMs < 600_000;
  return day(fromMs, nowMs) + clock(fromMs, seconds) + " – " + clock(toMs, seconds);
}

/** In one unit: 2 s, 41 min, 3 h, 12 d. */
export function duration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 99.5) return Math.round(seconds) + NARROW + "s";
  if (seconds < 5970) return Math.round(seconds / 60) + NARROW + "min";
  if (seconds < 172_800) return Math.round(seconds / 3600) + NARROW + "h";
  return Math.round(seconds / 86_400) + NARROW + "d";
}
