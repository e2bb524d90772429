/* SPDX-License-Identifier: MIT */
/*
 * How much memory is available: is it the least of what the system and the process's control groups
 * say, and is a source that says nothing of use left out?
 */
#include "host_files.h"

#include "base/alloc.h"
#include "limit/memory_source.h"

#include <inttypes.h>
#include <poll.h>

/* Lines of mountinfo. Between them and what is looked for lie two tags, as there may be any. */
#define MOUNT_V2(root, top)                                                                        \
	"30 25 0:27 " root " " top " rw,nosuid shared:4 master:1 - cgroup2 cgroup2 rw,nsdelegate\n"
#define MOUNT_V1(root, top) "41 31 0:35 " root " " top " rw,relatime - cgroup cgroup rw,memory\n"
#define MOUNT_CPU           "42 31 0:36 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
#define MOUNT_OTHER         "22 27 0:21 / /proc rw,relatime - proc proc rw\n"

#define TOP_V2 "/sys/fs/cgroup"
#define TOP_V1 "/sys/fs/cgroup/memory"

/* Of the size of no group here: it never is the least. */
#define PLENTY (UINT64_C(1) << 40)

/* A directory of the host stands for the root folder. It is empty at first. */
static int root_setup(void **state)
{
	int code = host_setup(state);

	if (code == 0) {
		struct host_fixture *f = *state;

		mfs__memory_source_root(f->top);
	}
	return code;
}

static int root_teardown(void **state)
{
	mfs__memory_source_root(NULL);
	return host_teardown(state);
}

#define ROOT_TEST(function) cmocka_unit_test_setup_teardown(function, root_setup, root_teardown)

/*
 * Making files
 */

/* Makes a file, and the directories above it. `name` starts with '/'. */
static void put_bytes(struct host_fixture *f, const char *name, const void *bytes, size_t size)
{
	char way[PATH_MAX];

	assert_true(snprintf(way, sizeof(way), "%s%s", f->top, name) < (int)sizeof(way));
	for (char *slash = strchr(way + strlen(f->top) + 1, '/'); slash != NULL;
		 slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		assert_true(mkdir(way, 0777) == 0 || errno == EEXIST);
		*slash = '/';
	}
	host_file(f, name + 1, bytes, size);
}

static void put(struct host_fixture *f, const char *name, const char *text)
{
	put_bytes(f, name, text, strlen(text));
}

/* A file whose path is of two parts. */
static void put_in(struct host_fixture *f, const char *folder, const char *name, const char *text)
{
	char path[PATH_MAX];

	assert_true(snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path));
	put(f, path, text);
}

static void put_number(struct host_fixture *f, const char *folder, const char *name,
					   uint64_t number)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRIu64 "\n", number);
	put_in(f, folder, name, text);
}

static void put_meminfo(struct host_fixture *f, uint64_t available)
{
	char text[256];

	assert_int_equal(available % 1024, 0);
	(void)snprintf(text, sizeof(text),
				   "MemTotal:       24684084 kB\nMemFree:            1000 kB\n"
				   "MemAvailable:   %8" PRIu64 " kB\nBuffers:             788 kB\n"
				   "HugePages_Total:       0\n",
				   available / 1024);
	put(f, "/proc/meminfo", text);
}

/* A group whose limit is `limit`, and none of whose memory can be had back. */
static void put_v2(struct host_fixture *f, const char *folder, uint64_t limit, uint64_t use)
{
	put_number(f, folder, "memory.max", limit);
	put_in(f, folder, "memory.high", "max\n");
	put_number(f, folder, "memory.current", use);
	put_in(f, folder, "memory.stat", "anon 4096\nfile 0\ninactive_file 0\nactive_file 0\n");
}

static void put_v1(struct host_fixture *f, const char *folder, uint64_t limit, uint64_t use)
{
	put_number(f, folder, "memory.limit_in_bytes", limit);
	put_number(f, folder, "memory.usage_in_bytes", use);
	put_in(f, folder, "memory.stat",
		   "inactive_file 777\ntotal_inactive_file 0\ntotal_active_file 0\n");
}

/* The process is in a group of version 2, whose hierarchy is mounted as a whole. */
static void be_in_v2(struct host_fixture *f, const char *group)
{
	char line[PATH_MAX];

	(void)snprintf(line, sizeof(line), "0::%s\n", group);
	put(f, "/proc/self/cgroup", line);
	put(f, "/proc/self/mountinfo", MOUNT_OTHER MOUNT_V2("/", TOP_V2));
}

static void be_in_v1(struct host_fixture *f, const char *group)
{
	char line[PATH_MAX];

	(void)snprintf(line, sizeof(line), "9:name=systemd:/init\n5:cpu,cpuacct:/no\n4:memory:%s\n",
				   group);
	put(f, "/proc/self/cgroup", line);
	put(f, "/proc/self/mountinfo", MOUNT_OTHER MOUNT_CPU MOUNT_V1("/", TOP_V1));
}

static void assert_available(uint64_t available, int source)
{
	struct mfs__memory_sample sample = {.available = 1, .source = -1};
	unsigned before = count_descriptors();

	assert_true(mfs__memory_sample(&sample));
	assert_int_equal(sample.source, source);
	assert_int_equal(sample.available, available);
	assert_int_equal(count_descriptors(), before);
}

static void assert_unknown(void)
{
	assert_available(0, MFS_MEMORY_UNKNOWN);
}

/*
 * The system
 */

static void nothing_there_is_unknown(void **state)
{
	(void)state;
	assert_unknown();
}

static void system_says_what_is_available(void **state)
{
	struct host_fixture *f = *state;

	put_meminfo(f, 123 * MIB);
	assert_available(123 * MIB, MFS_MEMORY_SYSTEM);
	put_meminfo(f, 0);
	assert_available(0, MFS_MEMORY_SYSTEM);
}

static void meminfo_of_old_kernels_is_added_up(void **state)
{
	struct host_fixture *f = *state;

	put(f, "/proc/meminfo", "MemTotal: 99 kB\nMemFree: 5 kB\nBuffers: 2 kB\nCached: 30 kB\n");
	assert_available(37 * KIB, MFS_MEMORY_SYSTEM);
	/* What is in a tmpfs counts as cached and cannot be dropped. */
	put(f, "/proc/meminfo", "MemFree: 5 kB\nBuffers: 2 kB\nCached: 30 kB\nShmem: 20 kB\n");
	assert_available(17 * KIB, MFS_MEMORY_SYSTEM);
	put(f, "/proc/meminfo", "MemFree: 5 kB\nBuffers: 2 kB\nCached: 30 kB\nShmem: 31 kB\n");
	assert_available(7 * KIB, MFS_MEMORY_SYSTEM);
	put(f, "/proc/meminfo", "MemFree: 5 kB\nBuffers: 2 kB\n");
	assert_unknown();
	put(f, "/proc/meminfo", "MemFree: 5 kB\nCached: 30 kB\n");
	assert_unknown();
	put(f, "/proc/meminfo", "Buffers: 2 kB\nCached: 30 kB\n");
	assert_unknown();
}

static void bad_meminfo_is_unknown(void **state)
{
	static const char *const bad[] = {
		"",
		"\n",
		"MemAvailable",
		"MemAvailable:",
		"MemAvailable: kB\n",
		"MemAvailable: 12\n",
		"MemAvailable: 12 MB\n",
		"MemAvailable: -12 kB\n",
		"MemAvailable: +12 kB\n",
		"MemAvailable: 0x12 kB\n",
		"MemAvailable: 1 2 kB\n",
		"MemAvailable: 12 kB \n",
		"MemAvailable: 12 k",
		" MemAvailable: 12 kB\n",
		"memavailable: 12 kB\n",
		/* 2^64 and 2^64 / 1024. */
		"MemAvailable: 18446744073709551616 kB\n",
		"MemAvailable: 18014398509481984 kB\n",
		"MemAvailable: 99999999999999999999999999999999 kB\n",
		/* What is there but says nothing is not made up for. */
		"MemFree: 5 kB\nBuffers: 2 kB\nCached: 30 kB\nMemAvailable: ? kB\n",
		"MemFree: 18014398509481983 kB\nBuffers: 1 kB\nCached: 0 kB\n",
	};
	struct host_fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		put(f, "/proc/meminfo", bad[i]);
		assert_unknown();
	}
	put_bytes(f, "/proc/meminfo", "MemAvailable: 1\0 kB\n", 20);
	assert_unknown();
}

static void last_line_needs_no_end(void **state)
{
	struct host_fixture *f = *state;

	put(f, "/proc/meminfo", "MemFree: 1 kB\nMemAvailable: 12 kB");
	assert_available(12 * KIB, MFS_MEMORY_SYSTEM);
	/* The most that there can be. */
	put(f, "/proc/meminfo", "MemAvailable: 18014398509481983 kB");
	assert_available(UINT64_MAX - 1023, MFS_MEMORY_SYSTEM);
}

static void directory_in_place_of_a_file_is_unknown(void **state)
{
	struct host_fixture *f = *state;

	put(f, "/proc/meminfo/x", "");
	put(f, "/proc/self/cgroup/x", "");
	assert_unknown();
}

static void lines_of_any_length_are_passed_over(void **state)
{
	/* Around what the reader holds at once, and more often than that. */
	static const size_t lengths[] = {8190, 8191, 8192, 8193, 16383, 16384, 16385, 100000};
	static const char found[] = "\nMemAvailable: 12 kB\n";
	struct host_fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		char *text = allocate(lengths[i] + sizeof(found));

		memset(text, 'x', lengths[i]);
		memcpy(text + lengths[i], found, sizeof(found) - 1);
		put_bytes(f, "/proc/meminfo", text, lengths[i] + sizeof(found) - 1);
		assert_available(12 * KIB, MFS_MEMORY_SYSTEM);
		/* All in one line. */
		text[lengths[i]] = ' ';
		put_bytes(f, "/proc/meminfo", text, lengths[i] + sizeof(found) - 1);
		assert_unknown();
		free(text);
	}
}

static void what_comes_late_is_not_read(void **state)
{
	static const char found[] = "\nMemAvailable: 12 kB";
	struct host_fixture *f = *state;
	size_t length = MIB + 64;
	char *text = allocate(length);

	/* The last that is read looks whole, and is not. */
	for (size_t i = 0; i < length; i++)
		text[i] = i % 64 == 0 ? '\n' : '1';
	memcpy(text + MIB - (sizeof(found) - 1), found, sizeof(found) - 1);
	put_bytes(f, "/proc/meminfo", text, length);
	assert_unknown();
	/* With its end it is. */
	memcpy(text + MIB - sizeof(found), found, sizeof(found) - 1);
	text[MIB - 1] = '\n';
	put_bytes(f, "/proc/meminfo", text, length);
	assert_available(12 * KIB, MFS_MEMORY_SYSTEM);
	free(text);
}

static void file_without_end_is_left(void **state)
{
	struct host_fixture *f = *state;

	put(f, "/proc/none", "");
	assert_int_equal(symlink("/dev/zero", at(f, "proc/meminfo")), 0);
	assert_unknown();
}

/*
 * Version 2
 */

static void each_level_can_be_the_least(void **state)
{
	static const char *const folders[] = {TOP_V2 "/a/b/c", TOP_V2 "/a/b", TOP_V2 "/a", TOP_V2};
	struct host_fixture *f = *state;

	put_meminfo(f, PLENTY);
	be_in_v2(f, "/a/b/c");
	for (size_t least = 0; least < COUNT_OF(folders); least++) {
		for (size_t i = 0; i < COUNT_OF(folders); i++)
			put_v2(f, folders[i], (i == least ? 100 : 200) * MIB, 30 * MIB);
		assert_available(70 * MIB, MFS_MEMORY_CGROUP_V2);
	}
	put_meminfo(f, 50 * MIB);
	assert_available(50 * MIB, MFS_MEMORY_SYSTEM);
}

static void group_counts_if_the_system_says_the_same(void **state)
{
	struct host_fixture *f = *state;

	put_meminfo(f, 70 * MIB);
	be_in_v2(f, "/a");
	put_v2(f, TOP_V2 "/a", 100 * MIB, 30 * MIB);
	assert_available(70 * MIB, MFS_MEMORY_CGROUP_V2);
}

static void neighbours_do_not_count(void **state)
{
	struct host_fixture *f = *state;

	be_in_v2(f, "/a/bc");
	put_v2(f, TOP_V2 "/a/bc", 100 * MIB, 30 * MIB);
	put_v2(f, TOP_V2 "/a/b", 10 * MIB, 0);
	put_v2(f, TOP_V2 "/a/bc/d", 10 * MIB, 0);
	assert_available(70 * MIB, MFS_MEMORY_CGROUP_V2);
}

static void group_without_limit_says_nothing(void **state)
{
	struct host_fixture *f = *state;

	be_in_v2(f, "/a");
	put_v2(f, TOP_V2 "/a", 1, 30 * MIB);
	put_in(f, TOP_V2 "/a", "memory.max", "max\n");
	assert_unknown();
	put_meminfo(f, 5 * MIB);
	assert_available(5 * MIB, MFS_MEMORY_SYSTEM);
}

static void lower_of_high_and_max_is_the_limit(void **state)
{
	struct host_fixture *f = *state;

	be_in_v2(f, "/a");
	put_v2(f, TOP_V2 "/a", 100 * MIB, 30 * MIB);
	put_number(f, TOP_V2 "/a", "memory.high", 80 * MIB);
	assert_available(50 * MIB, MFS_MEMORY_CGROUP_V2);
	put_number(f, TOP_V2 "/a", "memory.high", 120 * MIB);
	assert_available(70 * MIB, MFS_MEMORY_CGROUP_V2);
	put_in(f, TOP_V2 "/a", "memory.max", "max\n");
	assert_available(90 * MIB, MFS_MEMORY_CGROUP_V2);
	/* One of them alone is enough. */
	put_in(f, TOP_V2 "/a", "memory.max", "nonsense\n");
	assert_available(90 * MIB, MFS_MEMORY_CGROUP_V2);
	assert_int_equal(unlink(at(f, "sys/fs/cgroup/a/memory.max")), 0);
	assert_available(90 * MIB, MFS_MEMORY_CGROUP_V2);
}

static void full_group_has_nothing_available(void **state)
{
	struct host_fixture *f = *state;

	put_meminfo(f, PLENTY);
	be_in_v2(f, "/a");
	put_v2(f, TOP_V2 "/a", 100 * MIB, 100 * MIB);
	assert_available(0, MFS_MEMORY_CGROUP_V2);
	put_v2(f, TOP_V2 "/a", 100 * MIB, 101 * MIB);
	assert_available(0, MFS_MEMORY_CGROUP_V2);
	put_v2(f, TOP_V2 "/a", 0, 0);
	assert_available(0, MFS_MEMORY_CGROUP_V2);
}

static void clean_pages_of_files_and_slab_are_available(void **state)
{
	struct host_fixture *f = *state;

	put_meminfo(f, PLENTY);
	be_in_v2(f, "/a");
	put_v2(f, TOP_V2 "/a", 1000, 1000);
	put_in(f, TOP_V2 "/a", "memory.stat",
		   "anon 300\nfile 650\nshmem 50\ninactive_anon 9\ninactive_file 400\nactive_file 200\n"
		   "slab_reclaimable 7\nslab_unreclaimable 40\nworkingset_refault_file 5\n");
	assert_available(607, MFS_MEMORY_CGROUP_V2);
	/* What must be written first is not. */
	put_in(f, TOP_V2 "/a", "memory.stat",
		   "file_dirty 30\nfile_writeback 4\ninactive_file 400\nactive_file 200\n");
	assert_available(566, MFS_MEMORY_CGROUP_V2);
	put_in(f, TOP_V2 "/a", "memory.stat",
		   "file_dirty 900\ninactive_file 400\nactive_file 200\nslab_reclaimable 7\n");
	assert_available(7, MFS_MEMORY_CGROUP_V2);
	/* The figures are not of one instant: more than all cannot be had. */
	put_in(f, TOP_V2 "/a", "memory.stat", "inactive_file 4000\nactive_file 0\n");
	assert_available(1000, MFS_MEMORY_CGROUP_V2);
}

static void use_counts_after_what_can_be_had_back(void **state)
{
	struct host_fixture *f = *state;

	/* Full of pages of files, the upper one has more available than the lower one. */
	put_meminfo(f, PLENTY);
	be_in_v2(f, "/a/b");
	put_v2(f, TOP_V2 "/a", 1000, 1000);
	put_in(f, TOP_V2 "/a", "memory.stat", "inactive_file 900\nactive_file 0");
	put_v2(f, TOP_V2 "/a/b", 500, 300);
	assert_available(200, MFS_MEMORY_CGROUP_V2);
	put_in(f, TOP_V2 "/a", "memory.stat", "inactive_file 100\nactive_file 0");
	assert_available(100, MFS_MEMORY_CGROUP_V2);
}

static void bad_level_is_skipped(void **state)
{
	static const struct {
		const char *name;
		const char *text;
	} bad[] = {
		{"memory.max", ""},
		{"memory.max", "\n"},
		{"memory.max", " 5\n"},
		{"memory.max", "5 \n"},
		{"memory.max", "5\n6\n"},
		{"memory.max", "-1\n"},
		{"memory.max", "maximum\n"},
		{"memory.max", "18446744073709551616\n"},
		{"memory.max", "00000000000000000000000000000000000000000000005\n"},
		{"memory.current", ""},
		{"memory.current", "max\n"},
		{"memory.current", "5x\n"},
		{"memory.current", "99999999999999999999\n"},
		{"memory.stat", ""},
		{"memory.stat", "inactive_file 5\n"},
		{"memory.stat", "active_file 5\n"},
		{"memory.stat", "inactive_file\nactive_file 0\n"},
		{"memory.stat", "inactive_file \nactive_file 0\n"},
		{"memory.stat", "inactive_file 5 5\nactive_file 0\n"},
		{"memory.stat", "inactive_file 0\nactive_file 0x5\n"},
		{"memory.stat", "inactive_file 0\nactive_file 0\nslab_reclaimable ?\n"},
		{"memory.stat", "inactive_file 18446744073709551615\nactive_file 1\n"},
	};
	struct host_fixture *f = *state;

	be_in_v2(f, "/a/b");
	put_v2(f, TOP_V2 "/a", 100 * MIB, 30 * MIB);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		char path[128];

		(void)snprintf(path, sizeof(path), "sys/fs/cgroup/a/b/%s", bad[i].name);
		put_v2(f, TOP_V2 "/a/b", 5, 5);
		assert_available(0, MFS_MEMORY_CGROUP_V2);
		host_text(f, path, bad[i].text);
		assert_available(70 * MIB, MFS_MEMORY_CGROUP_V2);
		/* The same without it. */
		assert_int_equal(unlink(at(f, path)), 0);
		assert_available(70 * MIB, MFS_MEMORY_CGROUP_V2);
	}
	put_v2(f, TOP_V2 "/a/b", 5, 5);
	put_bytes(f, TOP_V2 "/a/b/memory.max", "5\0", 2);
	assert_available(70 * MIB, MFS_MEMORY_CGROUP_V2);
}

static void removed_group_leaves_those_above(void **state)
{
	struct host_fixture *f = *state;

	be_in_v2(f, "/a/b (deleted)");
	put_v2(f, TOP_V2 "/a", 100 * MIB, 30 * MIB);
	/* Somebody else's, under the old name. */
	put_v2(f, TOP_V2 "/a/b", 10 * MIB, 0);
	assert_available(70 * MIB, MFS_MEMORY_CGROUP_V2);
}

static void names_of_groups_are_taken_as_they_are(void **state)
{
	static const char *const names[] = {"/a b", "/a:b:c", "/a\\040b", "/..a",
										"/a..", "/...",   "/a/./b"};
	struct host_fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		char folder[PATH_MAX];

		be_in_v2(f, names[i]);
		(void)snprintf(folder, sizeof(folder), "%s%s", TOP_V2, names[i]);
		put_v2(f, folder, 100 * MIB, (10 + i) * MIB);
		assert_available((90 - i) * MIB, MFS_MEMORY_CGROUP_V2);
	}
}

/*
 * Where the groups are
 */

static void usual_places_serve_without_mountinfo(void **state)
{
	struct host_fixture *f = *state;

	put(f, "/proc/self/cgroup", "4:cpuset,memory:/m\n0::/a\n");
	put_v2(f, TOP_V2 "/unified/a", 100 * MIB, 30 * MIB);
	assert_available(70 * MIB, MFS_MEMORY_CGROUP_V2);
	put_v2(f, TOP_V2 "/a", 100 * MIB, 40 * MIB);
	assert_available(60 * MIB, MFS_MEMORY_CGROUP_V2);
	put_v1(f, TOP_V1 "/m", 100 * MIB, 50 * MIB);
	assert_available(50 * MIB, MFS_MEMORY_CGROUP_V1);
	/* The same if it names none. */
	put(f, "/proc/self/mountinfo", MOUNT_OTHER MOUNT_CPU);
	assert_available(50 * MIB, MFS_MEMORY_CGROUP_V1);
	put(f, "/proc/self/cgroup", "0::/../a\n");
	put_v2(f, TOP_V2, 100 * MIB, 20 * MIB);
	assert_available(80 * MIB, MFS_MEMORY_CGROUP_V2);
}

static void mountinfo_says_where(void **state)
{
	struct host_fixture *f = *state;

	put(f, "/proc/self/cgroup", "0::/a\n");
	put(f, "/proc/self/mountinfo", MOUNT_OTHER MOUNT_CPU MOUNT_V2("/", "/run/my\\040groups\\134"));
	put_v2(f, "/run/my groups\\/a", 100 * MIB, 30 * MIB);
	put_v2(f, TOP_V2 "/a", 10 * MIB, 0);
	assert_available(70 * MIB, MFS_MEMORY_CGROUP_V2);
	/* What is octal only in part stands for itself. */
	put(f, "/proc/self/cgroup", "0::/my groups/a\n");
	put(f, "/proc/self/mountinfo", MOUNT_V2("/my\\040groups", "/run/\\04/\\444"));
	put_v2(f, "/run/\\04/\\444/a", 100 * MIB, 40 * MIB);
	assert_available(60 * MIB, MFS_MEMORY_CGROUP_V2);
}

static void bad_lines_of_mountinfo_are_passed_over(void **state)
{
	static const char *const bad[] = {
		"",
		"\n",
		"-\n",
		" - cgroup2 x rw\n",
		"30 25 0:27 / " TOP_V2 " rw\n",
		"30 25 0:27 / " TOP_V2 " rw -\n",
		"30 25 0:27 / " TOP_V2 " rw -cgroup2 x rw\n",
		"30 25 0:27 / " TOP_V2 " rw cgroup2 x rw\n",
		"30 25 0:27  " TOP_V2 " rw - cgroup2 x rw\n",
		"30 25 0:27 /  rw - cgroup2 x rw\n",
		"30 25 0:27 / sys/fs/cgroup rw - cgroup2 x rw\n",
		"30 25 0:27 / " TOP_V2 " rw - cgroup cgroup rw,memory2\n",
		"30 25 0:27 / " TOP_V2 " rw - cgroup cgroup\n",
	};
	struct host_fixture *f = *state;

	put_v2(f, TOP_V2 "/a", 10 * MIB, 0);
	put_v1(f, TOP_V2 "/a", 10 * MIB, 0);
	put_v2(f, "/run/v2/a", 100 * MIB, 30 * MIB);
	put_v1(f, "/run/v1/a", 100 * MIB, 20 * MIB);
	put(f, "/proc/self/cgroup", "4:memory:/a\n0::/a\n");
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		char text[1024];

		(void)snprintf(text, sizeof(text), "%s%s%s%s", bad[i], MOUNT_V1("/", "/run/v1"), bad[i],
					   MOUNT_V2("/", "/run/v2"));
		put(f, "/proc/self/mountinfo", text);
		assert_available(70 * MIB, MFS_MEMORY_CGROUP_V2);
	}
}

static void mount_of_a_subtree_shows_the_groups_in_it(void **state)
{
	struct host_fixture *f = *state;

	/* A container that sees the host's names, but only its own folder of the hierarchy. */
	put(f, "/proc/self/cgroup", "0::/docker/abc/x\n");
	put(f, "/proc/self/mountinfo", MOUNT_V2("/docker/abc", TOP_V2));
	put_v2(f, TOP_V2 "/x", 100 * MIB, 30 * MIB);
	put_v2(f, TOP_V2 "/docker/abc/x", 5 * MIB, 0);
	assert_available(70 * MIB, MFS_MEMORY_CGROUP_V2);
	put_v2(f, TOP_V2, 100 * MIB, 40 * MIB);
	assert_available(60 * MIB, MFS_MEMORY_CGROUP_V2);
	/* In the folder itself. */
	put(f, "/proc/self/cgroup", "0::/docker/abc\n");
	assert_available(60 * MIB, MFS_MEMORY_CGROUP_V2);
	/* Tops of namespaces above the process's own are written like this. */
	put(f, "/proc/self/cgroup", "0::/../x\n");
	put(f, "/proc/self/mountinfo", MOUNT_V2("/..", TOP_V2));
	put_v2(f, TOP_V2 "/x", 100 * MIB, 50 * MIB);
	assert_available(50 * MIB, MFS_MEMORY_CGROUP_V2);
}

static void group_outside_of_the_mount_counts_as_its_top(void **state)
{
	static const struct {
		const char *group;
		const char *mount;
	} outside[] = {
		{"0::/..\n", MOUNT_V2("/", TOP_V2)},
		{"0::/../..\n", MOUNT_V2("/", TOP_V2)},
		{"0::/../x\n", MOUNT_V2("/", TOP_V2)},
		{"0::/x/../y\n", MOUNT_V2("/", TOP_V2)},
		{"0::/\n", MOUNT_V2("/..", TOP_V2)},
		{"0::/x\n", MOUNT_V2("/../y", TOP_V2)},
		{"0::/docker/abcd\n", MOUNT_V2("/docker/abc", TOP_V2)},
		{"0::/docker\n", MOUNT_V2("/docker/abc", TOP_V2)},
		{"0::/docker/abc/../x\n", MOUNT_V2("/docker/abc", TOP_V2)},
	};
	struct host_fixture *f = *state;

	put_v2(f, "/sys/fs", 5 * MIB, 0);
	put_v2(f, "/sys/fs/x", 5 * MIB, 0);
	put_v2(f, TOP_V2, 100 * MIB, 30 * MIB);
	put_v2(f, TOP_V2 "/x", 5 * MIB, 0);
	put_v2(f, TOP_V2 "/y", 5 * MIB, 0);
	put_v2(f, TOP_V2 "/docker", 5 * MIB, 0);
	put_v2(f, TOP_V2 "d", 5 * MIB, 0);
	for (size_t i = 0; i < COUNT_OF(outside); i++) {
		put(f, "/proc/self/cgroup", outside[i].group);
		put(f, "/proc/self/mountinfo", outside[i].mount);
		assert_available(70 * MIB, MFS_MEMORY_CGROUP_V2);
	}
}

static void mount_that_shows_most_counts(void **state)
{
	static const char *const mounts[] = {
		MOUNT_V2("/", "/run/all") MOUNT_V2("/a", "/run/a") MOUNT_V2("/b", "/run/b"),
		MOUNT_V2("/a", "/run/a") MOUNT_V2("/b", "/run/b") MOUNT_V2("/", "/run/all"),
		MOUNT_V2("/b", "/run/b") MOUNT_V2("/a", "/run/a") MOUNT_V2("/", "/run/all"),
		MOUNT_V2("/b", "/run/all") MOUNT_V2("/", "/run/all"),
	};
	struct host_fixture *f = *state;

	put(f, "/proc/self/cgroup", "0::/a/x\n");
	put_v2(f, "/run/all", 100 * MIB, 30 * MIB);
	put_v2(f, "/run/a", 100 * MIB, 20 * MIB);
	put_v2(f, "/run/b", 100 * MIB, 40 * MIB);
	for (size_t i = 0; i < COUNT_OF(mounts); i++) {
		put(f, "/proc/self/mountinfo", mounts[i]);
		assert_available(70 * MIB, MFS_MEMORY_CGROUP_V2);
	}
	put(f, "/proc/self/mountinfo", MOUNT_V2("/a", "/run/a") MOUNT_V2("/b", "/run/b"));
	assert_available(80 * MIB, MFS_MEMORY_CGROUP_V2);
	put(f, "/proc/self/mountinfo", MOUNT_V2("/a", "/run/a") MOUNT_V2("/a/x", "/run/b"));
	assert_available(80 * MIB, MFS_MEMORY_CGROUP_V2);
	/* The one below is not to be seen any more. */
	put(f, "/proc/self/mountinfo", MOUNT_V2("/a", "/run/a") MOUNT_V2("/b", "/run/a"));
	put_v2(f, "/run/a/x", 5 * MIB, 0);
	assert_available(80 * MIB, MFS_MEMORY_CGROUP_V2);
}

static void bad_groups_are_passed_over(void **state)
{
	static const char *const bad[] = {
		"",       "\n",      "0\n",    "0:\n",           "0::\n",
		"0::a\n", "1::/a\n", "::/a\n", "0:memory2:/a\n", "3:mem,ory:/a\n",
	};
	struct host_fixture *f = *state;

	put(f, "/proc/self/mountinfo", MOUNT_V2("/", TOP_V2) MOUNT_V1("/", TOP_V1));
	put_v2(f, TOP_V2, 10 * MIB, 0);
	put_v1(f, TOP_V1, 10 * MIB, 0);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		put(f, "/proc/self/cgroup", bad[i]);
		assert_unknown();
	}
	put_bytes(f, "/proc/self/cgroup", "0::/a\0\n", 7);
	assert_unknown();
}

/* The name of a deep group: "/d" again and again. */
static char *deep_name(size_t length)
{
	char *name = allocate(length + 1);

	for (size_t i = 0; i < length; i++)
		name[i] = i % 2 == 0 ? '/' : 'd';
	return name;
}

static void groups_of_any_depth_are_managed(void **state)
{
	struct host_fixture *f = *state;
	char *name = NULL;

	put_meminfo(f, PLENTY);
	put_v2(f, TOP_V2 "/d/d", 100 * MIB, 30 * MIB);
	name = deep_name(PATH_MAX - 512);
	be_in_v2(f, name);
	assert_available(70 * MIB, MFS_MEMORY_CGROUP_V2);
	free(name);
	/* No path can be as long: the system still counts. */
	for (size_t length = PATH_MAX - 160; length < PATH_MAX + 16; length += 2) {
		char *line = allocate(length + 8);

		name = deep_name(length);
		(void)snprintf(line, length + 8, "0::%s\n", name);
		put(f, "/proc/self/cgroup", line);
		struct mfs__memory_sample sample;

		assert_true(mfs__memory_sample(&sample));
		if (length >= PATH_MAX - strlen(f->top))
			assert_available(PLENTY, MFS_MEMORY_SYSTEM);
		free(line);
		free(name);
	}
}

/*
 * Version 1, and both
 */

static void each_level_of_version_1_can_be_the_least(void **state)
{
	static const char *const folders[] = {TOP_V1 "/a/b", TOP_V1 "/a", TOP_V1};
	struct host_fixture *f = *state;

	put_meminfo(f, PLENTY);
	be_in_v1(f, "/a/b");
	for (size_t least = 0; least < COUNT_OF(folders); least++) {
		for (size_t i = 0; i < COUNT_OF(folders); i++)
			put_v1(f, folders[i], (i == least ? 100 : 200) * MIB, 30 * MIB);
		assert_available(70 * MIB, MFS_MEMORY_CGROUP_V1);
	}
	put_meminfo(f, 50 * MIB);
	assert_available(50 * MIB, MFS_MEMORY_SYSTEM);
}

static void version_1_counts_the_whole_group(void **state)
{
	struct host_fixture *f = *state;

	be_in_v1(f, "/a");
	put_v1(f, TOP_V1 "/a", 1000, 1000);
	put_in(f, TOP_V1 "/a", "memory.stat",
		   "inactive_file 1\nactive_file 2\ndirty 4\ntotal_inactive_file 400\n"
		   "total_active_file 200\ntotal_dirty 30\ntotal_writeback 4\n");
	assert_available(566, MFS_MEMORY_CGROUP_V1);
}

static void huge_limits_of_version_1_are_none(void **state)
{
	static const char *const none[] = {"9223372036854771712\n", "9223372036854710272\n",
									   "9223372036854775807\n", "18446744073709551615\n"};
	struct host_fixture *f = *state;

	be_in_v1(f, "/a");
	put_v1(f, TOP_V1 "/a", 0, 0);
	/* It says who gives back first, and not how much there may be. */
	put_number(f, TOP_V1 "/a", "memory.soft_limit_in_bytes", 5);
	for (size_t i = 0; i < COUNT_OF(none); i++) {
		put_in(f, TOP_V1 "/a", "memory.limit_in_bytes", none[i]);
		assert_unknown();
	}
}

static void bad_level_of_version_1_is_skipped(void **state)
{
	static const char *const names[] = {"memory.limit_in_bytes", "memory.usage_in_bytes",
										"memory.stat"};
	struct host_fixture *f = *state;

	be_in_v1(f, "/a/b");
	put_v1(f, TOP_V1 "/a", 100 * MIB, 30 * MIB);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		put_v1(f, TOP_V1 "/a/b", 5, 5);
		assert_available(0, MFS_MEMORY_CGROUP_V1);
		put_in(f, TOP_V1 "/a/b", names[i], "\n");
		assert_available(70 * MIB, MFS_MEMORY_CGROUP_V1);
	}
}

static void mount_of_a_subtree_of_version_1(void **state)
{
	struct host_fixture *f = *state;

	put(f, "/proc/self/cgroup", "4:memory,hugetlb:/docker/abc\n");
	put(f, "/proc/self/mountinfo", MOUNT_CPU MOUNT_V1("/docker/abc", TOP_V1));
	put_v1(f, TOP_V1, 100 * MIB, 30 * MIB);
	assert_available(70 * MIB, MFS_MEMORY_CGROUP_V1);
}

static void both_versions_count_at_once(void **state)
{
	struct host_fixture *f = *state;

	put_meminfo(f, 60 * MIB);
	put(f, "/proc/self/cgroup", "4:memory:/m\n1:name=systemd:/a\n0::/a\n");
	put(f, "/proc/self/mountinfo",
		MOUNT_OTHER MOUNT_CPU MOUNT_V1("/", TOP_V1) MOUNT_V2("/", TOP_V2 "/unified"));
	put_v1(f, TOP_V1 "/m", 100 * MIB, 50 * MIB);
	put_v2(f, TOP_V2 "/unified/a", 100 * MIB, 60 * MIB);
	assert_available(40 * MIB, MFS_MEMORY_CGROUP_V2);
	put_v1(f, TOP_V1 "/m", 100 * MIB, 70 * MIB);
	assert_available(30 * MIB, MFS_MEMORY_CGROUP_V1);
	put_meminfo(f, 20 * MIB);
	assert_available(20 * MIB, MFS_MEMORY_SYSTEM);
	/* Each without the other two. */
	put(f, "/proc/meminfo", "");
	assert_available(30 * MIB, MFS_MEMORY_CGROUP_V1);
	put_in(f, TOP_V1 "/m", "memory.limit_in_bytes", "");
	assert_available(40 * MIB, MFS_MEMORY_CGROUP_V2);
	put_in(f, TOP_V2 "/unified/a", "memory.max", "");
	assert_unknown();
}

/*
 * Troubles
 */

static void without_descriptors_nothing_is_said(void **state)
{
	struct host_fixture *f = *state;
	struct mfs__memory_sample sample = {.available = 7, .source = MFS_MEMORY_HOOK};

	put_meminfo(f, 5 * MIB);
	struct rlimit old = limit_descriptors(0);

	errno = EDOM;
	bool answered = mfs__memory_sample(&sample);
	int error = errno;

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_false(answered);
	assert_int_equal(error, EDOM);
	assert_int_equal(sample.available, 7);
	assert_int_equal(sample.source, MFS_MEMORY_HOOK);
	/* It can be asked again. */
	assert_available(5 * MIB, MFS_MEMORY_SYSTEM);
}

static void errno_stays(void **state)
{
	struct mfs__memory_sample sample;

	(void)state;
	errno = EDOM;
	assert_true(mfs__memory_sample(&sample));
	assert_int_equal(errno, EDOM);
	assert_int_equal(mfs__memory_pressure_open(), -1);
	assert_int_equal(errno, EDOM);
}

static void sample_allocates_nothing(void **state)
{
	struct host_fixture *f = *state;

	put_meminfo(f, PLENTY);
	be_in_v2(f, "/a");
	put_v2(f, TOP_V2 "/a", 100 * MIB, 30 * MIB);
	mfs__alloc_fail_after(1);
	assert_available(70 * MIB, MFS_MEMORY_CGROUP_V2);
	assert_false(mfs__alloc_failed());
	mfs__alloc_fail_after(0);
}

/* What real files look like, of a machine that has both versions. */
static const struct {
	const char *name;
	const char *text;
} good[] = {
	{"/proc/meminfo", "MemTotal:       24684084 kB\nMemFree:        24396548 kB\n"
					  "MemAvailable:   24324648 kB\nBuffers:             788 kB\n"
					  "Cached:            23260 kB\nShmem:             11500 kB\n"},
	{"/proc/self/cgroup",
	 "9:name=systemd:/init.scope\n4:memory,cpu:/user/one\n0::/user.slice/user-1000.slice\n"},
	{"/proc/self/mountinfo",
	 MOUNT_OTHER MOUNT_CPU MOUNT_V1("/", TOP_V1) MOUNT_V2("/user.slice", TOP_V2 "/uni\\040fied")},
	{TOP_V1 "/user/one/memory.limit_in_bytes", "1073741824\n"},
	{TOP_V1 "/user/one/memory.usage_in_bytes", "373741824\n"},
	{TOP_V1 "/user/one/memory.stat",
	 "cache 9228288\nrss 4468736\ntotal_dirty 94208\ntotal_writeback 0\n"
	 "total_inactive_file 6590464\ntotal_active_file 6393856\n"},
	{TOP_V2 "/uni fied/user-1000.slice/memory.max", "1073741824\n"},
	{TOP_V2 "/uni fied/user-1000.slice/memory.high", "max\n"},
	{TOP_V2 "/uni fied/user-1000.slice/memory.current", "473741824\n"},
	{TOP_V2 "/uni fied/user-1000.slice/memory.stat",
	 "anon 4096\nfile 50000\nfile_dirty 4096\nfile_writeback 8192\ninactive_file 30000\n"
	 "active_file 20000\nslab_reclaimable 777\n"},
};

/* Puts random bytes in, takes some out, or cuts the rest off. */
static size_t spoil(struct rng *rng, char *text, size_t length)
{
	/* Digits, and what means something to somebody. */
	static const char bytes[] = "0123456789 \n/:,.-\\\0max";
	size_t where = rng_below(rng, length);

	switch (rng_below(rng, 4)) {
	case 0:
		return where;
	case 1:
		memmove(text + where, text + where + 1, length - where - 1);
		return length - 1;
	case 2:
		text[where] = (char)rng_below(rng, 256);
		return length;
	default:
		text[where] = bytes[rng_below(rng, sizeof(bytes))];
		return length;
	}
}

static void spoilt_files_do_no_harm(void **state)
{
	struct host_fixture *f = *state;
	struct rng rng = {20240229};
	unsigned seen[MFS_MEMORY_HOOK] = {0};

	for (size_t i = 0; i < COUNT_OF(good); i++)
		put(f, good[i].name, good[i].text);
	assert_available(600038489, MFS_MEMORY_CGROUP_V2);
	for (unsigned round = 0; round < 3000; round++) {
		size_t which = rng_below(&rng, COUNT_OF(good));
		size_t length = strlen(good[which].text);
		char *text = allocate(length);
		struct mfs__memory_sample sample = {.available = 1, .source = -1};

		memcpy(text, good[which].text, length);
		for (size_t times = 1 + rng_below(&rng, 4); times > 0 && length > 0; times--)
			length = spoil(&rng, text, length);
		put_bytes(f, good[which].name, text, length);
		assert_true(mfs__memory_sample(&sample));
		assert_in_range(sample.source, MFS_MEMORY_UNKNOWN, MFS_MEMORY_CGROUP_V2);
		seen[sample.source]++;
		/* Several files are bad at once, but not for long. */
		if (round % 3 == 0)
			for (size_t i = 0; i < COUNT_OF(good); i++)
				put(f, good[i].name, good[i].text);
		free(text);
	}
	/* It was not always the same. */
	assert_true(seen[MFS_MEMORY_SYSTEM] > 0);
	assert_true(seen[MFS_MEMORY_CGROUP_V1] > 0);
	assert_true(seen[MFS_MEMORY_CGROUP_V2] > 0);
}

/*
 * Pressure, and the real files
 */

static void pressure_is_asked_for_in_the_kernels_words(void **state)
{
	static const char wanted[] = "some 150000 1000000";
	struct host_fixture *f = *state;

	put(f, "/proc/pressure/memory", "");
	int fd = mfs__memory_pressure_open();

	assert_true(fd >= 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_int_equal(close(fd), 0);
	/* The kernel takes the last byte for the NUL. */
	assert_host_holds(f, "proc/pressure/memory", wanted, sizeof(wanted));
}

static void pressure_that_cannot_be_told_is_none(void **state)
{
	struct host_fixture *f = *state;
	unsigned before = count_descriptors();

	put(f, "/proc/pressure/other", "");
	/* It opens, and no write succeeds. */
	assert_int_equal(symlink("/dev/full", at(f, "proc/pressure/memory")), 0);
	assert_int_equal(mfs__memory_pressure_open(), -1);
	assert_int_equal(count_descriptors(), before);
}

static void kernel_takes_the_trigger(void **state)
{
	(void)state;
	int fd = mfs__memory_pressure_open();

	if (fd < 0) {
		print_message("skipped: no memory pressure from this kernel, or not for this user\n");
		skip();
	}
	struct pollfd poll_fd = {.fd = fd, .events = POLLPRI};

	assert_true(poll(&poll_fd, 1, 0) >= 0);
	assert_int_equal(poll_fd.revents & (POLLERR | POLLNVAL), 0);
	assert_int_equal(close(fd), 0);
}

static void real_files_say_something(void **state)
{
	struct mfs__memory_sample sample = {0};

	(void)state;
	errno = EDOM;
	assert_true(mfs__memory_sample(&sample));
	assert_int_equal(errno, EDOM);
	assert_in_range(sample.source, MFS_MEMORY_SYSTEM, MFS_MEMORY_CGROUP_V2);
	assert_true(sample.available > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROOT_TEST(nothing_there_is_unknown),
		ROOT_TEST(system_says_what_is_available),
		ROOT_TEST(meminfo_of_old_kernels_is_added_up),
		ROOT_TEST(bad_meminfo_is_unknown),
		ROOT_TEST(last_line_needs_no_end),
		ROOT_TEST(directory_in_place_of_a_file_is_unknown),
		ROOT_TEST(lines_of_any_length_are_passed_over),
		ROOT_TEST(what_comes_late_is_not_read),
		ROOT_TEST(file_without_end_is_left),
		ROOT_TEST(each_level_can_be_the_least),
		ROOT_TEST(group_counts_if_the_system_says_the_same),
		ROOT_TEST(neighbours_do_not_count),
		ROOT_TEST(group_without_limit_says_nothing),
		ROOT_TEST(lower_of_high_and_max_is_the_limit),
		ROOT_TEST(full_group_has_nothing_available),
		ROOT_TEST(clean_pages_of_files_and_slab_are_available),
		ROOT_TEST(use_counts_after_what_can_be_had_back),
		ROOT_TEST(bad_level_is_skipped),
		ROOT_TEST(removed_group_leaves_those_above),
		ROOT_TEST(names_of_groups_are_taken_as_they_are),
		ROOT_TEST(usual_places_serve_without_mountinfo),
		ROOT_TEST(mountinfo_says_where),
		ROOT_TEST(bad_lines_of_mountinfo_are_passed_over),
		ROOT_TEST(mount_of_a_subtree_shows_the_groups_in_it),
		ROOT_TEST(group_outside_of_the_mount_counts_as_its_top),
		ROOT_TEST(mount_that_shows_most_counts),
		ROOT_TEST(bad_groups_are_passed_over),
		ROOT_TEST(groups_of_any_depth_are_managed),
		ROOT_TEST(each_level_of_version_1_can_be_the_least),
		ROOT_TEST(version_1_counts_the_whole_group),
		ROOT_TEST(huge_limits_of_version_1_are_none),
		ROOT_TEST(bad_level_of_version_1_is_skipped),
		ROOT_TEST(mount_of_a_subtree_of_version_1),
		ROOT_TEST(both_versions_count_at_once),
		ROOT_TEST(without_descriptors_nothing_is_said),
		ROOT_TEST(errno_stays),
		ROOT_TEST(sample_allocates_nothing),
		ROOT_TEST(spoilt_files_do_no_harm),
		ROOT_TEST(pressure_is_asked_for_in_the_kernels_words),
		ROOT_TEST(pressure_that_cannot_be_told_is_none),
		cmocka_unit_test(kernel_takes_the_trigger),
		cmocka_unit_test(real_files_say_something),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
