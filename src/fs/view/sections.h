/* SPDX-License-Identifier: MIT */
/* Reads a section of the op's message from its beginning to its end, piece by piece. */
#ifndef FS_VIEW_SECTIONS_H
#define FS_VIEW_SECTIONS_H

#include "fs/op.h"

struct sections;

/* Octets of the section, in their order. An error ends the op with it. */
typedef int sections_take(struct fs_op *op, struct span octets);

/* In what op->making points at, at its beginning. */
struct sections {
	const struct mime_structure *structure; /* of the message; NULL: the caller has none */
	uint32_t part;                          /* or MIME_NO_PART */
	enum section_what what;
	uint64_t from, offset; /* where it began; what is before this was taken */
	uint64_t limit;        /* nothing behind this is; 0: all */
	sections_take *take;
	op_resume *done; /* at the end; perhaps at once */
};

/* Reads that of op->uid; others get their turn in between. An error ends the op. */
void sections_read(struct fs_op *op, uint32_t part, enum section_what what, uint64_t limit,
	sections_take *take, op_resume *done);
/* The same for what stands at `from` and before `to`; 0: up to the end. */
void sections_start(struct fs_op *op, uint32_t part, uint64_t from, uint64_t to,
	sections_take *take, op_resume *done);
/* The op cannot have what it wants of the message: it fails, and the log says of which one. */
void sections_fail(struct fs_op *op, int err);

#endif
