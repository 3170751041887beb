// SPDX-License-Identifier: Apache-2.0
// Modules: what ran in each, how much of that has names, and what would bring those that are missing.
import { html } from "htm/preact";
import type { ModuleRow, Modules } from "./api";
import { copyText } from "./copy";
import { counted, percent } from "./format";
import { modulesOf } from "./live";
import { share } from "./parts";
import { linkToExplore, span, SPAN_WORDS } from "./state";
import { Loading } from "./states";

const UNNAMED_LEAST = 0.01; // of what ran in it: less is not worth a mark
const COMMAND = /^(apt|dnf|sysctl|hearth|jcmd|node|python3|php|julia) /;

const nameOf = (row: ModuleRow) => row.module || row.kind;
const unnamedOf = (row: ModuleRow) => row.self - row.named;
const isPoor = (row: ModuleRow) => row.self > 0 && unnamedOf(row) / row.self >= UNNAMED_LEAST;

/** The start of a build id, which is what people compare. */
function idOf(row: ModuleRow): string {
  const [kind, hex] = row.identity.split(":");
  return kind === "gnu" && hex ? hex.slice(0, 10) + (hex.length > 10 ? "…" : "") : "";
}

function Help({ row }: { row: ModuleRow }) {
  if (!row.help) return null;
  if (!COMMAND.test(row.help)) return html`<span class="muted">${row.help}</span>`;
  return html`<button class="link" type="button" title="Copy this command" onClick=${() => void copyText(row.help, "the command")}><code>${row.help}</code></button>`;
}

/** What went wrong with its file, and what would help; where there is no column for it, below the name. */
function Advice({ row }: { row: ModuleRow }) {
  return html`${row.problem && html`<span class="problem" title=${row.problem}>${row.problem}</span>`}<${Help} row=${row} />`;
}

function Row({ row, whole }: { row: ModuleRow; whole: number }) {
  const poor = isPoor(row), search = row.kind === "file" ? row.module : undefined;
  return html`<tr>
    <th scope="row" title=${row.path || row.kind}><span class="fn"><span class=${"dot " + (poor ? "w" : "")} role="img" aria-label=${poor ? "names are missing" : "named"}></span>${search ? html`<a class="name" href=${linkToExplore({ view: "table", search })}>${nameOf(row)}</a>` : html`<span class="name">${nameOf(row)}</span>`}</span>${(row.problem || row.help) && html`<div class="help below"><${Advice} row=${row} /></div>`}</th>
    <td class="mono faint hide-s" title=${row.identity}>${idOf(row)}</td>
    <td class="muted hide-s" title=${row.sources}>${row.sources || row.kind}</td>
    <td class="n">${share(row.self / whole)}</td>
    <td class=${"n" + (poor ? " warn" : "")}>${share(unnamedOf(row) / whole)}</td>
    <td class="help hide-s"><${Advice} row=${row} /></td></tr>`;
}

function Table({ answer }: { answer: Modules }) {
  const whole = answer.total || 1, more = answer.modules - answer.rows.length;
  return html`<section class=${"panel" + (modulesOf.isStale.value ? " waiting" : "")} aria-labelledby="modules-title"><header><h2 class="cap" id="modules-title">Modules</h2>
      <span class="muted">by what ran in them, ${SPAN_WORDS[span.value]}</span></header>
    <table id="modules"><thead><tr><th scope="col">Module</th><th scope="col" class="c-id hide-s">Build id</th><th scope="col" class="c-sources hide-s">Names from</th>
      <th scope="col" class="n c-number" aria-sort="descending">Host ↓</th><th scope="col" class="n c-unnamed">Unnamed</th><th scope="col" class="c-help hide-s">What helps</th></tr></thead>
      <tbody>${answer.rows.map((row) => html`<${Row} key=${row.kind + row.identity + row.path + row.module} row=${row} whole=${whole} />`)}</tbody></table>
    ${answer.rows.length === 0 && html`<p class="nothing">No sample in this time.</p>`}
    ${more > 0 && html`<p class="more">${counted(more, "more module")}</p>`}</section>`;
}

export function ModulesPage() {
  const answer = modulesOf.value.value, refusal = modulesOf.refusal.value;
  if (refusal) return html`<h1 class="sr">Modules</h1><section class="panel"><p class="nothing"><strong>${refusal}</strong></p></section>`;
  if (!answer) return html`<h1 class="sr">Modules</h1><${Loading} />`;
  const unnamed = answer.rows.reduce((sum, row) => sum + unnamedOf(row), 0), poor = answer.rows.filter(isPoor);
  const named = percent(answer.total ? 1 - unnamed / answer.total : 1);
  return html`<div class="lead"><div><h1 id="answer">${named} % of what ran has names.</h1>
      <p>${poor.length ? `${counted(poor.length, "module lacks", "modules lack")} some. Names that come later name what was sampled before.` : "No module lacks any."}</p></div></div>
    <${Table} answer=${answer} />`;
}
