/* SPDX-License-Identifier: MIT */
/* What the files of the view of parts know of each other. */
#ifndef FS_VIEW_PARTS_H
#define FS_VIEW_PARTS_H

#include "fs/view/sections.h"
#include "mime/names.h"
#include "mime/readable.h"

/* What a message is made of. With thousands of parts it takes milliseconds to be made of what is kept, and
 * each of them is asked for by its name: so that of the message that was looked at last is kept. */
struct parts_shape {
	unsigned refs;
	uint32_t uid;
	struct mime_structure structure;
	struct mime_names names;
};

/* NULL: nothing. */
void parts_shape_release(struct parts_shape *shape);

/* What an op of the view has of its message: op->making. */
struct parts_work {
	struct sections sections;
	struct parts_shape *shape; /* NULL: it is not known yet */
	struct mime_transfer transfer;
	struct buf out;
	/* Of a read: the octets before it in what is being decoded, and how many are wanted. */
	uint64_t skip;
	size_t want;
	bool reads;               /* octets are wanted, not attributes */
	struct part_index *index; /* that is being made; owned */
};

/* The levels of its nodes: 0 is the mailbox's directory and those of messages (number 0, UIDs); each part
 * has one as a file and one as the directory of an attached message. */
#define PARTS_LEVEL(part, is_directory) (1 + 2 * (part) + ((is_directory) ? 1 : 0))
#define PARTS_PART(level) (((level)-1) / 2)
#define PARTS_IS_DIRECTORY(level) ((level) == 0 || (level) % 2 == 0)

/* Attributes and octets of a part's file; the structure is there. */
void part_attributes(struct fs_op *op);
void part_read(struct fs_op *op);
void part_index_free(struct part_index *index);
/* Where that of the mailbox's message is that was looked at last; with a reference, or NULL. */
struct parts_shape **part_last_shape(struct fs_op *op);
/* The message of that mailbox's node of level 0 is gone. */
void part_forget_shape(struct view_node *node, uint32_t uid);
/* Frees what is known of the files of a node, which is one of level 0. */
void part_forget(struct view_node *node);

#endif
