// SPDX-License-Identifier: Apache-2.0
// Explore: where exactly is it going? Pick what and when; see the graph, the functions, callers and callees.
import { html } from "htm/preact";
import { answer } from "./answer";
import { addressOf } from "./api";
import { Delete } from "./delete";
import { cores, counted, percentSign, range as rangeWords } from "./format";
import { FunctionTable } from "./functions";
import { Completeness, fileName, Graph, handle, Legend, matches, savePng, saveSvg } from "./graph";
import { asked, flameOf, hostNow, leadOf, paused, sandwichOf, shownRange, status } from "./live";
import { Action, Actions, closeMenu, Popup } from "./menu";
import { Segments } from "./parts";
import { Selectors, viewName } from "./selectors";
import { colouring, exact, fn, fold, go, matchers, order, query, range, raw, regex, search, span, SPAN_WORDS, type, TYPE_CPU, view, type View } from "./state";
import { isStarting, Loading, Starting } from "./states";
import { TimelinePanel } from "./timeline";
import { amount } from "./values";

/** What the answers are of, for a file. */
const fileAddress = (format: string) => addressOf("export", { ...asked(), query: query.value, type: type.value === TYPE_CPU ? undefined : type.value, names: raw.value ? "raw" : undefined, exact: exact.value ? 1 : undefined, format });

function Export() {
  const file = (format: string, ending: string, words: string) =>
    html`<a href=${fileAddress(format)} download=${fileName(ending)} onClick=${closeMenu}>${words}</a>`;
  return html`<${Popup} id="export" align="right" title="Export" label="Export"><${Actions}>
    ${file("pprof", "pb.gz", "pprof, for go tool pprof")}${file("folded", "folded", "Folded stacks, for flamegraph.pl or speedscope")}
    <${Action} onDo=${saveSvg}>SVG, as drawn</${Action}><${Action} onDo=${() => void savePng()}>PNG, as drawn</${Action}></${Actions}></${Popup}>`;
}

/** The sentence, of what is picked. */
function title(): string {
  const table = leadOf.value.value, graph = flameOf.value.value, isPast = range.value !== null;
  if (type.value !== TYPE_CPU) return graph ? `${amount(graph.total, graph)} of ${viewName.value ?? "all senders"}.` : "Explore";
  if (!table) return leadOf.refusal.value ? "Explore" : "Reading";
  if (matchers.value.length === 0) return answer(table, isPast);
  const of = `${cores(table.cores)} cores, ${percentSign(table.cores / (table.cpus || 1))} of host`;
  return `${viewName.value} ${isPast ? "used" : "uses"} ${of}.`;
}

function period(): string {
  const { from, to } = shownRange();
  if (range.value) return `${rangeWords(from, to, hostNow.peek())}, ${new Date(from).toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long" })}`;
  return `${SPAN_WORDS[span.value]}${paused.value ? `, paused at ${rangeWords(from, to, hostNow.peek()).split(" – ")[1]}` : ""}`;
}

function Search() {
  const found = matches.value, text = search.value;
  const step = (by: 1 | -1, words: string, sign: string) => html`<button class="btn quiet icon" type="button" aria-label=${words} title=${words} onClick=${() => handle.current?.nextMatch(by)}>${sign}</button>`;
  return html`<label class="field"><svg width="13" height="13" viewBox="0 0 13 13" aria-hidden="true"><path fill="none" stroke="currentColor" stroke-width="1.5" d="M8.7 8.7 12 12M5.5 10a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9z"/></svg>
      <input id="search" type="search" placeholder="Search frames" aria-label="Search frames" spellcheck=${false} autocomplete="off"
        value=${text} onInput=${(event: InputEvent) => (search.value = (event.target as HTMLInputElement).value)}
        onKeyDown=${(event: KeyboardEvent) => event.key === "Enter" && handle.current?.nextMatch(event.shiftKey ? -1 : 1)} />
      <button class=${"btn quiet icon mono" + (regex.value ? " on" : "")} id="regex" type="button" aria-pressed=${regex.value} aria-label="Regular expression" title="Regular expression"
        onClick=${() => (regex.value = !regex.value)}>.*</button></label>
    ${text.trim() && found && html`<span class="found" role="status">${found.isBroken ? html`<span class="warn">Not a regular expression yet</span>`
      : found.frames === 0 ? "No frame matches"
      : html`<b>${percentSign(found.share)}</b>of view, ${found.at > 0 ? `${found.at} of ${found.bars}` : `${counted(found.bars, "match", "matches")}`}${step(-1, "Previous match (N)", "‹")}${step(1, "Next match (n)", "›")}`}</span>`}`;
}

const COLOUR_WORDS: Record<string, string> = { kind: "kind", module: "module", package: "package" };

function Look() {
  return html`<${Popup} id="look" align="right" title="How it is drawn" label=${html`<span class="faint">Colour</span> ${COLOUR_WORDS[colouring.value]}`}><${Actions}>
    ${(["kind", "module", "package"] as const).map((one) => html`<button type="button" key=${one} aria-pressed=${colouring.value === one} onClick=${() => { closeMenu(); colouring.value = one; }}>By ${COLOUR_WORDS[one]}</button>`)}
    <hr /><button type="button" aria-pressed=${order.value === "widest"} onClick=${() => { closeMenu(); order.value = "widest"; }}>Widest first</button>
    <button type="button" aria-pressed=${order.value === "name"} onClick=${() => { closeMenu(); order.value = "name"; }}>By name</button>
    <hr /><button type="button" aria-pressed=${raw.value} onClick=${() => { closeMenu(); go({ raw: !raw.value, zoom: null }); }}>Names as compiled</button>
    <button type="button" aria-pressed=${exact.value} title="Out of every sample, not out of sums over long times: slower" onClick=${() => { closeMenu(); go({ exact: !exact.value }); }}>Every frame, exactly</button>
    <hr class="only-s" /><button type="button" class="only-s" aria-pressed=${fold.value} onClick=${() => { closeMenu(); fold.value = !fold.value; }}>Fold chains</button></${Actions}></${Popup}>`;
}

export function showView(next: View) {
  if (next === view.value) return;
  // A link to a frame is of one view: it means nothing in another.
  go({ view: next, zoom: null });
}

function Tools() {
  const shown = view.value === "sandwich" && !fn.value ? "sandwich" : view.value;
  return html`<div class="tools">
    <${Segments} label="View" options=${[["graph", "Graph"], ["inverted", "Inverted"], ["sandwich", "Sandwich"], ["table", "Table", "only-narrow"]]} chosen=${shown} onChoose=${showView} />
    <${Search} /><span class="spacer"></span><${Legend} />
    <${Look} />
    <button class="btn hide-s" id="fold" type="button" aria-pressed=${fold.value} onClick=${() => (fold.value = !fold.value)}>Fold chains</button></div>`;
}

function Empty() {
  const name = viewName.value, { from, to } = shownRange();
  const wasRecorded = (flameOf.value.value?.recorded_ms ?? 0) > 0;
  return html`<div class="nothing"><strong>No sample${name ? ` of ${name}` : ""} ${range.value ? `between ${rangeWords(from, to, hostNow.peek()).replace(" – ", " and ")}` : `in the ${SPAN_WORDS[span.value]}`}</strong>
    <p>${!wasRecorded ? "Nothing was recorded then." : name ? "The host was recorded then; this did not run, or did not use the CPU." : "The host was recorded then and was idle."}</p>
    ${matchers.value.length > 0 && html`<button class="btn" type="button" onClick=${() => go({ matchers: [], zoom: null })}>Whole host</button>`}</div>`;
}

/** Of the function in the middle of the sandwich. */
function Pivot() {
  const picked = fn.value, found = sandwichOf.value.value;
  if (!picked) return html`<div class="nothing"><strong>No function is picked</strong><p>Pick one in the table, or press <kbd>s</kbd> on a frame of the graph: its callers and callees are shown here.</p></div>`;
  if (sandwichOf.refusal.value) return html`<div class="nothing"><strong>The server refused the question</strong><p>${sandwichOf.refusal.value}</p></div>`;
  if (found && !sandwichOf.isStale.value && found.total === 0) {
    return html`<div class="nothing"><strong>${picked.name || "This function"} is not in this range</strong><p>No stack of the view holds it.</p>
      <button class="btn" type="button" onClick=${() => go({ view: "graph", search: picked.name, fn: null })}>Search for it</button></div>`;
  }
  return html`<${Graph} />`;
}

function Pane() {
  const answer = flameOf.value.value, refusal = flameOf.refusal.value;
  if (refusal) return html`<div class="nothing"><strong>The server refused the question</strong><p>${refusal}</p></div>`;
  if (!answer) return html`<div class="bones" role="status" aria-label="Loading the graph"><i class="w1"></i><i class="w2"></i><i class="w3"></i><i class="w4"></i></div>`;
  if (answer.total === 0) return html`<${Empty} />`;
  return view.value === "sandwich" ? html`<${Pivot} />` : html`<${Graph} />`;
}

export function ExplorePage() {
  if (!status.value) return html`<h1 class="sr">Explore</h1><${Loading} />`;
  if (isStarting()) return html`<h1 class="sr">Explore</h1><${Starting} />`;
  return html`<h1 class="sr">Explore</h1>
    <div class="top"><${Selectors} /><span class="ends"><${Delete} /><${Export} /></span></div>
    <${TimelinePanel} title=${title()} words=${period()} />
    <section class=${"panel where-panel" + (flameOf.isStale.value ? " waiting" : "")} aria-label="Functions and flame graph" aria-busy=${flameOf.isStale.value}>
      <${Tools} /><${Completeness} />
      <div class="pair" data-pane=${view.value === "table" ? "table" : "graph"}><div class="pane-table"><${FunctionTable} /></div><div class="pane-graph"><${Pane} /></div></div>
    </section>`;
}
