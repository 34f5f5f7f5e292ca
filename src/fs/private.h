/* The insides of the filesystem, for the files of fs/. */
#ifndef FS_PRIVATE_H
#define FS_PRIVATE_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <limits.h>

#include "fs/fs.h"
#include "fs/mounted.h"
#include "mail/body.h"
#include "mail/expunge.h"
#include "mail/prove.h"

/* Messages never change and are announced when they go; directories are announced too. Seconds. */
#define ATTR_TIMEOUT 86400.0
/* The same for the name of a mailbox where watch_use_names is to hear of its use. */
#define NAME_TIMEOUT 1.0

struct control;
struct notifier;
struct pusher;

struct fs {
	uv_loop_t *loop;
	struct fs_options options;
	struct account *account;
	struct fuse_session *session;
	struct mounted ours; /* what it has mounted */
	struct fuse_buf buffer;
	uv_poll_t poll;
	uv_check_t turn_begin; /* the watchdog's */
	uv_prepare_t turn_end;
	uint64_t turn;     /* CPU time when the loop's turn began, milliseconds */
	const char *doing; /* the last operation */
	uv_timer_t timer;  /* deadlines and interrupts of ops */
	struct list ops;   /* struct fs_op that wait */
	struct map late;   /* inode -> struct late: see op.c */
	struct list lates; /* the same, by the time when they failed */
	struct notifier *notifier;
	struct pusher *pusher;
	struct control *control;
	struct map unlinking; /* inodes whose names the kernel itself is removing */
	struct map shrunk;    /* inodes that the kernel believes to be larger than they are */
	uint64_t reads;       /* of messages, that reached us */
	int64_t mounted;      /* seconds since 1970 */
	bool polling, stopping;
	void (*on_unmounted)(void *ctx);
	void (*on_stopped)(void *ctx);
	void *ctx;
	unsigned closing; /* handles */
};

/* --- mount.c --- */

/* A session that is mounted, or NULL and why in error. */
struct fuse_session *mount_session(struct fs *fs, char *error, size_t size);
/* Ends the connection, and takes the mount away if it is what is at the mountpoint. */
void mount_end(struct fs *fs);

/* --- inode.c --- */

/* inode = mailbox id << 32 | UID; UID 0 is the directory; the mounted directory itself is
 * FUSE_ROOT_ID. */
fuse_ino_t inode_of_directory(const struct fs *fs, const struct mailbox *mb);
fuse_ino_t inode_of_message(const struct mailbox *mb, uint32_t uid);
/* The mailbox of an inode and, for a message, its UID (else 0). NULL when there never was or is no
 * more such a mailbox. */
struct mailbox *inode_resolve(const struct fs *fs, fuse_ino_t ino, uint32_t *uid);

/* --- entry.c --- */

void entry_stat_directory(const struct fs *fs, const struct mailbox *mb, struct stat *st);
void entry_stat_message(const struct fs *fs, const struct mailbox *mb,
	const struct cache_message *m, struct stat *st);
/* The message's name in its directory; see DESIGN's rule of collisions. Returns its length. */
size_t entry_name(const struct fs *fs, struct mailbox *mb, uint32_t uid, char out[NAME_MAX + 1]);
/* The UID that a name in the directory stands for. */
bool entry_parse_name(const struct fs *fs, struct mailbox *mb, const char *name, uint32_t *uid);

/* For notifier_wait. */
struct notice_wait {
	struct list link;
	fuse_ino_t ino;
	void (*on_told)(struct notice_wait *w);
};

/* --- op.c --- */

/* A request that waits for the network. */
struct fs_op {
	struct list link; /* fs.ops */
	struct fs *fs;
	fuse_req_t req;
	const char *name; /* for logs */
	fuse_ino_t ino;
	uint64_t started;        /* uv_hrtime */
	uint64_t created;        /* uv_now */
	uint64_t deadline;       /* uv_now */
	bool vain;               /* what it waited for last did not come, for the line's sake */
	bool inherited;          /* the deadline, see op_inherit */
	uint64_t interrupted_at; /* uv_now; 0: not */
	/* One of these waits. */
	struct mailbox_wait mailbox_wait;
	struct account_wait account_wait;
	struct body_read read;
	struct removal removal;
	struct proof proof;
	struct notice_wait notice_wait;
	/* What the request asked. */
	struct mailbox *mb; /* held */
	uint32_t uid;
	char *filename; /* owned */
	char *octets;   /* owned: the answer, when it is known before it may be given */
	int error;      /* or the errno */
	size_t size;
	off_t offset;
	bool plus;
	struct fuse_file_info fi;
	unsigned step; /* of the operation's own */
	/* The wait is over. */
	void (*resume)(struct fs_op *op, int err);
	/* Ends whatever waits, without a call of resume. */
	void (*abandon)(struct fs_op *op);
	/* Optional: the deadline has come, and all that waited was ended. Answers; else it is
	 * ETIMEDOUT. */
	void (*expire)(struct fs_op *op);
	fuse_ino_t locked; /* the directory that the kernel keeps locked meanwhile, or 0 */
};

/* Milliseconds between looks at the deadlines of requests that wait. */
#define OP_TICK 250

/* mb: that it is about; held until the op ends. */
struct fs_op *op_create(
	struct fs *fs, fuse_req_t req, const char *name, fuse_ino_t ino, struct mailbox *mb);
/* Each answers the request and frees the op. */
void op_fail(struct fs_op *op, int err);
void op_fail_errno(struct fs_op *op, int error);
/* The request was answered otherwise: logs, frees. */
void op_end(struct fs_op *op);
void op_wait_mailbox(struct fs_op *op, struct mailbox *mb, bool progress,
	void (*resume)(struct fs_op *op, int err));
/*
 * The kernel lets one request at a time into a directory that it has locked, and reads a page that
 * failed once more for each who waits for it. Whoever comes right behind one that failed after it
 * had waited (by its deadline, or because its caller was killed) has waited as long already: it has
 * that one's deadline, and a moment. op_create sees to that for its inode.
 */
void op_inherit(struct fs_op *op, fuse_ino_t ino);
/* The deadline that it inherited is over: it must not begin to wait. */
bool op_is_over(const struct fs_op *op);
/* How a wait has ended that op.c did not see. */
void op_note_wait(struct fs_op *op, int err);
/* True: no need to wait. */
bool op_wait_account(struct fs_op *op, void (*resume)(struct fs_op *op, int err));
void op_tick(struct fs *fs);
/* Nothing is inherited any more. */
void op_forget_late(struct fs *fs);
/* Ends all with err. */
void op_fail_all(struct fs *fs, int err);
void op_log(const char *name, fuse_ino_t ino, uint64_t started, int error);

/* --- the operations --- */

void dir_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void dir_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void dir_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void dir_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void file_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void file_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void file_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void file_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void file_statfs(fuse_req_t req, fuse_ino_t ino);

extern const struct fuse_lowlevel_ops fs_operations;

/* --- size.c --- */

/* Finds the octet count of a message whose size cannot be shown (size_can_be_shown), then calls
 * resume, perhaps at once: 0, and the message has the best size that is to be had, or an error. */
void op_find_size(struct fs_op *op, struct mailbox *mb, uint32_t uid,
	void (*resume)(struct fs_op *op, int err));
/* How long the kernel may believe the message's size, seconds. */
double size_timeout(const struct mailbox *mb, const struct cache_message *m);

/* --- control.c --- */

struct control *control_create(void);
void control_destroy(struct control *c);
/* Whether the inode is one of the hidden directory's. */
bool control_owns(fuse_ino_t ino);
/* True: answered. */
bool control_lookup(struct fs *fs, fuse_req_t req, fuse_ino_t parent, const char *name);
void control_getattr(struct fs *fs, fuse_req_t req, fuse_ino_t ino);
void control_read(struct fs *fs, fuse_req_t req, fuse_ino_t ino, size_t size, off_t off);
void control_readdir(struct fs *fs, fuse_req_t req, size_t size, off_t off, bool plus);

/* --- notify.c --- */

struct notifier *notifier_create(struct fs *fs);
void notifier_destroy(struct notifier *n);
void notify_directory(struct notifier *n, fuse_ino_t ino);
void notify_attributes(struct notifier *n, fuse_ino_t ino);
void notify_name_gone(
	struct notifier *n, fuse_ino_t parent, fuse_ino_t child, const char *name, size_t length);
/* True when the kernel has not yet been told of something about this inode. */
bool notifier_has(const struct notifier *n, fuse_ino_t ino);
/* Calls on_told once, from the loop, when nothing of this inode is to be told any more; now there
 * is something (notifier_has). */
void notifier_wait(struct notifier *n, struct notice_wait *w);
/* No call any more. */
void notifier_unwait(struct notice_wait *w);
/* Forgets what is queued; on_idle(fs) is called from the loop when nothing runs any
 * more. */
void notifier_drain(struct notifier *n, void (*on_idle)(struct fs *fs));

/* --- push.c --- */

struct pusher *pusher_create(struct fs *fs);
void pusher_destroy(struct pusher *p);
/* Puts octets into the kernel's page cache, some time or never. They are the file's, and end where
 * it ends or a page does. data (malloc'ed) becomes the pusher's. */
void push_octets(struct pusher *p, fuse_ino_t ino, uint64_t offset, char *data, size_t n);
/* How many were made. */
uint64_t pusher_stored(const struct pusher *p);
/* The reader is there already. */
void push_overtaken(struct pusher *p, fuse_ino_t ino);
/* Forgets what is queued; on_idle(fs) is called when nothing runs any more, perhaps at once. */
void pusher_drain(struct pusher *p, void (*on_idle)(struct fs *fs));

#endif
