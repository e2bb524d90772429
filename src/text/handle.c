/* SPDX-License-Identifier: MIT */
/* Making text handles, their position, and closing them. */
#include "handle.h"

#include <stdio.h>

/* No options struct is ever this large: a larger struct_size is a mistake, and not read from. */
#define OPTIONS_SIZE_MAX ((size_t)4096)

#define MESSAGE_SIZE 512

/* Take the options over. Returns 0, or MFS_EINVAL, noted. */
static int read_options(const mfs_text_options *options, mfs_text_options *o)
{
	memset(o, 0, sizeof *o);
	if (options) {
		size_t size = options->struct_size ? options->struct_size : sizeof *o;
		if (size < sizeof *o || size > OPTIONS_SIZE_MAX)
			return mfs_set_last_error(MFS_EINVAL, "struct_size of mfs_text_options");
		for (size_t i = sizeof *o; i < size; i++)
			if (((const char *)options)[i])
				return mfs_set_last_error(MFS_EINVAL, "mfs_text_options of a later version");
		*o = *options;
	}
	if (!o->encoding)
		o->encoding = "UTF-8";
	if (o->max_line == 0 || o->max_line > SIZE_MAX / 2)
		o->max_line = SIZE_MAX / 2;
	if (o->errors < MFS_TEXT_STRICT || o->errors > MFS_TEXT_IGNORE)
		return mfs_set_last_error(MFS_EINVAL, "errors of mfs_text_options: %d", o->errors);
	if (o->newline < MFS_TEXT_NEWLINE_UNIVERSAL || o->newline > MFS_TEXT_NEWLINE_CRLF)
		return mfs_set_last_error(MFS_EINVAL, "newline of mfs_text_options: %d", o->newline);
	return 0;
}

/* A handle without a file. */
static int make(const mfs_text_options *options, bool reads, bool writes, mfs_text **out)
{
	mfs_text_options o;

	int code = read_options(options, &o);
	if (code)
		return code;
	mfs_text *text = calloc(1, sizeof *text);
	if (!text)
		return mfs_set_last_error(MFS_ENOMEM, "text handle");
	code = mfs__text_codec_open(&text->codec, o.encoding, reads, writes);
	if (code) {
		mfs__text_codec_close(&text->codec);
		free(text);
		return code;
	}
	text->reads = reads;
	text->writes = writes;
	text->errors = o.errors;
	text->newline = o.newline;
	text->max_line = (size_t)o.max_line;
	text->final_stop = o.newline == MFS_TEXT_NEWLINE_CR ? '\r' : '\n';
	text->stop = text->final_stop;
	text->other_stop = text->final_stop;
	if (o.newline == MFS_TEXT_NEWLINE_UNIVERSAL || o.newline == MFS_TEXT_NEWLINE_KEEP)
		text->other_stop = '\r';
	text->at_cursor = true;
	text->decoded_to = MFS__TEXT_NOWHERE;
	text->likely_line = MFS__TEXT_LINE_MIN;
	mfs__text_source_forget(text);
	*out = text;
	return 0;
}

/* Can the file's memory be looked at for as long as it is open? To ask leaves no failure behind. */
static bool can_view(mfs_file *file)
{
	char message[MESSAGE_SIZE];
	const void *data;

	if (mfs_may_wait(file) == 1)
		return false;
	(void)snprintf(message, sizeof message, "%s", mfs_last_error());
	int64_t result = mfs_view(file, 0, &data);
	if (result < 0)
		(void)mfs_set_last_error((int)result, "%s", message);
	return result >= 0;
}

static void attach(mfs_text *text, mfs_file *file)
{
	text->file = file;
	text->views = text->reads && !text->writes && can_view(file);
	text->is_plain = text->reads && text->codec.kind == MFS__TEXT_UTF8 && !text->codec.marked &&
					 text->newline != MFS_TEXT_NEWLINE_CRLF;
}

int mfs_text_open(mfs_file *file, const mfs_text_options *options, mfs_text **out)
{
	if (!out)
		return mfs_set_last_error(MFS_EINVAL, "mfs_text_open: NULL");
	*out = NULL;
	int reads = mfs_readable(file);
	int writes = reads < 0 ? reads : mfs_writable(file);
	if (writes < 0)
		return writes;
	int code = make(options, reads, writes, out);
	if (*out)
		attach(*out, file);
	return code;
}

int mfs_text_open_path(mfs *fs, const char *path, const char *mode, const mfs_text_options *options,
					   mfs_text **out)
{
	mfs_text *text = NULL;
	mfs_file *file = NULL;

	if (!out || !mode)
		return mfs_set_last_error(MFS_EINVAL, "mfs_text_open_path: NULL");
	*out = NULL;
	/* What mfs_open() will say about the mode, if it takes it. */
	bool both = strchr(mode, '+') != NULL;
	int code = make(options, mode[0] == 'r' || both, mode[0] != 'r' || both, &text);
	if (!text)
		return code;
	code = mfs_open(fs, path, mode, &file);
	if (code) {
		(void)mfs_text_close(text);
		return code;
	}
	attach(text, file);
	text->owns_file = true;
	*out = text;
	return 0;
}

int mfs_text_close(mfs_text *text)
{
	if (!text)
		return 0;
	int code = text->owns_file ? mfs_close(text->file) : 0;
	mfs__text_codec_close(&text->codec);
	mfs__text_source_free(text);
	mfs__text_buffer_free(&text->line);
	mfs__text_buffer_free(&text->written);
	free(text);
	return code;
}

mfs_file *mfs_text_file(mfs_text *text)
{
	return text ? text->file : NULL;
}

int64_t mfs_text_tell(mfs_text *text)
{
	if (!text)
		return mfs_set_last_error(MFS_EINVAL, "mfs_text_tell: NULL");
	return text->at_cursor ? mfs_tell(text->file) : text->at;
}

int64_t mfs_text_seek(mfs_text *text, int64_t offset, int whence)
{
	if (!text)
		return mfs_set_last_error(MFS_EINVAL, "mfs_text_seek: NULL");
	if (offset < 0 || (offset > 0 && whence != SEEK_SET))
		return mfs_set_last_error(MFS_EINVAL, "mfs_text_seek: offset %lld", (long long)offset);
	switch (whence) {
	case SEEK_SET:
		text->at_cursor = false;
		text->at = offset;
		break;
	case SEEK_CUR:
		return mfs_text_tell(text);
	case SEEK_END:
		offset = mfs_seek(text->file, 0, SEEK_END);
		if (offset < 0)
			return offset;
		text->at_cursor = true;
		break;
	default:
		return mfs_set_last_error(MFS_EINVAL, "mfs_text_seek: whence %d", whence);
	}
	text->decoded_to = MFS__TEXT_NOWHERE;
	/* What was checked began where a character did, which may be elsewhere now. */
	text->checked = 0;
	return offset;
}
