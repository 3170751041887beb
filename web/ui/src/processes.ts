// SPDX-License-Identifier: Apache-2.0
// Who uses the CPU: processes, the busiest first. A click shows what one of them does.
import { html } from "htm/preact";
import { useRef } from "preact/hooks";
import { nameOf } from "./answer";
import type { ProcessRow, Processes } from "./api";
import { cores, counted, percent } from "./format";
import { processes, rowLimit } from "./live";
import { hueOf, rowKeys, share, sparkline } from "./parts";
import { process, select } from "./state";

const ORDER_KEPT_MS = 10_000, ROWS = 12, ROWS_ALL = 100;

interface Order {
  keys: string[];
  at: number;
}

/** What tells rows apart; what was sent by others has no process, but a service. */
const keyOf = (row: ProcessRow) => row.process || `${row.service_name}/${row.process_name}`;

/** Rows keep their places for ten seconds, and for as long as the pointer is among them. */
function inOrder(rows: ProcessRow[], order: Order, isHeld: boolean): ProcessRow[] {
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

function Row({ row, most, isStop }: { row: ProcessRow; most: number; isStop: boolean }) {
  const id = row.process || null, isSelected = id !== null && process.value === id;
  const kernel = row.cores > 0 ? Math.min(1, row.kernel_cores / row.cores) : 0;
  return html`<tr tabindex=${isStop ? 0 : -1} aria-selected=${isSelected} onKeyDown=${rowKeys}
      onClick=${() => select(isSelected ? null : id)}>
    <th scope="row" title=${nameOf(row)}><span class="fn"><span class="name">${nameOf(row)}</span>${row.pid !== undefined && html`<span class="from hide-s">pid ${row.pid}</span>`}</span></th>
    <td class="service" title=${row.service_name ?? ""}>${row.service_name ?? ""}</td>
    <td class="n">${cores(row.cores)}</td>
    <td class="n">${share(row.share)}</td>
    <td class="hide-s"><span class="split" role="img" aria-label=${`${percent(kernel)} % in the kernel`}
        style=${{ width: Math.max(2, (row.cores / most) * 100) + "%" }}>
      <i style=${{ flexGrow: 1 - kernel }}></i>${kernel > 0 && html`<i style=${{ flexGrow: kernel }}></i>`}</span></td>
    <td class="n hide-s">${share(kernel)}</td>
    <td class="sparks">${sparkline(row.spark ?? [], hueOf(row.service_name ?? ""))}</td>
  </tr>`;
}

function More({ table }: { table: Processes }) {
  const more = table.more;
  if (more && more.rows > 0) {
    return html`<footer><span>${counted(more.rows, "more process", "more processes")}, ${cores(more.cores)} cores together</span>
      <span class="spacer"></span>
      ${rowLimit.value < ROWS_ALL && html`<button class="link" type="button" onClick=${() => (rowLimit.value = ROWS_ALL)}>Show more</button>`}</footer>`;
  }
  if (rowLimit.value === ROWS) return null;
  return html`<footer><span class="spacer"></span><button class="link" type="button" onClick=${() => (rowLimit.value = ROWS)}>Show fewer</button></footer>`;
}

export function ProcessTable({ period }: { period: string }) {
  const table = processes.value;
  const order = useRef<Order>({ keys: [], at: 0 }).current;
  const body = useRef<HTMLTableSectionElement>(null);
  const isHeld = body.current?.matches(":hover, :focus-within") ?? false;
  if (!table) return null;
  const rows = inOrder(table.rows, order, isHeld);
  const most = Math.max(...rows.map((row) => row.cores), 0.01);
  const stop = rows.find((row) => row.process === process.value) ?? rows[0];
  return html`<section class="panel who" aria-labelledby="who-title">
    <header><h2 id="who-title">Who</h2><span class="muted">${period}, processes</span></header>
    <table id="processes">
      <thead><tr>
        <th scope="col">Process</th><th scope="col" class="c-service">Service</th>
        <th scope="col" class="n c-number" aria-sort="descending">Cores ↓</th><th scope="col" class="n c-number">Host</th>
        <th scope="col" class="hide-s c-split">User, kernel</th><th scope="col" class="n hide-s c-number">Kernel</th>
        <th scope="col" class="c-spark">Over time</th>
      </tr></thead>
      <tbody ref=${body}>${rows.map((row) => html`<${Row} key=${keyOf(row)} row=${row} most=${most} isStop=${row === stop} />`)}</tbody>
    </table>
    <${More} table=${table} />
  </section>`;
}
