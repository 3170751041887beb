// SPDX-License-Identifier: Apache-2.0
// Label selectors as the server reads them: {service_name="sshd",thread_name=~"io.*"}.

export const OPERATORS = ["=", "!=", "=~", "!~"] as const;
export type Operator = (typeof OPERATORS)[number];

export interface Matcher {
  label: string;
  operator: Operator;
  value: string;
}

const escaped = (value: string) => value.replace(/[\\"]/g, "\\$&").replace(/\n/g, "\\n");

export const matcherText = ({ label, operator, value }: Matcher) => `${label}${operator}"${escaped(value)}"`;

/** The text of a selector; undefined for one that takes everything. */
export function selectorText(matchers: readonly Matcher[]): string | undefined {
  return matchers.length > 0 ? `{${matchers.map(matcherText).join(",")}}` : undefined;
}

const MATCHER = /\s*([A-Za-z_][A-Za-z0-9_.]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)/y;

/** What a selector asks for; null when it is none. The braces may be missing. */
export function parseSelector(text: string): Matcher[] | null {
  const inside = text.trim().replace(/^\{/, "").replace(/\}$/, "").trim();
  const found: Matcher[] = [];
  MATCHER.lastIndex = 0;
  while (MATCHER.lastIndex < inside.length) {
    const part = MATCHER.exec(inside);
    if (!part) return null;
    const value = part[3].replace(/\\(.)/g, (_all, letter: string) => (letter === "n" ? "\n" : letter));
    found.push({ label: part[1], operator: part[2] as Operator, value });
  }
  return found;
}

export const equals = (label: string, value: string): Matcher => ({ label, operator: "=", value });

/** The value that a label has to have, or null when the selector leaves that open. */
export function valueOf(matchers: readonly Matcher[], label: string): string | null {
  return matchers.find((one) => one.label === label && one.operator === "=")?.value ?? null;
}

/** The same selector with another value for a label, or with any. */
export function withValue(matchers: readonly Matcher[], label: string, value: string | null): Matcher[] {
  const rest = matchers.filter((one) => !(one.label === label && one.operator === "="));
  return value === null ? rest : [...rest, equals(label, value)];
}
