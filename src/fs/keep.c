/* SPDX-License-Identifier: MIT */
#include "fs/keep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control.h"
#include "fs/filesystem.h"
#include "fs/fresh.h"
#include "fs/op.h"
#include "mail/read/keep.h"

struct keep_verb {
	const char *name;
	void (*run)(struct mailbox *mb);
	bool fresh; /* the messages must be known before */
};

static const struct keep_verb verbs[] = {
	{"keep.", keep_start, true},
	{"kept.", keep_note_asked, false},
	{"pause.", keep_pause, false},
	{"unkeep.", keep_end, false},
};

static const struct keep_verb *find_verb(const char *name, uint32_t *id)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		size_t n = strlen(verbs[i].name);
		char *end;
		if (strncmp(name, verbs[i].name, n) != 0 || name[n] < '0' || name[n] > '9')
			continue;
		unsigned long number = strtoul(name + n, &end, 10);
		*id = (uint32_t)number;
		return *end || number > UINT32_MAX ? NULL : &verbs[i];
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
	keep_start(op->mb);
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
	uint32_t id;
	const struct keep_verb *verb = find_verb(name, &id);
	struct cache_counts counts;

	if (!verb)
		return false;
	struct mailbox *mb = id ? tree_mailbox(&fs->account->tree, id) : fs->account->tree.top;
	cache_counts(fs->account->cache, &counts);
	if (!mb || mb->dead || !mailbox_selectable(mb)) {
		refuse(fs, req, "mailbox");
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
		verb->run(mb);
		keep_answer(op);
	}
	return true;
}
