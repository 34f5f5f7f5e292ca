/* SPDX-License-Identifier: MIT */
#include "fs/moves.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fs/filesystem.h"
#include "fs/inode.h"
#include "fs/notify.h"
#include "fs/title.h"
#include "mail/model/given.h"

/* Names that are remembered; beyond that the oldest are forgotten. */
#define MOVES_MAX 20000

/* A name under which a message came to a directory. */
struct move {
	struct list link;          /* moves.all, the oldest first */
	struct mailbox *from, *to; /* held */
	uint32_t uid, new_uid;
	struct cache_message is; /* size and date of the message */
	bool done;               /* it is there, under new_uid */
	bool listed;             /* the directory, since then, with another message of this name */
	char name[];
};

struct moves {
	struct list all;
	size_t count;
	struct map by_name;   /* see key_of */
	struct map by_source; /* inodes that messages had before */
};

struct moves *moves_create(void)
{
	struct moves *m = mem_zalloc(sizeof(*m));

	list_init(&m->all);
	map_init(&m->by_name);
	map_init(&m->by_source);
	return m;
}

/* FNV-1a. Of two names with one key the later counts. */
static uint64_t key_of(const struct mailbox *to, const char *name)
{
	uint64_t h = 14695981039346656037u ^ to->id;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 1099511628211u;
	return h;
}

static void forget(struct moves *moves, struct move *m)
{
	uint64_t key = key_of(m->to, m->name);

	if (map_get(&moves->by_name, key) == m)
		map_remove(&moves->by_name, key);
	if (map_get(&moves->by_source, inode_of_message(m->from, m->uid)) == m)
		map_remove(&moves->by_source, inode_of_message(m->from, m->uid));
	list_remove(&m->link);
	moves->count--;
	mailbox_release(m->from);
	mailbox_release(m->to);
	free(m);
}

void moves_destroy(struct moves *moves)
{
	if (!moves)
		return;
	while (!list_empty(&moves->all))
		forget(moves, list_entry(moves->all.next, struct move, link));
	map_finish(&moves->by_name);
	map_finish(&moves->by_source);
	free(moves);
}

void moves_on_moving(struct fs *fs, struct mailbox *from, const struct cache_message *is,
	struct mailbox *to, struct span name)
{
	struct moves *moves = fs->moves;
	struct move *m = mem_zalloc(sizeof(*m) + name.n + 1);

	memcpy(m->name, name.p, name.n);
	struct move *old = map_get(&moves->by_name, key_of(to, m->name));
	if (old)
		forget(moves, old);
	if (moves->count >= MOVES_MAX)
		forget(moves, list_entry(moves->all.next, struct move, link));
	m->from = mailbox_hold(from);
	m->to = mailbox_hold(to);
	m->uid = is->uid;
	m->is = *is;
	list_append(&moves->all, &m->link);
	moves->count++;
	map_put(&moves->by_name, key_of(m->to, m->name), m);
	map_put(&moves->by_source, inode_of_message(m->from, m->uid), m);
}

/* The kernel has put the source's inode under the new name, perhaps in the place of another message. */
static void forget_name_in_kernel(struct fs *fs, const struct mailbox *to, const char *name)
{
	if (fs->session)
		notify_name_gone(fs->notifier, inode_of_directory(fs, to), 0, name, strlen(name));
}

static const struct move *find_name(const struct fs *fs, const struct mailbox *mb, const char *name)
{
	const struct move *m = map_get(&fs->moves->by_name, key_of(mb, name));

	return m && m->to == mb && strcmp(m->name, name) == 0 ? m : NULL;
}

bool moves_is_passing(const struct fs *fs, const struct mailbox *mb, const char *name)
{
	const struct move *m = find_name(fs, mb, name);

	return m && !m->listed;
}

bool moves_find(const struct fs *fs, const struct mailbox *mb, const char *name,
	struct mailbox **at, uint32_t *uid)
{
	const struct move *m = find_name(fs, mb, name);

	if (!m || m->listed || (m->done && mailbox_is_other(m->to, m->new_uid, &m->is)))
		return false;
	*at = m->done ? m->to : m->from;
	*uid = m->done ? m->new_uid : m->uid;
	return true;
}

void moves_follow(const struct fs *fs, struct mailbox **mb, uint32_t *uid)
{
	const struct move *m = *uid ? map_get(&fs->moves->by_source, inode_of_message(*mb, *uid))
				    : NULL;
	const struct cache_message *there = m && m->done ? mailbox_find(m->to, m->new_uid) : NULL;

	if (!there || m->to->dead || mailbox_is_other(m->to, m->new_uid, &m->is))
		return;
	*mb = m->to;
	*uid = m->new_uid;
}

/* With layout=named the end of the name may be another message's: that it does not mean that one stays
 * known. */
static void keep_name(const struct fs *fs, const struct move *m)
{
	uint32_t uid;

	if (fs->options.named && title_uid(m->name, &uid) && uid != m->new_uid &&
		mailbox_find(m->to, m->new_uid))
		given_put(m->to, m->name, m->new_uid, true, &m->is);
}

/* What is not done yet is not listed: nobody can know yet that the name finds nothing, and a message that
 * comes next may be called so. */
void moves_on_listed(struct fs *fs, struct mailbox *mb, moves_is_listed *is_listed)
{
	LIST_FOREACH_SAFE (pos, &fs->moves->all) {
		struct move *m = list_entry(pos, struct move, link);

		if (m->to != mb)
			continue;
		if (m->done) {
			keep_name(fs, m);
			forget(fs->moves, m);
		} else if (!m->listed) {
			m->listed = is_listed(fs, mb, m->name);
		}
	}
}

void moves_on_moved(struct fs *fs, struct mailbox *from, uint32_t uid, struct mailbox *to,
	uint32_t new_uid, int err)
{
	struct move *m = map_get(&fs->moves->by_source, inode_of_message(from, uid));

	if (!m || m->done)
		return;
	forget_name_in_kernel(fs, to, m->name);
	if (err < 0 || new_uid == 0) {
		forget(fs->moves, m);
		return;
	}
	m->done = true;
	m->new_uid = new_uid;
}
