#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Looks at the package as it lies there: package_deb.sh PACKAGE. Sizes, lintian, hardening, units, and whether a second
# build elsewhere gives the same bytes. TAP.
cd "$(dirname "$0")/../.." || exit 1
package=$1
. tests/install/checks.sh

dpkg-deb --extract "$package" "$folder/root"
check "2 MiB at most" at_most "$(stat -c %s "$package")" $((2 << 20))
check "6 MiB at most when installed" at_most "$(du -sb "$folder/root" | cut -f 1)" $((6 << 20))
check "lintian has nothing to say" silent lintian --allow-root "$package"
check_units_and_program

again() {
	mkdir "$folder/again" "$folder/elsewhere"
	DEB_VERSION=$(dpkg-deb -f "$package" Version) DEB_FOLDER=$folder/elsewhere sh packaging/deb.sh "$BUILD/gen/page" "$folder/again" &&
		cmp "$package" "$folder/again/$(basename "$package")"
}
check "a second build elsewhere is the same to the byte" again
echo "1..$number"
