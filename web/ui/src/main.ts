// SPDX-License-Identifier: Apache-2.0
// The page: its frame, its two views, and the keys that work everywhere.
import { effect } from "@preact/signals";
import { html } from "htm/preact";
import { render } from "preact";
import { Bar, copyLink, stopOrGo, ThemeButton } from "./bar";
import { Said } from "./copy";
import { ExplorePage } from "./explore";
import { count } from "./format";
import { handle } from "./graph";
import { flameOf, startLive, status } from "./live";
import { closeMenu, opened } from "./menu";
import { ModulesPage } from "./modules";
import { NowPage } from "./now";
import { viewName } from "./selectors";
import { followAddress, go, page, search, zoom } from "./state";
import { Notices } from "./states";
import { startTheme } from "./theme";
import { shift, stretch } from "./times";

const KEYS: [string, string][] = [
  ["/", "search frames"], ["n  N", "next, previous match"], ["← → ↑ ↓", "move in the flame graph or a table"],
  ["Enter", "zoom in; open"], ["⌫", "back one zoom"], ["Esc", "reset zoom, clear search"],
  ["s", "callers and callees of the frame"], [".", "menu of the frame"], ["c  C", "copy the frame, its stack"], ["l", "copy the link"],
  ["[  ]", "range earlier, later"], ["-  +", "range longer, shorter"], ["Space", "pause, go live"], ["?", "this list"],
];

const PAGES = { now: NowPage, explore: ExplorePage, modules: ModulesPage };

const help = () => document.getElementById("help") as HTMLDialogElement;
const openKeys = () => help().showModal();

function Keys() {
  return html`<dialog id="help" aria-labelledby="help-title"><h2 id="help-title">Keys</h2>
    <dl>${KEYS.map(([keys, words]) => html`<div key=${keys}><dt>${keys.split(" ").filter(Boolean).map((key) => html`<kbd>${key}</kbd> `)}</dt><dd>${words}</dd></div>`)}</dl>
    <button class="btn" type="button" onClick=${() => help().close()}>Close</button></dialog>`;
}

function Page() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone, hidden = flameOf.value.value?.hidden ?? 0;
  return html`<a class="skip" href="#main" onClick=${(event: Event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>Skip to content</a>
    <${Bar} />
    <main id="main" tabindex="-1" key=${page.value}><${Notices} /><${PAGES[page.value]} /></main>
    <footer class="foot"><span>Hearth ${status.value?.version ?? ""}</span><span>Times are ${zone}, this browser’s</span>
      ${hidden > 0 && html`<span>${count(hidden)} narrow frames are left out of the graph and counted in it</span>`}
      <span class="spacer"></span><span class="only-s"><button class="link" type="button" onClick=${copyLink}>Copy link</button></span><span class="only-s"><${ThemeButton} words /></span>
      <button class="link" id="keys" type="button" onClick=${openKeys}><kbd>?</kbd> keys</button></footer>
    <${Said} /><${Keys} />`;
}

/** What the graph does on its own when it has the keyboard, it does for the whole page as well. */
function reset() {
  if (zoom.value) zoom.value = null;
  else search.value = "";
}

const DOES: Record<string, () => void> = {
  "?": openKeys, n: () => handle.current?.nextMatch(1), N: () => handle.current?.nextMatch(-1), Escape: reset,
  "[": () => shift(-1), "]": () => shift(1), "-": () => stretch(2), "+": () => stretch(0.5), "=": () => stretch(0.5), l: copyLink,
  "/": () => {
    if (page.value !== "explore") go({ page: "explore" });
    requestAnimationFrame(() => document.getElementById("search")?.focus());
  },
};

function key(event: KeyboardEvent) {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || target.closest("dialog")) return;
  if (target.matches("input, select")) {
    if (event.key === "Escape") {
      if (target.id === "search") search.value = "";
      target.blur();
    }
    return;
  }
  if (event.key === "Escape" && opened.value) closeMenu();
  else if (event.key === " " && !target.closest("button, a, [role=slider]")) stopOrGo();
  else if (DOES[event.key]) DOES[event.key]();
  else return;
  event.preventDefault();
}

startTheme();
followAddress();
render(html`<${Page} />`, document.body);
document.addEventListener("keydown", key);
effect(() => {
  const name = status.value?.host.name, of = page.value === "explore" && viewName.value ? `${viewName.value} on ` : "";
  document.title = name ? `${of}${name}: Hearth` : "Hearth";
});
startLive();
