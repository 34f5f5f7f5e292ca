/* SPDX-License-Identifier: MIT */
#include "fs/entry.h"

#include <string.h>
#include <sys/stat.h>

#include "fs/filesystem.h"
#include "fs/inode.h"
#include "mail/model/given.h"
#include "mail/model/names.h"
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
static uint64_t shown_size(const struct cache_message *m)
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
	uint64_t size = shown_size(m);
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

/* A child mailbox of the very name has it, and the message gets `.eml`: once more for each name
 * that is taken too. */
size_t entry_name(const struct fs *fs, struct mailbox *mb, uint32_t uid, char out[NAME_MAX + 1])
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

bool entry_parse_name(const struct fs *fs, struct mailbox *mb, const char *name, uint32_t *uid)
{
	struct span digits = {name, strspn(name, "0123456789")};
	char right[NAME_MAX + 1];

	if (!mailbox_selectable(mb) || !names_uid(digits, SPAN(""), uid))
		return false;
	entry_name(fs, mb, *uid, right);
	return strcmp(name, right) == 0;
}

bool entry_find(const struct fs *fs, struct mailbox *mb, const char *name, uint32_t *uid)
{
	if (entry_parse_name(fs, mb, name, uid) && mailbox_shown(mb, *uid))
		return true;
	*uid = given_find(mb, name);
	if (*uid && !mailbox_shown(mb, *uid))
		*uid = 0;
	return *uid != 0;
}

uint32_t entry_coming(struct mailbox *mb, const char *name)
{
	uint32_t uid = given_find(mb, name);

	return uid && !mailbox_was(mb, uid) ? uid : 0;
}
