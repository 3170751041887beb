// SPDX-License-Identifier: Apache-2.0
// The bar above every page: where one is, which time is shown, whether recording is well.
import { html } from "htm/preact";
import { copyText } from "./copy";
import { count, range as rangeWords } from "./format";
import { hostNow, paused, setPaused, shownRange, silentSince, status, togglePause } from "./live";
import { Action, Actions, closeMenu, Popup } from "./menu";
import { linkTo, page, type Page, range, span, SPAN_WORDS } from "./state";
import { lostOf } from "./states";
import { isDark, themeVersion, toggleTheme } from "./theme";
import { goLive, RangePicker } from "./times";

function Health() {
  const said = status.value;
  const state = silentSince.value !== null ? ["b", "No answer"]
    : !said ? null
    : said.collector.state === "replay" ? ["off", "Replay"]
    : said.collector.state !== "sampling" ? ["w", "Not profiling"]
    : lostOf(said).part >= 0.01 ? ["w", "Losing samples"] : ["", "Complete"];
  return state && html`<span class="health" title=${`Recording: ${state[1].toLowerCase()}`}><span class=${"dot " + state[0]} aria-hidden="true"></span><span class="words">${state[1]}</span></span>`;
}

const addressOf = (hash: string) => location.href.replace(/#.*$/, "") + hash;

/** Absolute times instead of "the last 5 min": the link means the same tomorrow. */
const fixedLink = () => {
  const { from, to } = shownRange();
  return addressOf(linkTo({ page: "explore", range: { from: Math.round(from), to: Math.round(to) } }));
};

export function copyLink() {
  void copyText(page.value === "explore" && range.value ? addressOf(linkTo({})) : fixedLink(), "the link");
}

function Share() {
  const { from, to } = shownRange();
  return html`<${Popup} id="share" className="quiet share" align="right" title="Share" label="Share" isPlain><${Actions}>
    <${Action} onDo=${() => void copyText(fixedLink(), "the link")}>Copy link to ${rangeWords(from, to, hostNow.peek())}</${Action}>
    ${(page.value === "now" || !range.value) && html`<${Action} onDo=${() => void copyText(addressOf(linkTo({})), "the link")}>Copy link that stays live, ${SPAN_WORDS[span.value]}</${Action}>`}
  </${Actions}></${Popup}>`;
}

function Tab({ to, children }: { to: Page; children: string }) {
  const isHere = page.value === to;
  // The range that was picked stays with Explore; Now is about now.
  return html`<a href=${linkTo({ page: to, zoom: null })} aria-current=${isHere ? "page" : undefined} onClick=${closeMenu}>${children}</a>`;
}

const Later = ({ children }: { children: string }) =>
  html`<a role="link" aria-disabled="true" title=${`${children}: not in this version`}>${children}</a>`;

export function ThemeButton({ words }: { words?: boolean }) {
  void themeVersion.value;
  const label = isDark() ? "Switch to light" : "Switch to dark";
  if (words) return html`<button class="link" type="button" onClick=${toggleTheme}>${label}</button>`;
  return html`<button class="btn quiet icon wide" id="theme" type="button" aria-label=${label} title=${label} onClick=${toggleTheme}><svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true"><circle cx="7" cy="7" r="5.3" fill="none" stroke="currentColor" stroke-width="1.4"/><path fill="currentColor" d="M7 1.7a5.3 5.3 0 0 1 0 10.6z"/></svg></button>`;
}

export function Bar() {
  const host = status.value?.host;
  const isMoving = !(page.value === "explore" && range.value) && !paused.value;
  return html`<header class="bar">
    <a class="brand" href="#/now"><svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true"><path fill="currentColor" d="M1 15h16v2H1zM3 10.5h12v2.6H3zM5 6h5v2.6H5zM11.6 6H14v2.6h-2.4zM6.2 1.5h2.2v2.6H6.2z"/></svg>
      <span class="name">${host?.name || "Hearth"}</span>${host && html`<small>${count(host.cpus)} ${host.cpus === 1 ? "CPU" : "CPUs"}, Linux ${host.kernel}</small>`}</a>
    <nav class="tabs" aria-label="Pages"><${Tab} to="now">Now</${Tab}><${Tab} to="explore">Explore</${Tab}><${Tab} to="modules">Modules</${Tab}><${Later}>Compare</${Later}><${Later}>Status</${Later}></nav>
    <span class="spacer"></span>
    <${RangePicker} />
    ${isMoving
      ? html`<button class="btn icon" id="pause" type="button" aria-label="Pause live updates (Space)" title="Pause (Space)" onClick=${togglePause}><svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><path fill="currentColor" d="M2.5 1.5h2.4v9H2.5zM7.1 1.5h2.4v9H7.1z"/></svg></button>`
      : html`<button class="btn primary" id="pause" type="button" onClick=${goLive}>Go live</button>`}
    <${Share} /><${ThemeButton} /><${Health} />
  </header>`;
}

/** Space: stops the clock, or starts it again. */
export function stopOrGo() {
  if (page.value === "explore" && range.value) goLive();
  else if (paused.value) setPaused(false);
  else togglePause();
}
