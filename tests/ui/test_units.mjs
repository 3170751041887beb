// SPDX-License-Identifier: Apache-2.0
// The parts of the page that need no browser: numbers, times, words. The flame graph's are in test_flame.mjs.
import assert from "node:assert/strict";
import { modules } from "./flame_stand.mjs";
import { finish, step } from "./tap.mjs";

const [format, answer, query, values] = await modules("format.ts", "answer.ts", "query.ts", "values.ts");
const NARROW = "\u202f";

await step("cores have two decimals, fewer from ten and a hundred, and are never a false zero", () => {
  const said = [1.87, 12.44, 128.4, 0.004, 0, 0.005, 9.996, 99.96].map(format.cores);
  assert.deepEqual(said, ["1.87", "12.4", "128", "<0.01", "0.00", "0.01", "10.0", "100"]);
});

await step("a share is 0 or 100 only when it is exact", () => {
  const said = [0.2338, 0.0004, 0, 1, 0.9996, 0.9994].map(format.percent);
  assert.deepEqual(said, ["23.4", "<0.1", "0.0", "100.0", ">99.9", "99.9"]);
});

await step("changes carry a sign, counts groups of three, bytes three digits", () => {
  assert.deepEqual([0.8, -0.05, 0.001].map(format.change), ["+0.80", "\u22120.05", "0.00"]);
  assert.equal(format.count(101574), `101${NARROW}574`);
  assert.equal(format.counted(1, "frame"), "1 frame");
  assert.deepEqual([486e6, 1.31e9, 12].map(format.bytes), [`486${NARROW}MB`, `1.31${NARROW}GB`, `12${NARROW}B`]);
});

await step("times are of 24 hours, ages of one unit", () => {
  const noon = new Date(2026, 10, 24, 12, 5, 9).getTime();
  assert.equal(format.clock(noon), "12:05");
  assert.equal(format.clock(noon, true), "12:05:09");
  assert.equal(format.range(noon, noon + 60_000, noon), "12:05:09 – 12:06:09");
  assert.equal(format.range(noon, noon + 3_600_000, noon), "12:05 – 13:05");
  assert.match(format.range(noon, noon + 3_600_000, noon + 3 * 86_400_000), /^24 Nov, 12:05/);
  assert.deepEqual([2000, 300_000, 8e6, 4e8].map(format.duration),
    [`2${NARROW}s`, `5${NARROW}min`, `2${NARROW}h`, `5${NARROW}d`]);
});

await step("the answer names what uses most, by how much of the whole it is, and how it has changed", () => {
  const table = (cores, ...rows) => ({ cpus: 2, cores, rows: rows.map(([service_name, own]) => ({ service_name, processes: 1, cores: own })) });
  const changes = { base_recorded_ms: 1000, rows: [{ service_name: "burn", cores: 0.6, base_cores: 0.1 }] };
  assert.equal(answer.answer(table(0.93, ["burn", 0.6]), false), "0.93 of 2 cores busy. burn uses 0.60.");
  assert.equal(answer.answer(table(0.93, ["burn", 0.6]), false, changes), "0.93 of 2 cores busy. burn uses 0.60, up 0.50 from the time before.");
  assert.equal(answer.answer(table(0.93, ["burn", 0.6]), false, { ...changes, base_recorded_ms: 0 }), "0.93 of 2 cores busy. burn uses 0.60.");
  assert.equal(answer.answer(table(0.93, ["burn", 0.92]), false), "0.93 of 2 cores busy, nearly all of it burn.");
  assert.equal(answer.answer(table(0.93, ["burn", 0.3]), true), "0.93 of 2 cores were busy. burn used 0.30.");
  assert.equal(answer.answer(table(0.05, ["burn", 0.05]), false), "Nothing unusual: 0.05 of 2 cores busy.");
  assert.equal(answer.answer(table(0), false), "0.00 of 2 cores busy.");
});

await step("selectors are written and read, whatever their values hold", () => {
  const hostile = { label: "process_name", operator: "=~", value: 'a"b\\c\nd}' };
  const all = [query.equals("service_name", "db"), hostile, query.equals("unit", "")];
  const words = query.selectorText(all);
  assert.equal(words, '{service_name="db",process_name=~"a\\"b\\\\c\\nd}",unit=""}');
  assert.deepEqual(query.parseSelector(words), all);
  assert.deepEqual(query.parseSelector(' { a = "b" , c!="d" } '), [query.equals("a", "b"), { label: "c", operator: "!=", value: "d" }]);
  assert.deepEqual(query.parseSelector("{}"), []);
  assert.equal(query.selectorText([]), undefined);
  for (const broken of ["{a=b}", '{a="b}', '{="b"}', '{a~"b"}', '{a="b" c="d"}']) assert.equal(query.parseSelector(broken), null, broken);
  assert.equal(query.valueOf(all, "service_name"), "db");
  assert.equal(query.valueOf(all, "process_name"), null);
  assert.deepEqual(query.withValue(all, "service_name", null), all.slice(1));
});

await step("values are said in the unit of their profile", () => {
  const measured = (unit) => ({ unit, recorded_ms: 1000 });
  assert.equal(values.amount(2.5e9, measured("nanoseconds")), `2.50${NARROW}s`);
  assert.equal(values.amount(1500, measured("nanoseconds")), `1.50${NARROW}µs`);
  assert.equal(values.amount(1e9 - 1, measured("nanoseconds")), `1000${NARROW}ms`);
  assert.equal(values.amount(486e6, measured("bytes")), `486${NARROW}MB`);
  assert.equal(values.amount(1200, measured("count")), `1${NARROW}200`);
  assert.equal(values.amount(3, measured("goroutines")), `3${NARROW}goroutines`);
  assert.equal(values.coresIn(1, { unit: "nanoseconds", recorded_ms: 0 }), 0);
});

finish();
