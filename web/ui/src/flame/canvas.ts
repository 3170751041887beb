// SPDX-License-Identifier: Apache-2.0
// Bars onto a canvas: the rows that are in the window, colour by colour.
import type { Palette } from "./palette";
import { Bar, BOLD, describe, HATCH_STEP, type Picture, SMALL, STRIPE, TOOTH, topOf } from "./draw";

const MEASURED_MAX = 5_000; // texts whose width is remembered
const PLAIN_MAX = 0x250, ELLIPSIS = 0x2026; // below: letters that stand for themselves, whatever is next to them

/** Where bars are while a zoom is on its way: x · scale + shift, y + drop. */
export interface Motion {
  scale: number;
  shift: number;
  drop: number;
}

export class Painter {
  private readonly context: CanvasRenderingContext2D;
  private measured = [0, 1, 2].map(() => new Map<string, number>());
  private advances = [0, 1, 2].map(() => new Float64Array(PLAIN_MAX + 1));
  private fonts = ["12px sans-serif", "600 12px sans-serif", "500 11px sans-serif"];
  private font = -1;
  private readonly bar = new Bar();

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.context = canvas.getContext("2d")!;
  }

  /** Fonts may have changed. */
  forget(family = getComputedStyle(document.body).fontFamily) {
    this.fonts = [`400 12px ${family}`, `600 12px ${family}`, `500 11px ${family}`];
    for (const widths of this.measured) widths.clear();
    for (const advances of this.advances) advances.fill(0);
    this.font = -1;
  }

  /**
   * Asking the canvas how wide a text is costs more than drawing it. Bars are labelled without kerning and ligatures, so
   * a plain text is as wide as its letters together, and each letter is asked about once.
   */
  readonly measure = (text: string, font: number): number => {
    const advances = this.advances[font];
    let width = 0;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i), place = code === ELLIPSIS ? PLAIN_MAX : code;
      if (place > PLAIN_MAX) return this.measureWhole(text, font);
      width += advances[place] || (advances[place] = this.ask(text[i], font));
    }
    return width;
  };

  private measureWhole(text: string, font: number): number {
    const widths = this.measured[font];
    let width = widths.get(text);
    if (width === undefined) {
      if (widths.size > MEASURED_MAX) widths.clear();
      widths.set(text, (width = this.ask(text, font)));
    }
    return width;
  }

  private ask(text: string, font: number): number {
    this.setFont(font);
    return this.context.measureText(text).width;
  }

  private setFont(font: number) {
    if (font === this.font) return;
    this.font = font;
    this.context.font = this.fonts[font];
    this.context.fontKerning = "none";
    this.context.textRendering = "optimizeSpeed";
  }

  resize(width: number, height: number, ratio: number) {
    const pixelWidth = Math.round(width * ratio), pixelHeight = Math.round(height * ratio);
    if (this.canvas.width !== pixelWidth || this.canvas.height !== pixelHeight) {
      this.canvas.width = pixelWidth;
      this.canvas.height = pixelHeight; // which empties it
      this.font = -1;
      this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    } else {
      this.context.clearRect(0, 0, width, height);
    }
  }

  /** top: how far the canvas lies below the graph's first row, in px. */
  paint(picture: Picture, palette: Palette, width: number, height: number, top: number, motion: Motion | null = null) {
    const { layout, rowHeight } = picture, { bar } = this;
    const { scale, shift, drop } = motion ?? { scale: 1, shift: 0, drop: 0 };
    const rects = new Map<string, number[]>(), texts: { ink: string; font: number; text: string; x: number; y: number }[] = [];
    const details: (() => void)[] = [];
    for (let row = 0; row < layout.rows; row++) {
      const y = topOf(picture, row) - top + drop;
      if (y + rowHeight <= 0 || y >= height) continue;
      for (let at = layout.rowStart[row]; at < layout.rowStart[row + 1]; at++) {
        const x = layout.x[at] * scale + shift, own = layout.width[at] * scale;
        if (x + own < 0 || x > width) continue;
        // Of what is partly outside, only what is inside: its name stays in sight.
        const left = Math.max(0, x), right = Math.min(width, x + own);
        describe(picture, palette, at, left, y, right - left, this.measure, bar);
        if (bar.fill) {
          const list = rects.get(bar.fill);
          if (list) list.push(bar.x, bar.y, bar.width);
          else rects.set(bar.fill, [bar.x, bar.y, bar.width]);
        }
        this.collect(palette, details);
        const middle = y + bar.height / 2 + 0.5;
        if (bar.share) texts.push({ ink: bar.ink, font: SMALL, text: bar.share, x: bar.shareX, y: middle });
        if (bar.folded) texts.push({ ink: bar.ink, font: SMALL, text: bar.folded, x: bar.x + 6, y: middle });
        if (bar.name) texts.push({ ink: bar.ink, font: bar.font, text: bar.name, x: bar.nameX, y: middle });
      }
    }
    const { context } = this;
    for (const [fill, list] of rects) {
      context.fillStyle = fill;
      for (let i = 0; i < list.length; i += 3) context.fillRect(list[i], list[i + 1], list[i + 2], rowHeight - 1);
    }
    for (const detail of details) detail();
    context.textBaseline = "middle";
    texts.sort((a, b) => a.font - b.font || (a.ink < b.ink ? -1 : a.ink > b.ink ? 1 : 0));
    for (const { ink, font, text, x, y } of texts) {
      this.setFont(font);
      context.fillStyle = ink;
      context.fillText(text, x, y);
    }
  }

  private collect(palette: Palette, details: (() => void)[]) {
    const { x, y, width, height, stripe, isHatched, torn, isDashed } = this.bar;
    if (isHatched) details.push(() => this.hatch(palette, x, y, width, height));
    if (torn) details.push(() => this.torn(palette, x, torn < 0 ? y : y + height, width, -torn));
    if (isDashed) details.push(() => this.dashes(palette, x, y, width, height));
    if (stripe) {
      details.push(() => {
        this.context.fillStyle = stripe;
        this.context.fillRect(x, y, STRIPE, height);
      });
    }
  }

  private dashes(palette: Palette, x: number, y: number, width: number, height: number) {
    const { context } = this;
    context.strokeStyle = palette.line;
    context.lineWidth = 1;
    context.setLineDash([3, 3]);
    context.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
    context.setLineDash([]);
  }

  private hatch(palette: Palette, x: number, y: number, width: number, height: number) {
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(x, y, width, height);
    context.clip();
    context.strokeStyle = palette.hatch;
    context.lineWidth = 1;
    context.beginPath();
    for (let at = Math.floor(x / HATCH_STEP) * HATCH_STEP - height; at < x + width; at += HATCH_STEP) {
      context.moveTo(at, y + height);
      context.lineTo(at + height, y);
    }
    context.stroke();
    context.restore();
  }

  /** A saw edge where the callers are missing. into: 1 downwards from the edge, -1 upwards. */
  private torn(palette: Palette, x: number, edge: number, width: number, into: number) {
    const { context } = this, saw = new Path2D();
    saw.moveTo(x, edge);
    for (let i = 0; i * TOOTH < width + TOOTH; i++) saw.lineTo(Math.min(x + width, x + i * TOOTH), edge + (i % 2 ? 5 * into : 0));
    const hole = new Path2D(saw);
    hole.lineTo(x + width, edge - into);
    hole.lineTo(x, edge - into);
    context.fillStyle = palette.surface;
    context.fill(hole);
    context.strokeStyle = palette.line;
    context.lineWidth = 1;
    context.stroke(saw);
  }

  /** Words above the graph of a picture for export. */
  words(palette: Palette, text: string, x: number, y: number, isTitle: boolean) {
    this.setFont(isTitle ? BOLD : SMALL);
    this.context.textBaseline = "alphabetic";
    this.context.fillStyle = isTitle ? palette.outline : palette.note;
    this.context.fillText(text, x, y);
  }

  ground(colour: string, width: number, height: number) {
    this.context.fillStyle = colour;
    this.context.fillRect(0, 0, width, height);
  }
}
