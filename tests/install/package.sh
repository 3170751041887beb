#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Looks at the package as it lies there: package.sh PACKAGE. Sizes, lintian, hardening, units, and whether a second
# build elsewhere gives the same bytes. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
package=$1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
number=0

check() {
	what=$1
	shift
	number=$((number + 1))
	if said=$("$@" 2>&1); then
		echo "ok $number - $what"
	else
		echo "not ok $number - $what"
		printf '%s\n' "$said" | tail -n 30 | sed 's/^/# /'
	fi
}
at_most() { [ "$1" -le "$2" ] || { echo "$1 is more than $2"; return 1; }; }
silent() {
	if said_of_it=$("$@" 2>&1) && [ -z "$said_of_it" ]; then
		return 0
	fi
	echo "$said_of_it"
	return 1
}

dpkg-deb --extract "$package" "$folder/root"
units=$(find "$folder/root" -name '*.service')

check "2 MiB at most" at_most "$(stat -c %s "$package")" $((2 << 20))
check "6 MiB at most when installed" at_most "$(du -sb "$folder/root" | cut -f 1)" $((6 << 20))
check "lintian has nothing to say" silent lintian --allow-root "$package"

score() { systemd-analyze security --offline=true --threshold="$2" "$(find "$folder/root" -name "$1")"; }
check "the collector's exposure is 2.6 at most" score hearth-collector.service 26
check "the server's exposure is 1.5 at most" score hearth.service 15
verify() {
	# The programs are looked for where they will be.
	# shellcheck disable=SC2086 # a list of paths
	sed -i "s#/usr/bin/hearth#$folder/root/usr/bin/hearth#" $units
	# shellcheck disable=SC2086
	silent systemd-analyze verify --man=no $units
}
check "systemd-analyze verify has nothing to say" verify

# relro, immediate binding, position independent, checked calls.
hardened() {
	readelf -lWd "$folder/root/usr/bin/hearth" >"$folder/elf"
	grep -q GNU_RELRO "$folder/elf" && grep -q 'BIND_NOW\|Flags:.*NOW' "$folder/elf" && grep -q 'Flags:.*PIE' "$folder/elf" &&
		readelf -W --dyn-syms "$folder/root/usr/bin/hearth" | grep -q '__memcpy_chk\|__snprintf_chk'
}
check "the program is hardened" hardened
unpathed() { ! strings "$folder/root/usr/bin/hearth" | grep -F "$PWD"; }
check "no path of the build is in it" unpathed

again() {
	mkdir "$folder/again" "$folder/elsewhere"
	DEB_VERSION=$(dpkg-deb -f "$package" Version) DEB_FOLDER=$folder/elsewhere sh packaging/deb.sh "$BUILD/gen/page" "$folder/again" &&
		cmp "$package" "$folder/again/$(basename "$package")"
}
check "a second build elsewhere is the same to the byte" again
echo "1..$number"
