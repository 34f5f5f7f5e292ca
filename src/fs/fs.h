/* SPDX-License-Identifier: MIT */
/*
 * The filesystem: the low-level FUSE operations on an account, served from the account's libuv
 * loop.
 */
#ifndef FS_FS_H
#define FS_FS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "mail/account.h"

struct fs;

typedef void fs_callback(void *ctx);

struct fs_options {
	const char *mountpoint;
	const char *mount_options; /* for libfuse's -o */
	bool readonly;
	bool seen;       /* what was read whole gets \Seen */
	bool sync;       /* a change is answered when the server has confirmed it */
	bool maildir;    /* mailboxes are listed as Maildirs */
	bool named;      /* messages are listed under names for people */
	bool list_views; /* those at the root are listed */
	bool debug;
	uid_t uid;
	gid_t gid;
	mode_t fmask, dmask; /* bits taken away */
	const char *suffix;  /* of message names, "" for none */
	uint64_t timeout;    /* milliseconds that an operation may take */
	/* Unmounts; where it could not libfuse then tries, if it is still ours that is there. */
	fs_callback *unmount;
	void *ctx;
};

/* options and what it points at must outlive the fs. */
struct fs *fs_create(uv_loop_t *loop, const struct fs_options *options);
uv_loop_t *fs_loop(const struct fs *fs);
/* What the account is to tell, with the fs as its ctx. */
extern const struct account_observer fs_observer;
/* Mounts and begins to serve. Returns 0, or ERR_INVALID when libfuse could not, and error is its
 * words. on_unmounted(ctx) is called from the loop when somebody else unmounted it. */
int fs_mount(struct fs *fs, struct account *account, fs_callback *on_unmounted, void *ctx,
	char *error, size_t size);
/* Answers everything that waits, unmounts; on_done(ctx) from the loop. Also after on_unmounted. */
void fs_stop(struct fs *fs, fs_callback *on_done);
void fs_destroy(struct fs *fs);

#endif
