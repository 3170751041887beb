// SPDX-License-Identifier: Apache-2.0
// What the colours mean, and how much of the view each is.
import { colourOf, packageOf, swatchOf } from "./colours";
import { byKind, CUT, isCode, KERNEL, KIND_WORDS, moduleOf, nameOf, NATIVE, RUNTIME, type Tree, UNNAMED } from "./tree";
import type { Colouring, LegendEntry } from "./types";

const KINDS = [KERNEL, NATIVE, RUNTIME, UNNAMED, CUT], SHOWN_MAX = 6;

/** Colours and shares of the view, by self time; stacks whose callers are missing count under that. */
export function legendOf(tree: Tree, colouring: Colouring): LegendEntry[] {
  const whole = tree.viewTotal || 1, kinds = byKind(tree);
  const ofKind = (kind: number): LegendEntry => ({
    key: String(kind), words: KIND_WORDS[kind], token: swatchOf(kind), share: kinds[kind] / whole,
  });
  if (colouring === "kind") return KINDS.filter((kind) => kinds[kind] > 0).map(ofKind);
  const sums = new Map<string, number>();
  for (let i = 1; i < tree.count; i++) {
    if (tree.self[i] <= 0 || !isCode(tree.kind[i]) || tree.kind[i] === UNNAMED) continue;
    const module = moduleOf(tree, i), key = colouring === "module" ? module : packageOf(nameOf(tree, i), module);
    sums.set(key, (sums.get(key) ?? 0) + tree.self[i]);
  }
  const sorted = [...sums].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  const shown: LegendEntry[] = sorted.slice(0, SHOWN_MAX).map(([key, sum]) => ({
    key: "of " + key, words: key || "no module", token: `f-${colourOf(key)}`, share: sum / whole,
  }));
  const rest = sorted.slice(SHOWN_MAX).reduce((sum, [, own]) => sum + own, 0);
  if (rest > 0) shown.push({ key: "rest", words: `${sorted.length - SHOWN_MAX} more`, token: "f-group", share: rest / whole });
  return [...shown, ...[UNNAMED, CUT].filter((kind) => kinds[kind] > 0).map(ofKind)];
}
