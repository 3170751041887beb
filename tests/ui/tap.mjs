// SPDX-License-Identifier: Apache-2.0
// Test Anything Protocol: a line for each step, the plan at the end.
let number = 0, failures = 0;

/** Runs one step; what it throws makes it fail, and the next step runs all the same. */
export async function step(name, run) {
  number++;
  try {
    await run();
    console.log(`ok ${number} - ${name}`);
  } catch (error) {
    failures++;
    console.log(`not ok ${number} - ${name}`);
    for (const line of String(error?.stack ?? error).split("\n")) console.log(`# ${line}`);
  }
}

export function skip(name, reason) {
  number++;
  console.log(`ok ${number} - ${name} # SKIP ${reason}`);
}

export function finish() {
  console.log(`1..${number}`);
  process.exitCode = failures > 0 ? 1 : 0;
}
