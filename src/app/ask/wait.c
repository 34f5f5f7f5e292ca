/* SPDX-License-Identifier: MIT */
/*
 * The directory's times change with each change that the daemon hears of. To look at them costs a
 * request to the daemon and nothing on the line; only then the names are compared.
 */
#include "app/ask/wait.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "app/options/options.h"

#define FUSE_MAGIC 0x65735546 /* statfs(2) */

struct names {
	char **all;
	size_t count, room;
};

/* What a look has found. */
struct known {
	time_t looked; /* before it asked for anything */
	struct stat st;
	struct names names;
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void forget_names(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->all[i]);
	free(n->all);
	*n = (struct names){NULL, 0, 0};
}

static void add_name(struct names *n, const char *name)
{
	if (n->count == n->room) {
		n->room = n->room ? 2 * n->room : 64;
		n->all = mem_resize(n->all, n->room, sizeof(*n->all));
	}
	n->all[n->count++] = mem_strdup(name);
}

/* 0, or -1 and errno. */
static int read_names(const char *directory, struct names *n)
{
	DIR *d = opendir(directory);
	const struct dirent *entry;
	int error;

	if (!d)
		return -1;
	do {
		errno = 0;
		entry = readdir(d);
		if (entry && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			add_name(n, entry->d_name);
	} while (entry);
	error = errno;
	closedir(d);
	if (n->count > 0)
		qsort(n->all, n->count, sizeof(*n->all), compare_names);
	errno = error;
	return error ? -1 : 0;
}

/* Both are sorted. Whether there was a difference. */
static bool print_difference(const struct names *old, const struct names *new)
{
	size_t i = 0, j = 0;
	bool found = false;

	while (i < old->count || j < new->count) {
		int order = i == old->count   ? 1
			    : j == new->count ? -1
					      : strcmp(old->all[i], new->all[j]);
		if (order < 0)
			printf("- %s\n", old->all[i]);
		if (order > 0)
			printf("+ %s\n", new->all[j]);
		found |= order != 0;
		i += order <= 0;
		j += order >= 0;
	}
	fflush(stdout);
	return found;
}

static bool is_same_time(const struct stat *a, const struct stat *b)
{
	return a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec &&
	       a->st_nlink == b->st_nlink && a->st_size == b->st_size;
}

/* Its times are in seconds: what changes within the second of the change before does not show in them. */
static bool may_change_unseen(const struct known *k)
{
	return k->st.st_mtim.tv_sec >= k->looked;
}

/* The time first: what changes while the names are read is found with the next look. 0, or -1 and errno. */
static int look_at_time(const char *directory, struct known *k)
{
	k->looked = time(NULL);
	return stat(directory, &k->st);
}

static int fail(const char *directory)
{
	log_error("%s: %s", directory,
		errno == ENOTCONN ? "the filesystem is not mounted any more" : strerror(errno));
	return EXIT_STATUS_MOUNT;
}

/* An exit status, or -1: it was only stopped in the middle, and goes on. */
static int fail_look(const char *directory, struct known *now)
{
	int status = errno == EINTR ? -1 : fail(directory);

	forget_names(&now->names);
	return status;
}

/* One look. Returns -1: nothing changed; else the exit status. */
static int look(const char *directory, struct known *old)
{
	struct known now = {0};

	if (look_at_time(directory, &now) < 0)
		return fail_look(directory, &now);
	if (is_same_time(&now.st, &old->st) && !may_change_unseen(old))
		return -1;
	if (read_names(directory, &now.names) < 0)
		return fail_look(directory, &now);
	bool found = print_difference(&old->names, &now.names);
	forget_names(&old->names);
	*old = now;
	return found ? EXIT_STATUS_OK : -1;
}

/* The first look. */
static int begin(const char *directory, struct known *k)
{
	struct statfs fs;

	if (look_at_time(directory, k) < 0 || statfs(directory, &fs) < 0 ||
		read_names(directory, &k->names) < 0)
		return fail_look(directory, k);
	if (fs.f_type != FUSE_MAGIC) {
		log_error("%s: no imapfs is mounted there", directory);
		return EXIT_STATUS_MOUNT;
	}
	return EXIT_STATUS_OK;
}

int wait_for_change(const char *directory)
{
	const struct timespec step = {.tv_sec = 1};
	struct known known = {0};
	int status;

	do
		status = begin(directory, &known);
	while (status < 0);
	if (status == EXIT_STATUS_OK) {
		do
			nanosleep(&step, NULL);
		while ((status = look(directory, &known)) < 0);
	}
	forget_names(&known.names);
	return status;
}
