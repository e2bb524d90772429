#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# compare.sh ENGINE OUT [--runtime SECONDS] [--rounds N] [--directory DIR] [--patterns A,B,...]
#
# Run the patterns of patterns.fio by dmemfs_fio.so (ENGINE) and, beside it, by fio's own engines on
# files of a tmpfs, in turns; print a table of medians. What fio says goes to OUT, as JSON.
set -euo pipefail

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

[ $# -ge 2 ] || die "usage: compare.sh ENGINE OUT [option]..."
engine=$(realpath "$1")
out=$2
shift 2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
runtime=1
rounds=5
parent=/dev/shm
patterns=$(sed -n 's/^\[\(.*\)\]$/\1/p' "$here/patterns.fio" | grep -v '^global$')
while [ $# -ge 2 ]; do
	case $1 in
	--runtime) runtime=$2 ;;
	--rounds) rounds=$2 ;;
	--directory) parent=$2 ;;
	--patterns) patterns=${2//,/ } ;;
	*) die "there is no option $1" ;;
	esac
	shift 2
done
[ $# -eq 0 ] || die "$1 needs a value, or is no option"

# null moves no bytes: what fio itself takes.
sides=(dmemfs psync mmap null)
declare -A engines=([dmemfs]=external:$engine [psync]=psync [mmap]=mmap [null]=null)

mkdir -p "$out"
directory=$(mktemp -d "$parent/dmemfs-fio.XXXXXX")
trap 'rm -rf "$directory"' EXIT
trap 'exit 1' INT TERM

# run PATTERN SIDE ROUND: print MB/s and calls a second, of all jobs.
run() {
	local result=$out/$1-$2-$3.json

	FIO_ENGINE=${engines[$2]} FIO_DIRECTORY=$directory FIO_RUNTIME=$runtime \
		fio --section="$1" --output-format=json --output="$result" "$here/patterns.fio" >&2 ||
		die "fio failed, see $result: $(head -n 1 "$result")"
	# What fio has to remark stands before its JSON.
	sed -n '/^{/,$p' "$result" | jq -r '[.jobs[] | .read, .write] |
		[(map(.bw_bytes) | add) / 1e6, (map(.iops) | add)] | @tsv'
}

# Lines of side, MB/s and calls a second become a line of the table; a ratio is the median of those
# of the rounds.
summarize() {
	awk -v pattern="$1" -v sides="${sides[*]}" '
		function median(values, count,    i, j, value) {
			for (i = 2; i <= count; i++) {
				value = values[i]
				for (j = i; j > 1 && values[j - 1] > value; j--)
					values[j] = values[j - 1]
				values[j] = value
			}
			return count % 2 ? values[(count + 1) / 2] : \
				(values[count / 2] + values[count / 2 + 1]) / 2
		}
		function middle(side, table,    i, list) {
			for (i = 1; i <= rounds[side]; i++)
				list[i] = table[side, i]
			return median(list, rounds[side])
		}
		function ratio(side,    i, list) {
			if (!rounds[side])
				return "-"
			for (i = 1; i <= rounds[side]; i++)
				list[i] = mbs["dmemfs", i] / mbs[side, i]
			return sprintf("%.2f", median(list, rounds[side]))
		}
		{ mbs[$1, ++rounds[$1]] = $2; iops[$1, rounds[$1]] = $3 / 1000 }
		END {
			if (!NR)
				exit
			line = "| " pattern
			for (i = 1; i <= split(sides, side, " "); i++) {
				if (side[i] != "null")
					line = line (!rounds[side[i]] ? " | -" : \
						sprintf(" | %.0f", middle(side[i], mbs)))
				line = line (!rounds[side[i]] ? " | -" : sprintf(" | %.0f", middle(side[i], iops)))
			}
			print line " | " ratio("psync") " | " ratio("mmap") " |"
		}'
}

printf '| pattern'
printf ' | %s MB/s | kIOPS' "${sides[@]:0:3}"
printf ' | null kIOPS | dmemfs/psync | dmemfs/mmap |\n|---|'
printf -- '---:|%.0s' {1..9}
printf '\n'
for pattern in $patterns; do
	for ((round = 1; round <= rounds; round++)); do
		for side in "${sides[@]}"; do
			case $side-$pattern in
			# The one writes to no file that is to grow, the other has none to remove.
			mmap-renew | null-renew) continue ;;
			esac
			figures=$(run "$pattern" "$side" "$round")
			printf '%s\t%s\n' "$side" "$figures"
		done
	done | summarize "$pattern"
done
