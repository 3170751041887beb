// SPDX-License-Identifier: Apache-2.0
// The flame graph of the page, with search and legend.
import { computed, signal } from "@preact/signals";
import { html } from "htm/preact";
import { counted, percentSign } from "../format";
import { flame, flameOf, processes, status } from "../live";
import { nameOf as processName } from "../answer";
import { swatch } from "../parts";
import { fold, process, regex, search, select, zoom } from "../state";
import { themeVersion } from "../theme";
import { FlameGraph } from "./graph";
import { legendOf } from "./legend";
import { byKind, funcOf, hottest, treeOf } from "./tree";
import type { FlameHandle, Matches, Scale } from "./types";

export const tree = computed(() => (flame.value && flame.value.nodes.parent.length > 0 ? treeOf(flame.value) : null));
export const functions = computed(() => (tree.value ? hottest(tree.value, 12) : []));
export const kinds = computed(() => (tree.value ? byKind(tree.value) : null));
const found = signal<Matches | null>(null);
/** The node of the table row under the pointer. */
export const highlighted = signal(-1);

const handle: { current: FlameHandle | null } = { current: null };
export const nextMatch = (step: 1 | -1) => handle.current?.nextMatch(step);

/** Cores that a value of the graph stands for. */
export function coresOf(value: number): number {
  const answer = flame.value;
  return answer && answer.recorded_ms > 0 ? value / (answer.recorded_ms * 1e6) : 0;
}

export function processWords(id: string | null): string {
  if (!id) return status.value?.host.name || "host";
  const row = processes.value?.rows.find((one) => one.process === id);
  return row ? processName(row) : `process ${id.split(".")[0]}`;
}

const scale = computed((): Scale => {
  const answer = flame.value;
  return {
    rootName: processWords(flameOf.value),
    rootWords: flameOf.value ? "whole process" : "whole host",
    groupWords: "service",
    cores: coresOf,
    ofHost: (value) => coresOf(value) / (answer?.cpus || 1),
    samples: (value) => (answer && answer.total > 0 ? (value / answer.total) * answer.samples : 0),
  };
});

function Legend() {
  const shown = tree.value;
  if (!shown || search.value.trim()) return null;
  return html`<span class="legend">${legendOf(shown, "kind").map((entry) =>
    html`<span key=${entry.key}>${swatch(entry.token)}${entry.words}<b>${percentSign(entry.share)}</b></span>`)}</span>`;
}

function Search() {
  const result = found.value;
  return html`<label class="field"><svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><circle cx="5" cy="5" r="3.6" fill="none" stroke="currentColor" stroke-width="1.4"/><path d="M7.8 7.8 11 11" stroke="currentColor" stroke-width="1.4"/></svg>
      <input id="search" type="search" placeholder="Search frames" aria-label="Search frames" spellcheck=${false} autocomplete="off"
        value=${search.value} onInput=${(event: InputEvent) => (search.value = (event.target as HTMLInputElement).value)}
        onKeyDown=${(event: KeyboardEvent) => event.key === "Enter" && nextMatch(event.shiftKey ? -1 : 1)} />
      <button class=${"btn quiet" + (regex.value ? " on" : "")} type="button" aria-pressed=${regex.value} aria-label="Pattern" title="Pattern"
        onClick=${() => (regex.value = !regex.value)}>.*</button></label>
    ${result && !result.isBroken && html`<span class="found" role="status">${result.frames > 0
      ? html`<b>${percentSign(result.share)}</b>of view in ${counted(result.frames, "frame")}` : "No frame matches"}</span>`}
    ${result?.isBroken && html`<span class="found warn">Not a pattern</span>`}`;
}

export function FlamePanel({ period }: { period: string }) {
  const shown = tree.value, selected = process.value, marked = highlighted.value;
  const isEmpty = !shown || shown.total[0] === 0;
  const isWaiting = flameOf.value !== selected;
  return html`<section class=${"panel where-panel" + (isWaiting ? " waiting" : "")} aria-labelledby="where-title" aria-busy=${isWaiting}>
    <header><h2 id="where-title">Where it goes</h2>
      ${selected
        ? html`<span class="chip"><span class="name">${processWords(selected)}</span><span class="faint">pid ${selected.split(".")[0]}</span><button class="btn quiet icon" type="button" aria-label="Back to the whole host" onClick=${() => select(null)}>✕</button></span>`
        : html`<span class="muted">host, by service, ${period}</span>`}
      <span class="spacer"></span><${Legend} /></header>
    <div class="tools"><${Search} /><span class="spacer"></span>
      <button class="btn" type="button" aria-pressed=${fold.value} onClick=${() => (fold.value = !fold.value)}>Fold chains</button></div>
    ${isEmpty ? html`<div class="nothing"><strong>No sample of ${processWords(selected)} in this time</strong>
        ${selected && html`<p>It did not run, or did not use the CPU.</p><button class="btn" type="button" onClick=${() => select(null)}>Whole host</button>`}</div>`
      : html`<${FlameGraph} tree=${shown} scale=${scale.value} fold=${fold.value} search=${search.value.trim()} isPattern=${regex.value}
          zoom=${zoom.value} marked=${marked >= 0 && marked < shown.count ? funcOf(shown, marked) : null} theme=${themeVersion.value} handle=${handle}
          onZoom=${(link: string | null) => (zoom.value = link)} onClear=${() => (search.value = "")}
          onMatches=${(matches: Matches | null) => (found.value = matches)}
          onCopy=${(text: string) => void navigator.clipboard?.writeText(text).catch(() => undefined)} />`}
  </section>`;
}
