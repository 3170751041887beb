// SPDX-License-Identifier: Apache-2.0
// The flame graph as the page mounts it: crumbs, canvas, notes, card, and words for a reader. See README.md.
import { html } from "htm/preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { counted, percent, percentSign } from "../format";
import { amountOf, amountWords, withUnit } from "../parts";
import { Card } from "./card";
import { barName } from "./draw";
import { pngOf, svgOf } from "./export";
import { bottomUp, sandwichFrom, sandwichOf } from "./invert";
import { namesFound, patternOf, type Search, searchFor } from "./search";
import { findLink, hottest, lineage, linkName, linkOf, type Tree } from "./tree";
import type { ExportWords, FlameHandle, FlameProps, Matches, Pointed } from "./types";
import { FlameView, type Listeners } from "./view";


const CRUMBS_SHOWN = 6;

/** What a page says beside the search field: of the data, whatever is drawn. null: nothing is searched for. */
function matchesOf(tree: Tree, text: string, search: Search | null): Matches | null {
  if (!text) return null;
  if (!search) return { total: 0, share: 0, frames: 0, bars: 0, at: 0, isBroken: true };
  const share = tree.viewTotal > 0 ? search.total / tree.viewTotal : 0;
  return { total: search.total, share, frames: search.frames, bars: 0, at: 0, isBroken: false };
}

/** The tree that a view draws. */
function useViewTree({ tree, view, pivot, sandwich, inverted }: FlameProps): Tree {
  return useMemo(() => {
    if (view === "bottom-up") return inverted ?? bottomUp(tree);
    if (view !== "sandwich" || !pivot) return tree;
    return sandwich ? sandwichFrom(sandwich, tree.viewTotal) : sandwichOf(tree, pivot);
  }, [tree, view, pivot?.name, pivot?.module, sandwich, inverted]);
}

function Crumbs({ tree, at, props }: { tree: Tree; at: number; props: FlameProps }) {
  const { scale, onZoom, onLeave } = props, line = lineage(tree, at);
  const hidden = Math.max(0, line.length - CRUMBS_SHOWN);
  const kept = hidden ? [line[0], ...line.slice(line.length - CRUMBS_SHOWN + 1)] : line;
  const isPivot = tree.isSandwich;
  return html`<nav class="crumbs" aria-label="Zoom">
    ${isPivot && onLeave && html`<button type="button" onClick=${onLeave}>${scale.rootName}</button><span aria-hidden="true">›</span>`}
    ${kept.map((node, i) => {
      const name = barName(tree, scale.rootName, node);
      return html`${i > 0 && html`<span aria-hidden="true">›</span>`}${i === 1 && hidden > 0 && html`<span>⋯${hidden}</span><span aria-hidden="true">›</span>`}
        ${node === at ? html`<span aria-current="true" title=${name}>${name}</span>`
          : html`<button type="button" title=${name} onClick=${() => onZoom(linkOf(tree, node))}>${name}</button>`}`;
    })}
    ${at > 0 && html`<button type="button" class="reset" onClick=${() => onZoom(null)}>Reset zoom</button>`}
    <span class="spacer"></span>
    <span class="faint">${isPivot
      ? html`${amountOf(scale, tree.total[0])}, ${withUnit(percent(part(tree, tree.total[0])), "%")} of view`
      : counted(Math.round(scale.samples(tree.total[0])), "sample")}${scale.rolled ? html`, <span title=${ROLLED}>${percentSign(scale.rolled)} out of roll-ups</span>` : ""}</span>
  </nav>`;
}

const ROLLED = "Sums over long times: totals are exact, and frames too light to be seen here are folded into their callers";

const part = (tree: Tree, value: number) => (tree.viewTotal > 0 ? value / tree.viewTotal : 0);

/** Stacks of callers: how many ways lead to the function. */
function pathsTo(tree: Tree): number {
  let paths = 0;
  for (let i = 1; i < tree.callers; i++) if (tree.end[i] === i + 1) paths++;
  return paths;
}

/** The same in words, for who cannot see the picture. */
function summary(tree: Tree, { scale, view }: FlameProps): string {
  const whole = amountWords(scale, tree.total[0]);
  if (tree.isSandwich) {
    const name = barName(tree, scale.rootName, 0);
    return `Callers and callees of ${name}: ${whole}, ${percent(part(tree, tree.total[0]))} % of view.`;
  }
  const top = hottest(tree, 1)[0];
  const hot = top ? ` Hottest function: ${top.name}, ${amountWords(scale, top.self)}, ${percent(part(tree, top.self))} % of view.` : "";
  return `Flame graph of ${scale.rootName}${view === "bottom-up" ? ", bottom-up" : ""}: ${whole}.${hot}`;
}

export function FlameGraph(props: FlameProps) {
  const { scale, zoom = null, order = "widest", fold = true, colouring = "kind", search = "", isPattern = false } = props;
  const { marked = null, selected, theme, isStill = false, handle } = props;
  const tree = useViewTree(props);
  const wanted = findLink(tree, zoom), focus = Math.max(0, wanted);
  const box = useRef<HTMLDivElement>(null), canvas = useRef<HTMLCanvasElement>(null), cover = useRef<HTMLDivElement>(null);
  const view = useRef<FlameView | null>(null);
  const [pointed, point] = useState<Pointed | null>(null);
  const [spoken, speak] = useState("");
  const [deeper, setDeeper] = useState(0);
  const latest = useRef(props);
  latest.current = props;

  const result = useMemo(() => searchFor(props.tree, search, isPattern), [props.tree, search, isPattern]);
  const found = useMemo(() => {
    if (!result || tree.names === props.tree.names) return result && result.names;
    return namesFound(tree.names, patternOf(search, isPattern)!); // a tree with names of its own
  }, [tree, result]);
  const counts = useMemo(() => matchesOf(props.tree, search, result), [props.tree, search, result]);

  useLayoutEffect(() => {
    const tell: Listeners = {
      point(at) {
        point(at);
        latest.current.onHover?.(at);
      },
      select(at) {
        latest.current.onSelect?.(at);
        tellMatches();
      },
      zoom: (link) => latest.current.onZoom(link),
      context: (at) => latest.current.onContext?.(at),
      pivot: (func) => latest.current.onPivot?.(func),
      copy: (text, what) => latest.current.onCopy?.(text, what),
      clear: () => latest.current.onClear?.(),
      speak: (at, level) => speak(`${at.name}, ${percent(part(at.tree, at.tree.total[at.node]))} percent, level ${level}`),
      laidOut: (layout) => setDeeper(layout.deeper),
    };
    const made = (view.current = new FlameView(box.current!, canvas.current!, cover.current!, tell));
    return () => {
      made.destroy();
      view.current = null;
    };
  }, []);

  const matchesNow = useRef<Matches | null>(null);
  matchesNow.current = counts;
  const tellMatches = () => {
    const told = matchesNow.current;
    latest.current.onMatches?.(told && { ...told, ...view.current?.matchCount() });
  };

  useLayoutEffect(() => {
    view.current?.show({ tree, focus, fold, order, colouring, found, rootName: scale.rootName, marked, isStill });
  }, [tree, focus, fold, order, colouring, found, scale.rootName, marked?.name, marked?.module, isStill]);
  useEffect(tellMatches, [tree, focus, fold, counts]);
  const painted = useRef(theme);
  useEffect(() => {
    if (painted.current !== theme) view.current?.restyle();
    painted.current = theme;
  }, [theme]);
  useEffect(() => {
    if (selected !== undefined) view.current?.selectLink(selected);
  }, [selected, tree]);
  useEffect(() => point(null), [tree.isSandwich, focus]);
  useLayoutEffect(() => {
    if (!handle) return;
    const shown = () => {
      const picture = view.current?.picture();
      if (!picture) throw new Error("the flame graph has not been drawn yet");
      return { picture, palette: view.current!.colours(), width: view.current!.width(), measure: view.current!.measure() };
    };
    handle.current = {
      focus: () => view.current?.focus(),
      zoomOut: () => view.current?.zoomOut(),
      reset: () => latest.current.onZoom(null),
      nextMatch: (step) => view.current?.nextMatch(step),
      copyText: (what) => view.current?.copyText(what) ?? null,
      exportSvg(words: ExportWords) {
        const { picture, palette, width, measure } = shown();
        return svgOf(picture, palette, width, measure, words);
      },
      exportPng(words: ExportWords) {
        const { picture, palette, width } = shown();
        return pngOf(picture, palette, width, words);
      },
    } satisfies FlameHandle;
    return () => {
      handle.current = null;
    };
  }, [handle]);

  // Counting a large tree takes a while, and nobody waits for it: after the picture.
  const [words, setWords] = useState("");
  useEffect(() => setWords(summary(tree, latest.current)), [tree, scale]);
  const paths = useMemo(() => (tree.isSandwich ? pathsTo(tree) : 0), [tree]);

  // A card of a tree that is gone: its frame may be in the new one, elsewhere.
  const card = pointed && pointed.tree === tree ? pointed : null;
  const close = () => point(null);
  const lost = wanted < 0 && zoom ? linkName(zoom) : null;
  const callees = tree.isSandwich ? tree.total[0] - tree.self[0] : 0;
  const { onPivot, onCopy } = props;
  return html`${lost !== null && html`<p class="note">${lost} is not in this range. All of ${scale.rootName} is shown instead.</p>`}
    <${Crumbs} tree=${tree} at=${focus} props=${props} />
    <div class="flamebox">
      ${tree.isSandwich && html`<p class="between"><span>Callers, nearest at the bottom</span><span>${counted(paths, "call path")}</span></p>`}
      <div class="flame" ref=${box}>
        <canvas ref=${canvas} id="flame" tabindex="0" role="application" aria-roledescription="flame graph" aria-describedby="flame-words"
          aria-label="Flame graph. Arrow keys move, Enter zooms, Backspace goes back, Escape resets."></canvas>
        <div ref=${cover} class="cover" aria-hidden="true"></div>
      </div>
      ${tree.isSandwich && html`<p class="between"><span>Callees</span><span>self ${percentSign(part(tree, tree.self[0]))}, callees ${percentSign(part(tree, callees))} of view</span></p>`}
      <p class="sr" id="flame-words">${words}</p><p class="sr" role="status" aria-live="polite">${spoken}</p>
      <p class="cut">${deeper > 0 ? `${counted(deeper, "deeper level")}, all narrower than 3 px: zoom in to see` : ""}</p></div>
    ${card && html`<${Card} at=${card} scale=${scale} zoomTotal=${focus > 0 ? tree.total[focus] : 0} onClose=${close}
      onZoom=${() => { close(); props.onZoom(card.link); }}
      onPivot=${onPivot && card.func ? () => { close(); onPivot(card.func!); } : undefined}
      onCopy=${onCopy ? () => { close(); onCopy(card.name, "frame"); } : undefined} />`}`;
}
