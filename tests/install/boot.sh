#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the package in a system of its own: boot.sh SUITE PACKAGE. Roots are made once and kept in build/roots; a copy
# is booted by systemd-nspawn, with the host's kernel and its BPF. TAP, as inside.sh says it.
set -eu
cd "$(dirname "$0")/../.."
suite=$1 package=$2
roots=${HEARTH_ROOTS:-build/roots}
root=$roots/$suite-$$
: "${BUILD:=build}"

skip() {
	echo "1..0 # SKIP $1"
	exit 0
}
[ "$(id -u)" = 0 ] || skip "no rights: systems are booted by root"

mkdir -p "$roots"
if [ ! -f "$roots/$suite.tar" ]; then
	# What the package needs is in the root, so that installing asks no network.
	needs=$(dpkg-deb -f "$package" Depends | sed 's/([^)]*)//g; s/|[^,]*//g' | tr -d ' ')
	mmdebstrap --quiet --variant=minbase --include="systemd,systemd-sysv,dbus,procps,curl,jq,$needs" "$suite" "$roots/$suite.new.tar" >&2
	mv "$roots/$suite.new.tar" "$roots/$suite.tar"
fi

finish() { rm -rf --one-file-system "$root"; }
trap finish EXIT
mkdir "$root"
tar -C "$root" -xf "$roots/$suite.tar"

# The same with a lower number stands for the one before.
unpacked=$root/root/before
dpkg-deb --raw-extract "$package" "$unpacked"
sed -i 's/^Version: .*/&~before/' "$unpacked/DEBIAN/control"
dpkg-deb --root-owner-group --build "$unpacked" "$root/root/before.deb" >/dev/null
rm -r "$unpacked"
cp "$package" "$root/root/now.deb"
cp tests/install/inside.sh "$BUILD/tests/live/targets/burn" "$root/root/"
cat >"$root/etc/systemd/system/inside.service" <<END
[Unit]
After=multi-user.target
[Service]
Type=exec
ExecStart=/bin/sh /root/inside.sh
ExecStopPost=/bin/systemctl poweroff --no-block
[Install]
WantedBy=multi-user.target
END
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../inside.service "$root/etc/systemd/system/multi-user.target.wants/inside.service"

SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout -k 10 240 systemd-nspawn --quiet -D "$root" --boot --register=no --keep-unit \
	--private-network --capability=all --system-call-filter="bpf perf_event_open" \
	</dev/null >"$roots/$suite.log" 2>&1 || echo "# systemd-nspawn ended with $?; $roots/$suite.log has what it said"
cat "$root/root/result.tap"
grep -q '^1\.\.' "$root/root/result.tap"
