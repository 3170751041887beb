# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# What the looks at a package have in common: a folder for the time of the run, a root in it for what is packed, and
# questions about that. TAP.
set -u
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/root"
program=$folder/root/usr/bin/hearth
. tests/install/tap.sh

silent() {
	if said_of_it=$("$@" 2>&1) && [ -z "$said_of_it" ]; then
		return 0
	fi
	echo "$said_of_it"
	return 1
}

score() { systemd-analyze security --offline=true --threshold="$2" "$(find "$folder/root" -name "$1")"; }
verify() {
	# The programs are looked for where they will be.
	find "$folder/root" -name '*.service' -exec sed -i "s#/usr/bin/hearth#$program#" {} +
	silent find "$folder/root" -name '*.service' -exec systemd-analyze verify --man=no {} +
}
# relro, immediate binding, position independent, checked calls.
hardened() {
	readelf -lWd "$program" >"$folder/elf"
	grep -q GNU_RELRO "$folder/elf" && grep -q 'BIND_NOW\|Flags:.*NOW' "$folder/elf" && grep -q 'Flags:.*PIE' "$folder/elf" &&
		readelf -W --dyn-syms "$program" | grep -q '__memcpy_chk\|__snprintf_chk'
}
unpathed() { ! strings "$program" | grep -F "$PWD"; }

check_units_and_program() {
	check "the collector's exposure is 2.6 at most" score hearth-collector.service 26
	check "the server's exposure is 1.5 at most" score hearth.service 15
	check "systemd-analyze verify has nothing to say" verify
	check "the program is hardened" hardened
	check "no path of the build is in it" unpathed
}
