#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# check.sh ENGINE: Does the engine do to files what fio's jobs say, as fio itself can tell? 77: there
# is no fio.
set -euo pipefail

engine=$(realpath "$1")
if ! command -v fio >/dev/null; then
	echo "fio is not installed"
	exit 77
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/host"
# Where files would be if they were on the host.
cd "$dir/host"

fail() {
	printf 'failed: %s\n' "$*"
	cat "$dir/log"
	exit 1
}

# Arguments of fio after those that all runs share.
run() {
	timeout 30 fio --ioengine="external:$engine" --thread --size=4m --bs=4k --minimal \
		--verify_state_save=0 "$@" >"$dir/log" 2>&1
}

# passes WHAT ARGUMENT...
passes() {
	local what=$1

	shift
	run "$@" || fail "$what"
}

# refused WHAT MESSAGE ARGUMENT...
refused() {
	local what=$1 message=$2

	shift 2
	! run "$@" || fail "$what: was not refused"
	grep -q -- "$message" "$dir/log" || fail "$what: fio does not say '$message'"
}

passes 'blocks that are written and read by two threads for a second hold what was written' \
	--time_based --runtime=1 --rw=randrw --verify=crc32c --numjobs=2 --name=one
passes 'many files below directories' \
	--rw=randrw --verify=crc32c --nrfiles=50 --filename=a/b/c:a/b/d:e --fsync=16 --name=one
passes 'jobs on one file' \
	--rw=randrw --numjobs=8 --filename=one --create_serialize=0 --name=one
passes 'what one job writes another one finds' \
	--filename=one --verify=crc32c --name=first --rw=write --do_verify=0 \
	--name=second --stonewall --rw=read
refused 'a block that another job has changed' 'verify: bad' \
	--filename=one --verify=crc32c --name=first --rw=write --do_verify=0 \
	--name=between --stonewall --rw=randwrite --verify=0 --io_size=4k \
	--name=last --stonewall --rw=read
passes 'what is trimmed reads as zeros' \
	--filename=one --name=first --rw=write --name=second --stonewall --rw=trim \
	--name=third --stonewall --rw=read --verify=pattern --verify_pattern=0x00
refused 'what is not trimmed' 'bad pattern' \
	--filename=one --name=first --rw=write --name=second --stonewall --rw=trim --io_size=2m \
	--name=third --stonewall --rw=read --verify=pattern --verify_pattern=0x00
passes 'files are removed and made again' \
	--rw=write --verify=md5 --loops=3 --unlink_each_loop=1 --unlink=1 --name=one
passes 'a job fills the workspace' \
	--rw=write --fill_device=1 --size=0 --quota=16m --fallocate=none --name=one
# The 47th word is how many KiB were written.
[ "$(awk -F';' '$1 == 3 { print $47 }' "$dir/log")" -gt 16300 ] || fail 'a job does not fill the workspace'
passes 'a job appends to a file' \
	--filename=one --file_append=1 --rw=write --name=first --name=second --stonewall
passes 'a file that is read is laid out as the job says' \
	--rw=read --zero_buffers=1 --verify=pattern --verify_pattern=0x00 --name=one
refused 'a file that is read is laid out with data' 'bad pattern' \
	--filename=one --rw=read --name=first \
	--name=second --stonewall --verify=pattern --verify_pattern=0x00
passes 'a job that would read files beforehand' --rw=read --pre_read=1 --name=one

refused 'a file larger than the quota' 'quota is the limit' --rw=read --quota=1m --name=one
refused 'a write past the quota' 'Disk quota exceeded' \
	--rw=write --quota=1m --fallocate=none --name=one
refused 'jobs that do not agree about the quota' 'quota=' \
	--rw=write --name=one --quota=10m --name=two --quota=11m
refused 'a file that may not be made' 'allow_file_create' --rw=read --allow_file_create=0 --name=one
refused 'a file that a job has removed' 'allow_file_create' \
	--filename=one --create_serialize=0 --name=first --rw=write --unlink=1 \
	--name=second --stonewall --rw=read --allow_file_create=0
refused 'a path out of the workspace' 'invalid argument' --rw=read --filename=../one --name=one
refused 'jobs that are processes' 'set thread=1' --rw=read --thread=0 --name=one

[ -z "$(ls -A)" ] || fail "files on the host: $(ls -A)"
