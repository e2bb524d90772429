/* SPDX-License-Identifier: MIT */
/* What the stress programs share; see common.h. */
#include "common.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <sys/mman.h>

/* jemalloc's, where the program has it. */
extern int mallctl(const char *name, void *old, size_t *old_size, void *new_value, size_t new_size)
	__attribute__((weak));

/* Atomic, any thread. */
static _Atomic unsigned failures;

bool stress_failed(void)
{
	return atomic_load_explicit(&failures, memory_order_relaxed) != 0;
}

void stress_fail(const char *format, ...)
{
	char message[1024];
	va_list arguments;

	if (atomic_fetch_add_explicit(&failures, 1, memory_order_relaxed) >= 10)
		return;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	fflush(stdout);
	fprintf(stderr, "FAILURE: %s\n", message);
}

void stress_die(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(2);
}

int stress_verdict(const char *program)
{
	unsigned count = atomic_load_explicit(&failures, memory_order_relaxed);

	if (count == 0) {
		printf("PASS %s\n", program);
		return 0;
	}
	printf("FAIL %s: %u failures\n", program, count);
	return 1;
}

uint64_t stress_number(const char *text, uint64_t lowest, uint64_t highest, bool units)
{
	char *end;

	errno = 0;
	uint64_t value = strtoull(text, &end, 10);
	bool good = errno == 0 && *text >= '0' && *text <= '9';
	unsigned shift = 0;
	if (units && *end != '\0') {
		shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
		end += shift != 0;
	}
	if (!good || *end != '\0' || value > UINT64_MAX >> shift || value << shift < lowest ||
		value << shift > highest) {
		stress_die("not a number from %llu to %llu: %s", (unsigned long long)lowest,
				   (unsigned long long)highest, text);
	}
	return value << shift;
}

void *stress_map(size_t size)
{
	void *memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		stress_die("out of memory");
	return memory;
}

void stress_unmap(void *memory, size_t size)
{
	if (munmap(memory, size) < 0)
		stress_die("munmap failed");
}

void stress_purge(void)
{
	/* 4096 stands for all arenas. */
	if (mallctl) {
		if (mallctl("arena.4096.purge", NULL, NULL, NULL, 0) != 0)
			stress_die("jemalloc does not purge");
	} else {
		malloc_trim(0);
	}
}

uint64_t stress_status(const char *key)
{
	char line[256];
	unsigned long long value = 0;
	bool found = false;
	FILE *file = fopen("/proc/self/status", "re");

	if (!file)
		stress_die("cannot read /proc/self/status");
	while (!found && fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, strlen(key)) == 0)
			found = sscanf(line + strlen(key), "%llu", &value) == 1;
	}
	(void)fclose(file);
	if (!found)
		stress_die("no %s in /proc/self/status", key);
	return value;
}
