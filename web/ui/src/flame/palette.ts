// SPDX-License-Identifier: Apache-2.0
// The colours of the theme that is on, as canvases and files want them.
import { HUES, SHADES } from "./colours";

const INLINED = 0.42; // of the way to the ground

type Rgb = [number, number, number];

const TOKENS = [
  ...HUES, ...HUES.map((hue) => hue + "-2"), "f-unnamed", "f-group", "f-text", "f-faded", "f-faded-text", "f-match", "f-match-text",
  "f-hatch", "surface", "line-strong", "text", "text-2",
];

/** What style sheets say, all at once: each question of its own would make the browser work out the page's styles anew. */
function colours(): Map<string, Rgb> {
  const probe = document.createElement("span");
  for (const token of TOKENS) probe.appendChild(document.createElement("i")).style.color = `var(--${token})`;
  document.body.append(probe);
  const found = new Map<string, Rgb>();
  TOKENS.forEach((token, i) => {
    const parts = getComputedStyle(probe.children[i]).color.match(/[\d.]+/g) ?? [];
    found.set(token, [Number(parts[0] ?? 0), Number(parts[1] ?? 0), Number(parts[2] ?? 0)]);
  });
  probe.remove();
  return found;
}

/** Worked out once for a theme; fills go by colourIndex(). */
export class Palette {
  readonly fills: string[] = [];
  readonly fillsInlined: string[] = [];
  readonly stripes: string[] = [];
  readonly text: string;
  readonly faded: string;
  readonly fadedText: string;
  readonly match: string;
  readonly matchText: string;
  readonly moreText: string;
  readonly hatch: string;
  readonly surface: string;
  readonly line: string;
  readonly outline: string;
  readonly note: string;

  constructor() {
    const known = colours();
    const mixed = (from: string, to: string, part: number) => {
      const a = known.get(from)!, b = known.get(to)!;
      return `rgb(${a.map((value, i) => Math.round(value + (b[i] - value) * part)).join()})`;
    };
    const color = (token: string) => mixed(token, token, 0); // opaque, as SVG wants it
    this.text = color("f-text");
    this.faded = color("f-faded");
    this.fadedText = color("f-faded-text");
    this.match = color("f-match");
    this.matchText = color("f-match-text");
    this.moreText = this.note = color("text-2");
    this.hatch = color("f-hatch");
    this.surface = color("surface");
    this.line = color("line-strong");
    this.outline = color("text");
    for (const hue of HUES) {
      for (let shade = 0; shade < SHADES; shade++) {
        this.fills.push(mixed(hue, hue + "-2", shade / (SHADES - 1)));
        this.fillsInlined.push(mixed(hue, "surface", INLINED));
        this.stripes.push(color(hue));
      }
    }
    this.fills.push(color("f-unnamed"), color("f-group"));
    this.fillsInlined.push(color("f-unnamed"), color("f-group"));
    this.stripes.push(color("f-hatch"), color("f-hatch"));
  }
}
