/* SPDX-License-Identifier: MIT */
/*
 * The cache's directory: made and checked so that nobody else can put anything into it, locked for
 * one process, and the counter of mailbox ids, which outlives the database: an id that was given
 * out once must never mean another mailbox, because inode numbers are made of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "base/text.h"
#include "cache/private.h"

#define DB_NAME "cache.db"
#define WAL_NAME DB_NAME "-wal"
#define SHM_NAME DB_NAME "-shm"
#define NEW_NAME DB_NAME ".new"
#define DAMAGED_NAME DB_NAME ".damaged"
#define MARK_NAME DB_NAME ".is-damaged"
#define LOCK_NAME "cache.lock"
#define IDS_NAME "cache.ids"
#define KEEPS_NAME "cache.keeps"
#define SEGMENTS_NAME "bodies"
/* Nanoseconds between looks at the lock of another process, and how many: 5 s. */
#define LOCK_STEP 20000000
#define LOCK_STEPS 250

/* How far above the ids that are known the counter goes on, when its file cannot be read (next_id
 * is 0). */
#define ID_LEAP (1u << 16)
/* No counter gets here by counting. */
#define ID_MAX (UINT32_MAX - (1u << 20))
/* Octets that a directory for a cache in memory must have free. */
#define PRIVATE_ROOM ((uint64_t)160 << 20)
/* How many ids are reserved at a time: the first time, and at most. */
#define BLOCK_MIN 64u
#define BLOCK_MAX 4096u

/* Who holds the lock has written its number there; 0: not yet. */
static unsigned read_owner(int fd)
{
	char text[16];
	uint64_t number = 0;
	ssize_t n = pread(fd, text, sizeof(text), 0);

	if (n <= 1 || !text_parse_number((struct span){text, (size_t)n - 1}, INT32_MAX, &number))
		return 0;
	return (unsigned)number;
}

/* The number is only for people: nothing is lost where it cannot be written. */
static void write_owner(int fd)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
		log_debug("cache: %s: %s", LOCK_NAME, strerror(errno));
}

/* The daemon of a mount that was just taken away still logs out and closes its cache, and who looks at
 * it shares the lock for a moment. Without patience the next mount would have no cache for as long as it
 * lasts. */
static bool lock_patiently(int fd)
{
	const struct timespec step = {.tv_nsec = LOCK_STEP};

	for (unsigned i = 0; i < LOCK_STEPS; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return false;
		nanosleep(&step, NULL);
	}
	return flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static enum cache_dir_result lock(struct cache_dir *d, char *error, size_t size)
{
	d->lock = own_file_open(d->fd, LOCK_NAME);
	if (d->lock < 0) {
		snprintf(error, size, "%s/%s: %s", d->path, LOCK_NAME, strerror(errno));
		return CACHE_DIR_UNUSABLE;
	}
	if (lock_patiently(d->lock)) {
		write_owner(d->lock);
		return CACHE_DIR_OK;
	}
	if (errno != EWOULDBLOCK) {
		snprintf(error, size, "%s/%s: %s", d->path, LOCK_NAME, strerror(errno));
		return CACHE_DIR_UNUSABLE;
	}
	unsigned owner = read_owner(d->lock);
	int n = snprintf(error, size, "%s is in use by another process", d->path);
	if (owner && n > 0 && (size_t)n < size)
		snprintf(error + n, size - (size_t)n, ", PID %u", owner);
	return CACHE_DIR_LOCKED;
}

int cache_dir_try_share(int dir, bool *in_use, unsigned *owner)
{
	int fd = openat(dir, LOCK_NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	*in_use = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0;
	*owner = *in_use ? read_owner(fd) : 0;
	return fd;
}

/* A log that holds something is the database's. */
void cache_dir_tidy(int dir)
{
	struct stat st;

	if (fstatat(dir, WAL_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size == 0)
		unlinkat(dir, WAL_NAME, 0);
	unlinkat(dir, SHM_NAME, 0);
}

static bool read_ids(struct cache_dir *d, char *error, size_t size)
{
	char text[16];
	uint64_t value;

	d->ids = own_file_open(d->fd, IDS_NAME);
	ssize_t n = d->ids < 0 ? -1 : pread(d->ids, text, sizeof(text), 0);
	if (n < 0) {
		snprintf(error, size, "%s/%s: %s", d->path, IDS_NAME, strerror(errno));
		return false;
	}
	if (n == 0)
		return true;
	if (text[n - 1] == '\n' &&
		text_parse_number((struct span){text, (size_t)n - 1}, ID_MAX, &value) && value) {
		d->next_id = (uint32_t)value;
		return true;
	}
	log_warning(
		"cache: %s/%s is damaged; counting on far above what is known", d->path, IDS_NAME);
	d->next_id = 0;
	return true;
}

static void init(struct cache_dir *d)
{
	*d = (struct cache_dir){.fd = -1, .lock = -1, .ids = -1, .next_id = 1, .block = BLOCK_MIN};
}

enum cache_dir_result cache_dir_open(
	struct cache_dir *d, const char *path, char *error, size_t size)
{
	enum cache_dir_result result = CACHE_DIR_UNUSABLE;
	struct own_dir own;

	init(d);
	if (own_dir_open("cache", path, &own, error, size) < 0)
		return result;
	d->path = own.path;
	d->fd = own.fd;
	d->made = own.made;
	result = lock(d, error, size);
	if (result == CACHE_DIR_OK && !read_ids(d, error, size))
		result = CACHE_DIR_UNUSABLE;
	if (result != CACHE_DIR_OK)
		cache_dir_close(d);
	return result;
}

/* Containers often have 64 MiB there, less than the bodies and the log may need. */
static bool has_room(const char *parent)
{
	struct statvfs st;

	return statvfs(parent, &st) == 0 && (uint64_t)st.f_bavail * st.f_frsize >= PRIVATE_ROOM;
}

static bool make_private(struct cache_dir *d, const char *parent)
{
	if (!parent || !*parent)
		return false;
	d->path = mem_printf("%s/imapfs-XXXXXX", parent);
	if (mkdtemp(d->path)) {
		d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return d->fd >= 0;
	}
	free(d->path);
	d->path = NULL;
	return false;
}

enum cache_dir_result cache_dir_open_private(struct cache_dir *d, char *error, size_t size)
{
	init(d);
	if ((has_room("/dev/shm") && make_private(d, "/dev/shm")) ||
		make_private(d, getenv("TMPDIR")) || make_private(d, "/tmp"))
		return CACHE_DIR_OK;
	snprintf(error, size, "no directory for temporary files: %s", strerror(errno));
	cache_dir_close(d);
	return CACHE_DIR_UNUSABLE;
}

void cache_dir_hide(struct cache_dir *d)
{
	unlinkat(d->fd, DB_NAME, 0);
	unlinkat(d->fd, WAL_NAME, 0);
	unlinkat(d->fd, SHM_NAME, 0);
	rmdir(d->path);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void remove_new(struct cache_dir *d)
{
	unlinkat(d->fd, NEW_NAME, 0);
	unlinkat(d->fd, NEW_NAME "-wal", 0);
}

void cache_dir_close(struct cache_dir *d)
{
	if (d->unwanted) {
		unlinkat(d->fd, IDS_NAME, 0);
		unlinkat(d->fd, LOCK_NAME, 0);
		unlinkat(d->fd, SEGMENTS_NAME, AT_REMOVEDIR);
		cache_dir_hide(d);
	}
	if (d->emptied) {
		cache_dir_remove_db(d);
		remove_new(d);
		unlinkat(d->fd, DAMAGED_NAME, 0);
		unlinkat(d->fd, MARK_NAME, 0);
		unlinkat(d->fd, KEEPS_NAME, 0);
	}
	close_fd(&d->ids);
	close_fd(&d->fd);
	close_fd(&d->lock);
	free(d->path);
	d->path = NULL;
}

bool cache_dir_prepare_db(struct cache_dir *d)
{
	struct stat st;
	int fd = own_file_open(d->fd, DB_NAME);

	if (fd < 0)
		return false;
	/* The log of a database that is gone must not be played into a new one. */
	if (fstat(fd, &st) == 0 && st.st_size == 0) {
		unlinkat(d->fd, WAL_NAME, 0);
		unlinkat(d->fd, SHM_NAME, 0);
		fsync(d->fd);
	}
	close(fd);
	return true;
}

void cache_dir_mark_damaged(struct cache_dir *d)
{
	int fd = own_file_open(d->fd, MARK_NAME);

	if (fd >= 0)
		close(fd);
}

bool cache_dir_is_marked(struct cache_dir *d)
{
	return faccessat(d->fd, MARK_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The mark stands until all is done: killed half-way, the next open begins again. */
bool cache_dir_set_aside(struct cache_dir *d)
{
	cache_dir_mark_damaged(d);
	if (renameat(d->fd, DB_NAME, d->fd, DAMAGED_NAME) != 0 && errno != ENOENT)
		return false;
	unlinkat(d->fd, WAL_NAME, 0);
	unlinkat(d->fd, SHM_NAME, 0);
	fsync(d->fd);
	unlinkat(d->fd, MARK_NAME, 0);
	return true;
}

/* Its log last: without the database it means nothing. */
bool cache_dir_remove_db(struct cache_dir *d)
{
	if (unlinkat(d->fd, DB_NAME, 0) != 0 && errno != ENOENT)
		return false;
	unlinkat(d->fd, WAL_NAME, 0);
	unlinkat(d->fd, SHM_NAME, 0);
	return true;
}

bool cache_dir_put_keeps(struct cache_dir *d, bool keeps)
{
	if (keeps == cache_dir_keeps(d))
		return true;
	if (!keeps)
		return unlinkat(d->fd, KEEPS_NAME, 0) == 0;
	int fd = own_file_open(d->fd, KEEPS_NAME);
	if (fd < 0)
		return false;
	close(fd);
	return fsync(d->fd) == 0;
}

bool cache_dir_keeps(const struct cache_dir *d)
{
	return faccessat(d->fd, KEEPS_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool cache_dir_prepare_new(struct cache_dir *d)
{
	remove_new(d);
	int fd = own_file_open(d->fd, NEW_NAME);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* Killed half-way, the old one is there still, or the new one without a log, which it has none of.
 */
bool cache_dir_replace_db(struct cache_dir *d)
{
	if (faccessat(d->fd, NEW_NAME "-wal", F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EBUSY;
		return false;
	}
	unlinkat(d->fd, WAL_NAME, 0);
	unlinkat(d->fd, SHM_NAME, 0);
	return renameat(d->fd, NEW_NAME, d->fd, DB_NAME) == 0;
}

int cache_dir_segments(struct cache_dir *d)
{
	struct stat st;

	if (mkdirat(d->fd, SEGMENTS_NAME, 0700) != 0 && errno != EEXIST)
		return -1;
	int fd = openat(d->fd, SEGMENTS_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
		((st.st_mode & 07777) == 0700 || fchmod(fd, 0700) == 0))
		return fd;
	close(fd);
	errno = EPERM;
	return -1;
}

void cache_dir_raise_id(struct cache_dir *d, uint32_t at_least)
{
	if (d->next_id == 0)
		d->next_id = at_least + ID_LEAP;
	else if (d->next_id < at_least)
		d->next_id = at_least;
}

static bool write_ids(struct cache_dir *d, uint32_t end)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%010u\n", end);

	return pwrite(d->ids, text, (size_t)n, 0) == n && fdatasync(d->ids) == 0;
}

/* Blocks grow so that the first listing of a large account does not wait for many flushes. */
static void reserve(struct cache_dir *d)
{
	d->end_id = d->next_id + d->block;
	if (d->block < BLOCK_MAX)
		d->block *= 2;
	if (d->ids < 0 || write_ids(d, d->end_id) || d->ids_failed)
		return;
	d->ids_failed = true;
	log_error("cache: %s/%s: %s; inode numbers may come again after the next start", d->path,
		IDS_NAME, strerror(errno));
}

uint32_t cache_dir_new_id(struct cache_dir *d)
{
	if (d->next_id >= d->end_id)
		reserve(d);
	return d->next_id++;
}
