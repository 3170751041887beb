// SPDX-License-Identifier: Apache-2.0
// The colours of the theme that is on, as canvases and files want them.
import { mixed } from "../theme";
import { HUES, SHADES } from "./colours";

const INLINED = 0.42; // of the way to the ground

const color = (token: string) => mixed(token, token, 0); // opaque, as SVG wants it

/** Worked out once for a theme; fills go by colourIndex(). */
export class Palette {
  readonly fills: string[] = [];
  readonly fillsInlined: string[] = [];
  readonly stripes: string[] = [];
  readonly text = color("f-text");
  readonly faded = color("f-faded");
  readonly fadedText = color("f-faded-text");
  readonly match = color("f-match");
  readonly matchText = color("f-match-text");
  readonly moreText = color("text-2");
  readonly hatch = color("f-hatch");
  readonly surface = color("surface");
  readonly line = color("line-strong");
  readonly outline = color("text");
  readonly accent = color("accent");
  readonly note = color("text-2");

  constructor() {
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
