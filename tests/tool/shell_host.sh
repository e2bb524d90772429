#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# shell_host.sh TOOL
#
# What `dmemfs shell` copies from the host and to it: real trees byte for byte, single files, pipes;
# where things go; and that nothing is left of what fails.
set -euo pipefail

# shellcheck source=/dev/null
. "$(dirname "$0")/support.sh"
: "${tool:?}"

# nothing_beside NAME...: the host's folder has nothing but these and the logs.
nothing_beside() {
	[ "$(find . -mindepth 1 -maxdepth 1 | sort)" = \
		"$(printf './%s\n' stdout stderr "$@" | sort)" ] || fail "the folder has: $(ls -A)"
}

#
# A real tree there and back
#

documentation=/usr/share/doc
mkdir tree
if [ -d "$documentation" ]; then
	find "$documentation" -mindepth 1 -maxdepth 1 -type d | sort | head -n 60 |
		xargs cp -rL --no-preserve=all -t tree 2>/dev/null || true
fi
mkdir -p "tree/with space" "tree/empty" $'tree/\033\377\n'
printf 'x' >$'tree/\033\377\n/\t'
head -c 5000000 /dev/urandom >tree/large
: >tree/nothing
printf 'a' >tree/-r
rm -rf tree/skipped

run_shell 0 tree <<<'get / back; get large; get /. again'
says ''
diff -r tree back || fail 'a directory that was given'
diff -r tree again || fail 'what is in the root'
cmp tree/large large
run_shell 0 <<<'put tree; ls; get tree back2; get tree/. back3; cd tree; get . back4'
prints tree/
says ''
for back in back2 back3 back4; do
	diff -r tree "$back" || fail "a directory that was put, by $back"
done
# The clones share their bytes, and stay apart.
run_shell 0 tree <<<'mkdir /all; cp -r large with* /all; write -a large x; cp /all/large two
get all; get two; get large grown'
cmp tree/large all/large
cmp tree/large two
{ cat tree/large; echo x; } | cmp - grown
rm -rf back* again all two grown large

#
# Where it goes
#

mkdir in out
echo one >in/one
echo two >in/two
where() {
	rm -rf out
	mkdir out
	does "$1"
	[ "$(cd out && find . -mindepth 1 | sort | tr '\n' ' ')" = "$2" ] ||
		fail "$1 has made: $(cd out && find . -mindepth 1 | sort | tr '\n' ' ')"
}
where 'put in; get / out' './in ./in/one ./in/two '
where 'put in d; get / out' './d ./d/one ./d/two '
where 'put in d/e; get / out' './d ./d/e ./d/e/one ./d/e/two '
where 'mkdir d; put in d; get / out' './d ./d/in ./d/in/one ./d/in/two '
where 'mkdir d; put in/. d; get / out' './d ./d/one ./d/two '
where 'put in/; put in/one .; put in/one x; put in/two in; get / out' \
	'./in ./in/one ./in/two ./one ./x '
where 'put in/one x; get x out; get x out/y; get x out/y' './x ./y '
where 'put in; get in out; get in out/d; get in/one out/in' './d ./d/one ./d/two ./in ./in/one ./in/two '
where 'put in; cd in; get . out; get .. out' './in ./in/one ./in/two ./one ./two '
where 'load in; save out/d; load in e; save out/f e' \
	'./d ./d/one ./d/two ./f ./f/one ./f/two '
# Files replace files, and the rest stays.
echo old >out/one
echo mine >out/three
mkdir out/four
does 'put in; write in/two changed; get in/. out; write in/one a; put in/one in; cat in/one' one
[ "$(cat out/one out/two out/three)" = $'one\nchanged\nmine' ] || fail 'files were not replaced'
# A link of the host is written through by a file's name, and replaced with a directory's contents.
echo target >target
ln -s ../target out/link
does 'put in; get in/one out/link'
if [ "$(cat target)" != one ] || [ ! -L out/link ]; then
	fail 'a link was not followed'
fi
does 'put in; mv in/two in/link; get in/. out'
if [ "$(cat target out/link)" != $'one\ntwo' ] || [ -L out/link ]; then
	fail 'a link was followed'
fi
rm target

#
# What is neither a file nor a directory
#

mkdir special
echo x >special/file
ln -s file special/link
mkfifo special/fifo
run_shell 0 <<<'put special; ls special; put special/link; cat link'
prints $'file\nx'
says 'put: left out: 2'
run_shell 0 special <<<'ls'
prints 'file'
says 'dmemfs: special: left out: 2'
head -c 1000000 tree/large >part
# Through a pipe, in and out.
mkfifo out/fifo
cat out/fifo >stdout &
head -c 1000000 tree/large | "$tool" shell -c 'put /dev/stdin x; get x out/fifo'
wait $!
cmp stdout part || fail 'through pipes'
[ -p out/fifo ] || fail 'a pipe was replaced'
run_shell 0 -c 'put part; get part /dev/stdout'
cmp stdout part || fail 'to standard output'
rm -r special part

#
# What fails leaves nothing
#

refuses '' 'put missing' 'put: missing: No such file or directory'
refuses '' 'load missing' 'load: *missing*'
refuses 'write x 1' 'put in x' 'put: *: not a directory'
refuses 'mkdir -p d/one' 'put in/one d' 'put: *: is a directory'
refuses 'write x 1' 'put in/one x/y' 'put: *: not a directory'
refuses '' 'put in/one y/' 'put: y/: no such directory'
refuses '' 'put' 'put: usage: put HOST [PATH]'
refuses '' 'put in "a" b' 'put: usage: put HOST [PATH]'
refuses '' 'put in/one ../x' 'put: ../x: climbs above the root'
rm -rf before after out
for line in 'get missing' 'get missing x' 'get in missing/x' 'get in/one missing/x' 'get in in/one' \
	'save missing/x.tar' 'save missing/x in'; do
	run_shell 1 <<<"put in; $line"
	[ -s stderr ] || fail "no message about: $line"
	nothing_beside in tree
done
backslash='in/a\b'
: >"$backslash"
for line in 'put in' 'put "in/a\\b"' 'load in'; do
	run_shell 1 <<<"$line; find -type f"
	prints ''
	[ -s stderr ] || fail "no message about: $line"
done
does $'put "in/a\\\\b" other; find' 'other'
rm "$backslash"
run_shell 3 --quota 1M tree <<<'echo more'
prints ''
mentions 'dmemfs: tree: '
run_shell 3 --max-nodes 1 in <<<'echo more'
run_shell 1 missing <<<'echo more'
prints ''
says 'dmemfs: missing: *'

# A host that is full: no part of a file is left.
if [ "$(id -u)" -eq 0 ] && mkdir full && mount -t tmpfs -o size=1m none full 2>stderr; then
	at_end() {
		umount full
	}
	echo old >full/large
	run_shell 1 <<<'put tree/large; get large full'
	mentions 'No space left on device'
	[ "$(ls -A full; cat full/large)" = $'large\nold' ] || fail 'a part of a file is left'
else
	echo 'not tried: a full filesystem, which only root can mount'
fi

echo "PASS: $(find tree -type f -printf . | wc -c) files"
