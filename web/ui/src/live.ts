// SPDX-License-Identifier: Apache-2.0
// Keeps what the page shows fresh: asks every five seconds while it is live and looked at.
import { batch, computed, effect, signal } from "@preact/signals";
import * as api from "./api";
import { process, range, SPAN_MS, span, type Range } from "./state";

const REFRESH_MS = 5_000, RETRY_MS = 2_000;
const FIRST_MS = 400, FIRST_SPAN_MS = 8_000; // somebody who has just started it waits for the first picture
const CONTEXT_PART = 0.5; // of a picked range that is shown on either side of it, when it is an old one
const NODES = 6_000; // more than a 4K screen has room for

export const paused = signal(false);
export const status = signal<api.Status | null>(null);
export const processes = signal<api.Processes | null>(null);
export const timeline = signal<api.Timeline | null>(null);
export const flame = signal<api.Flame | null>(null);
export const rowLimit = signal(12);
/** What the flame graph in `flame` is of: the process may have been changed since. */
export const flameOf = signal<string | null>(null);
/** The server's own words when it refused a question. */
export const refusal = signal<string | null>(null);
/** Since when there is no answer; null while there is. */
export const silentSince = signal<number | null>(null);
export const answeredAt = signal<number | null>(null);
/** Ticks each second, for ages. */
export const now = signal(Date.now());

/** The host's clock minus the browser's, so that ages are right on a desk with a wrong clock. */
const skew = signal(0);
export const hostNow = computed(() => now.value + skew.value);

/** Paused, the page stands still at this time. */
const frozenAt = signal(0);

export function setPaused(value: boolean) {
  batch(() => {
    frozenAt.value = processes.value?.to_ms ?? Date.now() + skew.value;
    paused.value = value;
  });
  if (!value) void refresh();
}

export const togglePause = () => setPaused(!paused.value);

/** What the table and the flame graph are about. */
function view(): api.Parameters {
  if (range.value) return { from: range.value.from, to: range.value.to };
  if (paused.value) return { from: Math.round(frozenAt.value - SPAN_MS[span.value]), to: Math.round(frozenAt.value) };
  return { from: `now-${span.value}`, to: "now" };
}

/** What the timeline shows: the time that leads up to now, or the surroundings of an older range. */
function context(picked: Range | null): api.Parameters {
  if (paused.value) return { from: Math.round(frozenAt.value - SPAN_MS[span.value]), to: Math.round(frozenAt.value) };
  const start = Date.now() + skew.peek() - SPAN_MS[span.value];
  if (!picked || picked.from >= start) return { from: `now-${span.value}`, to: "now" };
  const around = Math.max(60_000, (picked.to - picked.from) * CONTEXT_PART);
  return { from: Math.round(picked.from - around), to: Math.round(picked.to + around) };
}

let asking: AbortController | null = null;
let timer = 0;

async function ask(signal: AbortSignal) {
  const selected = process.peek(), of = view();
  const flameQuery = selected ? api.selector("process", selected) : undefined;
  const [said, table, lines, graph] = await Promise.all([
    api.getStatus(signal),
    api.getProcesses({ ...of, limit: rowLimit.peek(), points: 30 }, signal),
    api.getTimeline({ ...context(range.peek()), by: "service_name", limit: 5, points: 180 }, signal),
    // A process needs no row for its service.
    api.getFlame({ ...of, query: flameQuery, rows: selected ? "" : undefined, nodes: NODES }, signal),
  ]);
  if (signal.aborted) return;
  batch(() => {
    status.value = said;
    skew.value = said.time_ms - Date.now();
    processes.value = table;
    timeline.value = lines;
    flame.value = graph;
    flameOf.value = selected;
    refusal.value = null;
    silentSince.value = null;
    answeredAt.value = Date.now();
  });
}

/** So little is stored that each second of it changes the picture, and names are still being read. */
function isFirst(): boolean {
  const said = status.value;
  if (!said || said.time_ms - said.started_ms > 60_000) return false;
  return (said.store.newest_ms ?? 0) - (said.store.oldest_ms ?? 0) < FIRST_SPAN_MS;
}

/** Asks now; what is still on its way for an older wish is dropped. */
export async function refresh() {
  asking?.abort();
  clearTimeout(timer);
  const mine = (asking = new AbortController());
  try {
    await ask(mine.signal);
  } catch (error) {
    if (mine.signal.aborted) return;
    mine.abort(); // the calls that are still open
    batch(() => {
      if (error instanceof api.Refused) {
        refusal.value = error.message;
        silentSince.value = null;
      } else {
        silentSince.value ??= answeredAt.value ?? Date.now();
      }
    });
  }
  if (asking !== mine) return;
  const failing = silentSince.value !== null;
  if (failing) timer = window.setTimeout(refresh, RETRY_MS);
  else if (!paused.value && !document.hidden) timer = window.setTimeout(refresh, isFirst() ? FIRST_MS : REFRESH_MS);
}

export function startLive() {
  window.setInterval(() => (now.value = Date.now()), 1000);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !paused.value) void refresh();
  });
  effect(() => {
    void [process.value, range.value, span.value, rowLimit.value];
    void refresh();
  });
}
