#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs a package in a system of its own: boot.sh SUITE PACKAGE BEFORE DEB. PACKAGE is a .deb or an .rpm, BEFORE the same with a lower
# version, DEB what the root is made for (root.sh). A copy of the root is booted by systemd-nspawn, with the host's kernel and its
# BPF. TAP, as what runs within says it (inside_deb.sh, inside_rpm.sh).
set -eu
cd "$(dirname "$0")/../.."
suite=$1 package=$2 before=$3 deb=$4
kind=${package##*.}
roots=${HEARTH_ROOTS:-build/roots}
root=$roots/$suite-$$
: "${BUILD:=build}"
. tests/install/tap.sh

[ "$(id -u)" = 0 ] || skip "no rights: systems are booted by root"

sh tests/install/root.sh "$suite" "$deb" >&2
finish() { rm -rf --one-file-system "$root"; }
trap finish EXIT
mkdir "$root"
tar -C "$root" -xf "$roots/$suite.tar"

cp "$before" "$root/root/before.$kind"
cp "$package" "$root/root/now.$kind"
cp "tests/install/inside_$kind.sh" tests/install/steps.sh tests/install/tap.sh "$BUILD/tests/live/targets/burn" "$root/root/"
cat >"$root/etc/systemd/system/inside.service" <<END
[Unit]
After=multi-user.target
[Service]
Type=exec
ExecStart=/bin/sh /root/inside_$kind.sh
ExecStopPost=/bin/systemctl poweroff --no-block
[Install]
WantedBy=multi-user.target
END
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../inside.service "$root/etc/systemd/system/multi-user.target.wants/inside.service"

SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout -k 10 240 systemd-nspawn --quiet -D "$root" --boot --register=no --keep-unit \
	--private-network --capability=all --system-call-filter="bpf perf_event_open" \
	</dev/null >"$roots/$suite-$kind.log" 2>&1 || echo "# systemd-nspawn ended with $?; $roots/$suite-$kind.log has what it said"
cat "$root/root/result.tap"
grep -q '^1\.\.' "$root/root/result.tap"
