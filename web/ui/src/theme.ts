// SPDX-License-Identifier: Apache-2.0
// Light or dark: the system's choice, until the person makes one; and the colours for canvases.
import { signal } from "@preact/signals";

const KEY = "hearth-theme";
const prefersDark = matchMedia("(prefers-color-scheme: dark)");

/** Counts up with every change of colours, so that canvases draw anew. */
export const themeVersion = signal(0);

function remembered(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // storage may be forbidden; the system's choice is fine
  }
}

function changed() {
  cache.clear();
  themeVersion.value++;
}

export function startTheme() {
  const theme = remembered();
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  prefersDark.addEventListener("change", changed);
  matchMedia("(prefers-contrast: more)").addEventListener("change", changed);
}

export function isDark(): boolean {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : prefersDark.matches;
}

export function toggleTheme() {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Not remembered then; it holds until the page is left.
  }
  changed();
}

const cache = new Map<string, [number, number, number]>();

/** The colour behind a custom property; light-dark() is only worked out on a real element. */
function rgb(token: string): [number, number, number] {
  let found = cache.get(token);
  if (!found) {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = `var(--${token})`;
    const parts = getComputedStyle(probe).color.match(/[\d.]+/g) ?? ["0", "0", "0"];
    probe.remove();
    found = [Number(parts[0]), Number(parts[1]), Number(parts[2])];
    cache.set(token, found);
  }
  return found;
}

export function color(token: string, alpha = 1): string {
  return `rgba(${rgb(token).join()},${alpha})`;
}

/** From one token (0) to another (1). */
export function mixed(from: string, to: string, part: number): string {
  const a = rgb(from), b = rgb(to);
  return `rgb(${a.map((v, i) => Math.round(v + (b[i] - v) * part)).join()})`;
}
