#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages named, those that are missing; with --node also node and npm, unless
# the machine has them from elsewhere.
set -eu

missing=""
for package in "$@"; do
	if [ "$package" = --node ]; then
		command -v node >/dev/null || missing="$missing nodejs"
		command -v npm >/dev/null || missing="$missing npm"
	elif ! dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii'; then
		missing="$missing $package"
	fi
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "hearth: this is not Debian; install by hand what these packages hold:$missing" >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "hearth: as root, run: apt-get install$missing" >&2
	exit 1
fi
echo "hearth: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of words
apt-get install -y --no-install-recommends $missing
