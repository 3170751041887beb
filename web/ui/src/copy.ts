// SPDX-License-Identifier: Apache-2.0
// Text to the clipboard, and a line that says so. Over plain http from another machine browsers have
// no navigator.clipboard: there the old way is the only one.
import { signal } from "@preact/signals";
import { html } from "htm/preact";

const SHOWN_MS = 4_000;

const said = signal("");
let timer = 0;

/** One short line at the foot of the window, spoken too. */
export function say(text: string) {
  said.value = text;
  clearTimeout(timer);
  timer = window.setTimeout(() => (said.value = ""), SHOWN_MS);
}

function copyBySelection(text: string): boolean {
  const held = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "sr";
  field.readOnly = true;
  document.body.append(field);
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  if (held instanceof HTMLElement) held.focus();
  return isDone;
}

export async function copyText(text: string, what: string) {
  let isDone = false;
  try {
    await navigator.clipboard.writeText(text);
    isDone = true;
  } catch {
    isDone = copyBySelection(text);
  }
  const lines = text.split("\n").length;
  say(isDone ? `Copied ${what}${lines > 1 ? `, ${lines} lines` : ""}` : `This browser does not let a page copy ${what}`);
}

/** Bytes made here, as a file of the person's. */
export function saveFile(contents: Blob, name: string) {
  const url = URL.createObjectURL(contents);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export function Said() {
  return html`<p class=${"said" + (said.value ? "" : " sr")} role="status" aria-live="polite">${said.value}</p>`;
}
