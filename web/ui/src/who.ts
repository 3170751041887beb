// SPDX-License-Identifier: Apache-2.0
// Who uses the CPU: services with their processes, or processes, the busiest first, those that have
// ended as well. A name leads to Explore.
import { signal } from "@preact/signals";
import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { nameOf } from "./answer";
import * as api from "./api";
import { clock, cores, count, counted, percent } from "./format";
import { helpOf, reasonOf } from "./flame/reasons";
import { asked, leadOf, processesOf, processSearch, ROWS, ROWS_ALL, rowLimit, SPARK_POINTS, stacksOf } from "./live";
import { equals, selectorText } from "./query";
import { hueOf, rowKeys, Segments, share, sparkline, swatch } from "./parts";
import { linkToExplore, span, SPAN_WORDS, who } from "./state";

const ORDER_KEPT_MS = 10_000, INSIDE = 6;

interface Order {
  keys: string[];
  at: number;
}

/** What tells rows apart; what was sent by others has no process, but a service. */
const keyOf = (row: api.ProcessRow) => row.process || `${row.service_name}/${row.process_name ?? ""}`;

/** Rows keep their places for ten seconds, and for as long as the pointer is among them. */
function inOrder(rows: api.ProcessRow[], order: Order, isHeld: boolean): api.ProcessRow[] {
  const known = new Set(rows.map(keyOf));
  const isNew = !order.keys.some((key) => known.has(key));
  if (isNew || (!isHeld && Date.now() - order.at >= ORDER_KEPT_MS)) {
    order.keys = rows.map(keyOf);
    order.at = Date.now();
    return rows;
  }
  const place = new Map(order.keys.map((key, i) => [key, i]));
  const sorted = [...rows].sort((a, b) => (place.get(keyOf(a)) ?? 1e9) - (place.get(keyOf(b)) ?? 1e9));
  order.keys = sorted.map(keyOf);
  return sorted;
}

export function linkOf(row: api.ProcessRow): string {
  const isProcess = row.processes === undefined && row.process;
  return linkToExplore({ matchers: [isProcess ? equals("process", row.process!) : equals("service_name", row.service_name ?? "")] });
}

/** Services whose processes are shown. */
const opened = signal<ReadonlySet<string>>(new Set());

function toggle(service: string) {
  const next = new Set(opened.value);
  if (!next.delete(service)) next.add(service);
  opened.value = next;
}

function Twist({ service }: { service: string }) {
  const isOpen = opened.value.has(service);
  return html`<button class="twist" type="button" aria-expanded=${isOpen} aria-label=${`Processes of ${service || "no service"}`} tabindex="-1"
    onClick=${() => toggle(service)}>${isOpen ? "▾" : "▸"}</button>`;
}

type WholeRow = api.Stacks["rows"][number];
type Wholes = ReadonlyMap<string, WholeRow>;

/** Whose stacks are complete, by process or, of services, by their name. */
const wholesIn = (answer: api.Stacks | null): Wholes => new Map((answer?.rows ?? []).map((row) => [row.process ?? row.service_name ?? "", row]));

/** What share of the stacks is complete; why the others are not is told by pointer and to who listens. */
function Whole({ of }: { of: WholeRow | undefined }) {
  if (!of || of.total === 0) return html`<td class="n hide-s faint">–</td>`;
  const why = of.cuts.map(({ name, value }) => {
    const reason = reasonOf(name) || "callers missing";
    return `${percent(value / of.total)} % ${reason}: ${helpOf(reasonOf(name))}`;
  }).join("\n");
  const words = share(of.complete / of.total);
  return html`<td class=${"n hide-s" + (of.cuts.length > 0 ? " why" : " faint")} title=${why || undefined}>${words}${why && html`<span class="sr">, ${why}</span>`}</td>`;
}

function Row({ row, most, wholes, isStop, isInside }: { row: api.ProcessRow; most: number; wholes: Wholes; isStop: boolean; isInside?: boolean }) {
  const isService = row.processes !== undefined, service = row.service_name ?? "";
  const kernel = row.cores > 0 ? Math.min(1, row.kernel_cores / row.cores) : 0;
  const key = (event: KeyboardEvent) => {
    const isOpen = opened.value.has(service);
    if (isService && ((event.key === "ArrowRight" && !isOpen) || (event.key === "ArrowLeft" && isOpen))) toggle(service);
    else rowKeys(event);
  };
  const width = Math.max(2, (row.cores / most) * 100);
  return html`<tr class=${isInside ? "sub" : ""}>
    <th scope="row" title=${nameOf(row)}><span class="fn">${isService && html`<${Twist} service=${service} />`}${!isInside && swatch(hueOf(service))}
      <a class="name" href=${linkOf(row)} tabindex=${isStop ? 0 : -1} onKeyDown=${key}>${nameOf(row)}</a>
      ${row.pid !== undefined && html`<span class="from">pid ${row.pid}</span>`}
      ${isService && html`<span class="from hide-s">${counted(row.processes!, "process", "processes")}</span>`}
      ${row.exited && html`<span class="tag" title=${`Last seen at ${clock(row.last_seen_ms, true)}`}>ended</span>`}</span></th>
    <td class="n">${cores(row.cores)}</td>
    <td class="n hide-s">${share(row.share)}</td>
    <td class="hide-s"><span class="split" role="img" aria-label=${`${percent(kernel)} % in the kernel`} style=${{ width: width + "%" }}>
      ${kernel < 1 && html`<i style=${{ flexGrow: 1 - kernel }}></i>`}${kernel > 0 && html`<i class="kernel" style=${{ flexGrow: kernel }}></i>`}</span></td>
    <td class="n hide-s faint">${share(kernel)}</td>
    <${Whole} of=${wholes.get(isService ? service : row.process ?? "")} />
    <td class="sparks">${sparkline(row.spark ?? [], hueOf(service))}</td>
  </tr>`;
}

/** The processes of a service, below its row: asked for while they are shown. */
function Inside({ service, most }: { service: string; most: number }) {
  const [answer, setAnswer] = useState<api.Processes | null>(null);
  const [wholes, setWholes] = useState<Wholes>(new Map());
  const table = leadOf.value.value;
  useEffect(() => {
    const stop = new AbortController();
    const query = selectorText([equals("service_name", service)]);
    api.get<api.Processes>("processes", { ...asked(), query, limit: INSIDE, points: SPARK_POINTS }, stop.signal)
      .then(setAnswer, () => undefined); // the table says when nobody answers
    api.get<api.Stacks>("stacks", { ...asked(), query }, stop.signal).then((stacks) => setWholes(wholesIn(stacks)), () => undefined);
    return () => stop.abort();
  }, [service, table]);
  if (!answer) return html`<tr class="sub"><td colspan="7" class="faint">Reading</td></tr>`;
  const more = answer.more;
  return html`${answer.rows.map((row) => html`<${Row} key=${keyOf(row)} row=${row} most=${most} wholes=${wholes} isStop=${false} isInside />`)}
    ${more && more.rows > 0 && html`<tr class="sub"><td class="rest">${count(more.rows)} more</td><td class="n">${cores(more.cores)}</td><td class="hide-s"></td><td class="hide-s"></td><td class="hide-s"></td><td class="hide-s"></td><td></td></tr>`}`;
}

function Foot({ table, isServices }: { table: api.Processes; isServices: boolean }) {
  const more = table.more;
  const [one, many] = isServices ? ["service", "services"] : ["process", "processes"];
  if (more && more.rows > 0) {
    return html`<footer><span>${counted(more.rows, `more ${one}`, `more ${many}`)}, ${cores(more.cores)} cores together</span>
      <span class="spacer"></span>
      ${rowLimit.value < ROWS_ALL && html`<button class="link" type="button" onClick=${() => (rowLimit.value = ROWS_ALL)}>Show more</button>`}</footer>`;
  }
  if (rowLimit.value === ROWS) return null;
  return html`<footer><span class="spacer"></span><button class="link" type="button" onClick=${() => (rowLimit.value = ROWS)}>Show fewer</button></footer>`;
}

function Find() {
  return html`<label class="field small"><input id="find" type="search" placeholder="Name or pid" aria-label="Find a process by name or pid, ended ones too" spellcheck=${false} autocomplete="off"
    value=${processSearch.value} onInput=${(event: InputEvent) => (processSearch.value = (event.target as HTMLInputElement).value)} /></label>`;
}

export function WhoPanel() {
  const isServices = who.value === "services", resource = isServices ? leadOf : processesOf;
  const table = resource.value.value;
  const order = useRef<Order>({ keys: [], at: 0 }).current, body = useRef<HTMLTableSectionElement>(null);
  const isHeld = body.current?.matches(":hover, :focus-within") ?? false;
  const rows = table ? inOrder(table.rows, order, isHeld) : [];
  const most = Math.max(...rows.map((row) => row.cores), 0.01);
  const text = processSearch.value.trim(), wholes = wholesIn(stacksOf.value.value);
  return html`<section class=${"panel who" + (resource.isStale.value ? " waiting" : "")} aria-labelledby="who-title">
    <header><h2 id="who-title">Who</h2><span class="muted">${SPAN_WORDS[span.value]}</span><span class="spacer"></span>
      ${!isServices && html`<${Find} />`}
      <${Segments} label="Group by" options=${[["services", "Services"], ["processes", "Processes"]]} chosen=${who.value} onChoose=${(value: "services" | "processes") => (who.value = value)} /></header>
    ${resource.refusal.value && html`<div class="nothing"><strong>The server refused the question</strong><p>${resource.refusal.value}</p></div>`}
    ${table && rows.length > 0 && html`<table id="processes">
      <thead><tr>
        <th scope="col">${isServices ? "Service" : "Process"}</th><th scope="col" class="n c-number" aria-sort="descending">Cores ↓</th>
        <th scope="col" class="n c-number hide-s">Host</th><th scope="col" class="hide-s c-split">User, kernel</th>
        <th scope="col" class="n hide-s c-number">Kernel</th><th scope="col" class="n hide-s c-number" title="Stacks that reach the start of their thread">Complete</th><th scope="col" class="c-spark">Over time</th>
      </tr></thead>
      <tbody ref=${body}>${rows.map((row, i) => html`<${Row} key=${keyOf(row)} row=${row} most=${most} wholes=${wholes} isStop=${i === 0} />
        ${isServices && opened.value.has(row.service_name ?? "") && html`<${Inside} key=${"in " + keyOf(row)} service=${row.service_name ?? ""} most=${most} />`}`)}</tbody>
    </table>`}
    ${table && rows.length === 0 && html`<div class="nothing"><strong>${!isServices && text ? `No process called “${text}” in the ${SPAN_WORDS[span.value]}` : "No sample in this time"}</strong>
      <p>${!isServices && text ? "It did not run then, or did not use the CPU. A longer time may hold it." : "No process used the CPU while something was recorded."}</p></div>`}
    ${table && html`<${Foot} table=${table} isServices=${isServices} />`}
  </section>`;
}

