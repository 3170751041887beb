#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tests/fuzz/hunt.sh NAME SECONDS: hunts with clang's libFuzzer under ASan and UBSan, from the corpus in the tree, for
# SECONDS of a processor's time, or four times as long by the clock where others want it, too; what it finds lies in
# build/fuzz/NAME afterwards, inputs that reached something new in its folder corpus/. HUNT_INPUT_SECONDS: the longest that
# one input may take. TAP, for tests/run.sh.
set -eu
cd "$(dirname "$0")/../.."
name=$1 seconds=$2
out=build/fuzz/$name
mkdir -p "$out/corpus"
make --no-print-directory CC=clang BUILD=build/fuzz/objects SANITIZE=address,undefined \
	CFLAGS='-O1 -g -fsanitize=fuzzer-no-link' build/fuzz/objects/libweb.a build/fuzz/objects/libcollector.a \
	build/fuzz/objects/libstore.a build/fuzz/objects/libsymbols.a build/fuzz/objects/libbase.a
# shellcheck disable=SC2046 # a list of options
clang -std=gnu17 -D_GNU_SOURCE -O1 -g -fsanitize=fuzzer,address,undefined -I. -Ibuild/fuzz/objects/gen \
	"tests/fuzz/fuzz_$name.c" build/fuzz/objects/libweb.a build/fuzz/objects/libcollector.a \
	build/fuzz/objects/libstore.a build/fuzz/objects/libsymbols.a build/fuzz/objects/libbase.a \
	$(make --no-print-directory -s libraries) $(make --no-print-directory -s fuzz-wrapped TARGET="$name") \
	-o "$out/fuzzer"
"$out/fuzzer" -max_total_time="$((seconds * 4))" -timeout="${HUNT_INPUT_SECONDS:-10}" -rss_limit_mb=2048 \
	-artifact_prefix="$out/" -print_final_stats=1 "$out/corpus" "tests/fuzz/corpus/$name" &
fuzzer=$!
trap 'kill "$fuzzer" 2>/dev/null || :' EXIT
ticks=$((seconds * $(getconf CLK_TCK)))
while used=$(sed 's/.*) //' "/proc/$fuzzer/stat" 2>/dev/null | awk '{ print $12 + $13 }') && [ -n "$used" ]; do
	if [ "$used" -ge "$ticks" ]; then
		kill -USR1 "$fuzzer" # it says what it covered and ends
		break
	fi
	sleep 1
done
wait "$fuzzer"
trap - EXIT
echo "ok 1 - nothing was found in $seconds s"
