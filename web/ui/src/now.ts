// SPDX-License-Identifier: Apache-2.0
// Now: what is burning CPU on this host, and is that normal? Answer first, then when, who, what and where.
import { computed } from "@preact/signals";
import { html } from "htm/preact";
import { answer } from "./answer";
import { ChangesPanel } from "./changes";
import { byKind, CUT, UNNAMED } from "./flame/tree";
import { cores, count, duration, percent } from "./format";
import { HottestFunctions } from "./functions";
import { NowGraph, tree } from "./graph";
import { changesOf, contextRange, functionsOf, hostNow, leadOf, paused, status } from "./live";
import { withUnit } from "./parts";
import { SendersPanel } from "./senders";
import { linkToExplore, span } from "./state";
import { isStarting, Loading, lostOf, Starting } from "./states";
import { TimelinePanel } from "./timeline";
import { coresIn } from "./values";
import { WhoPanel } from "./who";

const kinds = computed(() => (tree.value ? byKind(tree.value) : null));

function Age() {
  const newest = status.value?.store.newest_ms;
  return html`<div><dt>Newest data</dt><dd>${newest ? html`${duration(hostNow.value - newest)} ago` : "none"}</dd></div>`;
}

function Facts() {
  const table = leadOf.value.value!, said = status.value!, shown = tree.value, sum = kinds.value;
  const total = shown ? shown.total[0] : 0;
  const facts: [string, unknown][] = [
    ["User", withUnit(cores(Math.max(0, table.cores - table.kernel_cores)), "cores")],
    ["Kernel", withUnit(cores(table.kernel_cores), "cores")],
  ];
  if (sum && total > 0) {
    facts.push(["Stacks complete", withUnit(percent(1 - sum[CUT] / total), "%")]);
    facts.push(["Named", withUnit(percent(1 - sum[UNNAMED] / total), "%")]);
  }
  facts.push(["Lost", count(lostOf(said).lost)]);
  return html`<dl class="facts">${facts.map(([word, value]) => html`<div key=${word} class=${word === "Stacks complete" ? "sep" : ""}><dt>${word}</dt><dd>${value}</dd></div>`)}<${Age} /></dl>`;
}

function Lead() {
  const table = leadOf.value.value!, functions = functionsOf.value.value, hot = functions?.rows[0];
  return html`<div class="lead"><div><h1 id="answer">${answer(table, false, changesOf.value.value)}</h1>
    <p>${hot && html`Hottest code: <a class="plain" href=${linkToExplore({ view: "sandwich", fn: { name: hot.name, module: hot.module } })}>${hot.name || "unnamed"}</a>, ${cores(coresIn(hot.self, functions))} cores.`}</p></div>
    <${Facts} /></div>`;
}

const HOUR_MS = 3_600_000;

/** What the timeline is of: as much of its time as there is. */
function contextWords(): string {
  const { from, to } = contextRange(), length = to - from;
  void span.value;
  return length >= 47 * HOUR_MS ? `last ${Math.round(length / 86_400_000)} days` : length === HOUR_MS ? "last hour" : `last ${duration(length)}`;
}

export function NowPage() {
  const table = leadOf.value.value;
  if (!status.value || (!table && !leadOf.refusal.value)) return html`<h1 class="sr">Now</h1><${Loading} />`;
  if (isStarting()) return html`<h1 class="sr">Now</h1><${Starting} />`;
  return html`${table ? html`<${Lead} />` : html`<h1 class="sr">Now</h1>`}
    <${TimelinePanel} title="Host CPU" words=${`${contextWords()}, cores${paused.value ? ", paused" : ""}`} />
    <div class="cols"><${WhoPanel} /><div class="stack"><${ChangesPanel} /><${HottestFunctions} /></div></div>
    <${NowGraph} />
    <${SendersPanel} />`;
}
