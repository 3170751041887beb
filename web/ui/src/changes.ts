// SPDX-License-Identifier: Apache-2.0
// What changed in the last minutes: services that use more or less than before, and where in them it lies.
import { html } from "htm/preact";
import type { ChangeRow } from "./api";
import { serviceName } from "./answer";
import { change, cores, counted, duration } from "./format";
import { changesOf } from "./live";
import { equals } from "./query";
import { linkToExplore } from "./state";

const ROWS = 4;

function Row({ row }: { row: ChangeRow }) {
  const by = row.cores - row.base_cores, frame = row.frame, service = serviceName(row);
  const tag = row.base_cores === 0 ? "new" : row.cores === 0 ? "gone" : "";
  const matchers = [equals("service_name", row.service_name ?? "")];
  const href = frame ? linkToExplore({ matchers, view: "sandwich", fn: { name: frame.name, module: frame.module } }) : linkToExplore({ matchers });
  return html`<li><span class=${"d" + (by > 0 ? " up" : "")}>${change(by)}</span>
    <span class="t">${service}${tag && html`<span class=${"tag " + tag}>${tag}</span>`}
      <small>${cores(row.base_cores)} → ${cores(row.cores)} cores${frame ? html`, in <b>${frame.name || "unnamed code"}</b> ${change(frame.cores - frame.base_cores)}` : tag ? "" : ", spread over it"}</small></span>
    <a href=${href} aria-label=${`Open ${service}`}>Open</a></li>`;
}

export function ChangesPanel() {
  const answer = changesOf.value.value, refusal = changesOf.refusal.value;
  if (!answer && !refusal) return null;
  const before = answer ? duration(answer.base_recorded_ms || answer.base_to_ms - answer.base_from_ms) : "";
  const shown = answer ? answer.rows.slice(0, ROWS) : [];
  const more = answer ? answer.rows.length - shown.length + answer.more.rows : 0;
  return html`<section class="panel changed" aria-labelledby="changed-title">
    <header><h2 id="changed-title">What changed</h2>${answer && html`<span class="muted">cores, against the ${before} before</span>`}</header>
    ${refusal && html`<div class="nothing"><strong>The server refused the question</strong><p>${refusal}</p></div>`}
    ${answer && (answer.base_recorded_ms <= 0
      ? html`<p class="nothing">Nothing to compare with yet: there is no recording of the ${before} before.</p>`
      : shown.length === 0 ? html`<p class="nothing">Nothing: no service changed by 0.01 cores or more.</p>`
      : html`<ul class="changes">${shown.map((row) => html`<${Row} key=${serviceName(row)} row=${row} />`)}</ul>`)}
    ${more > 0 && html`<footer>${counted(more, "more service")} changed</footer>`}
  </section>`;
}
