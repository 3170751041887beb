#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a command in a root of its own where packages can be built, on this tree: build_root.sh SUITE ARCHITECTURE COMMAND…
# The root has the build dependencies of debian/control, for ARCHITECTURE, and compilers for it that run here. It is made
# once, in build/roots, and anew when something else is needed. As root, since systemd-nspawn runs it.
set -eu
cd "$(dirname "$0")/.."
suite=$1 architecture=$2
shift 2
roots=$(realpath "${HEARTH_ROOTS:-build/roots}" -m)
root=$roots/build-$suite-$architecture
native=$(dpkg --print-architecture)

# What runs here is the machine's own, what is linked with (also into tests) is the other's.
tools="build-essential git ca-certificates bpftool clang llvm pkg-config protobuf-c-compiler protobuf-compiler debhelper dpkg-dev fakeroot rpm curl"
libraries="libc6-dev libcmocka-dev $(sed -n '/^Build-Depends:/,/^$/s/^[^a-z]*\(lib.*-dev\|zlib1g-dev\),*$/\1/p' debian/control)"
foreign=
if [ "$architecture" != "$native" ]; then
	foreign=,$architecture
	gnu=$(dpkg-architecture -a "$architecture" -qDEB_HOST_GNU_TYPE 2>/dev/null)
	tools="$tools gcc-$gnu binutils-$gnu pkgconf:$architecture qemu-user-static"
fi
includes=$(for library in $libraries; do printf '%s:%s,' "$library" "$architecture"; done)$(echo "$tools" | tr ' ' ',')

mkdir -p "$roots"
if [ ! -d "$root" ] || [ "$(cat "$root.packages" 2>/dev/null)" != "$includes" ]; then
	rm -rf --one-file-system "$root"
	mmdebstrap --quiet --variant=minbase --architectures="$native$foreign" --include="$includes" "$suite" "$root" >&2
	echo "$includes" >"$root.packages"
fi
# At the same paths, for git's sake: the tree may be one of several of a repository.
exec systemd-nspawn --quiet --register=no --keep-unit -D "$root" --bind="$PWD" --bind-ro="$(realpath "$(git rev-parse --git-common-dir)")" \
	--chdir="$PWD" --setenv=HOME=/root "$@"
