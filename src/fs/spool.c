/* SPDX-License-Identifier: MIT */
#include "fs/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "mime/params.h"

/* Mounts of one account at a time, and directories that are looked for. */
#define DIRECTORIES 64
/* Digits of a key. */
#define KEY_DIGITS 16

struct spool {
	uv_loop_t *loop;
	int parent, dir; /* -1: none */
	unsigned number; /* of the directory */
	char *path;
	uint32_t next, files;
	uint64_t octets;
};

/* --- the directory --- */

static void name_directory(unsigned number, char name[NAME_MAX + 1])
{
	snprintf(name, NAME_MAX + 1, "drafts-%u", number);
}

/* -1 when it is not there, or another mount has it. */
static int lock_directory(int parent, unsigned number, bool make)
{
	char name[NAME_MAX + 1];

	name_directory(number, name);
	if (make && mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return -1;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

struct spool *spool_open(uv_loop_t *loop, int dir, const char *path)
{
	struct spool *s = mem_zalloc(sizeof(*s));
	char text[PATH_MAX];

	s->loop = loop;
	s->parent = dir >= 0 ? fcntl(dir, F_DUPFD_CLOEXEC, 3) : -1;
	s->dir = -1;
	for (unsigned i = 1; dir >= 0 && i <= DIRECTORIES && s->dir < 0; i++)
		s->dir = lock_directory(dir, s->number = i, true);
	snprintf(text, sizeof(text), "%s/drafts-%u", path ? path : "", s->number);
	s->path = mem_strdup(text);
	if (dir >= 0 && s->dir < 0)
		log_warning("%s: no mail can be written: %s", path, strerror(errno));
	return s;
}

void spool_close(struct spool *s)
{
	char name[NAME_MAX + 1];

	if (s->dir >= 0) {
		name_directory(s->number, name);
		unlinkat(s->parent, name, AT_REMOVEDIR);
		close(s->dir);
	}
	if (s->parent >= 0)
		close(s->parent);
	free(s->path);
	free(s);
}

const char *spool_path(const struct spool *s)
{
	return s->path;
}

/* --- files --- */

/* "~5" at the end of a name that is cut: another one may begin so, too. */
static size_t mark_cut(const struct spool_place *place, char out[NAME_MAX + 1])
{
	return (size_t)snprintf(out, NAME_MAX + 1, "~%u", place->number);
}

static void name_file(const struct spool_place *place, char name[NAME_MAX + 1])
{
	struct span given = span_of(place->name);
	char mark[NAME_MAX + 1] = "";

	if (place->stored) {
		snprintf(name, NAME_MAX + 1, "%u.stored", place->number);
		return;
	}
	size_t n = (size_t)snprintf(
		name, NAME_MAX + 1, "%016" PRIx64 ".%u.", place->mailbox, place->number);
	size_t room = NAME_MAX - n;
	if (given.n > room)
		given.n = mime_filename_cut(given, room - mark_cut(place, mark));
	snprintf(name + n, room + 1, "%.*s%s", (int)given.n, given.p, mark);
}

/* Takes "NUMBER." off the name. */
static bool take_number(const char **name, uint32_t *number)
{
	const char *dot = strchr(*name, '.');
	uint64_t value;

	if (!dot)
		return false;
	struct span digits = {.p = *name, .n = (size_t)(dot - *name)};
	if (!text_parse_number(digits, UINT32_MAX, &value))
		return false;
	*number = (uint32_t)value;
	*name = dot + 1;
	return true;
}

/* The same of a key. */
static bool take_key(const char **name, uint64_t *key)
{
	if (strspn(*name, "0123456789abcdef") != KEY_DIGITS || (*name)[KEY_DIGITS] != '.')
		return false;
	*key = strtoull(*name, NULL, 16);
	*name += KEY_DIGITS + 1;
	return true;
}

static bool is_stored(const char *name)
{
	uint32_t number;

	return take_number(&name, &number) && strcmp(name, "stored") == 0;
}

static bool parse_file(const char *name, struct spool_place *place)
{
	if (!take_key(&name, &place->mailbox) || !take_number(&name, &place->number) ||
		*name == '\0')
		return false;
	place->name = mem_strdup(name);
	return true;
}

int spool_make(struct spool *s, struct spool_place *place)
{
	char name[NAME_MAX + 1];

	if (s->dir < 0 || s->files >= SPOOL_FILES_MAX)
		return ENOSPC;
	place->number = ++s->next;
	place->size = 0;
	name_file(place, name);
	int fd = openat(s->dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	close(fd);
	s->files++;
	return 0;
}

int spool_open_file(struct spool *s, const struct spool_place *place)
{
	char name[NAME_MAX + 1];

	name_file(place, name);
	return openat(s->dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
}

static int rename_file(
	struct spool *s, const struct spool_place *from, const struct spool_place *to)
{
	char old[NAME_MAX + 1], new[NAME_MAX + 1];

	name_file(to, new);
	name_file(from, old);
	return renameat(s->dir, old, s->dir, new) < 0 ? errno : 0;
}

int spool_rename(struct spool *s, struct spool_place *place, const struct spool_place *to)
{
	struct spool_place old = *place, new = old;

	new.mailbox = to->mailbox;
	new.name = to->name;
	int error = rename_file(s, &old, &new);
	if (error)
		return error;
	new.name = mem_strdup(to->name);
	free(old.name);
	*place = new;
	return 0;
}

void spool_mark(struct spool *s, struct spool_place *place, bool stored)
{
	struct spool_place new = *place;

	new.stored = stored;
	if (rename_file(s, place, &new) == 0)
		*place = new;
}

void spool_drop(struct spool *s, struct spool_place *place)
{
	char name[NAME_MAX + 1];

	name_file(place, name);
	unlinkat(s->dir, name, 0);
	s->files--;
	s->octets -= place->size;
	free(place->name);
	place->name = NULL;
}

int spool_resize(struct spool *s, struct spool_place *place, uint64_t size)
{
	if (size > place->size && size - place->size > SPOOL_OCTETS_MAX - s->octets)
		return ENOSPC;
	s->octets += size - place->size;
	place->size = size;
	return 0;
}

/* --- what earlier mounts left --- */

/* From our own directory, or another one, whose files get numbers of ours. False: not one of ours. */
static bool take_file(struct spool *s, int from, const char *file, spool_found *f, void *ctx)
{
	struct spool_place place = {0};
	char name[NAME_MAX + 1];
	struct stat st;

	if (is_stored(file))
		unlinkat(from, file, 0);
	if (is_stored(file) || file[0] == '.')
		return true;
	if (!parse_file(file, &place))
		return false;
	if (from != s->dir)
		place.number = s->next + 1;
	name_file(&place, name);
	bool mine = (from == s->dir || renameat(from, file, s->dir, name) == 0) &&
		    fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
	if (!mine) {
		free(place.name);
		return false;
	}
	if (place.number > s->next)
		s->next = place.number;
	s->files++;
	s->octets += place.size = (uint64_t)st.st_size;
	f(ctx, &place);
	return true;
}

static unsigned take_all(struct spool *s, int from, spool_found *f, void *ctx)
{
	unsigned unknown = 0;

	int fd = fcntl(from, F_DUPFD_CLOEXEC, 3);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		unknown += !take_file(s, from, entry->d_name, f, ctx);
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	return unknown;
}

uint64_t spool_key(struct span mailbox)
{
	uint64_t key = 14695981039346656037u; /* FNV-1a */

	for (size_t i = 0; i < mailbox.n; i++)
		key = (key ^ (unsigned char)mailbox.p[i]) * 1099511628211u;
	return key;
}

unsigned spool_each_left(struct spool *s, spool_found *f, void *ctx)
{
	char name[NAME_MAX + 1];

	if (s->dir < 0)
		return 0;
	unsigned unknown = take_all(s, s->dir, f, ctx);
	for (unsigned i = 1; i <= DIRECTORIES; i++) {
		int from = i == s->number ? -1 : lock_directory(s->parent, i, false);

		if (from < 0)
			continue;
		unknown += take_all(s, from, f, ctx);
		name_directory(i, name);
		unlinkat(s->parent, name, AT_REMOVEDIR);
		close(from);
	}
	return unknown;
}

/* --- jobs --- */

static void write_all(struct spool_job *job)
{
	while (job->n < job->size) {
		ssize_t n = pwrite(job->fd, job->data + job->n, job->size - job->n,
			(off_t)(job->offset + job->n));
		if (n <= 0) {
			job->error = n < 0 ? errno : ENOSPC;
			return;
		}
		job->n += (size_t)n;
	}
}

static void read_all(struct spool_job *job)
{
	ssize_t n = 1;

	while (job->n < job->size && n > 0) {
		n = pread(job->fd, job->data + job->n, job->size - job->n,
			(off_t)(job->offset + job->n));
		if (n < 0)
			job->error = errno;
		job->n += n > 0 ? (size_t)n : 0;
	}
}

static void spool_on_work(uv_work_t *work)
{
	struct spool_job *job = work->data;

	switch (job->what) {
	case SPOOL_WRITE:
		write_all(job);
		break;
	case SPOOL_READ:
		read_all(job);
		break;
	case SPOOL_SYNC:
		job->error = fsync(job->fd) < 0 ? errno : 0;
		break;
	}
}

static void spool_on_worked(uv_work_t *work, int status)
{
	struct spool_job *job = work->data;

	job->on_done(job);
	free(job->data);
	free(job);
}

struct spool_job *spool_start(struct spool *s, enum spool_what what, int fd, char *data,
	size_t size, uint64_t offset, spool_done *on_done, void *ctx)
{
	struct spool_job *job = mem_zalloc(sizeof(*job));

	job->work.data = job;
	job->what = what;
	job->fd = fd;
	job->size = size;
	job->offset = offset;
	job->on_done = on_done;
	job->ctx = ctx;
	job->data = data ? data : mem_alloc(size + 1);
	uv_queue_work(s->loop, &job->work, spool_on_work, spool_on_worked);
	return job;
}
