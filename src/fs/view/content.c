/* SPDX-License-Identifier: MIT */
#include "fs/view/content.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/map.h"
#include "base/mem.h"
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "fs/fresh.h"
#include "fs/view/private.h"
#include "fs/view/tree.h"

/* Octets of one that are on their way to the cache at once. */
#define SAVED_AT_ONCE ((size_t)8 * CACHE_CHUNK)

struct content {
	struct list link; /* contents.kept, the least recently used first */
	fuse_ino_t ino;
	char *octets;
	size_t n;
	struct content_save *save; /* NULL: it is not on its way to the cache */
};

/* It goes into the cache chunk by chunk; if it is forgotten before it is there whole, what is there is
 * of no use, as its last chunk is missing. */
struct content_save {
	struct content *of; /* NULL: it was forgotten */
	struct cache *cache;
	uint32_t id, number;
	size_t at; /* octets that were handed over */
	bool last; /* its last chunk was */
	unsigned under_way;
};

struct contents {
	struct list kept;
	struct map by_ino;
	size_t octets;
	struct map saved; /* inodes of fresh nodes that the cache was given octets of */
};

struct contents *contents_create(void)
{
	struct contents *all = mem_zalloc(sizeof(*all));

	list_init(&all->kept);
	map_init(&all->by_ino);
	map_init(&all->saved);
	return all;
}

static void drop_content(struct contents *all, struct content *c)
{
	if (c->save)
		c->save->of = NULL;
	list_remove(&c->link);
	map_remove(&all->by_ino, c->ino);
	all->octets -= c->n;
	free(c->octets);
	free(c);
}

void contents_destroy(struct contents *all)
{
	while (!list_empty(&all->kept))
		drop_content(all, list_entry(all->kept.next, struct content, link));
	map_finish(&all->by_ino);
	map_finish(&all->saved);
	free(all);
}

static fuse_ino_t content_inode(const struct fs_op *op)
{
	return view_inode(op->at.node, op->at.number);
}

void content_make_room(struct contents *all, size_t n)
{
	while (!list_empty(&all->kept) && all->octets + n > CONTENT_KEPT)
		drop_content(all, list_entry(all->kept.next, struct content, link));
}

/* octets become its. */
static struct content *keep_content(struct contents *all, fuse_ino_t ino, char *octets, size_t n)
{
	struct content *c = map_get(&all->by_ino, ino);

	if (c)
		drop_content(all, c);
	content_make_room(all, n);
	c = mem_zalloc(sizeof(*c));
	*c = (struct content){.ino = ino, .octets = octets, .n = n};
	list_append(&all->kept, &c->link);
	map_put(&all->by_ino, ino, c);
	all->octets += n;
	return c;
}

static struct content *find_content(struct contents *all, fuse_ino_t ino)
{
	struct content *c = map_get(&all->by_ino, ino);

	if (c) {
		list_remove(&c->link);
		list_append(&all->kept, &c->link);
	}
	return c;
}

struct span content_of(const struct fs_op *op)
{
	const struct content *c = map_get(&op->fs->contents->by_ino, content_inode(op));

	return c ? (struct span){c->octets, c->n} : (struct span){0};
}

/* --- the cache: the last chunk is shorter than others, perhaps empty --- */

static void content_on_put(void *ctx);

static void save_chunk(struct content_save *s)
{
	size_t left = s->of->n - s->at, m = left < CACHE_CHUNK ? left : CACHE_CHUNK;
	char *octets = m > 0 ? mem_copy(s->of->octets + s->at, m) : mem_alloc(1);
	uint32_t chunk = (uint32_t)(s->at / CACHE_CHUNK);

	s->at += m;
	s->last = m < CACHE_CHUNK;
	s->under_way++;
	cache_put_chunk(s->cache, s->id, s->number, chunk, octets, m, content_on_put, s);
}

static void save_more(struct content_save *s)
{
	while (s->of && !s->last && s->under_way < SAVED_AT_ONCE / CACHE_CHUNK)
		save_chunk(s);
	if (s->under_way > 0)
		return;
	if (s->of)
		s->of->save = NULL;
	free(s);
}

static void content_on_put(void *ctx)
{
	struct content_save *s = ctx;

	s->under_way--;
	save_more(s);
}

static void save_content(struct fs_op *op, struct content *c)
{
	if (op->at.node->view->derived)
		return;
	map_put(&op->fs->contents->saved, content_inode(op), op->fs->contents);
	c->save = mem_zalloc(sizeof(*c->save));
	*c->save = (struct content_save){.of = c,
		.cache = op->fs->account->cache,
		.id = op->at.node->id,
		.number = op->at.number};
	save_more(c->save);
}

/* The buffer's octets, and no more memory than they need; the buffer is empty then. Nothing was consumed
 * of it. */
static char *take_octets(struct buf *out, size_t *n)
{
	char *octets = out->memory, *fitting = NULL;

	*n = out->len;
	if (octets)
		fitting = realloc(octets, out->len ? out->len : 1);
	out->memory = NULL;
	buf_finish(out);
	return fitting ? fitting : octets;
}

/* Asking it takes as long as making a small text does. */
static bool may_be_cached(const struct fs_op *op)
{
	if (op->at.node->view->derived)
		return false;
	return !op->at.node->fresh || map_get(&op->fs->contents->saved, content_inode(op));
}

static bool load_content(struct fs_op *op)
{
	struct buf out;
	size_t n = CACHE_CHUNK;
	bool found = may_be_cached(op);

	buf_init(&out, CONTENT_MAX);
	for (uint32_t chunk = 0; found && n == CACHE_CHUNK; chunk++) {
		char *data = NULL;
		found = cache_get_chunk(op->fs->account->cache, op->at.node->id, op->at.number,
				chunk, &data, &n) == CACHE_FOUND &&
			buf_append(&out, data, n) == 0;
		free(data);
	}
	if (found) {
		char *octets = take_octets(&out, &n);
		keep_content(op->fs->contents, content_inode(op), octets, n);
	}
	buf_finish(&out);
	return found;
}

/* --- --- */

void content_made(struct fs_op *op, struct buf *out)
{
	size_t n;
	char *octets = take_octets(out, &n);

	save_content(op, keep_content(op->fs->contents, content_inode(op), octets, n));
	op->made_ready(op, 0);
}

void content_need(struct fs_op *op, content_make *make, op_resume *ready)
{
	op->made_ready = ready;
	if (find_content(op->fs->contents, content_inode(op)) || load_content(op))
		ready(op, 0);
	else
		make(op);
}

/* --- attributes and read --- */

static void content_attributes_ready(struct fs_op *op, int err)
{
	const struct cache_message *m = mailbox_find(op->mb, op->at.number);
	struct stat st;

	if (!m) {
		op_fail(op, op->lookup ? ERR_GONE : ERR_STALE);
		return;
	}
	view_stat_file(op->fs, op->at, content_of(op).n, m->date, &st);
	view_answer_attributes(op, &st, ATTR_TIMEOUT, ATTR_TIMEOUT);
}

static void content_attributes_known(struct fs_op *op, int err)
{
	content_need(op, op->make, content_attributes_ready);
}

void content_attributes(struct fs_op *op, content_make *make)
{
	op->make = make;
	op->uid = op->at.number;
	if (op->mb->messages.loaded)
		content_attributes_known(op, 0);
	else
		fresh_message(op, content_attributes_known);
}

static void content_read_ready(struct fs_op *op, int err)
{
	view_answer_octets(op, content_of(op));
}

static void content_read_known(struct fs_op *op, int err)
{
	if (mailbox_find(op->mb, op->at.number))
		content_need(op, op->make, content_read_ready);
	else
		op_fail(op, ERR_STALE);
}

void content_read(struct fs_op *op, content_make *make)
{
	op->make = make;
	op->uid = op->at.number;
	if (op->mb->messages.loaded)
		content_read_known(op, 0);
	else
		fresh_message(op, content_read_known);
}

void content_forget(struct fs *fs, const struct view_node *node, uint32_t number)
{
	struct content *c = map_get(&fs->contents->by_ino, view_inode(node, number));

	if (c)
		drop_content(fs->contents, c);
	map_remove(&fs->contents->saved, view_inode(node, number));
	cache_drop_messages(fs->account->cache, node->id, &number, 1);
}

void content_on_message_gone(struct fs *fs, struct view_node *node, uint32_t uid)
{
	tree_on_message_gone(fs, node, uid);
	content_forget(fs, node, uid);
}
