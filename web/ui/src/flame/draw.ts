// SPDX-License-Identifier: Apache-2.0
// Paints the bars of a layout: the rows that are in the window, nothing else.
import { counted, percentSign } from "../format";
import { color, mixed } from "../theme";
import { fitting } from "./labels";
import type { Layout } from "./layout";
import { CUT, GROUP, isFrame, KERNEL, MORE, NATIVE, nameOf, RUNTIME, type Search, type Tree, UNNAMED } from "./tree";

const LABEL_WIDTH_MIN = 30, SHARE_ROOM_MIN = 190, PAD = 6;
const MEASURED_MAX = 20_000; // texts whose width is remembered

const TOKENS: Record<number, string> = { [KERNEL]: "f-kernel", [NATIVE]: "f-native", [RUNTIME]: "f-runtime" };

export const swatchOf = (kind: number) => TOKENS[kind] ?? (kind === UNNAMED || kind === CUT ? "f-unnamed" : "f-group");

export interface Picture {
  tree: Tree;
  layout: Layout;
  search: Search | null;
  rootName: string;
  hot: number; // nodes, or -1
  selected: number;
}

export class Painter {
  private readonly context: CanvasRenderingContext2D;
  private readonly measured = new Map<string, number>();
  private readonly fills = new Map<number, string>();
  private family = "sans-serif";

  constructor(private readonly canvas: HTMLCanvasElement, readonly rowHeight: () => number) {
    this.context = canvas.getContext("2d")!;
  }

  /** Colours and fonts may have changed. */
  forget() {
    this.fills.clear();
    this.measured.clear();
    this.family = getComputedStyle(document.body).fontFamily;
  }

  private fill(picture: Picture, node: number): string | null {
    const kind = picture.tree.kind[node];
    if (kind === MORE) return null;
    const tint = TOKENS[kind] ? picture.tree.tint[picture.tree.module[node]] ?? 0 : 0;
    const key = kind * 4 + tint;
    let found = this.fills.get(key);
    if (!found) {
      const token = TOKENS[kind];
      found = token ? mixed(token, token + "-2", tint / 3) : color(swatchOf(kind));
      this.fills.set(key, found);
    }
    return found;
  }

  /** top: how far the canvas lies below the graph's first row, in px. */
  paint(picture: Picture, width: number, height: number, top: number) {
    const { canvas, context } = this, ratio = devicePixelRatio || 1;
    const pixelWidth = Math.round(width * ratio), pixelHeight = Math.round(height * ratio);
    if (canvas.width !== pixelWidth) canvas.width = pixelWidth;
    if (canvas.height !== pixelHeight) canvas.height = pixelHeight;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.textBaseline = "middle";
    if (this.measured.size > MEASURED_MAX) this.measured.clear();
    const rowHeight = this.rowHeight(), { layout } = picture;
    const from = Math.max(0, Math.floor(top / rowHeight));
    const to = Math.min(layout.rows, Math.ceil((top + height) / rowHeight));
    for (let row = from; row < to; row++) {
      for (let bar = layout.rowStart[row]; bar < layout.rowStart[row + 1]; bar++) {
        this.bar(picture, bar, row * rowHeight - top, rowHeight - 1);
      }
    }
    for (let row = from; row < to; row++) {
      for (let bar = layout.rowStart[row]; bar < layout.rowStart[row + 1]; bar++) {
        const y = row * rowHeight - top;
        if (inChain(layout, bar, picture.selected)) this.outline(layout.x[bar], y, layout.width[bar], rowHeight - 1, true);
        else if (inChain(layout, bar, picture.hot)) this.outline(layout.x[bar], y, layout.width[bar], rowHeight - 1, false);
      }
    }
  }

  private bar(picture: Picture, bar: number, y: number, height: number) {
    const { context } = this, { tree, layout, search } = picture;
    const node = layout.node[bar], kind = tree.kind[node], x = layout.x[bar];
    const width = Math.max(0.6, layout.width[bar] - (layout.width[bar] > 3 ? 1 : 0));
    const match = search !== null && matches(picture, bar);
    const faded = search !== null && !match && kind >= KERNEL;
    const ground = match ? color("f-match") : faded && kind !== MORE ? color("f-faded") : this.fill(picture, node);
    let ink = color(match ? "f-match-text" : faded ? "f-faded-text" : "f-text");
    if (ground) {
      context.fillStyle = ground;
      context.fillRect(x, y, width, height);
    }
    if (!match && !faded && width > 4) {
      if (kind === UNNAMED) this.hatch(x, y, width, height);
      if (kind === CUT) this.torn(x, y, width);
    }
    if (kind === MORE) {
      ink = color(faded ? "f-faded-text" : "text-2");
      if (width > 2) this.dashes(x, y, width, height);
    }
    if (width >= LABEL_WIDTH_MIN) this.label(picture, bar, x, y, width, height, ink, match);
  }

  private dashes(x: number, y: number, width: number, height: number) {
    const { context } = this;
    context.strokeStyle = color("line-strong");
    context.lineWidth = 1;
    context.setLineDash([3, 3]);
    context.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
    context.setLineDash([]);
  }

  private hatch(x: number, y: number, width: number, height: number) {
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(x, y, width, height);
    context.clip();
    context.strokeStyle = color("f-hatch");
    context.lineWidth = 1;
    context.beginPath();
    for (let at = Math.floor(x / 7) * 7 - height; at < x + width; at += 7) {
      context.moveTo(at, y + height);
      context.lineTo(at + height, y);
    }
    context.stroke();
    context.restore();
  }

  /** A saw edge on the side where the callers are missing. */
  private torn(x: number, y: number, width: number) {
    const { context } = this;
    const edge = new Path2D();
    edge.moveTo(x, y);
    for (let i = 0; i * 4 < width + 4; i++) edge.lineTo(Math.min(x + width, x + i * 4), y + (i % 2 ? 5 : 0));
    const hole = new Path2D(edge);
    hole.lineTo(x + width, y - 1);
    hole.lineTo(x, y - 1);
    context.fillStyle = color("surface");
    context.fill(hole);
    context.strokeStyle = color("line-strong");
    context.lineWidth = 1;
    context.stroke(edge);
  }

  private measure(text: string, font: string): number {
    const key = font + text;
    let width = this.measured.get(key);
    if (width === undefined) {
      this.context.font = font;
      width = this.context.measureText(text).width;
      this.measured.set(key, width);
    }
    return width;
  }

  private label(picture: Picture, bar: number, x: number, y: number, width: number, height: number, ink: string, match: boolean) {
    const { context } = this, { tree, layout } = picture;
    const node = layout.node[bar], kind = tree.kind[node], isTop = kind <= GROUP;
    const font = `${isTop || match ? 600 : 400} 12px ${this.family}`, small = `500 11px ${this.family}`;
    const middle = y + height / 2 + 0.5;
    let room = width - PAD - 5, left = x + PAD;
    context.fillStyle = ink;
    if (room > SHARE_ROOM_MIN || (isTop && room > 90)) {
      const share = percentSign(tree.total[node] / tree.total[0]);
      const shareWidth = this.measure(share, small);
      context.font = small;
      context.fillText(share, x + width - shareWidth - 6, middle);
      room -= shareWidth + 12;
    }
    const folded = node - layout.first[bar];
    if (folded > 0 && room > 90) {
      const mark = "⋯" + folded;
      const markWidth = this.measure(mark, small);
      context.font = small;
      context.fillText(mark, left, middle);
      left += markWidth + 5;
      room -= markWidth + 5;
    }
    const text = fitting(barName(picture, node), kind, room, (part) => this.measure(part, font));
    if (text === null) return;
    context.font = font;
    context.fillText(text, left, middle);
  }

  private outline(x: number, y: number, width: number, height: number, strong: boolean) {
    const { context } = this, line = strong ? 2 : 1.5;
    context.lineWidth = line;
    context.strokeStyle = color(strong ? "accent" : "text");
    context.strokeRect(x + line / 2, y + line / 2, Math.max(1, Math.max(3, width - 1) - line), height - line);
  }
}

const inChain = (layout: Layout, bar: number, node: number) => node >= layout.first[bar] && node <= layout.node[bar];

/** Whether a frame of the bar matches the search; it looks into folded chains. */
export function matches({ tree, layout, search }: Picture, bar: number): boolean {
  if (!search) return false;
  for (let node = layout.first[bar]; node <= layout.node[bar]; node++) {
    if (isFrame(tree.kind[node]) && search.names[tree.name[node]]) return true;
  }
  return false;
}

export function barName({ tree, rootName }: { tree: Tree; rootName: string }, node: number): string {
  const kind = tree.kind[node], name = nameOf(tree, node);
  if (node === 0) return rootName;
  if (kind === MORE) return tree.hidden[node] > 0 ? counted(tree.hidden[node], "more", "more") : "more";
  if (kind === CUT) return "callers missing";
  return name || (kind === GROUP ? "no service" : "unnamed");
}
