#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the Debian package of the tree as it is: deb.sh PAGE OUTPUT. PAGE is the folder of the built page, which
# goes into the copy that is built, so that the build itself needs neither node nor a network. DEB_VERSION takes
# the place of the changelog's version; DEB_FOLDER is where the copy lies while it is built; ARCHITECTURE is Debian's name
# of the one that it is for, where that is another.
set -eu
page=$1 output=$2

changelog_version=$(dpkg-parsechangelog -l debian/changelog -S Version)
# For a suite that was asked for: an upgrade of the host brings the package of the next one.
version=${DEB_VERSION:-$changelog_version${SUITE:++deb$(. /etc/os-release && echo "$VERSION_ID")}}
folder=${DEB_FOLDER:-$output/deb}
architecture=${ARCHITECTURE:-$(dpkg --print-architecture)}
source="$folder/hearth-$version"

rm -rf "$source"
mkdir -p "$source/packaging"
git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- -cf - --ignore-failed-read | tar -C "$source" -xf -
cp -r "$page" "$source/packaging/page"
[ "$version" = "$changelog_version" ] ||
	sed -i "1s/($changelog_version)/($version)/" "$source/debian/changelog"

(cd "$source" && dpkg-buildpackage --host-arch "$architecture" --build=binary --no-sign --check-builddeps) >"$folder/build.log" 2>&1 || {
	tail -n 40 "$folder/build.log" >&2
	echo "packaging/deb.sh: the build failed; $folder/build.log has all of it" >&2
	exit 1
}
for package in hearth hearth-dbgsym; do
	cp "$folder/${package}_${version}_$architecture.deb" "$output/"
done
rm -rf "$source"
echo "$output/hearth_${version}_$architecture.deb"
