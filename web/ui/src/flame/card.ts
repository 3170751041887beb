// SPDX-License-Identifier: Apache-2.0
// What is said about the bar under the pointer; under a finger it is a sheet with buttons.
import { html } from "htm/preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { counted, NARROW } from "../format";
import { amountOf, share, swatch } from "../parts";
import { swatchOf } from "./colours";
import { helpOf, reasonOf } from "./reasons";
import { CUT, GROUP, isFrame, KIND_WORDS, moduleOf, MORE, nameOf, placeOf, type Tree, UNNAMED } from "./tree";
import type { Pointed, Scale } from "./types";

const RIGHT = 14, BELOW = 18, MARGIN = 8;

function whereOf(tree: Tree, node: number, scale: Scale): string {
  const kind = tree.kind[node], module = moduleOf(tree, node);
  if (node === 0 && !tree.isSandwich) return scale.rootWords;
  if (kind === GROUP) return scale.groupWords;
  if (kind === MORE) return "Each too narrow to draw here. Counted in every number.";
  if (kind === CUT) return helpOf(reasonOf(nameOf(tree, node)));
  if (kind === UNNAMED) return "Unnamed: no symbols" + (module ? " for " + module : "");
  return KIND_WORDS[kind] + (tree.inlined?.[node] === 1 ? ", inlined" : tree.interpreted?.[node] === 1 ? ", interpreted" : "") + (module ? ", " + module : "");
}

export interface CardProps {
  at: Pointed;
  scale: Scale;
  zoomTotal: number; // 0: nothing is zoomed
  onZoom(): void;
  onPivot?(): void;
  onCopy?(): void;
  onClose(): void;
}

export function Card({ at, scale, zoomTotal, onZoom, onPivot, onCopy, onClose }: CardProps) {
  const box = useRef<HTMLDivElement>(null);
  const { tree, node } = at, isSheet = at.by === "touch", kind = tree.kind[node];
  useLayoutEffect(() => {
    const card = box.current;
    if (!card) return;
    const size = card.getBoundingClientRect();
    const left = Math.max(MARGIN, Math.min(at.x + RIGHT, document.documentElement.clientWidth - size.width - 12));
    const below = at.y + BELOW, above = at.y - size.height - 12;
    card.style.left = left + "px";
    card.style.top = (below + size.height > innerHeight && above > 0 ? above : below) + "px";
  });
  useEffect(() => {
    if (!isSheet) return;
    // A tap outside closes; on the graph itself the next bar takes its place.
    const outside = (event: Event) => {
      const target = event.target as Element;
      if (!box.current?.contains(target) && !target.closest?.(".flame")) onClose();
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  });
  const whole = tree.viewTotal;
  const line = (word: string, value: number) => html`<tr><th scope="row">${word}</th>
    <td class="n">${amountOf(scale, value)}</td>${scale.ofHost && html`<td class="n">${share(scale.ofHost(value))}</td>`}
    <td class="n">${share(whole > 0 ? value / whole : 0)}</td>${zoomTotal > 0 && html`<td class="n">${share(tree.total[node] > zoomTotal ? 1 : value / zoomTotal)}</td>`}</tr>`;
  // A caller's own column is what nobody called; bottom-up, the whole of who stands first is self time.
  const isCaller = node > 0 && node < tree.callers, isLeaf = !tree.isSandwich && tree.depth[node] === 1;
  const notes = [counted(Math.round(scale.samples(tree.total[node])), "sample")];
  if (at.frames > 1) notes.push(counted(at.frames, "frame") + " in one bar");
  if (isSheet) notes.push("tap outside to close");
  else if (kind !== MORE && at.by === "mouse") notes.push("click to zoom");
  else if (kind !== MORE) notes.push("Enter zooms");
  return html`<div class=${"card" + (isSheet ? " sheet" : "")} id="card" ref=${box} role=${isSheet ? "dialog" : "tooltip"} aria-label=${isSheet ? at.name : undefined}>
    <strong>${at.name}</strong>
    <div class="where">${isFrame(kind) && swatch(swatchOf(kind))}<span>${whereOf(tree, node, scale)}</span></div>
    ${placeOf(tree, node) && html`<div class="place">${placeOf(tree, node)}</div>`}
    <table>
      <thead><tr><td></td><td></td>${scale.ofHost && html`<th scope="col" class="n">of host</th>`}<th scope="col" class="n">of view</th>${zoomTotal > 0 && html`<th scope="col" class="n">of zoom</th>`}</tr></thead>
      <tbody>${isCaller ? line(isLeaf ? "Self" : "Total", tree.total[node]) : html`${line("Self", tree.self[node])}${line("Total", tree.total[node])}`}</tbody>
    </table>
    <div class="keys">${notes.join(` ·${NARROW}`)}</div>
    ${isSheet && html`<div class="acts">
      ${kind !== MORE && html`<button class="btn" type="button" onClick=${onZoom}>Zoom in</button>`}
      ${onPivot && html`<button class="btn" type="button" onClick=${onPivot}>Sandwich</button>`}
      ${onCopy && html`<button class="btn" type="button" onClick=${onCopy}>Copy</button>`}</div>`}
  </div>`;
}
