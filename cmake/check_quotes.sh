#!/bin/sh
# SPDX-License-Identifier: MIT
# check_quotes.sh MARKDOWN SOURCE: whether each block of C in MARKDOWN stands in SOURCE as it is.
set -eu

awk -v source="$2" '
	FILENAME == source { text = text $0 "\n"; next }
	!inside && /^```c$/ { inside = 1; block = "\n"; line = FNR; next }
	inside && /^```$/ {
		inside = 0
		blocks++
		if (!index("\n" text, block)) {
			printf "%s:%d: this block is not in %s\n", FILENAME, line, source
			failed = 1
		}
		next
	}
	inside { block = block $0 "\n" }
	END { exit failed || inside || !blocks }
' "$2" "$1"
