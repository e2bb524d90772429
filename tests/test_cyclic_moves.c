/* SPDX-License-Identifier: MIT */
/*
 * When many threads move directories into each other at once, is there always exactly one tree,
 * with nothing lost from it, nothing in it twice, and no circle beside it?
 *
 * Every directory holds a file whose name says which directory it is: the marker. After each round
 * all threads rest, and the tree is searched for the markers.
 */
#include "support.h"

#include "fs/filesystem.h"
#include "step_aside.h"
#include "tree_text.h"

enum { MOST_DIRECTORIES = 8, MOST_THREADS = 5, PATH_ROOM = 256 };

/*
 * The shape of the tree
 */

/* Where each directory is, by its marker. */
struct census {
	char paths[MOST_DIRECTORIES][PATH_ROOM]; /* "" for what lies in the root, or is not found */
	int found[MOST_DIRECTORIES];             /* how often */
	int directories;
	int strangers; /* names that are no marker and no directory */
};

/* Search the tree from the root, by listings only. Each step is counted: a circle would show. */
static void take_census(mfs *fs, struct census *census)
{
	struct paths paths = {.items = NULL};

	memset(census, 0, sizeof(*census));
	paths_push(&paths, joined("", ""));
	while (paths.count > 0) {
		char *path = paths_pop(&paths);
		const char *parent = strcmp(path, "/") == 0 ? "" : path;
		char **names = NULL;
		int64_t count = mfs_listdir(fs, path, &names);

		assert_true(count >= 0);
		for (int64_t i = 0; i < count; i++) {
			char *child = joined(parent, names[i]);
			int marker = names[i][0] == 'm' ? atoi(names[i] + 1) : -1;

			if (mfs_is_dir(fs, child)) {
				census->directories++;
				assert_in_range(census->directories, 1, MOST_DIRECTORIES);
				paths_push(&paths, child);
				continue;
			}
			free(child);
			if (marker < 0 || marker >= MOST_DIRECTORIES) {
				census->strangers++;
				continue;
			}
			census->found[marker]++;
			assert_in_range(strlen(parent), 0, PATH_ROOM - 1);
			(void)snprintf(census->paths[marker], PATH_ROOM, "%s", parent);
		}
		mfs_names_free(names);
		free(path);
	}
	paths_free(&paths);
}

/* Each of `count` directories is in the tree, once, and nothing else is but `strangers` files. */
static void assert_one_tree(mfs *fs, int count, int strangers)
{
	struct census census;
	mfs_usage usage = usage_of(fs);

	take_census(fs, &census);
	for (int i = 0; i < MOST_DIRECTORIES; i++) {
		if (census.found[i] != (i < count)) {
			print_error("directory %d was found %d times\n", i, census.found[i]);
			fail();
		}
	}
	assert_int_equal(census.directories, count);
	assert_int_equal(census.strangers, strangers);
	assert_int_equal(usage.directories, count);
	assert_int_equal(usage.files, count + strangers);
	assert_true(mfs__validate(fs));
}

/* "/d<i>" with its marker, for each i below count. */
static void make_directories(mfs *fs, int count)
{
	for (int i = 0; i < count; i++) {
		char path[32];

		(void)snprintf(path, sizeof(path), "/d%d", i);
		make_dir(fs, path);
		(void)snprintf(path, sizeof(path), "/d%d/m%d", i, i);
		make_text(fs, path, path);
	}
}

/*
 * Threads that move at once
 */

struct mover {
	mfs *fs;
	pthread_barrier_t *barrier;
	/* The round's call; set by the main thread between two rounds. No `from`: the end. */
	char from[64];
	char to[64];
	unsigned flags;
	bool makes_parents;
	int code;
	pthread_t thread;
};

static void *move_each_round(void *argument)
{
	struct mover *mover = argument;

	for (;;) {
		(void)pthread_barrier_wait(mover->barrier);
		if (mover->from[0] == '\0')
			return NULL;
		mover->code = mover->makes_parents
						  ? mfs_move(mover->fs, mover->from, mover->to, mover->flags)
						  : mfs_rename(mover->fs, mover->from, mover->to, mover->flags);
		(void)pthread_barrier_wait(mover->barrier);
	}
}

struct team {
	struct mover movers[MOST_THREADS];
	pthread_barrier_t barrier;
	int size;
};

/*
 * A failed assertion leaves the test with the threads waiting at the barrier for good, so the team
 * outlives every test's stack.
 */
static struct team *new_team(mfs *fs, int size)
{
	struct team *team = allocate(sizeof(*team));

	team->size = size;
	assert_int_equal(pthread_barrier_init(&team->barrier, NULL, (unsigned)size + 1), 0);
	for (int i = 0; i < size; i++) {
		team->movers[i].fs = fs;
		team->movers[i].barrier = &team->barrier;
		team->movers[i].thread = start_thread(move_each_round, &team->movers[i]);
	}
	return team;
}

static void play_round(struct team *team)
{
	(void)pthread_barrier_wait(&team->barrier);
	(void)pthread_barrier_wait(&team->barrier);
}

static void end_team(struct team *team)
{
	for (int i = 0; i < team->size; i++)
		team->movers[i].from[0] = '\0';
	(void)pthread_barrier_wait(&team->barrier);
	for (int i = 0; i < team->size; i++)
		join_thread(team->movers[i].thread);
	assert_int_equal(pthread_barrier_destroy(&team->barrier), 0);
	free(team);
}

/*
 * Rings: each directory into the next, and the last into the first
 */

/*
 * The moves of a ring that succeeded say where each directory must be: moved, in the next one;
 * else, in the root. Not all of them can have succeeded, and the last that did not must have had a
 * reason: the directory it was to go to had left its name.
 */
static void assert_ring_is_as_told(mfs *fs, const struct team *team, const int *numbers)
{
	struct census census;
	int size = team->size;
	int moved = 0;

	take_census(fs, &census);
	for (int i = 0; i < size; i++) {
		const struct mover *mover = &team->movers[i];
		char want[64] = "";
		int length = 0;
		int chain[MOST_THREADS];
		int steps = 0;

		moved += mover->code == 0;
		assert_either(mover->code, 0, MFS_ENOENT);
		for (int k = i; steps < size; k = (k + 1) % size) {
			chain[steps++] = k;
			if (team->movers[k].code != 0)
				break;
		}
		for (int s = steps - 1; s >= 0; s--)
			length +=
				snprintf(want + length, sizeof(want) - (size_t)length, "/d%d", numbers[chain[s]]);
		assert_string_equal(census.paths[numbers[i]], want);
	}
	assert_in_range(moved, 1, size - 1);
}

/* Bring every directory of the ring back into the root. */
static void undo_ring(mfs *fs, int size)
{
	for (int round = 0; round < size; round++) {
		struct census census;

		take_census(fs, &census);
		for (int i = 0; i < size; i++) {
			char name[32];

			(void)snprintf(name, sizeof(name), "/d%d", i);
			/* One that an outer one has taken along is found in the next round. */
			if (census.found[i] && strcmp(census.paths[i], name) != 0 &&
				mfs_exists(fs, census.paths[i]))
				assert_code(mfs_rename(fs, census.paths[i], name, 0), 0);
		}
	}
}

static void move_in_rings(mfs *fs, int size, int rounds, bool makes_parents)
{
	struct team *team = new_team(fs, size);
	struct rng rng = {0x5eed + (uint64_t)size};
	int numbers[MOST_THREADS] = {0};

	make_directories(fs, size);
	for (int round = 0; round < rounds; round++) {
		/* The ring in another order each time, so that each thread meets each directory. */
		for (int i = 0; i < size; i++) {
			int k = (int)rng_below(&rng, (size_t)i + 1);

			numbers[i] = numbers[k];
			numbers[k] = i;
		}
		for (int i = 0; i < size; i++) {
			struct mover *mover = &team->movers[i];
			int next = numbers[(i + 1) % size];

			mover->makes_parents = makes_parents;
			mover->flags = round % 3 == 0 ? MFS_RENAME_REPLACE : 0;
			(void)snprintf(mover->from, sizeof(mover->from), "/d%d", numbers[i]);
			(void)snprintf(mover->to, sizeof(mover->to), "/d%d/d%d", next, numbers[i]);
		}
		play_round(team);
		if (!makes_parents) {
			assert_one_tree(fs, size, 0);
			assert_ring_is_as_told(fs, team, numbers);
			undo_ring(fs, size);
			assert_one_tree(fs, size, 0);
		} else {
			/*
			 * mfs_move() makes a parent anew that has just moved away, so all succeed, and there
			 * are more directories, without markers.
			 */
			struct census census;

			take_census(fs, &census);
			for (int i = 0; i < size; i++) {
				assert_code(team->movers[i].code, 0);
				assert_int_equal(census.found[i], 1);
			}
			assert_true(mfs__validate(fs));
			for (int i = 0; i < size; i++) {
				char name[32];

				take_census(fs, &census);
				assert_int_equal(census.found[i], 1);
				(void)snprintf(name, sizeof(name), "/x%d", i);
				assert_code(mfs_rename(fs, census.paths[i], name, 0), 0);
			}
			for (int i = 0; i < size; i++) {
				char name[32];
				char back[32];

				/* What is left under the old names are the parents made anew, empty by now. */
				(void)snprintf(name, sizeof(name), "/d%d", i);
				(void)snprintf(back, sizeof(back), "/x%d", i);
				assert_code(mfs_rename(fs, back, name, MFS_RENAME_REPLACE), 0);
			}
			assert_one_tree(fs, size, 0);
		}
	}
	end_team(team);
}

static void two_directories_into_each_other(void **state)
{
	move_in_rings(*state, 2, 1200, false);
}

static void rings_of_three(void **state)
{
	move_in_rings(*state, 3, 800, false);
}

static void rings_of_four(void **state)
{
	move_in_rings(*state, 4, 500, false);
}

static void rings_of_five(void **state)
{
	move_in_rings(*state, 5, 400, false);
}

static void rings_whose_parents_are_made(void **state)
{
	move_in_rings(*state, 3, 150, true);
}

/* Far apart in the tree: each one goes deep into the other. */
static void deep_directories_into_each_other(void **state)
{
	enum { ROUNDS = 800 };
	mfs *fs = *state;
	struct team *team = new_team(fs, 2);

	make_dir(fs, "/p/a/1/2/3");
	make_dir(fs, "/q/r/b/4/5");
	make_text(fs, "/p/a/1/2/3/m0", "a");
	make_text(fs, "/q/r/b/4/5/m1", "b");
	for (int round = 0; round < ROUNDS; round++) {
		static const char *const a[] = {"/p/a", "/q/r/b/4/5/a"};
		static const char *const b[] = {"/q/r/b", "/p/a/1/2/3/b"};
		struct mover *first = &team->movers[round % 2];
		struct mover *second = &team->movers[1 - round % 2];

		(void)snprintf(first->from, sizeof(first->from), "%s", a[0]);
		(void)snprintf(first->to, sizeof(first->to), "%s", a[1]);
		(void)snprintf(second->from, sizeof(second->from), "%s", b[0]);
		(void)snprintf(second->to, sizeof(second->to), "%s", b[1]);
		play_round(team);
		assert_int_equal((first->code == 0) + (second->code == 0), 1);
		assert_code(first->code == 0 ? second->code : first->code, MFS_ENOENT);
		assert_true(mfs__validate(fs));
		assert_int_equal(usage_of(fs).directories, 10);
		if (first->code == 0) {
			assert_text(fs, "/q/r/b/4/5/a/1/2/3/m0", "a");
			assert_text(fs, "/q/r/b/4/5/m1", "b");
			assert_code(mfs_rename(fs, a[1], a[0], 0), 0);
		} else {
			assert_text(fs, "/p/a/1/2/3/b/4/5/m1", "b");
			assert_text(fs, "/p/a/1/2/3/m0", "a");
			assert_code(mfs_rename(fs, b[1], b[0], 0), 0);
		}
	}
	end_team(team);
}

/*
 * Each thread exchanges a directory with one that lies in the other thread's: whichever comes
 * second would put a directory into itself.
 */
static void exchanges_across_each_other(void **state)
{
	enum { ROUNDS = 800 };
	mfs *fs = *state;
	struct team *team = new_team(fs, 2);

	make_directories(fs, 2);
	for (int round = 0; round < ROUNDS; round++) {
		struct census census;
		int done = 0;

		make_dir(fs, "/d0/in/side");
		make_dir(fs, "/d1/in/side");
		for (int i = 0; i < 2; i++) {
			struct mover *mover = &team->movers[i];

			mover->flags = MFS_RENAME_EXCHANGE;
			(void)snprintf(mover->from, sizeof(mover->from), "/d%d", i);
			(void)snprintf(mover->to, sizeof(mover->to), "/d%d/in/side", 1 - i);
		}
		play_round(team);
		for (int i = 0; i < 2; i++) {
			done += team->movers[i].code == 0;
			assert_either(team->movers[i].code, 0, MFS_ENOENT);
		}
		assert_int_equal(done, 1);
		assert_true(mfs__validate(fs));
		assert_int_equal(usage_of(fs).directories, 6);
		take_census(fs, &census);
		assert_int_equal(census.directories, 6);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(census.found[i], 1);
			assert_string_equal(census.paths[i], team->movers[i].code != 0 ? (i ? "/d1" : "/d0")
												 : i                       ? "/d0/in/side"
																		   : "/d1/in/side");
		}
		for (int i = 0; i < 2; i++) {
			if (team->movers[i].code == 0)
				assert_code(
					mfs_rename(fs, team->movers[i].from, team->movers[i].to, MFS_RENAME_EXCHANGE),
					0);
		}
		assert_code(mfs_rmtree(fs, "/d0/in"), 0);
		assert_code(mfs_rmtree(fs, "/d1/in"), 0);
		assert_one_tree(fs, 2, 0);
	}
	end_team(team);
}

/*
 * Anything at once
 */

struct wanderer {
	mfs *fs;
	pthread_barrier_t *barrier;
	struct rng rng;
	int rounds;
	int calls; /* in each round */
	int moved;
	int refused;
	int wrong;
	pthread_t thread;
};

enum { PATH_SIZE = 128 };

/*
 * Go down from the root as chance has it. The names tell what they stand for: "d..." is a
 * directory, "m..." a marker, which no call names, "s..." another file. What is found may have
 * moved by the time that it is used. Writes "" for the root.
 */
static void wander(struct wanderer *wanderer, char kind, char *path)
{
	size_t length = 0;

	path[0] = '\0';
	for (int depth = 0; depth < 7; depth++) {
		char **names = NULL;
		int64_t count = mfs_listdir(wanderer->fs, length > 0 ? path : "/", &names);
		const char *name = NULL;

		/* Nothing is left to go to when it has moved away meanwhile. */
		if (count > 0)
			name = names[rng_below(&wanderer->rng, (size_t)count)];
		if (name == NULL || (name[0] != 'd' && name[0] != kind)) {
			mfs_names_free(names);
			return;
		}
		length += (size_t)snprintf(path + length, PATH_SIZE - length, "/%s", name);
		mfs_names_free(names);
		if (path[length - 2] != 'd' || rng_below(&wanderer->rng, 3) == 0)
			return;
	}
}

static int move_something(struct wanderer *wanderer)
{
	struct rng *rng = &wanderer->rng;
	char from[PATH_SIZE];
	char to[PATH_SIZE + 8];
	size_t choice = rng_below(rng, 8);
	size_t length = 0;
	char kind = 'd';

	wander(wanderer, choice == 0 ? 's' : 'd', from);
	wander(wanderer, 'd', to);
	length = strlen(from);
	if (length > 0)
		kind = from[length - 2];
	length = strlen(to);
	if (choice <= 4) {
		(void)snprintf(to + length, sizeof(to) - length, "/%c%zu", kind,
					   rng_below(rng, kind == 's' ? 2 : 6));
		return mfs_rename(wanderer->fs, from, to, choice == 1 ? MFS_RENAME_REPLACE : 0);
	}
	if (length == 0)
		(void)snprintf(to, sizeof(to), "/d%zu", rng_below(rng, 6));
	return mfs_rename(wanderer->fs, from, to, MFS_RENAME_EXCHANGE);
}

static void *wander_and_move(void *argument)
{
	struct wanderer *wanderer = argument;

	for (int round = 0; round < wanderer->rounds; round++) {
		(void)pthread_barrier_wait(wanderer->barrier);
		for (int i = 0; i < wanderer->calls; i++) {
			int code = move_something(wanderer);

			wanderer->moved += code == 0;
			wanderer->refused += code == MFS_EINVAL;
			/* No file is in a directory's place anywhere, and no directory is empty. */
			wanderer->wrong += code != 0 && code != MFS_ENOENT && code != MFS_EEXIST &&
							   code != MFS_EINVAL && code != MFS_ENOTEMPTY;
		}
		(void)pthread_barrier_wait(wanderer->barrier);
	}
	return NULL;
}

static void everything_is_found_again_after_many_moves(void **state)
{
	enum { THREADS = 4, ROUNDS = 100, CALLS = 100, DIRECTORIES = 6 };
	mfs *fs = *state;
	struct wanderer *wanderers = allocate(THREADS * sizeof(*wanderers));
	pthread_barrier_t *barrier = allocate(sizeof(*barrier));
	int moved = 0;
	int refused = 0;
	int wrong = 0;

	make_directories(fs, DIRECTORIES);
	make_text(fs, "/s0", "a file that moves");
	make_text(fs, "/s1", "another");
	assert_int_equal(pthread_barrier_init(barrier, NULL, THREADS + 1), 0);
	for (int i = 0; i < THREADS; i++) {
		wanderers[i].fs = fs;
		wanderers[i].barrier = barrier;
		wanderers[i].rng.state = 0xabcdef + (uint64_t)i;
		wanderers[i].rounds = ROUNDS;
		wanderers[i].calls = CALLS;
		wanderers[i].thread = start_thread(wander_and_move, &wanderers[i]);
	}
	for (int round = 0; round < ROUNDS; round++) {
		(void)pthread_barrier_wait(barrier);
		(void)pthread_barrier_wait(barrier);
		assert_one_tree(fs, DIRECTORIES, 2);
	}
	for (int i = 0; i < THREADS; i++) {
		join_thread(wanderers[i].thread);
		moved += wanderers[i].moved;
		refused += wanderers[i].refused;
		wrong += wanderers[i].wrong;
	}
	assert_int_equal(pthread_barrier_destroy(barrier), 0);
	free(barrier);
	free(wanderers);
	assert_int_equal(wrong, 0);
	/* It did come to moves, and to moves of a directory into itself. */
	assert_true(moved > ROUNDS);
	assert_true(refused > ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(two_directories_into_each_other),
		WORKSPACE_TEST(rings_of_three),
		WORKSPACE_TEST(rings_of_four),
		WORKSPACE_TEST(rings_of_five),
		WORKSPACE_TEST(rings_whose_parents_are_made),
		WORKSPACE_TEST(deep_directories_into_each_other),
		WORKSPACE_TEST(exchanges_across_each_other),
		WORKSPACE_TEST(everything_is_found_again_after_many_moves),
	};

	return cmocka_run_group_tests_name("cyclic moves", tests, step_aside_setup,
									   step_aside_teardown);
}
