// SPDX-License-Identifier: Apache-2.0
// What the person has chosen, kept in the address: a link brings back the same picture.
import { batch, effect, signal } from "@preact/signals";

export interface Range {
  from: number; // ms since the epoch
  to: number;
}

export const SPANS = ["5m", "15m", "1h", "6h", "24h"] as const;
export type Span = (typeof SPANS)[number];
export const SPAN_WORDS: Record<Span, string> = {
  "5m": "last 5 min", "15m": "last 15 min", "1h": "last hour", "6h": "last 6 h", "24h": "last 24 h",
};
export const SPAN_MS: Record<Span, number> = {
  "5m": 300_000, "15m": 900_000, "1h": 3_600_000, "6h": 21_600_000, "24h": 86_400_000,
};

/** The selected process, PID.START.EXEC, or null for the whole host. */
export const process = signal<string | null>(null);
/** A range picked on the timeline, or null while the page follows the clock. */
export const range = signal<Range | null>(null);
export const span = signal<Span>("15m");
export const search = signal("");
export const regex = signal(false);
/** The zoomed frame as "name~path": the path tells frames of one name apart, the name is for reading. */
export const zoom = signal<string | null>(null);
export const fold = signal(true);

function read() {
  const query = new URLSearchParams(location.hash.split("?")[1] ?? "");
  const from = Number(query.get("from")), to = Number(query.get("to"));
  const wanted = query.get("last") as Span;
  batch(() => {
    process.value = query.get("process");
    range.value = from > 0 && to > from ? { from, to } : null;
    span.value = SPANS.includes(wanted) ? wanted : "15m";
    search.value = query.get("search") ?? "";
    regex.value = query.get("regex") === "1";
    zoom.value = query.get("zoom");
    fold.value = query.get("fold") !== "0";
  });
}

function written(): string {
  const query = new URLSearchParams();
  if (process.value) query.set("process", process.value);
  if (range.value) {
    query.set("from", String(range.value.from));
    query.set("to", String(range.value.to));
  }
  if (span.value !== "15m") query.set("last", span.value);
  if (zoom.value) query.set("zoom", zoom.value);
  if (!fold.value) query.set("fold", "0");
  if (search.value) query.set("search", search.value);
  if (regex.value) query.set("regex", "1");
  const text = query.toString();
  return "#/now" + (text && "?" + text);
}

const withoutSearch = (hash: string) => hash.replace(/[?&](search|regex)=[^&]*/g, "");

/** Starts keeping state and address in step. Typing a search makes no history entries. */
export function followAddress() {
  read();
  addEventListener("popstate", read);
  effect(() => {
    const hash = written();
    if (hash === location.hash || (hash === "#/now" && location.hash === "")) return;
    if (withoutSearch(hash) === withoutSearch(location.hash)) history.replaceState(null, "", hash);
    else history.pushState(null, "", hash);
  });
}

export function select(id: string | null) {
  batch(() => {
    process.value = id;
    zoom.value = null;
  });
}
