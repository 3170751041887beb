#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the tests that are built: tests/run.sh [unit] [fuzz] [fault] [shape] [live] [system] [ui] [install]
# [fresh] [clients] [soak], all of them but the last four without an argument. Every program speaks TAP; the last line counts what
# they said, and is added to the file that HEARTH_CLOSING names, so that who calls this more than once can add them up.
#
# HEARTH_LONG=1 (make test-long) gives tests that draw or repeat more of both, and hunts with every fuzzer
# for FUZZ_SECONDS (60).
# HEARTH_REQUIRE_BPF=1 makes a test that is skipped for want of rights a failure.
set -u
cd "$(dirname "$0")/.." || exit 1
: "${BUILD:=build}" "${SANITIZE:=}"
export BUILD CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS="detect_leaks=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
export TSAN_OPTIONS="halt_on_error=1:suppressions=tests/thread.supp:${TSAN_OPTIONS:-}"

: "${HEARTH_LONG:=}" "${FUZZ_SECONDS:=60}"
export HEARTH_LONG
TIME_LIMIT_S=600
[ "$HEARTH_LONG" != 1 ] || TIME_LIMIT_S=7200
passed=0 failed=0 skipped=0
output=$(mktemp) || exit 1
trap 'rm -f "$output"' EXIT

# run NAME COMMAND…: one program; each of its TAP lines is a test. A crash, a time-out, or silence is a
# failure besides.
run() {
	name=$1
	shift
	started=$(date +%s)
	timeout -k 10 "$TIME_LIMIT_S" "$@" >"$output" 2>&1 </dev/null
	code=$?
	ok=$(grep -acE '^[[:space:]]*ok ' "$output")
	bad=$(grep -acE '^[[:space:]]*not ok ' "$output")
	skips=$(grep -acE '^[[:space:]]*(not )?ok .*# [Ss][Kk][Ii][Pp]' "$output")
	skipped_bad=$(grep -acE '^[[:space:]]*not ok .*# [Ss][Kk][Ii][Pp]' "$output")
	bad=$((bad - skipped_bad))
	ok=$((ok - (skips - skipped_bad)))
	if [ "$skips" -gt 0 ] && [ "${HEARTH_REQUIRE_BPF:-}" = 1 ] &&
		grep -aqiE '# skip.*(rights|bpf)' "$output"; then
		bad=$((bad + skips))
		skips=0
	fi
	if [ "$code" -ne 0 ] && [ "$bad" -eq 0 ] || [ $((ok + bad + skips)) -eq 0 ]; then
		bad=$((bad + 1))
	fi
	seconds=$(($(date +%s) - started))
	if [ "$bad" -gt 0 ]; then
		printf '%-34s FAILED (exit %d, %d s)\n' "$name" "$code" "$seconds"
		sed 's/^/    /' "$output" | tail -n 80
	else
		printf '%-34s %3d passed%s, %d s\n' "$name" "$ok" \
			"$([ "$skips" -gt 0 ] && printf ', %d skipped' "$skips")" "$seconds"
		grep -aiE '# skip' "$output" | sed 's/^/    /'
	fi
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skips))
}

programs() {
	for program in "$BUILD"/tests/"$1"/test_*; do
		case $program in *.d | *'*') continue ;; esac
		[ -f "tests/$1/$(basename "$program").c" ] || continue # left from another state of the tree
		run "$1/$(basename "$program")" "$program"
	done
}

fuzzers() {
	for program in "$BUILD"/tests/fuzz/fuzz_*; do
		case $program in *.d | *'*') continue ;; esac
		name=$(basename "$program")
		[ -f "tests/fuzz/$name.c" ] || continue
		run "fuzz/$name" "$program" "tests/fuzz/corpus/${name#fuzz_}"
		[ "$HEARTH_LONG" != 1 ] || run "fuzz/hunt_${name#fuzz_}" sh tests/fuzz/hunt.sh "${name#fuzz_}" "$FUZZ_SECONDS"
	done
}

ui() {
	[ -f tests/ui/test_page.mjs ] || return 0
	# npm notes there what it has installed: not what is asked for now, perhaps.
	[ -n "$(find tests/ui/node_modules/.package-lock.json -newer tests/ui/package-lock.json 2>/dev/null)" ] || (cd tests/ui && npm ci --no-audit --no-fund --loglevel=error) || {
		failed=$((failed + 1))
		return 0
	}
	for script in tests/ui/test_*.mjs; do
		run "ui/$(basename "$script" .mjs)" node "$script"
	done
}

# newest FORM: the package that was made last.
newest() { find "$BUILD" -maxdepth 1 -name "$1" -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2; }

# The newest packages of `make deb` and `make rpm`, and the same with a lower version, in each Debian that they are for.
install() {
	before=$(mktemp -d) || return 1
	deb=$(newest 'hearth_*.deb') rpm=$(newest 'hearth-*.rpm')
	sh tests/install/before.sh "$deb" "$rpm" "$before" || failed=$((failed + 1))
	run install/package_deb sh tests/install/package_deb.sh "$deb"
	run install/package_rpm sh tests/install/package_rpm.sh "$rpm"
	for suite in bookworm trixie; do
		run "install/deb_$suite" sh tests/install/boot.sh "$suite" "$deb" "$before/before.deb" "$deb"
		run "install/rpm_$suite" sh tests/install/boot.sh "$suite" "$rpm" "$before/before.rpm" "$deb"
		run "install/kernel_$suite" sh tests/install/kernel.sh "$suite" "$deb"
	done
	run install/container sh tests/install/container.sh bookworm "$deb"
	run install/image sh tests/install/image.sh "$deb"
	rm -r "$before"
}

[ $# -gt 0 ] || set -- shape unit fuzz fault live system ui
for kind; do
	case $kind in
	unit | fault | live | system) programs "$kind" ;;
	fuzz) fuzzers ;;
	shape) run shape sh tests/shape.sh ;;
	ui) ui ;;
	install) install ;;
	fresh)
		TIME_LIMIT_S=7200
		for suite in bookworm trixie; do
			run "fresh/$suite" sh tests/install/fresh.sh "$suite"
		done
		;;
	clients)
		TIME_LIMIT_S=3600
		for test in clients senders; do HEARTH_CLIENTS=1 run "system/test_$test" "$BUILD/tests/system/test_$test"; done
		;;
	soak)
		TIME_LIMIT_S=$((${SOAK_SECONDS:-300} + 300))
		run soak unshare --pid --fork --mount-proc --kill-child node tests/soak.mjs
		grep '^#' "$output"
		;;
	*)
		echo "tests/run.sh: unknown kind of test '$kind'" >&2
		exit 64
		;;
	esac
done

echo "$passed passed, $failed failed, $skipped skipped" | tee -a "${HEARTH_CLOSING:-/dev/null}"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
