// SPDX-License-Identifier: Apache-2.0
// What is so, why, what to do: everything that is not as usual, said where the page begins.
import { html } from "htm/preact";
import type { Status } from "./api";
import { reasonOf } from "./chart";
import { clock, count, counted, duration, percentSign, range as rangeWords } from "./format";
import { answeredAt, cancel, flameOf, hostNow, isCancelled, leadOf, now, refresh, shownRange, silentSince, status, timelineOf, waitingSince } from "./live";
import { viewName } from "./selectors";
import { misread, page, range, span, SPAN_WORDS } from "./state";

const SILENT_SHOWN_MS = 3_000, LOSS_SHOWN = 0.01, STARTING_MS = 30_000, GAP_MIN_MS = 10_000, ABSENT_SHOWN_MS = 10_000;
const PROGRESS_MS = 1_000, CANCEL_MS = 3_000;

const LOSS_WORDS: Record<string, string> = {
  ring_full: "The ring buffer was full",
  stack_table_full: "The table of stacks was full",
  process_table_full: "The table of processes was full",
  backlog_full: "The server did not take them in time",
};

export function lostOf(said: Status): { lost: number; part: number; most: string } {
  let lost = 0, most = "";
  for (const [kind, value] of Object.entries(said.collector.lost)) {
    lost += value;
    if (!most || value > said.collector.lost[most]) most = kind;
  }
  const all = lost + said.collector.samples;
  return { lost, most, part: all > 0 ? lost / all : 0 };
}

function Silent() {
  const since = silentSince.value;
  if (since === null || now.value - since < SILENT_SHOWN_MS) return null;
  const had = answeredAt.value;
  return html`<div class="notice bad-notice" role="status"><strong>No answer from hearth serve for ${duration(now.value - since)}</strong>
    <p>${had ? `The page shows what it had at ${clock(had, true)} and tries again every 2 s.` : "The page tries again every 2 s."} On the host: <code>systemctl status hearth</code></p>
    <button class="btn" type="button" onClick=${() => void refresh()}>Try now</button></div>`;
}

function Collector({ said }: { said: Status }) {
  const { state, reason, since_ms } = said.collector;
  if (state === "no_rights") {
    return html`<div class="notice" role="status"><strong>This host is not being profiled</strong>
      <p>${reason || "hearth was started without the right to load BPF."} Pushed profiles are still taken. To profile the host: <code>sudo hearth run</code></p></div>`;
  }
  if (state === "absent" && said.time_ms - said.started_ms > ABSENT_SHOWN_MS) {
    return html`<div class="notice" role="status"><strong>Nothing is recorded${since_ms > 0 ? ` since ${clock(since_ms, true)}` : ""}</strong>
      <p>${reason || "No collector is connected to hearth serve."} To profile the host: <code>sudo hearth run</code></p></div>`;
  }
  return null;
}

function Loss({ said }: { said: Status }) {
  const { part, most } = lostOf(said);
  if (part < LOSS_SHOWN) return null;
  return html`<div class="notice" role="status"><strong>${percentSign(part)} of samples lost since the start</strong>
    <p>${LOSS_WORDS[most] ?? most.replace(/_/g, " ")}. Shares below are still right, counts are too low.</p></div>`;
}

const STORE_WORDS: Record<string, string> = {
  shedding: "The disk is nearly full",
  "read-only": "Nothing new is stored",
};

function Store({ said }: { said: Status }) {
  const { state, reason } = said.store;
  if (!STORE_WORDS[state]) return null;
  return html`<div class=${state === "read-only" ? "notice bad-notice" : "notice"} role="status"><strong>${STORE_WORDS[state]}</strong><p>${reason}</p></div>`;
}

function Address({ said }: { said: Status }) {
  if (!said.address_missing) return null;
  return html`<div class="notice" role="status"><strong>One of the addresses is taken</strong><p>${said.address_missing}</p></div>`;
}

function Damage({ said }: { said: Status }) {
  const { damaged, damaged_file: file, damage } = said.store;
  if (damaged === 0) return null;
  return html`<div class="notice" role="status"><strong>${counted(damaged, "damaged file")} of profiles set aside</strong>
    <p>The last is ${file}: ${damage}. The other hours are shown.</p></div>`;
}

function Failing({ said }: { said: Status }) {
  const { failing, failing_file: file } = said.store;
  if (!failing) return null;
  return html`<div class="notice" role="status"><strong>${counted(failing, "file")} of profiles left out</strong>
    <p>The last is ${file}: questions fail on it, though it is not damaged. It is tried again at the next start. This is a mistake of Hearth’s: please report it.</p></div>`;
}

/** A gap inside the picked range changes what the shares are of. */
function PickedGap() {
  const picked = page.value === "explore" ? range.value : null, graph = flameOf.value.value;
  const gaps = graph?.gaps ?? timelineOf.value.value?.gaps ?? [];
  if (!picked || !graph) return null;
  const gap = gaps.find((one) => one.from_ms < picked.to && one.to_ms > picked.from && one.to_ms - one.from_ms >= GAP_MIN_MS);
  if (!gap) return null;
  const why = reasonOf(gap);
  return html`<div class="notice" role="status"><strong>Nothing recorded from ${clock(gap.from_ms, true)} to ${clock(gap.to_ms, true)}</strong>
    <p>${why[0].toUpperCase() + why.slice(1)}. Shares are of the ${duration(graph.recorded_ms)} that were recorded.</p></div>`;
}

/** In words after a second, to be stopped after three. */
function Progress() {
  if (isCancelled.value) {
    return html`<div class="notice over" role="status"><strong>Stopped</strong><p>The page shows what it had before.</p>
      <button class="btn" type="button" onClick=${() => void refresh()}>Ask again</button></div>`;
  }
  const since = waitingSince.value;
  if (since === null || silentSince.value !== null || now.value - since < PROGRESS_MS) return null;
  const { from, to } = shownRange();
  const what = page.value === "explore" && range.value ? `${duration(to - from)}` : SPAN_WORDS[span.value].replace("last ", "");
  return html`<div class="notice over" role="status"><strong>Reading ${what} of ${(page.value === "explore" && viewName.value) || "the whole host"}</strong>
    ${now.value - since >= CANCEL_MS && html`<button class="btn" id="cancel" type="button" onClick=${cancel}>Cancel</button>`}</div>`;
}

/** A replay, and a host whose recording has ended, has nothing of the last minutes: lead to where there is something. */
function Past({ said }: { said: Status }) {
  const { oldest_ms: oldest, newest_ms: newest } = said.store;
  if ((page.value === "explore" && range.value) || newest === null || oldest === null) return null;
  const { from } = shownRange();
  if (newest >= from || said.collector.state === "sampling") return null;
  const end = Math.ceil(newest / 1000) * 1000, start = Math.max(Math.floor(oldest / 1000) * 1000, end - 3_600_000);
  return html`<div class="notice" role="status"><strong>Nothing is recorded in the ${SPAN_WORDS[span.value]}</strong>
    <p>The newest data are of ${rangeWords(start, end, hostNow.value)}.</p>
    <button class="btn" id="newest" type="button" onClick=${() => pickNewest(start, end)}>Show them</button></div>`;
}

function pickNewest(from: number, to: number) {
  page.value = "explore";
  range.value = { from, to };
}

export function Notices() {
  const said = status.value;
  return html`<${Silent} /><${Progress} />
    ${misread.value && html`<div class="notice bad-notice" role="status"><strong>The link’s selector could not be read</strong><p><code>${misread.value}</code> The whole host is shown instead.</p></div>`}
    ${said && html`<${Collector} said=${said} /><${Loss} said=${said} /><${Store} said=${said} /><${Damage} said=${said} /><${Failing} said=${said} /><${Address} said=${said} /><${Past} said=${said} />`}<${PickedGap} />`;
}

/** Whether there is no sample yet because hearth has only just been started. */
export function isStarting(): boolean {
  const said = status.value, table = leadOf.value.value;
  if (!said || !table || table.rows.length > 0 || range.value || said.store.newest_ms !== null) return false;
  const sinceMs = hostNow.value - Math.max(said.started_ms, said.collector.since_ms || 0);
  return said.collector.state === "sampling" || (said.collector.state === "absent" && sinceMs < STARTING_MS);
}

export function Starting() {
  const said = status.value!;
  const sinceMs = Math.max(0, hostNow.value - said.started_ms);
  return html`<section class="panel state"><strong>First samples in about 5 s</strong>
    <p>${said.collector.state === "sampling" ? `Sampling ${count(said.collector.frequency_hz)} times a second on each CPU.` : "The collector is starting."} Started ${duration(sinceMs)} ago. Names follow as symbol files are read.</p></section>`;
}

export function Loading() {
  return html`<section class="panel state bones" role="status" aria-label="Loading"><i class="w1"></i><i class="w2"></i><i class="w3"></i><i class="w4"></i></section>`;
}
