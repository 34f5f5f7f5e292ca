/* SPDX-License-Identifier: MIT */
/*
 * Expunged messages are marked and swept when they are a quarter of all, so that an expunge does
 * not move the others.
 */
#include "mail/model/mailbox.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "imap/response.h"
#include "mail/model/flags.h"
#include "mail/model/given.h"
#include "mail/model/tree.h"

struct mailbox *mailbox_create(struct tree *t, uint32_t id, struct span name)
{
	struct mailbox *mb = mem_zalloc(sizeof(*mb));

	mb->tree = t;
	mb->account = t->account;
	mb->id = id;
	mb->name = (struct span){mem_copy(name.p, name.n), name.n};
	mb->component = mem_strdup("");
	mb->names.changed = time(NULL);
	list_init(&mb->place.children);
	list_init(&mb->place.sibling);
	list_init(&mb->waiters);
	map_init(&mb->reading.bodies);
	return mb;
}

void mailbox_kill(struct mailbox *mb)
{
	mb->dead = true;
	mb->tree->notices->on_killed(mb);
	given_finish(mb);
	rows_finish(&mb->messages.rows);
}

static void forget_hidden(struct mailbox *mb);

void mailbox_destroy(struct mailbox *mb)
{
	forget_hidden(mb);
	mailbox_kill(mb);
	mb->tree->notices->on_freed(mb);
	flags_forget(mb);
	mailbox_forget_children(mb);
	map_finish(&mb->reading.bodies);
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

bool mailbox_is_dead(const struct mailbox *mb)
{
	return mb->dead;
}

bool mailbox_selectable(const struct mailbox *mb)
{
	return mb->place.listed && !mb->dead &&
	       !(mb->place.list_flags & (IMAP_LIST_NOSELECT | IMAP_LIST_NONEXISTENT));
}

/* --- messages --- */

struct cache_message *mailbox_find(struct mailbox *mb, uint32_t uid)
{
	struct cache_message *m = rows_find(&mb->messages.rows, uid);

	return m && !(m->flags & MESSAGE_GONE) ? m : NULL;
}

struct cache_message *mailbox_shown(struct mailbox *mb, uint32_t uid)
{
	return mailbox_hidden(mb, uid) ? NULL : mailbox_find(mb, uid);
}

void mailbox_hide(struct mailbox *mb, uint32_t uid, void *why)
{
	if (!mb->removal.hidden) {
		mb->removal.hidden = mem_zalloc(sizeof(*mb->removal.hidden));
		map_init(mb->removal.hidden);
	}
	map_put(mb->removal.hidden, uid, why);
}

static void forget_hidden(struct mailbox *mb)
{
	if (mb->removal.hidden)
		map_finish(mb->removal.hidden);
	free(mb->removal.hidden);
	mb->removal.hidden = NULL;
}

void mailbox_unhide(struct mailbox *mb, uint32_t uid)
{
	if (!mb->removal.hidden)
		return;
	map_remove(mb->removal.hidden, uid);
	if (mb->removal.hidden->count == 0)
		forget_hidden(mb);
}

void *mailbox_hidden(const struct mailbox *mb, uint32_t uid)
{
	return mb->removal.hidden ? map_get(mb->removal.hidden, uid) : NULL;
}

bool mailbox_was(struct mailbox *mb, uint32_t uid)
{
	const struct cache_message *m = rows_find(&mb->messages.rows, uid);

	return m && !(m->flags & MESSAGE_RETURNS);
}

struct cache_message *mailbox_after(struct mailbox *mb, uint32_t uid)
{
	return rows_after(&mb->messages.rows, uid);
}

struct cache_message *mailbox_before(struct mailbox *mb, uint32_t uid)
{
	return rows_before(&mb->messages.rows, uid);
}

uint32_t mailbox_last(struct mailbox *mb)
{
	const struct rows *all = &mb->messages.rows;

	rows_sort(&mb->messages.rows);
	for (size_t i = all->count; i-- > 0;)
		if (!(all->at[i].flags & MESSAGE_GONE))
			return all->at[i].uid;
	return 0;
}

bool mailbox_add(struct mailbox *mb, const struct cache_message *m)
{
	struct cache_message *old = rows_find(&mb->messages.rows, m->uid);

	mb->messages.held = true;
	if (!old || (old->flags & MESSAGE_RETURNS)) {
		rows_put(&mb->messages.rows, m);
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

bool mailbox_is_assumed(const struct mailbox *mb, uint32_t uid)
{
	return mb->messages.assumed != 0 && uid >= mb->messages.assumed;
}

bool mailbox_is_other(struct mailbox *mb, uint32_t uid, const struct cache_message *is)
{
	const struct cache_message *m = mailbox_find(mb, uid);

	if (!m)
		return false;
	if (mailbox_is_assumed(mb, uid) && (m->flags & CACHE_SIZE_PROVED))
		return !(is->flags & CACHE_SIZE_UNKNOWN) && is->size != m->size;
	return message_is_other(is, m);
}

bool mailbox_was_removed(const struct mailbox *mb, uint32_t uid)
{
	const struct cache_message *m = rows_find(&mb->messages.rows, uid);

	return m && (m->flags & (MESSAGE_GONE | MESSAGE_RETURNS)) == MESSAGE_GONE;
}

void mailbox_revive(struct mailbox *mb, uint32_t uid)
{
	struct cache_message *m = rows_find(&mb->messages.rows, uid);

	if (m && (m->flags & MESSAGE_GONE))
		m->flags |= MESSAGE_RETURNS;
}

bool mailbox_remove(struct mailbox *mb, uint32_t uid)
{
	struct cache_message *m = mailbox_find(mb, uid);

	if (!m)
		return false;
	rows_mark_gone(&mb->messages.rows, m);
	/* The marks in the tail keep a late row from coming back; sweeping forgets them. */
	if (mb->messages.rows.gone > 1024 && mb->messages.rows.gone > mb->messages.rows.count / 4)
		rows_sweep(&mb->messages.rows);
	cache_drop_messages(mb->tree->cache, mb->id, &uid, 1);
	given_drop(mb, uid);
	mb->tree->notices->on_removed(mb, uid);
	return true;
}

size_t mailbox_count(const struct mailbox *mb)
{
	return mb->messages.rows.count - mb->messages.rows.gone;
}

uint32_t mailbox_listable(const struct mailbox *mb)
{
	return mb->messages.complete ? UINT32_MAX : mb->messages.settled;
}

void mailbox_touch(struct mailbox *mb)
{
	mb->names.changed = time(NULL);
	mb->names.version++;
	mb->names.unsaved = true;
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
		.has_delimiter = mb->place.has_delimiter,
		.delimiter = mb->place.delimiter,
		.list_flags = mb->place.list_flags,
		.uidvalidity = mb->uidvalidity,
		.uidnext = mb->messages.uidnext,
		.highestmodseq = mb->messages.highestmodseq,
		.exists = (uint32_t)mailbox_count(mb),
		.complete = mb->messages.complete && mb->uidvalidity != 0,
		.listed = mb->place.listed,
		.changed = mb->names.changed,
	};

	mb->names.unsaved = false;
	if (mb->id != 0 && !mb->dead)
		cache_put_mailbox(mb->tree->cache, &row);
}

/* --- tree --- */

const char *mailbox_path(const struct mailbox *mb)
{
	static char out[1024];
	size_t at = sizeof(out) - 1;

	for (; mb && mb->component[0]; mb = mb->place.parent) {
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
