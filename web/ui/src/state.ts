// SPDX-License-Identifier: Apache-2.0
// What the person has chosen, kept in the address: a link brings back the same picture.
import { batch, computed, effect, signal } from "@preact/signals";
import type { Colouring, Order } from "./flame/types";
import { type Matcher, parseSelector, selectorText } from "./query";

export interface Range {
  from: number; // ms since the epoch
  to: number;
}

export const PAGES = ["now", "explore", "modules"] as const;
export type Page = (typeof PAGES)[number];

export const SPANS = ["5m", "15m", "1h", "6h", "24h", "7d"] as const;
export type Span = (typeof SPANS)[number];
export const SPAN_WORDS: Record<Span, string> = {
  "5m": "last 5 min", "15m": "last 15 min", "1h": "last hour", "6h": "last 6 h", "24h": "last 24 h", "7d": "last 7 days",
};
export const SPAN_MS: Record<Span, number> = {
  "5m": 300_000, "15m": 900_000, "1h": 3_600_000, "6h": 21_600_000, "24h": 86_400_000, "7d": 604_800_000,
};

export const VIEWS = ["graph", "inverted", "sandwich", "table"] as const;
export type View = (typeof VIEWS)[number];

/** A function of the table: two of one name may come from different files. */
export interface Function {
  name: string;
  module: string;
}

export const TYPE_CPU = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

interface State {
  page: Page;
  matchers: Matcher[];
  type: string;
  range: Range | null; // picked on the timeline; null while the page follows the clock
  span: Span;
  who: "services" | "processes";
  view: View;
  fn: Function | null; // whose callers and callees are shown
  sort: "self" | "total";
  search: string;
  regex: boolean;
  zoom: string | null; // the zoomed frame as "name~path": the path tells frames of one name apart
  fold: boolean;
  raw: boolean; // names as compilers made them
  exact: boolean; // out of samples, not out of roll-ups
  order: Order;
  colouring: Colouring;
}

const START: State = {
  page: "now", matchers: [], type: TYPE_CPU, range: null, span: "5m", who: "services", view: "graph", fn: null, sort: "self",
  search: "", regex: false, zoom: null, fold: true, raw: false, exact: false, order: "widest", colouring: "kind",
};

export const page = signal<Page>(START.page);
export const matchers = signal<Matcher[]>(START.matchers);
export const type = signal(START.type);
export const range = signal<Range | null>(START.range);
export const span = signal<Span>(START.span);
export const who = signal<State["who"]>(START.who);
export const view = signal<View>(START.view);
export const fn = signal<Function | null>(START.fn);
export const sort = signal<State["sort"]>(START.sort);
export const search = signal(START.search);
export const regex = signal(START.regex);
export const zoom = signal<string | null>(START.zoom);
export const fold = signal(START.fold);
export const raw = signal(START.raw);
export const exact = signal(START.exact);
export const order = signal<Order>(START.order);
export const colouring = signal<Colouring>(START.colouring);

export const query = computed(() => selectorText(matchers.value));

/** Part of an address that could not be read, so that it can be said. */
export const misread = signal<string | null>(null);

const current = (): State => ({
  page: page.value, matchers: matchers.value, type: type.value, range: range.value, span: span.value, who: who.value,
  view: view.value, fn: fn.value, sort: sort.value, search: search.value, regex: regex.value, zoom: zoom.value, fold: fold.value, raw: raw.value, exact: exact.value,
  order: order.value, colouring: colouring.value,
});

function functionOf(text: string | null): Function | null {
  if (!text) return null;
  const cut = text.lastIndexOf("|");
  return cut < 0 ? { name: text, module: "" } : { name: text.slice(0, cut), module: text.slice(cut + 1) };
}

function oneOf<T extends string>(value: string | null, known: readonly T[], otherwise: T): T {
  return known.includes(value as T) ? (value as T) : otherwise;
}

function read() {
  const [path, rest] = location.hash.replace(/^#\/?/, "").split("?");
  const given = new URLSearchParams(rest ?? "");
  const from = Number(given.get("from")), to = Number(given.get("to"));
  const selector = given.get("q");
  const asked = selector ? parseSelector(selector) : [];
  apply({
    page: oneOf(path, PAGES, START.page),
    matchers: asked ?? [],
    type: given.get("type") ?? TYPE_CPU,
    range: from > 0 && to > from ? { from, to } : null,
    span: oneOf(given.get("last"), SPANS, START.span),
    who: oneOf(given.get("who"), ["services", "processes"] as const, START.who),
    view: oneOf(given.get("view"), VIEWS, START.view),
    fn: functionOf(given.get("fn")),
    sort: oneOf(given.get("sort"), ["self", "total"] as const, START.sort),
    search: given.get("search") ?? "",
    regex: given.get("regex") === "1",
    zoom: given.get("zoom"),
    fold: given.get("fold") !== "0",
    raw: given.get("names") === "raw",
    exact: given.get("exact") === "1",
    order: oneOf(given.get("order"), ["widest", "name"] as const, START.order),
    colouring: oneOf(given.get("colour"), ["kind", "module", "package"] as const, START.colouring),
  });
  misread.value = asked ? null : selector;
}

function apply(part: Partial<State>) {
  batch(() => {
    if (part.page !== undefined) page.value = part.page;
    if (part.matchers !== undefined && selectorText(part.matchers) !== query.peek()) matchers.value = part.matchers;
    if (part.type !== undefined) type.value = part.type;
    if (part.range !== undefined && !isSame(part.range, range.peek())) range.value = part.range;
    if (part.span !== undefined) span.value = part.span;
    if (part.who !== undefined) who.value = part.who;
    if (part.view !== undefined) view.value = part.view;
    if (part.fn !== undefined && !isSame(part.fn, fn.peek())) fn.value = part.fn;
    if (part.sort !== undefined) sort.value = part.sort;
    if (part.search !== undefined) search.value = part.search;
    if (part.regex !== undefined) regex.value = part.regex;
    if (part.zoom !== undefined) zoom.value = part.zoom;
    if (part.fold !== undefined) fold.value = part.fold;
    if (part.raw !== undefined) raw.value = part.raw;
    if (part.exact !== undefined) exact.value = part.exact;
    if (part.order !== undefined) order.value = part.order;
    if (part.colouring !== undefined) colouring.value = part.colouring;
  });
}

const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

function written(state: State): string {
  const put = new URLSearchParams();
  const isExplore = state.page === "explore", text = selectorText(state.matchers);
  if (isExplore && text) put.set("q", text);
  if (isExplore && state.type !== TYPE_CPU) put.set("type", state.type);
  if (isExplore && state.range) {
    put.set("from", String(state.range.from));
    put.set("to", String(state.range.to));
  }
  if (state.span !== START.span) put.set("last", state.span);
  if (!isExplore && state.who !== START.who) put.set("who", state.who);
  if (isExplore && state.view !== START.view) put.set("view", state.view);
  if (isExplore && state.fn) put.set("fn", `${state.fn.name}|${state.fn.module}`);
  if (isExplore && state.sort !== START.sort) put.set("sort", state.sort);
  if (state.zoom) put.set("zoom", state.zoom);
  if (!state.fold) put.set("fold", "0");
  if (isExplore && state.raw) put.set("names", "raw");
  if (isExplore && state.exact) put.set("exact", "1");
  if (state.order !== START.order) put.set("order", state.order);
  if (state.colouring !== START.colouring) put.set("colour", state.colouring);
  if (isExplore && state.search) put.set("search", state.search);
  if (isExplore && state.regex) put.set("regex", "1");
  const list = put.toString();
  return `#/${state.page}${list && "?" + list}`;
}

/** Where the same view leads with something changed: for links. */
export const linkTo = (part: Partial<State>) => written({ ...current(), ...part });

/** Explore from its beginning, with this selector; what Now shows is shown there. */
export const linkToExplore = (part: Partial<State>) => linkTo({
  page: "explore", matchers: [], range: null, view: "graph", fn: null, search: "", regex: false, zoom: null, ...part,
});

export const go = apply;

/** An address without some of its parts, to tell whether others have changed. */
function without(hash: string, ...names: string[]): string {
  const [path, rest] = hash.split("?");
  const given = new URLSearchParams(rest ?? "");
  for (const name of names) given.delete(name);
  return `${path}?${given}`;
}

/** What changes without being worth a step back: typing, sorting, and a range that is being moved. */
const PASSING = ["search", "regex", "sort"], RANGE_STEP_MS = 1_500;

/** Starts keeping state and address in step. */
export function followAddress() {
  let rangeAt = 0, isReading = true;
  const readAll = () => {
    isReading = true;
    read();
    isReading = false;
  };
  read();
  addEventListener("popstate", readAll);
  effect(() => {
    const hash = written(current()), had = location.hash;
    if (hash === had || (hash === "#/now" && had === "")) return;
    const isSamePlace = without(hash, ...PASSING) === without(had, ...PASSING);
    const isMoving = without(hash, "from", "to") === without(had, "from", "to") && Date.now() - rangeAt < RANGE_STEP_MS;
    rangeAt = Date.now();
    if (isReading || isSamePlace || isMoving) history.replaceState(null, "", hash);
    else history.pushState(null, "", hash);
  });
  isReading = false;
}
