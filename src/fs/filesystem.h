/* SPDX-License-Identifier: MIT */
/* The filesystem itself, for the files of fs/. */
#ifndef FS_FILESYSTEM_H
#define FS_FILESYSTEM_H

#include "base/list.h"
#include "base/map.h"
#include "fs/fs.h"
#include "fs/fuse.h"
#include "fs/inherit.h"
#include "fs/mounted.h"

struct control;
struct moves;
struct drafts;
struct notifier;
struct pusher;
struct views;
struct contents;

struct fs {
	uv_loop_t *loop;
	struct fs_options options;
	struct account *account;
	struct fuse_session *session;
	struct mounted ours; /* what it has mounted */
	int64_t mounted;     /* since when; seconds since 1970 */

	/* Requests. */
	struct fuse_buf buffer;
	uv_poll_t poll;
	bool polling;
	struct list ops;        /* struct fs_op that wait */
	uv_timer_t timer;       /* for their deadlines and interrupts */
	uint64_t held;          /* pool_held when it ran last, or was started */
	struct list turns;      /* struct fs_op that have much to do */
	uv_idle_t idle;         /* runs while there are any */
	struct inherit inherit; /* deadlines of those that failed */
	uint64_t reads;         /* of messages, that reached us */
	bool edit_logged;       /* that messages cannot be edited */
	bool loose_logged;      /* that names which are not listed remove or move nothing */
	struct control *control;
	struct views *views;
	struct contents *contents; /* of files of views */
	struct moves *moves;       /* names that messages came in under */
	struct list free_names;    /* see hold.c */
	struct drafts *drafts;
	uv_timer_t keeping; /* while drafts are kept for who wrote them */

	/* What the kernel is told. */
	struct notifier *notifier;
	struct pusher *pusher;
	struct map locked;    /* directory -> number of ops that keep it locked, see op_lock */
	struct map unlinking; /* inodes whose names the kernel itself is taking away */
	struct map opened;    /* see opened.c */
	struct map begun;     /* with -o seen: inodes, and how far they were read */
	struct map shrunk;    /* inodes that the kernel believes to be larger than they are */

	/* The watchdog's. */
	uv_check_t turn_begin;
	uv_prepare_t turn_end;
	uint64_t turn;     /* CPU time when the loop's turn began, milliseconds */
	const char *doing; /* the last operation */

	/* The end. */
	bool stopping;
	unsigned closing; /* handles that libuv has not closed yet */
	fs_callback *on_unmounted;
	fs_callback *on_stopped;
	void *ctx;
};

#endif
