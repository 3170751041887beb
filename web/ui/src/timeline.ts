// SPDX-License-Identifier: Apache-2.0
// The host's cores over time, by service. Gaps are hatched and say why; a drag picks a range.
import { signal } from "@preact/signals";
import { html } from "htm/preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { Gap, Timeline } from "./api";
import { clock, cores, duration } from "./format";
import { paused, status, timeline } from "./live";
import { hueOf, REST_HUE, swatch } from "./parts";
import { range, type Range } from "./state";
import { color, themeVersion } from "./theme";

const HEIGHT = 148, DRAG_MIN_PX = 6, UNRECORDED_STEPS_MIN = 3;

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

interface Band {
  name: string;
  hue: string;
  cores: (number | null)[];
}

/** The services in the order in which they first appeared: bands do not change places. */
function bandsOf(answer: Timeline, order: string[]): Band[] {
  const found = new Map(answer.series.map((row) => [row.labels.service_name ?? "no service", row.cores]));
  for (const name of found.keys()) if (!order.includes(name)) order.push(name);
  const bands: Band[] = order.filter((name) => found.has(name)).map((name) => ({ name, hue: hueOf(name), cores: found.get(name)! }));
  if (answer.more && answer.more.rows > 0) bands.push({ name: "others", hue: REST_HUE, cores: answer.more.cores });
  return bands;
}

/** Stacked: each line is the sum of its band and those below. Where nothing was recorded, none, and
 * none for a step that is not yet over: it would look like a fall. */
function stacked(answer: Timeline, bands: Band[], newestMs: number): uPlot.AlignedData {
  const count = Math.max(0, ...bands.map((band) => band.cores.length));
  const times = Array.from({ length: count }, (_, i) => (answer.from_ms + (i + 0.5) * answer.step_ms) / 1000);
  const recorded = times.map((_, i) => answer.from_ms + (i + 1) * answer.step_ms <= newestMs &&
    bands.some((band) => (band.cores[i] ?? null) !== null));
  const sum = new Array<number>(count).fill(0);
  const lines = bands.map((band) => recorded.map((is, i) => (is ? (sum[i] += band.cores[i] ?? 0) : null)));
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

const hover = signal<number | null>(null); // place of the values under the pointer

/** A label there would be cut by the edge. */
function isNearEnd(plot: uPlot, time: number): boolean {
  const { min, max } = plot.scales.x;
  return min != null && max != null && ((max - time) / (max - min)) * plot.width < 26;
}

class Chart {
  private plot: uPlot | null = null;
  private shape = "";
  private bands: Band[] = [];
  private gaps: Gap[] = [];
  private picked: Range | null = null;
  private readonly watcher: ResizeObserver;

  constructor(private readonly box: HTMLElement, private readonly pick: (range: Range | null) => void) {
    this.watcher = new ResizeObserver(() => this.plot?.setSize({ width: box.clientWidth, height: HEIGHT }));
    this.watcher.observe(box);
  }

  destroy() {
    this.watcher.disconnect();
    this.plot?.destroy();
  }

  restyle() {
    this.plot?.redraw(false);
  }

  show(answer: Timeline, bands: Band[], picked: Range | null) {
    const data = stacked(answer, bands, status.peek()?.store.newest_ms ?? Infinity);
    this.bands = bands;
    this.gaps = gapsOf(answer, data);
    this.picked = picked;
    const shape = String(bands.length);
    if (this.plot && this.shape === shape) {
      this.plot.setData(data);
    } else {
      this.plot?.destroy();
      this.shape = shape;
      this.plot = new uPlot(this.options(), data, this.box);
    }
    const last = answer.from_ms + (data[0].length || 1) * answer.step_ms;
    this.plot.setScale("x", { min: answer.from_ms / 1000, max: last / 1000 });
  }

  private options(): uPlot.Options {
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: () => color("text-3"), font, ticks: { show: false } };
    const lines = this.bands.map((_, i): uPlot.Series => ({
      stroke: () => color(this.bands[i]?.hue ?? REST_HUE),
      fill: () => color(this.bands[i]?.hue ?? REST_HUE, 0.42),
      width: 1.25,
      points: { show: false },
    }));
    return {
      width: this.box.clientWidth, height: HEIGHT,
      padding: [8, 1, 0, 0],
      legend: { show: false },
      series: [{}, ...lines],
      bands: lines.slice(1).map((_, i): uPlot.Band => ({ series: [i + 2, i + 1] })),
      scales: {
        x: { time: true },
        y: { range: (_plot, _low, high) => [0, Math.max(0.1, (high || 0) * 1.12)] },
      },
      axes: [
        { ...axis, size: 22, gap: 4, space: 90, grid: { show: false }, values: (plot, at, _axis, _space, step) => at.map((s) => (isNearEnd(plot, s) ? "" : clock(s * 1000, step < 60))) },
        { ...axis, size: 34, gap: 6, space: 30, grid: { stroke: () => color("line"), width: 1 }, values: (_plot, at) => at.map((v) => String(Math.round(v * 100) / 100)) },
      ],
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false, dist: DRAG_MIN_PX } },
      hooks: {
        drawClear: [(plot) => this.behind(plot)],
        draw: [(plot) => this.before(plot)],
        setCursor: [(plot) => (hover.value = plot.cursor.idx ?? null)],
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
    this.pick({ from, to });
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
    const { ctx } = plot, { top, height } = plot.bbox, ratio = devicePixelRatio || 1;
    ctx.save();
    ctx.font = `500 ${11 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left"; // the axes centre theirs
    for (const gap of this.gaps) {
      const [from, to] = this.span(plot, gap.from_ms, gap.to_ms);
      const words = gap.reason === BEFORE ? `nothing recorded before ${clock(gap.to_ms)}` : `${reasonOf(gap)}, ${duration(gap.to_ms - gap.from_ms)}`;
      const wide = ctx.measureText(words).width + 12 * ratio, right = plot.bbox.left + plot.bbox.width;
      // Inside, else beside it: to the right, or to the left when there the chart ends.
      let x = to + 4 * ratio;
      if (to - from >= wide + 8 * ratio) x = from + 6 * ratio;
      else if (x + wide > right) x = from - wide - 4 * ratio;
      if (to - from < 1 || x < plot.bbox.left) continue;
      ctx.fillStyle = color("surface", 0.85);
      ctx.fillRect(x, top, wide, 18 * ratio);
      ctx.fillStyle = color("text-2");
      ctx.fillText(words, x + 6 * ratio, top + 9.5 * ratio);
    }
    if (this.picked) {
      const [from, to] = this.span(plot, this.picked.from, this.picked.to);
      ctx.fillStyle = color("accent", 0.12);
      ctx.fillRect(from, top, to - from, height);
      ctx.fillStyle = color("accent");
      ctx.fillRect(from, top + height - 3 * ratio, Math.max(ratio, to - from), 3 * ratio);
    }
    ctx.restore();
  }
}

function Legend({ answer, bands }: { answer: Timeline; bands: Band[] }) {
  const at = hover.value;
  return html`<span class="legend">
    ${at !== null && html`<span class="faint">${clock(answer.from_ms + at * answer.step_ms, true)}</span>`}
    ${bands.map((band) => {
      const value = at === null ? null : band.cores[at] ?? null;
      return html`<span key=${band.name}>${swatch(band.hue)}<span class="name">${band.name}</span>${value !== null && html`<b>${cores(value)}</b>`}</span>`;
    })}</span>`;
}

export function TimelinePanel({ period }: { period: string }) {
  const answer = timeline.value, picked = range.value, theme = themeVersion.value;
  const box = useRef<HTMLDivElement>(null), chart = useRef<Chart | null>(null), order = useRef<string[]>([]);
  const bands = answer ? bandsOf(answer, order.current) : [];
  const isEmpty = bands.length === 0;
  useEffect(() => {
    const made = (chart.current = new Chart(box.current!, (value) => (range.value = value)));
    return () => made.destroy();
  }, []);
  useEffect(() => {
    if (answer && !isEmpty) chart.current?.show(answer, bands, picked);
  }, [answer, picked]);
  useEffect(() => chart.current?.restyle(), [theme]);
  return html`<section class="panel" aria-labelledby="when-title">
    <header><h2 id="when-title">Host CPU</h2><span class="muted">${period}, cores${paused.value ? ", paused" : ""}</span><span class="spacer"></span>
      ${answer && html`<${Legend} answer=${answer} bands=${bands} />`}</header>
    <div class="chart" hidden=${isEmpty} role="img" aria-label="Cores in use over time, by service. Drag to pick a range."><div ref=${box}></div></div>
    ${isEmpty && html`<p class="nothing">Nothing was recorded in this time.</p>`}
  </section>`;
}
