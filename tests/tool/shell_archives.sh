#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# shell_archives.sh TOOL
#
# Do archives come in and go out of `dmemfs shell` as tar and unzip see them?
set -euo pipefail

# shellcheck source=/dev/null
. "$(dirname "$0")/support.sh"

mkdir -p tree/a/b tree/empty out
echo one >tree/a/one
head -c 300000 /dev/urandom >tree/a/b/data
printf 'x' >$'tree/\033 \377'

# In by the command line, by load; out by save; there and back.
tar -C tree -cf tree.tar .
gzip -k tree.tar
for archive in tree.tar tree.tar.gz; do
	rm -rf back
	run_shell 0 "$archive" <<<'get / back'
	diff -r tree back || fail "$archive as an argument"
	rm -rf back
	run_shell 0 <<<"load $archive into/here; get into/here back"
	diff -r tree back || fail "load $archive"
done
for archive in out.tar out.tar.gz out.tgz; do
	rm -rf back && mkdir back
	run_shell 0 tree <<<"save out/$archive; cd a; save out/part-$archive; save out/b-$archive b"
	tar --warning=no-unknown-keyword -C back -xf "out/$archive"
	diff -r tree back || fail "tar finds other things in $archive"
	[ "$(tar --warning=no-unknown-keyword -tf "out/part-$archive" | sed 's,^\./,,' | sort | tr '\n' ' ')" = 'b/ b/data one ' ] ||
		fail "$archive of the current directory: $(tar --warning=no-unknown-keyword -tf "out/part-$archive")"
	[ "$(tar --warning=no-unknown-keyword -tf "out/b-$archive" | sed 's,^\./,,')" = 'data' ] || fail "$archive of a path"
done
for archive in out.zip out.tar.zst out.tzst; do
	rm -rf back
	run_shell 0 tree <<<"save out/$archive; write a/one other; load out/$archive; get / back"
	diff -r tree back || fail "there and back by $archive"
done

# Files replace files; links and what is unsafe are left out.
mkdir evil
echo new >evil/one
ln -s /etc/passwd evil/link
tar -C evil -cPf evil.tar one link ../tree/a/one
run_shell 0 <<<'write one old; write two 2; load evil.tar; cat one two; ls'
prints $'new\n2\none\ntwo'
says 'load: left out: 2'
run_shell 0 evil.tar <<<'ls'
prints 'one'
says 'dmemfs: evil.tar: left out: 2'

# What fails changes nothing, and leaves nothing.
head -c 1000 tree.tar.gz >cut.tar.gz
refuses 'mkdir a; write a/one 1' 'load cut.tar.gz' 'load: *'
refuses 'mkdir a; write a/one 1' 'load support' 'load: *'
echo text >text.tar
refuses '' 'load text.tar' 'load: *'
run_shell 1 cut.tar.gz <<<'echo more'
prints ''
says 'dmemfs: cut.tar.gz: *'
run_shell 3 --quota 100K tree.tar.gz <<<'echo more'
prints ''
run_shell 1 <<<'save missing/x.tar'
run_shell 1 tree <<<'save out/x.tar nothing'
[ -z "$(find out -name 'x.tar*')" ] || fail "left behind: $(ls out)"

echo 'PASS'
