// SPDX-License-Identifier: Apache-2.0
// The flame graph of a page: its data, its place in the address, and what a person does with a frame.
import { computed, signal } from "@preact/signals";
import { html } from "htm/preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { copyText, saveFile } from "./copy";
import { cores, percentSign, range as rangeWords } from "./format";
import { FlameGraph } from "./flame/graph";
import { callersTreeOf } from "./flame/invert";
import { legendOf } from "./flame/legend";
import { cutsOf, helpOf } from "./flame/reasons";
import { treeOf } from "./flame/tree";
import type { Colouring, FlameHandle, Matches, Order, Pointed, Scale, View } from "./flame/types";
import { marked } from "./functions";
import { flameOf, hostNow, invertedOf, sandwichOf, shownRange, status } from "./live";
import { Action, Actions, closeMenu, opened } from "./menu";
import { swatch } from "./parts";
import { colouring, fn, fold, go, order, page, regex, search, type, TYPE_CPU, view, zoom } from "./state";
import { viewName, viewWords } from "./selectors";
import { themeVersion } from "./theme";
import { amount, coresIn } from "./values";

export const tree = computed(() => {
  const answer = flameOf.value.value;
  return answer && answer.nodes.parent.length > 0 ? treeOf(answer) : null;
});

/** The server turns over all stacks, before it cuts any; here only what is left of them could be. */
const inverted = computed(() => {
  const answer = invertedOf.value.value;
  return answer && answer.nodes.parent.length > 0 ? callersTreeOf(answer) : null;
});

export const handle: { current: FlameHandle | null } = { current: null };
export const matches = signal<Matches | null>(null);

/** A frame whose menu is open. */
const menuOf = signal<Pointed | null>(null);
const FRAME_MENU = "frame-menu";

/** The status comes every five seconds, a name once: the graph is drawn anew only for another one. */
const hostName = computed(() => status.value?.host.name ?? "host");

const scale = computed((): Scale => {
  const answer = flameOf.value.value;
  const total = answer?.total || 1, isCpu = type.value === TYPE_CPU;
  return {
    rootName: viewName.value ?? hostName.value,
    rootWords: viewName.value ? "all that is picked" : "whole host",
    groupWords: "service",
    amount: (value) => {
      if (!isCpu) return { number: answer ? amount(value, answer) : "", unit: "" };
      return { number: cores(answer ? coresIn(value, answer) : 0), unit: "cores" };
    },
    ofHost: isCpu ? (value) => (answer ? coresIn(value, answer) / (answer.cpus || 1) : 0) : null,
    samples: (value) => (answer ? (value / total) * answer.samples : 0),
    rolled: answer && answer.samples > 0 ? answer.rolled_samples / answer.samples : 0,
  };
});

const exportWords = () => {
  const { from, to } = shownRange();
  return { title: `${viewName.value ?? hostName.value}: ${type.value === TYPE_CPU ? "CPU" : type.value.split(":", 2).join(" ")}`, subtitle: `${rangeWords(from, to, hostNow.value)}${viewWords.value ? `, ${viewWords.value}` : ""}` };
};

/** A name for a file: what is shown, and when. */
export function fileName(ending: string): string {
  const name = (viewName.value ?? hostName.value).replace(/[^\w.-]+/g, "-").slice(0, 60);
  const time = new Date(shownRange().from).toISOString().slice(0, 19).replace(/[:T]/g, "-");
  return `${name}-${time}.${ending}`;
}

export function saveSvg() {
  const picture = handle.current?.exportSvg(exportWords());
  if (picture) saveFile(new Blob([picture], { type: "image/svg+xml" }), fileName("svg"));
}

export async function savePng() {
  const picture = await handle.current?.exportPng(exportWords());
  if (picture) saveFile(picture, fileName("png"));
}

function pivot(func: { name: string; module: string }) {
  go({ page: "explore", view: "sandwich", fn: func, zoom: null });
}

/** What can be done with a frame: right click, the menu key, or ".". */
function FrameMenu() {
  const at = menuOf.value, box = useRef<HTMLDivElement>(null);
  const isOpen = at !== null && opened.value === FRAME_MENU;
  // Before it is painted: a key that comes at once is the menu's.
  useLayoutEffect(() => {
    const menu = box.current;
    if (!isOpen || !menu) return;
    const size = menu.getBoundingClientRect();
    menu.style.left = Math.max(8, Math.min(at!.x, document.documentElement.clientWidth - size.width - 8)) + "px";
    menu.style.top = Math.max(8, Math.min(at!.y, innerHeight - size.height - 8)) + "px";
    menu.querySelector<HTMLElement>("button")?.focus();
    const leave = (event: Event) => {
      if (!(event.target instanceof Node && menu.contains(event.target))) closeMenu();
    };
    document.addEventListener("pointerdown", leave, true);
    addEventListener("scroll", closeMenu, { once: true });
    return () => {
      document.removeEventListener("pointerdown", leave, true);
      removeEventListener("scroll", closeMenu);
    };
  }, [isOpen, at]);
  if (!isOpen) return null;
  const key = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    closeMenu();
    handle.current?.focus();
  };
  const back = (run: () => void) => () => {
    run();
    handle.current?.focus();
  };
  return html`<div class="pop" role="dialog" tabindex="-1" aria-label=${at!.name} ref=${box} onKeyDown=${key}><p class="pop-title">${at!.name}</p><${Actions}>
    ${at!.link && html`<${Action} onDo=${back(() => (zoom.value = at!.link))}>Zoom in</${Action}>`}
    ${at!.func && html`<${Action} onDo=${back(() => pivot(at!.func!))}>Callers and callees</${Action}>`}
    ${at!.func && html`<${Action} onDo=${back(() => go({ page: "explore", search: at!.func!.name, regex: false }))}>Search for it</${Action}>`}
    <${Action} onDo=${back(() => void copyText(at!.name, "the frame"))}>Copy frame</${Action}>
    <${Action} onDo=${back(() => void copyText(at!.stack.join("\n"), "the stack"))}>Copy stack</${Action}>
  </${Actions}></div>`;
}

export function Graph() {
  const shown = tree.value, isExplore = page.value === "explore";
  const drawn: View = isExplore && view.value === "sandwich" ? "sandwich" : isExplore && view.value === "inverted" ? "bottom-up" : "top-down";
  if (!shown || (drawn === "bottom-up" && !inverted.value)) return null;
  return html`<${FlameGraph} tree=${shown} scale=${scale.value} view=${drawn} order=${order.value as Order} colouring=${colouring.value as Colouring}
      fold=${fold.value} inverted=${inverted.value} pivot=${drawn === "sandwich" ? fn.value : null} sandwich=${drawn === "sandwich" && !sandwichOf.isStale.value ? sandwichOf.value.value : null}
      search=${isExplore ? search.value.trim() : ""} isPattern=${regex.value} zoom=${zoom.value} marked=${marked.value} theme=${themeVersion.value} handle=${handle}
      onZoom=${(link: string | null) => (zoom.value = link)} onPivot=${pivot}
      onContext=${(at: Pointed) => { menuOf.value = at; opened.value = FRAME_MENU; }}
      onCopy=${(text: string, what: "frame" | "stack") => void copyText(text, `the ${what}`)}
      onClear=${() => (search.value = "")} onMatches=${(found: Matches | null) => (matches.value = found)} />
    <${FrameMenu} />`;
}

export function Legend() {
  const shown = tree.value;
  if (!shown || (page.value === "explore" && search.value.trim())) return null;
  return html`<span class="legend kinds">${legendOf(shown, colouring.value as Colouring).map((entry) =>
    html`<span key=${entry.key}>${swatch(entry.token)}<span class="name">${entry.words}</span><b>${percentSign(entry.share)}</b></span>`)}</span>`;
}

/** How many of the stacks in the view reach their start, and why the others do not. */
export function Completeness() {
  const shown = tree.value, cuts = shown ? cutsOf(shown) : [];
  if (!shown || shown.viewTotal <= 0) return null;
  const missing = cuts.reduce((sum, one) => sum + one.share, 0);
  return html`<p class="complete muted"><span>Stacks complete <b>${percentSign(Math.max(0, 1 - missing))}</b></span>${cuts.map(({ reason, share }) =>
    html`<span key=${reason} title=${helpOf(reason)}>${reason} <b>${percentSign(share)}</b></span>`)}</p>`;
}

/** The graph of Now: the whole host, live. */
export function NowGraph() {
  const answer = flameOf.value.value, refusal = flameOf.refusal.value;
  if (!answer && !refusal) return null;
  return html`<section class=${"panel where-panel" + (flameOf.isStale.value ? " waiting" : "")} aria-labelledby="where-title">
    <header><h2 id="where-title">Where it goes</h2><span class="muted">host, by service</span><span class="spacer"></span><${Legend} /></header>
    ${refusal ? html`<div class="nothing"><strong>The server refused the question</strong><p>${refusal}</p></div>`
      : answer!.total === 0 ? html`<p class="nothing">No sample in this time.</p>` : html`<${Graph} />`}
  </section>`;
}
