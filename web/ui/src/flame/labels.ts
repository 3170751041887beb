// SPDX-License-Identifier: Apache-2.0
// What a bar says as it narrows: shorter and shorter, the tail of the name goes last.

const CUT_LENGTH_MIN = 6; // fewer characters and an ellipsis say nothing
const SUFFIX = /\.(isra|constprop|part|cold|llvm|lto_priv)\b.*$/; // what compilers append

const OPEN: Record<string, string> = { ")": "(", "]": "[", "}": "{" };

/** Without the arguments at the end and what follows them: "f(int) const" is f. */
function withoutArguments(name: string): string {
  const close = name.lastIndexOf(")");
  if (close < 0 || !/^( const| volatile|&|\[clone[^\]]*\])*$/.test(name.slice(close + 1))) return name;
  for (let at = close, depth = 0; at >= 0; at--) {
    if (name[at] === ")") depth++;
    else if (name[at] === "(" && --depth === 0) {
      const rest = name.slice(0, at);
      return rest === "" || /(::|\boperator|\.)$/.test(rest) ? name : rest;
    }
  }
  return name;
}

/** Without template arguments; "operator<", "<init>" and "<module>" are names. */
function withoutTemplates(name: string): string {
  let result = "", depth = 0;
  for (let i = 0; i < name.length; i++) {
    const c = name[i];
    if (c === "<" && (depth > 0 || /\w$/.test(result) && !/\boperator$/.test(result) || i === 0 && name.includes(">::"))) depth++;
    else if (c === ">" && depth > 0 && name[i - 1] !== "-") depth--;
    else if (depth === 0) result += c;
  }
  return depth > 0 || result === "" ? name : result.replace(/^::/, "");
}

/** Parts between separators that stand outside of all brackets. */
function parts(name: string, separator: string): string[] {
  const found: string[] = [], open: string[] = [];
  let start = 0;
  for (let i = 0; i < name.length; i++) {
    const c = name[i];
    if (c === "(" || c === "[" || c === "{") open.push(c);
    else if (OPEN[c] && open[open.length - 1] === OPEN[c]) open.pop();
    else if (open.length === 0 && name.startsWith(separator, i)) {
      found.push(name.slice(start, i));
      start = i + separator.length;
      i = start - 1;
    }
  }
  found.push(name.slice(start));
  return found.filter(Boolean);
}

/** The name and its shorter forms, each shorter than the one before. */
export function forms(name: string): string[] {
  const all: string[] = [];
  const add = (form: string) => {
    if (form && (all.length === 0 || form.length < all[all.length - 1].length)) all.push(form);
  };
  add(name);
  const file = /^(\S+) [^\s()]*[/.:][^\s()]*$/.exec(name); // "resize PIL/Image.py": without the file
  const bare = file ? file[1] : withoutTemplates(withoutArguments(name));
  add(bare);
  const spaces = parts(bare, "::");
  for (let i = 1; i < spaces.length; i++) add(spaces.slice(i).join("::"));
  if (spaces.length > 1) add(spaces[spaces.length - 1].replace(SUFFIX, ""));
  if (spaces.length > 1 || file && !bare.includes(".")) return all;

  const plain = bare.replace(SUFFIX, "");
  const tail = plain.slice(plain.lastIndexOf("/") + 1);
  const dotted = parts(tail, ".");
  if (dotted.length > 2 && tail === plain && !dotted.some((part) => part.startsWith("("))) {
    add(dotted.map((part, i) => (i < dotted.length - 2 ? part[0] : part)).join("."));
    add(dotted.slice(-2).join("."));
  } else if (dotted.length > 1) {
    add(tail);
    add(dotted.slice(1).join("."));
  }
  if (dotted.length > 1) add(dotted[dotted.length - 1]);
  add(plain);
  return all;
}

/** The longest form that fits the room, else the shortest cut at its end, else null. */
export function fitting(name: string, room: number, measure: (text: string) => number): string | null {
  if (measure(name) <= room) return name;
  const all = forms(name);
  for (const form of all) if (form !== name && measure(form) <= room) return form;
  const shortest = all[all.length - 1] ?? name;
  let low = 0, high = shortest.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (measure(shortest.slice(0, middle) + "…") <= room) low = middle;
    else high = middle - 1;
  }
  if (/[\ud800-\udbff]/.test(shortest[low - 1] ?? "")) low--; // not through the middle of a character
  return low >= CUT_LENGTH_MIN ? shortest.slice(0, low).trimEnd() + "…" : null;
}
