// SPDX-License-Identifier: Apache-2.0
// Small pieces that several panels are made of.
import { html } from "htm/preact";
import { NARROW, percent } from "./format";

/** A number and its unit, which is set fainter. */
export const withUnit = (value: string, unit: string) => html`${value}<span class="unit">${NARROW}${unit}</span>`;

interface Amounts { amount(value: number): { number: string; unit: string } }

/** A value of a flame graph, in whatever it is measured. */
export function amountOf(scale: Amounts, value: number) {
  const { number, unit } = scale.amount(value);
  return unit ? withUnit(number, unit) : number;
}

export function amountWords(scale: Amounts, value: number): string {
  const { number, unit } = scale.amount(value);
  return unit ? `${number} ${unit}` : number;
}

export const share = (fraction: number) => withUnit(percent(fraction), "%");

export const swatch = (token: string) =>
  html`<span class="sw" style=${{ background: `var(--${token})` }} aria-hidden="true"></span>`;

const WIDTH = 120, HEIGHT = 20, FULL_SCALE_MIN = 0.05; // cores: idle noise stays flat

/** A line on its own scale from zero; where nothing was recorded there is no line. */
export function sparkline(values: readonly (number | null)[], token: string) {
  const top = Math.max(FULL_SCALE_MIN, ...values.map((value) => value ?? 0)) * 1.1;
  const step = values.length > 1 ? (WIDTH - 2) / (values.length - 1) : 0;
  const x = (i: number) => (1 + i * step).toFixed(1);
  const y = (value: number) => (HEIGHT - 1.5 - (value / top) * (HEIGHT - 4)).toFixed(1);
  let line = "", area = "", start = -1;
  for (let i = 0; i <= values.length; i++) {
    const value = i < values.length ? values[i] : null;
    if (value === null || value === undefined) {
      if (start >= 0) area += `L${x(i - 1)} ${HEIGHT}L${x(start)} ${HEIGHT}Z`;
      start = -1;
      continue;
    }
    const move = start < 0 ? "M" : "L";
    if (start < 0) start = i;
    line += move + x(i) + " " + y(value);
    area += move + x(i) + " " + y(value);
    const isAlone = move === "M" && (values[i + 1] ?? null) === null;
    if (isAlone) line += "h1.5";
  }
  return html`<svg class="spark" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
    <path d=${area} style=${{ fill: `var(--${token})` }} class="area" />
    <path d=${line} style=${{ stroke: `var(--${token})` }} class="line" vector-effect="non-scaling-stroke" />
  </svg>`;
}

/** Chart hues by service: given out as services appear, kept while the page is open. */
const HUES = ["s-native", "s-node", "s-jvm", "s-go", "s-python", "s-kernel"];
export const REST_HUE = "s-rest";
const hues = new Map<string, string>();

export function hueOf(service: string): string {
  let hue = hues.get(service);
  if (!hue) {
    hue = HUES[hues.size % HUES.length];
    hues.set(service, hue);
  }
  return hue;
}

/** One tab stop for a table: arrows move among the links of its rows. */
export function rowKeys(event: KeyboardEvent) {
  const down = event.key === "ArrowDown";
  if (!down && event.key !== "ArrowUp") return;
  const links = [...((event.currentTarget as HTMLElement).closest("tbody")?.querySelectorAll<HTMLElement>("th a[href]") ?? [])];
  links[links.indexOf(event.currentTarget as HTMLElement) + (down ? 1 : -1)]?.focus();
  event.preventDefault();
}

/** A choice of few, side by side. */
export function Segments<T extends string>({ label, options, chosen, onChoose }: {
  label: string; options: [T, string, string?][]; chosen: T; onChoose: (value: T) => void;
}) {
  return html`<span class="seg" role="group" aria-label=${label}>${options.map(([value, words, className]) =>
    html`<button type="button" key=${value} class=${className} data-value=${value} aria-pressed=${value === chosen} onClick=${() => onChoose(value)}>${words}</button>`)}</span>`;
}
