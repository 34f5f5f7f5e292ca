/*
 * Sizes that cannot be shown yet: the request waits while they are proved, or, where only that
 * tells, while the message is read to its end. When that fails too, what the server said is shown
 * for a moment: listings do not fail for one message, and stat does not wait for a server that is
 * not there. What cannot be read can be looked at all the same, and removed: see
 * entry_stat_message.
 */
#include "base/error.h"
#include "fs/private.h"
#include "mail/sizes.h"

/* Seconds. */
#define PROVISIONAL_TIMEOUT 1.0

double size_timeout(const struct mailbox *mb, const struct cache_message *m)
{
	return size_can_be_shown(mb, m) ? ATTR_TIMEOUT : PROVISIONAL_TIMEOUT;
}

static void finish(struct fs_op *op, int err)
{
	struct mailbox *mb = op->read.mb;
	struct cache_message *m = mailbox_find(mb, op->read.uid);

	op_note_wait(op, err);
	if (mb->dead)
		err = ERR_STALE;
	else if (!m)
		err = ERR_GONE;
	else if (err < 0 && (size_is_said(m) || err == ERR_UNREADABLE || err == ERR_REFUSED))
		err = 0;
	op->resume(op, err);
}

static void expire(struct fs_op *op)
{
	finish(op, ERR_TIMEOUT);
}

/* --- by reading --- */

static void read_step(struct fs_op *op);

static void on_read(struct body_read *r, int err, const struct body_parts *parts)
{
	struct fs_op *op = list_entry(r, struct fs_op, read);

	op->abandon = NULL;
	if (err < 0) {
		struct cache_message *m = mailbox_find(r->mb, r->uid);
		if (m && err == ERR_UNREADABLE)
			m->flags |= MESSAGE_UNPROVABLE;
		finish(op, err);
		return;
	}
	if (parts->total > 0)
		op->read.offset += CACHE_CHUNK;
	read_step(op);
}

static void abandon_read(struct fs_op *op)
{
	body_read_cancel(&op->read);
}

/* Reads one octet of each chunk until the end has been seen. */
static void read_step(struct fs_op *op)
{
	struct body_parts parts;
	int err;

	while ((err = body_read_try(&op->read, &parts)) == 0) {
		const struct cache_message *m = mailbox_find(op->read.mb, op->read.uid);
		if (!m || m->flags & CACHE_SIZE_PROVED || size_can_be_shown(op->read.mb, m)) {
			finish(op, 0);
			return;
		}
		if (parts.total == 0) {
			finish(op, ERR_UNREADABLE);
			return;
		}
		op->read.offset += CACHE_CHUNK;
	}
	if (err != ERR_NOT_CACHED) {
		finish(op, err);
		return;
	}
	op->abandon = abandon_read;
	body_read_start(&op->read);
}

static void start_reading(struct fs_op *op)
{
	op->read.size = 1;
	op->read.on_done = on_read;
	list_init(&op->read.link);
	read_step(op);
}

/* --- by a proof --- */

static void on_proved(struct proof *p, int err)
{
	struct fs_op *op = list_entry(p, struct fs_op, proof);

	op->abandon = NULL;
	if (err == ERR_UNREADABLE)
		start_reading(op);
	else
		finish(op, err);
}

static void abandon_proof(struct fs_op *op)
{
	prove_cancel(&op->proof);
}

/* The end may be in the cache. */
static void look_in_cache(struct fs_op *op, const struct cache_message *m)
{
	struct body_parts parts;

	op->read.size = 1;
	op->read.offset = m->size / CACHE_CHUNK * CACHE_CHUNK;
	body_read_try(&op->read, &parts);
}

void op_find_size(struct fs_op *op, struct mailbox *mb, uint32_t uid,
	void (*resume)(struct fs_op *op, int err))
{
	const struct cache_message *m = mailbox_find(mb, uid);

	op->resume = resume;
	op->expire = expire;
	op->read = (struct body_read){.mb = mb, .uid = uid};
	if (!size_is_said(m)) {
		start_reading(op);
	} else if (pool_is_unsure(mb->account->pool)) {
		look_in_cache(op, m);
		finish(op, 0);
	} else if (m->flags & MESSAGE_UNPROVABLE) {
		finish(op, 0);
	} else {
		op->proof = (struct proof){.mb = mb, .uid = uid, .on_done = on_proved};
		op->abandon = abandon_proof;
		prove_start(&op->proof);
	}
}
