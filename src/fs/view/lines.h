/* SPDX-License-Identifier: MIT */
/*
 * A file with a line for each message of a mailbox, in the order of UIDs, as it is now. What does not
 * change of a line is made once; when something changed the file is put together anew of that,
 * some lines at a time.
 */
#ifndef FS_VIEW_LINES_H
#define FS_VIEW_LINES_H

#include "base/buf.h"
#include "fs/view/row.h"
#include "mail/model/mailbox.h"

/* Octets of a file at most. */
#define LINES_MAX ((size_t)2 << 30)

struct line {
	uint32_t uid;
	bool lacking;     /* something of it could not be had: it is tried again */
	size_t tail, end; /* offsets in the text */
};

struct lines {
	struct buf text;
	struct line *at;
	size_t count, cap;
	bool made;
};

struct lines_format {
	int (*head)(const struct row_head *head, struct buf *out);
	/* 0; 1: something of the message cannot be had, and the tail says so; or an error. */
	int (*tail)(struct mailbox *mb, uint32_t uid, struct buf *out);
};

void lines_init(struct lines *l);
void lines_finish(struct lines *l);

/* A file that is being made; zeroed when it is not. */
struct lines_making {
	struct lines lines;
	bool begun;
	uint32_t uid; /* of the last message that has its line */
	size_t at;    /* among the lines that there were */
};

void lines_making_finish(struct lines_making *making);

/* Goes on with making the file; all that is shown of the messages is known. 1: it is made, and *same
 * whether it is as it was; 0: there is more to do, after the loop's next turn; or the error of the first
 * message whose line cannot be made: then it is as it was. A message of which the server does not say what
 * is shown has a line that says so. */
int lines_make(struct lines *l, struct lines_making *making, struct mailbox *mb,
	const struct lines_format *format, bool *same);

#endif
