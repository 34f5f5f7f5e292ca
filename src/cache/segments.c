/* SPDX-License-Identifier: MIT */
#include "cache/segments.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/mem.h"
#include "base/text.h"

/* Files that are kept open though nobody reads them at the moment. */
#define OPEN_MAX_IDLE 16
#define NAME_SIZE 16

struct segment_file {
	uint32_t id;
	int fd;
	unsigned users; /* who read or write it now */
	bool removed;   /* to be closed by the last of them */
	uint64_t used;  /* a count that grows with each use */
	struct segment_file *next;
};

struct cache_segments {
	int dir; /* -1: in memory */
	uv_mutex_t lock;
	struct segment_file *files; /* that are open; in memory: all */
	unsigned count;
	uint64_t uses;
};

struct cache_segments *cache_segments_create(int dir)
{
	struct cache_segments *s = mem_zalloc(sizeof(*s));

	s->dir = dir;
	uv_mutex_init(&s->lock);
	return s;
}

/* --- open files; with the lock --- */

static void name_of(uint32_t id, char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "%08x", id);
}

static void drop_file(struct cache_segments *s, struct segment_file *f)
{
	struct segment_file **at = &s->files;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	s->count--;
	close(f->fd);
	free(f);
}

/* The one that was unused longest, if too many are open. */
static void close_idle(struct cache_segments *s)
{
	struct segment_file *oldest = NULL;

	if (s->dir < 0 || s->count <= OPEN_MAX_IDLE)
		return;
	for (struct segment_file *f = s->files; f; f = f->next)
		if (f->users == 0 && (!oldest || f->used < oldest->used))
			oldest = f;
	if (oldest)
		drop_file(s, oldest);
}

static int open_file(const struct cache_segments *s, uint32_t id, bool make)
{
	char name[NAME_SIZE];
	struct stat st;

	name_of(id, name);
	if (s->dir < 0 && !make) {
		errno = ENOENT;
		return -1;
	}
	if (s->dir < 0)
		return memfd_create("imapfs", MFD_CLOEXEC);
	int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
	int fd = openat(s->dir, name, make ? flags | O_CREAT | O_TRUNC : flags, 0600);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
		((st.st_mode & 07777) == 0600 || fchmod(fd, 0600) == 0))
		return fd;
	close(fd);
	errno = EPERM;
	return -1;
}

static struct segment_file *find_file(struct cache_segments *s, uint32_t id)
{
	for (struct segment_file *f = s->files; f; f = f->next)
		if (f->id == id && !f->removed)
			return f;
	return NULL;
}

/* NULL and errno; else put_file is due. */
static struct segment_file *take_file(struct cache_segments *s, uint32_t id, bool make)
{
	uv_mutex_lock(&s->lock);
	struct segment_file *f = find_file(s, id);
	if (!f) {
		int fd = open_file(s, id, make);
		if (fd >= 0) {
			f = mem_zalloc(sizeof(*f));
			*f = (struct segment_file){.id = id, .fd = fd, .next = s->files};
			s->files = f;
			s->count++;
		}
	}
	int error = errno;
	if (f) {
		f->users++;
		f->used = ++s->uses;
		close_idle(s);
	}
	uv_mutex_unlock(&s->lock);
	errno = error;
	return f;
}

static void put_file(struct cache_segments *s, struct segment_file *f)
{
	uv_mutex_lock(&s->lock);
	f->users--;
	if (f->users == 0 && f->removed)
		drop_file(s, f);
	uv_mutex_unlock(&s->lock);
}

/* --- octets --- */

static int write_all(int fd, uint64_t offset, const char *octets, size_t n)
{
	while (n > 0) {
		ssize_t done = pwrite(fd, octets, n, (off_t)offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? errno : ENOSPC;
		octets += done;
		offset += (uint64_t)done;
		n -= (size_t)done;
	}
	return 0;
}

int cache_segments_append(
	struct cache_segments *s, uint32_t id, uint64_t offset, const void *octets, size_t n)
{
	struct segment_file *f = take_file(s, id, offset == 0);

	if (!f)
		return errno;
	int error = write_all(f->fd, offset, octets, n);
	put_file(s, f);
	return error;
}

int cache_segments_read(
	struct cache_segments *s, uint32_t id, uint64_t offset, void *octets, size_t n)
{
	struct segment_file *f = take_file(s, id, false);
	char *to = octets;
	int error = 0;

	if (!f)
		return errno;
	while (n > 0 && error == 0) {
		ssize_t done = pread(f->fd, to, n, (off_t)offset);
		if (done > 0) {
			to += done;
			offset += (uint64_t)done;
			n -= (size_t)done;
		} else if (done == 0 || errno != EINTR) {
			error = done == 0 ? EIO : errno;
		}
	}
	put_file(s, f);
	return error;
}

int cache_segments_punch(struct cache_segments *s, uint32_t id, uint64_t offset, uint64_t n)
{
	struct segment_file *f = take_file(s, id, false);
	int error = 0;

	if (!f)
		return errno;
	if (n > 0 && fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			     (off_t)n) != 0)
		error = errno;
	put_file(s, f);
	return error;
}

int cache_segments_sync(struct cache_segments *s, uint32_t id)
{
	struct segment_file *f = take_file(s, id, false);
	int error = 0;

	if (!f)
		return errno;
	if (fdatasync(f->fd) != 0)
		error = errno;
	put_file(s, f);
	return error;
}

int cache_segments_held(struct cache_segments *s, uint32_t id, uint64_t *held)
{
	struct segment_file *f = take_file(s, id, false);
	struct stat st;
	int error = 0;

	*held = 0;
	if (!f)
		return errno;
	if (fstat(f->fd, &st) != 0) {
		error = errno;
	} else {
		uint64_t blocks = (uint64_t)st.st_blocks * 512, size = (uint64_t)st.st_size;
		*held = blocks < size ? blocks : size;
	}
	put_file(s, f);
	return error;
}

/* --- files --- */

void cache_segments_remove(struct cache_segments *s, uint32_t id)
{
	char name[NAME_SIZE];

	uv_mutex_lock(&s->lock);
	struct segment_file *f = find_file(s, id);
	if (f && f->users > 0)
		f->removed = true;
	else if (f)
		drop_file(s, f);
	uv_mutex_unlock(&s->lock);
	name_of(id, name);
	if (s->dir >= 0)
		unlinkat(s->dir, name, 0);
}

/* Only names that we could have given. */
static bool parse_name(const char *name, uint32_t *id)
{
	char again[NAME_SIZE], *end;
	unsigned long value = strtoul(name, &end, 16);

	if (*end || value > UINT32_MAX)
		return false;
	*id = (uint32_t)value;
	name_of(*id, again);
	return strcmp(name, again) == 0;
}

void cache_segments_sweep(
	struct cache_segments *s, bool (*is_known)(void *ctx, uint32_t id), void *ctx)
{
	int fd = s->dir < 0 ? -1 : openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	uint32_t id;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (const struct dirent *e = readdir(dir); e; e = readdir(dir))
		if (parse_name(e->d_name, &id) && !is_known(ctx, id))
			unlinkat(s->dir, e->d_name, 0);
	closedir(dir);
}

void cache_segments_destroy(struct cache_segments *s)
{
	if (!s)
		return;
	while (s->files)
		drop_file(s, s->files);
	uv_mutex_destroy(&s->lock);
	if (s->dir >= 0)
		close(s->dir);
	free(s);
}
