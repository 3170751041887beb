#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Prints C: each SQL file given becomes a text, store_NAME_span[] for NAME.sql. Comments stay in:
# sqlite3's .schema then explains the file.
set -eu

for file; do
	name=$(basename "$file" .sql)
	printf 'extern const char store_%s_span[];\nconst char store_%s_span[] =\n' "$name" "$name"
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/\t"/' -e 's/$/\\n"/' "$file"
	printf '\t;\n'
done
