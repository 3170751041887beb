// SPDX-License-Identifier: Apache-2.0
// The parts of the page that need no browser: numbers, times, words. The flame graph's are in test_flame.mjs.
import assert from "node:assert/strict";
import { modules } from "./flame_stand.mjs";
import { finish, step } from "./tap.mjs";

const [format, answer, api] = await modules("format.ts", "answer.ts", "api.ts");
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

await step("the answer names the busiest process by how much of the whole it is", () => {
  const table = (cores, ...rows) => ({ cpus: 2, cores, rows: rows.map(([process_name, own]) => ({ process_name, pid: 1, cores: own })) });
  assert.equal(answer.answer(table(0.93, ["burn", 0.6]), false), "0.93 of 2 cores busy, most of it burn");
  assert.equal(answer.answer(table(0.93, ["burn", 0.92]), false), "0.93 of 2 cores busy, nearly all of it burn");
  assert.equal(answer.answer(table(0.93, ["burn", 0.3]), true), "0.93 of 2 cores were busy. burn used the most, 0.30");
  assert.equal(answer.answer(table(0.05, ["burn", 0.05]), false), "Nothing unusual: 0.05 of 2 cores busy");
  assert.equal(answer.answer(table(0), false), "0.00 of 2 cores busy");
});

await step("a selector escapes what its value holds", () => {
  assert.equal(api.selector("process", 'a"b\\c'), '{process="a\\"b\\\\c"}');
});

finish();
