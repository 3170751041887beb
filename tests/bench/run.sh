#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every figure of the bars, one after the other: more than an hour, most of it waiting. MINUTES,
# SECONDS_BUSY, SECONDS_WALK, SECONDS_PERF, SECONDS_LOAD, DAYS_LOAD, HOURS_DAY, PACE_DAY, MINUTES_BUILD and MINUTES_PAGE make it shorter.
set -eu
cd "$(dirname "$0")/../.."
: "${BUILD:=build}"
export BUILD
[ -d tests/ui/node_modules ] || (cd tests/ui && npm ci --no-audit --no-fund --loglevel=error)
printf '%s, %s CPUs, kernel %s\n' "$(date -u +%F)" "$(nproc)" "$(uname -r)"
size=$(stat -c %s "$BUILD/hearth")
printf "%-66s %10d B\n" "the program, with debug information" "$size"
for program in "$BUILD"/tests/bench/bench_*; do
	case $program in *.d | *'*') continue ;; esac
	"$program"
done
for script in start door connections query push otlp load day drop page overhead flame build processes perf; do
	node "tests/bench/$script.mjs"
done
