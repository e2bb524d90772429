/* SPDX-License-Identifier: MIT */
/*
 * A stream that is larger than the memory that is left, through a workspace with a memory guard.
 *
 * A quota bounds one workspace. How much memory is left is another matter: other programs take
 * some, or a scheduler has allotted little. The guard looks at that, by samples of what is
 * available, here from a function of the program: what the job was allotted, less what it holds.
 *
 * A stream comes on a pipe. It is cut into files of a megabyte, so that a part can be given back
 * while more is coming, and read only when it must be, or has ended:
 *
 *   MFS_GUARD_WARN   Everything is taken in, on_warning hears of it, and the job grows too large.
 *   MFS_GUARD_FAIL   The call that wants too much is refused with MFS_EMEMGUARD. Nothing is lost:
 *                    the bytes are still in the pipe. So the oldest piece is read and removed, and
 *                    the same call is made again.
 *
 * One does so where input comes faster than it is used, and the process must not be killed for it.
 * An argument says how many MiB are streamed.
 */
#include <dmemfs/dmemfs.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MIB         ((int64_t)1 << 20)
#define ALLOTTED    ((uint64_t)6 << 20)
#define INTERVAL_MS 20
#define PATIENCE    500 /* intervals for which it waits until memory is available again */

struct stream {
	/* The main thread's. */
	mfs *fs;
	int from;        /* the end of a pipe */
	int first_piece; /* that is staged */
	int end_piece;   /* behind the last one */
	uint64_t hash_read;
	/* The producer's, until it ends. */
	int to; /* the other end */
	int64_t size;
	uint64_t hash_sent;
};

static _Atomic int warnings;
/* What the guard asks about: under the mutex, as samples are taken by another thread. */
static pthread_mutex_t guarded_mutex = PTHREAD_MUTEX_INITIALIZER;
static mfs *guarded;

static void check(const char *what, bool holds)
{
	if (!holds) {
		fprintf(stderr, "%s\n", what);
		exit(1);
	}
}

/* Returns the result of a call that must succeed. */
static int64_t need(int64_t result)
{
	check(mfs_last_error(), result >= 0);
	return result;
}

static void set_guarded(mfs *fs)
{
	check("no lock", pthread_mutex_lock(&guarded_mutex) == 0);
	guarded = fs;
	check("no unlock", pthread_mutex_unlock(&guarded_mutex) == 0);
}

/* The guard's source: what the job was allotted, less what it holds. */
static int ask_available(void *unused, uint64_t *available)
{
	mfs_usage usage = {0};

	(void)unused;
	check("no lock", pthread_mutex_lock(&guarded_mutex) == 0);
	if (guarded != NULL)
		need(mfs_stats(guarded, &usage));
	check("no unlock", pthread_mutex_unlock(&guarded_mutex) == 0);
	*available = usage.used_bytes < ALLOTTED ? ALLOTTED - usage.used_bytes : 0;
	return 0;
}

static void on_warning(void *unused, const char *message)
{
	(void)unused;
	if (warnings++ == 0)
		printf("  %s\n", message);
}

static uint64_t hash(uint64_t state, const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		state = state * 31 + bytes[i];
	return state;
}

static void *produce(void *user)
{
	struct stream *stream = user;
	unsigned char block[4096];

	for (int64_t sent = 0; sent < stream->size; sent += (int64_t)sizeof block) {
		for (size_t i = 0; i < sizeof block; i++)
			block[i] = (unsigned char)(i * 7 + (size_t)sent / sizeof block);
		/* A pipe takes a block of this size whole. */
		check("the pipe broke", write(stream->to, block, sizeof block) == sizeof block);
		stream->hash_sent = hash(stream->hash_sent, block, sizeof block);
	}
	check("the pipe does not end", close(stream->to) == 0);
	return NULL;
}

/* Read the oldest piece where it lies, and give its memory back. */
static void read_piece(struct stream *stream)
{
	struct iovec run;
	char path[32];
	mfs_file *file = NULL;
	int64_t offset = 0;

	snprintf(path, sizeof path, "/piece-%d", stream->first_piece++);
	need(mfs_open(stream->fs, path, "rb", &file));
	while (need(mfs_view_runs(file, &offset, INT64_MAX, &run, 1)) > 0)
		stream->hash_read = hash(stream->hash_read, run.iov_base, run.iov_len);
	need(mfs_close(file));
	need(mfs_remove(stream->fs, path));
}

/*
 * What to do when the guard has refused a call, which has changed nothing. What is given back can
 * be taken again at once. Where there is nothing to give back, the next sample may say otherwise.
 */
static void make_room(struct stream *stream)
{
	static int waits;

	if (stream->first_piece < stream->end_piece) {
		read_piece(stream);
		return;
	}
	check(mfs_last_error(), ++waits < PATIENCE);
	check("no sleep", usleep(INTERVAL_MS * 1000) == 0);
}

/* Take a piece in from the pipe. Returns its size, 0 at the end of the stream. */
static int64_t take_piece(struct stream *stream)
{
	char path[32];
	mfs_file *file = NULL;
	int64_t got;

	snprintf(path, sizeof path, "/piece-%d", stream->end_piece);
	while ((got = mfs_open(stream->fs, path, "xb", &file)) == MFS_EMEMGUARD)
		make_room(stream);
	need(got);
	/* A refusal after some bytes makes the piece shorter, and comes again with the next one. */
	while ((got = mfs_write_from_fd(file, 0, MIB, stream->from)) == MFS_EMEMGUARD)
		make_room(stream);
	need(got);
	need(mfs_close(file));
	stream->end_piece++;
	return got;
}

/* Returns the workspace's figures at the end. */
static mfs_usage run(int64_t size, int action)
{
	mfs_options options = {.struct_size = sizeof options,
						   .max_quota = (uint64_t)(2 * size),
						   .memory_guard = MFS_GUARD_PER_WRITE,
						   .memory_guard_action = action,
						   .memory_guard_interval = INTERVAL_MS,
						   .memory_guard_keep = (uint64_t)MIB,
						   .on_warning = on_warning};
	struct stream stream = {.size = size};
	int ends[2];
	pthread_t producer;
	mfs_usage usage;

	need(mfs_new(&options, &stream.fs));
	set_guarded(stream.fs);
	check("no pipe", pipe(ends) == 0);
	stream.from = ends[0];
	stream.to = ends[1];
	check("no thread", pthread_create(&producer, NULL, produce, &stream) == 0);
	while (take_piece(&stream) > 0)
		;
	while (stream.first_piece < stream.end_piece)
		read_piece(&stream);
	check("no join", pthread_join(producer, NULL) == 0);
	check("no close", close(stream.from) == 0);
	check("what was read is not what was sent", stream.hash_read == stream.hash_sent);
	need(mfs_stats(stream.fs, &usage));
	set_guarded(NULL);
	need(mfs_free(stream.fs));
	return usage;
}

int main(int argc, char **argv)
{
	mfs_memory_options memory = {.struct_size = sizeof memory, .available = ask_available};
	int64_t size = (argc > 1 ? strtol(argv[1], NULL, 10) : 24) * MIB;

	check("give a number of MiB from 12 to 1000000", size >= 12 * MIB && size <= 1000000 * MIB);
	need(mfs_configure_memory(&memory));
	printf("%lld MiB come on a pipe, %llu are allotted\n", (long long)(size / MIB),
		   (unsigned long long)ALLOTTED / MIB);
	printf("warn:\n");
	mfs_usage usage = run(size, MFS_GUARD_WARN);
	check("nobody was warned", warnings > 0);
	check("the stream did not lie there whole", usage.peak_bytes >= (uint64_t)size);
	printf("  all of it was held at once\n");

	warnings = 0;
	printf("fail:\n");
	usage = run(size, MFS_GUARD_FAIL);
	check("nothing was refused", usage.guard_refusals > 0 && warnings == 0);
	check("more was held than was allotted", usage.peak_bytes <= ALLOTTED);
	printf("  calls were refused, all of it came through, in the memory that was allotted\n");
	need(mfs_configure_memory(NULL));
	return 0;
}
