#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The installed program in containers, without systemd and without a daemon of theirs: container.sh SUITE PACKAGE, after
# boot.sh has made the root of that suite. With the rights that packaging/Containerfile names it samples; without any it is
# a receiver that says so. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
suite=$1 package=$2
roots=${HEARTH_ROOTS:-build/roots}
root=$roots/container-$$
. tests/install/tap.sh

[ "$(id -u)" = 0 ] || skip "no rights: containers are made by root"
[ -f "$roots/$suite.tar" ] || skip "there is no root of $suite yet"

finish() { rm -rf --one-file-system "$root"; }
trap finish EXIT
mkdir "$root"
tar -C "$root" -xf "$roots/$suite.tar"
cp "$package" "$root/root/now.deb"
cp "$BUILD/tests/live/targets/burn" "$root/root/"
check "the package installs where no systemd runs" chroot "$root" dpkg -i /root/now.deb

# What is asked within, until it answers, and how that went.
cat >"$root/root/ask" <<'END'
hearth run >/root/log 2>&1 &
/root/burn 60 &
for _ in $(seq 200); do
	sleep 0.1
	curl -s http://127.0.0.1:4040/readyz >/root/readyz || continue
	[ "$1" = receives ] || curl -s 'http://127.0.0.1:4040/api/v1/flame?from=now-1h' | grep -q spend_seventy || continue
	break
done
curl -s http://127.0.0.1:4040/api/v1/status >/root/status
curl -s http://127.0.0.1:4040/ >/root/page
END
contain() {
	as=$1
	shift
	timeout 60 systemd-nspawn --quiet -D "$root" --register=no --keep-unit --private-network "$@" sh -c "ip link set lo up 2>/dev/null; sh /root/ask $as" </dev/null
}
all=CAP_BPF,CAP_PERFMON,CAP_SYS_ADMIN,CAP_SYS_PTRACE,CAP_DAC_READ_SEARCH,CAP_SYSLOG,CAP_CHECKPOINT_RESTORE

check "a container without the rights runs it" contain receives "--drop-capability=$all"
check "it serves the page" grep -qi '<title>' "$root/root/page"
check "its log says that this host is not profiled" grep -q 'this host is not profiled: .*; serving all the same' "$root/root/log"
check "its status says so" grep -q '"state":"no_rights"' "$root/root/status"
check "and so does /readyz" grep -q 'there are no rights to sample this host' "$root/root/readyz"

check "a container with the rights runs it" contain samples "--capability=$all" --system-call-filter="bpf perf_event_open"
check "it samples" grep -q '"state":"sampling"' "$root/root/status"
check "and /readyz says so" grep -q '"ready":true' "$root/root/readyz"
echo "1..$number"
