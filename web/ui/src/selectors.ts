// SPDX-License-Identifier: Apache-2.0
// What Explore is of: service, process, thread, any label, profile type. Each choice is a matcher of
// one selector, which is what the server is asked with and what the address holds.
import { computed, signal } from "@preact/signals";
import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { nameOf } from "./answer";
import * as api from "./api";
import { clock, cores } from "./format";
import { asked, leadOf, typesOf } from "./live";
import { Chooser, closeMenu, opened, type Option, Popup } from "./menu";
import { type Matcher, matcherText, OPERATORS, type Operator, selectorText, valueOf, withValue } from "./query";
import { go, matchers, type, TYPE_CPU } from "./state";

/** Names of processes that were chosen or listed: the selector holds only what is unique. */
const processNames = new Map<string, string>();
const namesKnown = signal(0);

function remember(rows: readonly api.ProcessRow[]) {
  for (const row of rows) {
    if (row.process && !processNames.has(row.process)) {
      processNames.set(row.process, nameOf(row));
      namesKnown.value = namesKnown.peek() + 1;
    }
  }
}

export function processWords(id: string): string {
  void namesKnown.value;
  const found = processNames.get(id) ?? leadOf.value.value?.rows.find((row) => row.process === id)?.process_name;
  return found ?? `process ${id.split(".")[0]}`;
}

/** What the view is of, in a word; null for the whole host. */
export const viewName = computed((): string | null => {
  const process = valueOf(matchers.value, "process"), service = valueOf(matchers.value, "service_name");
  const thread = valueOf(matchers.value, "thread_name");
  if (thread !== null) return thread || "no thread name";
  if (process !== null) return processWords(process);
  if (service !== null) return service || "no service";
  return matchers.value.length > 0 ? matchers.value.map(matcherText).join(", ") : null;
});

/** All matchers in words. */
export const viewWords = computed(() => matchers.value.map((one) =>
  one.label === "process" ? `${processWords(one.value)}, pid ${one.value.split(".")[0]}` : matcherText(one)).join(", "));

/** Another view starts from its whole: what was zoomed belongs to the old one. */
const look = (next: Matcher[]) => go({ matchers: next, zoom: null });

/** Asks while a chooser is open; again whenever its text changes. */
function useOptions<T>(isOpen: boolean, ask: (signal: AbortSignal) => Promise<T>, key: string): T | null {
  const [answer, setAnswer] = useState<T | null>(null);
  useEffect(() => {
    if (!isOpen) return;
    const stop = new AbortController();
    ask(stop.signal).then((value) => !stop.signal.aborted && setAnswer(value), () => undefined);
    return () => stop.abort();
  }, [isOpen, key]);
  return isOpen ? answer : null;
}

const LIST_MAX = 100;

function label(name: string, value: string, isChosen: boolean) {
  return html`<span class="faint">${name}</span> <b class=${"value" + (isChosen ? " chosen" : "")}>${value}</b>`;
}

function ServiceChooser() {
  const chosen = valueOf(matchers.value, "service_name"), isOpen = opened.value === "service";
  const answer = useOptions(isOpen, (signal) => api.get<api.Processes>("processes", { ...asked(), by: "service", limit: 500, points: 0 }, signal), "");
  const options = (answer?.rows ?? []).map((row): Option => ({ value: row.service_name ?? "", words: nameOf(row), number: cores(row.cores) }));
  return html`<${Popup} id="service" className="sel" title="Service" label=${label("Service", chosen === null ? "any" : chosen || "none", chosen !== null)}>
    <${Chooser} id="service" name="service" options=${options} chosen=${chosen} any="Any service" isWaiting=${!answer}
      onChoose=${(value: string | null) => look(withValue(withValue(withValue(matchers.peek(), "process", null), "thread_name", null), "service_name", value))} /></${Popup}>`;
}

function ProcessChooser() {
  const chosen = valueOf(matchers.value, "process"), isOpen = opened.value === "process";
  const [text, setText] = useState("");
  const service = valueOf(matchers.value, "service_name");
  const query = service === null ? undefined : selectorText(withValue([], "service_name", service));
  const answer = useOptions(isOpen, (signal) => api.get<api.Processes>("processes",
    { ...asked(), query, search: text.trim() || undefined, limit: LIST_MAX, points: 0 }, signal), `${query} ${text.trim()}`);
  useEffect(() => remember(answer?.rows ?? []), [answer]);
  useEffect(() => {
    if (!isOpen) setText("");
  }, [isOpen]);
  const options = (answer?.rows ?? []).filter((row) => row.process).map((row): Option => ({
    value: row.process!, words: nameOf(row), number: cores(row.cores),
    note: `pid ${row.pid}${row.exited ? `, ended, last seen ${clock(row.last_seen_ms, true)}` : ""}`,
  }));
  return html`<${Popup} id="process" className="sel" title="Process" label=${label("Process", chosen === null ? "any" : processWords(chosen), chosen !== null)}>
    <${Chooser} id="process" name="process" placeholder="Name or pid, ended ones too" options=${options} chosen=${chosen} any="Any process" isWaiting=${!answer}
      empty="No process in this time is called like that" onSearch=${setText}
      onChoose=${(value: string | null) => look(withValue(withValue(matchers.peek(), "thread_name", null), "process", value))} /></${Popup}>`;
}

interface Values {
  values: string[];
}

function ThreadChooser() {
  const chosen = valueOf(matchers.value, "thread_name"), isOpen = opened.value === "thread";
  const query = selectorText(withValue(matchers.value, "thread_name", null));
  const answer = useOptions(isOpen, (signal) => api.get<api.Timeline>("timeline",
    { ...asked(), query, by: "thread_name", limit: LIST_MAX, points: 1 }, signal), query ?? "");
  const options = (answer?.series ?? []).map((row): Option => {
    const sum = row.cores.reduce<number>((total, value) => total + (value ?? 0), 0);
    return { value: row.labels.thread_name ?? "", words: row.labels.thread_name ?? "no name", number: cores(sum / Math.max(1, row.cores.filter((value) => value !== null).length)) };
  });
  return html`<${Popup} id="thread" className="sel" title="Thread" label=${label("Thread", chosen === null ? "any" : chosen || "no name", chosen !== null)}>
    <${Chooser} id="thread" name="thread" options=${options} chosen=${chosen} any="Any thread" isWaiting=${!answer}
      onChoose=${(value: string | null) => look(withValue(matchers.peek(), "thread_name", value))} /></${Popup}>`;
}

const OPERATOR_WORDS: Record<Operator, string> = { "=": "is", "!=": "is not", "=~": "matches", "!~": "does not match" };

function FilterForm() {
  const [name, setName] = useState("process_name");
  const [operator, setOperator] = useState<Operator>("=");
  const [value, setValue] = useState("");
  const names = useOptions(true, (signal) => api.get<{ names: string[] }>("labels", { ...asked() }, signal), "");
  const values = useOptions(true, (signal) => api.get<Values>("labels", { ...asked(), name }, signal), name);
  const shown = (names?.names ?? ["process_name"]).filter((one) => !/^__.*__$/.test(one));
  const fitting = (values?.values ?? []).filter((one) => one.toLowerCase().includes(value.toLowerCase())).slice(0, 8);
  const submit = (event: Event) => {
    event.preventDefault();
    closeMenu();
    document.getElementById("filter")?.focus();
    look([...matchers.peek().filter((one) => !(operator === "=" && one.operator === "=" && one.label === name)), { label: name, operator, value }]);
  };
  return html`<form class="own" onSubmit=${submit}>
    <label>Label<select id="filter-label" value=${name} onChange=${(event: Event) => setName((event.target as HTMLSelectElement).value)}>${shown.map((one) => html`<option key=${one} selected=${one === name}>${one}</option>`)}</select></label>
    <label>How<select id="filter-how" value=${operator} onChange=${(event: Event) => setOperator((event.target as HTMLSelectElement).value as Operator)}>${OPERATORS.map((one) => html`<option key=${one} value=${one} selected=${one === operator}>${OPERATOR_WORDS[one]}</option>`)}</select></label>
    <label>Value<input class="text" id="filter-value" type="text" autocomplete="off" spellcheck=${false} value=${value} onInput=${(event: InputEvent) => setValue((event.target as HTMLInputElement).value)} /></label>
    <div class="suggestions">${fitting.map((one) => html`<button type="button" class="link" key=${one} onClick=${() => setValue(one)}>${one || "(none)"}</button>`)}</div>
    <button class="btn primary" type="submit">Add filter</button></form>`;
}

/** Matchers that have no button of their own. */
const isPlain = (one: Matcher) => one.operator === "=" && ["service_name", "process", "thread_name"].includes(one.label);

function Chips() {
  return matchers.value.filter((one) => !isPlain(one)).map((one) => html`<span class="chip" key=${matcherText(one)}><span class="name">${one.label} ${OPERATOR_WORDS[one.operator]} <span class="mono">${one.value || "(none)"}</span></span>
    <button class="btn quiet icon" type="button" aria-label=${`Remove filter: ${one.label} ${OPERATOR_WORDS[one.operator]} ${one.value}`} onClick=${() => look(matchers.peek().filter((other) => other !== one))}>✕</button></span>`);
}

function typeWords(id: string): string {
  if (id === TYPE_CPU) return "CPU";
  const [name, sample] = id.split(":");
  return name === sample || !sample ? name : `${name}, ${sample}`;
}

function TypeChooser() {
  const known = typesOf.value.value?.types ?? [];
  const ids = [...new Set([...known.map((one) => one.id), type.value])];
  return html`<${Popup} id="type" className="sel" title="Profile type" label=${label("Type", typeWords(type.value), true)}>
    <${Chooser} id="type" name="profile type" options=${ids.map((id): Option => ({ value: id, words: typeWords(id), note: id.split(":")[2] }))} chosen=${type.value}
      onChoose=${(value: string | null) => go({ type: value ?? TYPE_CPU, zoom: null })} /></${Popup}>`;
}

export function Selectors() {
  const isAny = matchers.value.length === 0;
  return html`<div class="selectors"><${ServiceChooser} /><${ProcessChooser} /><${ThreadChooser} /><${TypeChooser} />
    <${Chips} />
    <${Popup} id="filter" className="quiet" title="Filter by a label" label="+ Filter" isPlain><${FilterForm} /></${Popup}>
    ${!isAny && html`<button class="btn quiet" id="whole" type="button" onClick=${() => look([])}>Whole host</button>`}</div>`;
}
