// SPDX-License-Identifier: Apache-2.0
// What the page asks of the server: one typed call for each answer. See docs/PAGE_API.md.

export interface Gap {
  from_ms: number;
  to_ms: number;
  reason: string;
}

export interface Status {
  version: string;
  time_ms: number;
  started_ms: number;
  host: { name: string; kernel: string; cpus: number };
  collector: {
    state: "sampling" | "absent" | "no_rights" | "replay";
    since_ms: number;
    frequency_hz: number;
    reason?: string;
    samples: number;
    lost: Record<string, number>;
  };
  store: { oldest_ms: number | null; newest_ms: number | null; bytes: number; spans: number; samples: number; damaged: number };
  symbols: { modules: number; waiting: number; failed: number };
}

export interface ProcessRow {
  process?: string; // absent, as is the pid, for profiles that were sent and name none
  pid?: number;
  process_name?: string;
  service_name?: string;
  cores: number;
  kernel_cores: number;
  share: number;
  last_seen_ms: number;
  spark?: (number | null)[];
}

export interface Processes {
  from_ms: number;
  to_ms: number;
  cpus: number;
  cores: number;
  kernel_cores: number;
  rows: ProcessRow[];
  more?: { rows: number; cores: number };
}

export interface Timeline {
  from_ms: number;
  step_ms: number;
  cpus: number;
  series: { labels: Record<string, string>; cores: (number | null)[] }[];
  more?: { rows: number; cores: (number | null)[] };
  gaps: Gap[];
}

export interface Flame {
  from_ms: number;
  to_ms: number;
  recorded_ms: number;
  unit: string;
  total: number;
  samples: number;
  cpus: number;
  names: string[];
  nodes: {
    parent: number[];
    name: number[];
    module: number[];
    kind: number[];
    self: number[];
    total: number[];
    hidden: number[];
  };
  hidden: number;
  gaps?: Gap[];
}

/** The server answered, and said no: its own sentence, and the parameter at fault. */
export class Refused extends Error {
  constructor(readonly status: number, message: string, readonly parameter?: string) {
    super(message);
  }
}

/** Nobody answered, or not in time. */
export class Unreachable extends Error {}

const TIMEOUT_MS = 15_000;

export type Parameters = Record<string, string | number | undefined>;

async function get<T>(path: string, parameters: Parameters, signal: AbortSignal): Promise<T> {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) search.set(name, String(value));
  }
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), TIMEOUT_MS);
  const abort = () => late.abort();
  signal.addEventListener("abort", abort);
  try {
    const text = search.toString();
    const answer = await fetch(`api/v1/${path}${text && "?" + text}`, { signal: late.signal, cache: "no-store" });
    const body: unknown = await answer.json();
    if (answer.ok) return body as T;
    const said = body as { error?: string; parameter?: string };
    throw new Refused(answer.status, said.error ?? `The server answered ${answer.status}`, said.parameter);
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw new Unreachable(error instanceof Error ? error.message : String(error));
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}

export const getStatus = (signal: AbortSignal) => get<Status>("status", {}, signal);
export const getProcesses = (p: Parameters, signal: AbortSignal) => get<Processes>("processes", p, signal);
export const getTimeline = (p: Parameters, signal: AbortSignal) => get<Timeline>("timeline", p, signal);
export const getFlame = (p: Parameters, signal: AbortSignal) => get<Flame>("flame", p, signal);

/** A selector for one label: quotes and backslashes in the value are escaped. */
export function selector(label: string, value: string): string {
  return `{${label}="${value.replace(/[\\"]/g, "\\$&").replace(/\n/g, "\\n")}"}`;
}
