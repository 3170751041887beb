// SPDX-License-Identifier: Apache-2.0
// Which frames a search finds. Names are asked once each, however many frames have them.
import { isFrame, type Tree } from "./tree";

export interface Search {
  names: Uint8Array; // by place in names: whether it matches
  frames: number; // matching nodes
  total: number; // their time, each stack counted once
}

/** The pattern of a search; null for nothing to look for, and for what is no pattern. Case does not matter. */
export function patternOf(text: string, isPattern: boolean): RegExp | null {
  if (!text) return null;
  try {
    return new RegExp(isPattern ? text : text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"), "i");
  } catch {
    return null;
  }
}

export function namesFound(names: readonly string[], pattern: RegExp): Uint8Array {
  const found = new Uint8Array(names.length);
  for (let i = 0; i < names.length; i++) if (pattern.test(names[i])) found[i] = 1;
  return found;
}

export function searchFor(tree: Tree, text: string, isPattern: boolean): Search | null {
  const pattern = patternOf(text, isPattern);
  if (!pattern) return null;
  const names = namesFound(tree.names, pattern);
  const { kind, name, total, end } = tree;
  let frames = 0, sum = 0;
  let inside = 0; // the end of the outermost match that is open
  for (let i = 1; i < tree.count; i++) {
    if (names[name[i]] === 0 || !isFrame(kind[i])) continue;
    frames++;
    if (i < inside) continue;
    sum += total[i];
    inside = end[i];
  }
  return { names, frames, total: sum };
}
