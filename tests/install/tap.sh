# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# How the scripts of this folder speak TAP, on the host and in the systems that they boot; checks.sh and steps.sh bring it.
number=0 failures=0

# check WHAT COMMAND…: one test. What the command says is shown when it fails.
check() {
	what=$1
	shift
	number=$((number + 1))
	if said=$("$@" 2>&1); then
		echo "ok $number - $what"
	else
		echo "not ok $number - $what"
		failures=$((failures + 1))
		printf '%s\n' "$said" | tail -n 30 | sed 's/^/# /'
	fi
}

# skip WHY: there is nothing to be asked here.
skip() {
	echo "1..0 # SKIP $1"
	exit 0
}

equals() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }
at_most() { [ "$1" -le "$2" ] || { echo "$1 is more than $2"; return 1; }; }
