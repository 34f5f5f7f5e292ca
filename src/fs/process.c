/* SPDX-License-Identifier: MIT */
#include "fs/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of /proc/PID/stat behind the name, counted from 0: see proc(5). */
#define FIELD_FLAGS 6
#define FIELD_STARTED 19
#define FIELD_EXIT_CODE 49
/* Of an exit code: the signal. */
#define SIGNAL_BITS 0x7f
/* Of a task's flags (linux/sched.h, PF_SIGNALED): a signal ends it. */
#define IS_SIGNALED 0x400u

static bool read_file(pid_t thread, const char *name, char *text, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)thread, name);
	int fd = thread > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = fd >= 0 ? read(fd, text, size - 1) : -1;
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* A field of /proc/PID/stat. The name of the program before them may hold anything. */
static bool read_field(pid_t thread, int field, uint64_t *value)
{
	char text[1024];

	if (!read_file(thread, "stat", text, sizeof(text)))
		return false;
	const char *at = strrchr(text, ')');
	for (int i = 0; at && i <= field; i++)
		at = strchr(at + 1, ' ');
	if (at)
		*value = strtoull(at + 1, NULL, 10);
	return at != NULL;
}

static pid_t group_of(pid_t thread)
{
	char text[4096];

	if (!read_file(thread, "status", text, sizeof(text)))
		return 0;
	const char *at = strstr(text, "\nTgid:");
	return at ? (pid_t)strtol(at + strlen("\nTgid:"), NULL, 10) : 0;
}

struct process process_of(pid_t thread)
{
	struct process p = {.id = group_of(thread)};

	if (p.id == 0 || !read_field(p.id, FIELD_STARTED, &p.started))
		return (struct process){0};
	return p;
}

bool process_is_known(const struct process *p)
{
	return p->id != 0;
}

bool process_is(const struct process *a, const struct process *b)
{
	return a->id != 0 && a->id == b->id && a->started == b->started;
}

bool process_lives(const struct process *p)
{
	uint64_t started;

	return p->id != 0 && read_field(p->id, FIELD_STARTED, &started) && started == p->started;
}

bool process_has(const struct process *p, pid_t thread)
{
	return p->id != 0 && group_of(thread) == p->id && process_lives(p);
}

void process_name(const struct process *p, char name[PROCESS_NAME_SIZE])
{
	char text[64];

	read_file(p->id, "comm", text, sizeof(text));
	snprintf(name, PROCESS_NAME_SIZE, "%.*s", (int)strcspn(text, "\n"), text);
}

/* Whether the kernel tells us how it ends. */
static bool is_ours(pid_t thread)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", (int)thread);
	return geteuid() == 0 || (stat(path, &st) == 0 && st.st_uid == geteuid());
}

/* Of another user's process (-o allow_other) the exit code reads as 0. Its flags are told to all, but
 * also the first thread of a program that another of its threads ends is signaled: so they count only
 * where nothing better is known. */
bool process_is_killed(pid_t thread)
{
	uint64_t code, flags;

	if (!read_field(thread, FIELD_EXIT_CODE, &code))
		return false;
	if ((code & SIGNAL_BITS) != 0)
		return true;
	return !is_ours(thread) && read_field(thread, FIELD_FLAGS, &flags) &&
	       (flags & IS_SIGNALED) != 0;
}
