/* SPDX-License-Identifier: MIT */
/*
 * Does a program that is given a file of a workspace as a descriptor read what it should, by path
 * and by number, can it do no harm with it, does nobody else get it, and does what it writes come
 * back?
 *
 * The programs are this one: with arguments it is a child, see main().
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* How a child ends that could not do what it was asked for. */
enum { CHILD_FAILED = 100 };

/*
 * Children
 */

static uint64_t sum_of(const unsigned char *bytes, size_t size)
{
	uint64_t sum = size;

	for (; size >= sizeof(sum); bytes += sizeof(sum), size -= sizeof(sum)) {
		uint64_t word;

		memcpy(&word, bytes, sizeof(word));
		sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 29;
	}
	for (; size > 0; bytes++, size--) {
		sum = (sum ^ *bytes) * UINT64_C(0x9e3779b97f4a7c15);
	}
	return sum;
}

static int child_prints(const unsigned char *bytes, size_t size)
{
	return printf("%zu %016llx\n", size, (unsigned long long)sum_of(bytes, size)) < 0;
}

/* Reads a descriptor from its position to its end. */
static int child_reads(int fd)
{
	const size_t room = 256 * MIB;
	unsigned char *bytes = malloc(room);
	size_t size = 0;
	ssize_t part = 1;

	while (bytes != NULL && part > 0 && size < room) {
		part = read(fd, bytes + size, room - size);
		size += part > 0 ? (size_t)part : 0;
	}
	int failed = bytes == NULL || part != 0 || child_prints(bytes, size);
	free(bytes);
	return failed;
}

static int child_reads_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 || child_reads(fd) || close(fd) != 0;
}

static int child_reads_stream(const char *path)
{
	FILE *stream = fopen(path, "rbe");
	unsigned char bytes[4096];
	size_t size = 0;

	if (stream == NULL) {
		return 1;
	}
	size = fread(bytes, 1, sizeof(bytes), stream);
	return fclose(stream) != 0 || child_prints(bytes, size);
}

static int child_maps(int fd)
{
	struct stat status;
	void *bytes = MAP_FAILED;

	if (fstat(fd, &status) == 0) {
		bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
	}
	return bytes == MAP_FAILED || child_prints(bytes, (size_t)status.st_size) ||
		   munmap(bytes, (size_t)status.st_size) != 0;
}

/* Prints what a child can change with a descriptor: a letter for each way that is open. */
static int child_tries_to_write(int fd, const char *path)
{
	struct stat status;
	char open_ways[8] = "";
	size_t count = 0;
	int again = open(path, O_RDWR | O_CLOEXEC);
	void *mapping = MAP_FAILED;

	if (again < 0 || fstat(fd, &status) != 0) {
		return 1;
	}
	if (pwrite(fd, "x", 1, 0) >= 0 || errno != EPERM) {
		open_ways[count++] = 'w';
	}
	if (pwrite(again, "x", 1, 0) >= 0 || errno != EPERM) {
		open_ways[count++] = 'W';
	}
	if (ftruncate(again, 0) == 0 || errno != EPERM) {
		open_ways[count++] = 's';
	}
	if (ftruncate(again, status.st_size + 1) == 0 || errno != EPERM) {
		open_ways[count++] = 'g';
	}
	if (open(path, O_WRONLY | O_TRUNC | O_CLOEXEC) >= 0 || errno != EPERM) {
		open_ways[count++] = 't';
	}
	mapping = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);
	if (mapping != MAP_FAILED || errno != EPERM) {
		open_ways[count++] = 'm';
	}
	if (fcntl(again, F_ADD_SEALS, F_SEAL_SHRINK) == 0 || errno != EPERM) {
		open_ways[count++] = 'a';
	}
	return printf("[%s]\n", open_ways) < 0 || close(again) != 0;
}

/* Prints the numbers of its descriptors that are memory. */
static int child_lists_memory(void)
{
	for (int fd = 0; fd < 1024; fd++) {
		char link[64];
		char target[64] = "";

		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		if (readlink(link, target, sizeof(target) - 1) > 0 && strncmp(target, "/memfd:", 7) == 0 &&
			printf("%d ", fd) < 0) {
			return 1;
		}
	}
	return 0;
}

static int child_copies(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);
	char bytes[4096];
	ssize_t part = 1;

	while (in >= 0 && out >= 0 && part > 0) {
		part = read(in, bytes, sizeof(bytes));
		if (part > 0 && write(out, bytes, (size_t)part) != part) {
			part = -1;
		}
	}
	return part != 0 || close(in) != 0 || close(out) != 0;
}

/* Writes without an end, until nobody listens. */
static int child_floods(void)
{
	static const char bytes[8192];
	ssize_t part = 1;

	while (part > 0) {
		part = write(STDOUT_FILENO, bytes, sizeof(bytes));
	}
	return 1;
}

static int child_run(char *const arguments[])
{
	const char *what = arguments[0];
	const char *path = arguments[1];
	int fd = -1;

	if (strcmp(what, "floods") == 0) {
		return child_floods();
	}
	if (strcmp(what, "lists memory") == 0) {
		return child_lists_memory();
	}
	if (strcmp(what, "reads input") == 0) {
		return child_reads(STDIN_FILENO);
	}
	if (path == NULL) {
		return 1;
	}
	fd = (int)strtol(strrchr(path, '/') + 1, NULL, 10);
	if (strcmp(what, "waits, reads path") == 0) {
		return read(STDIN_FILENO, &(char){0}, 1) != 1 || child_reads_path(path);
	}
	if (strcmp(what, "reads path") == 0) {
		return child_reads_path(path);
	}
	if (strcmp(what, "reads stream") == 0) {
		return child_reads_stream(path);
	}
	if (strcmp(what, "reads number") == 0) {
		return child_reads(fd);
	}
	if (strcmp(what, "maps") == 0) {
		return child_maps(fd);
	}
	if (strcmp(what, "tries to write") == 0) {
		return child_tries_to_write(fd, path);
	}
	if (strcmp(what, "lists memory, reads path") == 0) {
		return child_lists_memory() || child_reads_path(path);
	}
	if (strcmp(what, "copies") == 0 && arguments[2] != NULL) {
		return child_copies(path, arguments[2]);
	}
	return 1;
}

/*
 * Their parent. What is not an assertion may be used by any thread.
 */

/* A child, and the ends of the pipes to its input and from its output. */
struct child {
	pid_t id;
	int input;
	int output;
};

struct path {
	char text[32];
};

static struct path path_of(int fd)
{
	struct path path;

	(void)snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
	return path;
}

/* Starts a child that keeps two descriptors, each of which may be -1. */
static bool child_start(struct child *child, const char *what, int fd, int other)
{
	posix_spawn_file_actions_t actions;
	struct path path = path_of(fd);
	struct path other_path = path_of(other);
	char *const arguments[] = {"test_hand_over", (char *)what, path.text,
							   other >= 0 ? other_path.text : NULL, NULL};
	int input[2];
	int output[2];

	if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0 ||
		posix_spawn_file_actions_init(&actions) != 0) {
		return false;
	}
	bool done = posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO) == 0 &&
				posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO) == 0 &&
				(fd < 0 || posix_spawn_file_actions_adddup2(&actions, fd, fd) == 0) &&
				(other < 0 || posix_spawn_file_actions_adddup2(&actions, other, other) == 0) &&
				posix_spawn(&child->id, "/proc/self/exe", &actions, NULL, arguments, environ) == 0;
	child->input = input[1];
	child->output = output[0];
	return posix_spawn_file_actions_destroy(&actions) == 0 && close(input[0]) == 0 &&
		   close(output[1]) == 0 && done;
}

/* Waits for the end of a child. Returns its exit code, or -1 less a signal's number. */
static int child_end(const struct child *child)
{
	int status = 0;

	if (waitpid(child->id, &status, 0) != child->id) {
		return CHILD_FAILED;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1 - WTERMSIG(status);
}

/* Takes what a child prints, up to its end. Returns whether it has succeeded. */
static bool child_answer(struct child *child, char *answer, size_t room)
{
	size_t size = 0;
	ssize_t part = 1;

	while (part > 0 && size < room - 1) {
		part = read(child->output, answer + size, room - 1 - size);
		size += part > 0 ? (size_t)part : 0;
	}
	answer[size] = '\0';
	return part == 0 && close(child->output) == 0 && close(child->input) == 0 &&
		   child_end(child) == 0;
}

static struct child start(const char *what, int fd)
{
	struct child child;

	assert_true(child_start(&child, what, fd, -1));
	return child;
}

static void assert_answer(struct child *child, const char *expected)
{
	char answer[128];

	assert_true(child_answer(child, answer, sizeof(answer)));
	assert_string_equal(answer, expected);
}

/* The answer is what these bytes add up to. */
static void assert_sum(struct child *child, const unsigned char *bytes, size_t size)
{
	char expected[64];

	(void)snprintf(expected, sizeof(expected), "%zu %016llx\n", size,
				   (unsigned long long)sum_of(bytes, size));
	assert_answer(child, expected);
}

static void close_fd(int fd)
{
	assert_int_equal(close(fd), 0);
}

static unsigned char *pattern(size_t size, uint64_t seed)
{
	struct rng rng = {seed};
	unsigned char *bytes = allocate(size);

	rng_fill(&rng, bytes, size);
	return bytes;
}

static int export_file(mfs *fs, const char *path)
{
	int fd = mfs_export_fd(fs, path);

	assert_true(fd > STDERR_FILENO);
	return fd;
}

/*
 * What a child reads
 */

static void a_child_reads_by_path_and_by_number_and_by_mapping(void **state)
{
	mfs *fs = *state;
	const size_t sizes[] = {1, 100, 4096, 3 * MIB + 5};
	const char *const ways[] = {"reads path", "reads number", "maps"};

	for (size_t i = 0; i < COUNT_OF(sizes) * COUNT_OF(ways); i++) {
		size_t size = sizes[i / COUNT_OF(ways)];
		unsigned char *bytes = pattern(size, i + 1);

		make_file(fs, "/f", bytes, size);
		int fd = export_file(fs, "/f");
		struct child child = start(ways[i % COUNT_OF(ways)], fd);
		assert_sum(&child, bytes, size);
		close_fd(fd);
		free(bytes);
	}
}

static void a_child_reads_a_stream(void **state)
{
	mfs *fs = *state;

	make_text(fs, "/f", "some text");
	int fd = export_file(fs, "/f");
	struct child child = start("reads stream", fd);
	assert_sum(&child, (const unsigned char *)"some text", 9);
	close_fd(fd);
}

static void an_empty_file_is_empty(void **state)
{
	mfs *fs = *state;

	make_text(fs, "/f", "");
	int fd = export_file(fs, "/f");
	struct child child = start("reads path", fd);
	assert_sum(&child, (const unsigned char *)"", 0);
	close_fd(fd);
}

static void a_large_file_is_read_whole(void **state)
{
	mfs *fs = *state;
	const size_t size = 48 * MIB + 3;
	unsigned char *bytes = pattern(size, 1);

	make_file(fs, "/f", bytes, size);
	int fd = export_file(fs, "/f");
	struct child one = start("maps", fd);
	struct child other = start("reads path", fd);
	assert_sum(&one, bytes, size);
	assert_sum(&other, bytes, size);
	close_fd(fd);
	free(bytes);
}

static void a_path_begins_at_the_start_and_a_number_where_others_are(void **state)
{
	mfs *fs = *state;
	const unsigned char *text = (const unsigned char *)"ten bytes.";
	struct child child;

	make_file(fs, "/f", text, 10);
	int fd = export_file(fs, "/f");
	assert_int_equal(lseek(fd, 4, SEEK_SET), 4);
	child = start("reads number", fd);
	assert_sum(&child, text + 4, 6);
	/* It has read to the end, for everybody with this number. */
	child = start("reads number", fd);
	assert_sum(&child, text, 0);
	child = start("reads path", fd);
	assert_sum(&child, text, 10);
	close_fd(fd);
}

static void a_child_that_runs_sees_nothing_of_later_changes(void **state)
{
	mfs *fs = *state;
	const size_t size = 3 * MIB;
	unsigned char *bytes = pattern(size, 1);
	mfs_file *file;

	make_file(fs, "/f", bytes, size);
	int fd = export_file(fs, "/f");
	struct child child = start("waits, reads path", fd);
	file = open_file(fs, "/f", "r+b");
	assert_code(mfs_pwrite(file, "changed", 7, 0), 7);
	assert_code(mfs_pwrite(file, "changed", 7, 2 * (int64_t)MIB), 7);
	assert_code(mfs_truncate(file, 2 * (int64_t)MIB + 100), 0);
	close_file(file);
	assert_int_equal(write(child.input, "x", 1), 1);
	assert_sum(&child, bytes, size);
	close_fd(fd);
	free(bytes);
}

static void what_a_child_has_outlives_file_and_workspace(void **state)
{
	mfs *fs = new_plain_workspace(64 * MIB);
	unsigned char *bytes = pattern(5 * MIB, 1);

	(void)state;
	make_file(fs, "/f", bytes, 5 * MIB);
	int fd = export_file(fs, "/f");
	struct child child = start("waits, reads path", fd);
	close_fd(fd);
	assert_code(mfs_remove(fs, "/f"), 0);
	assert_int_equal(used_bytes(fs), 0);
	free_workspace(fs);
	assert_int_equal(write(child.input, "x", 1), 1);
	assert_sum(&child, bytes, 5 * MIB);
	free(bytes);
}

static void no_child_can_change_it(void **state)
{
	mfs *fs = *state;

	make_text(fs, "/f", "as it is");
	int fd = export_file(fs, "/f");
	struct child child = start("tries to write", fd);
	assert_answer(&child, "[]\n");
	/* Nor can its owner. */
	assert_int_equal(write(fd, "x", 1), -1);
	child = start("reads path", fd);
	assert_sum(&child, (const unsigned char *)"as it is", 8);
	assert_text(fs, "/f", "as it is");
	close_fd(fd);
}

static void a_forked_child_that_keeps_it_reads_it(void **state)
{
	mfs *fs = *state;

	make_text(fs, "/f", "forked");
	int fd = export_file(fs, "/f");
	struct path path = path_of(fd);
	char *const arguments[] = {"test_hand_over", "reads path", path.text, NULL};
	int output[2];
	struct child child = {.input = open("/dev/null", O_RDONLY | O_CLOEXEC)};

	assert_int_equal(pipe2(output, O_CLOEXEC), 0);
	child.id = fork();
	if (child.id == 0) {
		if (fcntl(fd, F_SETFD, 0) == 0 && dup2(output[1], STDOUT_FILENO) == STDOUT_FILENO) {
			(void)execv("/proc/self/exe", arguments);
		}
		_exit(CHILD_FAILED);
	}
	child.output = output[0];
	close_fd(output[1]);
	assert_sum(&child, (const unsigned char *)"forked", 6);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close_fd(fd);
}

/*
 * Who has it
 */

static void only_the_child_that_is_to_have_it_has_it(void **state)
{
	mfs *fs = *state;
	char expected[16];

	make_text(fs, "/one", "1");
	make_text(fs, "/two", "2");
	int one = export_file(fs, "/one");
	int two = export_file(fs, "/two");
	struct child child = start("lists memory", -1);
	assert_answer(&child, "");
	child = start("lists memory", two);
	(void)snprintf(expected, sizeof(expected), "%d ", two);
	assert_answer(&child, expected);
	/* Here it is as before. */
	assert_int_equal(fcntl(one, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(two, F_GETFD), FD_CLOEXEC);
	close_fd(one);
	close_fd(two);
}

enum { OWNERS = 4, HAND_OVERS = 10 };

/* A thread that hands files over to children, one after the other. */
struct owner {
	mfs *fs;
	unsigned number;
	pthread_barrier_t *barrier;
	int failures; /* valid once joined */
	pthread_t thread;
};

static bool hands_over(struct owner *owner, unsigned round)
{
	enum { MOST = 40000 };
	const size_t size = 1000 + 7777 * (size_t)owner->number + round;
	struct rng rng = {1 + owner->number * 1000 + round};
	unsigned char bytes[MOST];
	mfs_file *file = NULL;
	struct child child;
	char path[32];
	char expected[96];
	char answer[96];

	rng_fill(&rng, bytes, size);
	(void)snprintf(path, sizeof(path), "/%u", owner->number);
	bool done = mfs_open(owner->fs, path, "wb", &file) == 0 &&
				mfs_write(file, bytes, size) == (int64_t)size && mfs_close(file) == 0;
	int fd = mfs_export_fd(owner->fs, path);
	(void)snprintf(expected, sizeof(expected), "%d %zu %016llx\n", fd, size,
				   (unsigned long long)sum_of(bytes, size));
	/* All have one at this moment. */
	(void)pthread_barrier_wait(owner->barrier);
	return done && fd >= 0 && child_start(&child, "lists memory, reads path", fd, -1) &&
		   child_answer(&child, answer, sizeof(answer)) && strcmp(answer, expected) == 0 &&
		   close(fd) == 0;
}

static void *owner_run(void *argument)
{
	struct owner *owner = argument;

	for (unsigned round = 0; round < HAND_OVERS; round++) {
		owner->failures += !hands_over(owner, round);
	}
	return NULL;
}

static void threads_hand_over_at_once_and_nothing_gets_to_the_wrong_child(void **state)
{
	pthread_barrier_t barrier;
	struct owner owners[OWNERS];

	assert_int_equal(pthread_barrier_init(&barrier, NULL, OWNERS), 0);
	for (unsigned i = 0; i < OWNERS; i++) {
		owners[i] = (struct owner){.fs = *state, .number = i, .barrier = &barrier};
		owners[i].thread = start_thread(owner_run, &owners[i]);
	}
	for (unsigned i = 0; i < OWNERS; i++) {
		join_thread(owners[i].thread);
		assert_int_equal(owners[i].failures, 0);
	}
	assert_int_equal(pthread_barrier_destroy(&barrier), 0);
}

static void many_children_read_one_descriptor(void **state)
{
	mfs *fs = *state;
	unsigned char *bytes = pattern(MIB, 1);
	struct child children[8];

	make_file(fs, "/f", bytes, MIB);
	int fd = export_file(fs, "/f");
	for (size_t i = 0; i < COUNT_OF(children); i++) {
		children[i] = start("waits, reads path", fd);
	}
	/* They all run, and have their own. */
	close_fd(fd);
	for (size_t i = 0; i < COUNT_OF(children); i++) {
		assert_int_equal(write(children[i].input, "x", 1), 1);
	}
	for (size_t i = 0; i < COUNT_OF(children); i++) {
		assert_sum(&children[i], bytes, MIB);
	}
	free(bytes);
}

/*
 * What comes back
 */

static void what_a_child_prints_becomes_a_file(void **state)
{
	mfs *fs = *state;
	const size_t size = MIB + 5; /* many times what a pipe holds */
	unsigned char *bytes = pattern(size, 1);
	struct child child;
	mfs_file *file;

	make_file(fs, "/f", bytes, size);
	int fd = export_file(fs, "/f");
	/* Standard output by a path, as programs have it that want one. */
	assert_true(child_start(&child, "copies", fd, STDOUT_FILENO));
	close_fd(child.input);
	file = open_file(fs, "/back", "wb");
	assert_code(mfs_write_from_fd(file, 0, INT64_MAX, child.output), size);
	assert_code(mfs_write_from_fd(file, (int64_t)size, INT64_MAX, child.output), 0);
	close_file(file);
	close_fd(child.output);
	assert_int_equal(child_end(&child), 0);
	assert_file_holds(fs, "/back", bytes, size);
	close_fd(fd);
	free(bytes);
}

static void what_a_child_writes_to_a_path_becomes_a_file(void **state)
{
	mfs *fs = *state;
	const size_t size = 3 * MIB + 5;
	unsigned char *bytes = pattern(size, 1);
	struct child child;
	mfs_file *file;

	make_file(fs, "/f", bytes, size);
	int fd = export_file(fs, "/f");
	int to = memfd_create("output", MFD_CLOEXEC);
	assert_true(to >= 0);
	assert_true(child_start(&child, "copies", fd, to));
	assert_answer(&child, "");
	file = open_file(fs, "/back", "wb");
	assert_code(mfs_write_from_fd(file, 0, INT64_MAX, to), size);
	close_file(file);
	assert_file_holds(fs, "/back", bytes, size);
	close_fd(to);
	close_fd(fd);
	free(bytes);
}

static void a_child_that_prints_more_than_the_quota_is_stopped_by_its_pipe(void **state)
{
	mfs *fs = new_plain_workspace(MIB);
	mfs_file *file = open_file(fs, "/back", "wb");
	struct child child = start("floods", -1);
	int64_t at = 0;
	int64_t part = 0;

	(void)state;
	while ((part = mfs_write_from_fd(file, at, INT64_MAX, child.output)) > 0) {
		at += part;
	}
	assert_code(part, MFS_EQUOTA);
	assert_code(at, MIB);
	close_file(file);
	close_fd(child.output);
	close_fd(child.input);
	assert_int_equal(child_end(&child), -1 - SIGPIPE);
	free_workspace(fs);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(a_child_reads_by_path_and_by_number_and_by_mapping),
		WORKSPACE_TEST(a_child_reads_a_stream),
		WORKSPACE_TEST(an_empty_file_is_empty),
		WORKSPACE_TEST(a_large_file_is_read_whole),
		WORKSPACE_TEST(a_path_begins_at_the_start_and_a_number_where_others_are),
		WORKSPACE_TEST(a_child_that_runs_sees_nothing_of_later_changes),
		cmocka_unit_test(what_a_child_has_outlives_file_and_workspace),
		WORKSPACE_TEST(no_child_can_change_it),
		WORKSPACE_TEST(a_forked_child_that_keeps_it_reads_it),
		WORKSPACE_TEST(only_the_child_that_is_to_have_it_has_it),
		WORKSPACE_TEST(threads_hand_over_at_once_and_nothing_gets_to_the_wrong_child),
		WORKSPACE_TEST(many_children_read_one_descriptor),
		WORKSPACE_TEST(what_a_child_prints_becomes_a_file),
		WORKSPACE_TEST(what_a_child_writes_to_a_path_becomes_a_file),
		cmocka_unit_test(a_child_that_prints_more_than_the_quota_is_stopped_by_its_pipe),
	};

	if (argc > 1) {
		return child_run(argv + 1) != 0 ? CHILD_FAILED : 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
