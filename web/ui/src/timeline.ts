// SPDX-License-Identifier: Apache-2.0
// Cores over time, or what else the type counts. A drag picks a range; its edges are sliders for hand and keyboard.
import { signal } from "@preact/signals";
import { html } from "htm/preact";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Timeline } from "./api";
import { type Band, bandsOf, Chart, isOwnUnit, sayValue, type Shown } from "./chart";
import { clock, duration } from "./format";
import { bandLabel, contextRange, hostNow, paused, shownRange, status, timelineOf } from "./live";
import { swatch } from "./parts";
import { page, range, type Range } from "./state";
import { themeVersion } from "./theme";
import { pick } from "./times";

const HEIGHT = 148, FAR = 10, SHORTEST_MS = 1_000;

const hover = signal<number | null>(null);
/** Where the plot lies in its box, px. */
const plotAt = signal({ left: 0, width: 0 });
/** A range that is being dragged, not yet asked for. */
const draft = signal<Range | null>(null);

function Legend({ answer, bands }: { answer: Timeline; bands: Band[] }) {
  const at = hover.value;
  return html`<span class="legend">
    ${at !== null && html`<span class="faint">${clock(answer.from_ms + at * answer.step_ms, true)}</span>`}
    ${bands.map((band) => {
      const value = at === null ? null : band.values[at] ?? null;
      return html`<span key=${band.name}>${swatch(band.hue)}<span class="name">${band.name}</span>${value !== null && html`<b>${sayValue(answer, value)}</b>`}</span>`;
    })}</span>`;
}

/** The same in words, for who cannot see the chart. */
function summary(answer: Timeline, bands: Band[]): string {
  let most = 0, mostAt = 0, newest = 0;
  const count = Math.max(0, ...bands.map((band) => band.values.length));
  for (let i = 0; i < count; i++) {
    const sum = bands.reduce((total, band) => total + (band.values[i] ?? 0), 0);
    if (bands.some((band) => band.values[i] != null)) newest = sum;
    if (sum > most) [most, mostAt] = [sum, i];
  }
  const names = bands.map((band) => band.name).join(", ");
  const what = isOwnUnit(answer) ? `Sums of each ${duration(answer.step_ms)}` : "Cores in use over time";
  return `${what}: at most ${sayValue(answer, most)}, at ${clock(answer.from_ms + mostAt * answer.step_ms, true)}; ${sayValue(answer, newest)} at the end. Of ${names}.`;
}

const clamp = (value: number, low: number, high: number) => Math.max(low, Math.min(high, value));

interface EdgeProps {
  edge: "from" | "to";
  at: Range;
  context: Range;
  stepMs: number;
}

/** One edge of the range: drag it, or move it with the arrows. */
function Edge({ edge, at, context, stepMs }: EdgeProps) {
  const { left, width } = plotAt.value;
  const moved = (time: number): Range => edge === "from"
    ? { from: Math.round(clamp(time, context.from, at.to - SHORTEST_MS)), to: Math.round(at.to) }
    : { from: Math.round(at.from), to: Math.round(clamp(time, at.from + SHORTEST_MS, context.to)) };
  const key = (event: KeyboardEvent) => {
    const far = event.shiftKey ? FAR : 1;
    const by = { ArrowLeft: -far, ArrowDown: -far, ArrowRight: far, ArrowUp: far, PageDown: -FAR, PageUp: FAR }[event.key];
    const to = event.key === "Home" ? -Infinity : event.key === "End" ? Infinity : by === undefined ? null : at[edge] + by * stepMs;
    if (to === null) return;
    event.preventDefault();
    event.stopPropagation();
    pick(moved(to));
  };
  const grab = (event: PointerEvent) => {
    const handle = event.currentTarget as HTMLElement, box = handle.parentElement!.getBoundingClientRect();
    handle.setPointerCapture(event.pointerId);
    const follow = (move: PointerEvent) => {
      const part = (move.clientX - box.left - left) / width;
      draft.value = moved(context.from + part * (context.to - context.from));
    };
    const drop = () => {
      handle.removeEventListener("pointermove", follow);
      if (draft.value) pick(draft.value);
      draft.value = null;
    };
    handle.addEventListener("pointermove", follow);
    handle.addEventListener("pointerup", drop, { once: true });
    handle.addEventListener("pointercancel", drop, { once: true });
    event.preventDefault();
    handle.focus();
  };
  const x = left + width * clamp((at[edge] - context.from) / (context.to - context.from), 0, 1);
  return html`<div class=${"edge" + (range.value ? " picked" : "")} role="slider" tabindex="0" aria-label=${edge === "from" ? "Range start" : "Range end"} aria-orientation="horizontal"
    aria-valuemin=${Math.round(context.from / 1000)} aria-valuemax=${Math.round(context.to / 1000)} aria-valuenow=${Math.round(at[edge] / 1000)} aria-valuetext=${clock(at[edge], true)}
    style=${{ left: x + "px" }} onKeyDown=${key} onPointerDown=${grab}></div>`;
}

export function TimelinePanel({ title, words, children }: { title: ComponentChildren; words: string; children?: ComponentChildren }) {
  const answer = timelineOf.value.value, theme = themeVersion.value, isNow = page.value === "now";
  const box = useRef<HTMLDivElement>(null), chart = useRef<Chart | null>(null), order = useRef<string[]>([]);
  const label = bandLabel(), held = useRef(label);
  if (held.current !== label) order.current = [];
  held.current = label;
  const bands = answer ? bandsOf(answer, label, order.current) : [];
  const isEmpty = bands.length === 0;
  const isPicked = !isNow && (range.value !== null || draft.value !== null);
  const marked = draft.value ?? shownRange();
  const context = contextRange();
  const shown: Shown = {
    context, marked, isPicked, newestMs: status.peek()?.store.newest_ms ?? Infinity,
    isLive: !paused.value && context.to > hostNow.peek() - 10_000,
  };
  useEffect(() => {
    const made = (chart.current = new Chart(box.current!, HEIGHT, {
      pick, hover: (place) => (hover.value = place), laidOut: (left, width) => (plotAt.value = { left, width }),
    }));
    return () => made.destroy();
  }, []);
  useEffect(() => {
    if (answer && !isEmpty) chart.current?.show(answer, bands, shown);
  }, [answer]);
  useEffect(() => chart.current?.mark(shown), [range.value, draft.value, isPicked]);
  useEffect(() => chart.current?.restyle(), [theme]);
  return html`<section class=${"panel when" + (timelineOf.isStale.value ? " waiting" : "")} aria-labelledby="when-title">
    <header><h2 id="when-title">${title}</h2><span class="muted">${words}${answer && isOwnUnit(answer) && `, each ${duration(answer.step_ms)}`}</span><span class="spacer"></span>${children}
      ${answer && !isEmpty && html`<${Legend} answer=${answer} bands=${bands} />`}</header>
    <div class="chart" hidden=${isEmpty}><div class="plot" ref=${box}></div>
      ${!isNow && !isEmpty && html`<${Edge} edge="from" at=${marked} context=${context} stepMs=${answer!.step_ms} /><${Edge} edge="to" at=${marked} context=${context} stepMs=${answer!.step_ms} />`}
      ${answer && html`<p class="sr">${summary(answer, bands)}</p>`}</div>
    ${timelineOf.refusal.value ? html`<div class="nothing"><strong>The server refused the question</strong><p>${timelineOf.refusal.value}</p></div>`
      : isEmpty && answer && html`<p class="nothing">Nothing was recorded in this time.</p>`}
  </section>`;
}
