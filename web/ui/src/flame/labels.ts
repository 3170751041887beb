// SPDX-License-Identifier: Apache-2.0
// What a bar says as it narrows: shorter and shorter, the tail of the name goes last.
import { RUNTIME } from "./tree";

const CUT_LENGTH_MIN = 6; // fewer characters and an ellipsis say nothing

/** The name and its shorter forms, each at most as long as the one before. */
export function forms(name: string, kind: number): string[] {
  const all = [name];
  const bare = name.replace(/\(.*\)( const)?$/, "").replace(/<.*>/, "");
  if (bare !== name && bare) all.push(bare);
  if (kind === RUNTIME) {
    const alone = bare.split(" ")[0]; // "resize PIL/Image.py": without the file
    if (alone !== bare && alone) all.push(alone);
    const tail = alone.split("/").pop() ?? alone;
    const parts = tail.split(".");
    if (parts.length > 2) {
      all.push(parts.map((part, i) => (i < parts.length - 2 ? part.slice(0, 1) : part)).join("."));
      all.push(parts.slice(-2).join("."));
    } else if (tail !== alone) {
      all.push(tail);
    }
    if (parts.length > 1) all.push(parts[parts.length - 1]);
  } else {
    const parts = bare.split("::");
    for (let i = 1; i < parts.length; i++) all.push(parts.slice(i).join("::"));
    const plain = (parts.pop() ?? bare).replace(/\.(isra|constprop|part|cold|llvm)(\.\d+)?.*$/, "");
    if (plain && plain !== all[all.length - 1]) all.push(plain);
  }
  return all.filter((form) => form !== "");
}

/** The longest form that fits the room, else the shortest cut at its end, else null. */
export function fitting(name: string, kind: number, room: number, measure: (text: string) => number): string | null {
  if (measure(name) <= room) return name;
  const all = forms(name, kind);
  for (const form of all) if (measure(form) <= room) return form;
  const shortest = all[all.length - 1] ?? name;
  let low = 0, high = shortest.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (measure(shortest.slice(0, middle) + "…") <= room) low = middle;
    else high = middle - 1;
  }
  return low >= CUT_LENGTH_MIN ? shortest.slice(0, low) + "…" : null;
}
