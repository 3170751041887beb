// SPDX-License-Identifier: Apache-2.0
// The canvas of the timeline: stacked bands, hatched gaps that say why, and the time that is shown.
import uPlot from "uplot";
import type { Gap, Timeline } from "./api";
import { clock, cores, duration, range as rangeWords } from "./format";
import { hueOf, REST_HUE } from "./parts";
import type { Range } from "./state";
import { color } from "./theme";
import { amount } from "./values";

const DRAG_MIN_PX = 6, UNRECORDED_STEPS_MIN = 3;

/** Of the page's own making: nothing is known of the time before the first sample. */
const BEFORE = "before";

const REASONS: Record<string, string> = {
  not_running: "hearth was not running",
  suspended: "the host was suspended",
  stopped: "recording was stopped",
  host_off: "the host was off",
  given_up: "recording had been given up",
};

export const reasonOf = (gap: Gap) => REASONS[gap.reason] ?? "nothing recorded";

export interface Band {
  name: string;
  hue: string;
  values: (number | null)[]; // cores; or what the type counts, in its unit
}

/** Whether the values are no cores. */
export const isOwnUnit = (answer: Timeline) => answer.series.some((row) => row.values);

/** A value of the bands in words. */
export const sayValue = (answer: Timeline, value: number) => (isOwnUnit(answer) ? amount(value, answer) : cores(value));

/** The services in the order in which they first appeared: bands do not change places. */
export function bandsOf(answer: Timeline, label: string, order: string[]): Band[] {
  const nameless = label === "service_name" ? "no service" : "no name";
  const found = new Map(answer.series.map((row) => [row.labels[label] ?? nameless, row.values ?? row.cores]));
  for (const name of found.keys()) if (!order.includes(name)) order.push(name);
  const bands: Band[] = order.filter((name) => found.has(name)).map((name) => ({ name, hue: hueOf(name), values: found.get(name)! }));
  if (answer.more && answer.more.rows > 0) bands.push({ name: "others", hue: REST_HUE, values: answer.more.values ?? answer.more.cores });
  return bands;
}

/** Stacked: each line is the sum of its band and those below. Where nothing was recorded, none, and
 * none for a step that is not yet over: it would look like a fall. */
function stacked(answer: Timeline, bands: Band[], newestMs: number): uPlot.AlignedData {
  const count = Math.max(0, ...bands.map((band) => band.values.length));
  const times = Array.from({ length: count }, (_, i) => (answer.from_ms + (i + 0.5) * answer.step_ms) / 1000);
  const recorded = times.map((_, i) => answer.from_ms + (i + 1) * answer.step_ms <= newestMs &&
    bands.some((band) => (band.values[i] ?? null) !== null));
  const sum = new Array<number>(count).fill(0);
  const lines = bands.map((band) => recorded.map((is, i) => (is ? (sum[i] += band.values[i] ?? 0) : null)));
  return [times, ...lines];
}

/** The server's gaps, and stretches without values that it gave no reason for. */
function gapsOf(answer: Timeline, data: uPlot.AlignedData): Gap[] {
  const gaps = [...answer.gaps];
  const line = data[1] ?? [];
  for (let i = 0; i < line.length; i++) {
    if (line[i] !== null) continue;
    let end = i;
    while (end < line.length && line[end] === null) end++;
    const from = answer.from_ms + i * answer.step_ms, to = answer.from_ms + end * answer.step_ms;
    const isKnown = answer.gaps.some((gap) => gap.from_ms < to && gap.to_ms > from);
    // The newest seconds are still on their way.
    if (!isKnown && end - i >= UNRECORDED_STEPS_MIN) gaps.push({ from_ms: from, to_ms: to, reason: i === 0 ? BEFORE : "" });
    i = end;
  }
  return gaps;
}

/** A label there would be cut by the edge, or lie on that of the other axis. */
function isNearEdge(plot: uPlot, time: number): boolean {
  const { min, max } = plot.scales.x;
  if (min == null || max == null) return false;
  const perPixel = (max - min) / plot.width;
  return (max - time) / perPixel < 26 || (time - min) / perPixel < 26;
}

export interface Shown {
  context: Range;
  marked: Range; // what tables and graphs are of
  isPicked: boolean; // by hand; else it moves with the clock
  isLive: boolean;
  newestMs: number;
}

export interface ChartEvents {
  pick(range: Range): void;
  hover(place: number | null): void; // of the values under the pointer
  laidOut(left: number, width: number): void; // of the plot in its box, px
}

export class Chart {
  private plot: uPlot | null = null;
  private shape = "";
  private answer: Timeline | null = null;
  private bands: Band[] = [];
  private gaps: Gap[] = [];
  private shown: Shown | null = null;
  private readonly family = getComputedStyle(document.body).fontFamily;
  private readonly watcher: ResizeObserver;

  constructor(private readonly box: HTMLElement, private readonly height: number, private readonly tell: ChartEvents) {
    this.watcher = new ResizeObserver(() => this.plot?.setSize({ width: box.clientWidth, height }));
    this.watcher.observe(box);
  }

  destroy() {
    this.watcher.disconnect();
    this.plot?.destroy();
  }

  restyle() {
    this.plot?.redraw(false);
  }

  /** Other marks over the same values. */
  mark(shown: Shown) {
    this.shown = shown;
    this.plot?.redraw(false);
  }

  show(answer: Timeline, bands: Band[], shown: Shown) {
    const data = stacked(answer, bands, shown.newestMs);
    this.bands = bands;
    this.gaps = gapsOf(answer, data);
    this.shown = shown;
    this.answer = answer;
    const shape = `${bands.length} ${isOwnUnit(answer) ? answer.unit : ""}`;
    if (this.plot && this.shape === shape) {
      this.plot.setData(data);
    } else {
      this.plot?.destroy();
      this.shape = shape;
      this.plot = new uPlot(this.options(), data, this.box);
    }
    this.plot.setScale("x", { min: shown.context.from / 1000, max: shown.context.to / 1000 });
  }

  private options(): uPlot.Options {
    const font = `11px ${this.family}`, isOwn = this.answer !== null && isOwnUnit(this.answer);
    const axis = { stroke: () => color("text-3"), font, ticks: { show: false } };
    const lines = this.bands.map((_, i): uPlot.Series => ({
      stroke: () => color(this.bands[i]?.hue ?? REST_HUE),
      fill: () => color(this.bands[i]?.hue ?? REST_HUE, 0.42),
      width: 1.25,
      points: { show: false },
    }));
    return {
      width: this.box.clientWidth, height: this.height,
      padding: [8, 1, 0, 0],
      legend: { show: false },
      series: [{}, ...lines],
      bands: lines.slice(1).map((_, i): uPlot.Band => ({ series: [i + 2, i + 1] })),
      scales: {
        x: { time: true },
        y: { range: (_plot, _low, high) => [0, Math.max(isOwn ? 4 : 0.1, (high || 0) * 1.12)] },
      },
      axes: [
        { ...axis, size: 22, gap: 4, space: 90, grid: { show: false }, values: (plot, at, _axis, _space, step) => at.map((s) => (isNearEdge(plot, s) ? "" : clock(s * 1000, step < 60))) },
        { ...axis, size: isOwn ? 62 : 34, gap: 6, space: 30, grid: { stroke: () => color("line"), width: 1 }, values: (_plot, at) => at.map((v) => (isOwn ? amount(v, this.answer!) : String(Math.round(v * 100) / 100))) },
      ],
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false, dist: DRAG_MIN_PX } },
      hooks: {
        drawClear: [(plot) => this.behind(plot)],
        draw: [(plot) => this.before(plot)],
        setCursor: [(plot) => this.tell.hover(plot.cursor.idx ?? null)],
        ready: [(plot) => this.laidOut(plot)],
        setSize: [(plot) => this.laidOut(plot)],
        setSelect: [(plot) => this.selected(plot)],
      },
    };
  }

  private selected(plot: uPlot) {
    const { left, width } = plot.select;
    if (width < DRAG_MIN_PX) return;
    const at = (x: number) => Math.round(plot.posToVal(x, "x") * 1000);
    const to = at(left + width), from = at(left);
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.tell.pick({ from, to });
  }

  private laidOut(plot: uPlot) {
    const ratio = devicePixelRatio || 1;
    this.tell.laidOut(plot.bbox.left / ratio, plot.bbox.width / ratio);
  }

  private span(plot: uPlot, fromMs: number, toMs: number): [number, number] {
    const { left, width } = plot.bbox;
    const clamp = (x: number) => Math.max(left, Math.min(left + width, x));
    return [clamp(plot.valToPos(fromMs / 1000, "x", true)), clamp(plot.valToPos(toMs / 1000, "x", true))];
  }

  private behind(plot: uPlot) {
    const { ctx } = plot, { top, height } = plot.bbox, ratio = devicePixelRatio || 1;
    for (const gap of this.gaps) {
      const [from, to] = this.span(plot, gap.from_ms, gap.to_ms);
      if (to - from < 1) continue;
      ctx.save();
      ctx.beginPath();
      ctx.rect(from, top, to - from, height);
      ctx.clip();
      ctx.strokeStyle = color("line");
      ctx.lineWidth = 2.5 * ratio;
      ctx.beginPath();
      for (let x = from - height; x < to; x += 8 * ratio) {
        ctx.moveTo(x, top + height);
        ctx.lineTo(x + height, top);
      }
      ctx.stroke();
      ctx.setLineDash([2 * ratio, 3 * ratio]);
      ctx.strokeStyle = color("line-strong");
      ctx.lineWidth = ratio;
      ctx.strokeRect(from + 0.5, top + 0.5, to - from - 1, height - 1);
      ctx.restore();
    }
  }

  private before(plot: uPlot) {
    const { ctx } = plot, { top } = plot.bbox, ratio = devicePixelRatio || 1;
    ctx.save();
    ctx.font = `500 ${11 * ratio}px ${this.family}`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left"; // the axes centre theirs
    let free = plot.bbox.left; // words do not lie on words
    const flag = this.flagAt(plot);
    for (const gap of [...this.gaps].sort((a, b) => a.from_ms - b.from_ms)) {
      const [from, to] = this.span(plot, gap.from_ms, gap.to_ms);
      const words = gap.reason === BEFORE ? `nothing recorded before ${clock(gap.to_ms)}` : `${reasonOf(gap)}, ${duration(gap.to_ms - gap.from_ms)}`;
      const wide = ctx.measureText(words).width + 12 * ratio, right = plot.bbox.left + plot.bbox.width;
      // Inside, else beside it: to the right, or to the left when there the chart ends.
      let x = to + 4 * ratio;
      if (to - from >= wide + 8 * ratio) x = from + 6 * ratio;
      else if (x + wide > right) x = from - wide - 4 * ratio;
      if (to - from < 1 || x < free) continue;
      free = x + wide;
      const y = flag && x < flag.x + flag.wide && x + wide > flag.x ? top + 22 * ratio : top;
      ctx.fillStyle = color("surface", 0.85);
      ctx.fillRect(x, y, wide, 18 * ratio);
      ctx.fillStyle = color("text-2");
      ctx.fillText(words, x + 6 * ratio, y + 9.5 * ratio);
    }
    this.marks(plot);
    ctx.restore();
  }

  /** The shown time: a band that moves along, or a frame around what was picked. */
  private marks(plot: uPlot) {
    const { ctx } = plot, { top, height, left, width } = plot.bbox, ratio = devicePixelRatio || 1, shown = this.shown;
    if (!shown) return;
    const [from, to] = this.span(plot, shown.marked.from, shown.marked.to);
    if (!shown.isPicked) {
      ctx.fillStyle = color("accent", 0.1);
      ctx.fillRect(from, top, to - from, height);
      ctx.fillStyle = color("accent");
      ctx.fillRect(from, top + height - 2 * ratio, Math.max(ratio, to - from), 3 * ratio);
    } else {
      ctx.fillStyle = color("surface", 0.4);
      ctx.fillRect(left, top, Math.max(0, from - left), height);
      ctx.fillRect(to, top, Math.max(0, left + width - to), height);
      ctx.strokeStyle = color("accent");
      ctx.lineWidth = 1.5 * ratio;
      ctx.strokeRect(from, top - 3 * ratio, Math.max(ratio, to - from), height + 3 * ratio);
      this.flag(plot);
    }
    if (shown.isLive) {
      ctx.fillStyle = color("text-3");
      ctx.textAlign = "right";
      ctx.textBaseline = "top";
      ctx.fillText("now", left + width, top + height + 4 * ratio);
    }
  }

  /** Where the range stands in words, beside its frame; null where there is no room. */
  private flagAt(plot: uPlot): { x: number; wide: number; words: string } | null {
    const { ctx } = plot, { left, width } = plot.bbox, ratio = devicePixelRatio || 1, shown = this.shown;
    if (!shown || !shown.isPicked || width < 600 * ratio) return null;
    const [from, to] = this.span(plot, shown.marked.from, shown.marked.to);
    const words = rangeWords(shown.marked.from, shown.marked.to, shown.context.to);
    const wide = ctx.measureText(words).width + 14 * ratio;
    const x = to + 8 * ratio + wide > left + width ? from - wide - 8 * ratio : to + 8 * ratio;
    return x < left ? null : { x, wide, words };
  }

  private flag(plot: uPlot) {
    const { ctx } = plot, { top } = plot.bbox, ratio = devicePixelRatio || 1, at = this.flagAt(plot);
    if (!at) return;
    ctx.fillStyle = color("accent");
    ctx.beginPath();
    ctx.roundRect(at.x, top, at.wide, 20 * ratio, 4 * ratio);
    ctx.fill();
    ctx.fillStyle = color("on-accent");
    ctx.textBaseline = "middle";
    ctx.fillText(at.words, at.x + 7 * ratio, top + 10.5 * ratio);
  }
}
