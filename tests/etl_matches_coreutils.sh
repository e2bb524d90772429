#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# etl_matches_coreutils.sh TOOL
#
# What `dmemfs etl` makes of a tree of files must be what tr, sort, uniq and awk make of it, at any
# number of threads and with a quota of twice the input; and where it cannot be done, nothing may be
# left behind. With MFS_SLOW_BUILD set, as for builds with a sanitizer, the tree is smaller.
set -euo pipefail
export LC_ALL=C

tool=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

if [ -n "${MFS_SLOW_BUILD-}" ]; then
	files=100 words=400 distinct=50000
else
	files=300 words=1000 distinct=150000
fi

fail() {
	printf 'FAIL: %s\n' "$*"
	for log in stdout stderr; do
		[ ! -s "$log" ] || sed "s/^/  $log: /" "$log" | head -n 40
	done
	exit 1
}

# run_tool CODE [argument]...: the tool must end with this exit code, within a minute or two.
run_tool() {
	local expected=$1 code=0

	shift
	timeout 120 "$tool" "$@" >stdout 2>stderr || code=$?
	[ "$code" -eq "$expected" ] || fail "exit code $code, not $expected, of: dmemfs $*"
}

# said TEXT: the last run has said so on standard error.
said() {
	grep -qF -e "$1" stderr || fail "standard error does not say: $1"
}

# nothing_left: the last run has left neither its output nor anything beside it.
nothing_left() {
	[ -z "$(ls -A out)" ] || fail "left behind: $(ls -AR out)"
}

bytes_below() {
	find "$1" -type f -exec cat {} + | wc -c
}

#
# The input, the same each time
#

# random_words FILE...: `words` words for each, some common and most rare, in mixed case.
random_words() {
	awk -v words="$words" '
		function random() {
			seed = (seed * 69069 + 12345) % 4294967296
			return seed / 4294967296
		}
		BEGIN {
			seed = 20240229
			for (i = 1; i < ARGC; i++) {
				count = int(words * 2 * random())
				for (j = 0; j < count; j++) {
					word = int(40000 * random() ^ 3)
					end = j % 9 ? " " : j % 2 ? "\r\n" : ";\n"
					printf (word % 5 ? "word_%d%s" : "Word%dX%s"), word, end > ARGV[i]
				}
				printf "end" > ARGV[i]
				close(ARGV[i])
			}
		}' "$@"
}

# repeat BYTE COUNT
repeat() {
	head -c "$2" /dev/zero | tr '\0' "$1"
}

mkdir -p tree/a/b/c/d 'tree/with space/more' $'tree/new\nline' tree/empty out
names=()
for ((i = 0; i < files; i++)); do
	case $((i % 4)) in
	0) names+=("tree/plain$i") ;;
	1) names+=("tree/a/b/c/d/deep$i.txt") ;;
	2) names+=("tree/with space/more/ $i ") ;;
	3) names+=($'tree/new\nline/\n'"$i") ;;
	esac
done
random_words "${names[@]}"
printf 'Dash dash -- DASH' >tree/-n
printf 'backslash' >'tree/a\b'
printf 'utf8 \303\274ber \377\376 x\0y\0\0_z 1_2' >"tree/binary"
: >tree/nothing
printf '\n\n ,;' >tree/no_words
{ repeat q 300000; echo ' short'; } >tree/long_word
# Larger than what the tool reads at once, so that it cuts them: a word that fills all of that, and
# words that are in several parts of one file and in several such files.
{ repeat Q 300000; printf ' '; repeat z 1200000; printf ' tail'; } >tree/very_long_word
for i in 1 2 3; do
	seq "$i" "$((distinct / 2 + i))" | sed 's/$/ common/'
done >tree/large1
seq 1 3 "$distinct" | sed 's/^/common /' >tree/large2
# Left out.
ln -s plain0 tree/link
ln -s nowhere tree/dangling
ln -s .. tree/loop
mkfifo tree/fifo

#
# What coreutils make of it
#

# reference DIR: the byte 1 stands before each file, where it becomes the line before its words.
reference() {
	find "$1" -type f -print0 | while IFS= read -r -d '' file; do
		printf '\n\1\n'
		tr '\1' ' ' <"$file"
	done | tr -cs '[:alnum:]_\1' '\n' | tr '[:upper:]' '[:lower:]' |
		awk '/\001/ { number++; next } NF { print $0 "\t" number }' | sort | uniq -c |
		awk '
			{ total[$2] += $1; files[$2]++ }
			END { for (word in total) printf "%s\t%d\t%d\n", word, total[word], files[word] }' |
		sort
}

reference tree >expected
input=$(bytes_below tree)
[ "$(wc -l <expected)" -gt 20000 ] || fail "the reference has $(wc -l <expected) lines only"

# check_index DIR EXPECTED
check_index() {
	[ "$(find "$1" -type f -name 'index-*' | wc -l)" -eq 32 ] || fail "not 32 files in $1"
	for part in "$1"/index-*; do
		sort -c "$part" || fail "$part is not sorted"
	done
	sort "$1"/index-* | cmp - "$2" || fail "the index differs from that of coreutils"
}

# in_table NAME VALUE: the table has this line.
in_table() {
	awk -v name="$1" -v value="$2" '
		index($0, name "  ") == 1 && $NF == value { found = 1 }
		END { exit !found }' stdout || fail "the table does not say: $1 $2"
}

file_count=$(find tree -type f -printf . | wc -c)
for threads in 1 2 8 32; do
	run_tool 0 etl --threads "$threads" --out out/index tree
	check_index out/index expected
	in_table files "$file_count"
	in_table skipped 4
	in_table bytes "$input"
	in_table words "$(awk '{ sum += $2 } END { print sum }' expected)"
	in_table 'distinct words' "$(wc -l <expected)"
	mv out/index "index$threads"

	run_tool 0 etl --threads="$threads" --quota "$((2 * input))" --out=out/index tree
	check_index out/index expected
	in_table quota "$((2 * input))"
	# What is in which file does not depend on the threads or the quota.
	diff -r out/index index1
	diff -r "index$threads" index1
	rm -r out/index
done
# Many more workers than there is work for.
run_tool 0 etl -t 300 -o out/index tree
diff -r out/index index1
rm -r out/index

#
# Inputs of other kinds
#

# A file alone, and by a symbolic link.
mkdir one
cp tree/large1 one/file
ln -s one/file link_to_file
reference one >expected_one
run_tool 0 etl -o out/index one/file
check_index out/index expected_one
rm -r out/index
run_tool 0 etl -o out/index link_to_file
check_index out/index expected_one
rm -r out/index

# No words at all; and an empty directory as DIR is replaced.
: >nothing
mkdir out/index
for empty in tree/empty nothing; do
	run_tool 0 etl -o out/index "$empty"
	check_index out/index nothing
	rm out/index/*
done
rm -r out/index

#
# The quota
#

tenth=$((input / 10))
run_tool 3 etl --threads 4 --quota "$tenth" --out out/index tree
said 'quota exceeded'
said "the quota is $tenth bytes"
need=$(sed -n 's/.*needs at least \([0-9]*\) bytes.*/\1/p' stderr)
[ "${need:-0}" -ge "$input" ] || fail "the need is not named: '$need' for $input bytes of input"
nothing_left
mkdir out/index
run_tool 3 etl --threads 4 --quota "$tenth" --out out/index tree
[ -z "$(ls -A out/index)" ] || fail "DIR is no longer empty"
rmdir out/index
nothing_left

# The least that is surely needed is less than what is: now it is the workspace that refuses.
for threads in 1 8; do
	run_tool 3 etl --threads "$threads" --quota "$need" --out out/index tree
	said 'quota exceeded in stage ingest: '
	said "of $need bytes free, and no worker can make room"
	nothing_left
done

# Words that are all different need more room as they go through the stages: more than there is, or
# just what there is once the workers have waited for each other.
mkdir all_different
awk -v count="$((2 * distinct))" 'BEGIN {
	digits = "0123456789abcdefghijklmnopqrstuvwxyz_"
	for (i = 0; i < count; i++) {
		n = (i * 1000003) % 1874161
		word = ""
		for (j = 0; j < 4; j++) {
			word = word substr(digits, n % 37 + 1, 1)
			n = int(n / 37)
		}
		print word
	}
}' | split -l "$((distinct / 5))" - all_different/part
reference all_different >expected_different
different=$(bytes_below all_different)
for threads in 1 8 32; do
	run_tool 3 etl --threads "$threads" --quota "$((different * 105 / 100))" --out out/index \
		all_different
	said 'and no worker can make room'
	nothing_left
	run_tool 0 etl --threads "$threads" --quota "$((different * 2))" --out out/index all_different
	check_index out/index expected_different
	rm -r out/index
done

#
# Failures
#

run_tool 1 etl -o out/index missing
said 'missing: No such file or directory'
run_tool 1 etl -o out/index /dev/null
said '/dev/null: '
run_tool 1 etl -o missing/index tree
said 'missing/index: No such file or directory'
nothing_left

cp -r one unreadable
echo secret >unreadable/secret
chmod 0 unreadable/secret
if [ ! -r unreadable/secret ]; then
	run_tool 1 etl -o out/index unreadable
	said 'unreadable/secret: Permission denied'
else
	echo "not tried: a file without permission, which this user can read"
fi
# A file that can be opened, but whose reading fails.
if [ -f /proc/self/mem ] && ! head -c 1 /proc/self/mem >stdout 2>&1; then
	run_tool 1 etl -o out/index /proc/self/mem
	said '/proc/self/mem: '
else
	echo "not tried: a file whose reading fails; /proc has none here"
fi
nothing_left

# A DIR that is in use stays as it is.
run_tool 0 etl -o out/index one
run_tool 2 etl -o out/index one
said 'out/index: exists'
check_index out/index expected_one
rm -r out/index
echo mine >out/index
run_tool 2 etl -o out/index one
[ "$(cat out/index)" = mine ] || fail "a file was replaced"
rm out/index
nothing_left

# The table cannot be printed.
if [ -c /dev/full ]; then
	code=0
	"$tool" etl -o out/index one >/dev/full 2>stderr || code=$?
	[ "$code" -eq 1 ] || fail "exit code $code with a full standard output"
	rm -r out/index
fi

#
# Usage
#

wrong_usage() {
	run_tool 2 "$@"
	[ -s stderr ] || fail "no message about: dmemfs $*"
	[ ! -s stdout ] || fail "standard output of: dmemfs $*"
	nothing_left
}

wrong_usage
wrong_usage unknown
wrong_usage --unknown
wrong_usage etl
wrong_usage etl -o out/index
wrong_usage etl -o out/index one two
wrong_usage etl -o out/index --unknown one
wrong_usage etl one -o
for threads in 0 1025 -1 x 1K 99999999999999999999 ''; do
	wrong_usage etl -o out/index --threads "$threads" one
done
for size in 0 0K -1 x 1X 1KB 1.5M 9223372036854775808 8589934592G ''; do
	wrong_usage etl -o out/index --quota "$size" one
done
for size in 67108864 65536K 64M 1G 9223372036854775807; do
	run_tool 0 etl -o out/index --quota "$size" one
	rm -r out/index
done
run_tool 0 --version
grep -Eqx 'dmemfs [0-9]+\.[0-9]+\.[0-9]+' stdout || fail 'no version'
run_tool 0 --help
grep -q etl stdout || fail 'the help does not name the command'
run_tool 0 etl --help
grep -q -e --quota stdout || fail 'the help does not name the options'

#
# Signals: whenever one comes, the run ends by it and leaves nothing, unless it was done before
#

mkfifo lines
interrupted=0
for signal in INT TERM; do
	for stage in scan ingest map shuffle reduce; do
		env --default-signal=INT "$tool" etl --threads 2 --out out/index tree >stdout 2>lines &
		pid=$!
		exec 3<lines
		while read -r line <&3; do
			case $line in
			"$stage":*) break ;;
			esac
		done
		kill -s "$signal" "$pid" 2>/dev/null || true
		code=0
		wait "$pid" || code=$?
		exec 3<&-
		if [ "$code" -eq 0 ]; then
			check_index out/index expected
			rm -r out/index
		else
			[ "$code" -eq $((128 + $(kill -l "$signal"))) ] || fail "exit code $code after SIG$signal"
			interrupted=$((interrupted + 1))
		fi
		nothing_left
	done
done
[ "$interrupted" -gt 0 ] || fail 'no run was interrupted'

echo "PASS: $file_count files of $input bytes; $interrupted of 10 runs were interrupted"
