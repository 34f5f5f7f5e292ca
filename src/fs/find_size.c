/* SPDX-License-Identifier: MIT */
/*
 * Sizes that cannot be shown yet: the request waits while they are proved, or, where only that
 * tells or the message is on its way, while it is read to its end. When that fails too, what the server said is shown
 * for a moment: listings do not fail for one message, and stat does not wait for a server that is
 * not there. What cannot be read can be looked at all the same, and removed: see
 * entry_stat_message.
 */
#include "fs/find_size.h"

#include "base/error.h"
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "mail/size/sizes.h"

static void find_size_end(struct fs_op *op, int err)
{
	const struct cache_message *m = mailbox_find(op->mb, op->uid);

	op_note_wait(op, err);
	if (op->mb->dead)
		err = ERR_STALE;
	else if (!m)
		err = ERR_GONE;
	else if (err < 0 && (sizes_said(m) || err == ERR_UNREADABLE || err == ERR_REFUSED ||
				    err == ERR_DAYLIMIT))
		err = 0;
	op->sized(op, err);
}

/* --- by reading one octet of each chunk, until the end has been seen --- */

static struct body_read octet_at(const struct fs_op *op, uint64_t offset)
{
	return (struct body_read){.mb = op->mb, .uid = op->uid, .offset = offset, .size = 1};
}

static void read_on(struct fs_op *op);

static void find_size_on_read(struct fs_op *op, int err)
{
	if (err < 0) {
		struct cache_message *m = mailbox_find(op->mb, op->uid);
		if (m && err == ERR_UNREADABLE)
			m->flags |= MESSAGE_UNPROVABLE;
		find_size_end(op, err);
		return;
	}
	if (op->parts->total > 0)
		op->offset += CACHE_CHUNK;
	read_on(op);
}

static void read_on(struct fs_op *op)
{
	struct body_read read = octet_at(op, op->offset);
	struct body_parts parts;
	int err;

	while ((err = body_read_try(&read, &parts)) == 0) {
		const struct cache_message *m = mailbox_find(op->mb, op->uid);
		if (!m || m->flags & CACHE_SIZE_PROVED || sizes_can_show(op->mb, m)) {
			find_size_end(op, 0);
			return;
		}
		if (parts.total == 0) {
			find_size_end(op, ERR_UNREADABLE);
			return;
		}
		read.offset = op->offset += CACHE_CHUNK;
	}
	if (err == ERR_NOT_CACHED)
		op_wait_read(op, &read, find_size_on_read);
	else
		find_size_end(op, err);
}

/* --- by a proof --- */

static void find_size_on_proof(struct fs_op *op, int err)
{
	if (err == ERR_UNREADABLE)
		read_on(op);
	else
		find_size_end(op, err);
}

/* The end may be in the cache. */
static void look_in_cache(const struct fs_op *op, const struct cache_message *m)
{
	struct body_read read = octet_at(op, m->size / CACHE_CHUNK * CACHE_CHUNK);
	struct body_parts parts;

	body_read_try(&read, &parts);
}

void find_size_start(struct fs_op *op, op_resume *sized)
{
	const struct cache_message *m = mailbox_find(op->mb, op->uid);

	op->sized = sized;
	op->expire = find_size_end;
	op->offset = 0;
	if (!sizes_said(m) || body_is_coming(op->mb, op->uid)) {
		read_on(op);
	} else if (pool_is_unsure(op->mb->account->pool)) {
		look_in_cache(op, m);
		find_size_end(op, 0);
	} else if (m->flags & MESSAGE_UNPROVABLE) {
		find_size_end(op, 0);
	} else {
		op_wait_proof(op, find_size_on_proof);
	}
}
