// SPDX-License-Identifier: Apache-2.0
// The page: one view, "Now". Answer first, then when, who, what and where.
import { effect } from "@preact/signals";
import { html } from "htm/preact";
import { render } from "preact";
import { answer } from "./answer";
import { coresOf, FlamePanel, functions, kinds, nextMatch, processWords, tree } from "./flame/panel";
import { CUT, UNNAMED } from "./flame/tree";
import { cores, count, duration, percent, range as rangeWords } from "./format";
import { FunctionTable } from "./functions";
import { flame, flameOf, hostNow, paused, processes, setPaused, silentSince, startLive, status, togglePause } from "./live";
import { withUnit } from "./parts";
import { ProcessTable } from "./processes";
import { followAddress, process, range, search, span, SPAN_WORDS, SPANS, type Span, zoom } from "./state";
import { isStarting, Loading, lostOf, Notices, Starting } from "./states";
import { startTheme, themeVersion, toggleTheme, isDark } from "./theme";
import { TimelinePanel } from "./timeline";

const KEYS: [string, string][] = [
  ["/", "search frames"], ["n  N", "next, previous match"], ["← → ↑ ↓", "move in the flame graph or a table"],
  ["Enter", "zoom in; select"], ["⌫", "back one zoom"], ["Esc", "reset zoom, clear search"],
  ["c", "copy the name of a frame"], ["Space", "pause, go live"], ["?", "this list"],
];

const help = () => document.getElementById("help") as HTMLDialogElement;
const openKeys = () => help().showModal();

function Keys() {
  return html`<dialog id="help" aria-labelledby="help-title"><h2 id="help-title">Keys</h2>
    <dl>${KEYS.map(([keys, words]) => html`<div><dt>${keys.split(" ").filter(Boolean).map((key) => html`<kbd>${key}</kbd> `)}</dt><dd>${words}</dd></div>`)}</dl>
    <button class="btn" type="button" onClick=${() => help().close()}>Close</button></dialog>`;
}

function goLive() {
  range.value = null;
  setPaused(false);
}

function Health() {
  const said = status.value;
  if (silentSince.value !== null) return html`<span class="health"><span class="dot b"></span>No answer</span>`;
  if (!said) return null;
  if (said.collector.state === "replay") return html`<span class="health"><span class="dot off"></span>Replay</span>`;
  if (said.collector.state !== "sampling") return html`<span class="health"><span class="dot w"></span>Not profiling</span>`;
  if (lostOf(said).part >= 0.01) return html`<span class="health"><span class="dot w"></span>Losing samples</span>`;
  return html`<span class="health"><span class="dot"></span>Complete</span>`;
}

function Bar() {
  const host = status.value?.host, picked = range.value;
  const isMoving = !picked && !paused.value, isSilent = silentSince.value !== null;
  void themeVersion.value;
  return html`<header class="bar">
    <a class="brand" href="#/now"><svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true"><path fill="currentColor" d="M1 15h16v2H1zM3 10.5h12v2.6H3zM5 6h5v2.6H5zM11.6 6H14v2.6h-2.4zM6.2 1.5h2.2v2.6H6.2z"/></svg>
      <span class="name">${host?.name || "Hearth"}</span>${host && html`<small>${count(host.cpus)} ${host.cpus === 1 ? "CPU" : "CPUs"}, Linux ${host.kernel}</small>`}</a>
    <span class="spacer"></span>
    ${picked
      ? html`<span class="btn still">${rangeWords(picked.from, picked.to, hostNow.value)}</span>`
      : html`<label class="btn select">${isMoving && !isSilent && html`<span class="live"></span>`}<span>${!isMoving ? "Paused," : isSilent ? "Waiting," : "Live,"}</span><select aria-label="Time shown" value=${span.value} onChange=${(event: Event) => (span.value = (event.target as HTMLSelectElement).value as Span)}>
          ${SPANS.map((one) => html`<option value=${one} selected=${one === span.value}>${SPAN_WORDS[one]}</option>`)}</select></label>`}
    ${isMoving
      ? html`<button class="btn icon" id="pause" type="button" aria-label="Pause live updates (Space)" title="Pause (Space)" onClick=${togglePause}><svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><path fill="currentColor" d="M2.5 1.5h2.4v9H2.5zM7.1 1.5h2.4v9H7.1z"/></svg></button>`
      : html`<button class="btn primary" id="pause" type="button" onClick=${goLive}>Go live</button>`}
    <button class="btn quiet icon" id="theme" type="button" aria-label=${isDark() ? "Switch to light" : "Switch to dark"} onClick=${toggleTheme}><svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true"><circle cx="7" cy="7" r="5.3" fill="none" stroke="currentColor" stroke-width="1.4"/><path fill="currentColor" d="M7 1.7a5.3 5.3 0 0 1 0 10.6z"/></svg></button>
    <${Health} />
  </header>`;
}

function Facts() {
  const table = processes.value!, said = status.value!, shown = tree.value, sum = kinds.value;
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
  const newest = said.store.newest_ms;
  if (newest) facts.push(["Newest data", html`${duration(hostNow.value - newest)} ago`]);
  return html`<dl class="facts">${facts.map(([word, value]) => html`<div key=${word}><dt>${word}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function Lead() {
  const table = processes.value!, hot = functions.value[0], picked = range.value;
  const words = answer(table, picked !== null);
  return html`<div class="lead"><div><h1 id="answer">${words}</h1>
    <p>${hot && html`Hottest code${flameOf.value ? ` of ${processWords(flameOf.value)}` : ""}: <b>${hot.name}</b>, ${cores(coresOf(hot.self))} cores.`}</p></div>
    <${Facts} /></div>`;
}

function Body() {
  const table = processes.value;
  if (!table || !status.value) return html`<${Loading} />`;
  if (isStarting()) return html`<${Starting} />`;
  const picked = range.value;
  const period = picked ? rangeWords(picked.from, picked.to, hostNow.value) : SPAN_WORDS[span.value];
  return html`<${Lead} />
    <${TimelinePanel} period=${SPAN_WORDS[span.value]} />
    <div class="cols"><${ProcessTable} period=${period} /><${FunctionTable} /></div>
    <${FlamePanel} period=${period} />`;
}

function Page() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return html`<a class="skip" href="#main" onClick=${(event: Event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>Skip to content</a>
    <${Bar} />
    <main id="main" tabindex="-1"><${Notices} /><${Body} /></main>
    <footer class="foot"><span>Hearth ${status.value?.version ?? ""}</span><span>Times are ${zone}, this browser’s</span>
      ${flame.value && flame.value.hidden > 0 && html`<span>${count(flame.value.hidden)} narrow frames are left out of the graph and counted in it</span>`}
      <span class="spacer"></span><button class="link" type="button" onClick=${openKeys}><kbd>?</kbd> keys</button></footer>
    <${Keys} />`;
}

function key(event: KeyboardEvent) {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (target.matches("input, select")) {
    if (event.key === "Escape") {
      if (target.id === "search") search.value = "";
      target.blur();
    }
    return;
  }
  if (event.key === "?") openKeys();
  else if (event.key === "/") document.getElementById("search")?.focus();
  else if (event.key === "n") nextMatch(1);
  else if (event.key === "N") nextMatch(-1);
  else if (event.key === "Escape" && !target.closest("dialog")) {
    zoom.value = null;
    search.value = "";
  } else if (event.key === " " && !target.matches("button, a, summary")) {
    if (range.value) goLive();
    else togglePause();
  } else return;
  event.preventDefault();
}

startTheme();
followAddress();
render(html`<${Page} />`, document.body);
document.addEventListener("keydown", key);
effect(() => {
  const name = status.value?.host.name, at = process.value ? processWords(process.value) + " on " : "";
  document.title = name ? `${at}${name}: Hearth` : "Hearth";
});
startLive();
