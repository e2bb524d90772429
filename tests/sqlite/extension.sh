#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Does the loadable extension give programs that know nothing of dmemfs a workspace of the size that
# the environment says?
# extension.sh <extension>
set -euo pipefail

extension=$1

if ! command -v sqlite3 >/dev/null; then
	echo "skipped: the shell sqlite3 is not installed"
	exit 77
fi
answer=$(sqlite3 :memory: "SELECT load_extension('/no such extension')" 2>&1 || true)
if [[ $answer != *"cannot open shared object file"* ]]; then
	echo "skipped: this sqlite3 does not load extensions"
	exit 77
fi

failures=0

# expect <what> <wanted> <got>
expect() {
	if [[ $3 != "$2" ]]; then
		echo "$1: expected"
		echo "$2"
		echo "got"
		echo "$3"
		failures=$((failures + 1))
	fi
}

# shell: runs its input after the extension is loaded, and gives output and errors.
shell() {
	sqlite3 :memory: -cmd ".load $extension" 2>&1 || true
}

expect "a database in each journal mode" "wal
500
delete
500
ok
dmemfs" "$(shell <<'SQL'
.open file:/x.db?vfs=dmemfs
PRAGMA journal_mode=wal;
CREATE TABLE t(a INTEGER PRIMARY KEY, b);
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<500)
INSERT INTO t SELECT i, hex(randomblob(100)) FROM c;
SELECT count(*) FROM t;
PRAGMA journal_mode=delete;
BEGIN; DELETE FROM t; ROLLBACK;
SELECT count(*) FROM t;
PRAGMA integrity_check;
.vfsname
SQL
)"

expect "the same workspace when it is loaded again" "1" "$(shell <<SQL
.open file:/x.db?vfs=dmemfs
CREATE TABLE t(a); INSERT INTO t VALUES(1);
.load $extension
.open file:/x.db?vfs=dmemfs
SELECT count(*) FROM t;
SQL
)"

expect "nothing on the host" "" "$(find / -maxdepth 1 -name 'x.db*')"

expect "files of the host beside it" "1
main
host" "$(shell <<'SQL'
.open file:/x.db?vfs=dmemfs
ATTACH ':memory:' AS host;
CREATE TABLE host.t AS SELECT 1 AS a;
SELECT a FROM t;
SELECT name FROM pragma_database_list;
SQL
)"

# What fits into the quota, and what does not.
fill='.open file:/x.db?vfs=dmemfs
PRAGMA journal_mode=off;
CREATE TABLE t(b);
INSERT INTO t VALUES(zeroblob(3000000));
SELECT sum(length(b)) FROM t;'
for quota in 4194304 4096K 4M 1G 1T ''; do
	expect "a quota of '$quota'" "off
3000000" "$(if [[ $quota ]]; then export DMEMFS_QUOTA=$quota; fi; shell <<<"$fill")"
done
expect "a quota that is too small" "refused" \
	"$(DMEMFS_QUOTA=2M shell <<<"$fill" | grep -q 'database or disk is full' && echo refused)"

for quota in '' 0 -1 12X 1KK K ' 1' 1.5M 99999999999999999999 9000000000T; do
	expect "a quota of '$quota'" "refused" \
		"$(DMEMFS_QUOTA=$quota shell <<<'' | grep -q "DMEMFS_QUOTA is \"$quota\"" && echo refused)"
done

exit $((failures > 0))
