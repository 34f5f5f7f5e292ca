/* SPDX-License-Identifier: MIT */
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

/* *made: path itself was not there. */
static bool make_with_parents(const char *path, bool *made)
{
	char *copy = mem_strdup(path);
	bool ok = true;

	for (char *slash = strchr(copy + 1, '/'); ok && slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		ok = mkdir(copy, 0700) == 0 || errno == EEXIST;
		*slash = '/';
	}
	*made = ok && mkdir(copy, 0700) == 0;
	ok = ok && (*made || errno == EEXIST);
	free(copy);
	return ok;
}

/* Whether others may rename what is in a directory. Who owns the root directory is root, also in a
 * user namespace. A group that is our own is taken for ours alone, as many systems have it. */
static bool is_foreign(const struct stat *st, uid_t root)
{
	if (st->st_uid != geteuid() && st->st_uid != root)
		return true;
	if (st->st_mode & S_ISVTX)
		return false;
	return (st->st_mode & S_IWOTH) || ((st->st_mode & S_IWGRP) && st->st_gid != getegid());
}

/* Steps up from *fd, which is closed. False when it cannot. */
static bool step_up(int *fd, struct stat *st)
{
	int up = openat(*fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

	close(*fd);
	*fd = up;
	return up >= 0 && fstat(up, st) == 0;
}

/* Who can rename a directory above could put another in the place of ours. */
static bool check_parents(int dir, const char *what, const char *path, char *error, size_t size)
{
	struct stat root, above, below = {0};
	int fd = openat(dir, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && stat("/", &root) == 0;

	while (ok && (ok = step_up(&fd, &above)) && !is_foreign(&above, root.st_uid)) {
		if (above.st_dev == below.st_dev && above.st_ino == below.st_ino)
			break;
		below = above;
	}
	if (!ok)
		snprintf(error, size, "%s directory %s: %s", what, path, strerror(errno));
	else if ((ok = !is_foreign(&above, root.st_uid)) == false)
		snprintf(error, size,
			"%s directory %s could be replaced by another user, who owns or can "
			"write a directory above it: choose another directory",
			what, path);
	if (fd >= 0)
		close(fd);
	return ok;
}

static bool check_owner(int fd, const char *what, const char *path, char *error, size_t size)
{
	struct stat st;

	if (fstat(fd, &st) != 0) {
		snprintf(error, size, "%s directory %s: %s", what, path, strerror(errno));
		return false;
	}
	if (st.st_uid != geteuid()) {
		snprintf(error, size,
			"%s directory %s belongs to another user (uid %u): change its owner or "
			"choose another directory",
			what, path, (unsigned)st.st_uid);
		return false;
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		snprintf(error, size,
			"%s directory %s is writable by others: run 'chmod go-w' on it or "
			"choose another directory",
			what, path);
		return false;
	}
	if ((st.st_mode & 07777) != 0700 && fchmod(fd, 0700) != 0) {
		snprintf(error, size, "%s directory %s: %s", what, path, strerror(errno));
		return false;
	}
	return true;
}

int own_file_open(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid()) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	if ((st.st_mode & 07777) != 0600 && fchmod(fd, 0600) != 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

int own_dir_open(const char *what, const char *dir, struct own_dir *own, char *error, size_t size)
{
	*own = (struct own_dir){.fd = -1};
	if (!make_with_parents(dir, &own->made) ||
		(own->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
		!(own->path = realpath(dir, NULL)))
		snprintf(error, size, "%s directory %s: %s", what, dir, strerror(errno));
	else if (check_owner(own->fd, what, dir, error, size) &&
		 check_parents(own->fd, what, dir, error, size))
		return 0;
	own_dir_close(own);
	return ERR_INVALID;
}

void own_dir_close(struct own_dir *own)
{
	if (own->fd >= 0)
		close(own->fd);
	own->fd = -1;
	free(own->path);
	own->path = NULL;
}
