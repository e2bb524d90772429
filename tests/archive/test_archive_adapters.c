/* SPDX-License-Identifier: MIT */
/* Does a user's own format expand as the others do, whatever its functions answer? */
#include "expanding.h"

#include <fcntl.h>

/*
 * A format: "LIST\n", then for each entry a line "KIND SIZE PATH" and as many bytes. KIND is f, d
 * or o.
 */

struct list {
	mfs_archive_input *input;
	int64_t left; /* bytes of the entry at work */
	char line[300];
};

/** What its functions do besides, and what they saw. */
struct conduct {
	const char *magic;
	unsigned probes;
	size_t head_size;
	unsigned char head_end; /* its last byte */
	unsigned opens;
	unsigned closes;
	int open_code;
	int next_code;       /* of the second entry; 0: as it is */
	int64_t read_result; /* in the second entry; 0: as it is */
	bool has_reason;     /* failures are noted */
	bool says_no_size;
	int lie;  /* bytes that are told more, or fewer, than there are */
	int kind; /* of the second entry; 0: as it is */
	unsigned entries;
	size_t read_size; /* the most bytes that read() gives at a time; 0: all */
};

struct opened {
	struct list list;
	struct conduct *conduct;
};

static int note(const struct conduct *conduct, int code)
{
	return conduct->has_reason ? mfs_set_last_error(code, "a page is missing") : code;
}

static bool list_probe(void *user, const void *head, size_t size)
{
	struct conduct *conduct = user;
	size_t length = strlen(conduct->magic);

	conduct->probes++;
	conduct->head_size = size;
	conduct->head_end = size > 0 ? ((const unsigned char *)head)[size - 1] : 0;
	return size >= length && memcmp(head, conduct->magic, length) == 0;
}

static int list_open(void *user, mfs_archive_input *input, void **archive)
{
	struct conduct *conduct = user;
	char magic[8];

	conduct->opens++;
	if (conduct->open_code != 0) {
		return note(conduct, conduct->open_code);
	}
	/* What was probed is read again. */
	if (mfs_archive_read(input, magic, 5) != 5 || memcmp(magic, conduct->magic, 5) != 0) {
		return mfs_set_last_error(MFS_EFORMAT, "the magic is not there");
	}
	struct opened *opened = calloc(1, sizeof(*opened));

	if (opened == NULL) {
		return MFS_ENOMEM;
	}
	opened->list.input = input;
	opened->conduct = conduct;
	*archive = opened;
	return 0;
}

static int64_t list_read(void *archive, void *buffer, size_t size)
{
	struct opened *opened = archive;
	struct conduct *conduct = opened->conduct;

	if (conduct->read_result != 0 && conduct->entries == 2) {
		return conduct->read_result < 0 ? note(conduct, (int)conduct->read_result)
										: conduct->read_result;
	}
	if (conduct->read_size > 0 && size > conduct->read_size) {
		size = conduct->read_size;
	}
	if ((int64_t)size > opened->list.left) {
		size = (size_t)opened->list.left;
	}
	int64_t got = mfs_archive_read(opened->list.input, buffer, size);

	if (got > 0) {
		opened->list.left -= got;
	}
	return got;
}

static int list_next(void *archive, mfs_archive_entry *entry)
{
	struct opened *opened = archive;
	struct conduct *conduct = opened->conduct;
	char skipped[100];
	char kind = 0;
	long long size = 0;
	size_t length = 0;
	int path = 0;

	/* The caller may have read a part only. */
	while (opened->list.left > 0) {
		size_t part = opened->list.left < 100 ? (size_t)opened->list.left : 100;
		int64_t got = mfs_archive_read(opened->list.input, skipped, part);

		if (got <= 0) {
			return got < 0 ? (int)got : MFS_EFORMAT;
		}
		opened->list.left -= got;
	}
	for (; length < sizeof(opened->list.line) - 1; length++) {
		int64_t got = mfs_archive_read(opened->list.input, opened->list.line + length, 1);

		if (got < 0) {
			return (int)got;
		}
		if (got == 0 || opened->list.line[length] == '\n') {
			break;
		}
	}
	opened->list.line[length] = '\0';
	if (length == 0) {
		return 0;
	}
	conduct->entries++;
	if (conduct->entries == 2 && conduct->next_code != 0) {
		return note(conduct, conduct->next_code);
	}
	if (sscanf(opened->list.line, "%c %lld %n", &kind, &size, &path) < 2) {
		return MFS_EFORMAT;
	}
	opened->list.left = size;
	entry->path = opened->list.line + path;
	entry->kind = kind == 'f'   ? MFS_ARCHIVE_ENTRY_FILE
				  : kind == 'd' ? MFS_ARCHIVE_ENTRY_DIRECTORY
								: MFS_ARCHIVE_ENTRY_OTHER;
	if (conduct->entries == 2 && conduct->kind != 0) {
		entry->kind = conduct->kind;
	}
	entry->size = conduct->says_no_size ? -1 : size + conduct->lie;
	return 1;
}

static void list_close(void *archive)
{
	struct opened *opened = archive;

	opened->conduct->closes++;
	free(opened);
}

static mfs_archive_adapter list_adapter(struct conduct *conduct)
{
	mfs_archive_adapter adapter = {
		.struct_size = sizeof(adapter),
		.name = "list",
		.probe = list_probe,
		.open = list_open,
		.next = list_next,
		.read = list_read,
		.close = list_close,
		.user = conduct,
	};

	if (conduct->magic == NULL) {
		conduct->magic = "LIST\n";
	}
	return adapter;
}

static struct bytes list_of(const char *text)
{
	struct bytes bytes = {0};

	bytes_append(&bytes, text, strlen(text));
	return bytes;
}

static const char usual[] = "LIST\nf 3 one\nabcd 0 dir\nf 4 dir/two\n1234f 0 empty\n";

static int64_t expand_with(mfs *fs, const struct bytes *bytes, struct conduct *conduct,
						   mfs_archive_options *options)
{
	mfs_archive_adapter adapter = list_adapter(conduct);
	const mfs_archive_adapter *adapters[] = {&adapter};
	mfs_archive_options none = {.struct_size = sizeof(none)};

	if (options == NULL) {
		options = &none;
	}
	options->adapters = adapters;
	options->adapter_count = 1;
	return expand_bytes(mfs_expand_archive, fs, "/to", bytes, options);
}

static void assert_usual(mfs *fs)
{
	assert_text(fs, "/to/one", "abc");
	assert_text(fs, "/to/dir/two", "1234");
	assert_text(fs, "/to/empty", "");
	assert_int_equal(usage_of(fs).files, 3);
}

/*
 * Choosing
 */

static void a_format_of_ones_own_expands(void **state)
{
	mfs *fs = *state;
	struct bytes bytes = list_of(usual);
	struct conduct conduct = {0};
	mfs_archive_progress result;
	mfs_archive_options options = {.struct_size = sizeof(options), .result = &result};

	assert_code(expand_with(fs, &bytes, &conduct, &options), 3);
	assert_usual(fs);
	assert_int_equal(result.entries, 4);
	assert_int_equal(result.directories, 1);
	assert_int_equal(result.bytes, 7);
	assert_int_equal(conduct.opens, 1);
	assert_int_equal(conduct.closes, 1);
	bytes_free(&bytes);
}

static void it_streams_too_and_from_a_pipe(void **state)
{
	mfs *fs = *state;
	struct bytes bytes = list_of(usual);
	struct conduct conduct = {0};
	mfs_archive_adapter adapter = list_adapter(&conduct);
	const mfs_archive_adapter *adapters[] = {&adapter};
	mfs_archive_options options = {
		.struct_size = sizeof(options), .adapters = adapters, .adapter_count = 1};

	assert_code(expand_pipe(mfs_expand_archive_streaming, fs, "/to", &bytes, &options), 3);
	assert_usual(fs);
	bytes_free(&bytes);
}

static void the_first_that_wants_it_gets_it(void **state)
{
	mfs *fs = *state;
	struct bytes bytes = list_of(usual);
	struct bytes tar = small_tar();
	struct conduct conducts[] = {{.magic = "OTHER"}, {.magic = "LIST\n"}, {.magic = "LIST\n"}};
	mfs_archive_adapter first = list_adapter(&conducts[0]);
	mfs_archive_adapter second = list_adapter(&conducts[1]);
	mfs_archive_adapter third = list_adapter(&conducts[2]);
	const mfs_archive_adapter *adapters[] = {&first, &second, &third};
	mfs_archive_options options = {
		.struct_size = sizeof(options), .adapters = adapters, .adapter_count = 3};

	assert_code(expand_bytes(mfs_expand_archive, fs, "/to", &bytes, &options), 3);
	assert_int_equal(conducts[0].probes, 1);
	assert_int_equal(conducts[1].probes, 1);
	assert_int_equal(conducts[2].probes, 0);
	assert_int_equal(conducts[1].opens, 1);
	/* What nobody wants is libarchive's. */
	assert_code(expand_bytes(mfs_expand_archive, fs, "/tar", &tar, &options), 2);
	assert_small_tar(fs, "/tar");
	assert_int_equal(conducts[2].probes, 1);
	assert_int_equal(conducts[2].opens, 0);
	bytes_free(&tar);
	bytes_free(&bytes);
}

static void the_first_64_kib_are_probed_or_all_there_is(void **state)
{
	mfs *fs = *state;
	struct bytes large = {0};
	struct bytes small = list_of("tiny");
	struct bytes none = {0};

	bytes_extend(&large, 200 * KIB);
	for (size_t i = 0; i < large.size; i++) {
		large.data[i] = (unsigned char)(i / KIB);
	}
	make_file(fs, "/archive", large.data, large.size);
	for (int round = 0; round < 3; round++) {
		struct conduct conduct = {.magic = "no magic"};
		mfs_archive_adapter adapter = list_adapter(&conduct);
		const mfs_archive_adapter *adapters[] = {&adapter};
		mfs_archive_options options = {
			.struct_size = sizeof(options), .adapters = adapters, .adapter_count = 1};
		mfs_archive_source file = mfs_archive_from_file(fs, "/archive");

		assert_code(round == 0   ? expand_bytes(mfs_expand_archive, fs, "/to", &large, &options)
					: round == 1 ? expand_pipe(mfs_expand_archive, fs, "/to", &large, &options)
								 : mfs_expand_archive(fs, "/to", &file, &options),
					MFS_EFORMAT);
		assert_int_equal(conduct.head_size, 64 * KIB);
		assert_int_equal(conduct.head_end, 63);
	}
	struct conduct conduct = {.magic = "no magic"};

	assert_code(expand_with(fs, &small, &conduct, NULL), MFS_EFORMAT);
	assert_int_equal(conduct.head_size, 4);
	assert_int_equal(conduct.head_end, 'y');
	assert_code(expand_with(fs, &none, &conduct, NULL), MFS_EFORMAT);
	assert_int_equal(conduct.head_size, 0);
	assert_int_equal(conduct.probes, 2);
	bytes_free(&small);
	bytes_free(&large);
}

/*
 * Sizes
 */

static void what_read_gives_is_what_counts(void **state)
{
	mfs *fs = *state;
	struct bytes bytes = list_of(usual);
	/* Unknown sizes; more told than there is; less told; small pieces. */
	struct conduct conducts[] = {
		{.says_no_size = true}, {.lie = 100}, {.lie = -2}, {.read_size = 1}, {.lie = 5000000}};

	for (size_t i = 0; i < COUNT_OF(conducts); i++) {
		assert_code(expand_with(fs, &bytes, &conducts[i], NULL), 3);
		assert_usual(fs);
		assert_code(mfs_rmtree(fs, "/to"), 0);
		assert_nothing(fs);
	}
	bytes_free(&bytes);
}

static void a_large_file_of_unknown_size_comes_whole(void **state)
{
	mfs *fs = *state;
	struct bytes bytes = list_of("LIST\nf 3000000 large\n");
	struct rng rng = {.state = 3};
	struct conduct conducts[] = {
		{.says_no_size = true}, {.says_no_size = true, .read_size = 4097}, {.lie = -1000000}, {0}};

	rng_fill(&rng, bytes_extend(&bytes, 3000000), 3000000);
	for (size_t i = 0; i < COUNT_OF(conducts); i++) {
		assert_code(expand_with(fs, &bytes, &conducts[i], NULL), 1);
		assert_file_holds(fs, "/to/large", bytes.data + bytes.size - 3000000, 3000000);
		assert_code(mfs_rmtree(fs, "/to"), 0);
	}
	bytes_free(&bytes);
}

static void a_file_of_unknown_size_may_fill_the_quota(void **state)
{
	mfs *roomy = *state;
	struct bytes bytes = list_of("LIST\nf 5000 full\n");
	struct conduct conduct = {.says_no_size = true};

	memset(bytes_extend(&bytes, 5000), 'f', 5000);
	assert_code(expand_with(roomy, &bytes, &conduct, NULL), 1);
	uint64_t used = used_bytes(roomy);
	mfs_options options = {.struct_size = sizeof(options), .max_quota = used};
	mfs *exact = new_workspace(&options);

	assert_code(expand_with(exact, &bytes, &conduct, NULL), 1);
	assert_int_equal(used_bytes(exact), used);
	free_workspace(exact);
	options.max_quota = used - 1;
	mfs *tight = new_workspace(&options);

	assert_code(expand_with(tight, &bytes, &conduct, NULL), MFS_EQUOTA);
	assert_nothing(tight);
	free_workspace(tight);
	bytes_free(&bytes);
}

static void entries_that_are_left_out_need_not_be_read(void **state)
{
	mfs *fs = *state;
	struct bytes bytes = list_of("LIST\no 5 device\n12345f 3 ../out\nabcf 2 in\nxy");
	struct conduct conduct = {0};
	mfs_archive_progress result;
	mfs_archive_options options = {
		.struct_size = sizeof(options), .on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE, .result = &result};

	assert_code(expand_with(fs, &bytes, &conduct, &options), 1);
	assert_text(fs, "/to/in", "xy");
	assert_int_equal(result.unsafe, 2);
	assert_code(mfs_rmtree(fs, "/to"), 0);
	conduct = (struct conduct){0};
	assert_refused(fs, expand_with(fs, &bytes, &conduct, NULL), MFS_ENOTSUP);
	assert_int_equal(conduct.closes, 1);
	assert_nothing(fs);
	bytes_free(&bytes);
}

/*
 * Failures
 */

static void a_code_ends_the_expansion_with_its_reason(void **state)
{
	mfs *fs = *state;
	struct bytes bytes = list_of(usual);

	for (int round = 0; round < 6; round++) {
		struct conduct conduct = {.has_reason = round % 2 == 1};
		/* The second entry is a directory: the one that is read is the third. */
		struct bytes two = list_of("LIST\nf 3 one\nabcf 4 two\n1234");

		conduct.open_code = round / 2 == 0 ? MFS_EBADF : 0;
		conduct.next_code = round / 2 == 1 ? MFS_ETIMEDOUT : 0;
		conduct.read_result = round / 2 == 2 ? MFS_ENOMEM : 0;
		int want = round / 2 == 0 ? MFS_EBADF : round / 2 == 1 ? MFS_ETIMEDOUT : MFS_ENOMEM;

		assert_refused(fs, expand_with(fs, &two, &conduct, NULL), want);
		assert_non_null(strstr(mfs_last_error(), "list"));
		assert_int_equal(strstr(mfs_last_error(), "a page is missing") != NULL, conduct.has_reason);
		if (!conduct.has_reason) {
			assert_non_null(strstr(mfs_last_error(), mfs_strerror(want)));
		}
		assert_int_equal(conduct.closes, round / 2 == 0 ? 0 : 1);
		assert_nothing(fs);
		bytes_free(&two);
	}
	bytes_free(&bytes);
}

static void a_source_that_fails_is_the_reason(void **state)
{
	mfs *fs = *state;
	struct conduct conduct = {0};
	mfs_archive_adapter adapter = list_adapter(&conduct);
	const mfs_archive_adapter *adapters[] = {&adapter};
	mfs_archive_options options = {
		.struct_size = sizeof(options), .adapters = adapters, .adapter_count = 1};
	int fds[2];
	mfs_archive_source source;

	/* It does not block, and has no more when it is asked again. */
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	assert_int_equal(write(fds[1], usual, sizeof(usual) - 1), sizeof(usual) - 1);
	source = mfs_archive_from_fd(fds[0]);
	assert_refused(fs, mfs_expand_archive(fs, "/to", &source, &options), MFS_EHOST);
	assert_non_null(strstr(mfs_last_error(), mfs_strerror(MFS_EHOST)));
	assert_nothing(fs);
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(close(fds[1]), 0);
}

static void answers_that_make_no_sense_are_refused(void **state)
{
	mfs *fs = *state;
	struct conduct conducts[] = {{.read_result = INT64_MAX},
								 {.read_result = 5000000},
								 {.kind = 99},
								 {.kind = 100},
								 {.kind = -1}};

	for (size_t i = 0; i < COUNT_OF(conducts); i++) {
		struct bytes bytes = list_of("LIST\nf 3 one\nabcf 4 two\n1234");

		assert_refused(fs, expand_with(fs, &bytes, &conducts[i], NULL), MFS_EINVAL);
		assert_int_equal(conducts[i].closes, 1);
		assert_nothing(fs);
		bytes_free(&bytes);
	}
}

static void an_adapter_that_lacks_something_is_refused(void **state)
{
	mfs *fs = *state;
	struct bytes bytes = list_of(usual);
	struct conduct conduct = {0};
	mfs_archive_adapter adapter;
	const mfs_archive_adapter *adapters[] = {&adapter};
	mfs_archive_options options = {
		.struct_size = sizeof(options), .adapters = adapters, .adapter_count = 1};

	for (int round = 0; round < 8; round++) {
		adapter = list_adapter(&conduct);
		switch (round) {
		case 0:
			adapter.struct_size = 8;
			break;
		case 1:
			adapter.name = NULL;
			break;
		case 2:
			adapter.probe = NULL;
			break;
		case 3:
			adapter.open = NULL;
			break;
		case 4:
			adapter.next = NULL;
			break;
		case 5:
			adapter.read = NULL;
			break;
		case 6:
			adapter.close = NULL;
			break;
		default:
			adapters[0] = NULL;
			break;
		}
		assert_refused(fs, expand_bytes(mfs_expand_archive, fs, "/to", &bytes, &options),
					   MFS_EINVAL);
	}
	assert_int_equal(conduct.probes, 0);
	adapter = list_adapter(&conduct);
	adapter.struct_size = 0;
	adapters[0] = &adapter;
	assert_code(expand_bytes(mfs_expand_archive, fs, "/to", &bytes, &options), 3);
	bytes_free(&bytes);
}

/* Reads with bad arguments from within. */
static int64_t curious_read(void *archive, void *buffer, size_t size)
{
	struct opened *opened = archive;
	mfs_archive_input *input = opened->list.input;

	if (mfs_archive_read(NULL, buffer, 1) != MFS_EINVAL ||
		mfs_archive_read(input, NULL, 1) != MFS_EINVAL ||
		mfs_archive_read(input, buffer, SIZE_MAX) != MFS_EINVAL ||
		mfs_archive_read(input, NULL, 0) != 0) {
		return MFS_EBADF;
	}
	return list_read(archive, buffer, size);
}

static void bad_reads_are_refused_and_read_nothing(void **state)
{
	mfs *fs = *state;
	struct bytes bytes = list_of(usual);
	struct conduct conduct = {0};
	mfs_archive_adapter adapter = list_adapter(&conduct);
	const mfs_archive_adapter *adapters[] = {&adapter};
	mfs_archive_options options = {
		.struct_size = sizeof(options), .adapters = adapters, .adapter_count = 1};

	adapter.read = curious_read;
	assert_code(expand_bytes(mfs_expand_archive, fs, "/to", &bytes, &options), 3);
	assert_usual(fs);
	bytes_free(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(a_format_of_ones_own_expands),
		WORKSPACE_TEST(it_streams_too_and_from_a_pipe),
		WORKSPACE_TEST(the_first_that_wants_it_gets_it),
		WORKSPACE_TEST(the_first_64_kib_are_probed_or_all_there_is),
		WORKSPACE_TEST(what_read_gives_is_what_counts),
		WORKSPACE_TEST(a_large_file_of_unknown_size_comes_whole),
		WORKSPACE_TEST(a_file_of_unknown_size_may_fill_the_quota),
		WORKSPACE_TEST(entries_that_are_left_out_need_not_be_read),
		WORKSPACE_TEST(a_code_ends_the_expansion_with_its_reason),
		WORKSPACE_TEST(a_source_that_fails_is_the_reason),
		WORKSPACE_TEST(answers_that_make_no_sense_are_refused),
		WORKSPACE_TEST(an_adapter_that_lacks_something_is_refused),
		WORKSPACE_TEST(bad_reads_are_refused_and_read_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
