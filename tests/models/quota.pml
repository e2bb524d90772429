/* SPDX-License-Identifier: MIT */
/*
 * The protocol of src/limit/quota.c and src/limit/space.c, for the model checker Spin. run.sh checks
 * it, docs/quota.md explains it. The names are those of the C code.
 *
 * What is proved of each configuration in run.sh, for all interleavings of any number of calls:
 *
 *   conservation  limit = reserved + room + withheld + credits + what is on its way
 *   Q1            reserved <= limit
 *   Q2            MFS_EQUOTA for an amount: there was an instant during the call at which
 *                 reserved + amount > limit. MFS_EMEMGUARD: there was one at which it fitted.
 *   waking        nobody sleeps for ever: once all others have ended, and all is free, each waiter
 *                 was told
 *   ending        nobody waits for ever for the mutex; at the end nothing is reserved
 *
 * Each access to a word that others may change meanwhile is a step of its own, in the order of the
 * program. That is sequential consistency. What carries it over to the weaker memory of C11:
 *
 *   - `room` and the credits are changed by exchanges and additions alone, so each has one order.
 *     But for opening, which stores to credits that are closed and that nobody else can change.
 *   - Who sees that free bytes have moved acquires from who moved them, and so sees the odd `seq` of
 *     before: `open` and `withheld` are stored with release, exchanges and additions that move bytes
 *     have the order MOVE, take_room() as well, for batches. Who refuses reads all these with
 *     acquire, then `seq` once more.
 *   - `seq` becomes even with release, and is acquired by who looks at it first: what was moved
 *     before is where it belongs.
 *   - The two accesses of a release and the two of a waiter that cross, to `room` and to `waiters`,
 *     are sequentially consistent.
 *
 * Where the model differs from the C code, it can do more:
 *
 *   - What is reserved is one heap, from which any thread may release any amount.
 *   - `seq` is the bit "odd", and for each thread that looks twice whether it changed in between. So
 *     numbers do not wrap, and calls need no bound for the states to be finitely many.
 *   - Nobody counts: whoever worked on `room` may open, whoever refills may find that little is left
 *     and close. The guard may revoke at any time, and refuse.
 *   - A trylock may fail though the mutex is free.
 *
 * These are one step, which nobody can tell: taking the mutex and what follows, giving it back and
 * what came before; what the holder of the mutex reads of what only he changes.
 *
 * The peak and mfs__quota_used() are not in the model, nor exchanges that fail for no reason and
 * only look again.
 */

/*
 * Configuration, by -D
 */

#ifndef LIMIT
#define LIMIT 3
#endif
#ifndef BATCH
#define BATCH 1
#endif
/* 1 or 2. */
#ifndef STRIPES
#define STRIPES 2
#endif
/* Threads that reserve and release, 1 to 3, and the two amounts that they know. */
#ifndef USERS
#define USERS 2
#endif
#ifndef SMALL
#define SMALL 1
#endif
#ifndef LARGE
#define LARGE 2
#endif
/* Threads that wait for space once and then release: 0 to 2. How much, and do they take it? */
#ifndef WAITERS
#define WAITERS 0
#endif
#ifndef BYTES_0
#define BYTES_0 2
#endif
#ifndef TAKES_0
#define TAKES_0 true
#endif
#ifndef BYTES_1
#define BYTES_1 2
#endif
#ifndef TAKES_1
#define TAKES_1 true
#endif
/* With -DGUARD there is a guard. */
#ifdef GUARD
#define GUARDED 1
#else
#define GUARDED 0
#endif

/*
 * A loop of a load and an exchange changes nothing until the exchange succeeds, on what the word is
 * then, and gives up on one value that it saw. So it does what one step could do. With -DONE_STEP it
 * is one, for configurations that would have too many states.
 */
#ifdef ONE_STEP
#define LOOP atomic
#else
#define LOOP
#endif

#define CALLERS (USERS + WAITERS)
#define CLOSED  255

/* What calls return. */
#define NONE      0
#define DONE      1
#define EQUOTA    2
#define EMEMGUARD 3
#define LATER     4

/*
 * The words
 */

byte room = LIMIT * (1 - GUARDED);
byte withheld = LIMIT * GUARDED;
byte credit[STRIPES] = CLOSED;
bool open = false;
bool odd = false; /* `seq` is odd */
bool locked = false;

#if WAITERS > 0
byte waiters = 0;
/* Under the mutex: the queue. */
byte queue[2] = 0;
byte queued = 0;
/* Of a waiter: constant; under the mutex; changed under the mutex, and it sleeps on it. */
byte bytes_of[2];
bool takes_of[2];
byte code_of[2] = NONE;
byte state_of[2] = 0;
#define WAITING    0
#define TOLD       1
#define LOOK_AGAIN 2
#else
#define waiters 0
#endif

/*
 * What is true, for the assertions
 */

byte reserved = 0;
byte heap = 0;   /* of that, what nobody is releasing */
byte moving = 0; /* on its way */
/* Of a caller that reserves: how much; and was there an instant at which that did not fit, or did? */
byte amount[CALLERS] = 0;
bool over[CALLERS] = false;
bool fit[CALLERS] = false;
/* Of a caller that looks at `seq` twice, between that: 1 while it has not changed, then 2. */
byte watch[CALLERS] = 0;
/* Threads that have ended. */
byte ended = 0;

#if STRIPES > 1
#define CREDITS (credit[0] % CLOSED + credit[1] % CLOSED)
#else
#define CREDITS (credit[0] % CLOSED)
#endif

#define look_back(i)                                                                               \
	over[i] = over[i] || (amount[i] > 0 && reserved + amount[i] > LIMIT);                          \
	fit[i] = GUARDED && (fit[i] || (amount[i] > 0 && reserved + amount[i] <= LIMIT))

/* After each change of a word. */
inline check()
{
	assert(reserved <= LIMIT);
	assert(reserved + room + withheld + CREDITS + moving == LIMIT);
	look_back(0);
	look_back(1);
#if CALLERS > 2
	look_back(2);
#endif
#if CALLERS > 3
	look_back(3);
#endif
	skip
}

inline begin_call(bytes)
{
	amount[me] = bytes;
	over[me] = (reserved + bytes > LIMIT);
	fit[me] = GUARDED && reserved + bytes <= LIMIT
}

inline end_call()
{
	amount[me] = 0;
	over[me] = false;
	fit[me] = false
}

/*
 * src/limit/quota.c. `me` is the caller, `stripe` its stripe. `seen` is what it saw of a word last,
 * `ok` what the function before returned; they are 0 where they matter no more.
 */

#define lock()   !locked -> locked = true
#define unlock() locked = false

#define seq_changes(i) watch[i] = (watch[i] -> 2 : 0)

inline begin_moving()
{
	d_step {
		assert(!odd);
		odd = true;
		seq_changes(0);
		seq_changes(1);
#if CALLERS > 2
		seq_changes(2);
#endif
#if CALLERS > 3
		seq_changes(3);
#endif
		skip
	}
}

/* Who looks while it is odd does not look twice, so nobody has anything to notice here. */
#define end_moving() odd = false

/* Of `bytes`, `kept` become reserved; the rest is on its way then. */
inline take_room(bytes, kept)
{
	atomic {
		seen = room;
		ok = (seen >= bytes)
	};
	do
	:: atomic { !ok -> seen = 0; break }
	:: atomic {
		ok && room == seen ->
		room = room - (bytes);
		reserved = reserved + kept;
		heap = heap + kept;
		moving = moving + (bytes) - (kept);
		seen = 0;
		check();
		break
	   }
	:: atomic {
		ok && room != seen ->
		seen = room;
		ok = (seen >= bytes)
	   }
	od
}

inline take_credit(bytes)
{
	atomic {
		seen = credit[stripe];
		ok = (seen != CLOSED && seen >= bytes)
	};
	do
	:: atomic { !ok -> seen = 0; break }
	:: atomic {
		ok && credit[stripe] == seen ->
		credit[stripe] = seen - bytes;
		reserved = reserved + bytes;
		heap = heap + bytes;
		seen = 0;
		check();
		break
	   }
	:: atomic {
		ok && credit[stripe] != seen ->
		seen = credit[stripe];
		ok = (seen != CLOSED && seen >= bytes)
	   }
	od
}

inline give_credit(bytes)
{
	atomic {
		seen = credit[stripe];
		ok = (seen != CLOSED && bytes <= BATCH && seen + bytes <= 2 * BATCH)
	};
	do
	:: atomic { !ok -> seen = 0; break }
	:: atomic {
		ok && credit[stripe] == seen ->
		credit[stripe] = seen + bytes;
		reserved = reserved - bytes;
		seen = 0;
		check();
		break
	   }
	:: atomic {
		ok && credit[stripe] != seen ->
		seen = credit[stripe];
		ok = (seen != CLOSED && seen + bytes <= 2 * BATCH)
	   }
	od
}

/* A batch out of the stripe's credit. */
inline take_batch()
{
	atomic {
		seen = credit[stripe];
		ok = (seen != CLOSED && seen >= BATCH)
	};
	do
	:: atomic { !ok -> seen = 0; break }
	:: atomic {
		ok && credit[stripe] == seen ->
		credit[stripe] = seen - BATCH;
		moving = moving + BATCH;
		seen = 0;
		check();
		break
	   }
	:: atomic {
		ok && credit[stripe] != seen ->
		seen = credit[stripe];
		ok = (seen != CLOSED && seen >= BATCH)
	   }
	od
}

inline collect_one(i, left)
{
	d_step {
		assert(credit[i] != CLOSED);
		sum = sum + credit[i];
		moving = moving + credit[i];
		credit[i] = left;
		check()
	}
}

inline collect(left)
{
	collect_one(0, left);
#if STRIPES > 1
	collect_one(1, left);
#endif
	skip
}

/* What is on its way to `room` arrives. */
inline arrive()
{
	room = room + sum;
	moving = moving - sum;
	sum = 0;
	check()
}

/* mfs__quota_close, in two parts: the first goes with what is before it. */
#ifdef PLANT_CLOSED_BEFORE_SEQ
/* What could be seen if closing did not store `open` with release. */
#define close_begins() skip
#define closing        open
#define close_open()   open = false; begin_moving()
#else
#define close_begins() if :: open -> begin_moving() :: !open fi
#define closing        odd
#define close_open()   open = false
#endif

inline close_goes_on()
{
	if
	:: closing ->
		close_open();
		collect(CLOSED);
		d_step { arrive() };
		end_moving()
	:: !closing
	fi
}

/* open_credits, with the mutex; the rest of note_turn is where it is called. */
inline open_credits()
{
#ifndef PLANT_OPEN_WITHOUT_SEQ
	begin_moving();
#endif
	credit[0] = 0;
#if STRIPES > 1
	credit[1] = 0;
#endif
#ifndef PLANT_OPEN_WITHOUT_SEQ
	open = true;
	atomic { end_moving(); unlock() }
#else
	atomic { open = true; unlock() }
#endif
}

/* With the mutex, and `need` at most what is withheld. Sets `ok`. */
inline approve(need)
{
	atomic {
		if
		:: sum = need
		:: sum = withheld
		:: sum = 0 /* it refuses */
		fi;
		ok = (sum > 0)
	};
	if
	:: !ok
	:: ok ->
		begin_moving();
		d_step {
			withheld = withheld - sum;
			moving = moving + sum;
			check()
		};
		d_step { arrive() };
		end_moving()
	fi
}

/* Sets `code`. `own`: for the caller itself, and not for a waiter. */
inline reserve_closed(bytes, own)
{
	do
	:: LOOP {
		take_room(bytes, bytes);
		if
		:: ok -> ok = false; code = DONE; break
		:: !ok
		fi
	   };
		if
		:: atomic {
			room + withheld < bytes ->
			assert(!own || over[me]);
			code = EQUOTA;
			break
		   }
		:: room >= bytes
#ifdef GUARD
		:: atomic {
			room < bytes && room + withheld >= bytes ->
			seen = bytes - room
		   };
			approve(seen);
			atomic {
				seen = 0;
				if
				:: ok -> ok = false
				:: !ok ->
					assert(!own || fit[me]);
					code = EMEMGUARD;
					break
				fi
			}
#endif
		fi
	od
}

/* The end of a call. */
#define reset()                                                                                    \
	ok = false;                                                                                    \
	had = false;                                                                                   \
	code = NONE;                                                                                   \
	want = 0

/* mfs__quota_reserve, with those it calls; goes on at "next". */
inline reserve(bytes)
{
	atomic {
		begin_call(bytes);
		had = open;
		if
		:: had
		:: !had -> goto from_room
		fi
	};
	LOOP {
		take_credit(bytes);
		if
		:: ok -> end_call(); reset(); goto next
		:: !ok -> goto from_room
		:: !ok && bytes <= BATCH
		fi
	};

	/* refill */
#ifdef PLANT_REFILL_WITHOUT_MUTEX
	if
	:: open
	:: !open -> goto from_room
	fi;
	LOOP {
		take_room(bytes + BATCH, bytes);
		if
		:: ok
		:: !ok -> goto from_room
		fi
	};
#else
	atomic {
		lock();
		if
		:: open
		:: !open -> unlock(); goto from_room
		fi
	};
#ifdef GUARD
	if
	:: atomic { withheld > 0 -> skip };
		approve(0);
		ok = false
	:: true
	fi;
#endif
	if
	:: atomic { close_begins() };
		close_goes_on();
		unlock();
		goto from_room
	:: LOOP {
		take_room(bytes + BATCH, bytes);
		if
		:: ok
		:: !ok -> unlock(); goto from_room
		fi
	   }
	fi;
#endif
	atomic {
		assert(credit[stripe] != CLOSED);
		credit[stripe] = credit[stripe] + BATCH;
		moving = moving - BATCH;
		check();
#ifndef PLANT_REFILL_WITHOUT_MUTEX
		unlock();
#endif
		end_call();
		reset();
		goto next
	};

from_room:
	LOOP {
		take_room(bytes, bytes);
		if
		:: ok ->
			end_call();
			if
			:: !had -> reset(); goto turn
			:: reset(); goto next
			fi
		:: !ok
		fi
	};

	/* reserve_slowly: is_refused */
	atomic {
		if
		:: odd -> goto slowly
		:: !odd -> watch[me] = 1
		fi
	};
	atomic {
		if
		:: open -> watch[me] = 0; goto slowly
		:: !open
		fi
	};
#ifdef GUARD
	atomic {
		if
		:: withheld > 0 -> watch[me] = 0; goto slowly
		:: withheld == 0
		fi
	};
#endif
	atomic {
		if
		:: room >= bytes -> watch[me] = 0; goto slowly
		:: room < bytes
		fi
	};
	atomic {
#ifdef PLANT_NO_SECOND_SEQ
		watch[me] = 1;
#endif
		if
		:: watch[me] == 1 ->
			assert(over[me]);
			watch[me] = 0;
			end_call();
			reset();
			goto next
		:: watch[me] == 2 -> watch[me] = 0
		fi
	};
slowly:
	atomic { lock(); close_begins() };
	close_goes_on();
	reserve_closed(bytes, true);
	atomic { unlock(); end_call(); reset(); goto next };

	/* note_turn */
turn:
	atomic {
		lock();
		if
		:: !open && !waiters
		:: open || waiters -> unlock(); goto next
		fi
	};
	open_credits();
	goto next
}

/* Somebody decides to release, and looks whether it is open. */
inline begin_release(bytes)
{
	heap = heap - bytes;
	had = open
}

/* mfs__quota_release, with those it calls; goes on at "next". */
inline release(bytes)
{
	if
	:: had
	:: !had -> goto to_room
	fi;
	LOOP {
		give_credit(bytes);
		if
		:: ok -> reset(); goto next
		:: !ok -> goto to_room
		:: !ok && bytes <= BATCH
		fi
	};

	/* hand_back */
	atomic { lock() };
	LOOP {
		take_batch();
		if
		:: ok
		:: !ok -> unlock(); goto to_room
		fi
	};
	atomic {
		room = room + BATCH + bytes;
		moving = moving - BATCH;
		reserved = reserved - bytes;
		check();
		unlock();
		reset();
		goto next
	};

to_room:
	atomic {
		room = room + bytes;
		reserved = reserved - bytes;
		check();
		if
		:: !had
		:: reset(); goto there
		fi;
		reset()
	};
	atomic {
		lock();
		if
		:: !open && !waiters
		:: open || waiters -> unlock(); goto there
		fi
	};
	open_credits();
there:
#if WAITERS > 0
	if
	:: waiters == 0
	:: waiters > 0 ->
		atomic { lock() };
		serve();
		atomic { unlock(); reset() }
	fi;
#endif
	goto next
}

/*
 * src/limit/space.c
 */
#if WAITERS > 0

inline join_queue(w)
{
	d_step {
		queue[queued] = w;
		queued++;
		waiters++
	}
}

inline leave_queue(w)
{
	d_step {
		assert(queued > 0 && (queue[0] == w || (queued > 1 && queue[1] == w)));
		if
		:: queue[0] == w -> queue[0] = queue[1]
		:: else
		fi;
		queue[1] = 0;
		queued--;
		waiters--
	}
}

/* Is there enough for it? Sets `ok`, and `code`. */
inline try(w, own)
{
	atomic {
		if
		:: room + withheld >= promised + bytes_of[w] -> ok = true; code = DONE
		:: else -> ok = false; code = EQUOTA; assert(!own || over[me])
		fi
	};
	if
	:: ok && takes_of[w] ->
		reserve_closed(bytes_of[w], own);
		ok = (code != EQUOTA)
	:: else
	fi
}

#define NOBODY 9

/* With `promised` set, 0 at first. */
inline serve()
{
	passed_over = NOBODY;
	do
	:: atomic { place < queued -> who = queue[place] };
		try(who, false);
		if
		:: ok ->
			promised = promised + (takes_of[who] -> 0 : bytes_of[who]);
			leave_queue(who);
			atomic { code_of[who] = code; state_of[who] = TOLD }
		:: !ok ->
			atomic {
#ifndef PLANT_NOBODY_LOOKS_AGAIN
				if
				:: passed_over == NOBODY && promised > 0 &&
				   bytes_of[who] <= room + withheld -> passed_over = who
				:: else
				fi;
#endif
				place++
			}
		fi
	:: place >= queued -> break
	od;
	atomic {
		if
		:: passed_over == NOBODY
		:: passed_over != NOBODY ->
			if
			:: state_of[passed_over] == WAITING -> state_of[passed_over] = LOOK_AGAIN
			:: else
			fi
		fi;
		passed_over = 0;
		promised = 0;
		place = 0;
		who = 0;
		ok = false;
		code = NONE
	}
}

/* Sets `ok`: there is no need to sleep. */
inline space_begin(w)
{
	atomic { lock() };
#ifndef PLANT_WAITERS_AFTER_LOOK
	join_queue(w);
#endif
	atomic { close_begins() };
	close_goes_on();
	try(w, false);
	code_of[w] = code;
#ifdef PLANT_WAITERS_AFTER_LOOK
	if
	:: ok
	:: !ok -> join_queue(w)
	fi;
#else
	if
	:: ok -> leave_queue(w); state_of[w] = TOLD
	:: !ok
	fi;
#endif
	unlock()
}

/* Who is to look again does so after a time. The first waiter has no deadline; that of the second
 * may come at any time. */
inline space_sleep(w)
{
	if
	:: state_of[w] != WAITING
	:: w == 1 -> gives_up = true
	fi
}

/* Sets `ok`: it is no longer in line. */
inline space_end(w)
{
	atomic {
		lock();
		begin_call(bytes_of[w])
	};
	if
	:: state_of[w] == TOLD
	:: state_of[w] != TOLD ->
		try(w, true);
		if
		:: ok || gives_up -> leave_queue(w)
		:: !ok && !gives_up -> state_of[w] = WAITING; code = LATER
		fi;
		code_of[w] = code;
		promised = (code == DONE && !takes_of[w] -> bytes_of[w] : 0);
		serve()
	fi;
	atomic {
		unlock();
		end_call();
		ok = (code_of[w] != LATER)
	}
}

#endif

/*
 * The threads
 */

/* When nothing is left to release. The last one looks whether that is so. */
inline end_thread()
{
	heap == 0 ->
	ended++;
	assert(ended < CALLERS || (reserved == 0 && (GUARDED || room + CREDITS == LIMIT)));
	break
}

proctype user(byte me; byte stripe)
{
	byte seen, sum, code, want;
	bool ok, had;
#if WAITERS > 0
	byte promised, passed_over, place, who;
#endif

next:
	do
	:: atomic {
		if
		:: want = SMALL
		:: want = LARGE
		fi
	   };
		reserve(want)
	:: atomic {
		heap >= SMALL ->
		if
		:: want = SMALL
		:: heap >= LARGE -> want = LARGE
		fi;
		begin_release(want)
	   };
		release(want)
	:: atomic { end_thread() }
	od
}

#if WAITERS > 0
proctype waiter(byte me; byte stripe; byte self)
{
	byte seen, sum, code, want;
	bool ok, had, gives_up;
	byte promised, passed_over, place, who;

	space_begin(self);
	do
	:: ok -> break
	:: !ok ->
		space_sleep(self);
		space_end(self)
	od;
	atomic { reset(); gives_up = false };
next:
	do
	:: atomic { heap > 0 -> begin_release(1) };
		release(1)
	:: atomic { end_thread() }
	od
}
#endif

#ifdef GUARD
/* mfs__quota_revoke, any number of times. */
proctype guard()
{
	byte sum;

	do
	:: atomic { lock(); begin_moving() };
		if
		:: open -> collect(0)
		:: !open
		fi;
		d_step {
			sum = sum + room;
			moving = moving + room;
			room = 0;
			check()
		};
		d_step {
			withheld = withheld + sum;
			moving = moving - sum;
			sum = 0;
			check()
		};
		atomic { end_moving(); unlock() }
	:: break
	od
}
#endif

init {
	atomic {
#if WAITERS > 0
		bytes_of[0] = BYTES_0;
		takes_of[0] = TAKES_0;
		bytes_of[1] = BYTES_1;
		takes_of[1] = TAKES_1;
#endif
		run user(0, 0);
#if USERS > 1
		run user(1, 1 % STRIPES);
#endif
#if USERS > 2
		run user(2, 0);
#endif
#if WAITERS > 0
		run waiter(USERS, 0, 0);
#endif
#if WAITERS > 1
		run waiter(USERS + 1, 1 % STRIPES, 1);
#endif
#ifdef GUARD
		run guard();
#endif
		skip
	}
}
