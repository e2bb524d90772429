/* SPDX-License-Identifier: MIT */
/*
 * Expanding: one loop for all formats, which come as adapters.
 *
 * Everything goes through imports, where no other call sees what is not complete: an atomic
 * expansion is one import, a streaming one an import for each file. An entry's bytes are read
 * straight into the memory of its file.
 */
#include "entry_path.h"
#include "format.h"
#include "input.h"
#include "options.h"
#include "reporter.h"

#include <dmemfs/archive.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CALL "expand_archive"

/* Bytes that are read at a time, and where no size is known. */
#define PIECE         ((int64_t)1 << 20)
#define UNKNOWN_PIECE ((int64_t)64 << 10)
/* Files that say they have as much are refused at once if there is no room for them. */
#define LARGE_FILE ((int64_t)1 << 20)
/* What mfs_last_error() gives at most, with its NUL. */
#define NOTE_SIZE 512

struct expansion {
	mfs *fs;
	mfs_archive_options options;
	bool is_atomic;
	const char *name; /* of the archive, for messages */
	struct mfs_archive_input input;
	const mfs_archive_adapter *adapter;
	void *archive;      /* the adapter's */
	mfs_import *import; /* of all files, or of the one at work; NULL between two */
	mfs_archive_progress progress;
	struct mfs__archive_reporter reporter;
	char noted[NOTE_SIZE]; /* the thread's last error before this call */
	size_t to_length;
	char path[MFS_PATH_MAX + 1]; /* of the entry at work: `to`, and from to_length on its own */
};

/*
 * Failures: each ends the expansion.
 */

static int fail(const char *what, int code, const char *reason)
{
	return mfs_set_last_error(code, CALL " of %.200s: %.300s", what, reason);
}

/* An entry cannot be had: the reason has been noted. */
static int fail_entry(const mfs_archive_entry *entry, int code)
{
	return fail(entry->path ? entry->path : "", code, mfs_last_error());
}

/* An adapter gave a code. One of a user has noted why, or not. */
static int fail_adapter(const struct expansion *expansion, int64_t result)
{
	const char *path = expansion->progress.path ? expansion->progress.path : expansion->name;
	int code = result >= INT32_MIN && result < 0 ? (int)result : MFS_EINVAL;
	const char *note = mfs_last_error();

	if (strcmp(note, expansion->noted) == 0)
		note = mfs_strerror(code);
	return mfs_set_last_error(code, CALL " of %.200s (%.60s): %.200s", path,
							  expansion->adapter->name, note);
}

/* A refusal that was got over is no failure of this thread. */
static void forget(const struct expansion *expansion)
{
	(void)mfs_set_last_error(MFS_EINVAL, "%s", expansion->noted);
}

/*
 * Progress
 */

static int report(struct expansion *expansion)
{
	if (mfs__archive_report(&expansion->reporter, &expansion->progress))
		return 0;
	return fail(expansion->progress.path ? expansion->progress.path : expansion->name,
				MFS_ECANCELED, "canceled by its caller");
}

static int report_at_times(struct expansion *expansion)
{
	return mfs__archive_report_is_due(&expansion->reporter) ? report(expansion) : 0;
}

/*
 * What is not to be expanded
 */

/* An entry is unsafe. Returns 0 if it is to be left out. */
static int leave_out(struct expansion *expansion, const mfs_archive_entry *entry, int code,
					 const char *reason)
{
	if (expansion->options.on_unsafe == MFS_ARCHIVE_SKIP_UNSAFE) {
		expansion->progress.unsafe++;
		forget(expansion);
		return 0;
	}
	return mfs_set_last_error(code, CALL " of %.200s: %s: %s", entry->path ? entry->path : "",
							  reason, mfs_strerror(code));
}

/* What it was that the entry's place in the tree was refused for. */
static int refuse_place(struct expansion *expansion, const mfs_archive_entry *entry, int code)
{
	switch (code) {
	case MFS_EEXIST:
		return leave_out(expansion, entry, code, "its name came before in the archive");
	case MFS_EISDIR:
		return leave_out(expansion, entry, code, "the archive has a directory there");
	case MFS_ENOTDIR:
		return leave_out(expansion, entry, code, "the archive has a file there");
	case MFS_ENAMETOOLONG:
	case MFS_EINVAL:
		return leave_out(expansion, entry, code, "its path cannot be one of a workspace");
	default:
		return fail_entry(entry, code);
	}
}

/* Would the workspace refuse a file's last bytes, after all the others were read? */
static int check_room(const struct expansion *expansion, const mfs_archive_entry *entry,
					  mfs_file *file)
{
	mfs_usage usage;

	if (entry->size < LARGE_FILE || mfs_stats(expansion->fs, &usage) != 0)
		return 0;
	uint64_t room = mfs_may_wait(file) == 1 ? usage.quota_bytes : usage.free_bytes;
	if ((uint64_t)entry->size <= room)
		return 0;
	return mfs_set_last_error(
		MFS_EQUOTA, CALL " of %.200s: %s: it has %" PRId64 " bytes, and there is room for %" PRIu64,
		entry->path, mfs_strerror(MFS_EQUOTA), entry->size, room);
}

/*
 * A file's bytes
 */

/* The entry should be at its end. What it gives beyond its size is taken, too. */
static int64_t read_beyond(struct expansion *expansion, const mfs_archive_entry *entry,
						   mfs_file *file)
{
	unsigned char some[512];
	int64_t got = expansion->adapter->read(expansion->archive, some, sizeof some);

	if (got < 0 || got > (int64_t)sizeof some)
		return fail_adapter(expansion, got);
	int64_t written = got > 0 ? mfs_write(file, some, (size_t)got) : 0;
	return written < 0 ? fail_entry(entry, (int)written) : got;
}

/* Up to `wanted` bytes into the file. Returns how many, 0 at the entry's end, or a code. */
static int64_t read_piece(struct expansion *expansion, const mfs_archive_entry *entry,
						  mfs_file *file, size_t wanted)
{
	void *memory;
	int64_t room = mfs_reserve(file, wanted, &memory);

	/* Of an entry that does not say its size, a little may come that there is room for, or none. */
	if (room == MFS_EQUOTA && entry->size < 0) {
		forget(expansion);
		return read_beyond(expansion, entry, file);
	}
	if (room < 0)
		return fail_entry(entry, (int)room);
	int64_t got = expansion->adapter->read(expansion->archive, memory, (size_t)room);
	if (got < 0 || got > room)
		return fail_adapter(expansion, got);
	int code = mfs_commit(file, (size_t)got);
	return code ? fail_entry(entry, code) : got;
}

static int read_bytes(struct expansion *expansion, const mfs_archive_entry *entry, mfs_file *file)
{
	int64_t left = entry->size;

	for (;;) {
		int64_t got;
		if (left == 0) {
			/* Only here is it known that there is no more: the next piece has no known size. */
			got = read_beyond(expansion, entry, file);
			left = -1;
		} else {
			int64_t most = left < 0 ? UNKNOWN_PIECE : PIECE;
			got =
				read_piece(expansion, entry, file, (size_t)(left > 0 && left < most ? left : most));
			left = left < 0 ? left : left - got;
		}
		if (got <= 0)
			return (int)got;
		expansion->progress.bytes += (uint64_t)got;
		int code = report_at_times(expansion);
		if (code)
			return code;
	}
}

/*
 * Entries
 */

/* A file of the archive, into the import that there is. Returns 1, 0 if it was left out, or a code.
 */
static int write_file(struct expansion *expansion, const mfs_archive_entry *entry)
{
	mfs_file *file;
	int code = mfs_import_open(expansion->import, expansion->path, "xb", NULL, &file);

	if (code)
		return refuse_place(expansion, entry, code);
	code = check_room(expansion, entry, file);
	if (!code)
		code = read_bytes(expansion, entry, file);
	(void)mfs_close(file);
	return code ? code : 1;
}

static unsigned commit_flags(const struct expansion *expansion)
{
	switch (expansion->options.on_conflict) {
	case MFS_ARCHIVE_SKIP:
		return MFS_IMPORT_KEEP;
	case MFS_ARCHIVE_OVERWRITE:
		return 0;
	default:
		return MFS_IMPORT_NEW;
	}
}

/*
 * Let the import be seen, with its files: *done of them, while those that the workspace has already
 * are conflicts.
 */
static int commit(struct expansion *expansion, const char *what, uint64_t files, uint64_t *done)
{
	int64_t came = mfs_import_commit(expansion->import, commit_flags(expansion));

	if (came < 0)
		return fail(what, (int)came, mfs_last_error());
	expansion->import = NULL;
	expansion->progress.conflicts += files - (uint64_t)came;
	*done = (uint64_t)came;
	return 0;
}

/* A file that appears with all the others. */
static int add_file(struct expansion *expansion, const mfs_archive_entry *entry)
{
	int written = write_file(expansion, entry);

	expansion->progress.files += written > 0;
	return written < 0 ? written : 0;
}

/* A file that appears as soon as it is whole. */
static int publish_file(struct expansion *expansion, const mfs_archive_entry *entry)
{
	if (expansion->options.on_conflict == MFS_ARCHIVE_SKIP &&
		mfs_exists(expansion->fs, expansion->path)) {
		expansion->progress.conflicts++;
		return 0;
	}
	int code = mfs_import_begin(expansion->fs, &expansion->import);
	if (code)
		return fail_entry(entry, code);
	uint64_t done = 0;
	code = write_file(expansion, entry);
	if (code > 0)
		code = commit(expansion, entry->path, 1, &done);
	expansion->progress.files += done;
	(void)mfs_import_abort(expansion->import);
	expansion->import = NULL;
	return code;
}

/* A directory that appears at once. A file in its place is a conflict. */
static int publish_directory(struct expansion *expansion, const char *what)
{
	int code = mfs_mkdir(expansion->fs, expansion->path, MFS_EXIST_OK);

	if (code == MFS_EEXIST)
		code = MFS_ENOTDIR;
	return code ? fail(what, code, mfs_last_error()) : 0;
}

static int add_directory(struct expansion *expansion, const mfs_archive_entry *entry)
{
	expansion->progress.directories++;
	if (expansion->is_atomic) {
		int code = mfs_import_mkdir(expansion->import, expansion->path);
		return code ? refuse_place(expansion, entry, code) : 0;
	}
	int code = publish_directory(expansion, entry->path);
	if (code == MFS_ENOTDIR && expansion->options.on_conflict == MFS_ARCHIVE_SKIP) {
		forget(expansion);
		return 0;
	}
	return code;
}

static int add_entry(struct expansion *expansion, const mfs_archive_entry *entry)
{
	struct mfs__archive_refusal refusal;
	size_t at = expansion->to_length;

	if (mfs__archive_entry_path(expansion->path + at, sizeof expansion->path - at, entry->path,
								&refusal) != 0)
		return leave_out(expansion, entry, refusal.code, refusal.reason);
	switch (entry->kind) {
	case MFS_ARCHIVE_ENTRY_DIRECTORY:
		return add_directory(expansion, entry);
	case MFS_ARCHIVE_ENTRY_FILE:
		if (expansion->path[at] == '\0')
			return leave_out(expansion, entry, MFS_EISDIR, "it has no name of its own");
		return expansion->is_atomic ? add_file(expansion, entry) : publish_file(expansion, entry);
	case MFS_ARCHIVE_ENTRY_OTHER:
		return leave_out(expansion, entry, MFS_ENOTSUP,
						 "it is no file and no directory, or encrypted");
	default:
		return fail(entry->path, MFS_EINVAL, "kind of an entry that an adapter gave");
	}
}

static int add_entries(struct expansion *expansion)
{
	for (;;) {
		mfs_archive_entry entry = {.size = -1};
		int result = expansion->adapter->next(expansion->archive, &entry);
		if (result < 0)
			return fail_adapter(expansion, result);
		expansion->progress.path = result ? entry.path : NULL;
		if (result == 0)
			return report(expansion);
		expansion->progress.entries++;
		int code = report(expansion);
		if (!code)
			code = add_entry(expansion, &entry);
		if (code)
			return code;
		expansion->progress.path = NULL;
	}
}

/*
 * The call
 */

/* The first adapter that takes the archive. Returns 0 or a code. */
static int choose_adapter(struct expansion *expansion)
{
	const mfs_archive_options *options = &expansion->options;
	const void *head = NULL;

	expansion->adapter = options->flags & MFS_ARCHIVE_ALL_FORMATS ? &mfs__archive_all_formats
																  : &mfs__archive_usual_formats;
	if (options->adapter_count == 0)
		return 0;
	int64_t size = mfs__archive_input_head(&expansion->input, MFS__ARCHIVE_HEAD_MAX, &head);
	if (size < 0)
		return fail(expansion->name, (int)size, expansion->input.fault.reason);
	for (unsigned i = 0; i < options->adapter_count; i++) {
		const mfs_archive_adapter *adapter = options->adapters[i];
		if (adapter->probe(adapter->user, size > 0 ? head : "", (size_t)size)) {
			expansion->adapter = adapter;
			break;
		}
	}
	return 0;
}

static int expand_with_adapter(struct expansion *expansion)
{
	const mfs_archive_adapter *adapter = expansion->adapter;
	int code = adapter->open(adapter->user, &expansion->input, &expansion->archive);

	if (code < 0)
		return fail_adapter(expansion, code);
	code = add_entries(expansion);
	adapter->close(expansion->archive);
	return code;
}

/* `to` and its parents. */
static int make_base(struct expansion *expansion)
{
	mfs_info info;

	if (!expansion->is_atomic)
		return publish_directory(expansion, expansion->path);
	/* An import that keeps what is there would drop all below a file without a word. */
	int code = mfs_stat(expansion->fs, expansion->path, &info);
	if (code == 0 && !info.is_dir)
		return fail(expansion->path, MFS_ENOTDIR, mfs_strerror(MFS_ENOTDIR));
	if (code == MFS_ENOTDIR)
		return fail(expansion->path, code, mfs_last_error());
	if (code)
		forget(expansion);
	code = mfs_import_begin(expansion->fs, &expansion->import);
	if (!code)
		code = mfs_import_mkdir(expansion->import, expansion->path);
	return code ? fail(expansion->path, code, mfs_last_error()) : 0;
}

static int expand(struct expansion *expansion, const mfs_archive_source *source)
{
	int code = mfs__archive_input_open(&expansion->input, source);

	if (code)
		code = fail(expansion->name, code, expansion->input.fault.reason);
	if (!code)
		code = choose_adapter(expansion);
	if (!code)
		code = make_base(expansion);
	if (!code)
		code = expand_with_adapter(expansion);
	if (!code && expansion->is_atomic)
		code = commit(expansion, expansion->name, expansion->progress.files,
					  &expansion->progress.files);
	(void)mfs_import_abort(expansion->import);
	mfs__archive_input_close(&expansion->input);
	return code;
}

static int check_adapters(const mfs_archive_options *options)
{
	if (options->adapter_count > 0 && !options->adapters)
		return mfs_set_last_error(MFS_EINVAL, CALL ": adapters of mfs_archive_options");
	for (unsigned i = 0; i < options->adapter_count; i++) {
		const mfs_archive_adapter *adapter = options->adapters[i];
		if (!adapter || (adapter->struct_size != 0 && adapter->struct_size < sizeof *adapter))
			return mfs_set_last_error(MFS_EINVAL, CALL ": struct_size of adapter %u", i);
		if (!adapter->name || !adapter->probe || !adapter->open || !adapter->next ||
			!adapter->read || !adapter->close)
			return mfs_set_last_error(MFS_EINVAL, CALL ": NULL in adapter %u", i);
	}
	return 0;
}

static int check(mfs *fs, const char *to, const mfs_archive_source *source,
				 const mfs_archive_options *given, mfs_archive_options *options)
{
	if (!fs || !to || !source)
		return mfs_set_last_error(MFS_EINVAL, CALL ": NULL");
	if (!mfs__archive_options_copy(options, sizeof *options, given))
		return mfs_set_last_error(MFS_EINVAL, CALL ": struct_size of mfs_archive_options");
	if (options->on_conflict < MFS_ARCHIVE_ERROR || options->on_conflict > MFS_ARCHIVE_OVERWRITE)
		return mfs_set_last_error(MFS_EINVAL, CALL ": on_conflict of mfs_archive_options");
	if (options->on_unsafe != MFS_ARCHIVE_REFUSE_UNSAFE &&
		options->on_unsafe != MFS_ARCHIVE_SKIP_UNSAFE)
		return mfs_set_last_error(MFS_EINVAL, CALL ": on_unsafe of mfs_archive_options");
	if (options->flags & ~(unsigned)MFS_ARCHIVE_ALL_FORMATS)
		return mfs_set_last_error(MFS_EINVAL, CALL ": flags of mfs_archive_options");
	if (strnlen(to, MFS_PATH_MAX + 1) > MFS_PATH_MAX)
		return mfs_set_last_error(MFS_ENAMETOOLONG, CALL ": the path to expand to is too long");
	return check_adapters(options);
}

static int64_t begin(mfs *fs, const char *to, const mfs_archive_source *source,
					 const mfs_archive_options *given, bool is_atomic)
{
	mfs_archive_options options = {0};
	int code = check(fs, to, source, given, &options);

	if (options.result)
		*options.result = (mfs_archive_progress){0};
	if (code)
		return code;
	struct expansion *expansion = malloc(sizeof *expansion);
	if (!expansion)
		return fail("an archive", MFS_ENOMEM, mfs_strerror(MFS_ENOMEM));
	/* Without the path, which is long. */
	memset(expansion, 0, offsetof(struct expansion, path));
	expansion->fs = fs;
	expansion->options = options;
	expansion->reporter.on_progress = options.on_progress;
	expansion->reporter.user = options.user;
	expansion->is_atomic = is_atomic;
	bool has_name = source->kind == MFS_ARCHIVE_HOST_PATH || source->kind == MFS_ARCHIVE_FILE;
	expansion->name = has_name && source->path ? source->path : "an archive";
	expansion->to_length = strlen(to);
	/* Each component of an entry's path brings a '/' before it. */
	while (expansion->to_length > 0 && to[expansion->to_length - 1] == '/')
		expansion->to_length--;
	memcpy(expansion->noted, mfs_last_error(), strnlen(mfs_last_error(), NOTE_SIZE - 1));
	memcpy(expansion->path, to, expansion->to_length);
	expansion->path[expansion->to_length] = '\0';
	code = expand(expansion, source);
	if (options.result) {
		*options.result = expansion->progress;
		options.result->path = NULL;
	}
	int64_t files = (int64_t)expansion->progress.files;
	free(expansion);
	return code ? code : files;
}

int64_t mfs_expand_archive(mfs *fs, const char *to, const mfs_archive_source *source,
						   const mfs_archive_options *options)
{
	return begin(fs, to, source, options, true);
}

int64_t mfs_expand_archive_streaming(mfs *fs, const char *to, const mfs_archive_source *source,
									 const mfs_archive_options *options)
{
	return begin(fs, to, source, options, false);
}
