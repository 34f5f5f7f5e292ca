/* What a directory entry looks like: its name and its attributes. */
#include <string.h>
#include <sys/stat.h>

#include "fs/private.h"
#include "mail/names.h"

static void stat_common(const struct fs *fs, struct stat *st, int64_t seconds)
{
	st->st_uid = fs->options.uid;
	st->st_gid = fs->options.gid;
	st->st_blksize = CACHE_CHUNK;
	st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = seconds;
}

void entry_stat_directory(const struct fs *fs, const struct mailbox *mb, struct stat *st)
{
	mode_t mode = fs->options.readonly ? 0500 : 0700;

	*st = (struct stat){0};
	stat_common(fs, st, mb->changed);
	st->st_ino = inode_of_directory(fs, mb);
	st->st_mode = S_IFDIR | (mode & ~fs->options.dmask);
	st->st_nlink = 2 + mb->child_count;
}

void entry_stat_message(const struct fs *fs, const struct mailbox *mb,
	const struct cache_message *m, struct stat *st)
{
	*st = (struct stat){0};
	stat_common(fs, st, m->date);
	st->st_ino = inode_of_message(mb, m->uid);
	st->st_mode = S_IFREG | (0400 & ~fs->options.fmask);
	st->st_nlink = 1;
	st->st_size = m->size > INT64_MAX ? INT64_MAX : (off_t)m->size;
	st->st_blocks = (blkcnt_t)(m->size / 512 + (m->size % 512 != 0));
}

/* A child mailbox of the very name has it; the message gets `.eml`. */
static bool taken(struct mailbox *mb, const char *name, size_t length)
{
	return mb->child_count > 0 && mailbox_child(mb, (struct span){name, length});
}

size_t entry_name(const struct fs *fs, struct mailbox *mb, uint32_t uid, char out[NAME_MAX + 1])
{
	size_t n = names_format_uid(uid, span_of(fs->options.suffix), out);

	if (taken(mb, out, n))
		n = names_format_uid(uid, SPAN(".eml"), out);
	return n;
}

bool entry_parse_name(const struct fs *fs, struct mailbox *mb, const char *name, uint32_t *uid)
{
	struct span s = span_of(name);
	char usual[NAME_MAX + 1];

	if (!mailbox_selectable(mb))
		return false;
	if (names_uid(s, span_of(fs->options.suffix), uid))
		return !taken(mb, name, s.n);
	if (!names_uid(s, SPAN(".eml"), uid))
		return false;
	size_t n = names_format_uid(*uid, span_of(fs->options.suffix), usual);
	return taken(mb, usual, n);
}
