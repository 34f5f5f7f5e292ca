/* SPDX-License-Identifier: MIT */
/*
 * What an index says of one message, as columns or as JSON. Pure. It is in two pieces: the head, with
 * what may change (flags), and the tail, which never does and costs more to make. All text is UTF-8
 * without control characters, whatever the message holds.
 */
#ifndef FS_VIEW_ROW_H
#define FS_VIEW_ROW_H

#include <stdint.h>

#include "base/buf.h"
#include "mime/structure.h"
#include "mime/summary.h"

/* Octets of a row at most. */
#define ROW_MAX (1u << 20)

struct row_head {
	uint32_t uid;
	bool has_date, has_size;
	int64_t date; /* INTERNALDATE, seconds since 1970 */
	uint64_t size;
	unsigned system; /* enum imap_flag */
	struct span keywords;
};

/* Each appends, and returns 0 or buf's errors; also those of mime_words_decode and mime_names_init. */

/* "UID DATE SRFDTP SIZE " with tabs: flags are seen, replied, flagged, draft, trashed (\Deleted), passed
 * ($Forwarded); "-" is what is not, or not known. */
int row_columns_head(const struct row_head *head, struct buf *out);
/* "FROM SUBJECT MESSAGE-ID" with tabs, and a line end; NULL: "-" for each, the header cannot be had. */
int row_columns_tail(const struct mime_summary *summary, struct buf *out);

/* One object on a line of its own. What is NULL cannot be had: what would stand there is null, and "error"
 * says so. */
int row_json_head(const struct row_head *head, struct buf *out);
int row_json_tail(const struct mime_summary *summary, const struct mime_structure *structure,
	struct buf *out);

#endif
