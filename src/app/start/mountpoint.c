/* SPDX-License-Identifier: MIT */
#include "app/start/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "app/options/options.h"

/* statfs(2) */
#define FUSE_MAGIC 0x65735546
#define AUTOFS_MAGIC 0x0187
/* Nanoseconds between looks whether a guardian has unmounted, and how many looks: 1.5 s. */
#define GUARDIAN_STEP 20000000
#define GUARDIAN_STEPS 75

struct report {
	char *error;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static int fail(
	const struct report *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->error, r->size, format, args);
	va_end(args);
	return EXIT_STATUS_MOUNT;
}

int mountpoint_fail_stale(const char *path, char *error, size_t size)
{
	const struct report r = {error, size};

	return fail(&r,
		"%s: a filesystem that died is still mounted here; clear it with 'fusermount3 -u "
		"%s' and try again",
		path, path);
}

/* As one word of a shell; malloc'ed. */
static char *quote(const char *path)
{
	char *word = mem_alloc(4 * strlen(path) + 3), *to = word;

	*to++ = '\'';
	for (; *path; path++)
		if (*path == '\'')
			to = stpcpy(to, "'\\''");
		else
			*to++ = *path;
	*to++ = '\'';
	*to = '\0';
	return word;
}

static int fail_missing(const struct report *r, const char *path)
{
	char *word = quote(path);

	fail(r, "%s: %s; run: mkdir -p %s", path, strerror(ENOENT), word);
	free(word);
	return EXIT_STATUS_MOUNT;
}

static int fail_stat(const struct report *r, const char *path)
{
	switch (errno) {
	case ENOTCONN:
	case ECONNABORTED:
		return mountpoint_fail_stale(path, r->error, r->size);
	case ENOENT:
		return fail_missing(r, path);
	default:
		return fail(r, "%s: %s", path, strerror(errno));
	}
}

/* The type of the filesystem whose top path is; 0 where it is none. */
static long type_of_mount(const char *path, dev_t dev)
{
	struct statfs fs;
	struct stat above;
	char *parent = mem_printf("%s/..", path);
	bool top = stat(parent, &above) == 0 && above.st_dev != dev;

	free(parent);
	return top && statfs(path, &fs) == 0 ? (long)fs.f_type : 0;
}

/* stat(2). Where a daemon just died its guardian may need a moment to unmount. */
static int stat_patiently(const char *path, struct stat *st)
{
	const struct timespec step = {.tv_nsec = GUARDIAN_STEP};

	for (unsigned i = 0; i < GUARDIAN_STEPS; i++) {
		if (stat(path, st) == 0)
			return 0;
		if (errno != ENOTCONN && errno != ECONNABORTED)
			return -1;
		nanosleep(&step, NULL);
	}
	return stat(path, st);
}

int mountpoint_check(const char *path, char *error, size_t size)
{
	const struct report r = {error, size};
	struct stat st;

	if (stat_patiently(path, &st) < 0)
		return fail_stat(&r, path);
	if (!S_ISDIR(st.st_mode))
		return fail(&r, "%s: not a directory", path);
	/* Over it root would mount a second time, and for others fusermount3 says no more than
	 * "Permission denied". */
	long type = type_of_mount(path, st.st_dev);
	if (type == FUSE_MAGIC)
		return fail(&r,
			"%s: something is mounted here already; unmount it with 'fusermount3 -u "
			"%s' first",
			path, path);
	if (type == AUTOFS_MAGIC && getuid() != 0)
		return fail(&r,
			"%s: only root can mount on an automount, whose directory is root's: "
			"instead of setuid= write allow_other,uid=%u,gid=%u",
			path, getuid(), getgid());
	return EXIT_STATUS_OK;
}

/* --- what it takes to mount --- */

/* As root may, or as who may become root: set-user-ID, or by capabilities, which are not looked at.
 */
static bool is_fusermount(const char *directory, size_t n, bool *weak)
{
	char *path = mem_printf("%.*s/fusermount3", (int)n, directory);
	bool there = access(path, X_OK) == 0;
	struct stat st;

	if (there && stat(path, &st) == 0 && !(st.st_uid == 0 && (st.st_mode & S_ISUID)) &&
		getxattr(path, "security.capability", NULL, 0) <= 0) {
		*weak = true;
		there = false;
	}
	free(path);
	return there;
}

/* libfuse takes the one that it was built for, in /usr/bin mostly, else that of PATH. */
static int check_fusermount(const struct report *r)
{
	const char *path = getenv("PATH");
	bool weak = false,
	     found = is_fusermount("/usr/bin", 8, &weak) || is_fusermount("/bin", 4, &weak);

	for (size_t n; !found && path && *path; path += n + (path[n] == ':')) {
		n = strcspn(path, ":");
		found = n > 0 && is_fusermount(path, n, &weak);
	}
	if (found)
		return EXIT_STATUS_OK;
	if (weak)
		return fail(r,
			"fusermount3 cannot mount for users, as it is not set-user-ID root; as "
			"root run: chmod u+s \"$(command -v fusermount3)\"");
	return fail(r, "fusermount3 is missing, and without it only root can mount; install the "
		       "package fuse3");
}

/* fusermount3 opens it with the rights of who calls it. */
static int check_device(const char *device, const struct report *r)
{
	int fd = open(device, O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return EXIT_STATUS_OK;
	}
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return fail(r,
			"%s: the kernel has no FUSE; as root run: modprobe fuse (a container must "
			"be given the device: docker run --device /dev/fuse --cap-add SYS_ADMIN)",
			device);
	if (errno == EPERM)
		return fail(r,
			"%s: this container may not use it; it must be given the device (docker "
			"run --device /dev/fuse --cap-add SYS_ADMIN)",
			device);
	return fail(r, "%s: %s; as root run: chmod 666 %s", device, strerror(errno), device);
}

int mountpoint_check_fuse(char *error, size_t size)
{
	const struct report r = {error, size};
	int status = check_device("/dev/fuse", &r);

	return status == EXIT_STATUS_OK && getuid() != 0 ? check_fusermount(&r) : status;
}

/* --- a mount that is there --- */

/* Those that mount(2) would reset. */
static unsigned long flags_of(const char *path)
{
	static const struct {
		unsigned long is, flag;
	} flags[] = {{ST_NOSUID, MS_NOSUID}, {ST_NODEV, MS_NODEV}, {ST_NOEXEC, MS_NOEXEC},
		{ST_NOATIME, MS_NOATIME}, {ST_NODIRATIME, MS_NODIRATIME},
		{ST_RELATIME, MS_RELATIME}, {ST_SYNCHRONOUS, MS_SYNCHRONOUS}};
	unsigned long kept = 0;
	struct statvfs st;

	if (statvfs(path, &st) == 0)
		for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
			kept |= st.f_flag & flags[i].is ? flags[i].flag : 0;
	return kept;
}

int mountpoint_remount(const char *path, bool ro, char *error, size_t size)
{
	const struct report r = {error, size};
	struct stat st;

	if (stat(path, &st) < 0 || type_of_mount(path, st.st_dev) != FUSE_MAGIC)
		return fail(&r, "%s: nothing is mounted there that could be remounted", path);
	if (mount(NULL, path, NULL, MS_REMOUNT | flags_of(path) | (ro ? MS_RDONLY : 0), NULL) == 0)
		return EXIT_STATUS_OK;
	if (errno == EPERM)
		return fail(&r,
			"%s: only root can remount; unmount it and mount it again with -o %s", path,
			ro ? "ro" : "rw");
	return fail(&r, "%s: cannot remount: %s", path, strerror(errno));
}
