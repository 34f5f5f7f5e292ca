/* SPDX-License-Identifier: MIT */
#include "fs/inherit.h"

#include <stdlib.h>

#include "base/mem.h"

void inherit_init(struct inherit *in)
{
	map_init(&in->by_inode);
	list_init(&in->by_time);
}

static void failure_free(struct inherit *in, struct failure *f)
{
	map_remove(&in->by_inode, f->inode);
	list_remove(&f->link);
	free(f);
}

void inherit_finish(struct inherit *in)
{
	while (!list_empty(&in->by_time))
		failure_free(in, list_entry(in->by_time.next, struct failure, link));
	map_finish(&in->by_inode);
}

static void drop_old_failures(struct inherit *in, uint64_t now)
{
	while (!list_empty(&in->by_time)) {
		struct failure *oldest = list_entry(in->by_time.next, struct failure, link);

		if (now < oldest->at + INHERIT_TIME)
			break;
		failure_free(in, oldest);
	}
}

const struct failure *inherit_find(struct inherit *in, uint64_t inode, uint64_t now)
{
	drop_old_failures(in, now);
	return map_get(&in->by_inode, inode);
}

void inherit_note(
	struct inherit *in, uint64_t inode, uint64_t deadline, bool inherited, uint64_t now)
{
	drop_old_failures(in, now);
	struct failure *f = map_get(&in->by_inode, inode);
	if (!f) {
		f = mem_zalloc(sizeof(*f));
		f->inode = inode;
		f->deadline = inherited ? deadline - INHERIT_GRACE : deadline;
		list_init(&f->link);
		map_put(&in->by_inode, inode, f);
	}
	if (!inherited && deadline > f->deadline)
		f->deadline = deadline;
	f->at = now;
	list_remove(&f->link);
	list_append(&in->by_time, &f->link);
}

void inherit_forget(struct inherit *in, uint64_t inode)
{
	struct failure *f = map_get(&in->by_inode, inode);

	if (f)
		failure_free(in, f);
}
