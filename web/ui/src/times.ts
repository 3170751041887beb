// SPDX-License-Identifier: Apache-2.0
// The range picker, and the keys that move a range.
import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { range as rangeWords } from "./format";
import { hostNow, paused, setPaused, shownRange, silentSince } from "./live";
import { closeMenu, Popup } from "./menu";
import { go, page, range, type Range, span, SPAN_WORDS, SPANS, type Span } from "./state";

const SHORTEST_MS = 1_000;

export function goLive() {
  range.value = null;
  setPaused(false);
}

/** A picked range belongs to Explore: Now is about now. */
export function pick(picked: Range) {
  go({ page: "explore", range: picked });
}

/** One range earlier or later; what would reach beyond now ends now. */
export function shift(direction: 1 | -1) {
  const { from, to } = shownRange(), length = to - from;
  const end = Math.min(to + direction * length, hostNow.value);
  if (direction > 0 && !range.value) return;
  pick({ from: Math.round(end - length), to: Math.round(end) });
}

/** Twice as long or half as long, around the same middle; live: the next longer or shorter of the list. */
export function stretch(factor: 2 | 0.5) {
  if (!range.value) {
    const at = SPANS.indexOf(span.value) + (factor > 1 ? 1 : -1);
    if (at >= 0 && at < SPANS.length) span.value = SPANS[at];
    return;
  }
  const { from, to } = range.value, length = Math.max(SHORTEST_MS, (to - from) * factor);
  const end = Math.min((from + to) / 2 + length / 2, hostNow.value);
  range.value = { from: Math.round(end - length), to: Math.round(end) };
}

/** For a datetime-local field, which knows no zone: this browser's. */
function fieldText(timeMs: number): string {
  const time = new Date(timeMs);
  return new Date(timeMs - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

function Own() {
  const { from, to } = shownRange();
  const [start, setStart] = useState(fieldText(from));
  const [end, setEnd] = useState(fieldText(to));
  const picked = { from: new Date(start).getTime(), to: new Date(end).getTime() };
  const problem = Number.isNaN(picked.from) || Number.isNaN(picked.to) ? "Both times are needed"
    : picked.to <= picked.from ? "The end lies before the start" : picked.from > hostNow.value ? "That is still to come" : "";
  const submit = (event: Event) => {
    event.preventDefault();
    if (problem) return;
    closeMenu();
    pick(picked);
  };
  return html`<form class="own" onSubmit=${submit}>
    <label>From<input class="text" id="from" type="datetime-local" step="1" value=${start} onInput=${(event: InputEvent) => setStart((event.target as HTMLInputElement).value)} /></label>
    <label>To<input class="text" id="to" type="datetime-local" step="1" value=${end} onInput=${(event: InputEvent) => setEnd((event.target as HTMLInputElement).value)} /></label>
    <p class="none" role="status">${problem}</p>
    <button class="btn primary" type="submit" disabled=${problem !== ""}>Show</button></form>`;
}

function chooseSpan(one: Span) {
  closeMenu();
  span.value = one;
  goLive();
  document.getElementById("when")?.focus();
}

export function RangePicker() {
  const picked = page.value === "explore" ? range.value : null;
  const isMoving = !picked && !paused.value;
  const words = picked ? rangeWords(picked.from, picked.to, hostNow.peek())
    : `${silentSince.value !== null ? "Waiting" : isMoving ? "Live" : "Paused"}, ${SPAN_WORDS[span.value]}`;
  return html`<${Popup} id="when" title="Time shown" label=${html`${isMoving && silentSince.value === null && html`<span class="live"></span>`}<span>${words}</span>`}>
    <div class="spans">${SPANS.map((one) => html`<button type="button" key=${one} aria-pressed=${!picked && one === span.value} onClick=${() => chooseSpan(one)}>${SPAN_WORDS[one]}</button>`)}</div>
    <${Own} /></${Popup}>`;
}

