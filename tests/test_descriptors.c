/* SPDX-License-Identifier: MIT */
/*
 * Do files come to descriptors of the host, and from them, byte for byte, and is nobody held up by
 * a call whose descriptor blocks?
 *
 * That a call blocks, and has what it needs, shows at its pipe: what was in it has been taken, or
 * something has come. From there on it waits for the test.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/*
 * Channels: what is written to one end comes out at the other
 */

enum kind { A_PIPE, SOCKETS, HOST_FILE, KINDS };

struct channel {
	int out; /* to read from */
	int in;  /* to write to */
};

static struct channel channel_new(enum kind kind)
{
	int ends[2] = {-1, -1};

	if (kind == A_PIPE) {
		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	} else if (kind == SOCKETS) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	} else {
		char path[64];

		ends[1] = memfd_create("a file of the host", MFD_CLOEXEC);
		assert_true(ends[1] >= 0);
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[1]);
		/* With a position of its own. */
		ends[0] = open(path, O_RDONLY | O_CLOEXEC);
	}
	assert_true(ends[0] >= 0);
	return (struct channel){ends[0], ends[1]};
}

static void close_fd(int fd)
{
	assert_int_equal(close(fd), 0);
}

static void channel_close(struct channel *channel)
{
	close_fd(channel->out);
	close_fd(channel->in);
}

static void set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	assert_true(flags >= 0);
	assert_int_equal(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
}

/** Bytes that wait in a pipe. */
static size_t bytes_in(int fd)
{
	int count = -1;

	assert_int_equal(ioctl(fd, FIONREAD, &count), 0);
	assert_true(count >= 0);
	return (size_t)count;
}

static void put(int fd, const void *bytes, size_t size)
{
	assert_int_equal(write(fd, bytes, size), size);
}

/** A thread that writes all of its bytes, then closes the descriptor. */
struct feeder {
	int fd;
	const unsigned char *bytes;
	size_t size;
	bool failed; /* valid once joined */
	pthread_t thread;
};

static void *feeder_run(void *argument)
{
	struct feeder *feeder = argument;

	for (size_t at = 0; at < feeder->size && !feeder->failed;) {
		ssize_t part = write(feeder->fd, feeder->bytes + at, feeder->size - at);

		feeder->failed = part <= 0;
		at += part > 0 ? (size_t)part : 0;
	}
	feeder->failed |= close(feeder->fd) != 0;
	return NULL;
}

static void feeder_start(struct feeder *feeder, int fd, const void *bytes, size_t size)
{
	*feeder = (struct feeder){.fd = fd, .bytes = bytes, .size = size};
	feeder->thread = start_thread(feeder_run, feeder);
}

static void feeder_join(struct feeder *feeder)
{
	join_thread(feeder->thread);
	assert_false(feeder->failed);
}

/** A thread that reads until the end of the input, or all that there is room for. */
struct drain {
	int fd;
	unsigned char *bytes;
	size_t room;
	size_t size; /* valid once joined */
	bool failed; /* likewise */
	pthread_t thread;
};

static void *drain_run(void *argument)
{
	struct drain *drain = argument;

	while (drain->size < drain->room) {
		ssize_t part = read(drain->fd, drain->bytes + drain->size, drain->room - drain->size);

		if (part <= 0) {
			drain->failed = part < 0;
			break;
		}
		drain->size += (size_t)part;
	}
	return NULL;
}

static void drain_start(struct drain *drain, int fd, size_t room)
{
	*drain = (struct drain){.fd = fd, .bytes = allocate(room), .room = room};
	drain->thread = start_thread(drain_run, drain);
}

/** What came is exactly this. */
static void drain_join(struct drain *drain, const void *bytes, size_t size)
{
	join_thread(drain->thread);
	assert_false(drain->failed);
	assert_int_equal(drain->size, size);
	assert_memory_equal(drain->bytes, bytes, size);
	free(drain->bytes);
}

static unsigned char *pattern(size_t size, uint64_t seed)
{
	struct rng rng = {seed};
	unsigned char *bytes = allocate(size);

	rng_fill(&rng, bytes, size);
	return bytes;
}

/* Around the ends of chunks. */
static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 12 * KIB, 3 * MIB + 5};

/*
 * From files to descriptors
 */

static void check_read(mfs_file *file, const unsigned char *bytes, size_t size, int64_t offset,
					   int64_t wanted, enum kind kind)
{
	struct channel channel = channel_new(kind);
	size_t start = (uint64_t)offset < size ? (size_t)offset : size;
	size_t length = (uint64_t)wanted < size - start ? (size_t)wanted : size - start;
	struct drain drain;

	if (kind != HOST_FILE) {
		drain_start(&drain, channel.out, length + 1);
	}
	assert_code(mfs_read_to_fd(file, offset, wanted, channel.in), length);
	if (kind == HOST_FILE) {
		drain_start(&drain, channel.out, length + 1);
	}
	close_fd(channel.in);
	drain_join(&drain, bytes + start, length);
	close_fd(channel.out);
}

static void a_file_is_written_to_any_descriptor(void **state)
{
	mfs *fs = *state;
	const int64_t offsets[] = {0, 1, 4095, 4096, 5000, 2 * (int64_t)MIB, 9 * (int64_t)MIB};
	const int64_t wanted[] = {INT64_MAX, 0, 1, 5000};

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		unsigned char *bytes = pattern(sizes[i], i + 1);
		mfs_file *file;

		make_file(fs, "/f", bytes, sizes[i]);
		file = open_file(fs, "/f", "rb");
		for (size_t j = 0; j < COUNT_OF(offsets) * COUNT_OF(wanted) * KINDS; j++) {
			check_read(file, bytes, sizes[i], offsets[j / KINDS % COUNT_OF(offsets)],
					   wanted[j / KINDS / COUNT_OF(offsets)], (enum kind)(j % KINDS));
		}
		assert_code(mfs_tell(file), 0);
		assert_handle_holds(file, bytes, sizes[i]);
		close_file(file);
		free(bytes);
	}
}

static void a_file_of_many_chunks_is_written_whole(void **state)
{
	mfs *fs = *state;
	const size_t size = 100 * MIB + 3;
	unsigned char *bytes = pattern(size, 1);
	mfs_file *file;

	make_file(fs, "/f", bytes, size);
	file = open_file(fs, "/f", "rb");
	check_read(file, bytes, size, 0, INT64_MAX, HOST_FILE);
	check_read(file, bytes, size, 7, (int64_t)size - 8, HOST_FILE);
	close_file(file);
	free(bytes);
}

static void a_full_pipe_that_does_not_block_takes_a_part(void **state)
{
	mfs *fs = *state;
	const size_t size = 300 * KIB;
	unsigned char *bytes = pattern(size, 1);
	unsigned char *got = allocate(size);
	struct channel channel = channel_new(A_PIPE);
	mfs_file *file;
	int64_t at = 0;
	size_t steps = 0;

	make_file(fs, "/f", bytes, size);
	file = open_file(fs, "/f", "rb");
	set_nonblocking(channel.in);
	while (at < (int64_t)size) {
		int64_t part = mfs_read_to_fd(file, at, INT64_MAX, channel.in);

		assert_true(part > 0);
		assert_int_equal(bytes_in(channel.out), part);
		if (at + part < (int64_t)size) {
			errno = 0;
			assert_refused(fs, mfs_read_to_fd(file, at + part, INT64_MAX, channel.in), MFS_EHOST);
			assert_int_equal(errno, EAGAIN);
		}
		assert_int_equal(read(channel.out, got + at, (size_t)part), part);
		at += part;
		steps++;
	}
	assert_true(steps > 1);
	assert_memory_equal(got, bytes, size);
	close_file(file);
	channel_close(&channel);
	free(got);
	free(bytes);
}

/** A thread that makes one call. */
struct caller {
	mfs_file *file;
	int64_t offset;
	int64_t size;
	int fd;
	int64_t result; /* valid once joined */
	int error;      /* errno after the call; likewise */
	pthread_t thread;
};

static void *read_to_fd_run(void *argument)
{
	struct caller *c = argument;

	errno = 0;
	c->result = mfs_read_to_fd(c->file, c->offset, c->size, c->fd);
	c->error = errno;
	return NULL;
}

static void *write_from_fd_run(void *argument)
{
	struct caller *c = argument;

	errno = 0;
	c->result = mfs_write_from_fd(c->file, c->offset, c->size, c->fd);
	c->error = errno;
	return NULL;
}

/** A call that writes to the pipe. Once something has come, it has begun. */
static void caller_start_reading(struct caller *c, mfs_file *file, struct channel *pipe)
{
	struct pollfd wait = {.fd = pipe->out, .events = POLLIN};

	*c = (struct caller){.file = file, .size = INT64_MAX, .fd = pipe->in};
	c->thread = start_thread(read_to_fd_run, c);
	assert_int_equal(poll(&wait, 1, 60000), 1);
}

/** A call that reads from the pipe. Once it has taken a byte, it waits for more of its piece. */
static void caller_start_writing(struct caller *c, struct channel *pipe)
{
	int64_t limit = clock_ns(CLOCK_MONOTONIC) + INT64_C(60000000000);

	put(pipe->in, "A", 1);
	c->fd = pipe->out;
	c->thread = start_thread(write_from_fd_run, c);
	while (bytes_in(pipe->out) != 0) {
		assert_true(clock_ns(CLOCK_MONOTONIC) < limit);
		sched_yield();
	}
}

static int64_t caller_join(struct caller *c)
{
	join_thread(c->thread);
	return c->result;
}

static void what_is_written_is_the_file_as_of_one_instant(void **state)
{
	mfs *fs = *state;
	const size_t size = MIB + 100;
	unsigned char *bytes = pattern(size, 1);
	unsigned char *others = pattern(size, 2);
	struct channel channel = channel_new(A_PIPE);
	uint64_t used;
	struct caller call;
	struct drain drain;
	mfs_file *file;

	make_file(fs, "/f", bytes, size);
	used = used_bytes(fs);
	file = open_file(fs, "/f", "r+b");
	caller_start_reading(&call, file, &channel);
	/* The same handle, and the same file, can be used and changed meanwhile. */
	assert_handle_holds(file, bytes, size);
	assert_code(mfs_pwrite(file, others, size, 0), size);
	assert_handle_holds(file, others, size);
	assert_int_equal(used_bytes(fs), used);
	assert_code(mfs_truncate(file, 10), 0);
	close_file(file);
	assert_file_holds(fs, "/f", others, 10);
	assert_code(mfs_remove(fs, "/f"), 0);
	assert_int_equal(used_bytes(fs), 0);
	drain_start(&drain, channel.out, size);
	assert_code(caller_join(&call), size);
	drain_join(&drain, bytes, size);
	channel_close(&channel);
	free(others);
	free(bytes);
}

static void the_end_of_a_reader_is_the_hosts_error(void **state)
{
	mfs *fs = *state;
	struct channel channel = channel_new(A_PIPE);
	mfs_file *file;

	make_text(fs, "/f", "text");
	file = open_file(fs, "/f", "rb");
	close_fd(channel.out);
	errno = 0;
	assert_refused(fs, mfs_read_to_fd(file, 0, 4, channel.in), MFS_EHOST);
	assert_int_equal(errno, EPIPE);
	close_fd(channel.in);
	close_file(file);
}

/*
 * From descriptors to files
 */

static void check_write(mfs *fs, const unsigned char *bytes, size_t size, int64_t wanted,
						enum kind kind)
{
	struct channel channel = channel_new(kind);
	size_t length = (uint64_t)wanted < size ? (size_t)wanted : size;
	struct feeder feeder;
	mfs_file *file = open_file(fs, "/new", "xb");

	feeder_start(&feeder, channel.in, bytes, size);
	if (kind == HOST_FILE) {
		feeder_join(&feeder);
	}
	assert_code(mfs_write_from_fd(file, 0, wanted, channel.out), length);
	if (kind != HOST_FILE) {
		/* What the call has left. */
		struct drain drain;

		drain_start(&drain, channel.out, size + 1);
		feeder_join(&feeder);
		drain_join(&drain, bytes + length, size - length);
	} else {
		assert_int_equal(lseek(channel.out, 0, SEEK_CUR), length);
	}
	assert_code(mfs_tell(file), 0);
	close_file(file);
	close_fd(channel.out);
	assert_file_holds(fs, "/new", bytes, length);
}

static void a_file_is_made_from_any_descriptor(void **state)
{
	mfs *fs = *state;
	const int64_t wanted[] = {INT64_MAX, 0, 1, 4096, 100000};

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		unsigned char *bytes = pattern(sizes[i], i + 1);

		for (size_t j = 0; j < COUNT_OF(wanted) * KINDS; j++) {
			size_t length =
				(uint64_t)wanted[j / KINDS] < sizes[i] ? (size_t)wanted[j / KINDS] : sizes[i];
			uint64_t used;

			make_file(fs, "/old", bytes, length);
			used = used_bytes(fs);
			check_write(fs, bytes, sizes[i], wanted[j / KINDS], (enum kind)(j % KINDS));
			/* It is charged as one that was written. */
			assert_int_equal(used_bytes(fs), 2 * used);
			assert_code(mfs_remove(fs, "/new"), 0);
			assert_code(mfs_remove(fs, "/old"), 0);
			assert_int_equal(used_bytes(fs), 0);
		}
		free(bytes);
	}
}

static void a_range_is_overwritten_and_nothing_else(void **state)
{
	mfs *fs = *state;
	const size_t size = 3 * MIB + 5;
	const size_t room = 12 * MIB;
	const struct {
		size_t offset;
		size_t length;
	} ranges[] = {
		{1, 1},         {0, 4096},          {4096, 4096},   {4095, 2},          {100, 5000},
		{8192, 8192},   {2 * MIB - 3, 6},   {2 * MIB, MIB}, {2 * MIB, MIB + 5}, {0, 3 * MIB + 5},
		{3 * MIB, 100}, {3 * MIB + 5, 100}, {MIB, 9 * MIB}, {10 * MIB + 1, 10},
	};
	unsigned char *old = pattern(size, 1);
	unsigned char *fresh = pattern(room, 2);
	unsigned char *want = allocate(room);

	for (size_t i = 0; i < COUNT_OF(ranges) * 2; i++) {
		size_t offset = ranges[i / 2].offset;
		size_t length = ranges[i / 2].length;
		size_t end = offset + length > size ? offset + length : size;
		struct channel channel = channel_new(HOST_FILE);
		mfs_file *file;

		memset(want, 0, room);
		memcpy(want, old, size);
		memcpy(want + offset, fresh, length);
		make_file(fs, "/f", old, size);
		/* A copy, whose bytes are the same memory, stays as it is. */
		assert_code(mfs_copy(fs, "/f", "/copy"), 0);
		file = open_file(fs, "/f", "r+b");
		put(channel.in, fresh, length);
		/* With the length known before, or found out by reading. */
		assert_code(mfs_write_from_fd(file, (int64_t)offset, i % 2 ? (int64_t)length : INT64_MAX,
									  channel.out),
					length);
		assert_handle_holds(file, want, end);
		assert_code(mfs_tell(file), 0);
		close_file(file);
		channel_close(&channel);
		assert_file_holds(fs, "/f", want, end);
		assert_file_holds(fs, "/copy", old, size);
		assert_code(mfs_remove(fs, "/copy"), 0);
	}
	free(want);
	free(fresh);
	free(old);
}

static void append_mode_appends_whatever_the_offset(void **state)
{
	mfs *fs = *state;
	unsigned char *bytes = pattern(20 * KIB, 1);
	struct channel channel = channel_new(HOST_FILE);
	mfs_file *file = open_file(fs, "/f", "ab");

	put(channel.in, bytes, 20 * KIB);
	assert_code(mfs_write_from_fd(file, 0, 10, channel.out), 10);
	assert_code(mfs_write_from_fd(file, 0, 5000, channel.out), 5000);
	assert_code(mfs_write_from_fd(file, 1 << 20, INT64_MAX, channel.out), 20 * KIB - 5010);
	assert_code(mfs_write_from_fd(file, 0, INT64_MAX, channel.out), 0);
	close_file(file);
	assert_file_holds(fs, "/f", bytes, 20 * KIB);
	channel_close(&channel);
	free(bytes);
}

static void many_small_pieces_make_one_file(void **state)
{
	mfs *fs = *state;
	const size_t size = 5 * MIB + 7;
	const size_t step = 60 * KIB + 1;
	unsigned char *bytes = pattern(size, 1);
	struct channel channel = channel_new(HOST_FILE);
	mfs_file *file = open_file(fs, "/f", "xb");

	put(channel.in, bytes, size);
	for (size_t at = 0; at < size; at += step) {
		size_t part = size - at < step ? size - at : step;

		assert_code(mfs_write_from_fd(file, (int64_t)at, (int64_t)part, channel.out), part);
	}
	close_file(file);
	assert_file_holds(fs, "/f", bytes, size);
	channel_close(&channel);
	free(bytes);
}

static void input_that_ends_early_leaves_the_rest_as_it_was(void **state)
{
	mfs *fs = *state;
	unsigned char *old = pattern(3 * MIB, 1);
	unsigned char *fresh = pattern(5000, 2);
	const size_t lengths[] = {1, 4096, 5000};

	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		struct channel channel = channel_new(A_PIPE);
		mfs_file *file;
		uint64_t used;

		make_file(fs, "/f", old, 3 * MIB);
		used = used_bytes(fs);
		file = open_file(fs, "/f", "r+b");
		put(channel.in, fresh, lengths[i]);
		close_fd(channel.in);
		assert_code(mfs_write_from_fd(file, 2 * MIB, MIB, channel.out), lengths[i]);
		assert_code(mfs_write_from_fd(file, 0, MIB, channel.out), 0);
		memcpy(old + 2 * MIB, fresh, lengths[i]);
		assert_int_equal(used_bytes(fs), used);
		close_file(file);
		close_fd(channel.out);
		assert_file_holds(fs, "/f", old, 3 * MIB);
		assert_int_equal(used_bytes(fs), used);
	}
	free(fresh);
	free(old);
}

static void an_empty_pipe_that_does_not_block_is_refused(void **state)
{
	mfs *fs = *state;
	unsigned char *bytes = pattern(10000, 1);
	struct channel channel = channel_new(A_PIPE);
	mfs_file *file = open_file(fs, "/f", "xb");

	set_nonblocking(channel.out);
	errno = 0;
	assert_refused(fs, mfs_write_from_fd(file, 0, INT64_MAX, channel.out), MFS_EHOST);
	assert_int_equal(errno, EAGAIN);
	assert_non_null(strstr(mfs_last_error(), "mfs_write_from_fd of descriptor "));
	assert_int_equal(used_bytes(fs), 0);
	assert_code(mfs_get_size(fs, "/f"), 0);
	/* What came before is kept, in whatever parts it comes. */
	for (size_t at = 0; at < 10000; at += 1250) {
		put(channel.in, bytes + at, 1250);
		support__mark_last_error(fs);
		assert_code(mfs_write_from_fd(file, (int64_t)at, INT64_MAX, channel.out), 1250);
		assert_non_null(strstr(mfs_last_error(), "mfs_write_from_fd of descriptor "));
		assert_refused(fs, mfs_write_from_fd(file, (int64_t)at + 1250, 1, channel.out), MFS_EHOST);
	}
	close_file(file);
	assert_file_holds(fs, "/f", bytes, 10000);
	channel_close(&channel);
	free(bytes);
}

static void a_write_changes_the_file_once_for_each_piece(void **state)
{
	mfs *fs = *state;
	struct channel channel = channel_new(HOST_FILE);
	unsigned char *bytes = pattern(10 * KIB, 1);
	mfs_file *file = open_file(fs, "/f", "xb");
	uint64_t before = info_of(fs, "/f").generation;

	put(channel.in, bytes, 10 * KIB);
	/* Chunks of 4 KiB, 4 KiB and 8 KiB. */
	assert_code(mfs_write_from_fd(file, 0, INT64_MAX, channel.out), 10 * KIB);
	assert_int_equal(info_of(fs, "/f").generation, before + 3);
	assert_code(mfs_write_from_fd(file, 0, INT64_MAX, channel.out), 0);
	assert_int_equal(info_of(fs, "/f").generation, before + 3);
	close_file(file);
	channel_close(&channel);
	free(bytes);
}

/*
 * What is refused
 */

static void refuse_arguments(mfs *fs, mfs_file *file, struct channel *channel)
{
	assert_refused(fs, mfs_read_to_fd(file, -1, 1, channel->in), MFS_EINVAL);
	assert_refused(fs, mfs_read_to_fd(file, 0, -1, channel->in), MFS_EINVAL);
	assert_refused(fs, mfs_write_from_fd(file, -1, 1, channel->out), MFS_EINVAL);
	assert_refused(fs, mfs_write_from_fd(file, 0, -1, channel->out), MFS_EINVAL);
	assert_refused(fs, mfs_write_from_fd(file, INT64_MAX, 1, channel->out), MFS_EFBIG);
	assert_refused(fs, mfs_write_from_fd(file, INT64_C(1) << 60, INT64_MAX, channel->out),
				   MFS_EFBIG);
	assert_refused(fs, mfs_write_from_fd(file, INT64_C(1) << 40, 1, channel->out), MFS_EQUOTA);
}

static void bad_arguments_are_refused(void **state)
{
	mfs *fs = *state;
	struct channel channel = channel_new(A_PIPE);
	mfs_file *file;

	make_text(fs, "/f", "text");
	put(channel.in, "input", 5);
	file = open_file(fs, "/f", "r+b");
	refuse_arguments(fs, file, &channel);
	close_file(file);
	assert_refused(fs, mfs_read_to_fd(file, 0, 1, channel.in), MFS_EBADF);
	assert_refused(fs, mfs_write_from_fd(file, 0, 1, channel.out), MFS_EBADF);
	assert_refused(fs, mfs_read_to_fd(NULL, 0, 1, channel.in), MFS_EBADF);
	assert_refused(fs, mfs_write_from_fd(NULL, 0, 1, channel.out), MFS_EBADF);
	file = open_file(fs, "/f", "rb");
	assert_refused(fs, mfs_write_from_fd(file, 0, 1, channel.out), MFS_EBADF);
	assert_refused(fs, mfs_write_from_fd(file, 0, 0, channel.out), MFS_EBADF);
	close_file(file);
	file = open_file(fs, "/f", "ab");
	assert_refused(fs, mfs_read_to_fd(file, 0, 1, channel.in), MFS_EBADF);
	close_file(file);
	/* Nothing was read, written or changed. */
	assert_int_equal(bytes_in(channel.out), 5);
	assert_text(fs, "/f", "text");
	channel_close(&channel);
}

static void a_bad_descriptor_is_the_hosts_error(void **state)
{
	mfs *fs = *state;
	struct channel channel = channel_new(A_PIPE);
	int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct {
		int from;
		int to;
		int from_error;
	} bad[] = {
		{-1, -1, EBADF},
		/* The wrong ends. */
		{channel.in, channel.out, EBADF},
		{directory, directory, EISDIR},
	};
	mfs_file *file;

	assert_true(directory >= 0);
	make_text(fs, "/f", "text");
	file = open_file(fs, "/f", "r+b");
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		uint64_t used = used_bytes(fs);

		errno = 0;
		assert_refused(fs, mfs_write_from_fd(file, 0, INT64_MAX, bad[i].from), MFS_EHOST);
		assert_int_equal(errno, bad[i].from_error);
		errno = 0;
		assert_refused(fs, mfs_read_to_fd(file, 0, INT64_MAX, bad[i].to), MFS_EHOST);
		assert_int_equal(errno, EBADF);
		assert_int_equal(used_bytes(fs), used);
		assert_handle_holds(file, "text", 4);
	}
	close_file(file);
	close_fd(directory);
	channel_close(&channel);
}

static void a_sequential_file_is_written_at_its_end_only(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};
	struct channel channel = channel_new(A_PIPE);
	mfs *fs;
	mfs_file *file;

	(void)state;
	options.default_storage = MFS_STORAGE_SEQUENTIAL;
	fs = new_workspace(&options);
	file = open_file(fs, "/f", "xb");
	put(channel.in, "012345", 6);
	assert_code(mfs_write_from_fd(file, 0, 3, channel.out), 3);
	assert_refused(fs, mfs_write_from_fd(file, 0, 3, channel.out), MFS_ENOTSUP);
	assert_refused(fs, mfs_write_from_fd(file, 5, 3, channel.out), MFS_ENOTSUP);
	assert_int_equal(bytes_in(channel.out), 3);
	assert_code(mfs_write_from_fd(file, 3, 3, channel.out), 3);
	close_file(file);
	assert_text(fs, "/f", "012345");
	free_workspace(fs);
	channel_close(&channel);
}

/*
 * The quota
 */

static void exactly_enough_quota_is_enough(void **state)
{
	const size_t size = 100 * KIB + 1;
	unsigned char *bytes = pattern(size, 1);

	(void)state;
	for (int i = 0; i < 2; i++) {
		mfs *fs = new_plain_workspace(size);
		struct channel channel = channel_new(HOST_FILE);
		mfs_file *file = open_file(fs, "/f", "xb");

		put(channel.in, bytes, size);
		assert_code(mfs_write_from_fd(file, 0, i ? (int64_t)size : INT64_MAX, channel.out), size);
		assert_int_equal(used_bytes(fs), size);
		/* Bytes that are there already need no more, whatever the call keeps them in meanwhile. */
		assert_int_equal(lseek(channel.out, 1, SEEK_SET), 1);
		assert_code(mfs_write_from_fd(file, 0, (int64_t)size - 1, channel.out), size - 1);
		close_file(file);
		memmove(bytes, bytes + 1, size - 1);
		assert_file_holds(fs, "/f", bytes, size);
		assert_int_equal(used_bytes(fs), size);
		rng_fill(&(struct rng){1}, bytes, size);
		free_workspace(fs);
		channel_close(&channel);
	}
	free(bytes);
}

static void what_is_too_much_for_the_quota_stays_in_the_pipe(void **state)
{
	const size_t size = 10000;
	unsigned char *bytes = pattern(size, 1);

	(void)state;
	for (int i = 0; i < 2; i++) {
		mfs *fs = new_plain_workspace(size - 1);
		struct channel channel = channel_new(A_PIPE);
		mfs_file *file = open_file(fs, "/f", "xb");
		int64_t wanted = i ? (int64_t)size : INT64_MAX;

		put(channel.in, bytes, size);
		assert_code(mfs_write_from_fd(file, 0, wanted, channel.out), size - 1);
		assert_int_equal(bytes_in(channel.out), 1);
		assert_int_equal(used_bytes(fs), size - 1);
		assert_refused(fs, mfs_write_from_fd(file, size - 1, 1, channel.out), MFS_EQUOTA);
		assert_true(mfs_is_quota_error(MFS_EQUOTA));
		assert_int_equal(bytes_in(channel.out), 1);
		/* Nor for what begins within the file and goes on behind it. */
		assert_code(mfs_write_from_fd(file, size - 2, 2, channel.out), 1);
		assert_int_equal(bytes_in(channel.out), 0);
		assert_int_equal(usage_of(fs).peak_bytes, size - 1);
		close_file(file);
		assert_code(mfs_get_size(fs, "/f"), size - 1);
		free_workspace(fs);
		channel_close(&channel);
	}
	free(bytes);
}

static void a_chunk_is_charged_with_its_overhead(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};
	unsigned char *bytes = pattern(4097, 1);

	(void)state;
	options.chunk_overhead = 64;
	/* For one chunk and no second one; for a second one and no byte in it; for all. */
	for (uint64_t quota = 4096 + 64; quota <= 4097 + 128; quota++) {
		struct channel channel = channel_new(A_PIPE);
		size_t fits = quota < 4097 + 128 ? 4096 : 4097;
		mfs *fs;
		mfs_file *file;

		options.max_quota = quota;
		fs = new_workspace(&options);
		file = open_file(fs, "/f", "xb");
		put(channel.in, bytes, 4097);
		assert_code(mfs_write_from_fd(file, 0, INT64_MAX, channel.out), fits);
		assert_int_equal(bytes_in(channel.out), 4097 - fits);
		if (fits < 4097) {
			assert_refused(fs, mfs_write_from_fd(file, 4096, 1, channel.out), MFS_EQUOTA);
			assert_int_equal(bytes_in(channel.out), 1);
		}
		close_file(file);
		free_workspace(fs);
		channel_close(&channel);
	}
	free(bytes);
}

static void input_that_fits_is_taken_though_more_would_not_fit(void **state)
{
	mfs *fs = new_plain_workspace(1000);
	struct channel channel = channel_new(A_PIPE);
	mfs_file *file = open_file(fs, "/f", "xb");

	(void)state;
	put(channel.in, "0123456789", 10);
	close_fd(channel.in);
	assert_code(mfs_write_from_fd(file, 0, INT64_MAX, channel.out), 10);
	/* What was set aside for more is others' again. */
	assert_int_equal(used_bytes(fs), 10);
	close_file(file);
	assert_text(fs, "/f", "0123456789");
	free_workspace(fs);
	close_fd(channel.out);
}

/*
 * While a call waits for its descriptor
 */

static void begin_write(struct caller *c, mfs_file *file, int64_t offset, int64_t size,
						struct channel *pipe)
{
	*c = (struct caller){.file = file, .offset = offset, .size = size};
	caller_start_writing(c, pipe);
}

static void a_call_that_waits_for_input_holds_nobody_up(void **state)
{
	mfs *fs = *state;
	struct channel channel = channel_new(A_PIPE);
	struct caller call;
	mfs_file *file;
	char got[8];

	make_text(fs, "/f", "0123456789");
	file = open_file(fs, "/f", "r+b");
	begin_write(&call, file, 2, 3, &channel);
	/* Nothing of an unfinished piece is to be seen. */
	assert_handle_holds(file, "0123456789", 10);
	assert_code(mfs_pwrite(file, "x", 1, 0), 1);
	assert_code(mfs_seek(file, 8, SEEK_SET), 8);
	assert_code(mfs_read(file, got, 8), 2);
	assert_code(mfs_truncate(file, 12), 0);
	assert_code(mfs_tell(file), 10);
	assert_code(mfs_get_size(fs, "/f"), 12);
	assert_refused(fs, mfs_remove(fs, "/f"), MFS_EBUSY);
	make_text(fs, "/g", "another");
	put(channel.in, "BC", 2);
	assert_code(caller_join(&call), 3);
	assert_handle_holds(file, "x1ABC56789\0", 12);
	close_file(file);
	channel_close(&channel);
}

static void a_shared_file_is_everybodys_while_a_call_waits(void **state)
{
	mfs *fs = *state;
	struct channel channel = channel_new(A_PIPE);
	mfs_file *file = open_shared(fs, "/f", "wb");
	mfs_file *other = open_shared(fs, "/f", "r+b");
	struct caller call;

	begin_write(&call, file, 0, INT64_MAX, &channel);
	assert_code(mfs_write(other, "0123456789", 10), 10);
	assert_code(try_open(fs, "/f", "r+b"), 0);
	assert_code(mfs_rename(fs, "/f", "/g", 0), 0);
	put(channel.in, "BC", 2);
	close_fd(channel.in);
	assert_code(caller_join(&call), 3);
	assert_handle_holds(other, "ABC3456789", 10);
	close_file(other);
	close_file(file);
	close_fd(channel.out);
	assert_text(fs, "/g", "ABC3456789");
}

static void appended_pieces_go_to_where_the_end_is_then(void **state)
{
	mfs *fs = *state;
	unsigned char *bytes = pattern(4096, 1);
	unsigned char *want = allocate(3 * 4096);
	struct channel channel = channel_new(A_PIPE);
	mfs_file *file = open_shared(fs, "/f", "ab");
	mfs_file *other = open_shared(fs, "/f", "ab");
	struct caller call;

	begin_write(&call, file, 0, INT64_MAX, &channel);
	assert_code(mfs_write(other, "before", 6), 6);
	put(channel.in, bytes, 4096);
	close_fd(channel.in);
	assert_code(caller_join(&call), 4097);
	assert_code(mfs_write(other, "behind", 6), 6);
	close_file(other);
	close_file(file);
	memcpy(want, "beforeA", 7);
	memcpy(want + 7, bytes, 4096);
	memcpy(want + 4103, "behind", 6);
	assert_file_holds(fs, "/f", want, 4109);
	close_fd(channel.out);
	free(want);
	free(bytes);
}

static void a_handle_can_be_closed_while_a_call_waits(void **state)
{
	mfs *fs = *state;
	struct channel channel = channel_new(A_PIPE);
	struct caller call;
	mfs_file *file;

	make_text(fs, "/f", "text");
	file = open_file(fs, "/f", "r+b");
	begin_write(&call, file, 0, INT64_MAX, &channel);
	close_file(file);
	assert_code(try_open(fs, "/f", "wb"), 0);
	assert_code(mfs_remove(fs, "/f"), 0);
	close_fd(channel.in);
	assert_code(caller_join(&call), MFS_EBADF);
	assert_int_equal(used_bytes(fs), 0);
	close_fd(channel.out);
}

static void on_signal(int number)
{
	(void)number;
}

/** Interrupts a thread. The race detector may keep the signal back; so nobody waits for it. */
static void interrupt_thread(pthread_t thread)
{
	assert_int_equal(pthread_kill(thread, SIGUSR1), 0);
	sched_yield();
}

/** From now on SIGUSR1 ends calls of the host with EINTR. */
static void expect_signals(struct sigaction *old)
{
	struct sigaction action = {.sa_handler = on_signal};

	assert_int_equal(sigaction(SIGUSR1, &action, old), 0);
}

static void signals_do_not_end_a_call_that_reads(void **state)
{
	mfs *fs = *state;
	struct channel channel = channel_new(A_PIPE);
	struct sigaction old;
	mfs_file *file = open_file(fs, "/f", "xb");
	struct caller call;

	expect_signals(&old);
	begin_write(&call, file, 0, INT64_MAX, &channel);
	for (int i = 0; i < 100; i++) {
		interrupt_thread(call.thread);
		put(channel.in, "B", 1);
		while (bytes_in(channel.out) != 0) {
			sched_yield();
		}
	}
	close_fd(channel.in);
	assert_code(caller_join(&call), 101);
	assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
	close_file(file);
	assert_code(mfs_get_size(fs, "/f"), 101);
	close_fd(channel.out);
}

/** Fills a pipe. Returns how many bytes that took. */
static size_t fill_up(const struct channel *pipe)
{
	static const char zeros[4096];
	int flags = fcntl(pipe->in, F_GETFL);
	size_t size = 0;
	ssize_t part = 0;

	set_nonblocking(pipe->in);
	while ((part = write(pipe->in, zeros, sizeof(zeros))) > 0) {
		size += (size_t)part;
	}
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(fcntl(pipe->in, F_SETFL, flags), 0);
	return size;
}

static void signals_do_not_end_a_call_that_writes(void **state)
{
	mfs *fs = *state;
	struct channel channel = channel_new(A_PIPE);
	size_t full = fill_up(&channel);
	unsigned char *want = allocate(full + 4);
	struct sigaction old;
	struct caller call;
	struct drain drain;

	memcpy(want + full, "text", 4);
	make_text(fs, "/f", "text");
	expect_signals(&old);
	call = (struct caller){.file = open_file(fs, "/f", "rb"), .size = 4, .fd = channel.in};
	/* It has nothing to show before the pipe is emptied. */
	call.thread = start_thread(read_to_fd_run, &call);
	for (int i = 0; i < 1000; i++) {
		interrupt_thread(call.thread);
	}
	drain_start(&drain, channel.out, full + 4);
	assert_code(caller_join(&call), 4);
	drain_join(&drain, want, full + 4);
	assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
	close_file(call.file);
	channel_close(&channel);
	free(want);
}

/* Fork, let the child do its part, and check that it returned 0. */
static void check_child(int (*part)(void *), void *argument)
{
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		_exit(part(argument));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

struct inheritance {
	mfs *fs;
	mfs_file *file;
	uint64_t used;
};

static int use_what_was_inherited(void *argument)
{
	const struct inheritance *in = argument;
	mfs_usage usage;
	char got[4];

	if (mfs_stats(in->fs, &usage) || usage.used_bytes != in->used) {
		return 1;
	}
	if (mfs_pread(in->file, got, 4, 0) != 4 || memcmp(got, "text", 4) != 0) {
		return 2;
	}
	if (mfs_pwrite(in->file, "TEXT", 4, 0) != 4 || mfs_close(in->file)) {
		return 3;
	}
	if (mfs_remove(in->fs, "/f") || mfs_stats(in->fs, &usage) || usage.used_bytes != 0) {
		return 4;
	}
	return mfs_free(in->fs) ? 5 : 0;
}

static void a_child_has_nothing_of_a_call_that_waits(void **state)
{
	mfs *fs = *state;
	struct channel channel = channel_new(A_PIPE);
	struct inheritance in = {.fs = fs};
	struct caller call;

	make_text(fs, "/f", "text");
	in.used = used_bytes(fs);
	in.file = open_file(fs, "/f", "r+b");
	begin_write(&call, in.file, 4, INT64_MAX, &channel);
	/* Here there is something set aside. */
	assert_true(used_bytes(fs) > in.used);
	check_child(use_what_was_inherited, &in);
	close_fd(channel.in);
	assert_code(caller_join(&call), 1);
	assert_handle_holds(in.file, "textA", 5);
	close_file(in.file);
	close_fd(channel.out);
}

static void a_child_has_nothing_of_a_call_that_waits_to_write(void **state)
{
	mfs *fs = *state;
	unsigned char *bytes = pattern(MIB, 1);
	struct channel channel = channel_new(A_PIPE);
	struct inheritance in = {.fs = fs};
	struct caller call;
	struct drain drain;

	memcpy(bytes, "text", 4);
	make_file(fs, "/f", bytes, MIB);
	in.used = used_bytes(fs);
	in.file = open_file(fs, "/f", "r+b");
	caller_start_reading(&call, in.file, &channel);
	check_child(use_what_was_inherited, &in);
	drain_start(&drain, channel.out, MIB);
	assert_code(caller_join(&call), MIB);
	drain_join(&drain, bytes, MIB);
	close_file(in.file);
	channel_close(&channel);
	free(bytes);
}

/*
 * mfs_export_fd()
 */

static void assert_sealed(int fd, const void *bytes, size_t size)
{
	struct stat info;
	unsigned char *got = allocate(size + 1);

	assert_int_equal(fcntl(fd, F_GET_SEALS),
					 F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fstat(fd, &info), 0);
	assert_int_equal(info.st_size, size);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	for (size_t at = 0; at < size;) {
		ssize_t part = read(fd, got + at, size + 1 - at);

		assert_true(part > 0);
		at += (size_t)part;
	}
	assert_memory_equal(got, bytes, size);
	free(got);
	if (size > 0) {
		void *mapped = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

		assert_ptr_not_equal(mapped, MAP_FAILED);
		assert_memory_equal(mapped, bytes, size);
		assert_int_equal(munmap(mapped, size), 0);
	}
}

static void assert_nobody_changes(int fd)
{
	errno = 0;
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	errno = 0;
	assert_int_equal(ftruncate(fd, 1 << 24), -1);
	assert_int_equal(errno, EPERM);
	errno = 0;
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(errno, EPERM);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
}

static int exported_fd(mfs *fs, const char *path)
{
	int fd = mfs_export_fd(fs, path);

	assert_true(fd >= 0);
	return fd;
}

static void an_export_is_the_file_and_sealed(void **state)
{
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		unsigned char *bytes = pattern(sizes[i], i + 1);
		uint64_t used;
		int fd;

		make_file(fs, "/f", bytes, sizes[i]);
		used = used_bytes(fs);
		fd = exported_fd(fs, "/f");
		assert_int_equal(used_bytes(fs), used);
		assert_int_equal(usage_of(fs).open_handles, 0);
		/* It has nothing to do with the file any more. */
		make_text(fs, "/f", "something else");
		assert_code(mfs_remove(fs, "/f"), 0);
		assert_int_equal(used_bytes(fs), 0);
		assert_sealed(fd, bytes, sizes[i]);
		if (sizes[i] > 0) {
			assert_nobody_changes(fd);
		}
		close_fd(fd);
		free(bytes);
	}
}

/* In a process that may open the descriptor of another one, by its path, to write to it. */
static int look_from_outside(void *argument)
{
	const char *path = argument;
	char got[8] = {0};
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0 || read(fd, got, sizeof(got)) != 4 || memcmp(got, "text", 4) != 0) {
		return 1;
	}
	return write(fd, "x", 1) < 0 && errno == EPERM ? 0 : 2;
}

static void another_process_can_read_an_export(void **state)
{
	mfs *fs = *state;
	char path[64];
	int fd;

	make_text(fs, "/f", "text");
	fd = exported_fd(fs, "/f");
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), fd);
	check_child(look_from_outside, path);
	assert_sealed(fd, "text", 4);
	close_fd(fd);
}

static void assert_named(mfs *fs, const char *path, const char *name)
{
	char link[64];
	char want[300];
	char got[300] = {0};
	int fd = exported_fd(fs, path);

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	(void)snprintf(want, sizeof(want), "/memfd:%s (deleted)", name);
	assert_true(readlink(link, got, sizeof(got) - 1) > 0);
	assert_string_equal(got, want);
	close_fd(fd);
}

static void an_export_has_the_files_name(void **state)
{
	mfs *fs = *state;
	char path[300] = "/d/";
	char name[300] = {0};

	make_dir(fs, "/d");
	make_text(fs, "/d/file", "text");
	assert_named(fs, "/d/file", "file");
	assert_named(fs, "d\\..//d/./file/.", "file");
	/* As much of a long one as a name of the host may have. */
	memset(path + 3, 'n', MFS_NAME_MAX);
	memset(name, 'n', 249);
	make_text(fs, path, "text");
	assert_named(fs, path, name);
}

static void an_export_is_refused(void **state)
{
	mfs *fs = *state;
	char name[MFS_NAME_MAX + 3] = "/";

	memset(name + 1, 'n', MFS_NAME_MAX + 1);
	make_text(fs, "/f", "12345");
	make_dir(fs, "/d");
	assert_refused(fs, mfs_export_fd(fs, "/none"), MFS_ENOENT);
	assert_non_null(strstr(mfs_last_error(), "export_fd of /none"));
	assert_refused(fs, mfs_export_fd(fs, "/d"), MFS_EISDIR);
	assert_refused(fs, mfs_export_fd(fs, "/"), MFS_EISDIR);
	assert_refused(fs, mfs_export_fd(fs, "/f/g"), MFS_ENOTDIR);
	assert_refused(fs, mfs_export_fd(fs, "/.."), MFS_EINVAL);
	assert_refused(fs, mfs_export_fd(fs, name), MFS_ENAMETOOLONG);
	assert_refused(fs, mfs_export_fd(NULL, "/f"), MFS_EINVAL);
	assert_refused(fs, mfs_export_fd(fs, NULL), MFS_EINVAL);
	assert_int_equal(usage_of(fs).open_handles, 0);
}

static void an_export_waits_as_the_default_says(void **state)
{
	const int64_t timeouts[] = {MFS_NO_WAIT, 1};
	const int codes[] = {MFS_EBUSY, MFS_ETIMEDOUT};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
		mfs_options options = {.struct_size = sizeof(options)};
		mfs *fs;
		mfs_file *writer;
		int fd;

		options.default_lock_timeout = timeouts[i];
		fs = new_workspace(&options);
		writer = open_file(fs, "/f", "wb");
		assert_refused(fs, mfs_export_fd(fs, "/f"), codes[i]);
		close_file(writer);
		fd = exported_fd(fs, "/f");
		/* The file is nobody's again. */
		assert_code(try_open(fs, "/f", "wb"), 0);
		assert_sealed(fd, "", 0);
		close_fd(fd);
		free_workspace(fs);
	}
}

static void the_limit_of_descriptors_is_the_hosts_error(void **state)
{
	mfs *fs = *state;
	struct rlimit old;
	struct rlimit none;

	make_text(fs, "/f", "text");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){0, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	support__mark_last_error(fs);
	errno = 0;

	int code = mfs_export_fd(fs, "/f");
	int error = errno;

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_code(code, MFS_EHOST);
	assert_int_equal(error, EMFILE);
	assert_non_null(strstr(mfs_last_error(), "export_fd of /f"));
	assert_int_equal(usage_of(fs).open_handles, 0);
	close_fd(exported_fd(fs, "/f"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(a_file_is_written_to_any_descriptor),
		WORKSPACE_TEST(a_file_of_many_chunks_is_written_whole),
		WORKSPACE_TEST(a_full_pipe_that_does_not_block_takes_a_part),
		WORKSPACE_TEST(what_is_written_is_the_file_as_of_one_instant),
		WORKSPACE_TEST(the_end_of_a_reader_is_the_hosts_error),
		WORKSPACE_TEST(a_file_is_made_from_any_descriptor),
		WORKSPACE_TEST(a_range_is_overwritten_and_nothing_else),
		WORKSPACE_TEST(append_mode_appends_whatever_the_offset),
		WORKSPACE_TEST(many_small_pieces_make_one_file),
		WORKSPACE_TEST(input_that_ends_early_leaves_the_rest_as_it_was),
		WORKSPACE_TEST(an_empty_pipe_that_does_not_block_is_refused),
		WORKSPACE_TEST(a_write_changes_the_file_once_for_each_piece),
		WORKSPACE_TEST(bad_arguments_are_refused),
		WORKSPACE_TEST(a_bad_descriptor_is_the_hosts_error),
		cmocka_unit_test(a_sequential_file_is_written_at_its_end_only),
		cmocka_unit_test(exactly_enough_quota_is_enough),
		cmocka_unit_test(what_is_too_much_for_the_quota_stays_in_the_pipe),
		cmocka_unit_test(a_chunk_is_charged_with_its_overhead),
		cmocka_unit_test(input_that_fits_is_taken_though_more_would_not_fit),
		WORKSPACE_TEST(a_call_that_waits_for_input_holds_nobody_up),
		WORKSPACE_TEST(a_shared_file_is_everybodys_while_a_call_waits),
		WORKSPACE_TEST(appended_pieces_go_to_where_the_end_is_then),
		WORKSPACE_TEST(a_handle_can_be_closed_while_a_call_waits),
		WORKSPACE_TEST(signals_do_not_end_a_call_that_reads),
		WORKSPACE_TEST(signals_do_not_end_a_call_that_writes),
		WORKSPACE_TEST(a_child_has_nothing_of_a_call_that_waits),
		WORKSPACE_TEST(a_child_has_nothing_of_a_call_that_waits_to_write),
		WORKSPACE_TEST(an_export_is_the_file_and_sealed),
		WORKSPACE_TEST(another_process_can_read_an_export),
		WORKSPACE_TEST(an_export_has_the_files_name),
		WORKSPACE_TEST(an_export_is_refused),
		WORKSPACE_TEST(an_export_waits_as_the_default_says),
		WORKSPACE_TEST(the_limit_of_descriptors_is_the_hosts_error),
	};

	/* Writing to a pipe that nobody reads is to fail, and not to end the program. */
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
