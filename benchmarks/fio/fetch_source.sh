#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# fetch_source.sh DIR: leave the configured source of the installed fio, from Debian's archive or
# its like, in DIR/tree. Nothing else of the system changes: apt gets lists of its own.
set -euo pipefail

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

[ $# -eq 1 ] || die "usage: fetch_source.sh DIR"
mkdir -p "$1"
dir=$(cd "$1" && pwd)

command -v apt-get >/dev/null ||
	die "without apt-get, MFS_FIO_SOURCE must name the source of $(fio --version), configured"
# shellcheck disable=SC2016 # it is dpkg-query that puts values in there
version=$(dpkg-query -W -f '${source:Version}' fio)
if [ -e "$dir/tree/config-host.h" ] && [ "$(cat "$dir/version" 2>/dev/null)" = "$version" ]; then
	exit 0
fi

# The system's sources of packages, as sources of source.
rm -rf "$dir"/{apt,tree,version} "$dir"/fio[-_]*
mkdir -p "$dir"/apt/{parts,lists/partial,cache/archives/partial}
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
	case $file in
	*.list | *.sources)
		[ ! -f "$file" ] || sed -E 's/^deb /deb-src /; s/^Types:.*/Types: deb-src/' "$file" \
			>"$dir/apt/parts/${file##*/}"
		;;
	esac
done
apt=(apt-get -qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$dir/apt/parts"
	-o Dir::State::Lists="$dir/apt/lists" -o Dir::Cache="$dir/apt/cache"
	-o APT::Sandbox::User="$(id -un)")
"${apt[@]}" update
cd "$dir"
"${apt[@]}" source "fio=$version" >/dev/null
rm -rf apt
mv fio-*/ tree
(cd tree && ./configure --prefix=/usr >/dev/null)
[ -e tree/config-host.h ] || die "fio's configure has left no config-host.h in $dir/tree"
echo "$version" >version
