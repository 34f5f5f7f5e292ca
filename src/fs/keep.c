/* SPDX-License-Identifier: MIT */
#include "fs/keep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control.h"
#include "fs/dir.h"
#include "fs/filesystem.h"
#include "fs/fresh.h"
#include "fs/inode.h"
#include "fs/node.h"
#include "fs/op.h"
#include "mail/read/keep.h"

struct keep_verb {
	const char *name;
	void (*run)(struct mailbox *mb, pid_t asker);
	bool fresh; /* the messages must be known before */
};

static const struct keep_verb verbs[] = {
	{"keep.", keep_start, true},
	{"kept.", keep_note_asked, false},
	{"pause.", keep_pause, false},
	{"unkeep.", keep_end, false},
};

static const struct keep_verb *find_verb(const char *name, fuse_ino_t *ino)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		size_t n = strlen(verbs[i].name);
		char *end;
		if (strncmp(name, verbs[i].name, n) != 0 || name[n] < '0' || name[n] > '9')
			continue;
		errno = 0;
		*ino = strtoull(name + n, &end, 10);
		return *end || errno ? NULL : &verbs[i];
	}
	return NULL;
}

static void keep_answer(struct fs_op *op)
{
	fuse_ino_t ino;
	struct buf *text = control_new_text(op->fs, &ino);

	if (keep_print(op->mb, text) < 0) {
		op_reply_errno(op, ENOMEM);
		return;
	}
	control_reply_text(op->fs, op->req, ino);
	op_end(op);
}

static void keep_known(struct fs_op *op, int err)
{
	keep_start(op->mb, fuse_req_ctx(op->req)->pid);
	keep_answer(op);
}

static void refuse(struct fs *fs, fuse_req_t req, const char *reason)
{
	fuse_ino_t ino;
	struct buf *text = control_new_text(fs, &ino);

	if (buf_printf(text, "kept: no\nreason: %s\n", reason) < 0)
		fuse_reply_err(req, ENOMEM);
	else
		control_reply_text(fs, req, ino);
}

bool keep_find(struct fs *fs, fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_ino_t ino;
	const struct keep_verb *verb = find_verb(name, &ino);
	struct cache_counts counts;

	if (!verb)
		return false;
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, ino, &uid);
	cache_counts(fs->account->cache, &counts);
	if (node_operations(fs, ino) != &dir_operations) {
		refuse(fs, req, "view");
		return true;
	}
	if (!mb || !mailbox_selectable(mb)) {
		refuse(fs, req, mb ? "mailbox" : "gone");
		return true;
	}
	if (!counts.on_disk) {
		refuse(fs, req, "memory");
		return true;
	}
	struct fs_op *op = op_create(fs, req, "keep", parent, mb);
	if (verb->fresh) {
		fresh_whole(op, keep_known);
	} else {
		verb->run(mb, fuse_req_ctx(req)->pid);
		keep_answer(op);
	}
	return true;
}
