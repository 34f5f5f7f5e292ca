/* SPDX-License-Identifier: MIT */
/*
 * .named/MAILBOX/: the messages under names for people, the same files as in the mailbox. They are found
 * by the UID at the end of a name, so what stands before may be decoded otherwise one day.
 */
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "fs/fresh.h"
#include "fs/title.h"
#include "fs/view/private.h"
#include "fs/view/tree.h"
#include "mail/sync/watch.h"

static size_t named_name(struct fs_op *op, const struct cache_message *m, char out[NAME_MAX + 1])
{
	return entry_title(op->mb, m->uid, out);
}

static bool named_find(struct fs_op *op, const char *name, uint32_t *uid)
{
	return title_uid(name, uid);
}

static void named_rows(struct fs_op *op, int err)
{
	fresh_summaries(op, op->sized);
}

/* Goes on with op->sized when all names are known. */
static void when_named(struct fs_op *op, op_resume *then)
{
	op->sized = then;
	watch_read(op->fs->account->watch, op->mb);
	fresh_whole_summed(op, named_rows);
}

static void opendir_named(struct fs_op *op, int err)
{
	tree_opendir(op);
}

static void named_opendir(struct fs_op *op)
{
	when_named(op, opendir_named);
}

static void list_named(struct fs_op *op, int err)
{
	tree_list(op);
}

static void named_list(struct fs_op *op)
{
	when_named(op, list_named);
}

static const struct view_tree named_tree = {
	.name = named_name, .find = named_find, .raw = true, .loose = true};

const struct view view_named = {
	.name = ".named",
	.key = "named",
	.place = VIEW_TREE,
	.tree = &named_tree,
	.lookup = tree_lookup,
	.list = named_list,
	.opendir = named_opendir,
	.attributes = tree_attributes,
	.on_directory_changed = tree_on_directory_changed,
	.on_message_gone = tree_on_message_gone,
};
