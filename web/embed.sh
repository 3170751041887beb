#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints C with the files of a folder: embed.sh FOLDER. Their order is that of their names, gzip
# writes no time, and no path of this machine gets in, so equal files make equal C.
set -eu
export LC_ALL=C

folder=$1
[ -f "$folder/index.html" ] || {
	echo "embed.sh: there is no index.html in '$folder'" >&2
	exit 1
}

content_type() {
	case $1 in
	*.html) echo "text/html; charset=utf-8" ;;
	*.js) echo "text/javascript; charset=utf-8" ;;
	*.css) echo "text/css; charset=utf-8" ;;
	*.svg) echo "image/svg+xml" ;;
	*.png) echo "image/png" ;;
	*.json) echo "application/json" ;;
	*.woff2) echo "font/woff2" ;;
	*) echo "application/octet-stream" ;;
	esac
}

# NAME of the array; its bytes on standard input. A last 0 lets an empty file be an array, too.
bytes() {
	echo "static const uint8_t $1[] = {"
	od -An -v -tu1 | sed 's/  */,/g; s/^,//; s/$/,/'
	echo "0 };"
}

cat <<END
/* SPDX-License-Identifier: Apache-2.0 */
/* Made by web/embed.sh. */
#include "web/page_assets.h"

END

number=0
table=""
for file in "$folder"/*; do
	[ -f "$file" ] || continue
	name=${file##*/}
	case $name in
	*[!A-Za-z0-9._-]*)
		echo "embed.sh: '$name' is no name for a file of the page" >&2
		exit 1
		;;
	index.html) path=/ ;;
	*) path=/$name ;;
	esac
	tag=$(sha256sum <"$file" | cut -c 1-16)
	bytes "file_$number" <"$file"
	gzip -9 -n -c <"$file" | bytes "file_${number}_gzip"
	table="$table	{ \"$path\", \"$(content_type "$name")\", \"\\\"$tag\\\"\", \"\\\"$tag-gz\\\"\",
	  file_$number, sizeof(file_$number) - 1, file_${number}_gzip, sizeof(file_${number}_gzip) - 1 },
"
	number=$((number + 1))
done

cat <<END

const struct page_asset page_assets[] = {
$table};
const size_t page_asset_count = sizeof(page_assets) / sizeof(page_assets[0]);
END
