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
  address_missing?: string; // a sentence, when one of several addresses is taken
  host: { name: string; kernel: string; cpus: number };
  collector: {
    state: "sampling" | "absent" | "no_rights" | "replay";
    since_ms: number;
    frequency_hz: number;
    reason?: string;
    samples: number;
    lost: Record<string, number>;
  };
  store: {
    oldest_ms: number | null;
    newest_ms: number | null;
    bytes: number;
    spans: number;
    samples: number;
    damaged: number;
    damaged_file: string;
    damage: string; // what was found in it
    failing: number; // files that are sound, and that questions fail on
    failing_file: string;
    state: "ok" | "shedding" | "read-only";
    reason: string; // a sentence; "" when the state is ok
  };
  symbols: { modules: number; waiting: number; failed: number };
  otlp?: Sender[]; // the latest first
}

/** Who sends profiles by OpenTelemetry's protocol. */
export interface Sender {
  host: string;
  agent: string;
  way: string; // "grpc", "http", "http/json"
  revision: string; // "1.10"
  last_ms: number;
  requests: number;
  requests_refused: number;
  requests_failed: number;
  bytes: number;
  profiles: number;
  samples: number;
  samples_refused: number;
  mended: number;
  wrong: string; // a sentence, of the last time
  wrong_ms: number;
}

export interface ProcessRow {
  process?: string; // absent, as is the pid, for profiles that were sent and name none, and for services
  pid?: number;
  process_name?: string;
  service_name?: string;
  processes?: number; // of a service
  cores: number;
  kernel_cores: number;
  share: number;
  first_seen_ms?: number;
  last_seen_ms: number;
  exited?: boolean; // absent when it can't be known
  spark?: (number | null)[];
}

/** Whose stacks are complete, and the frames in the place of what the others lack. */
export interface Stacks {
  rows: { process?: string; service_name?: string; total: number; complete: number; cuts: { name: string; value: number }[] }[];
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

export interface FunctionRow {
  name: string;
  module: string;
  kind: number;
  self: number;
  total: number;
  file?: string; // of the source
}

export interface Functions {
  from_ms: number;
  to_ms: number;
  recorded_ms: number;
  unit: string;
  total: number;
  cpus: number;
  rows: FunctionRow[];
  more?: { rows: number; self: number };
  matched?: { rows: number; self: number; total: number };
}

export interface ModuleRow {
  module: string;
  path: string;
  kind: string;
  identity: string;
  self: number;
  named: number;
  sources: string;
  problem: string; // what went wrong with the file, or ""
  help: string;
}

export interface Modules {
  total: number;
  modules: number;
  rows: ModuleRow[];
}

type Columns = Flame["nodes"];

/** Callers and callees of a function, which is node 0 of both. */
export interface Sandwich {
  from_ms: number;
  to_ms: number;
  recorded_ms: number;
  unit: string;
  cpus: number;
  view_total: number;
  function: string;
  module: string;
  kind: number;
  self: number;
  total: number;
  names: string[];
  callers: Columns;
  callees: Columns;
}

export interface ChangeRow {
  service_name?: string;
  cores: number;
  base_cores: number;
  frame: { name: string; module: string; kind: number; cores: number; base_cores: number; path: string[] } | null;
}

export interface Changes {
  from_ms: number;
  to_ms: number;
  base_from_ms: number;
  base_to_ms: number;
  recorded_ms: number;
  base_recorded_ms: number;
  cpus: number;
  cores: number;
  base_cores: number;
  rows: ChangeRow[];
  more: { rows: number };
}

export interface ProfileType {
  id: string;
  name: string;
  sample_type: string;
  sample_unit: string;
}

export interface Timeline {
  from_ms: number;
  step_ms: number;
  cpus: number;
  unit: string;
  /** values: of types that are no CPU time, the sum of each step in the unit. */
  series: { labels: Record<string, string>; cores: (number | null)[]; values?: (number | null)[] }[];
  more?: { rows: number; cores: (number | null)[]; values?: (number | null)[] };
  gaps: Gap[];
}

export interface Flame {
  from_ms: number;
  to_ms: number;
  recorded_ms: number;
  unit: string;
  total: number;
  samples: number;
  rolled_samples: number; // of these, out of roll-ups
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
    inlined?: number[];
    interpreted?: number[];
    file?: number[];
    line?: number[];
  };
  hidden: number;
  gaps?: Gap[];
}

/** What was deleted, or would be. */
export interface Deletion {
  deletion: number | null;
  query: string;
  from_ms: number;
  to_ms: number;
  series: number;
  samples: number;
}

/** One that was ordered: hidden from every answer at once, removed from the files a little later. */
export interface Deleted extends Deletion {
  deletion: number;
  deleted_ms: number;
  by: string;
  state: "hidden" | "removed";
  removed_ms: number | null;
}

/** The server answered, and said no: its own sentence, and the parameter at fault. */
export class Refused extends Error {
  constructor(readonly status: number, message: string, readonly parameter?: string) {
    super(message);
  }
}

/** Nobody answered, or not in time. */
export class Unreachable extends Error {}

const TIMEOUT_MS = 60_000;

export type Parameters = Record<string, string | number | undefined>;

/** Where an answer lies: for links as well. */
export function addressOf(path: string, parameters: Parameters): string {
  const put = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) put.set(name, String(value));
  }
  const text = put.toString();
  return `api/v1/${path}${text && "?" + text}`;
}

export const get = <T>(path: string, parameters: Parameters, signal: AbortSignal) => ask<T>("GET", path, parameters, signal);

/** Asks the server to change something. */
export const post = <T>(path: string, parameters: Parameters) => ask<T>("POST", path, parameters, new AbortController().signal);

async function ask<T>(method: string, path: string, parameters: Parameters, signal: AbortSignal): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), TIMEOUT_MS);
  const abort = () => late.abort();
  signal.addEventListener("abort", abort);
  try {
    const answer = await fetch(addressOf(path, parameters), { method, signal: late.signal, cache: "no-store" });
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
