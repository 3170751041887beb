// SPDX-License-Identifier: Apache-2.0
// Keeps what the page shows fresh: asks every five seconds while it is live and looked at.
import { batch, computed, effect, signal } from "@preact/signals";
import * as api from "./api";
import { valueOf } from "./query";
import { exact, fn, matchers, page, query, range, type Range, raw, regex, search, sort, span, SPAN_MS, type Span, type, TYPE_CPU, view, who } from "./state";

const REFRESH_MS = 5_000, RETRY_MS = 2_000;
// What costs more than it changes is asked less often, once there is something to see.
const FLAME_MS = 10_000, FUNCTIONS_MS = 20_000, CHANGES_MS = 30_000, MODULES_MS = 15_000, STACKS_MS = 30_000, TYPES_MS = 60_000, YOUNG_MS = 60_000;
const FIRST_MS = 400, FIRST_SPAN_MS = 8_000; // somebody who has just started it waits for the first picture
const SEARCH_DELAY_MS = 150;
const NODES_NOW = 1_000, NODES = 6_000; // more than a 4K screen has room for
const BANDS = 5, FUNCTIONS_NOW = 8, FUNCTIONS = 300, MODULES = 300;
const POINTS = 180;
export const SPARK_POINTS = 30;

/** So little is recorded that everything still changes with every answer. */
function isYoung(): boolean {
  const { oldest_ms: oldest, newest_ms: newest } = statusOf.value.peek()?.store ?? { oldest_ms: null, newest_ms: null };
  return oldest === null || newest === null || newest - oldest < YOUNG_MS;
}

/** One answer of the server, and what is wrong with it. */
export class Resource<T> {
  readonly value = signal<T | null>(null);
  /** The server's own words when it refused the question. */
  readonly refusal = signal<string | null>(null);
  /** Whether the value answers another question than the one that is asked now. */
  readonly isStale = signal(false);
  private key = "";
  private askedAt = 0;

  constructor(private readonly path: string) {}

  /** Asks; what it resolves to shows the answer. key: what the person chose, without the clock. */
  async ask(parameters: api.Parameters, key: string, signal: AbortSignal, everyMs = 0): Promise<() => void> {
    const isSame = key === this.key && this.value.peek() !== null;
    if (isSame && Date.now() - this.askedAt < everyMs && !isYoung()) return () => undefined;
    if (!isSame) this.isStale.value = this.value.peek() !== null || this.refusal.peek() !== null;
    try {
      const answer = await api.get<T>(this.path, parameters, signal);
      const show = () => batch(() => {
        this.key = key;
        this.askedAt = Date.now();
        this.value.value = answer;
        this.refusal.value = null;
        this.isStale.value = false;
      });
      // A refresh is shown together with the others, a new picture as soon as it is there.
      if (isSame || signal.aborted) return show;
      show();
    } catch (error) {
      if (!(error instanceof api.Refused) || signal.aborted) throw error;
      batch(() => {
        this.value.value = null;
        this.refusal.value = error.message;
        this.isStale.value = false;
      });
    }
    return () => undefined;
  }
}

export const statusOf = new Resource<api.Status>("status");
/** What the sentence is made of: services, or what is inside the one that is picked. On Now it is the table as well. */
export const leadOf = new Resource<api.Processes>("processes");
export const processesOf = new Resource<api.Processes>("processes");
/** Whose stacks are complete: of processes while those are shown, else of services. */
export const stacksOf = new Resource<api.Stacks>("stacks");
export const timelineOf = new Resource<api.Timeline>("timeline");
export const changesOf = new Resource<api.Changes>("changes");
export const functionsOf = new Resource<api.Functions>("functions");
export const modulesOf = new Resource<api.Modules>("modules");
export const flameOf = new Resource<api.Flame>("flame");
/** Stacks from their leaves: below each function its callers. */
export const invertedOf = new Resource<api.Flame>("flame");
export const sandwichOf = new Resource<api.Sandwich>("sandwich");
export const typesOf = new Resource<{ types: api.ProfileType[] }>("types");

export const status = statusOf.value;
export const paused = signal(false);
export const ROWS = 12, ROWS_ALL = 100;
export const rowLimit = signal(ROWS);
/** Text by which the table of processes is searched. */
export const processSearch = signal("");
/** Since when there is no answer; null while there is. */
export const silentSince = signal<number | null>(null);
export const answeredAt = signal<number | null>(null);
/** Since when an answer is waited for; null when none is. */
export const waitingSince = signal<number | null>(null);
/** The person did not want to wait any longer. */
export const isCancelled = signal(false);
/** Ticks each second, for ages. */
export const now = signal(Date.now());

/** The host's clock minus the browser's, so that ages are right on a desk with a wrong clock. */
const skew = signal(0);
export const hostNow = computed(() => now.value + skew.value);

/** Paused, or replaying what is over, the page stands still at this time. */
const frozenAt = signal(0);

export function setPaused(value: boolean) {
  batch(() => {
    frozenAt.value = leadOf.value.peek()?.to_ms ?? Date.now() + skew.value;
    paused.value = value;
  });
  if (!value) void refresh();
}

export const togglePause = () => setPaused(!paused.value);

/** What the clock says, or stood at when the page was paused. */
const clockMs = () => (paused.value ? frozenAt.value : Date.now() + skew.value);

/** The time that tables and graphs are of. */
export function shownRange(): Range {
  if (range.value) return range.value;
  const to = clockMs();
  return { from: to - SPAN_MS[span.value], to };
}

/** The same for the server, which has the better clock. */
export function asked(): { from: string | number; to: string | number } {
  if (!range.value && !paused.value) return { from: `now-${span.value}`, to: "now" };
  const { from, to } = shownRange();
  return { from: Math.round(from), to: Math.round(to) };
}

const CONTEXT_MS: Record<Span, number> = {
  "5m": 3_600_000, "15m": 3 * 3_600_000, "1h": 12 * 3_600_000, "6h": 48 * 3_600_000, "24h": 7 * 86_400_000, "7d": 14 * 86_400_000,
};
const CONTEXT_PARTS = [0.2, 0.4, 0.7, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32];
const AROUND_MIN_MS = 60_000, AROUND_PART = 0.5; // of a picked range, on either side of it, when it is an old one

/** What the timeline shows: the time that leads up to now, or the surroundings of an older range. */
export function contextRange(): Range {
  const end = clockMs(), picked = range.value, most = CONTEXT_MS[span.value];
  const oldest = status.peek()?.store.oldest_ms ?? end;
  if (picked && (picked.from < end - most || picked.to > end)) {
    const around = Math.max(AROUND_MIN_MS, (picked.to - picked.from) * AROUND_PART);
    return { from: picked.from - around, to: Math.max(picked.to, Math.min(end, picked.to + around)) };
  }
  // It grows in steps while there is little, so that the picture does not shrink with each answer.
  const wanted = end - Math.min(oldest, picked?.from ?? end);
  const part = CONTEXT_PARTS.find((one) => one * SPAN_MS[span.value] >= wanted);
  return { from: end - Math.min(most, part ? part * SPAN_MS[span.value] : most), to: end };
}

const STEPS_S = [5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400];

function stepOf({ from, to }: Range): number {
  const least = (to - from) / POINTS / 1000;
  return (STEPS_S.find((step) => step >= least) ?? Math.ceil(least / 3600) * 3600) * 1000;
}

/** The label that tells apart the bands of the timeline: of a service its programs, of a process its threads. */
export function bandLabel(): string {
  if (valueOf(matchers.value, "process") !== null || valueOf(matchers.value, "pid") !== null) return "thread_name";
  return valueOf(matchers.value, "service_name") !== null ? "process_name" : "service_name";
}

let asking: AbortController | null = null;
let timer = 0;

function timelineQuestion(signal: AbortSignal, selector: string | undefined, kind: string | undefined) {
  const context = contextRange(), by = bandLabel();
  const parameters = {
    from: Math.round(context.from), to: Math.round(context.to), query: selector, type: kind, by, limit: BANDS, step_ms: stepOf(context),
  };
  return timelineOf.ask(parameters, `${selector} ${kind} ${span.value} ${range.value && JSON.stringify(context)}`, signal);
}

function askNow(signal: AbortSignal): Promise<() => void>[] {
  const of = asked(), key = `now ${span.value}`;
  const text = processSearch.value.trim() || undefined;
  const table = { ...of, limit: rowLimit.value, points: SPARK_POINTS };
  const questions = [
    timelineQuestion(signal, undefined, undefined),
    leadOf.ask({ ...table, by: "service" }, key, signal),
    functionsOf.ask({ ...of, limit: FUNCTIONS_NOW }, key, signal, FUNCTIONS_MS),
    flameOf.ask({ ...of, nodes: NODES_NOW }, key, signal, FLAME_MS),
    changesOf.ask(of, key, signal, CHANGES_MS),
    stacksOf.ask({ ...of, by: who.value === "processes" ? "process" : "service" }, `${key} ${who.value}`, signal, STACKS_MS),
  ];
  if (who.value === "processes") questions.push(processesOf.ask({ ...table, by: "process", search: text }, `${key} ${text}`, signal));
  return questions;
}

function askExplore(signal: AbortSignal): Promise<() => void>[] {
  const of = asked(), selector = query.value, kind = type.value === TYPE_CPU ? undefined : type.value;
  const key = `explore ${selector} ${kind} ${span.value} ${JSON.stringify(range.value)} ${raw.value} ${exact.value}`;
  const common = { ...of, query: selector, type: kind, names: raw.value ? "raw" : undefined, exact: exact.value ? 1 : undefined };
  // A pattern is looked for here, in all functions.
  const text = regex.value ? undefined : search.value.trim() || undefined;
  const isInside = bandLabel() !== "service_name";
  const questions = [
    timelineQuestion(signal, selector, kind),
    leadOf.ask({ ...common, by: isInside ? "process" : "service", limit: 1, points: 0 }, key, signal),
    functionsOf.ask({ ...common, search: text, sort: sort.value, limit: FUNCTIONS }, `${key} ${text} ${sort.value}`, signal, FUNCTIONS_MS),
    typesOf.ask(of, key, signal, TYPES_MS),
  ];
  if (view.value === "sandwich" && fn.value) {
    const { name, module } = fn.value;
    questions.push(sandwichOf.ask({ ...common, function: name, module: module || undefined, nodes: NODES }, `${key} ${name} ${module}`, signal));
  }
  if (view.value === "inverted") questions.push(invertedOf.ask({ ...common, view: "bottom_up", rows: "", nodes: NODES }, `${key} inverted`, signal));
  // In every view: what the shares are of, and the colours' meanings.
  questions.push(flameOf.ask({ ...common, nodes: NODES, rows: isInside ? "" : undefined }, key, signal));
  return questions;
}

function askModules(signal: AbortSignal): Promise<() => void>[] {
  return [modulesOf.ask({ ...asked(), limit: MODULES }, `modules ${span.value}`, signal, MODULES_MS)];
}

/** So little is stored that each second of it changes the picture, and names are still being read. */
function isFirst(): boolean {
  const said = status.value;
  if (!said || said.time_ms - said.started_ms > 60_000) return false;
  return (said.store.newest_ms ?? 0) - (said.store.oldest_ms ?? 0) < FIRST_SPAN_MS;
}

async function askAll(signal: AbortSignal) {
  const shows: (() => void)[] = [];
  const asksStatus = statusOf.ask({}, "", signal).then((show) => {
    const first = statusOf.value.peek();
    if (first) skew.value = first.time_ms - Date.now();
    shows.push(() => {
      show();
      skew.value = status.peek()!.time_ms - Date.now();
    });
  });
  // The first question needs the host's clock, and how far back its store reaches.
  if (!status.peek()) await asksStatus;
  if (signal.aborted) return;
  const asks = page.value === "explore" ? askExplore(signal) : page.value === "modules" ? askModules(signal) : askNow(signal);
  const [, ...answers] = await Promise.all([asksStatus, ...asks]);
  shows.push(...answers);
  if (signal.aborted) return;
  batch(() => {
    for (const show of shows) show();
    silentSince.value = null;
    isCancelled.value = false;
    answeredAt.value = Date.now();
  });
}

/** Asks now; what is still on its way for an older wish is dropped. */
export async function refresh() {
  asking?.abort();
  clearTimeout(timer);
  const mine = (asking = new AbortController());
  waitingSince.value ??= Date.now();
  try {
    await askAll(mine.signal);
  } catch {
    if (mine.signal.aborted) return;
    mine.abort(); // the calls that are still open
    silentSince.value ??= answeredAt.value ?? Date.now();
  }
  if (asking !== mine) return;
  waitingSince.value = null;
  const isFailing = silentSince.value !== null;
  if (isFailing) timer = window.setTimeout(refresh, RETRY_MS);
  else if (!paused.value && !document.hidden) timer = window.setTimeout(refresh, isFirst() ? FIRST_MS : REFRESH_MS);
}

/** Stops waiting for an answer; the page stays as it is until something else is asked. */
export function cancel() {
  asking?.abort();
  asking = null;
  clearTimeout(timer);
  batch(() => {
    waitingSince.value = null;
    isCancelled.value = true;
    // What is shown is what was asked before, and no longer on its way to be something else.
    for (const one of [processesOf, leadOf, stacksOf, timelineOf, functionsOf, modulesOf, flameOf, invertedOf, sandwichOf]) one.isStale.value = false;
  });
}

export function startLive() {
  window.setInterval(() => {
    if (!document.hidden) now.value = Date.now();
  }, 1000);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !paused.value) void refresh();
  });
  effect(() => {
    void [page.value, query.value, type.value, range.value, span.value, who.value, view.value, fn.value, sort.value, rowLimit.value, raw.value, exact.value];
    queueMicrotask(refresh); // what it reads is not what it waits for
  });
  let typing = 0;
  effect(() => {
    const text = search.value + processSearch.value;
    clearTimeout(typing);
    if (text || typing) typing = window.setTimeout(refresh, SEARCH_DELAY_MS);
  });
}
