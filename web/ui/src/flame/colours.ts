// SPDX-License-Identifier: Apache-2.0
// What colour a frame has, and by which rule.
import { CUT, hash, KERNEL, MORE, moduleOf, nameOf, NATIVE, RUNTIME, type Tree, UNNAMED } from "./tree";
import type { Colouring } from "./types";

export const HUES = ["f-kernel", "f-native", "f-runtime", "f-python", "f-node", "f-go"];
const HUE_OF_KIND: Record<number, number> = { [KERNEL]: 0, [NATIVE]: 1, [RUNTIME]: 2 };
export const SHADES = 4;
const STRANGE = HUES.length * SHADES, STRUCTURE = STRANGE + 1;

/** The custom property of a kind's colour. */
export function swatchOf(kind: number): string {
  const hue = HUE_OF_KIND[kind];
  return hue !== undefined ? HUES[hue] : kind === UNNAMED || kind === CUT ? "f-unnamed" : "f-group";
}

/** The same module has the same shade on every host, every day. */
export const shadeOf = (module: string) => (hash(module) >>> 8) & 3;
/** Of twenty-four, for colouring by module or package alone. */
export const colourOf = (text: string) => ((hash(text) >>> 10) % HUES.length) * SHADES + shadeOf(text);

/** What a function belongs to in its language: a namespace, a package, a file's folder; else its module. */
export function packageOf(name: string, module: string): string {
  const file = /^\S+ (\S+)\/[^/\s]+$/.exec(name); // "resize PIL/Image.py"
  if (file) return file[1];
  const bare = name.replace(/\(.*/, "").replace(/<.*/, "");
  const slash = bare.lastIndexOf("/");
  if (slash > 0) return bare.slice(0, slash + 1) + bare.slice(slash + 1).split(".")[0];
  const space = bare.indexOf("::");
  if (space > 0) return bare.slice(0, space);
  const parts = bare.split(".");
  if (parts.length > 2 && !/^(isra|constprop|part|cold|llvm|lto_priv)$/.test(parts[1])) return parts.slice(0, -2).join(".");
  return module || name;
}

interface Remembered {
  shade: Uint8Array; // by module
  byModule: Uint8Array;
  byPackage: Map<number, number>; // by name and module
}

const remembered = new WeakMap<readonly string[], Remembered>();

function memory(names: readonly string[]): Remembered {
  let found = remembered.get(names);
  if (!found) {
    const unknown = () => new Uint8Array(names.length).fill(255);
    found = { shade: unknown(), byModule: unknown(), byPackage: new Map() };
    remembered.set(names, found);
  }
  return found;
}

/** The place of a node's colour in a palette, or -1 for none. */
export function colourIndex(tree: Tree, node: number, colouring: Colouring): number {
  const kind = tree.kind[node];
  if (kind === MORE) return -1;
  if (kind === UNNAMED || kind === CUT) return STRANGE;
  if (kind < KERNEL) return STRUCTURE;
  const known = memory(tree.names), module = tree.module[node];
  if (colouring === "kind") {
    if (known.shade[module] === 255) known.shade[module] = shadeOf(moduleOf(tree, node));
    return (HUE_OF_KIND[kind] ?? 2) * SHADES + (known.shade[module] ?? 0);
  }
  if (colouring === "module") {
    if (known.byModule[module] === 255) known.byModule[module] = colourOf(moduleOf(tree, node));
    return known.byModule[module] ?? 0;
  }
  const key = tree.name[node] * 0x200000 + module;
  let index = known.byPackage.get(key);
  if (index === undefined) known.byPackage.set(key, (index = colourOf(packageOf(nameOf(tree, node), moduleOf(tree, node)))));
  return index;
}
