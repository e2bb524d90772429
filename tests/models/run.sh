#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh SPIN CC
#
# Check the models of this folder. The sound protocol must hold in every state that can be reached,
# and each bug that is planted must be found: a model that finds nothing proves nothing. The options
# are explained in the models.
set -euo pipefail
export LC_ALL=C

spin=$1
cc=$2
model=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/quota.pml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# How well the checker is compiled: what is gained is lost again where there are few states.
level=-O0

fail() {
	printf 'FAIL: %s\n' "$*"
	tail -n 40 log
	exit 1
}

# check [option]...: search all states. What the checker says is in log.
check() {
	rm -f pan*
	"$spin" -a "$@" "$model" >log 2>&1 || fail "spin -a $*"
	"$cc" "$level" -w -DSAFETY -DNOFAIR -DMEMLIM=3500 -o pan pan.c >log 2>&1 || fail "$cc, for $*"
	./pan -m3000000 -w22 >log 2>&1 || true
}

# sound NAME [option]...
sound() {
	local name=$1

	shift
	check "$@"
	if ! grep -q 'errors: 0$' log || grep -qiE 'not completed|too small|out of memory' log; then
		fail "$name"
	fi
	printf 'holds: %s, %s states\n' "$name" "$(awk '/states, stored/ { print $1 }' log)"
}

# planted BUG ERROR [option]...: the search must end with this error.
planted() {
	local bug=$1 error=$2

	shift 2
	check "-DPLANT_$bug" "$@"
	grep -qF "pan:1: $error" log || fail "$bug is not found"
	printf 'found: %s\n' "$bug"
}

refused='assertion violated over[me]'
asleep='invalid end state'

planted OPEN_WITHOUT_SEQ "$refused"
planted CLOSED_BEFORE_SEQ "$refused"
planted NO_SECOND_SEQ "$refused"
planted REFILL_WITHOUT_MUTEX "$refused"
planted WAITERS_AFTER_LOOK "$asleep" -DUSERS=1 -DWAITERS=1 -DONE_STEP
planted NOBODY_LOOKS_AGAIN "$asleep" -DUSERS=1 -DWAITERS=2 -DTAKES_1=false -DSTRIPES=1 -DONE_STEP

sound 'two threads'
sound 'two threads on one stripe' -DSTRIPES=1 -DLIMIT=4 -DBATCH=2 -DLARGE=3
level=-O1
sound 'three threads' -DUSERS=3 -DONE_STEP
sound 'two threads and a guard' -DGUARD -DONE_STEP
level=-O0
sound 'two threads and a waiter' -DWAITERS=1 -DONE_STEP
sound 'a thread and two waiters' -DUSERS=1 -DWAITERS=2 -DTAKES_1=false -DSTRIPES=1 -DONE_STEP
sound 'a thread, a waiter and a guard' -DUSERS=1 -DWAITERS=1 -DGUARD -DONE_STEP
