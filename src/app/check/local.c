/* SPDX-License-Identifier: MIT */
#include "app/check/private.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "app/accounts/config.h"
#include "app/start/mountpoint.h"

#define ERROR_MAX 1024
/* Octets that a mount should find free for its cache. */
#define FREE_MIN ((unsigned long long)100 << 20)
/* No clock that is right shows an earlier year. */
#define YEAR_MIN 2024

/* It was read with the command line, or we would not have come here. */
static void check_config(struct check *c)
{
	char *path = config_path();

	if (c->o->name)
		check_ok(c, "account", "[%s] of %s", c->o->name, path);
	free(path);
}

static void check_fuse(struct check *c)
{
	char error[ERROR_MAX];
	int status = mountpoint_check_fuse(error, sizeof(error));

	if (status == EXIT_STATUS_OK)
		check_ok(c, "FUSE", "/dev/fuse%s", getuid() == 0 ? "" : " and fusermount3");
	else
		check_fail(c, status, "FUSE", "%s", error);
}

static void check_mountpoint(struct check *c)
{
	const char *path = c->o->mountpoint;
	char error[ERROR_MAX];

	if (!path)
		return;
	int status = mountpoint_check(path, error, sizeof(error));
	if (status == EXIT_STATUS_OK && access(path, W_OK) < 0 && getuid() != 0)
		check_fail(c, EXIT_STATUS_MOUNT, "mountpoint",
			"%s: it is not yours to mount on (%s)", path, strerror(errno));
	else if (status == EXIT_STATUS_OK)
		check_ok(c, "mountpoint", "%s", path);
	else if (strstr(error, "is mounted here already"))
		check_note(c, "mountpoint", "%s", error);
	else
		check_fail(c, status, "mountpoint", "%s", error);
}

/* The directory itself, or of those above it the first that is there. */
static char *existing_part(const char *path)
{
	char *part = mem_strdup(path);
	char *slash;

	while (access(part, F_OK) < 0 && (slash = strrchr(part, '/')) && slash != part)
		*slash = '\0';
	return part;
}

static void check_free(struct check *c, const char *what, const char *path, const char *place)
{
	struct statvfs fs;
	unsigned long long room;

	if (statvfs(place, &fs) < 0) {
		check_fail(c, EXIT_STATUS_CACHE, what, "%s: %s", place, strerror(errno));
		return;
	}
	room = (unsigned long long)fs.f_bavail * fs.f_frsize;
	if (room < FREE_MIN)
		check_note(c, what, "%s: only %llu MB are free", path, room / 1000000);
	else
		check_ok(c, what, "%s, %llu MB free", path, room / 1000000);
}

static void check_directory(struct check *c, const char *what, const char *path)
{
	char error[ERROR_MAX], *place = existing_part(path);
	struct own_dir own;

	if (strcmp(place, path) == 0) {
		if (own_dir_open(what, path, &own, error, sizeof(error)) < 0) {
			check_fail(c, EXIT_STATUS_CACHE, what, "%s", error);
		} else {
			own_dir_close(&own);
			check_free(c, what, path, place);
		}
	} else if (access(place, W_OK | X_OK) < 0) {
		check_fail(c, EXIT_STATUS_CACHE, what, "%s cannot be made in %s: %s", path, place,
			strerror(errno));
	} else {
		check_free(c, what, path, place);
	}
	free(place);
}

static void check_clock(struct check *c)
{
	time_t now = time(NULL);
	struct tm tm;
	char text[64];

	if (!gmtime_r(&now, &tm) || strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &tm) == 0)
		return;
	if (tm.tm_year + 1900 < YEAR_MIN)
		check_fail(c, EXIT_STATUS_TLS, "clock",
			"%s: it is wrong, and no certificate will be valid; set it (timedatectl "
			"set-ntp true)",
			text);
	else
		check_ok(c, "clock", "%s", text);
}

void check_local(struct check *c)
{
	check_config(c);
	check_clock(c);
	check_fuse(c);
	check_mountpoint(c);
	check_directory(c, "cache", c->o->cache);
	if (c->o->statedir)
		check_directory(c, "state", c->o->statedir);
}
