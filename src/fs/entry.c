/* SPDX-License-Identifier: MIT */
#include "fs/entry.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "fs/filesystem.h"
#include "fs/inode.h"
#include "fs/moves.h"
#include "fs/notify.h"
#include "fs/title.h"
#include "mail/model/given.h"
#include "mail/model/names.h"
#include "mail/parts/facts.h"
#include "mail/size/sizes.h"

static void stat_common(const struct fs *fs, struct stat *st, int64_t seconds)
{
	st->st_uid = fs->options.uid;
	st->st_gid = fs->options.gid;
	st->st_blksize = CACHE_CHUNK;
	st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = seconds;
}

void entry_stat_directory(const struct fs *fs, const struct mailbox *mb, struct stat *st)
{
	*st = (struct stat){0};
	stat_common(fs, st, mb->names.changed);
	st->st_ino = inode_of_directory(fs, mb);
	st->st_mode = S_IFDIR | (0700 & ~fs->options.dmask);
	st->st_nlink = 2 + mb->place.child_count;
}

/* The kernel reads nothing of a file without octets. One that is not proved to have none gets one,
 * so that who reads it has the error, and no copy that is empty. */
uint64_t entry_shown_size(const struct cache_message *m)
{
	return m->size == 0 && !(m->flags & CACHE_SIZE_PROVED) ? 1 : m->size;
}

void entry_stat_message(const struct fs *fs, const struct mailbox *mb,
	const struct cache_message *m, struct stat *st)
{
	*st = (struct stat){0};
	stat_common(fs, st, m->date);
	st->st_ino = inode_of_message(mb, m->uid);
	st->st_mode = S_IFREG | (0400 & ~fs->options.fmask);
	st->st_nlink = 1;
	uint64_t size = entry_shown_size(m);
	st->st_size = size > INT64_MAX ? INT64_MAX : (off_t)size;
	st->st_blocks = (blkcnt_t)(size / 512 + (size % 512 != 0));
}

/* Seconds. */
#define PROVISIONAL_TIMEOUT 1.0

double entry_size_timeout(const struct mailbox *mb, const struct cache_message *m)
{
	return sizes_can_show(mb, m) ? ATTR_TIMEOUT : PROVISIONAL_TIMEOUT;
}

static bool taken(struct mailbox *mb, const char *name, size_t length)
{
	return mb->place.child_count > 0 && mailbox_child(mb, (struct span){name, length});
}

/* --- numbers --- */

/* A child mailbox of the very name has it, and the message gets `.eml`: once more for each name
 * that is taken too. */
size_t entry_number(const struct fs *fs, struct mailbox *mb, uint32_t uid, char out[NAME_MAX + 1])
{
	static const char more[] = ".eml";
	size_t n = names_format_uid(uid, span_of(fs->options.suffix), out);

	if (taken(mb, out, n))
		n = names_format_uid(uid, SPAN(".eml"), out);
	while (taken(mb, out, n) && n + sizeof(more) <= NAME_MAX) {
		memcpy(out + n, more, sizeof(more));
		n += sizeof(more) - 1;
	}
	return n;
}

bool entry_parse_number(const struct fs *fs, struct mailbox *mb, const char *name, uint32_t *uid)
{
	struct span digits = {name, strspn(name, "0123456789")};
	char right[NAME_MAX + 1];

	if (!mailbox_selectable(mb) || !names_uid(digits, SPAN(""), uid))
		return false;
	entry_number(fs, mb, *uid, right);
	return strcmp(name, right) == 0;
}

/* --- names for people --- */

static bool has_date(const struct cache_message *m)
{
	return m && !(m->flags & CACHE_DATE_UNKNOWN);
}

/* "_.5.eml", with more of it for each name that is taken. */
static size_t free_title(struct mailbox *mb, uint32_t uid, char out[NAME_MAX + 1])
{
	size_t before = 0, n;

	do {
		memset(out, '_', ++before);
		n = before + (size_t)snprintf(out + before, 32, ".%" PRIu32 ".eml", uid);
	} while (taken(mb, out, n) && before + 32 < NAME_MAX);
	return n;
}

size_t entry_title(struct mailbox *mb, uint32_t uid, char out[NAME_MAX + 1])
{
	const struct cache_message *m = mailbox_find(mb, uid);
	struct mime_summary summary;

	/* One whose fields cannot be had is there all the same. */
	if (facts_summary(mb, uid, &summary) < 0)
		summary = (struct mime_summary){0};
	size_t n = title_print(uid, has_date(m), m ? m->date : 0, &summary, out);
	return taken(mb, out, n) ? free_title(mb, uid, out) : n;
}

bool entry_lacks_name(const struct fs *fs, struct mailbox *mb, uint32_t uid)
{
	struct span packed;

	return fs->options.named && facts_try(mb, FACT_SUMMARY, uid, &packed) == ERR_NOT_CACHED;
}

/* --- the directory --- */

size_t entry_name(const struct fs *fs, struct mailbox *mb, uint32_t uid, char out[NAME_MAX + 1])
{
	return fs->options.named ? entry_title(mb, uid, out) : entry_number(fs, mb, uid, out);
}

/* Under this name another message came in, which has a name of its own by now. */
static bool was_of_other(const struct fs *fs, struct mailbox *mb, const char *name, uint32_t uid)
{
	uint32_t other = given_was(mb, name);
	struct mailbox *at = mb;

	if (!other && !moves_find(fs, mb, name, &at, &other))
		return false;
	return at != mb || other != uid;
}

static bool parse_title(const struct fs *fs, struct mailbox *mb, const char *name, uint32_t *uid)
{
	if (!mailbox_selectable(mb) || !title_uid(name, uid) || taken(mb, name, strlen(name)))
		return false;
	const struct cache_message *m = mailbox_find(mb, *uid);
	/* Whether it is the message's own shows when its row is there. */
	if (m && was_of_other(fs, mb, name, *uid) && !entry_is_own(fs, mb, name, *uid))
		return false;
	return !has_date(m) || !title_has_other_date(name, m->date);
}

bool entry_parse_name(const struct fs *fs, struct mailbox *mb, const char *name, uint32_t *uid)
{
	return (fs->options.named && parse_title(fs, mb, name, uid)) ||
	       entry_parse_number(fs, mb, name, uid);
}

bool entry_is_own(const struct fs *fs, struct mailbox *mb, const char *name, uint32_t uid)
{
	char own[NAME_MAX + 1];

	if (!fs->options.named)
		return true;
	/* As long as its fields have not come it would be called as one that has none. */
	if (entry_lacks_name(fs, mb, uid))
		return false;
	entry_title(mb, uid, own);
	return strcmp(name, own) == 0;
}

bool entry_is_listed(const struct fs *fs, struct mailbox *mb, const char *name)
{
	uint32_t uid;

	return entry_parse_name(fs, mb, name, &uid) && mailbox_shown(mb, uid) &&
	       entry_is_own(fs, mb, name, uid);
}

void entry_forget_own(struct fs *fs, struct mailbox *mb, const char *name, uint32_t uid)
{
	char own[NAME_MAX + 1];

	if (!fs->options.named)
		return;
	size_t n = entry_title(mb, uid, own);
	if (!name || strcmp(name, own) != 0)
		notify_name_gone(fs->notifier, inode_of_directory(fs, mb), 0, own, n);
}

bool entry_find(const struct fs *fs, struct mailbox *mb, const char *name, uint32_t *uid)
{
	bool real = entry_parse_name(fs, mb, name, uid) && mailbox_shown(mb, *uid);

	if (real && entry_is_own(fs, mb, name, *uid))
		return true;
	uint32_t given = given_find(mb, name);
	if (given && mailbox_shown(mb, given))
		*uid = given;
	else if (!real)
		*uid = 0;
	return *uid != 0;
}

bool entry_removes(const struct fs *fs, struct mailbox *mb, const char *name, uint32_t uid)
{
	char own[NAME_MAX + 1];
	uint32_t number;

	if (!fs->options.named || given_find(mb, name) == uid ||
		entry_parse_number(fs, mb, name, &number))
		return true;
	entry_title(mb, uid, own);
	return strcmp(name, own) == 0;
}

uint32_t entry_coming(struct mailbox *mb, const char *name)
{
	uint32_t uid = given_find(mb, name);

	return uid && !mailbox_was(mb, uid) ? uid : 0;
}
