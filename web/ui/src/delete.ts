// SPDX-License-Identifier: Apache-2.0
// Deleting what is picked, for administrators: what goes is named and counted by the server before anybody says yes.
import { signal } from "@preact/signals";
import { html } from "htm/preact";
import { useEffect } from "preact/hooks";
import { type Deletion, post } from "./api";
import { say } from "./copy";
import { counted, range as rangeWords } from "./format";
import { hostNow } from "./live";
import { closeMenu, opened, Popup } from "./menu";
import { matchers, query, range, type } from "./state";

const ID = "delete";

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
    <button class="btn primary" type="submit" disabled=${!what || what.series === 0 || isBusy.value}>Delete</button></form>`;
}

/** There when something is picked: a host is not deleted. */
export function Delete() {
  if (!query.value) return null;
  if (opened.value !== ID) isOfRange.value = isOfType.value = false;
  return html`<${Popup} id=${ID} className="quiet" align="right" title="Delete what is picked" label="Delete" isPlain><${Form} /></${Popup}>`;
}
