#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What tools think of the sources: layout, clang-tidy, cppcheck, scripts, spelling. Each finding is
# mended, or silenced where it stands with the reason. Exit 1 when there is one.
set -u
cd "$(dirname "$0")/.." || exit 1
failures=0

step() {
	name=$1
	shift
	echo "== $name"
	"$@" || {
		failures=$((failures + 1))
		echo "== $name has findings" >&2
	}
}

sources=$(git ls-files 'commands/*.c' 'base/*.c' 'symbols/*.c' 'store/*.c' 'collector/*.c' 'web/*.c')
everything=$(git ls-files '*.c' '*.h')
flags="-std=gnu17 -D_GNU_SOURCE -I. -Ibuild/gen"

layout() {
	# shellcheck disable=SC2086
	clang-format --dry-run -Werror $everything
}

tidy() {
	# shellcheck disable=SC2086
	echo $sources | tr ' ' '\n' | xargs -P 2 -n 1 sh -c 'clang-tidy --quiet --warnings-as-errors="*" "$@" -- '"$flags" sh 2>/dev/null
}

second_opinion() {
	# It does not follow the cleanup attribute: leaks are the sanitizers' business. Some of our syntax
	# it can't read at all.
	# shellcheck disable=SC2086
	cppcheck --quiet --enable=warning,portability,performance --inline-suppr --error-exitcode=1 -j 2 --std=c11 \
		--suppress=memleak --suppress=resourceLeak --suppress=missingIncludeSystem --suppress=unknownMacro \
		--suppress=normalCheckLevelMaxBranches --suppress=syntaxError --suppress=internalAstError -D_GNU_SOURCE -I. $sources
}

scripts() {
	git ls-files '*.sh' .ci/run | xargs shellcheck -x
}

spelling() {
	git ls-files | grep -vE '^(LICENSE|LICENSES/|tests/fuzz/corpus/|.*package-lock.json|.*\.png)' |
		xargs codespell --ignore-words-list=ot,te,fo,nd,ue,ba,flate,nam,nin,upto
}

step layout layout
step clang-tidy tidy
step cppcheck second_opinion
step shellcheck scripts
step codespell spelling
[ "$failures" -eq 0 ]
