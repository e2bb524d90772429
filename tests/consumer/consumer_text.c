/* SPDX-License-Identifier: MIT */
/* Uses an installed component from the outside. It is C and C++ at once: the headers serve both. */
#include <dmemfs/text.h>

#include <stdio.h>
#include <string.h>

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, mfs_last_error());
	return 1;
}

int main(void)
{
	static const char poem[] = "one\ntwo\n";
	const char *line = NULL;
	mfs *fs = NULL;
	mfs_text *text = NULL;
	mfs_text_options options;

	memset(&options, 0, sizeof(options));
	options.struct_size = sizeof(options);
	options.encoding = "UTF-16LE";
	if (mfs_new(NULL, &fs) != 0)
		return fail("mfs_new");
	if (mfs_text_open_path(fs, "/poem", "wb", &options, &text) != 0)
		return fail("mfs_text_open_path for writing");
	if (mfs_text_write(text, poem, strlen(poem)) != (int64_t)strlen(poem))
		return fail("mfs_text_write");
	if (mfs_text_close(text) != 0)
		return fail("mfs_text_close after writing");
	if (mfs_get_size(fs, "/poem") != 2 * (int64_t)strlen(poem))
		return fail("mfs_get_size");
	if (mfs_text_open_path(fs, "/poem", "rb", &options, &text) != 0)
		return fail("mfs_text_open_path for reading");
	if (mfs_text_readline(text, &line) != 4 || memcmp(line, poem, 4) != 0)
		return fail("mfs_text_readline");
	if (mfs_text_close(text) != 0)
		return fail("mfs_text_close after reading");
	if (mfs_free(fs) != 0)
		return fail("mfs_free");
	printf("the component text works\n");
	return 0;
}
