#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# shell_commands.sh TOOL
#
# What each command of `dmemfs shell` does to the workspace, prints, and refuses.
set -euo pipefail

# shellcheck source=/dev/null
. "$(dirname "$0")/support.sh"

# What most cases begin with: /docs/deep/note, /docs/.hidden, /one, /two.
start='mkdir -p docs/deep
write docs/deep/note remember
write docs/.hidden secret
write one 1
write two 22'

# with LINES [TEXT]: like `does`, after the start.
with() {
	does "$start"$'\n'"$1" "${2-}"
}

# fails LINE MESSAGE: like `refuses`, after the start. All of these are tried at the end, one behind
# the other in one workspace, which must be as it was when they began.
fails() {
	failing+="$1"$'\ncd /\n'
	messages+="$2"$'\n'
}
failing='' messages=''

#
# ls, tree, du, stat, stats
#

with 'ls' $'docs/\none\ntwo'
with 'ls docs' 'deep/'
with 'ls -a docs' $'.hidden\ndeep/'
with 'ls two docs one' $'two\none\n\ndocs:\ndeep/'
with 'ls docs docs/deep' $'docs:\ndeep/\n\ndocs/deep:\nnote'
with 'cd docs/deep; ls; ls ..; ls /docs/../docs/./deep' $'note\ndeep/\nnote'
does 'ls'
does 'ls /'
fails 'ls missing' 'ls: */missing: no such file or directory'
fails 'ls one/below' 'ls: */one/below: not a directory'
fails 'ls -x' $'ls: unknown option, or one without its value: -x\nls: usage: ls [-a] [-h] [-l] [PATH]...'
# What exists is listed all the same.
run_shell 1 <<<"$start"$'\nls missing one'
prints one

run_shell 0 <<<"$start"$'\nls -l'
time='[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}'
sed -E "s/$time/TIME/" stdout >shown
diff shown - <<'END' || fail 'ls -l'
d            -  TIME  docs/
-            2  TIME  one
-            3  TIME  two
END
before=$(date +%s)
run_shell 0 <<<'write now x; ls -l'
after=$(date +%s)
shown=$(date -d "$(grep -oE "$time" stdout)" +%s)
if [ "$shown" -lt $((before - 1)) ] || [ "$shown" -gt "$after" ]; then
	fail 'the time is not the present'
fi
head -c 3000000 /dev/zero >zeros
run_shell 0 <<<"put zeros; ls -lh"
grep -Eq -e '^- +2\.9 MiB  .*  zeros$' stdout || fail 'ls -lh'

with 'tree' '.
|-- docs/
|   |-- .hidden
|   `-- deep/
|       `-- note
|-- one
`-- two

2 directories, 4 files'
with 'tree -L 1 /' '/
|-- docs/
|-- one
`-- two

1 directory, 2 files'
with 'cd docs; tree deep' $'deep\n`-- note\n\n0 directories, 1 file'
does 'tree' $'.\n\n0 directories, 0 files'
fails 'tree one' 'tree: */one: not a directory'
fails 'tree -L 0' 'tree: not a depth: 0'
fails 'tree -L' $'tree: unknown option, or one without its value: -L\ntree: usage: tree [-L DEPTH] [PATH]'

with 'du' "$(printf '%12s  %s\n' 9 docs/deep 16 docs 21 .)"
with 'du -a docs' "$(printf '%12s  %s\n' 7 docs/.hidden 9 docs/deep/note 9 docs/deep 16 docs)"
with 'du -s / docs/ one' "$(printf '%12s  %s\n' 21 / 16 docs/ 2 one)"
with 'du /docs' "$(printf '%12s  %s\n' 9 /docs/deep 16 /docs)"
with 'cd docs; du -s ..' "$(printf '%12s  %s\n' 21 ..)"
with 'du -a docs/deep/' "$(printf '%12s  %s\n' 9 docs/deep/note 9 docs/deep/)"
with "put zeros; du -sh" "$(printf '%10s  %s' '2.9 MiB' .)"
fails 'du missing' 'du: */missing: no such file or directory'

run_shell 0 <<<"$start"$'\nstat /docs/deep/../../two docs'
grep -vE '^  (modified|created|inode) ' stdout >shown
diff shown - <<'END' || fail 'stat'
/two
  kind        file
  size        3
  generation  2
/docs
  kind        directory
END
[ "$(grep -cE "^  (modified|created) +$time\.[0-9]{9}\$" stdout)" -eq 4 ] || fail 'the times of stat'
fails 'stat missing' 'stat: */missing: no such file or directory'

run_shell 0 --quota 1M --max-nodes 100 <<<"$start"$'\nstats'
for line in 'quota 1048576' 'files 4' 'directories 2' 'limit of both 100' 'open handles 0'; do
	tr -s ' ' <stdout | grep -q "^$line" || fail "stats do not say: $line"
done

#
# cat, write, echo
#

with 'cat one docs/deep/note' $'1\nremember'
fails 'cat docs' 'cat: */docs: is a directory'
fails 'cat' 'cat: usage: cat PATH...'
run_shell 1 <<<"$start"$'\ncat one missing two'
prints $'1\n22'
says 'cat: */missing: no such file or directory'
run_shell 0 -c "put zeros; cat zeros"
cmp stdout zeros || fail 'cat of a large file'

does 'write a one  "two  three"; cat a' 'one two  three'
does 'write a x; write a; cat a; ls'  a
does 'write -n a x y; write -a a z; write -a -n a 1; write -an a 2; cat a; echo' $'x yz\n12'
does 'write a -n -a; cat a' '-n -a'
does 'write -- -n x; cat -- -n; cat ./-n' $'x\nx'
does 'echo a  "b  c" *; echo; echo x' $'a b  c *\n\nx'
fails 'write missing/a x' 'write: */missing/a: no such file or directory'
fails 'write docs x' 'write: */docs: is a directory'
fails 'write one/below x' 'write: */one/below: not a directory'
fails 'write' 'write: usage: write [-a] [-n] PATH [WORD]...'
fails 'write "" x' 'write: a path is empty'

#
# cd, pwd
#

with 'pwd; cd docs/deep; pwd; cd ..; pwd; cd; pwd; cd /docs/./deep/../deep//; pwd' '/
/docs/deep
/docs
/
/docs/deep'
fails 'cd one' 'cd: /one: not a directory'
fails 'cd missing' 'cd: */missing: no such file or directory'
fails 'cd ..' 'cd: ..: climbs above the root'
fails 'cd docs deep' 'cd: usage: cd [PATH]'

#
# mkdir, rm, rmdir
#

does 'mkdir a a/b; mkdir -p c/d/e c/d/e; find' $'a\na/b\nc\nc/d\nc/d/e'
fails 'mkdir docs' 'mkdir: */docs: file or directory exists'
fails 'mkdir x/y' 'mkdir: /x/y: no such file or directory'
fails 'mkdir one/y' 'mkdir: */one/y: not a directory'
fails 'mkdir -p one/y' 'mkdir: */one/y: not a directory'
with 'rm one docs/deep/note; rm -f missing two; rmdir docs/deep; find' $'docs\ndocs/.hidden'
with 'rm -r docs one; find' 'two'
fails 'rm docs' 'rm: /docs: is a directory, which rm -r removes'
fails 'rm missing' 'rm: */missing: no such file or directory'
fails 'rm -rf one/below' 'rm: */one/below: not a directory'
fails 'rmdir docs' 'rmdir: */docs: directory not empty'
fails 'rmdir one' 'rmdir: /one: not a directory'
fails 'rm -r /' 'rm: */: invalid argument'
fails 'rmdir /' 'rmdir: */: invalid argument'
# What can be removed is.
run_shell 1 <<<"$start"$'\nrm missing one; ls'
prints $'docs/\ntwo'
# Not the ground that the shell stands on.
for line in 'rm -r /docs' 'rm -r .' 'rm -r ..' 'rmdir ../deep'; do
	run_shell 1 <<<"$start"$'\n'"cd docs/deep; rm note; $line; pwd; ls .."
	prints $'/docs/deep\ndeep/'
	mentions ': is, or holds, the current directory'
done

#
# cp, mv
#

with 'cp one three; write one changed; cat three one' $'1\nchanged'
with 'cp one two docs; ls docs; cat docs/one docs/two' $'deep/\none\ntwo\n1\n22'
with 'cp one two; cat two; find -name "*copy*"' 1
with 'cp -r docs copy; rm -r docs; find copy' $'copy/.hidden\ncopy/deep\ncopy/deep/note'
with 'cp -r docs/deep .; cat deep/note' remember
with 'mkdir to; cp -r docs one to/; find to' \
	$'to/docs\nto/docs/.hidden\nto/docs/deep\nto/docs/deep/note\nto/one'
with 'cd docs; cp ../one .; cat one' 1
fails 'cp docs copy' 'cp: /docs: is a directory, which cp -r copies'
fails 'cp one one' 'cp: /one: is what it is to become'
fails 'cp one docs/../one' 'cp: /one: is what it is to become'
fails 'cp -n one two' 'cp: *: file or directory exists'
fails 'cp missing x' 'cp: *: no such file or directory'
fails 'cp one missing/x' 'cp: *: no such file or directory'
fails 'cp one missing/' 'cp: missing/: no such directory'
fails 'cp one two missing' 'cp: /missing: not a directory'
fails 'cp one two two' 'cp: /two: not a directory'
fails 'cp -r docs docs/deep' 'cp: *: invalid argument'
fails 'mkdir x; mkdir x/docs; cp -r docs x; rm -r x' \
	'cp: *: file or directory exists'
fails 'mkdir -p x/one; cp one x; rm -r x' 'cp: *: file or directory exists'
fails 'cp one' 'cp: usage: cp [-r] [-n] FROM... TO'

with 'mv one three; cat three; mv three two; cat two; ls' $'1\n1\ndocs/\ntwo'
with 'mv one two docs; ls; ls docs' $'docs/\ndeep/\none\ntwo'
with 'mv docs/deep .; mv docs papers; find papers deep' $'papers/.hidden\ndeep/note'
with 'cd docs/deep; mv /docs /papers; pwd; cat note; mv . ../other; pwd' \
	$'/papers/deep\nremember\n/papers/other'
fails 'mv one one' 'mv: /one: is what it is to become'
fails 'mv -n one two' 'mv: *: file or directory exists'
fails 'mv missing x' 'mv: *: no such file or directory'
fails 'mv docs one' 'mv: *: not a directory'
fails 'mv docs docs/deep/x' 'mv: *: invalid argument'
fails 'mv / docs/x' 'mv: *: invalid argument'
fails 'mv one missing/x' 'mv: *: no such file or directory'
fails 'mv one missing/' 'mv: missing/: no such directory'

#
# glob, find
#

with 'glob * docs/* **/n* o?e [!a-n]* nothing*' 'docs
one
two
docs/.hidden
docs/deep
docs/deep/note
one
one
two'
with 'cd docs; glob ** ../o* /t*; glob "*"' $'.hidden\ndeep\ndeep/note\n/one\n/two\n.hidden\ndeep'
fails 'glob' 'glob: usage: glob PATTERN...'
fails 'glob ../*' 'glob: */../*: invalid argument'
fails 'glob ""' 'glob: a pattern is empty'

with 'find' $'docs\ndocs/.hidden\ndocs/deep\ndocs/deep/note\none\ntwo'
with 'find docs/deep /docs -name note' $'docs/deep/note\n/docs/deep/note'
with 'find -name *o* -type f' $'docs/deep/note\none\ntwo'
with 'find -type d' $'docs\ndocs/deep'
with 'find -size 3; find -size +3; find -size -3' $'two\ndocs/.hidden\ndocs/deep/note\none'
with 'find -size +0K -name [nt]*' $'docs/deep/note\ntwo'
with 'find -name nothing'
with 'write "d*" x; mkdir "[a]"; write "[a]/x" y; find "[a]"; find -name "d[*]"' $'[a]/x\nd*'
fails 'find missing' 'find: */missing: no such file or directory'
fails 'find one' 'find: one: not a directory'
fails 'find -type x' 'find: not a type, f or d: x'
fails 'find -size big' 'find: not a size such as +64K: big'
fails 'find -name a/b' 'find: not a pattern of a name: a/b'
fails 'find -newer one' \
	'find: usage: find [PATH]... [-name PATTERN] [-type f|d] [-size [+|-]SIZE]'

#
# help, and what is no command
#

run_shell 0 <<<'help'
mapfile -t commands < <(cut -d ' ' -f 1 stdout | sed '/^$/,$d')
for command in "${commands[@]}"; do
	run_shell 0 <<<"help $command"
	grep -q "^usage: $command" stdout || fail "help $command"
done
[ "${commands[*]} " = "$(printf '%s ' cat cd cp du echo exit find get glob help load ls mkdir mount mv put \
	pwd quit rm rmdir save stat stats tree umount write)" ] || fail "the commands are ${commands[*]}"
fails 'help missing' "help: there is no command 'missing'"
fails 'missing one' "shell: there is no command 'missing'; see 'help'"

#
# All that has to fail
#

mapfile -t messages <<<"${messages%$'\n'}"
rm -rf before after
run_shell 1 <<<"$start"$'\nget / before\n'"$failing"'get / after'
mapfile -t said <stderr
for i in "${!said[@]}"; do
	matches "${said[i]}" "${messages[i]-nothing}" ||
		fail "standard error has '${said[i]}' and not '${messages[i]-nothing}'"
done
[ ${#said[@]} -eq ${#messages[@]} ] || fail "not said: ${messages[${#said[@]}]}"
diff -r before after || fail 'something has changed'

echo 'PASS'
