/* SPDX-License-Identifier: MIT */
#include "state/traffic.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "base/text.h"

#define LINE_SIZE 64
#define VERSION 1u

struct traffic {
	struct own_dir dir;
	int fd;
	char day[TRAFFIC_DAY]; /* of what follows */
	uint64_t unwritten;
	bool failed; /* that it cannot be written was told */
};

struct traffic *traffic_open(const char *dir, char *error, size_t size)
{
	struct traffic *t = mem_zalloc(sizeof(*t));

	if (own_dir_open("state", dir, &t->dir, error, size) < 0) {
		free(t);
		return NULL;
	}
	t->fd = own_file_open(t->dir.fd, "traffic");
	if (t->fd >= 0)
		return t;
	snprintf(error, size, "%s/traffic: %s", t->dir.path, strerror(errno));
	own_dir_close(&t->dir);
	free(t);
	return NULL;
}

void traffic_close(struct traffic *t)
{
	if (!t)
		return;
	close(t->fd);
	own_dir_close(&t->dir);
	free(t);
}

/* Whether a newer version of imapfs wrote the line. */
static bool is_newer(struct span line)
{
	uint64_t version;
	size_t n = 0;

	while (n < line.n && line.p[n] != ' ')
		n++;
	return n < line.n && text_parse_number((struct span){line.p, n}, UINT64_MAX, &version) &&
	       version > VERSION;
}

/* 0 where the file is empty, of another day, or not to be understood. *newer: a newer version made it. */
static uint64_t read_count(const struct traffic *t, const char *day, bool *newer)
{
	char line[LINE_SIZE], start[LINE_SIZE];
	uint64_t count;
	ssize_t n = pread(t->fd, line, sizeof(line), 0);
	size_t before = (size_t)snprintf(start, sizeof(start), "%u %s ", VERSION, day);
	const char *end = n > 0 ? memchr(line, '\n', (size_t)n) : NULL;

	*newer = n > 0 && is_newer((struct span){line, (size_t)n});
	if (!end || (size_t)(end - line) < before || memcmp(line, start, before) != 0)
		return 0;
	const char *digits = line + before;
	return text_parse_number((struct span){digits, (size_t)(end - digits)}, UINT64_MAX, &count)
		       ? count
		       : 0;
}

static void tell(struct traffic *t, const char *why)
{
	if (!t->failed)
		log_warning("%s/traffic: %s; what comes from the server is counted for this mount "
			    "only",
			t->dir.path, why);
	t->failed = true;
}

static bool write_count(const struct traffic *t, const char *day, uint64_t count)
{
	char line[LINE_SIZE];
	int n = snprintf(line, sizeof(line), "%u %s %020" PRIu64 "\n", VERSION, day, count);

	return pwrite(t->fd, line, (size_t)n, 0) == n;
}

uint64_t traffic_add(struct traffic *t, const char day[TRAFFIC_DAY], uint64_t octets)
{
	if (strcmp(t->day, day) != 0) {
		snprintf(t->day, sizeof(t->day), "%s", day);
		t->unwritten = 0;
	}
	t->unwritten += octets;
	bool newer, locked = flock(t->fd, LOCK_EX | LOCK_NB) == 0;
	uint64_t count = read_count(t, day, &newer) + t->unwritten;
	if (!locked)
		return count;
	if (newer)
		tell(t, "a newer version of imapfs made it, so it is left as it is");
	else if (t->unwritten > 0 && write_count(t, day, count))
		t->unwritten = 0;
	else if (t->unwritten > 0)
		tell(t, strerror(errno));
	flock(t->fd, LOCK_UN);
	return count;
}
