/* SPDX-License-Identifier: MIT */
/*
 * Does a stream on a file of a workspace do what one on a file of the host does, call by call?
 */
#include "beside_file.h"

#define HISTORY 400

static const char *const modes[] = {"r",   "w",   "a",  "r+",  "w+", "a+",   "rb",
									"wb+", "a+b", "wx", "w+x", "ax", "abx+", "rbe"};

/** Does the steps one after the other, and asks for the position after each. */
static void run_script(struct pair *pair, const struct step *steps, size_t count)
{
	static struct outcome outcome;
	const struct step tell = {CALL_TELL, 0};

	for (size_t i = 0; i < count; i++) {
		if (!pair_step(pair, &steps[i], &outcome) || !pair_step(pair, &tell, &outcome)) {
			print_error("at step %zu\n", i);
			fail();
		}
	}
}

#define RUN_SCRIPT(pair, steps) run_script(pair, steps, COUNT_OF(steps))

static void each_mode_opens_makes_empties_and_refuses_alike(void **state)
{
	const struct step tell = {CALL_TELL, 0};
	struct outcome outcome;
	struct pair pair;

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		for (int exists = 0; exists < 2; exists++) {
			pair_begin(&pair, *state);
			if (exists) {
				pair_fill(&pair, "0123456789", 10);
			}
			if (pair_open(&pair, modes[i])) {
				assert_true(pair_step(&pair, &tell, &outcome));
				pair_close(&pair);
			}
			pair_end(&pair);
		}
	}
}

static void appends_go_to_the_end_wherever_the_stream_stands(void **state)
{
	static const struct step steps[] = {
		{CALL_SEEK_SET, 2}, {CALL_WRITE, 3},    {CALL_SEEK_SET, 0},  {CALL_PUTC, 'x'},
		{CALL_FLUSH, 0},    {CALL_SEEK_CUR, 0}, {CALL_SEEK_END, -4}, {CALL_READ, 3},
		{CALL_FLUSH, 0},    {CALL_PUTS, 20},    {CALL_REWIND, 0},    {CALL_READ, 100},
		{CALL_PUTC, 'y'},   {CALL_SEEK_SET, 5}, {CALL_GETC, 0},
	};
	static const char *const appending[] = {"a", "a+"};
	struct pair pair;

	for (size_t i = 0; i < COUNT_OF(appending); i++) {
		pair_begin(&pair, *state);
		pair_fill(&pair, "0123456789", 10);
		assert_true(pair_open(&pair, appending[i]));
		RUN_SCRIPT(&pair, steps);
		pair_close(&pair);
		pair_end(&pair);
	}
}

static void a_write_behind_the_end_leaves_zeros(void **state)
{
	static const struct step steps[] = {
		{CALL_SEEK_END, 10},    {CALL_PUTC, 'x'},      {CALL_SEEK_SET, 20000}, {CALL_WRITE, 5000},
		{CALL_SEEK_CUR, 10000}, {CALL_PUTC, 'y'},      {CALL_SEEK_SET, 50000}, {CALL_GETC, 0},
		{CALL_SEEK_SET, 9},     {CALL_READ, STEP_MAX}, {CALL_SEEK_END, 1},
	};
	struct pair pair;

	pair_begin(&pair, *state);
	pair_fill(&pair, "0123456789", 10);
	assert_true(pair_open(&pair, "r+"));
	RUN_SCRIPT(&pair, steps);
	pair_close(&pair);
	pair_end(&pair);
}

static void positions_past_31_and_32_bits_are_kept(void **state)
{
	static const struct step steps[] = {
		{CALL_SEEK_SET, INT64_C(3) << 30},
		{CALL_GETC, 0},
		{CALL_SEEK_CUR, INT64_C(5) << 30},
		{CALL_GETPOS, 0},
		{CALL_REWIND, 0},
		{CALL_GETC, 0},
		{CALL_SETPOS, 0},
		{CALL_SEEK_CUR, -1},
		{CALL_READ, 10},
		{CALL_SEEK_END, INT64_C(7) << 30},
		{CALL_SEEK_CUR, -(INT64_C(7) << 30) - 2},
		{CALL_READ, 10},
	};
	struct pair pair;

	pair_begin(&pair, *state);
	pair_fill(&pair, "0123456789", 10);
	assert_true(pair_open(&pair, "r"));
	RUN_SCRIPT(&pair, steps);
	pair_close(&pair);
	pair_end(&pair);
}

static void positions_that_are_none_are_refused(void **state)
{
	static const struct step steps[] = {
		{CALL_SEEK_SET, 4},   {CALL_SEEK_SET, -1},  {CALL_SEEK_CUR, -5},
		{CALL_SEEK_END, -11}, {CALL_GETC, 0},       {CALL_SEEK_SET, INT64_MIN},
		{CALL_SEEK_CUR, -6},  {CALL_SEEK_END, -10}, {CALL_GETC, 0},
	};
	struct pair pair;

	pair_begin(&pair, *state);
	pair_fill(&pair, "0123456789", 10);
	assert_true(pair_open(&pair, "r+"));
	RUN_SCRIPT(&pair, steps);
	pair_close(&pair);
	pair_end(&pair);
}

/* The host's largest position depends on its filesystem, so this is not compared. */
static void a_position_past_the_largest_is_refused_and_the_stream_stays(void **state)
{
	mfs *fs = *state;
	FILE *f = NULL;

	make_text(fs, "/f", "0123456789");
	f = mfs_fopen(fs, "/f", "r+");
	assert_non_null(f);
	assert_int_equal(fseeko(f, 4, SEEK_SET), 0);
	errno = 0;
	assert_int_equal(fseeko(f, INT64_MAX, SEEK_END), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(ftello(f), 4);
	assert_int_equal(fgetc(f), '4');
	assert_int_equal(fclose(f), 0);
}

static void a_stream_that_reads_and_writes_knows_where_it_is(void **state)
{
	static const struct step steps[] = {
		{CALL_GETC, 0},      {CALL_SEEK_SET, 3}, {CALL_PUTS, 2},      {CALL_SEEK_CUR, 0},
		{CALL_GETC, 0},      {CALL_SEEK_CUR, 0}, {CALL_PUTC, 'x'},    {CALL_SEEK_CUR, -2},
		{CALL_GETC, 0},      {CALL_FLUSH, 0},    {CALL_PUTC, 'y'},    {CALL_GETPOS, 0},
		{CALL_SEEK_CUR, 1},  {CALL_GETC, 0},     {CALL_SETPOS, 0},    {CALL_READ, 2},
		{CALL_SEEK_END, -1}, {CALL_PUTS, 5},     {CALL_SEEK_CUR, -5}, {CALL_LINE, 0},
	};
	struct pair pair;

	pair_begin(&pair, *state);
	pair_fill(&pair, "0123456789", 10);
	assert_true(pair_open(&pair, "r+"));
	RUN_SCRIPT(&pair, steps);
	pair_close(&pair);
	pair_end(&pair);
}

static void pushed_back_characters_are_read_and_forgotten(void **state)
{
	static const struct step steps[] = {
		{CALL_GETC, 0},     {CALL_UNGETC, 'Z'}, {CALL_GETC, 0},     {CALL_UNGETC, 'Y'},
		{CALL_SEEK_CUR, 0}, {CALL_GETC, 0},     {CALL_UNGETC, 'X'}, {CALL_SEEK_CUR, 2},
		{CALL_GETC, 0},     {CALL_UNGETC, 'W'}, {CALL_REWIND, 0},   {CALL_GETC, 0},
		{CALL_READ, 100},   {CALL_UNGETC, 'V'}, {CALL_GETC, 0},     {CALL_GETC, 0},
		{CALL_SEEK_SET, 5}, {CALL_UNGETC, '5'}, {CALL_LINE, 0},
	};
	struct pair pair;

	pair_begin(&pair, *state);
	pair_fill(&pair, "0123456789", 10);
	assert_true(pair_open(&pair, "r"));
	RUN_SCRIPT(&pair, steps);
	pair_close(&pair);
	pair_end(&pair);
}

static void the_end_and_errors_are_told_until_they_are_cleared(void **state)
{
	static const struct step reading[] = {
		{CALL_READ, 11}, {CALL_GETC, 0},   {CALL_CLEAR, 0}, {CALL_GETC, 0},   {CALL_SEEK_SET, 10},
		{CALL_GETC, 0},  {CALL_PUTC, 'x'}, {CALL_GETC, 0},  {CALL_CLEAR, 0},  {CALL_REWIND, 0},
		{CALL_GETC, 0},  {CALL_WRITE, 3},  {CALL_FLUSH, 0}, {CALL_REWIND, 0}, {CALL_GETC, 0},
	};
	static const struct step writing[] = {
		{CALL_PUTC, 'x'}, {CALL_GETC, 0}, {CALL_PUTC, 'y'}, {CALL_CLEAR, 0},
		{CALL_READ, 5},   {CALL_LINE, 0}, {CALL_REWIND, 0}, {CALL_SCAN, 0},
	};
	struct pair pair;

	pair_begin(&pair, *state);
	pair_fill(&pair, "0123456789", 10);
	assert_true(pair_open(&pair, "r"));
	RUN_SCRIPT(&pair, reading);
	pair_close(&pair);
	assert_true(pair_open(&pair, "w"));
	RUN_SCRIPT(&pair, writing);
	pair_close(&pair);
	pair_end(&pair);
}

static void a_flush_of_a_reading_stream_takes_back_what_was_read_ahead(void **state)
{
	static const struct step steps[] = {
		{CALL_GETC, 0},  {CALL_FLUSH, 0}, {CALL_GETC, 0},      {CALL_FLUSH, 0}, {CALL_PUTC, 'x'},
		{CALL_FLUSH, 0}, {CALL_GETC, 0},  {CALL_SEEK_CUR, -2}, {CALL_GETC, 0},
	};
	struct pair pair;

	pair_begin(&pair, *state);
	pair_fill(&pair, "0123456789", 10);
	assert_true(pair_open(&pair, "r+"));
	RUN_SCRIPT(&pair, steps);
	pair_close(&pair);
	pair_end(&pair);
}

/* With one buffer's size, both write at the same calls. */
static void what_is_not_written_yet_depends_on_the_buffering_alike(void **state)
{
	static const int types[] = {_IOFBF, _IOLBF, _IONBF};
	static const struct step steps[] = {
		{CALL_PUTC, 'x'}, {CALL_PRINT, 5},   {CALL_WRITE, 70}, {CALL_PUTS, 11}, {CALL_PUTC, '\n'},
		{CALL_PUTC, 'y'}, {CALL_WRITE, 500}, {CALL_PUTC, 'z'}, {CALL_FLUSH, 0}, {CALL_PUTC, '!'},
	};
	static char buffers[2][STEP_MAX];
	static struct outcome outcome;
	struct pair pair;

	for (size_t i = 0; i < COUNT_OF(types); i++) {
		pair_begin(&pair, *state);
		assert_true(pair_open(&pair, "w"));
		pair_buffer(&pair, types[i], buffers, 64);
		for (size_t step = 0; step < COUNT_OF(steps); step++) {
			assert_true(pair_step(&pair, &steps[step], &outcome));
			assert_true(pair_is_same(&pair));
		}
		pair_close(&pair);
		pair_end(&pair);
	}
}

/* Two pairs on one file: what one stream writes the other one reads, as soon as it is written. */
static void two_streams_on_one_file_see_each_other_as_descriptors_do(void **state)
{
	struct rng rng = {31};
	struct pair pair;
	struct side other_host = {0};
	struct side other_mine = {0};
	static struct outcome host;
	static struct outcome mine;

	pair_begin(&pair, *state);
	pair_fill(&pair, "0123456789", 10);
	for (int round = 0; round < 30; round++) {
		const char *mode = round % 3 == 0 ? "a+" : "r+";

		assert_true(pair_open(&pair, "r+"));
		other_host.stream = fopen(pair.host_path, mode);
		other_mine.stream = mfs_fopen(pair.fs, "/f", mode);
		assert_non_null(other_host.stream);
		assert_non_null(other_mine.stream);
		assert_int_equal(setvbuf(pair.host.stream, NULL, _IONBF, 0), 0);
		assert_int_equal(setvbuf(pair.mine.stream, NULL, _IONBF, 0), 0);
		assert_int_equal(setvbuf(other_host.stream, NULL, _IONBF, 0), 0);
		assert_int_equal(setvbuf(other_mine.stream, NULL, _IONBF, 0), 0);
		for (int i = 0; i < 60; i++) {
			static const enum call calls[] = {CALL_READ, CALL_WRITE, CALL_GETC, CALL_PRINT,
											  CALL_LINE};
			const struct step seek = {CALL_SEEK_SET, (int64_t)rng_below(&rng, 300)};
			const struct step step = {calls[rng_below(&rng, COUNT_OF(calls))],
									  (int64_t)rng_below(&rng, 200)};

			if (rng_below(&rng, 2) == 0) {
				assert_true(pair_step(&pair, &seek, &mine));
				assert_true(pair_step(&pair, &step, &mine));
				continue;
			}
			side_step(&other_host, &seek, &host);
			side_step(&other_mine, &seek, &mine);
			side_step(&other_host, &step, &host);
			side_step(&other_mine, &step, &mine);
			assert_int_equal(host.value, mine.value);
			assert_int_equal(host.length, mine.length);
			assert_memory_equal(host.data, mine.data, host.length);
		}
		assert_int_equal(fclose(other_host.stream), 0);
		assert_int_equal(fclose(other_mine.stream), 0);
		pair_close(&pair);
	}
	pair_end(&pair);
}

/*
 * Random steps
 */

struct walk {
	struct pair pair;
	const char *mode;
	struct rng rng;
	struct step history[HISTORY];
	size_t steps;
	bool reads; /* the last step read: a write needs a seek before it */
	bool writes;
	bool has_read;        /* one character, so that there is room for one that is pushed back */
	bool has_pushed_back; /* fflush() does not know what to do then */
};

static int64_t random_size(struct rng *rng)
{
	static const size_t bounds[] = {3, 30, 300, STEP_MAX};

	return (int64_t)rng_below(rng, bounds[rng_below(rng, COUNT_OF(bounds))]);
}

static struct step random_step(struct rng *rng)
{
	struct step step = {(enum call)rng_below(rng, CALL_COUNT), random_size(rng)};

	switch (step.call) {
	case CALL_PUTC:
	case CALL_UNGETC:
	case CALL_DELIM:
		step.number = 'a' + step.number % 26;
		break;
	case CALL_GETS:
		step.number += 2;
		break;
	case CALL_SEEK_CUR:
	case CALL_SEEK_END:
		step.number -= (int64_t)rng_below(rng, STEP_MAX / 2);
		break;
	default:
		break;
	}
	return step;
}

static void walk_fails(const struct walk *walk)
{
	size_t first = walk->steps > HISTORY ? walk->steps - HISTORY : 0;

	print_error("mode %s, after these:\n", walk->mode);
	for (size_t i = first; i < walk->steps; i++) {
		print_error("  %s %" PRId64 "\n", call_name(walk->history[i % HISTORY].call),
					walk->history[i % HISTORY].number);
	}
	fail();
}

static void walk_step(struct walk *walk, struct step step)
{
	static struct outcome outcome;

	walk->history[walk->steps++ % HISTORY] = step;
	if (!pair_step(&walk->pair, &step, &outcome)) {
		walk_fails(walk);
	}
	if (step.call == CALL_UNGETC) {
		walk->has_pushed_back = true;
	} else if (step.call == CALL_GETC || (outcome.value == 0 && is_seek(step.call))) {
		walk->has_pushed_back = false;
	}
	walk->has_read = step.call == CALL_GETC && outcome.value >= 0;
	if (is_read(step.call) || step.call == CALL_UNGETC) {
		walk->reads = !outcome.eof || step.call == CALL_UNGETC;
		walk->writes = false;
	} else if (is_write(step.call)) {
		walk->reads = false;
		walk->writes = true;
	} else if (outcome.value == 0 && (is_seek(step.call) || step.call == CALL_FLUSH)) {
		walk->reads = false;
		walk->writes = false;
	}
}

/* A step, and before it what the standard asks for between reading and writing. */
static void random_walk_step(struct walk *walk)
{
	struct step step = random_step(&walk->rng);
	/* There is room for one character, but not where fscanf() has pushed back its own. */
	if (step.call == CALL_UNGETC && !walk->has_read) {
		step.call = CALL_GETC;
	}
	if (step.call == CALL_SETPOS && !walk->pair.mine.has_position) {
		step.call = CALL_GETPOS;
	}
	if (step.call == CALL_FLUSH && walk->has_pushed_back) {
		step = (struct step){CALL_SEEK_CUR, 0};
	}
	bool turns = (is_write(step.call) && walk->reads) ||
				 ((is_read(step.call) || step.call == CALL_UNGETC) && walk->writes);

	if (turns) {
		const struct step turn = {
			walk->has_pushed_back || rng_below(&walk->rng, 2) == 0 ? CALL_SEEK_CUR : CALL_FLUSH, 0};

		walk_step(walk, turn);
	}
	walk_step(walk, step);
}

static void random_walk(mfs *fs, const char *mode, uint64_t seed, size_t steps)
{
	static struct walk walk;
	static char buffers[2][STEP_MAX];
	static const int types[] = {_IOFBF, _IOLBF, _IONBF};
	char content[STEP_MAX];

	memset(&walk, 0, sizeof(walk));
	walk.mode = mode;
	walk.rng.state = seed;
	pair_begin(&walk.pair, fs);
	if (strchr(mode, 'x') == NULL) {
		size_t size = (size_t)random_size(&walk.rng);

		for (size_t i = 0; i < size; i++) {
			content[i] = "0123 ab\nc"[rng_below(&walk.rng, 9)];
		}
		pair_fill(&walk.pair, content, size);
	}
	assert_true(pair_open(&walk.pair, mode));
	if (rng_below(&walk.rng, 3) > 0) {
		pair_buffer(&walk.pair, types[rng_below(&walk.rng, COUNT_OF(types))], buffers,
					1 + rng_below(&walk.rng, rng_below(&walk.rng, 2) == 0 ? 40 : STEP_MAX));
	}
	for (size_t i = 0; i < steps; i++) {
		random_walk_step(&walk);
	}
	const struct step flush = {CALL_FLUSH, 0};
	walk_step(&walk, flush);
	if (!pair_is_same(&walk.pair)) {
		walk_fails(&walk);
	}
	pair_close(&walk.pair);
	pair_end(&walk.pair);
}

static void random_calls_have_the_same_results_in_all_modes(void **state)
{
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		for (uint64_t seed = 1; seed <= 25; seed++) {
			random_walk(*state, modes[i], seed + 1000 * i, 150);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(each_mode_opens_makes_empties_and_refuses_alike),
		WORKSPACE_TEST(appends_go_to_the_end_wherever_the_stream_stands),
		WORKSPACE_TEST(a_write_behind_the_end_leaves_zeros),
		WORKSPACE_TEST(positions_past_31_and_32_bits_are_kept),
		WORKSPACE_TEST(positions_that_are_none_are_refused),
		WORKSPACE_TEST(a_position_past_the_largest_is_refused_and_the_stream_stays),
		WORKSPACE_TEST(a_stream_that_reads_and_writes_knows_where_it_is),
		WORKSPACE_TEST(pushed_back_characters_are_read_and_forgotten),
		WORKSPACE_TEST(the_end_and_errors_are_told_until_they_are_cleared),
		WORKSPACE_TEST(a_flush_of_a_reading_stream_takes_back_what_was_read_ahead),
		WORKSPACE_TEST(what_is_not_written_yet_depends_on_the_buffering_alike),
		WORKSPACE_TEST(two_streams_on_one_file_see_each_other_as_descriptors_do),
		WORKSPACE_TEST(random_calls_have_the_same_results_in_all_modes),
	};

	return cmocka_run_group_tests_name("stdio beside a file", tests, NULL, NULL);
}
