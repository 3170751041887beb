// SPDX-License-Identifier: Apache-2.0
// The flame graph with all that stands around it: search, legend, crumbs, card, words for a reader.
import { computed, signal } from "@preact/signals";
import { html } from "htm/preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { cores, count, counted, percent, percentSign } from "../format";
import { flame, flameOf, processes, status } from "../live";
import { nameOf as processName } from "../answer";
import { share, swatch, withUnit } from "../parts";
import { fold, process, regex, search, select, zoom } from "../state";
import { themeVersion } from "../theme";
import { barName, swatchOf } from "./draw";
import type { Layout } from "./layout";
import {
  byKind, CUT, findLink, GROUP, hottest, KERNEL, KIND_WORDS, lineage, linkName, linkOf, moduleOf, MORE, NATIVE,
  RUNTIME, searchFor, treeOf, UNNAMED,
} from "./tree";
import { type Pointed, FlameView } from "./view";

const LEGEND = [KERNEL, NATIVE, RUNTIME, UNNAMED, CUT];
const CRUMBS_SHOWN = 6;

export const tree = computed(() => (flame.value && flame.value.nodes.parent.length > 0 ? treeOf(flame.value) : null));
export const functions = computed(() => (tree.value ? hottest(tree.value, 12) : []));
export const kinds = computed(() => (tree.value ? byKind(tree.value) : null));
const focus = computed(() => (tree.value ? findLink(tree.value, zoom.value) : 0));
const found = computed(() => (tree.value ? searchFor(tree.value, search.value.trim(), regex.value) : null));
const pointed = signal<Pointed | null>(null);
const levels = signal({ deeper: 0, frames: 0 });
const spoken = signal("");
/** The node of the table row under the pointer. */
export const highlighted = signal(-1);

let view: FlameView | null = null;
export const nextMatch = (step: 1 | -1) => view?.nextMatch(step);

/** Cores that a value of the graph stands for. */
export function coresOf(value: number): number {
  const answer = flame.value;
  return answer && answer.recorded_ms > 0 ? value / (answer.recorded_ms * 1e6) : 0;
}

const hostPart = (value: number) => coresOf(value) / (flame.value?.cpus || 1);
const viewPart = (value: number) => (tree.value && tree.value.total[0] > 0 ? value / tree.value.total[0] : 0);

export function processWords(id: string | null): string {
  if (!id) return status.value?.host.name || "host";
  const row = processes.value?.rows.find((one) => one.process === id);
  return row ? processName(row) : `process ${id.split(".")[0]}`;
}

function describe(node: number, row: number): string {
  const shown = tree.value!;
  const name = barName({ tree: shown, rootName: processWords(flameOf.value) }, node);
  return `${name}, ${percent(viewPart(shown.total[node]))} percent, level ${row}`;
}

function whereOf(node: number): string {
  const shown = tree.value!, kind = shown.kind[node], module = moduleOf(shown, node);
  if (node === 0) return flameOf.value ? "whole process" : "whole host";
  if (kind === GROUP) return "service";
  if (kind === MORE) return "Each too narrow to draw here. Counted in every number.";
  if (kind === CUT) return "The stack could not be walked further: who called is unknown.";
  if (kind === UNNAMED) return "Unnamed: no symbols" + (module ? " for " + module : "");
  return KIND_WORDS[kind] + (module ? ", " + module : "");
}

function Card() {
  const at = pointed.value, shown = tree.value, answer = flame.value;
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const card = box.current;
    if (!card || !at) return;
    const size = card.getBoundingClientRect();
    const left = Math.max(8, Math.min(at.x + 14, document.documentElement.clientWidth - size.width - 12));
    const below = at.y + 18, above = at.y - size.height - 12;
    card.style.left = left + "px";
    card.style.top = (below + size.height > innerHeight && above > 0 ? above : below) + "px";
  });
  if (!at || !shown || !answer || at.node >= shown.count) return null;
  const { node } = at, self = shown.self[node], total = shown.total[node];
  const zoomed = focus.value > 0 ? shown.total[focus.value] : 0;
  const line = (word: string, value: number) => html`<tr><th scope="row">${word}</th>
    <td class="n">${withUnit(cores(coresOf(value)), "cores")}</td><td class="n">${share(hostPart(value))}</td>
    <td class="n">${share(viewPart(value))}</td>${zoomed > 0 && html`<td class="n">${share(value / zoomed)}</td>`}</tr>`;
  const samples = Math.round(answer.total > 0 ? (total / answer.total) * answer.samples : 0);
  return html`<div class="card" id="card" ref=${box} role="tooltip">
    <strong>${barName({ tree: shown, rootName: processWords(flameOf.value) }, node)}</strong>
    <div class="where">${shown.kind[node] >= KERNEL && shown.kind[node] < MORE && swatch(swatchOf(shown.kind[node]))}<span>${whereOf(node)}</span></div>
    <table>
      <thead><tr><td></td><td></td><th scope="col" class="n">of host</th><th scope="col" class="n">of view</th>${zoomed > 0 && html`<th scope="col" class="n">of zoom</th>`}</tr></thead>
      <tbody>${line("Self", self)}${line("Total", total)}</tbody>
    </table>
    <div class="keys">${counted(samples, "sample")}${at.folded > 0 && ` · ${count(at.folded + 1)} frames in one bar`}${!at.byTouch && shown.kind[node] !== MORE && " · click to zoom"}</div>
    ${at.byTouch && html`<div class="acts">
      <button class="btn" type="button" onClick=${() => { pointed.value = null; zoom.value = linkOf(shown, node); }}>Zoom in</button>
      <button class="btn" type="button" onClick=${() => (pointed.value = null)}>Close</button></div>`}
  </div>`;
}

function Crumbs() {
  const shown = tree.value;
  if (!shown) return null;
  const at = Math.max(0, focus.value), line = lineage(shown, at);
  const rootName = processWords(flameOf.value);
  const hidden = Math.max(0, line.length - CRUMBS_SHOWN);
  const kept = hidden ? [line[0], ...line.slice(line.length - CRUMBS_SHOWN + 1)] : line;
  return html`<nav class="crumbs" aria-label="Zoom">
    ${kept.map((node, i) => {
      const name = barName({ tree: shown, rootName }, node);
      return html`${i > 0 && html`<span aria-hidden="true">›</span>`}${i === 1 && hidden > 0 && html`<span>⋯${hidden + 1}</span><span aria-hidden="true">›</span>`}
        ${node === at ? html`<span aria-current="true" title=${name}>${name}</span>`
          : html`<button type="button" title=${name} onClick=${() => (zoom.value = linkOf(shown, node))}>${name}</button>`}`;
    })}
    ${at > 0 && html`<button type="button" class="reset" onClick=${() => (zoom.value = null)}>Reset zoom</button>`}
    <span class="spacer"></span>
    <span class="faint">${counted(flame.value?.samples ?? 0, "sample")}</span>
  </nav>`;
}

function Legend() {
  const sum = kinds.value, shown = tree.value;
  if (!sum || !shown || found.value) return null;
  return html`<span class="legend">${LEGEND.filter((kind) => sum[kind] > 0).map((kind) =>
    html`<span key=${kind}>${swatch(swatchOf(kind))}${KIND_WORDS[kind]}<b>${percentSign(viewPart(sum[kind]))}</b></span>`)}</span>`;
}

function Search() {
  const result = found.value;
  const isBroken = regex.value && search.value !== "" && result === null;
  return html`<label class="field"><svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><circle cx="5" cy="5" r="3.6" fill="none" stroke="currentColor" stroke-width="1.4"/><path d="M7.8 7.8 11 11" stroke="currentColor" stroke-width="1.4"/></svg>
      <input id="search" type="search" placeholder="Search frames" aria-label="Search frames" spellcheck=${false} autocomplete="off"
        value=${search.value} onInput=${(event: InputEvent) => (search.value = (event.target as HTMLInputElement).value)}
        onKeyDown=${(event: KeyboardEvent) => event.key === "Enter" && nextMatch(event.shiftKey ? -1 : 1)} />
      <button class=${"btn quiet" + (regex.value ? " on" : "")} type="button" aria-pressed=${regex.value} aria-label="Pattern" title="Pattern"
        onClick=${() => (regex.value = !regex.value)}>.*</button></label>
    ${result && html`<span class="found" role="status">${result.frames > 0
      ? html`<b>${percentSign(viewPart(result.total))}</b>of view in ${counted(result.frames, "frame")}` : "No frame matches"}</span>`}
    ${isBroken && html`<span class="found warn">Not a pattern</span>`}`;
}

/** The same in words, for who cannot see the picture. */
function summary(): string {
  const shown = tree.value;
  if (!shown) return "";
  const top = functions.value[0];
  const hot = top ? ` Hottest function: ${top.name}, ${cores(coresOf(top.self))} cores, ${percent(viewPart(top.self))} % of view.` : "";
  return `Flame graph of ${processWords(flameOf.value)}: ${cores(coresOf(shown.total[0]))} cores.${hot}`;
}

function Canvas() {
  const box = useRef<HTMLDivElement>(null), canvas = useRef<HTMLCanvasElement>(null);
  const shown = tree.value, at = focus.value, matches = found.value, isFolded = fold.value, of = flameOf.value;
  const theme = themeVersion.value, marked = highlighted.value;
  const rootName = processWords(of);
  useEffect(() => {
    const made = (view = new FlameView(box.current!, canvas.current!, {
      point: (value) => (pointed.value = value),
      zoom: (node) => (zoom.value = tree.peek() ? linkOf(tree.peek()!, node) : null),
      speak: (text) => (spoken.value = text),
      laidOut: (layout: Layout) => (levels.value = { deeper: layout.deeper, frames: layout.count }),
      copy: (text) => void navigator.clipboard?.writeText(text).catch(() => undefined),
      clear: () => (search.value = ""),
      describe,
    }));
    return () => {
      made.destroy();
      view = null;
    };
  }, []);
  useEffect(() => {
    if (shown) view?.show(shown, Math.max(0, at), isFolded, matches, rootName);
  }, [shown, at, matches, isFolded, rootName]);
  useEffect(() => view?.restyle(), [theme]);
  useEffect(() => view?.highlight(marked), [marked]);
  return html`<div class="flamebox"><div class="flame" ref=${box}>
      <canvas ref=${canvas} id="flame" tabindex="0" role="application" aria-roledescription="flame graph" aria-describedby="flame-words"
        aria-label="Flame graph. Arrow keys move, Enter zooms, Backspace goes back, Escape resets."></canvas></div>
    <p class="sr" id="flame-words">${summary()}</p><p class="sr" role="status" aria-live="polite">${spoken.value}</p>
    <${Deeper} /></div>`;
}

function Deeper() {
  const { deeper } = levels.value;
  return html`<p class="cut">${deeper > 0 ? `${counted(deeper, "deeper level")}, all narrower than 3 px: zoom in to see` : ""}</p>`;
}

export function FlamePanel({ period }: { period: string }) {
  const shown = tree.value, selected = process.value;
  const isEmpty = !shown || shown.total[0] === 0;
  const isWaiting = flameOf.value !== selected;
  const lost = shown && focus.value < 0 && zoom.value ? linkName(zoom.value) : null;
  return html`<section class=${"panel where-panel" + (isWaiting ? " waiting" : "")} aria-labelledby="where-title" aria-busy=${isWaiting}>
    <header><h2 id="where-title">Where it goes</h2>
      ${selected
        ? html`<span class="chip"><span class="name">${processWords(selected)}</span><span class="faint">pid ${selected.split(".")[0]}</span><button class="btn quiet icon" type="button" aria-label="Back to the whole host" onClick=${() => select(null)}>✕</button></span>`
        : html`<span class="muted">host, by service, ${period}</span>`}
      <span class="spacer"></span><${Legend} /></header>
    <div class="tools"><${Search} /><span class="spacer"></span>
      <button class="btn" type="button" aria-pressed=${fold.value} onClick=${() => (fold.value = !fold.value)}>Fold chains</button></div>
    ${lost && html`<p class="note">${lost} is not in this range. All of ${processWords(selected)} is shown instead.</p>`}
    ${!isEmpty && html`<${Crumbs} />`}
    ${isEmpty ? html`<div class="nothing"><strong>No sample of ${processWords(selected)} in this time</strong>
        ${selected && html`<p>It did not run, or did not use the CPU.</p><button class="btn" type="button" onClick=${() => select(null)}>Whole host</button>`}</div>`
      : html`<${Canvas} />`}
    <${Card} />
  </section>`;
}
