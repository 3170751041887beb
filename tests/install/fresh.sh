#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The README's two commands on a Debian that has git and nothing else: fresh.sh SUITE. The commands are read from the README, what is
# committed here is cloned, and the root (mmdebstrap's smallest) lies in FRESH_ROOTS, build/roots. It shares the host's network, its
# kernel and its process numbers, so that samples can be held against /proc/stat. FRESH_TEST=no leaves the second command out. TAP.
set -eu
cd "$(dirname "$0")/../.."
suite=$1
roots=$(realpath -m "${FRESH_ROOTS:-build/roots}")
root=$roots/fresh-$suite-$$
log=$roots/fresh-$suite
. tests/install/tap.sh

[ "$(id -u)" = 0 ] || skip "no rights: roots are made and entered by root"
command -v mmdebstrap >/dev/null || skip "no mmdebstrap (apt-get install mmdebstrap)"

# Of what runs in the root only, by its own root folder.
stop_inside() {
	for process in /proc/[0-9]*; do
		case $(readlink "$process/root" 2>/dev/null || true) in
		"$root"*) kill "-$1" "${process#/proc/}" 2>/dev/null || true ;;
		esac
	done
}
finish() {
	stop_inside KILL
	sleep 1
	umount -R -l "$root" 2>/dev/null || true
	rm -rf --one-file-system "$root"
}
trap finish EXIT
trap 'exit 130' INT TERM

mkdir -p "$roots"
[ -f "$roots/fresh-$suite.tar" ] || {
	echo "# making a $suite of its own" >&2
	mmdebstrap --quiet --variant=minbase --include=git,ca-certificates "$suite" "$log.new.tar"
	mv "$log.new.tar" "$log.tar"
}
mkdir "$root"
mount --bind "$root" "$root" # as a root is: tests make mount namespaces of it
tar -C "$root" -xf "$log.tar"
git clone -q --no-hardlinks . "$root/root/hearth"
# How this machine reaches the archives of Debian and of npm, where that is not the usual way.
cp -a /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
cp /etc/resolv.conf "$root/etc/"
for file in /etc/npmrc /usr/local/share/ca-certificates /etc/ssl/certs; do
	[ ! -e "$file" ] || { mkdir -p "$root/$(dirname "$file")" && cp -a "$file" "$root/$(dirname "$file")/"; }
done
[ ! -e "${HOME:-/}/.npmrc" ] || cp "$HOME/.npmrc" "$root/root/" # root's home, which is there in each root
mount -t proc proc "$root/proc"
mount --rbind --make-rslave /sys "$root/sys"
mount --rbind --make-rslave /dev "$root/dev"

# The lines of the README that are commands of this form.
command_of() { sed -n "s/^    \(apt-get update .* make $1\)\$/\1/p" README.md; }
inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 HEARTH_REQUIRE_BPF=1 "$@"; }

port=$((20000 + $$ % 20000))
page=http://127.0.0.1:$port
# Another program of the host may have the usual port: the one thing that is added to the command.
inside ARGS="--http 127.0.0.1:$port --otlp-grpc off --otlp-http off" chroot "$root" \
	sh -c "cd /root/hearth && $(command_of run)" >"$log.run.log" 2>&1 &
for second in $(seq 1800); do
	curl -fs "$page/ready" >/dev/null && break
	kill -0 $! 2>/dev/null || break
	[ $((second % 30)) != 0 ] || echo "# $second s: $(tail -n 1 "$log.run.log" | cut -c 1-100)" >&2
	sleep 1
done
sleep 5
check "the README's first command brings the page ($log.run.log)" curl -fs "$page/ready"
check "it prints its address" grep -q "ready at $page/" "$log.run.log"
check "the page is there" sh -c "curl -fs '$page/' | grep -q '<title>'"
check "it samples" sh -c "curl -fs '$page/api/v1/status' | grep -Eq '\"samples\": ?[1-9]'"
check "functions have names" sh -c "curl -fs '$page/api/v1/functions?from=now-1m' | grep -Eq '\"(name|function)\": ?\"[a-z_]{3}'"
stop_inside TERM
wait $! || true

if [ "${FRESH_TEST:-yes}" = yes ]; then
	inside chroot "$root" sh -c "cd /root/hearth && $(command_of test)" >"$log.test.log" 2>&1 || true
	tail -n 1 "$log.test.log" | sed 's/^/# /'
	check "the README's second command passes all tests ($log.test.log)" \
		sh -c "tail -n 1 '$log.test.log' | grep -Eq '^[1-9][0-9]* passed, 0 failed, '"
fi
# shellcheck disable=SC2154 # of tap.sh
echo "1..$number"
