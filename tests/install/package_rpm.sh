#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Looks at the package for EL and Fedora as it lies there: package_rpm.sh PACKAGE. Size, what it needs of a host, hardening,
# units, and whether a second build elsewhere gives the same bytes. TAP.
cd "$(dirname "$0")/../.." || exit 1
package=$1
. tests/install/checks.sh

# In the base repository of EL 9, with the symbols that we use; of the others it brings what it needs.
there="ld-linux-x86-64.so.2 libc.so.6 libcrypto.so.3 libdl.so.2 libdw.so.1 libelf.so.1 liblz4.so.1 liblzma.so.5 libm.so.6 libnghttp2.so.14 libpcre2-8.so.0 libpthread.so.0 librt.so.1 libseccomp.so.2 libsnappy.so.1 libssl.so.3 libz.so.1 libzstd.so.1"

needed() { find "$folder/root" -type f \( -name hearth -o -name '*.so.*' \) -exec readelf -d {} + 2>/dev/null | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | sort -u; }
lacking() { needed | grep -vxF -e libcivetweb.so.1 -e "$(echo "$there" | tr ' ' '\n')"; }
# The newest version of what glibc gives that a file of ours asks for.
glibc() {
	find "$folder/root" -type f \( -name hearth -o -name '*.so.*' \) -exec objdump -T {} + 2>/dev/null |
		sed -n 's/.*(GLIBC_\([0-9.]*\)).*/\1/p' | sort -Vu | tail -n 1
}
asked_of_host() { rpm -qp --requires "$package" | grep -E 'civetweb|bpf|sqlite|jansson|xxhash|protobuf'; }

check "rpm installs it below a folder" rpm --root "$folder/root" --nodeps --noscripts -i "$package"
check "the program is 8 MiB at most" at_most "$(stat -c %s "$program")" $((8 << 20))
check "it needs nothing of glibc that EL 9 lacks" equals "$(printf '%s\n2.34\n' "$(glibc)" | sort -V | tail -n 1)" 2.34
check "it needs no library that EL 9 lacks" equals "$(lacking)" ""
check "and asks rpm for none of those it brings" equals "$(asked_of_host)" ""
check "its settings are kept" equals "$(rpm -qp --configfiles "$package")" /etc/hearth/hearth.conf
check "nothing in it belongs to a user of the builder" equals "$(rpm -qp --qf '[%{FILEUSERNAME}:%{FILEGROUPNAME}\n]' "$package" | sort -u)" root:root
check_units_and_program

again() {
	mkdir "$folder/again"
	RPM_VERSION=$(rpm -qp --qf '%{VERSION}' "$package") RPM_FOLDER=$folder/elsewhere sh packaging/rpm.sh "$BUILD/gen/page" "$folder/again" &&
		cmp "$package" "$folder/again/$(basename "$package")"
}
check "a second build elsewhere is the same to the byte" again
echo "1..$number"
