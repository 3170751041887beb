// SPDX-License-Identifier: Apache-2.0
// Deleting what is picked, for administrators: what goes is named and counted by the server before anybody says yes.
import { signal } from "@preact/signals";
import { html } from "htm/preact";
import { useEffect } from "preact/hooks";
import { type Deleted, type Deletion, get, post } from "./api";
import { say } from "./copy";
import { counted, duration, moment, range as rangeWords } from "./format";
import { hostNow } from "./live";
import { closeMenu, opened, Popup } from "./menu";
import { matchers, query, range, type } from "./state";

const ID = "delete";
const LOOK_MS = 2000; // how often it is looked whether the files are written anew
const LISTED = 20;
const TIME_MAX_MS = 2 ** 52; // an end that nobody named

/** What was deleted before, the last first; null until it is known. */
const before = signal<Deleted[] | null>(null);

const found = signal<Deletion | null>(null);
const refusal = signal("");
const isOfRange = signal(false);
const isOfType = signal(false);
const isBusy = signal(false);

const sentence = (error: unknown) => (error instanceof Error ? error.message : String(error));

function parameters() {
  const picked = isOfRange.value ? range.value : null;
  return { query: query.value, type: isOfType.value ? type.value : undefined, from: picked?.from, to: picked?.to };
}

let asked = 0;

/** What would go, asked anew whenever that changes. */
async function look() {
  const number = ++asked;
  found.value = null;
  refusal.value = "";
  try {
    const answer = await post<Deletion>("delete", { ...parameters(), dry: 1 });
    if (number === asked) found.value = answer;
  } catch (error) {
    if (number === asked) refusal.value = sentence(error);
  }
}

async function remove() {
  isBusy.value = true;
  try {
    const done = await post<Deletion>("delete", parameters());
    closeMenu();
    say(`Deleted ${counted(done.samples, "sample")} of ${done.query}`);
    if (!isOfRange.value && !isOfType.value) matchers.value = [];
  } catch (error) {
    refusal.value = sentence(error);
  }
  isBusy.value = false;
}

async function list(stop: AbortSignal) {
  try {
    before.value = (await get<{ deletions: Deleted[] }>("deletions", {}, stop)).deletions.reverse();
  } catch {
    // What can be deleted is of more interest, and says itself why nobody answers.
  }
}

function whenWords({ from_ms, to_ms }: Deletion) {
  if (from_ms > 0 && to_ms < TIME_MAX_MS) return rangeWords(from_ms, to_ms, hostNow.peek());
  if (from_ms > 0) return `since ${moment(from_ms, hostNow.peek())}`;
  return to_ms < TIME_MAX_MS ? `until ${moment(to_ms, hostNow.peek())}` : "of all time";
}

function Row({ done }: { done: Deleted }) {
  const ago = duration(Math.max(0, hostNow.value - done.deleted_ms));
  return html`<li><p class="mono">${done.query}</p>
    <p class="muted">${counted(done.samples, "sample")}, ${whenWords(done)}, ${ago} ago by ${done.by}</p>
    <p class="done">${done.state === "removed" ? "Removed from the files" : "Hidden; its files are being written anew"}</p></li>`;
}

/** Also while what was ordered is still being removed, which takes some seconds to minutes. */
function Before() {
  useEffect(() => {
    const stop = new AbortController();
    const look = () => before.value?.every(({ state }) => state === "removed") || void list(stop.signal);
    before.value = null;
    look();
    const timer = setInterval(look, LOOK_MS);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, []);
  const all = before.value ?? [];
  if (all.length === 0) return null;
  return html`<section aria-labelledby="deleted-title"><p id="deleted-title" class="head">Deleted before</p>
    <ul tabindex="0" aria-labelledby="deleted-title">${all.slice(0, LISTED).map((done) => html`<${Row} key=${done.deletion} done=${done} />`)}</ul>
    ${all.length > LISTED && html`<p class="none">and ${counted(all.length - LISTED, "more", "more")}; <code>hearth delete</code> lists all</p>`}</section>`;
}

function Form() {
  const what = found.value, picked = range.value;
  useEffect(() => void look(), [query.value, type.value, isOfRange.value, isOfType.value]);
  const submit = (event: Event) => {
    event.preventDefault();
    if (what && what.series > 0 && !isBusy.value) void remove();
  };
  const words = refusal.value ? html`<span class="warn">${refusal.value}</span>`
    : !what ? "Counting"
    : what.series === 0 ? "Nothing of it is stored"
    : `${counted(what.series, "series", "series")}, ${counted(what.samples, "sample")}, ${isOfRange.value && picked ? rangeWords(picked.from, picked.to, hostNow.peek()) : "of all time"}. Nothing brings them back.`;
  return html`<form class="own deleting" onSubmit=${submit}>
    <p class="mono">${query.value}</p>
    ${picked && html`<label class="check"><input type="checkbox" checked=${isOfRange.value} onChange=${(event: Event) => (isOfRange.value = (event.target as HTMLInputElement).checked)} />Only in the range that is picked</label>`}
    <label class="check"><input type="checkbox" checked=${isOfType.value} onChange=${(event: Event) => (isOfType.value = (event.target as HTMLInputElement).checked)} />Only of this profile type</label>
    <p class="none" role="status">${words}</p>
    <button class="btn primary" type="submit" disabled=${!what || what.series === 0 || isBusy.value}>Delete</button>
    <${Before} /></form>`;
}

/** There when something is picked: a host is not deleted. */
export function Delete() {
  if (!query.value) return null;
  if (opened.value !== ID) isOfRange.value = isOfType.value = false;
  return html`<${Popup} id=${ID} className="quiet" align="right" title="Delete what is picked" label="Delete" isPlain><${Form} /></${Popup}>`;
}
