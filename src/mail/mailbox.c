/*
 * Expunged messages are marked and swept when they are a quarter of all, so that an expunge does
 * not move the others.
 */
#include "mail/mailbox.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "imap/response.h"
#include "mail/account.h"
#include "mail/ahead.h"
#include "mail/body.h"
#include "mail/expunge.h"
#include "mail/prove.h"
#include "mail/sync.h"

struct mailbox *mailbox_create(struct account *a, uint32_t id, struct span name)
{
	struct mailbox *mb = mem_zalloc(sizeof(*mb));

	mb->account = a;
	mb->id = id;
	mb->name = (struct span){mem_copy(name.p, name.n), name.n};
	mb->component = mem_strdup("");
	mb->changed = time(NULL);
	list_init(&mb->children);
	list_init(&mb->sibling);
	list_init(&mb->waiters);
	map_init(&mb->bodies);
	return mb;
}

static void forget_messages(struct mailbox *mb)
{
	rows_finish(&mb->rows);
}

void mailbox_kill(struct mailbox *mb)
{
	mb->dead = true;
	ahead_forget(mb);
	body_forget_mailbox(mb);
	forget_messages(mb);
}

void mailbox_destroy(struct mailbox *mb)
{
	mailbox_kill(mb);
	expunge_forget(mb);
	sync_forget(mb);
	prove_forget(mb);
	mailbox_forget_children(mb);
	map_finish(&mb->bodies);
	free((char *)mb->name.p);
	free(mb->component);
	free(mb);
}

struct mailbox *mailbox_hold(struct mailbox *mb)
{
	if (mb)
		mb->holds++;
	return mb;
}

void mailbox_release(struct mailbox *mb)
{
	if (!mb)
		return;
	assert(mb->holds > 0);
	mb->holds--;
}

bool mailbox_selectable(const struct mailbox *mb)
{
	return mb->listed && !mb->dead &&
	       !(mb->list_flags & (IMAP_LIST_NOSELECT | IMAP_LIST_NONEXISTENT));
}

/* --- messages --- */

struct cache_message *mailbox_find(struct mailbox *mb, uint32_t uid)
{
	struct cache_message *m = rows_find(&mb->rows, uid);

	return m && !(m->flags & MESSAGE_GONE) ? m : NULL;
}

bool mailbox_was(struct mailbox *mb, uint32_t uid)
{
	const struct cache_message *m = rows_find(&mb->rows, uid);

	return m && !(m->flags & MESSAGE_RETURNS);
}

struct cache_message *mailbox_after(struct mailbox *mb, uint32_t uid)
{
	return rows_after(&mb->rows, uid);
}

bool mailbox_add(struct mailbox *mb, const struct cache_message *m)
{
	struct cache_message *old = rows_find(&mb->rows, m->uid);

	mb->held = true;
	if (!old || (old->flags & MESSAGE_RETURNS)) {
		rows_put(&mb->rows, m);
		return true;
	}
	/* A UID is never used again (RFC 3501 section 2.3.1.1): a row that comes after its expunge
	 * is late. */
	if (old->flags & MESSAGE_GONE)
		return false;
	uint64_t proved = old->size;
	bool keep = old->flags & CACHE_SIZE_PROVED;
	*old = *m;
	if (keep) {
		old->size = proved;
		old->flags = (old->flags & ~(uint32_t)CACHE_SIZE_UNKNOWN) | CACHE_SIZE_PROVED;
	}
	return false;
}

bool mailbox_was_removed(const struct mailbox *mb, uint32_t uid)
{
	const struct cache_message *m = rows_find(&mb->rows, uid);

	return m && (m->flags & (MESSAGE_GONE | MESSAGE_RETURNS)) == MESSAGE_GONE;
}

void mailbox_unmark(struct mailbox *mb, uint32_t uid)
{
	struct cache_message *m = rows_find(&mb->rows, uid);

	if (m && (m->flags & MESSAGE_GONE))
		m->flags |= MESSAGE_RETURNS;
}

bool mailbox_remove(struct mailbox *mb, uint32_t uid)
{
	struct cache_message *m = mailbox_find(mb, uid);

	if (!m)
		return false;
	rows_mark_gone(&mb->rows, m);
	sync_note_gone(mb, uid);
	/* The marks in the tail keep a late row from coming back; sweeping forgets them. */
	if (mb->rows.gone > 1024 && mb->rows.gone > mb->rows.count / 4)
		rows_sweep(&mb->rows);
	cache_drop_messages(mb->account->cache, mb->id, &uid, 1);
	body_forget(mb, uid);
	return true;
}

size_t mailbox_count(const struct mailbox *mb)
{
	return mb->rows.count - mb->rows.gone;
}

uint32_t mailbox_listable(const struct mailbox *mb)
{
	return mb->complete ? UINT32_MAX : mb->settled;
}

void mailbox_touch(struct mailbox *mb)
{
	mb->changed = time(NULL);
	mb->version++;
	mb->unsaved = true;
}

/* --- waiting --- */

void mailbox_wait(struct mailbox *mb, struct mailbox_wait *w)
{
	list_append(&mb->waiters, &w->link);
}

void mailbox_unwait(struct mailbox_wait *w)
{
	list_remove(&w->link);
}

/* on_wake may wait again, or end other waits: the woken stay in a list of their own that
 * list_remove works on. */
void mailbox_wake(struct mailbox *mb, bool progress_only, int err)
{
	struct list woken = LIST_INIT(woken);

	LIST_FOREACH_SAFE (pos, &mb->waiters) {
		struct mailbox_wait *w = list_entry(pos, struct mailbox_wait, link);
		if (!progress_only || w->progress) {
			list_remove(&w->link);
			list_append(&woken, &w->link);
		}
	}
	while (!list_empty(&woken)) {
		struct mailbox_wait *w = list_entry(woken.next, struct mailbox_wait, link);
		list_remove(&w->link);
		w->on_wake(w, err);
	}
}

/* --- cache --- */

void mailbox_save(struct mailbox *mb)
{
	struct cache_mailbox row = {
		.id = mb->id,
		.name = mb->name,
		.has_delimiter = mb->has_delimiter,
		.delimiter = mb->delimiter,
		.list_flags = mb->list_flags,
		.uidvalidity = mb->uidvalidity,
		.uidnext = mb->uidnext,
		.highestmodseq = mb->highestmodseq,
		.exists = (uint32_t)mailbox_count(mb),
		.complete = mb->complete && mb->uidvalidity != 0,
		.listed = mb->listed,
		.changed = mb->changed,
	};

	mb->unsaved = false;
	if (mb->id != 0 && !mb->dead)
		cache_put_mailbox(mb->account->cache, &row);
}

/* --- tree --- */

const char *mailbox_path(const struct mailbox *mb)
{
	static char out[1024];
	size_t at = sizeof(out) - 1;

	for (; mb && mb->component[0]; mb = mb->parent) {
		size_t n = strlen(mb->component), slash = out[at] != 0;
		if (n + slash > at)
			break;
		if (slash)
			out[--at] = '/';
		at -= n;
		memcpy(out + at, mb->component, n);
	}
	return out + at;
}
