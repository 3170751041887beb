// SPDX-License-Identifier: Apache-2.0
// The hottest functions of what the flame graph shows, by the time spent in themselves.
import { html } from "htm/preact";
import { swatchOf } from "./flame/draw";
import { coresOf, functions, highlighted, processWords, tree } from "./flame/panel";
import { linkOf } from "./flame/tree";
import { flame, flameOf } from "./live";
import { rowKeys, share, swatch } from "./parts";
import { zoom } from "./state";

export function FunctionTable() {
  const shown = tree.value, cpus = flame.value?.cpus || 1;
  if (!shown) return null;
  return html`<section class="panel what" aria-labelledby="what-title">
    <header><h2 id="what-title">What</h2><span class="muted">hottest functions of ${processWords(flameOf.value)}, self</span></header>
    <table id="functions">
      <thead><tr><th scope="col">Function</th><th scope="col" class="c-module">In</th><th scope="col" class="n c-number" aria-sort="descending">Host ↓</th></tr></thead>
      <tbody onMouseLeave=${() => (highlighted.value = -1)}>${functions.value.map((row, i) => html`<tr key=${row.name + "\0" + row.module} tabindex=${i ? -1 : 0}
          onKeyDown=${rowKeys} onMouseEnter=${() => (highlighted.value = row.node)} onClick=${() => (zoom.value = linkOf(shown, row.node))}>
        <th scope="row" title=${row.name}><span class="fn">${swatch(swatchOf(row.kind))}<span class="name">${row.name}</span></span></th>
        <td class="service" title=${row.module}>${row.module}</td>
        <td class="n">${share(coresOf(row.self) / cpus)}</td></tr>`)}</tbody>
    </table>
  </section>`;
}
