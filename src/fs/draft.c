/* SPDX-License-Identifier: MIT */
#include "fs/draft.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "fs/hold.h"
#include "fs/inode.h"
#include "fs/notify.h"
#include "fs/scratch.h"

/* Of what is stored, how many drafts and how many of their octets are kept for who wrote them. */
#define KEPT_MAX 32
#define KEPT_OCTETS_MAX ((uint64_t)64 << 20)
/* Milliseconds between looks whether who wrote them still lives. */
#define KEEPING_TICK 5000

struct drafts {
	struct fs *fs;
	struct spool *spool;
	struct list all; /* struct draft, the oldest first */
	struct map by_ino;
	uint32_t next;
	unsigned left; /* files of earlier mounts whose mailbox is not known */
};

struct drafts *drafts_create(struct fs *fs)
{
	struct drafts *all = mem_zalloc(sizeof(*all));

	all->fs = fs;
	list_init(&all->all);
	map_init(&all->by_ino);
	return all;
}

/* The account, and with it the mailboxes, are gone already. */
void drafts_destroy(struct drafts *all)
{
	while (!list_empty(&all->all)) {
		struct draft *d = list_entry(all->all.next, struct draft, link);

		list_remove(&d->link);
		if (d->fd >= 0)
			close(d->fd);
		if (d->state == DRAFT_STORED || !d->named)
			spool_drop(all->spool, &d->place);
		free(d->place.name);
		free(d->name);
		free(d->flags);
		free(d->to_name);
		free(d);
	}
	map_finish(&all->by_ino);
	if (all->spool)
		spool_close(all->spool);
	free(all);
}

struct spool *draft_spool(const struct fs *fs)
{
	return fs->drafts->spool;
}

/* --- the table --- */

struct draft *draft_of(struct fs *fs, fuse_ino_t ino)
{
	return map_get(&fs->drafts->by_ino, ino);
}

struct draft *draft_add(struct fs *fs, struct mailbox *mb, const struct spool_place *place)
{
	struct draft *d = mem_zalloc(sizeof(*d));

	d->fs = fs;
	d->ino = DRAFT_INODES | fs->drafts->next++ % DRAFT_INODES;
	d->mb = mailbox_hold(mb);
	d->place = *place;
	d->name = mem_strdup(place->name);
	d->named = true;
	d->fd = -1;
	clock_gettime(CLOCK_REALTIME, &d->mtime);
	list_init(&d->waits);
	list_append(&fs->drafts->all, &d->link);
	map_put(&fs->drafts->by_ino, d->ino, d);
	return d;
}

static void draft_free(struct draft *d)
{
	list_remove(&d->link);
	map_remove(&d->fs->drafts->by_ino, d->ino);
	if (d->fd >= 0)
		close(d->fd);
	spool_drop(d->fs->drafts->spool, &d->place);
	mailbox_release(d->mb);
	mailbox_release(d->source);
	free(d->name);
	free(d->flags);
	free(d);
}

int draft_need_file(struct draft *d)
{
	if (d->fd < 0)
		d->fd = spool_open_file(d->fs->drafts->spool, &d->place);
	return d->fd < 0 ? errno : 0;
}

void draft_settle(struct draft *d)
{
	if (d->opens > 0 || d->jobs > 0 || d->state == DRAFT_STORING)
		return;
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
	if (!d->named || (d->state == DRAFT_STORED && !process_lives(&d->writer)))
		draft_free(d);
}

/* Those that are stored, and nobody has open, are kept for their writers as far as there is room:
 * the newest. Returns how many. */
static unsigned drop_unneeded(struct drafts *all)
{
	uint64_t octets = 0;
	unsigned n = 0;

	for (struct list *pos = all->all.prev, *before; pos != &all->all; pos = before) {
		struct draft *d = list_entry(pos, struct draft, link);

		before = pos->prev;
		if (d->state != DRAFT_STORED || d->opens > 0 || d->jobs > 0)
			continue;
		octets += d->place.size;
		if (++n <= KEPT_MAX && octets <= KEPT_OCTETS_MAX && process_lives(&d->writer))
			continue;
		octets -= d->place.size;
		n--;
		draft_free(d);
	}
	return n;
}

static void drafts_on_timer(uv_timer_t *timer)
{
	struct fs *fs = timer->data;

	if (drop_unneeded(fs->drafts) == 0)
		uv_timer_stop(timer);
}

void drafts_keep(struct drafts *all)
{
	struct fs *fs = all->fs;

	if (drop_unneeded(all) > 0 && !fs->stopping && !uv_is_active((uv_handle_t *)&fs->keeping))
		uv_timer_start(&fs->keeping, drafts_on_timer, KEEPING_TICK, KEEPING_TICK);
}

void draft_unname(struct draft *d)
{
	d->named = false;
	draft_settle(d);
}

void draft_touch(struct draft *d)
{
	d->changes++;
	d->reason[0] = '\0';
	if (d->state == DRAFT_STORED)
		spool_mark(d->fs->drafts->spool, &d->place, false);
	if (d->state != DRAFT_STORING)
		d->state = DRAFT_WRITTEN;
	if (!d->dated)
		clock_gettime(CLOCK_REALTIME, &d->mtime);
}

/* --- names --- */

const char *draft_path(const struct draft *d)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", mailbox_path(d->mb), d->name);
	return path;
}

struct draft *draft_named(struct fs *fs, struct mailbox *mb, const char *name, pid_t thread)
{
	LIST_FOREACH (pos, &fs->drafts->all) {
		struct draft *d = list_entry(pos, struct draft, link);

		if (d->mb != mb || !d->named || d->apart || strcmp(d->name, name) != 0)
			continue;
		if (d->state == DRAFT_STORED && !process_has(&d->writer, thread))
			continue;
		/* It was behind a message, which this process has removed to put another file there. */
		if (entry_is_listed(fs, mb, name) || hold_finds(fs, thread, mb, name))
			return NULL;
		return d;
	}
	return NULL;
}

bool draft_is_writer(const struct fs *fs, pid_t thread)
{
	LIST_FOREACH (pos, &fs->drafts->all)
		if (process_has(&list_entry(pos, struct draft, link)->writer, thread))
			return true;
	return false;
}

bool draft_is_in_the_making(const struct draft *d)
{
	return d->opens > 0 && d->state == DRAFT_WRITTEN && !scratch_is_name(d->name);
}

void draft_drop_namesakes(const struct draft *d)
{
	LIST_FOREACH_SAFE (pos, &d->fs->drafts->all) {
		struct draft *other = list_entry(pos, struct draft, link);

		if (other == d || other->mb != d->mb || !other->named || other->apart ||
			strcmp(other->name, d->name) != 0)
			continue;
		other->outrun = draft_is_in_the_making(other) &&
				!process_is(&other->writer, &d->writer);
		draft_unname(other);
	}
}

void draft_share_found(const struct draft *d)
{
	LIST_FOREACH (pos, &d->fs->drafts->all) {
		struct draft *other = list_entry(pos, struct draft, link);

		if (other->mb == d->mb && other->uid == d->uid)
			other->found = true;
	}
}

struct draft *draft_after(struct fs *fs, struct mailbox *mb, fuse_ino_t ino)
{
	LIST_FOREACH (pos, &fs->drafts->all) {
		struct draft *d = list_entry(pos, struct draft, link);

		if (d->mb == mb && d->named && !d->apart && d->state != DRAFT_STORED &&
			d->ino > ino && !entry_is_listed(fs, mb, d->name))
			return d;
	}
	return NULL;
}

struct draft *draft_named_apart(struct fs *fs, const struct mailbox *mb, const char *name)
{
	LIST_FOREACH (pos, &fs->drafts->all) {
		struct draft *d = list_entry(pos, struct draft, link);

		if (d->mb == mb && d->named && d->apart && strcmp(d->name, name) == 0)
			return d;
	}
	return NULL;
}

struct draft *draft_after_apart(struct fs *fs, const struct mailbox *mb, fuse_ino_t ino)
{
	LIST_FOREACH (pos, &fs->drafts->all) {
		struct draft *d = list_entry(pos, struct draft, link);

		if (d->mb == mb && d->named && d->apart && d->ino > ino)
			return d;
	}
	return NULL;
}

bool draft_has_news(const struct draft *d)
{
	return (d->named || d->outrun) && !d->apart && d->changes != d->tried &&
	       d->place.size > 0 && !scratch_is_name(d->name);
}

void draft_stat(const struct draft *d, struct stat *st)
{
	const struct fs *fs = d->fs;

	*st = (struct stat){
		.st_ino = d->ino,
		.st_mode = S_IFREG | (0600 & ~fs->options.fmask),
		.st_nlink = d->named ? 1 : 0,
		.st_uid = fs->options.uid,
		.st_gid = fs->options.gid,
		.st_size = (off_t)d->place.size,
		.st_blksize = CACHE_CHUNK,
		.st_blocks = (blkcnt_t)(d->place.size / 512 + 1),
		.st_mtim = d->mtime,
		.st_ctim = d->mtime,
		.st_atim = d->mtime,
	};
}

/* --- what the account tells --- */

void draft_message_gone(struct fs *fs, const struct mailbox *mb, uint32_t uid)
{
	LIST_FOREACH_SAFE (pos, &fs->drafts->all) {
		struct draft *d = list_entry(pos, struct draft, link);

		if (d->mb != mb || d->uid != uid)
			continue;
		d->uid = 0;
		if (d->state == DRAFT_STORED)
			draft_unname(d);
	}
}

void drafts_on_renamed(struct fs *fs, const struct mailbox *mb)
{
	LIST_FOREACH (pos, &fs->drafts->all) {
		struct draft *d = list_entry(pos, struct draft, link);
		struct spool_place to = {.mailbox = spool_key(mb->name), .name = d->place.name};

		if (d->mb == mb)
			spool_rename(fs->drafts->spool, &d->place, &to);
	}
}

/* --- what earlier mounts left --- */

struct search {
	uint64_t key;
	struct mailbox *found;
};

static void look(void *ctx, uint64_t id, void *value)
{
	struct search *s = ctx;
	struct mailbox *mb = value;

	if (mailbox_selectable(mb) && spool_key(mb->name) == s->key)
		s->found = mb;
}

/* In the mailbox of that name, whatever its UIDVALIDITY was: a file that is to become a message there
 * is none of its messages. */
static void drafts_on_found(void *ctx, struct spool_place *place)
{
	struct drafts *all = ctx;
	struct search s = {.key = place->mailbox};

	map_each(&all->fs->account->tree.by_id, look, &s);
	if (s.found) {
		struct draft *d = draft_add(all->fs, s.found, place);
		d->state = DRAFT_LEFT;
		return;
	}
	all->left++;
	free(place->name);
}

void drafts_begin(struct drafts *all, int dir, const char *path)
{
	all->spool = spool_open(all->fs->loop, dir, path);
	all->left += spool_each_left(all->spool, drafts_on_found, all);
	LIST_FOREACH (pos, &all->all)
		log_warning("%s: an earlier mount has left it, and it may not be whole; rename it "
			    "to store it",
			draft_path(list_entry(pos, struct draft, link)));
	if (all->left > 0)
		log_warning("%s: %u file%s to be stored in mailboxes that are not there",
			spool_path(all->spool), all->left, all->left == 1 ? " was" : "s were");
}

/* --- the status --- */

static const char *state_words(const struct draft *d)
{
	switch (d->state) {
	case DRAFT_STORING:
		return "being stored";
	case DRAFT_REFUSED:
		return "not stored";
	case DRAFT_KILLED:
		return "incomplete: its writer was killed";
	case DRAFT_LEFT:
		return "left by an earlier mount";
	case DRAFT_WRITTEN:
	case DRAFT_STORED:
		return d->opens > 0 ? "being written" : "not stored yet";
	}
	return "";
}

int draft_report(struct fs *fs, struct buf *out)
{
	int err = 0;

	LIST_FOREACH (pos, &fs->drafts->all) {
		const struct draft *d = list_entry(pos, struct draft, link);

		if (d->named && d->state != DRAFT_STORED)
			err |= buf_printf(out, "draft: %s: %llu bytes, %s%s%s\n", draft_path(d),
				(unsigned long long)d->place.size, state_words(d),
				d->reason[0] ? ": " : "", d->reason);
	}
	return err;
}
