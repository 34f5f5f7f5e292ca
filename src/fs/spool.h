/* SPDX-License-Identifier: MIT */
/*
 * Files of octets that are not mail yet, in the account's state directory: `drafts-N`, each mount's
 * own, locked by flock. What a mount left in its directory the next one takes over. A file is called
 *
 *   key of the mailbox . number . the name that it was given
 *
 * so that a person finds it, and so does the next mount, also where the cache, and with it the ids of
 * mailboxes, begins anew; of a name that is too long for that, its beginning. What was stored is called `number.stored`.
 */
#ifndef FS_SPOOL_H
#define FS_SPOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "base/span.h"

/* Files, and their octets together, that may be spooled. */
#define SPOOL_FILES_MAX 1024u
#define SPOOL_OCTETS_MAX ((uint64_t)4 << 30)

struct fs_op;
struct spool;

/* Where a draft lies. */
struct spool_place {
	uint64_t mailbox; /* spool_key */
	uint32_t number;
	bool stored; /* it is mail now: the next mount does not want it */
	char *name;  /* owned */
	uint64_t size;
};

/* dir: the state directory, which stays the caller's; path: its name for people. dir < 0: nothing can
 * be spooled. Blocking. */
struct spool *spool_open(uv_loop_t *loop, int dir, const char *path);
/* The directory is removed when it is empty. */
void spool_close(struct spool *s);
const char *spool_path(const struct spool *s);

/* Of a mailbox's raw name. */
uint64_t spool_key(struct span mailbox);

/* What earlier mounts left. Each place becomes f's. Returns how many files are none that it knows; they
 * are left alone. */
typedef void spool_found(void *ctx, struct spool_place *place);
unsigned spool_each_left(struct spool *s, spool_found *f, void *ctx);

/* Makes a file, and gives it a number. 0 or an errno, as ENOSPC. */
int spool_make(struct spool *s, struct spool_place *place);
/* A descriptor, or -1 and errno. */
int spool_open_file(struct spool *s, const struct spool_place *place);
/* Gives it another name, in another mailbox perhaps. 0 or an errno. */
int spool_rename(struct spool *s, struct spool_place *place, const struct spool_place *to);
void spool_mark(struct spool *s, struct spool_place *place, bool stored);
/* The file is not needed any more; frees what the place owns. */
void spool_drop(struct spool *s, struct spool_place *place);
/* Whether the file may have this size: 0, or ENOSPC. It is counted from now on. */
int spool_resize(struct spool *s, struct spool_place *place, uint64_t size);

/* --- what waits for the disk, in libuv's pool --- */

enum spool_what { SPOOL_WRITE, SPOOL_READ, SPOOL_SYNC };

struct spool_job;
typedef void spool_done(struct spool_job *job);

struct spool_job {
	uv_work_t work;
	enum spool_what what;
	int fd;
	char *data; /* owned */
	size_t size;
	uint64_t offset;
	int error; /* errno */
	size_t n;  /* octets that were written or read */
	void *ctx;
	struct fs_op *waiter; /* for op.c; NULL: nobody waits any more */
	spool_done *on_done;  /* once, from the loop; the job and its data are freed behind it */
};

/* data: octets to be written (malloc'ed), which become the job's; NULL for others. */
struct spool_job *spool_start(struct spool *s, enum spool_what what, int fd, char *data,
	size_t size, uint64_t offset, spool_done *on_done, void *ctx);

#endif
