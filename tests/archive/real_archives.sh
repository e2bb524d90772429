#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# real_archives.sh PROGRAM [all]
#
# What is expanded in memory must be what tar and unzip put on disk, byte for byte: of archives of
# this machine's documentation, and of Debian packages where there are any. Links are not expanded,
# and do not count. PROGRAM is test_real_archives. Takes some seconds with a part of what there is,
# and minutes with `all`, or with MFS_REAL_ARCHIVES=all.
set -euo pipefail
export LC_ALL=C.UTF-8

program=$(realpath "$1")
everything=${2-${MFS_REAL_ARCHIVES-}}
documentation=/usr/share/doc
packages=/var/cache/apt/archives

[ -d /dev/shm ] && [ -w /dev/shm ] && export TMPDIR=/dev/shm
work=$(mktemp -d)
trap 'chmod -R u+rwX "$work"; rm -rf "$work"' EXIT
cd "$work"
compared=0

fail() {
	printf 'FAIL: %s\n' "$*"
	exit 1
}

# missing PROGRAM WHAT: says so, and is true, if the machine has no such program.
missing() {
	! command -v "$1" >/dev/null && printf 'left out: %s, as %s is not installed\n' "$2" "$1"
}

# same WAY ARCHIVE: the archive expanded that way equals what is in disk/.
same() {
	rm -rf memory
	"$program" "$1" "$2" memory >said || fail "$1 expansion of $2"
	diff -r --no-dereference disk memory >differences ||
		fail "$1 expansion of $2 differs: $(head -n 5 differences)"
	compared=$((compared + 1))
}

# drop_links ARCHIVE: takes from disk/ what is not expanded: all but files and directories, and the
# names that the tar has as hard links.
drop_links() {
	find disk ! -type f ! -type d -delete
	tar -tv --quoting-style=literal -f "$1" |
		sed -n 's/^h[^ ]* [^ ]* *[0-9]* [^ ]* [^ ]* \(.*\) link to .*/\1/p' >links
	while IFS= read -r link; do
		rm -f "disk/$link"
	done <links
	chmod -R u+rwX disk
}

# check_tar ARCHIVE
check_tar() {
	rm -rf disk && mkdir disk
	tar -x -f "$1" -C disk --no-same-owner || fail "tar does not read $1"
	drop_links "$1"
	same atomic "$1"
	same streaming "$1"
}

# check_zip ARCHIVE
check_zip() {
	rm -rf disk && mkdir disk
	unzip -q "$1" -d disk || fail "unzip does not read $1"
	find disk ! -type f ! -type d -delete
	same atomic "$1"
	same streaming "$1"
}

#
# The documentation
#

if [ -d "$documentation" ]; then
	cd "$documentation"
	if [ "$everything" = all ]; then
		find . -mindepth 1 \( -type f -o -type l -o -type d \)
	else
		find . -mindepth 1 \( -size -64k -type f -o -type l -o -type d -empty \) | sort | sed -n 1,700p
	fi >"$work/names"
	cd "$work"
	[ -s names ] || fail "$documentation is empty"
	pack() {
		tar -c -C "$documentation" --no-recursion --hard-dereference -T names "$@"
	}
	for format in gnu posix ustar oldgnu; do
		# ustar has no room for long names.
		pack --format=$format -f $format.tar 2>said || [ $format = ustar ] || fail "tar: $(cat said)"
		check_tar $format.tar
	done
	for compressor in gzip bzip2 "xz -1" "lzma -1" zstd lz4; do
		missing "${compressor%% *}" "tar with $compressor" && continue
		$compressor -c posix.tar >"packed.tar.${compressor%% *}"
		# GNU tar finds out by itself how it is compressed, but for lz4.
		[ "$compressor" = lz4 ] || check_tar "packed.tar.${compressor%% *}"
		if [ "$compressor" = lz4 ]; then
			rm -rf disk && mkdir disk
			tar -x -f posix.tar -C disk --no-same-owner
			drop_links posix.tar
			same atomic packed.tar.lz4
		fi
	done
	if ! missing zip zip && ! missing unzip zip; then
		archive=$work/documentation.zip
		(cd "$documentation" && zip -q -y -X -@ "$archive" <"$work/names")
		check_zip "$archive"
		archive=$work/stored.zip
		(cd "$documentation" && zip -q -0 -@ "$archive" <"$work/names" 2>/dev/null) || [ $? = 18 ]
		check_zip "$archive"
		# Written to a pipe, the sizes come behind the data.
		(cd "$documentation" && sed -n 1,200p "$work/names" | zip -q -y -@ - | cat >"$work/piped.zip")
		check_zip "$work/piped.zip"
	fi
else
	printf 'left out: %s is not there\n' "$documentation"
fi

#
# Debian packages: the compressed tar in them, and all of them as what they are, archives of ar
#

# check_package FILE
check_package() {
	local member

	member=$(ar t "$1" | grep '^data\.tar')
	rm -f "$member"
	ar x "$1" "$member"
	check_tar "$member"
	rm -f "$member"
	rm -rf disk && mkdir disk
	(cd disk && ar x "$1")
	same all "$1"
}

if ! missing ar packages; then
	if [ -d "$packages" ]; then
		find "$packages" -name '*.deb' -size -400M
	fi | sort >found
	if [ "$everything" != all ]; then
		# Some of them, of any size up to 1 MB.
		: >some
		while IFS= read -r package; do
			[ "$(stat -c %s "$package")" -lt 1000000 ] && printf '%s\n' "$package" >>some
		done < <(awk -v "every=$(($(wc -l <found) / 8 + 1))" 'NR % every == 1 || every == 1' found)
		mv some found
	fi
	if [ ! -s found ]; then
		if missing dpkg-deb packages; then
			: >found
		else
			printf 'there are no packages in %s: one is made\n' "$packages"
			mkdir -p made/DEBIAN made/usr/share/doc
			printf '%s\n' 'Package: made' 'Version: 1' 'Architecture: all' \
				'Maintainer: nobody <nobody@localhost>' 'Description: made' >made/DEBIAN/control
			cp -r "$documentation"/[ab]* made/usr/share/doc/ || true
			dpkg-deb --root-owner-group --build made made.deb >said || fail "dpkg-deb: $(cat said)"
			printf '%s\n' "$work/made.deb" >found
		fi
	fi
	while IFS= read -r package; do
		check_package "$package"
	done <found
fi

[ "$compared" -gt 0 ] || {
	echo "there was nothing to compare"
	exit 77
}
printf '%d expansions are as on disk\n' "$compared"
