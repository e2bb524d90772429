#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# shell_scripts.sh TOOL
#
# How `dmemfs shell` reads scripts: words, quotes, wildcards, mistakes, exit codes, limits, and ends
# that come early.
set -euo pipefail

# shellcheck source=/dev/null
. "$(dirname "$0")/support.sh"
: "${tool:?}"

#
# Words
#

does 'echo one   two' 'one two'
does 'echo a;echo b ; ;; echo c;' $'a\nb\nc'
does "echo 'a;  b' \"c  'd'\" e\\ f\\;g \\\\" "a;  b c  'd' e f;g \\"
does 'echo a#b # c' 'a#b'
does '# echo a' ''
does "echo \$'a\\tb\\x41\\n\\'\\\\'" $'a\tbA\n\'\\'
does 'echo "a\"b\\c\d" a"b"'"'c'd" $'a"b\\c\\d abcd'
does "echo '' \"\" x" '  x'
# shellcheck disable=SC2016
does 'echo $HOME `x` ~ {a,b}' '$HOME `x` ~ {a,b}'
does $'\techo\ta\r' 'a'
does '' ''
# A last line without its end.
printf 'echo a\necho b' | run_shell 0
prints $'a\nb'
# A name with everything in it, by every way to write it; a '\' would be a separator.
name=$' \t\n\'"$;|&<>*?[]#~!{}\033\377\303\274'
run_shell 0 <<'END'
write $' \t\n\'"$;|&<>*?[]#~!{}\x1b\xff\xc3\xbc' x
cat *
ls
END
[ "$(cat stdout)" = "x"$'\n'"$name" ] || fail 'the name differs'

#
# Mistakes in a line: nothing of it is done, the rest is
#

for line in "echo a; echo 'b" 'echo a; echo "b' "echo a; echo \$'b" "echo a \\" 'echo a | cat' \
	'echo a > b' 'cat < a' 'echo a & echo b' "echo a; echo \$'\\q'" "echo a; echo \$'\\x4'" \
	"echo a; echo \$'\\x00'"; do
	run_shell 1 <<<"$line"$'\necho next; ls'
	prints next
	mentions 'shell: '
done
printf 'echo a\0b\necho next\n' | run_shell 1
prints next
says 'shell: a NUL byte'

#
# Wildcards
#

files='mkdir -p a b/c; write a/one 1; write a/two 2; write b/c/one 3; write -- -r x'
does "$files; cat */one; cat **/one; cat ./?/t*; ls -- *" '1
1
3
2
./-r

a:
one
two

b:
c/'
does "$files; cd b; ls ../a; cat c/[n-p]ne ../b/c/o*; ls /a/*; cd ..; cp a/* b; ls b" 'one
two
3
3
/a/one
/a/two
c/
one
two'
# What is quoted stands for itself.
does 'write "x*" 1; write xy 2; cat "x*"; cat x\*; cat x*; rm x\*; ls' $'1\n1\n1\n2\nxy'
does "write 'a[b]' 1; write ab 2; cat 'a[b]'; cat a[b]; cat a\\[b]; cat a'['b']'; cat a[[]*" \
	$'1\n2\n1\n1\n1'
does 'mkdir "d?"; write "d?/x" 1; mkdir de; write de/y 2; cd "d?"; ls; cat *' $'x\n1'
refuses "$files" 'rm *.txt' 'rm: nothing matches *.txt'
refuses "$files" 'rm a/one *.txt' 'rm: nothing matches *.txt'
refuses "$files" 'cat ../*' 'cat: *'
# A name that looks like an option is none.
does 'write -- -r x; mkdir d; write e y; rm e *r; ls' d/
run_shell 1 <<<'write -- -r x; mkdir d; rm *; ls'
prints d/
says 'rm: /d: is a directory, which rm -r removes'

#
# Exit codes
#

run_shell 0 -c ''
run_shell 0 -c 'echo a; echo b
echo c'
prints $'a\nb\nc'
run_shell 0 --command 'echo a' <<<'echo b'
prints a
run_shell 1 -c 'cat missing; echo a'
prints a
run_shell 1 <<<$'cat missing\necho a'
prints a
run_shell 1 -e -c 'echo a; cat missing; echo b'
prints a
run_shell 1 -e <<<$'echo a\ncat missing\necho b'
prints a
run_shell 1 --exit-on-error <<<$'echo "a\necho b'
prints ''
run_shell 0 -e <<<$'echo a\necho b'
prints $'a\nb'
run_shell 0 -c 'echo a; exit; echo b'
prints a
run_shell 1 <<<$'cat missing\nquit\necho b'
prints ''
run_shell 1 -c 'exit 3; echo a'
prints a
run_shell 0 </dev/null

wrong_usage() {
	run_shell 2 "$@" </dev/null
	[ -s stderr ] || fail "no message about: dmemfs shell $*"
	prints ''
}

wrong_usage --unknown
wrong_usage -x
wrong_usage -c
wrong_usage one two
for size in 0 -1 x 1X 1.5M ''; do
	wrong_usage --quota "$size"
done
for count in 0 -1 x 1K ''; do
	wrong_usage --max-nodes "$count"
done
run_shell 0 --help
grep -q -e --quota stdout || fail 'the help does not name the options'
"$tool" --help | grep -q shell || fail "the tool's help does not name the command"

#
# Limits
#

filled='mkdir d; write d/a 0123456789; write b x'
limited() {
	rm -rf before after
	run_shell 1 "$1" "$2" <<<"$filled"$'\n'"get / before; $3; get / after"
	mentions "$4"
	diff -r before after || fail "something changed by: $3"
}

head -c 100000 /dev/zero >large
for line in 'put large' 'put large b' 'put large d' 'mkdir e; put . e; rmdir e'; do
	limited --quota 64K "$line" 'free'
done
words=$(head -c 70000 /dev/zero | tr '\0' w)
for line in "write b $words" "write -a b $words" "write c $words; rm c"; do
	limited --quota 64K "$line" 'free'
done
limited --max-nodes 3 'cp b c' 'at most 3'
limited --max-nodes 3 'cp -r d e' 'at most 3'
limited --max-nodes 3 'mkdir e' 'at most 3'
limited --max-nodes 3 'write e x' 'at most 3'
limited --max-nodes 3 'put large' 'at most 3'
# A copy over another file needs room for both, for a moment.
limited --max-nodes 3 'cp b d/a' 'at most 3'

#
# Output that goes nowhere, and signals
#

if [ -c /dev/full ]; then
	for line in 'ls' 'cat a' 'help' 'find'; do
		code=0
		"$tool" shell -c "write a x; $line" >/dev/full 2>stderr || code=$?
		[ "$code" -eq 1 ] || fail "exit code $code with a full standard output of: $line"
		mentions 'No space left on device'
	done
fi
# Nobody reads: the shell ends as other programs do, and says nothing.
code=0
{ "$tool" shell -c "put large; cat large large large large" 2>stderr || echo $? >code; } | true
[ "$(cat code)" -eq 141 ] || fail "exit code $(cat code) when nobody reads"
says ''

# While it waits for a line, and while it waits for the host.
mkfifo lines answers
for signal in INT TERM HUP; do
	env --default-signal=INT "$tool" shell <lines >answers 2>stderr &
	pid=$!
	exec 3>lines 4<answers
	printf 'echo ready\n' >&3
	IFS= read -r answer <&4
	[ "$answer" = ready ] || fail "the answer is $answer"
	kill -s "$signal" "$pid"
	code=0
	wait "$pid" || code=$?
	exec 3>&- 4<&-
	[ "$code" -eq $((128 + $(kill -l "$signal"))) ] || fail "exit code $code after SIG$signal"
	says ''

	env --default-signal=INT "$tool" shell -c 'put lines x; echo more' >stdout 2>stderr &
	pid=$!
	exec 3>lines
	kill -s "$signal" "$pid"
	code=0
	wait "$pid" || code=$?
	exec 3>&-
	[ "$code" -eq $((128 + $(kill -l "$signal"))) ] || fail "exit code $code after SIG$signal"
	prints ''
	says ''
done

echo 'PASS'
