#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the package for EL 9 and later and for Fedora, on Debian 12: rpm.sh PAGE OUTPUT. PAGE is the folder of the built
# page. RPM_VERSION takes the place of the changelog's version; RPM_FOLDER is where the tree is built;
# ARCHITECTURE is Debian's name of the one that it is for, where that is another.
#
# The program is for glibc 2.34. Libraries that EL 9 has in its base repository are taken from there, and get their
# security updates there; the others, and SQLite, which is older there than we need, are linked in, or shipped beside it
# where Debian has no archive (civetweb).
set -eu
page=$(realpath "$1") output=$(realpath "$2")
STATIC="bpf sqlite3 jansson xxhash protobuf-c deflate"
GLIBC_MAX=2.34

changelog_version=$(dpkg-parsechangelog -l debian/changelog -S Version)
version=${RPM_VERSION:-$changelog_version}
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l debian/changelog -S Timestamp)
export SOURCE_DATE_EPOCH
folder=${RPM_FOLDER:-$output/rpm}
tree=$folder/hearth-$version
architecture=${ARCHITECTURE:-$(dpkg --print-architecture)}
multiarch=$(dpkg-architecture -a "$architecture" -qDEB_HOST_MULTIARCH 2>/dev/null)
machine=$(dpkg-architecture -a "$architecture" -qDEB_HOST_GNU_CPU 2>/dev/null)
cross='' compiler=${CC:-gcc}
[ "$multiarch" = "$(dpkg-architecture -qDEB_BUILD_MULTIARCH)" ] || cross=$multiarch- compiler=$multiarch-gcc

rm -rf "$folder"
mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- -cf - --ignore-failed-read | tar -C "$tree" -xf -
cp -r "$page" "$folder/page"

# Notices of what is linked in and shipped, as Debian collected them.
mkdir "$folder/notices"
for package in libbpf-dev libsqlite3-dev libjansson-dev libxxhash-dev libprotobuf-c-dev libdeflate-dev libiberty-dev libcivetweb1; do
	cp "/usr/share/doc/$package/copyright" "$folder/notices/$package.txt"
done

case $machine in
aarch64) hardening="-fstack-clash-protection -mbranch-protection=standard" ;;
*) hardening="-fstack-clash-protection -fcf-protection" ;;
esac
rpmbuild -bb --quiet --target "$machine-linux" \
	--define "_topdir $folder/top" --define "_rpmdir $folder/made" --define "_dbpath $folder/db" \
	--define "hearth_version $version" --define "tree $tree" --define "page $folder/page" --define "strip ${cross}strip" \
	--define "civetweb /usr/lib/$multiarch/libcivetweb.so.1" --define "notices $folder/notices/*" \
	--define "hearth_settings CC='$compiler' AR=${cross}ar PKG_CONFIG=${cross}pkg-config ARCH=$machine STATIC='$STATIC' CFLAGS='-O2 -g $hardening' LDFLAGS=-Wl,-rpath,/usr/lib/hearth" \
	packaging/hearth.spec >"$folder/build.log" 2>&1 || {
	tail -n 40 "$folder/build.log" >&2
	echo "packaging/rpm.sh: the build failed; $folder/build.log has all of it" >&2
	exit 1
}

newest=$("${cross}objdump" -T "$tree/build/hearth" "/usr/lib/$multiarch/libcivetweb.so.1" | sed -n 's/.*(GLIBC_\([0-9.]*\)).*/\1/p' | sort -Vu | tail -n 1)
if [ "$(printf '%s\n' "$newest" "$GLIBC_MAX" | sort -V | tail -n 1)" != "$GLIBC_MAX" ]; then
	echo "packaging/rpm.sh: the program wants glibc $newest, EL 9 has $GLIBC_MAX; build it on Debian 12" >&2
	exit 1
fi
package=hearth-$version-1.$machine.rpm
mv "$folder/made/$machine/$package" "$output/"
rm -rf "$tree" "$folder/page"
echo "$output/$package"
