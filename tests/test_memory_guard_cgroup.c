/* SPDX-License-Identifier: MIT */
/*
 * Does the memory guard keep a process that writes without end below the limit of its control
 * group, so that it is refused, and not killed?
 *
 * The program runs itself again, in a group of its own, which only root can make.
 */
#include "guarded.h"

#include "base/compiler.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define LIMIT (512 * MIB)
#define QUOTA (UINT64_C(8) << 30)

enum { THREADS = 8 };

/* How many samples a process outlives after it was refused for the first time. */
enum { SAMPLES = 2 };

/*
 * The process that writes
 */

struct writer {
	mfs *fs;
	size_t size; /* of a write */
	bool small;  /* a file for each */
	unsigned number;
	atomic_bool refused; /* in its last call */
	int64_t code;        /* another one than it should be; valid once joined */
	pthread_t thread;
};

static atomic_bool is_over;

static int64_t write_file(struct writer *writer, unsigned i)
{
	mfs_file *file;
	char path[40];

	(void)snprintf(path, sizeof(path), "/%u/%u/%u", writer->number, i / 500, i);
	char *slash = strrchr(path, '/');
	*slash = '\0';
	int code = i % 500 ? 0 : mfs_mkdir(writer->fs, path, MFS_EXIST_OK);
	*slash = '/';
	if (!code)
		code = mfs_open(writer->fs, path, "wb", &file);
	if (code)
		return code;
	int64_t written = mfs_write(file, zeros, writer->size);
	code = mfs_close(file);
	return code ? code : written;
}

static void *write_without_end(void *argument)
{
	struct writer *writer = argument;
	mfs_file *file = NULL;
	char path[16];

	(void)snprintf(path, sizeof(path), "/file%u", writer->number);
	int64_t code = writer->small ? 0 : mfs_open(writer->fs, path, "wb", &file);
	for (unsigned i = 0; code >= 0 && !atomic_load(&is_over);) {
		code = writer->small ? write_file(writer, i) : mfs_write(file, zeros, writer->size);
		atomic_store(&writer->refused, code == MFS_EMEMGUARD);
		if (code == MFS_EMEMGUARD) {
			(void)sched_yield();
			code = 0;
		} else {
			i++;
		}
	}
	if (file)
		(void)mfs_close(file);
	writer->code = code;
	return NULL;
}

static bool all_are_refused(struct writer writers[THREADS])
{
	bool all = true;

	for (unsigned i = 0; i < THREADS; i++)
		all = all && atomic_load(&writers[i].refused);
	return all;
}

static void await_sample(mfs *fs)
{
	int64_t last = 0;
	int64_t age = 0;

	do {
		last = age;
		age = usage_of(fs).guard_sample_age;
		(void)sched_yield();
	} while (age >= last);
}

/* What the program does in the group. Returns 0, or a line. */
static int fill_memory(size_t size, bool small)
{
	mfs_options options = {.struct_size = sizeof(options)};
	struct writer writers[THREADS];
	int line = 0;

	options.max_quota = QUOTA;
	options.memory_guard = MFS_GUARD_PER_WRITE;
	options.memory_guard_action = MFS_GUARD_FAIL;
	mfs *fs = new_workspace(&options);
	for (unsigned i = 0; i < THREADS; i++) {
		writers[i] = (struct writer){.fs = fs, .size = size, .small = small, .number = i};
		writers[i].thread = start_thread(write_without_end, &writers[i]);
	}
	AWAIT(all_are_refused(writers));
	/* A sample allows a part of what is left. */
	for (unsigned i = 0; i < SAMPLES; i++)
		await_sample(fs);
	AWAIT(all_are_refused(writers));
	mfs_usage usage = usage_of(fs);
	atomic_store(&is_over, true);
	for (unsigned i = 0; i < THREADS; i++) {
		join_thread(writers[i].thread);
		if (writers[i].code < 0)
			line = __LINE__ % 256;
	}
	(void)printf("             written: %llu MiB, source %d, available %llu MiB, refused %llu\n",
				 (unsigned long long)(usage.used_bytes / MIB), usage.guard_source,
				 (unsigned long long)(usage.guard_available / MIB),
				 (unsigned long long)usage.guard_refusals);
	(void)fflush(stdout);
	if (usage.guard_source != MFS_MEMORY_CGROUP_V1 && usage.guard_source != MFS_MEMORY_CGROUP_V2)
		line = __LINE__ % 256;
	/* It is worth while: most of the memory is used. */
	if (usage.used_bytes + usage.metadata_bytes < LIMIT / 4 * 3)
		line = __LINE__ % 256;
	return mfs_free(fs) ? __LINE__ % 256 : line;
}

/*
 * The group
 */

static struct {
	char folder[PATH_MAX];
	bool is_v2;
} group;

/* Reads what a file says first. Returns false if it cannot be read. */
static bool read_number(const char *name, const char *key, uint64_t *number)
{
	char path[PATH_MAX + 64];
	char line[256];
	bool found = false;

	(void)snprintf(path, sizeof(path), "%s/%s", group.folder, name);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		size_t length = strlen(key);
		found = strncmp(line, key, length) == 0;
		*number = strtoull(line + length, NULL, 10);
	}
	(void)fclose(file);
	return found;
}

static uint64_t number_of(const char *name, const char *key)
{
	uint64_t number = 0;

	if (!read_number(name, key, &number)) {
		print_error("%s has no %s\n", name, key[0] ? key : "number");
		fail();
	}
	return number;
}

static bool write_text(const char *folder, const char *name, const char *text)
{
	char path[PATH_MAX + 64];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		(void)close(fd);
	return written;
}

/* The process's own group below where the hierarchy usually is. Returns false if there is none. */
static bool find_own_group(char *folder, size_t size)
{
	char line[PATH_MAX];
	bool found = false;
	FILE *file = fopen("/proc/self/cgroup", "re");

	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		char *v1 = strstr(line, ":memory:");
		bool has_v2 = strncmp(line, "0::", 3) == 0 && access("/sys/fs/cgroup/memory", F_OK) != 0;
		if (!v1 && !has_v2)
			continue;
		found = true;
		group.is_v2 = !v1;
		int length = snprintf(folder, size, "%s%s", v1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup",
							  v1 ? v1 + 8 : line + 3);
		/* In a container its own group is the top of what it sees. */
		if ((size_t)length >= size || access(folder, F_OK) != 0)
			(void)snprintf(folder, size, "%s", v1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup");
	}
	if (file)
		(void)fclose(file);
	return found;
}

static void skip_because(const char *reason)
{
	print_message("             skipped: %s\n", reason);
	skip();
}

static void make_group(void)
{
	char own[PATH_MAX - 64];
	char limit[32];

	if (MFS__SANITIZED)
		skip_because("the sanitizer takes several times the memory, unseen");
	if (!find_own_group(own, sizeof(own)))
		skip_because("the process is in no memory control group");
	(void)snprintf(group.folder, sizeof(group.folder), "%s/dmemfs-test-%d", own, (int)getpid());
	if (mkdir(group.folder, 0755)) {
		group.folder[0] = '\0';
		skip_because("no control group can be made here");
	}
	(void)snprintf(limit, sizeof(limit), "%zu", (size_t)LIMIT);
	if (group.is_v2)
		(void)write_text(own, "cgroup.subtree_control", "+memory");
	if (!write_text(group.folder, group.is_v2 ? "memory.max" : "memory.limit_in_bytes", limit))
		skip_because("the control group takes no limit");
	(void)write_text(group.folder, group.is_v2 ? "memory.swap.max" : "memory.swappiness", "0");
}

static int remove_group(void **state)
{
	(void)state;
	/* The kernel may need a moment after the last process. */
	if (group.folder[0])
		AWAIT(rmdir(group.folder) == 0 || errno != EBUSY);
	group.folder[0] = '\0';
	return 0;
}

/* Run this program in the group. Returns its wait status. */
static int run_in_group(const char *size, const char *kind)
{
	int status = -1;

	(void)fflush(stdout);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		if (!write_text(group.folder, "cgroup.procs", "0"))
			_exit(100);
		(void)execl("/proc/self/exe", "test_memory_guard_cgroup", size, kind, (char *)NULL);
		_exit(101);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void check_filling(const char *size, const char *kind)
{
	uint64_t peak = 0;

	make_group();
	int status = run_in_group(size, kind);
	const char *name = group.is_v2 ? "memory.peak" : "memory.max_usage_in_bytes";
	/* Older kernels of version 2 have none. */
	bool has_peak = read_number(name, "", &peak);
	uint64_t kills = number_of(group.is_v2 ? "memory.events" : "memory.oom_control", "oom_kill ");
	uint64_t full =
		group.is_v2 ? number_of("memory.events", "max ") : number_of("memory.failcnt", "");
	print_message("             peak %llu of %zu MiB, limit met %llu times\n",
				  (unsigned long long)(peak / MIB), LIMIT / MIB, (unsigned long long)full);
	assert_int_equal(kills, 0);
	if (status)
		print_error("child: wait status %#x\n", (unsigned)status);
	assert_int_equal(status, 0);
	assert_true(!has_peak || peak < LIMIT);
}

static void writes_of_one_mebibyte_stay_below_the_limit(void **state)
{
	(void)state;
	check_filling("1048576", "large");
}

static void writes_of_sixteen_mebibytes_stay_below_the_limit(void **state)
{
	(void)state;
	check_filling("16777216", "large");
}

static void small_files_stay_below_the_limit(void **state)
{
	(void)state;
	check_filling("4096", "small");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(writes_of_one_mebibyte_stay_below_the_limit, remove_group),
		cmocka_unit_test_teardown(writes_of_sixteen_mebibytes_stay_below_the_limit, remove_group),
		cmocka_unit_test_teardown(small_files_stay_below_the_limit, remove_group),
	};

	if (argc == 3)
		return fill_memory(strtoull(argv[1], NULL, 10), strcmp(argv[2], "small") == 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
