/* SPDX-License-Identifier: MIT */
#include "state/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "state/private.h"

/* Mounts of one account at a time. */
#define JOURNALS_MAX 64
#define NAME_SIZE 32
/* Intents written until the log is brought into the database. */
#define CHECKPOINT_EVERY 2000

/* A journal's file and its lock. */
struct place {
	int lock; /* -1: not ours */
	char name[NAME_SIZE];
	char *path;
};

struct checkpoint {
	uv_work_t req;
	uv_sem_t done;
	char *path;
	struct state *state; /* NULL: closed meanwhile */
};

struct state {
	uv_loop_t *loop;
	struct own_dir dir; /* fd -1: in memory */
	struct place own;
	struct journal journal;
	unsigned writes; /* since the last checkpoint */
	struct checkpoint *checkpoint;
	bool failed; /* that nothing can be written was told */
};

/* --- places --- */

static void name_of(unsigned number, const char *suffix, char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "journal-%u.%s", number, suffix);
}

static void leave(struct place *p)
{
	if (p->lock >= 0)
		close(p->lock);
	p->lock = -1;
	free(p->path);
	p->path = NULL;
}

static bool is_there(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Takes the number, if nobody has it; else errno says why not. The lock's file stays: taken away it could
 * be locked by two. */
static bool take_place(const struct state *s, unsigned number, struct place *p)
{
	char name[NAME_SIZE];

	name_of(number, "lock", name);
	name_of(number, "db", p->name);
	p->lock = own_file_open(s->dir.fd, name);
	if (p->lock < 0 || flock(p->lock, LOCK_EX | LOCK_NB) != 0) {
		int error = errno;
		leave(p);
		errno = error;
		return false;
	}
	p->path = mem_printf("%s/%s", s->dir.path, p->name);
	return true;
}

static void remove_file(const struct state *s, const struct place *p, const char *suffix)
{
	char name[NAME_SIZE + 8];

	snprintf(name, sizeof(name), "%s%s", p->name, suffix);
	unlinkat(s->dir.fd, name, 0);
}

static void remove_journal(const struct state *s, const struct place *p)
{
	remove_file(s, p, "");
	remove_file(s, p, "-wal");
	remove_file(s, p, "-shm");
}

/* What is in it can be lost only by being unreadable; it is kept for who wants to look. */
static void set_aside(const struct state *s, const struct place *p, const char *why)
{
	char name[NAME_SIZE + 16];

	snprintf(name, sizeof(name), "%s.damaged", p->name);
	log_warning("%s: %s; it is kept as %s. Changes that were not done yet may be in it: they "
		    "are not done, and the mail is where it was",
		p->path, why, name);
	renameat(s->dir.fd, p->name, s->dir.fd, name);
	remove_file(s, p, "-wal");
	remove_file(s, p, "-shm");
}

/* --- taking over --- */

struct adoption {
	struct journal *by;
	int rc; /* the first that was not SQLITE_OK */
};

static void adopt_intent(void *ctx, const struct state_intent *intent)
{
	struct adoption *adoption = ctx;

	/* One that is newer is here, or was taken over before. */
	if (adoption->rc == SQLITE_OK)
		adoption->rc = journal_put(adoption->by, intent);
}

static int adopt_intents(struct state *s, struct journal *from)
{
	struct adoption adoption = {.by = &s->journal};
	int rc = journal_begin(&s->journal);

	if (rc != SQLITE_OK)
		return rc;
	rc = journal_each(from, adopt_intent, &adoption);
	if (rc == SQLITE_OK)
		rc = adoption.rc;
	if (rc == SQLITE_OK)
		rc = journal_end(&s->journal, true);
	if (rc != SQLITE_OK)
		journal_end(&s->journal, false);
	return rc;
}

/* The journal that nobody holds is empty afterwards, or stays as it was. */
static void adopt(struct state *s, struct place *p, const char *account)
{
	struct journal other = {0};
	int rc = journal_open(&other, p->path, account);

	if (rc == SQLITE_OK)
		rc = adopt_intents(s, &other);
	journal_close(&other);
	if (rc == SQLITE_OK)
		remove_journal(s, p);
	else if (rc == JOURNAL_NEWER)
		log_warning("%s: a newer version of imapfs made it: it is left as it is, and what "
			    "was promised in it is not done before that version mounts again",
			p->path);
	else
		log_warning("%s: %s; left as it is", p->path, sqlite3_errstr(rc));
}

static void adopt_all(struct state *s, const char *account)
{
	for (unsigned i = 1; i <= JOURNALS_MAX; i++) {
		struct place p = {.lock = -1};

		name_of(i, "db", p.name);
		if (strcmp(p.name, s->own.name) == 0 || !is_there(s->dir.fd, p.name) ||
			!take_place(s, i, &p))
			continue;
		if (is_there(s->dir.fd, p.name))
			adopt(s, &p, account);
		leave(&p);
	}
}

/* --- opening --- */

static bool prepare_file(const struct state *s)
{
	int fd = own_file_open(s->dir.fd, s->own.name);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool is_damage(int rc)
{
	return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB ||
	       (rc & 0xff) == SQLITE_MISMATCH || (rc & 0xff) == SQLITE_ERROR;
}

static int open_own(struct state *s, const char *account)
{
	int rc = prepare_file(s) ? journal_open(&s->journal, s->own.path, account)
				 : SQLITE_CANTOPEN;

	if (!is_damage(rc) || rc == JOURNAL_NEWER)
		return rc;
	journal_close(&s->journal);
	set_aside(s, &s->own, sqlite3_errstr(rc));
	return prepare_file(s) ? journal_open(&s->journal, s->own.path, account) : SQLITE_CANTOPEN;
}

/* The first place that nobody has, but for those of newer versions. False when there is none: *error is
 * errno of one that could not be taken, or 0. */
static bool take_own(struct state *s, const char *account, int *rc, int *error)
{
	*error = 0;
	for (unsigned i = 1; i <= JOURNALS_MAX; i++) {
		if (!take_place(s, i, &s->own)) {
			*error = errno;
			continue;
		}
		*rc = open_own(s, account);
		if (*rc != JOURNAL_NEWER)
			return true;
		journal_close(&s->journal);
		leave(&s->own);
	}
	return false;
}

/* What is promised about one person's mail must not be done to another's. */
static bool is_of(struct state *s, const char *account, char *error, size_t size)
{
	char *found = journal_account(&s->journal);
	bool same = strcmp(found, account) == 0;

	if (!same)
		snprintf(error, size,
			"state directory %s is of another account, %s: give this one a directory "
			"of its own with statedir=DIR",
			s->dir.path, found);
	free(found);
	return same;
}

static bool open_in_dir(struct state *s, const struct state_options *o, char *error, size_t size)
{
	int rc = SQLITE_OK, no_place;

	if (own_dir_open("state", o->dir, &s->dir, error, size) < 0)
		return false;
	if (!take_own(s, o->account, &rc, &no_place)) {
		snprintf(error, size, "state directory %s: no journal can be %s: %s", s->dir.path,
			no_place ? "locked" : "used",
			no_place ? strerror(no_place) : "a newer version of imapfs made them all");
		return false;
	}
	if (rc != SQLITE_OK) {
		snprintf(error, size, "%s: %s", s->own.path, sqlite3_errstr(rc));
		return false;
	}
	if (!is_of(s, o->account, error, size))
		return false;
	adopt_all(s, o->account);
	return true;
}

static void finish(struct state *s)
{
	journal_close(&s->journal);
	leave(&s->own);
	own_dir_close(&s->dir);
	free(s);
}

struct state *state_open(
	uv_loop_t *loop, const struct state_options *options, char *error, size_t size)
{
	struct state *s = mem_zalloc(sizeof(*s));

	s->loop = loop;
	s->dir.fd = s->own.lock = -1;
	bool ok = options->dir
			  ? open_in_dir(s, options, error, size)
			  : journal_open(&s->journal, ":memory:", options->account) == SQLITE_OK;
	if (ok)
		return s;
	finish(s);
	return NULL;
}

void state_close(struct state *s)
{
	if (!s)
		return;
	if (s->checkpoint) {
		uv_sem_wait(&s->checkpoint->done);
		s->checkpoint->state = NULL;
	}
	bool empty = journal_is_empty(&s->journal);
	journal_close(&s->journal);
	if (empty && s->dir.fd >= 0)
		remove_journal(s, &s->own);
	finish(s);
}

int state_dir(const struct state *s)
{
	return s->dir.fd;
}

const char *state_path(const struct state *s)
{
	return s->dir.path;
}

/* --- checkpoints --- */

static void state_on_work(uv_work_t *req)
{
	struct checkpoint *c = req->data;

	journal_checkpoint(c->path);
	uv_sem_post(&c->done);
}

static void state_on_worked(uv_work_t *req, int status)
{
	struct checkpoint *c = req->data;

	if (c->state)
		c->state->checkpoint = NULL;
	uv_sem_destroy(&c->done);
	free(c->path);
	free(c);
}

static void checkpoint_when_due(struct state *s)
{
	if (++s->writes < CHECKPOINT_EVERY || s->checkpoint || s->dir.fd < 0)
		return;
	struct checkpoint *c = mem_zalloc(sizeof(*c));

	s->writes = 0;
	s->checkpoint = c;
	c->state = s;
	c->path = mem_strdup(s->own.path);
	c->req.data = c;
	uv_sem_init(&c->done, 0);
	uv_queue_work(s->loop, &c->req, state_on_work, state_on_worked);
}

/* --- intents --- */

static void report(struct state *s, int rc)
{
	if (rc != SQLITE_OK && !s->failed)
		log_error("state: %s: %s; what cannot be noted here is refused",
			s->own.path ? s->own.path : "in memory", sqlite3_errstr(rc));
	s->failed = rc != SQLITE_OK;
}

int state_put(struct state *s, const struct state_intent *intent)
{
	int rc = journal_put(&s->journal, intent);

	report(s, rc);
	checkpoint_when_due(s);
	if (rc == SQLITE_OK)
		return 0;
	return (rc & 0xff) == SQLITE_FULL ? ERR_DISK_FULL : ERR_IO;
}

void state_drop(struct state *s, struct span mailbox, uint32_t uidvalidity, uint32_t uid)
{
	report(s, journal_drop(&s->journal, mailbox, uidvalidity, uid));
	checkpoint_when_due(s);
}

void state_each(struct state *s, state_intent_fn *f, void *ctx)
{
	report(s, journal_each(&s->journal, f, ctx));
}

void state_rename(struct state *s, struct span from, struct span to)
{
	report(s, journal_rename(&s->journal, from, to));
}
