// SPDX-License-Identifier: Apache-2.0
// Who sends profiles by OpenTelemetry's protocol: in which revision, how much, and what was wrong.
import { html } from "htm/preact";
import type { Sender } from "./api";
import { bytes, count, counted, duration } from "./format";
import { hostNow, status } from "./live";

const RECENT_MS = 3_600_000; // what was wrong longer ago is over

/** What is to be known about its data, in a few words. */
function wordsOf(sender: Sender): string {
  const words = [];
  if (sender.requests_refused > 0) words.push(counted(sender.requests_refused, "request") + " refused");
  if (sender.requests_failed > 0) words.push(counted(sender.requests_failed, "request") + " not stored");
  if (sender.samples_refused > 0) words.push(counted(sender.samples_refused, "sample") + " left out");
  if (sender.mended > 0) words.push(counted(sender.mended, "thing") + " mended");
  return words.join(", ") || "all of it is good";
}

function Row({ sender }: { sender: Sender }) {
  const isWrong = sender.wrong !== "" && hostNow.value - sender.wrong_ms < RECENT_MS;
  return html`<tr><th scope="row" title=${sender.agent}>${sender.host} <small class="muted">${sender.agent || "no name"}</small></th>
    <td>${sender.revision} <small class="muted">${sender.way}</small></td>
    <td class="n">${count(sender.samples)}</td>
    <td class="n hide-s">${bytes(sender.bytes)}</td>
    <td title=${sender.wrong}>${wordsOf(sender)}${isWrong && html`<br /><small class="muted">${sender.wrong}</small>`}</td>
    <td class="n hide-s">${duration(Math.max(0, hostNow.value - sender.last_ms))} ago</td></tr>`;
}

export function SendersPanel() {
  const senders = status.value?.otlp ?? [];
  if (senders.length === 0) return null;
  return html`<section class="panel" aria-labelledby="senders-title">
    <header><h2 id="senders-title">Senders</h2><span class="muted">OpenTelemetry's profiles that came here</span></header>
    <table id="senders"><thead><tr><th scope="col">From</th><th scope="col">Revision</th><th scope="col" class="n">Samples</th><th scope="col" class="n hide-s">Size</th><th scope="col">Condition</th><th scope="col" class="n hide-s">Last</th></tr></thead>
      <tbody>${senders.map((sender) => html`<${Row} key=${sender.host + " " + sender.agent} sender=${sender} />`)}</tbody></table>
  </section>`;
}
