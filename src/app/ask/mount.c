/* SPDX-License-Identifier: MIT */
#include "app/ask/mount.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "app/options/options.h"
#include "app/start/mountpoint.h"

#define ERROR_MAX 1024

/* Into the mount of a user nobody else may look, root neither; the kernel says whose it is. */
static long owner_of(const char *mountpoint)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char line[4096], point[PATH_MAX], real[PATH_MAX];
	long owner = -1;

	if (!realpath(mountpoint, real))
		snprintf(real, sizeof(real), "%s", mountpoint);
	while (mounts && fgets(line, sizeof(line), mounts)) {
		const char *user = strstr(line, "user_id=");
		if (user && sscanf(line, "%*s %*s %*s %*s %4095s", point) == 1 &&
			strcmp(point, real) == 0)
			owner = strtol(user + 8, NULL, 10);
	}
	if (mounts)
		fclose(mounts);
	return owner;
}

bool ask_find_mount(const char *real, char mount[PATH_MAX])
{
	struct stat top, st;

	snprintf(mount, PATH_MAX, "%s", real);
	if (stat(real, &top) < 0)
		return false;
	for (;;) {
		char *slash = strrchr(mount, '/');
		if (!slash || slash == mount)
			return slash != NULL && mount[1] != '\0';
		*slash = '\0';
		if (stat(mount, &st) < 0 || st.st_dev != top.st_dev) {
			*slash = '/';
			return true;
		}
	}
}

/* Whether it is in an imapfs, but not its mountpoint, which is told. */
static bool is_within(const char *path, char mount[PATH_MAX])
{
	char real[PATH_MAX], hidden[PATH_MAX];
	struct stat st;

	if (!realpath(path, real) || !ask_find_mount(real, mount))
		return false;
	return (size_t)snprintf(hidden, sizeof(hidden), "%s/.imapfs", mount) < sizeof(hidden) &&
	       stat(hidden, &st) == 0 && S_ISDIR(st.st_mode);
}

static int fail_open(const char *mountpoint, const char *file, int error)
{
	long owner = error == EACCES ? owner_of(mountpoint) : -1;
	const struct passwd *pw = owner >= 0 ? getpwuid((uid_t)owner) : NULL;
	char mount[PATH_MAX];

	if ((error == ENOENT || error == ENOTDIR) && is_within(mountpoint, mount)) {
		log_error("%s: this is in a mount; name the mountpoint itself, %s", mountpoint,
			mount);
		return EXIT_STATUS_USAGE;
	}
	if (error == ENOENT || error == ENOTDIR)
		log_error("%s: no imapfs is mounted there", mountpoint);
	else if (owner >= 0)
		log_error(
			"%s: only the user who has mounted it may ask, not root either; run it as "
			"%s (sudo -u '#%ld' imapfs ...)",
			mountpoint, pw ? pw->pw_name : "that user", owner);
	else
		log_error("%s/.imapfs/%s: %s", mountpoint, file, strerror(error));
	return EXIT_STATUS_MOUNT;
}

/* 0 or errno. */
static int read_all(FILE *f, struct buf *out)
{
	size_t n;

	do {
		char *to = buf_reserve(out, 4096);
		n = to ? fread(to, 1, 4096, f) : 0;
		buf_commit(out, n);
		if (!to)
			return ENOMEM;
	} while (n > 0);
	return ferror(f) ? errno : 0;
}

int ask_try(const char *mountpoint, const char *file, struct buf *out)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/.imapfs/%s", mountpoint, file) >= sizeof(path))
		return ENAMETOOLONG;
	FILE *f = fopen(path, "re");
	if (!f)
		return errno;
	int error = read_all(f, out);
	fclose(f);
	return error;
}

int ask_mount(const char *mountpoint, const char *file, struct buf *out)
{
	char error[ERROR_MAX];
	int number;

	/* Who was stopped (Ctrl-Z) while he waited, and goes on, asks again. */
	while ((number = ask_try(mountpoint, file, out)) == EINTR)
		buf_clear(out);
	switch (number) {
	case 0:
		return EXIT_STATUS_OK;
	case ENAMETOOLONG:
		log_error("%.64s...: the path is too long", mountpoint);
		return EXIT_STATUS_USAGE;
	case ENOTCONN:
		mountpoint_fail_stale(mountpoint, error, sizeof(error));
		log_error("%s", error);
		return EXIT_STATUS_MOUNT;
	case ENOMEM:
		log_error("%s/.imapfs/%s: %s", mountpoint, file, strerror(number));
		return EXIT_STATUS_INTERNAL;
	default:
		return fail_open(mountpoint, file, number);
	}
}
