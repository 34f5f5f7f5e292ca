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
/* Octets that stay in memory only until the cache has them, of all. */
#define LEFT_MAX CONTENT_MAX
/* Files that are remembered to be in the cache. */
#define SAVED_MAX (1u << 16)
/* Files whose sizes are remembered: those of a mailbox that is read again and again. */
#define SIZES_MAX (1u << 17)

struct content {
	struct list link; /* contents.kept, the least recently used first */
	fuse_ino_t ino;
	char *octets;
	size_t n;
	struct content_save *save; /* NULL: it is not on its way to the cache */
};

/* It goes into the cache chunk by chunk. If that ends before it is there whole, what is there is of no use,
 * as its last chunk is missing. */
struct content_save {
	struct list link; /* contents.saves */
	struct contents *all;
	struct content *of; /* NULL: it was forgotten */
	const char *
		octets; /* the content's, or its own when there is none; NULL: no more is handed over */
	size_t n;
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
	struct list saves;
	size_t left;      /* octets that saves have of their own */
	struct map saved; /* inodes of fresh nodes that the cache was given octets of */
	bool saved_more;  /* there are too many to remember */
	struct map
		sizes; /* inode -> octets + 1: after a read the kernel asks for attributes anew, for the
			     time of access, and nothing is to be made or loaded for that */
};

struct contents *contents_create(void)
{
	struct contents *all = mem_zalloc(sizeof(*all));

	list_init(&all->kept);
	list_init(&all->saves);
	map_init(&all->by_ino);
	map_init(&all->saved);
	map_init(&all->sizes);
	return all;
}

/* No more is handed over. */
static void end_save(struct content_save *s)
{
	if (s->of)
		s->of->save = NULL;
	else if (s->octets) {
		s->all->left -= s->n;
		free((char *)(uintptr_t)s->octets);
	}
	s->of = NULL;
	s->octets = NULL;
}

/* It was forgotten: the octets are the save's, if there is room. False: they are to be freed. */
static bool leave_to_save(struct content *c)
{
	struct content_save *s = c->save;

	if (!s || s->all->left + c->n > LEFT_MAX) {
		if (s)
			end_save(s);
		return false;
	}
	s->of = NULL;
	s->all->left += c->n;
	return true;
}

static void drop_content(struct contents *all, struct content *c)
{
	list_remove(&c->link);
	map_remove(&all->by_ino, c->ino);
	all->octets -= c->n;
	if (!leave_to_save(c))
		free(c->octets);
	free(c);
}

static struct content_save *find_save(
	struct contents *all, const struct view_node *node, uint32_t number)
{
	LIST_FOREACH (pos, &all->saves) {
		struct content_save *s = list_entry(pos, struct content_save, link);
		if (s->octets && s->id == node->id && s->number == number)
			return s;
	}
	return NULL;
}

void contents_destroy(struct contents *all)
{
	while (!list_empty(&all->saves)) {
		struct content_save *s = list_entry(all->saves.next, struct content_save, link);
		end_save(s);
		list_remove(&s->link);
	}
	while (!list_empty(&all->kept))
		drop_content(all, list_entry(all->kept.next, struct content, link));
	map_finish(&all->by_ino);
	map_finish(&all->saved);
	map_finish(&all->sizes);
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

/* It never changes. */
static void note_size(struct contents *all, fuse_ino_t ino, size_t n)
{
	if (all->sizes.count >= SIZES_MAX) {
		map_finish(&all->sizes);
		map_init(&all->sizes);
	}
	map_put(&all->sizes, ino, (void *)(uintptr_t)(n + 1));
}

static bool find_size(const struct contents *all, fuse_ino_t ino, size_t *n)
{
	const void *noted = map_get(&all->sizes, ino);

	*n = noted ? (size_t)(uintptr_t)noted - 1 : 0;
	return noted;
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
	note_size(all, ino, n);
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
	size_t left = s->n - s->at, m = left < CACHE_CHUNK ? left : CACHE_CHUNK;
	char *octets = m > 0 ? mem_copy(s->octets + s->at, m) : mem_alloc(1);
	uint32_t chunk = (uint32_t)(s->at / CACHE_CHUNK);

	s->at += m;
	s->last = m < CACHE_CHUNK;
	s->under_way++;
	cache_put_chunk(s->cache, s->id, s->number, chunk, octets, m, content_on_put, s);
}

static void save_more(struct content_save *s)
{
	while (s->octets && !s->last && s->under_way < SAVED_AT_ONCE / CACHE_CHUNK)
		save_chunk(s);
	if (s->last)
		end_save(s);
	if (s->under_way > 0)
		return;
	end_save(s);
	list_remove(&s->link);
	free(s);
}

static void content_on_put(void *ctx)
{
	struct content_save *s = ctx;

	s->under_way--;
	save_more(s);
}

static void note_saved(struct contents *all, fuse_ino_t ino)
{
	if (all->saved.count < SAVED_MAX)
		map_put(&all->saved, ino, all);
	else
		all->saved_more = true;
}

/* What there may be of other octets is dropped: the chunks of both would be taken for one. */
static void drop_other(struct fs_op *op, const struct content *c)
{
	struct content_save *other = find_save(op->fs->contents, op->at.node, op->at.number);

	if (other)
		end_save(other);
	if (c->n >= CACHE_CHUNK)
		cache_drop_messages(op->fs->account->cache, op->at.node->id, &op->at.number, 1);
}

static void save_content(struct fs_op *op, struct content *c)
{
	struct contents *all = op->fs->contents;

	if (op->at.node->view->derived)
		return;
	if (op->at.node->fresh)
		note_saved(all, content_inode(op));
	drop_other(op, c);
	c->save = mem_zalloc(sizeof(*c->save));
	*c->save = (struct content_save){.all = all,
		.of = c,
		.octets = c->octets,
		.n = c->n,
		.cache = op->fs->account->cache,
		.id = op->at.node->id,
		.number = op->at.number};
	list_append(&all->saves, &c->save->link);
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
	const struct contents *all = op->fs->contents;

	if (op->at.node->view->derived)
		return false;
	return !op->at.node->fresh || all->saved_more || map_get(&all->saved, content_inode(op));
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
	size_t n;

	if (!m) {
		op_fail(op, op->lookup ? ERR_GONE : ERR_STALE);
		return;
	}
	if (!find_size(op->fs->contents, content_inode(op), &n))
		n = content_of(op).n;
	view_stat_file(op->fs, op->at, n, m->date, &st);
	view_answer_attributes(op, &st, ATTR_TIMEOUT, ATTR_TIMEOUT);
}

static void content_attributes_known(struct fs_op *op, int err)
{
	size_t n;

	/* What is looked up is read next. */
	if (!op->lookup && find_size(op->fs->contents, content_inode(op), &n))
		content_attributes_ready(op, 0);
	else
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
	struct content_save *s = find_save(fs->contents, node, number);
	if (s)
		end_save(s);
	map_remove(&fs->contents->saved, view_inode(node, number));
	map_remove(&fs->contents->sizes, view_inode(node, number));
	cache_drop_messages(fs->account->cache, node->id, &number, 1);
}

void content_on_message_gone(struct fs *fs, struct view_node *node, uint32_t uid)
{
	tree_on_message_gone(fs, node, uid);
	content_forget(fs, node, uid);
}
