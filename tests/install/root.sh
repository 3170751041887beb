#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes build/roots/SUITE.tar: root.sh SUITE PACKAGE.deb. What the package needs is in it, so that installing asks no
# network. It is made once, and anew when something else is needed.
set -eu
cd "$(dirname "$0")/../.."
suite=$1 package=$2
roots=${HEARTH_ROOTS:-build/roots}

needs=$(dpkg-deb -f "$package" Depends | sed 's/([^)]*)//g; s/|[^,]*//g' | tr -d ' ')
includes="systemd,systemd-sysv,dbus,procps,curl,iproute2,jq,rpm,$needs"
mkdir -p "$roots"
if [ -f "$roots/$suite.tar" ] && [ "$(cat "$roots/$suite.packages" 2>/dev/null)" = "$includes" ]; then
	exit 0
fi
mmdebstrap --quiet --variant=minbase --include="$includes" "$suite" "$roots/$suite.new.tar"
mv "$roots/$suite.new.tar" "$roots/$suite.tar"
echo "$includes" >"$roots/$suite.packages"
