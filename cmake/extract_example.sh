#!/bin/sh
# SPDX-License-Identifier: MIT
# extract_example.sh MARKDOWN OUT: write the first block of C in MARKDOWN to OUT, with its line
# numbers, so that the compiler's messages point into MARKDOWN.
set -eu

awk -v markdown="$1" '
	!inside && /^```c$/ { inside = 1; printf "#line %d \"%s\"\n", NR + 1, markdown; next }
	inside && /^```$/ { complete = 1; exit }
	inside { print }
	END { exit !complete }
' "$1" >"$2" || {
	rm -f "$2"
	echo "$0: $1 has no complete block of C" >&2
	exit 1
}
