// SPDX-License-Identifier: Apache-2.0
// Tables of functions: the hottest on Now; on Explore all, by self or total, with what is searched.
import { signal } from "@preact/signals";
import { html } from "htm/preact";
import type { FunctionRow } from "./api";
import { counted } from "./format";
import { swatchOf } from "./flame/draw";
import { functionsOf } from "./live";
import { rowKeys, share, swatch } from "./parts";
import { fn, type Function, linkTo, linkToExplore, regex, search, sort } from "./state";
import { coresIn } from "./values";

/** The function whose row is under the pointer: its frames are outlined. */
export const marked = signal<Function | null>(null);

const NAMELESS = "unnamed";

function NameCell({ row, href, isStop }: { row: FunctionRow; href: string; isStop: boolean }) {
  return html`<th scope="row" title=${[row.name, row.module, row.file].filter(Boolean).join(", ")}><a class="fn" href=${href} tabindex=${isStop ? 0 : -1} onKeyDown=${rowKeys}>${swatch(swatchOf(row.kind))}<span class="name">${row.name || NAMELESS}</span></a></th>`;
}

const keyOf = (row: FunctionRow) => row.name + "\0" + row.module;
const functionOf = ({ name, module }: FunctionRow): Function => ({ name, module });

function Refusal() {
  return html`<div class="nothing"><strong>The server refused the question</strong><p>${functionsOf.refusal.value}</p></div>`;
}

/** On Now: those in which most time is spent. */
export function HottestFunctions() {
  const answer = functionsOf.value.value;
  if (functionsOf.refusal.value) return html`<section class="panel"><header><h2>What</h2></header><${Refusal} /></section>`;
  if (!answer) return null;
  return html`<section class="panel what" aria-labelledby="what-title">
    <header><h2 id="what-title">What</h2><span class="muted">hottest functions, self</span></header>
    ${answer.rows.length === 0 ? html`<p class="nothing">No sample in this time.</p>` : html`<table id="functions">
      <thead><tr><th scope="col">Function</th><th scope="col" class="c-module hide-s">In</th><th scope="col" class="n c-number" aria-sort="descending">Host ↓</th></tr></thead>
      <tbody onMouseLeave=${() => (marked.value = null)}>${answer.rows.map((row, i) => html`<tr key=${keyOf(row)} onMouseEnter=${() => (marked.value = functionOf(row))}>
        <${NameCell} row=${row} isStop=${i === 0} href=${linkToExplore({ view: "sandwich", fn: functionOf(row) })} />
        <td class="service hide-s" title=${row.module}>${row.module}</td>
        <td class="n">${share(coresIn(row.self, answer) / (answer.cpus || 1))}</td></tr>`)}</tbody>
    </table>`}
  </section>`;
}

/** The rows whose names fit to what is searched, as the frames of the graph do; the server looks into file names, too. */
function fitting(rows: FunctionRow[]): FunctionRow[] {
  const text = search.value.trim();
  if (!text) return rows;
  if (!regex.value) return rows.filter((row) => row.name.toLowerCase().includes(text.toLowerCase()));
  try {
    const pattern = new RegExp(text, "i");
    return rows.filter((row) => pattern.test(row.name));
  } catch {
    return rows;
  }
}

function Head({ by, children }: { by: "self" | "total"; children: string }) {
  const isSorted = sort.value === by;
  return html`<th scope="col" class=${"n c-" + by} aria-sort=${isSorted ? "descending" : undefined}><button type="button" class="sort" onClick=${() => (sort.value = by)}>${children}${isSorted ? " ↓" : ""}</button></th>`;
}

/** On Explore: a click shows callers and callees. */
export function FunctionTable() {
  const answer = functionsOf.value.value;
  if (functionsOf.refusal.value) return html`<${Refusal} />`;
  if (!answer) return html`<div class="bones" role="status" aria-label="Loading functions"><i class="w1"></i><i class="w2"></i><i class="w3"></i></div>`;
  const by = sort.value, rows = [...fitting(answer.rows)].sort((a, b) => b[by] - a[by]);
  const all = answer.rows.length + (answer.more?.rows ?? 0);
  const text = search.value.trim();
  const words = text ? counted(rows.length, "match", "matches") : counted(all, "function");
  const most = Math.max(1, ...rows.map((row) => row.self)), whole = answer.total || 1;
  const picked = fn.value;
  const isPicked = (row: FunctionRow) => picked !== null && row.name === picked.name && (!picked.module || row.module === picked.module);
  const stop = rows.find(isPicked) ?? rows[0];
  return html`<div class=${"scroll" + (functionsOf.isStale.value ? " waiting" : "")}><table id="functions" aria-label="Functions">
    <thead><tr><th scope="col">${words}</th><${Head} by="self">Self</${Head}><${Head} by="total">Total</${Head}></tr></thead>
    <tbody onMouseLeave=${() => (marked.value = null)}>${rows.map((row) => html`<tr key=${keyOf(row)} aria-current=${isPicked(row) ? "true" : undefined} onMouseEnter=${() => (marked.value = functionOf(row))}>
      <${NameCell} row=${row} isStop=${row === stop} href=${linkTo({ view: "sandwich", fn: functionOf(row), zoom: null })} />
      <td class="n cellbar">${row.self > 0 && html`<i style=${{ width: `calc(44px * ${(row.self / most).toFixed(4)})` }}></i>`}${share(row.self / whole)}</td>
      <td class="n">${share(row.total / whole)}</td></tr>`)}</tbody>
  </table>
  ${rows.length === 0 && html`<p class="nothing">${text ? `No function is called like “${text}” in this view.` : "No sample in this view."}</p>`}
  ${!text && answer.more && answer.more.rows > 0 && html`<p class="more">${counted(answer.more.rows, "more function")}, ${share(answer.more.self / whole)} of view together, self</p>`}</div>`;
}
