#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# shell_mount.sh TOOL
#
# Do `mount` and `umount` of `dmemfs shell` show the workspace to other programs while the shell goes
# on, and is the mount point given back however the shell ends?
set -euo pipefail

# shellcheck source=/dev/null
. "$(dirname "$0")/support.sh"
: "${tool:?}"

mkdir point
at_end() {
	umount -l point 2>/dev/null || true
}

if ! "$tool" shell -c 'mount point' 2>stderr; then
	grep -q '^mount: ' stderr || fail 'a mount, and the end of the shell'
	echo "skipped: nothing can be mounted here: $(cat stderr)"
	exit 77
fi
# What asks the mount itself does not find one whose process is gone.
is_mounted() {
	grep -q " $PWD/point " /proc/self/mounts
}
is_free() {
	! is_mounted || fail "$1 has left the mount point occupied"
}
is_free 'a shell'

# Both sides, by turns: the shell reads its lines from a pipe and answers to another.
mkfifo lines answers
"$tool" shell <lines >answers 2>stderr &
pid=$!
exec 3>lines 4<answers
# ask LINE EXPECTED: the answer of one line.
ask() {
	printf '%s\n' "$1" >&3
	IFS= read -r -t 30 answer <&4 || fail "no answer to: $1"
	[ "$answer" = "$2" ] || fail "the answer to $1 is '$answer', not '$2'"
}
ask 'write a hello; mount point; echo ready' ready
[ "$(cat point/a)" = hello ] || fail 'the mount shows no file of the shell'
mkdir point/dir
echo world >point/dir/b
ask 'cat dir/b' world
ask 'mv dir other; cp a other; ls other' a
IFS= read -r -t 30 answer <&4
[ "$(ls point/other)" = $'a\nb' ] || fail 'the mount shows other names'
# In use, it stays.
exec 5<point/a
ask 'umount; echo tried' tried
is_mounted || fail 'it was taken away while it was in use'
grep -q 'umount: ' stderr || fail 'nothing was said'
exec 5<&-
ask 'umount; echo tried again' 'tried again'
is_free 'umount'
ask 'umount; mount missing; echo failed' failed
ask 'mount point; mount point; echo mounted once' 'mounted once'
# Taken away from outside.
umount point 2>/dev/null || fusermount3 -u point
ask 'cat a' hello
ask 'mount point; echo mounted again' 'mounted again'
[ "$(cat point/a)" = hello ] || fail 'a second mount shows no file'
printf 'exit\n' >&3
exec 3>&- 4<&-
code=0
wait "$pid" || code=$?
[ "$code" -eq 1 ] || fail "exit code $code"
is_free 'exit'

# However it ends.
for signal in TERM INT HUP; do
	env --default-signal=INT "$tool" shell <lines >answers 2>stderr &
	pid=$!
	exec 3>lines 4<answers
	ask 'mount point; echo ready' ready
	kill -s "$signal" "$pid"
	code=0
	wait "$pid" || code=$?
	exec 3>&- 4<&-
	[ "$code" -eq $((128 + $(kill -l "$signal"))) ] || fail "exit code $code after SIG$signal"
	is_free "SIG$signal"
done
# In use when the shell ends: it is taken away all the same.
"$tool" shell <lines >answers 2>stderr &
pid=$!
exec 3>lines 4<answers
ask 'write a x; mount point; echo ready' ready
exec 5<point/a 3>&- 4<&-
wait "$pid" || fail 'the shell failed'
mentions 'umount: '
exec 5<&-
is_free 'a shell that ended'

echo 'PASS'
