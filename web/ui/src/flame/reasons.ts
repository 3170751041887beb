// SPDX-License-Identifier: Apache-2.0
// Why stacks end early, by the words that base/verdict.c has for it, and what helps.
import { CUT, nameOf, type Tree } from "./tree";

const HELP: Record<string, string> = {
  "deeper than 512 frames": "Mostly recursion. The outermost frames are left out, the innermost 512 are here.",
  "return address in no code": "Code that was unloaded meanwhile, or a stack that its program makes in a way of its own.",
  "no unwind information": "The code has neither unwind tables nor a frame pointer: assembler, or a file stripped of .eh_frame. -fno-omit-frame-pointer helps, or for Rust with panic=abort -C force-unwind-tables=yes.",
  "code made at run time": "A JIT that keeps no frame pointers. Java has -XX:+PreserveFramePointer, node --interpreted-frames-native-stack.",
  "unwind rule not supported": "Its unwind information needs a calculation that Hearth does not make in the kernel.",
  "stack not readable": "A page of the stack was not in memory, or it was overwritten.",
  "stack does not lead up": "The caller would lie below its callee: a coroutine that changed stacks, or unwind information of another file.",
  "program was new": "Sampled before the unwind tables of its files were there. They are kept on disk, so that the next run has them at once.",
};

/** "no unwind information" of "[truncated: no unwind information]"; "" where it was not recorded. */
export const reasonOf = (name: string) => /^\[truncated: (.*)\]$/.exec(name)?.[1] ?? "";

export const helpOf = (reason: string) => HELP[reason] ?? "The stack could not be walked further: who called is unknown.";

/** What share of the view's time each reason cut, the largest first. */
export function cutsOf(tree: Tree): { reason: string; share: number }[] {
  const sums = new Map<string, number>(), whole = tree.viewTotal || 1;
  for (let i = 0; i < tree.count; i++) {
    if (tree.kind[i] !== CUT) continue;
    const reason = reasonOf(nameOf(tree, i)) || "callers missing";
    sums.set(reason, (sums.get(reason) ?? 0) + tree.total[i]);
  }
  return [...sums].map(([reason, sum]) => ({ reason, share: sum / whole })).sort((a, b) => b.share - a.share);
}
