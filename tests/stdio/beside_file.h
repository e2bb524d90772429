/* SPDX-License-Identifier: MIT */
/*
 * Streams in pairs: one on a file of the host, one on a file of a workspace. What a test does to a
 * pair is done to both, and all that can be seen of them must be the same.
 */
#ifndef DMEMFS_TESTS_STDIO_BESIDE_FILE_H
#define DMEMFS_TESTS_STDIO_BESIDE_FILE_H

#include "support.h"

#include <errno.h>
#include <inttypes.h>

#include "dmemfs/stdio.h"

/** The most bytes that one step reads or writes. */
#define STEP_MAX 9000

enum call {
	CALL_READ,     /* fread() of `number` bytes */
	CALL_WRITE,    /* fwrite() of `number` bytes */
	CALL_GETC,     /* fgetc() */
	CALL_PUTC,     /* fputc() of `number` */
	CALL_UNGETC,   /* ungetc() of `number` */
	CALL_GETS,     /* fgets() of up to `number` bytes, the NUL included */
	CALL_PUTS,     /* fputs() of a line of `number` characters */
	CALL_LINE,     /* getline() */
	CALL_DELIM,    /* getdelim() up to a `number` */
	CALL_PRINT,    /* fprintf() of `number` and some text */
	CALL_SCAN,     /* fscanf() of a number and a word */
	CALL_SEEK_SET, /* fseeko() */
	CALL_SEEK_CUR,
	CALL_SEEK_END,
	CALL_TELL,   /* ftello() */
	CALL_REWIND, /* rewind() */
	CALL_GETPOS, /* fgetpos() */
	CALL_SETPOS, /* fsetpos() to where fgetpos() was */
	CALL_FLUSH,  /* fflush() */
	CALL_CLEAR,  /* clearerr() */
	CALL_COUNT,
};

struct step {
	enum call call;
	int64_t number;
};

/** What a step comes to. */
struct outcome {
	int64_t value;
	int error; /* errno of a step that failed for another reason than the end of the file, or 0 */
	bool eof;
	bool failed; /* ferror() */
	size_t length;
	char data[STEP_MAX];
};

struct side {
	FILE *stream; /* NULL: open failed, with `error` */
	int error;
	fpos_t position;
	bool has_position;
};

struct pair {
	mfs *fs;
	char host_path[64];
	struct side host;
	struct side mine;
};

static inline const char *call_name(enum call call)
{
	static const char *const names[CALL_COUNT] = {
		"fread",           "fwrite",
		"fgetc",           "fputc",
		"ungetc",          "fgets",
		"fputs",           "getline",
		"getdelim",        "fprintf",
		"fscanf",          "fseek from 0",
		"fseek from here", "fseek from the end",
		"ftell",           "rewind",
		"fgetpos",         "fsetpos",
		"fflush",          "clearerr",
	};
	return names[call];
}

/** A fresh name on the host, and the workspace's "/f". Neither exists. */
static inline void pair_begin(struct pair *pair, mfs *fs)
{
	int fd = -1;

	memset(pair, 0, sizeof(*pair));
	pair->fs = fs;
	(void)snprintf(pair->host_path, sizeof(pair->host_path), "/dev/shm/dmemfs-stdio.XXXXXX");
	fd = mkstemp(pair->host_path);
	if (fd < 0) {
		(void)snprintf(pair->host_path, sizeof(pair->host_path), "/tmp/dmemfs-stdio.XXXXXX");
		fd = mkstemp(pair->host_path);
	}
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(pair->host_path), 0);
}

static inline void pair_end(struct pair *pair)
{
	(void)unlink(pair->host_path);
	if (mfs_exists(pair->fs, "/f")) {
		assert_code(mfs_remove(pair->fs, "/f"), 0);
	}
}

/** Both files hold this. */
static inline void pair_fill(struct pair *pair, const void *data, size_t size)
{
	FILE *host = fopen(pair->host_path, "we");

	assert_non_null(host);
	assert_int_equal(fwrite(data, 1, size, host), size);
	assert_int_equal(fclose(host), 0);
	make_file(pair->fs, "/f", data, size);
}

/** Opens both. Returns whether that succeeded; it is the same for both. */
static inline bool pair_open(struct pair *pair, const char *mode)
{
	errno = 0;
	pair->host = (struct side){.stream = fopen(pair->host_path, mode)};
	pair->host.error = errno;
	errno = 0;
	pair->mine = (struct side){.stream = mfs_fopen(pair->fs, "/f", mode)};
	pair->mine.error = errno;
	if ((pair->host.stream == NULL) != (pair->mine.stream == NULL) ||
		(pair->host.stream == NULL && pair->host.error != pair->mine.error)) {
		print_error("open \"%s\": %s, but here %s\n", mode,
					pair->host.stream != NULL ? "works" : strerror(pair->host.error),
					pair->mine.stream != NULL ? "works" : strerror(pair->mine.error));
		fail();
	}
	return pair->mine.stream != NULL;
}

/** setvbuf() on both, before anything else. `size` of _IOFBF at least 1. */
static inline void pair_buffer(struct pair *pair, int type, char buffers[2][STEP_MAX], size_t size)
{
	assert_int_equal(setvbuf(pair->host.stream, buffers[0], type, size), 0);
	assert_int_equal(setvbuf(pair->mine.stream, buffers[1], type, size), 0);
}

/** What a step writes: lines, words and numbers. */
static inline size_t pair__text(char *text, const struct step *step)
{
	static const char alphabet[] = "ab 12\nc-7 x\t";
	size_t length = (size_t)step->number;

	for (size_t i = 0; i < length; i++) {
		text[i] = alphabet[(i * 7 + i / 12 + length) % (sizeof(alphabet) - 1)];
	}
	return length;
}

static inline int64_t pair__read(FILE *f, const struct step *step, struct outcome *o)
{
	char *line = NULL;
	size_t room = 0;
	int number = 0;
	ssize_t length = 0;

	switch (step->call) {
	case CALL_READ:
		o->length = fread(o->data, 1, (size_t)step->number, f);
		return (int64_t)o->length;
	case CALL_GETC:
		return fgetc(f);
	case CALL_GETS:
		if (fgets(o->data, (int)step->number, f) == NULL) {
			return -1;
		}
		o->length = strlen(o->data);
		return 0;
	case CALL_LINE:
	case CALL_DELIM:
		length = getdelim(&line, &room, step->call == CALL_LINE ? '\n' : (int)step->number, f);
		if (length > 0) {
			o->length = (size_t)length < sizeof(o->data) ? (size_t)length : sizeof(o->data);
			memcpy(o->data, line, o->length);
		}
		free(line);
		return length;
	default:
		length = fscanf(f, "%d%15s", &number, o->data);
		o->length = length == 2 ? strlen(o->data) : 0;
		return length * INT64_C(10000000000) + (length > 0 ? number : 0);
	}
}

static inline int64_t pair__write(FILE *f, const struct step *step)
{
	char text[STEP_MAX + 1];

	switch (step->call) {
	case CALL_WRITE:
		return (int64_t)fwrite(text, 1, pair__text(text, step), f);
	case CALL_PUTC:
		return fputc((int)step->number, f);
	case CALL_PUTS:
		text[pair__text(text, step)] = '\0';
		return fputs(text, f) < 0 ? -1 : 0;
	default:
		return fprintf(f, "%" PRId64 " and %-12s|\n", step->number, "text");
	}
}

static inline int64_t pair__move(struct side *side, const struct step *step)
{
	FILE *f = side->stream;

	switch (step->call) {
	case CALL_SEEK_SET:
		return fseeko(f, step->number, SEEK_SET);
	case CALL_SEEK_CUR:
		return fseeko(f, step->number, SEEK_CUR);
	case CALL_SEEK_END:
		return fseeko(f, step->number, SEEK_END);
	case CALL_TELL:
		return ftello(f);
	case CALL_REWIND:
		rewind(f);
		return 0;
	case CALL_GETPOS:
		if (fgetpos(f, &side->position) != 0) {
			return -1;
		}
		side->has_position = true;
		return 0;
	case CALL_SETPOS:
		return side->has_position ? fsetpos(f, &side->position) : 0;
	case CALL_FLUSH:
		return fflush(f);
	case CALL_UNGETC:
		return ungetc((int)step->number, f);
	default:
		clearerr(f);
		return 0;
	}
}

static inline bool is_read(enum call call)
{
	return call == CALL_READ || call == CALL_GETC || call == CALL_GETS || call == CALL_LINE ||
		   call == CALL_DELIM || call == CALL_SCAN;
}

static inline bool is_write(enum call call)
{
	return call == CALL_WRITE || call == CALL_PUTC || call == CALL_PUTS || call == CALL_PRINT;
}

static inline bool is_seek(enum call call)
{
	return call == CALL_SEEK_SET || call == CALL_SEEK_CUR || call == CALL_SEEK_END ||
		   call == CALL_REWIND || call == CALL_SETPOS;
}

static inline void side_step(struct side *side, const struct step *step, struct outcome *o)
{
	bool had_failed = ferror(side->stream) != 0;

	o->length = 0;
	errno = 0;
	if (is_read(step->call)) {
		o->value = pair__read(side->stream, step, o);
	} else if (is_write(step->call)) {
		o->value = pair__write(side->stream, step);
	} else {
		o->value = pair__move(side, step);
	}
	o->error = errno;
	o->eof = feof(side->stream) != 0;
	o->failed = ferror(side->stream) != 0;
	/* A call that has no reason to complain may leave anything in errno. */
	if ((!o->failed || had_failed) && (is_read(step->call) || is_write(step->call) ||
									   step->call == CALL_UNGETC || o->value >= 0)) {
		o->error = 0;
	}
}

/** Does a step on both. Returns false, with a line printed, when something differs. */
static inline bool pair_step(struct pair *pair, const struct step *step, struct outcome *mine)
{
	static struct outcome host;

	side_step(&pair->host, step, &host);
	side_step(&pair->mine, step, mine);
	if (host.value == mine->value && host.error == mine->error && host.eof == mine->eof &&
		host.failed == mine->failed && host.length == mine->length &&
		memcmp(host.data, mine->data, host.length) == 0) {
		return true;
	}
	print_error("%s %" PRId64 ": %" PRId64 ", errno %d, eof %d, error %d, %zu bytes, but here "
				"%" PRId64 ", errno %d, eof %d, error %d, %zu bytes%s\n",
				call_name(step->call), step->number, host.value, host.error, host.eof, host.failed,
				host.length, mine->value, mine->error, mine->eof, mine->failed, mine->length,
				host.length == mine->length ? ", compare them" : "");
	print_error("  \"%.*s\"\n  \"%.*s\"\n", (int)host.length, host.data, (int)mine->length,
				mine->data);
	return false;
}

/** Do both files hold the same now? What the streams have in their buffers does not count. */
static inline bool pair_is_same(struct pair *pair)
{
	FILE *host = fopen(pair->host_path, "re");
	void *mine = NULL;
	int64_t size = mfs_export_buffer(pair->fs, "/f", 0, &mine);
	char *expected = NULL;
	size_t length = 0;
	bool same = false;

	assert_non_null(host);
	assert_true(size >= 0);
	expected = allocate((size_t)size + 1);
	length = fread(expected, 1, (size_t)size + 1, host);
	assert_int_equal(fclose(host), 0);
	same = length == (size_t)size && memcmp(expected, mine, length) == 0;
	free(expected);
	mfs_buffer_free(mine);
	return same;
}

/** Closes both, which has the same result, and leaves the same file. */
static inline void pair_close(struct pair *pair)
{
	assert_int_equal(fclose(pair->host.stream), 0);
	assert_int_equal(fclose(pair->mine.stream), 0);
	assert_true(pair_is_same(pair));
}

#endif
