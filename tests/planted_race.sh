#!/bin/sh
# SPDX-License-Identifier: MIT
# planted_race.sh reported|silent PROGRAM
#
# reported: ThreadSanitizer must report a race in PROGRAM within 5 runs. The detector only sees what
# happens close enough together, so that a single run proves nothing.
# silent: 3 runs must succeed without a report.
set -eu

expected=$1
program=$2
output=$(mktemp)
trap 'rm -f "$output"' EXIT

run_program() {
	code=0
	"$program" >"$output" 2>&1 || code=$?
}

case $expected in
reported)
	for run in 1 2 3 4 5; do
		run_program
		if [ "$code" -eq 66 ] && grep -Eq \
			'WARNING: ThreadSanitizer: (data race|heap-use-after-free)' "$output"; then
			echo "run $run: reported"
			exit 0
		fi
		if [ "$code" -ne 0 ]; then
			echo "run $run: exit code $code without a report of a race"
			cat "$output"
			exit 1
		fi
	done
	echo "no report in $run runs"
	exit 1
	;;
silent)
	for run in 1 2 3; do
		run_program
		if [ "$code" -ne 0 ] || grep -q 'ThreadSanitizer' "$output"; then
			echo "run $run: exit code $code"
			cat "$output"
			exit 1
		fi
	done
	echo "silent in $run runs"
	;;
*)
	echo "usage: $0 reported|silent PROGRAM" >&2
	exit 2
	;;
esac
