// SPDX-License-Identifier: Apache-2.0
// A program that profiles itself as Node's programs do with Pyroscope's SDK. The address of the server is the argument.
import Pyroscope from "@pyroscope/nodejs";

function burnInNode(milliseconds) {
  // Of CPU time, since a machine that has others to serve gives less of it; but no longer than there is patience.
  const cpu = process.cpuUsage().user + milliseconds * 1000, end = Date.now() + 8000;
  let total = 0;
  while (process.cpuUsage().user < cpu && Date.now() < end) for (let i = 0; i < 100000; i++) total += i * i;
  return total;
}

Pyroscope.init({
  serverAddress: process.argv[2],
  appName: "node-sdk",
  tags: { region: "eu" },
  flushIntervalMs: 3000,
  wall: { collectCpuTime: true, samplingDurationMs: 3000, samplingIntervalMicros: 10000 },
});
Pyroscope.start();
for (let i = 0; i < 8; i++) {
  burnInNode(900);
  await new Promise((resolve) => setTimeout(resolve, 100));
}
await Pyroscope.stop();
