#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The same packages with a lower version stand for the ones before: before.sh DEB RPM FOLDER makes before.deb and before.rpm there.
set -eu
cd "$(dirname "$0")/../.."
deb=$1 rpm=$2 folder=$3

dpkg-deb --raw-extract "$deb" "$folder/deb"
sed -i 's/^Version: .*/&~before/' "$folder/deb/DEBIAN/control"
dpkg-deb --root-owner-group --build "$folder/deb" "$folder/before.deb" >/dev/null
rm -r "$folder/deb"

RPM_VERSION="$(rpm -qp --qf '%{VERSION}' "$rpm")~before" RPM_FOLDER=$folder/rpm sh packaging/rpm.sh "$BUILD/gen/page" "$folder" >/dev/null
mv "$folder"/hearth-*.rpm "$folder/before.rpm"
rm -r "$folder/rpm"
