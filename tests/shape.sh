#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Whether the folders still use only what stands to their left, and other habits that a grep can ask
# about. TAP: one line a rule; what breaks it is printed above.
set -u
cd "$(dirname "$0")/.." || exit 1
number=0 failures=0

# rule WHAT LINES: the lines are what offends.
rule() {
	number=$((number + 1))
	found=$2
	if [ -n "$found" ]; then
		printf '%s\n' "$found" | head -n 20 | sed 's/^/# /'
		echo "not ok $number - $1"
		failures=$((failures + 1))
	else
		echo "ok $number - $1"
	fi
}

ours() { git ls-files --cached --others --exclude-standard -- "$@"; }
c_files() { ours '*.c' '*.h'; }

# includes FOLDER PATTERN: what files of a folder include from these others.
# bpf/unwind.h is what a table is, for the kernel and for all who make, send and read one.
includes() {
	ours "$1/*.c" "$1/*.h" | xargs -r grep -nE "#include \"($2)/" /dev/null | grep -v '"bpf/unwind.h"'
}

rule "base uses nothing of ours" "$(includes base 'bpf|symbols|store|collector|web|proto')"
rule "symbols uses base" "$(includes symbols 'bpf|store|collector|web')"
rule "store uses base and symbols" "$(includes store 'bpf|collector|web')"
rule "collector uses base and bpf" "$(includes collector 'symbols|store|web')"
rule "web uses base, symbols and store" "$(includes web 'bpf|collector')"
rule "messages are seen by web" "$(c_files | grep -vE '^(web|tests)/' | xargs grep -nE '#include "proto/')"
rule "bpf uses itself" "$(includes bpf 'base|symbols|store|collector|web')"
rule "commands are used by commands" "$(c_files | grep -v '^commands/' | xargs grep -nE '#include "commands/')"

# only HEADER FILES…: a foreign interface is seen by these alone.
only() {
	header=$1
	shift
	rule "<$header> is seen by: $*" "$(c_files | grep -v '^tests/' | xargs grep -lE "#include <$header" | while read -r file; do
		for allowed; do
			# shellcheck disable=SC2254 # it is a pattern
			case $file in $allowed) continue 2 ;; esac
		done
		echo "$file"
	done)"
}
only civetweb.h 'web/http1.c'
only sqlite3.h 'store/*'
only 'zstd' 'store/columns.c' 'symbols/unwind_cache.c' 'web/coding.c' 'web/recording.c' 'web/compression.c'
only zlib.h 'web/*'
only 'libelf.h|gelf.h' 'symbols/dwarf_lines.c' 'symbols/dwarf_split.c' 'symbols/dwarf_package.c'
only 'elfutils/|dwarf.h' 'symbols/dwarf_lines.c' 'symbols/dwarf_split.*'
only 'bpf/(libbpf|bpf)\.h' 'collector/sampler.c'
only pcre2.h 'store/selector.c'
only jansson.h 'web/json.c'
only xxhash.h 'base/table.c'
only 'libiberty/' 'symbols/demangle.c'
only protobuf-c 'web/message.h'
only openssl/ 'symbols/file_hash.c' 'web/token_list.c' 'web/access.c' 'web/tls.c'
only nghttp2/ 'web/http2.c'
only lzma.h 'symbols/mini_debug.c' 'symbols/debug_link.c'
only seccomp.h 'symbols/cell_lock.c'

calls='strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|strtol|strtoul|gets|localtime|alloca'
rule "no call that base/ has a better one for" \
	"$(c_files | xargs grep -nE "(^|[^a-z_])($calls)\(" | grep -vE ':[[:space:]]*(/?\*)')"
rule "every source names its licence" \
	"$(ours '*.c' '*.h' '*.sh' '*.sql' '*.ts' '*.mjs' '*.css' Makefile | xargs grep -LE 'SPDX-License-Identifier')"
rule "no comment that was meant to go" "$(c_files | xargs grep -nE '(^|[[:space:];{}])//')"
rule "no reminder left behind" "$(c_files | xargs grep -nE '(TODO|FIXME|\bXXX\b|HACK)')"
rule "no registry's address" "$(ours '*package-lock.json' | xargs -r grep -nE '"resolved"|registry\.' /dev/null)"
rule "no file of more than 900 lines" \
	"$(c_files | grep -v "^tests/" | xargs wc -l | awk '$2 != "total" && $1 > 900 { print $2 ": " $1 " lines" }')"

echo "1..$number"
[ "$failures" -eq 0 ]
