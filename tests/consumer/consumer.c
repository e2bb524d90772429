/* SPDX-License-Identifier: MIT */
/* Uses the installed library from the outside. It is C and C++ at once: the header serves both. */
#include <dmemfs/dmemfs.h>

#include <stdio.h>
#include <string.h>

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, mfs_last_error());
	return 1;
}

int main(void)
{
	static const char text[] = "installed";
	char back[sizeof(text)];
	mfs *fs = NULL;
	mfs_file *file = NULL;

	if (mfs_new(NULL, &fs) != 0)
		return fail("mfs_new");
	if (mfs_open(fs, "/file", "wb", &file) != 0)
		return fail("mfs_open for writing");
	if (mfs_write(file, text, sizeof(text)) != (int64_t)sizeof(text))
		return fail("mfs_write");
	if (mfs_close(file) != 0)
		return fail("mfs_close after writing");
	if (mfs_open(fs, "/file", "rb", &file) != 0)
		return fail("mfs_open for reading");
	if (mfs_read(file, back, sizeof(back)) != (int64_t)sizeof(back))
		return fail("mfs_read");
	if (mfs_close(file) != 0)
		return fail("mfs_close after reading");
	if (mfs_free(fs) != 0)
		return fail("mfs_free");
	if (strcmp(text, back) != 0) {
		fprintf(stderr, "read '%s', wrote '%s'\n", back, text);
		return 1;
	}
	printf("%s %s works\n", text, mfs_version());
	return 0;
}
