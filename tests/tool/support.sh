# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# What the tests of `dmemfs shell` share. The test that reads this file names the tool in $1, and is
# in a folder of its own from then on, which is removed at the end.
export LC_ALL=C.UTF-8 TZ=UTC

tool=$(realpath "$1")
work=$(mktemp -d)
cd "$work" || exit 1

# A test may have more to do before its folder is removed.
at_end() {
	:
}
trap 'at_end; rm -rf "$work"' EXIT

fail() {
	printf 'FAIL: %s\n' "$*"
	for log in stdout stderr; do
		[ ! -s "$log" ] || sed "s/^/  $log: /" "$log" | head -n 40
	done
	exit 1
}

# run_shell CODE [argument]...: the shell reads standard input, and must end with this exit code.
run_shell() {
	local expected=$1 code=0

	shift
	timeout 60 "$tool" shell "$@" >stdout 2>stderr || code=$?
	[ "$code" -eq "$expected" ] || fail "exit code $code, not $expected, of: dmemfs shell $*"
}

# prints TEXT: the last run has printed exactly these lines.
prints() {
	[ "$(cat stdout)" = "$1" ] || fail "standard output is not: $1"
}

# says TEXT: the last run has said exactly these lines on standard error; a '*' in them, which stands
# for words that are the library's business, matches anything.
says() {
	matches "$(cat stderr)" "$1" || fail "standard error is not: $1"
}

# matches TEXT EXPECTED: a '*' in what is expected matches anything; all else stands for itself.
matches() {
	local pattern=${2//\\/\\\\}

	pattern=${pattern//\[/\\[}
	pattern=${pattern//\?/\\?}
	# shellcheck disable=SC2053
	[[ $1 == $pattern ]]
}

# mentions TEXT: the last run has said so, among other things, on standard error.
mentions() {
	grep -qF -e "$1" stderr || fail "standard error does not mention: $1"
}

# does LINES [TEXT]: these lines, in a new workspace, succeed and print the text.
does() {
	run_shell 0 <<<"$1"
	prints "${2-}"
	says ''
}

# refuses SETUP LINE MESSAGE: after the setup the line fails with this message, and the workspace is
# as it was.
refuses() {
	rm -rf before after
	run_shell 1 <<<"$1"$'\n''get / before'$'\n'"$2"$'\n''get / after'
	says "$3"
	diff -r before after || fail "something changed by: $2"
}
