/* SPDX-License-Identifier: MIT */
#include "fs/opened.h"

#include <stdlib.h>

#include "base/mem.h"
#include "fs/filesystem.h"

struct opened {
	unsigned count;
	struct stat is; /* st_ino 0: not known */
};

void opened_add(struct fs *fs, fuse_ino_t ino, const struct stat *is)
{
	struct opened *o = map_get(&fs->opened, ino);

	if (!o) {
		o = mem_zalloc(sizeof(*o));
		map_put(&fs->opened, ino, o);
	}
	o->count++;
	if (is)
		o->is = *is;
}

void opened_drop(struct fs *fs, fuse_ino_t ino)
{
	struct opened *o = map_get(&fs->opened, ino);

	if (o && --o->count == 0)
		free(map_remove(&fs->opened, ino));
}

void opened_note(struct fs *fs, fuse_ino_t ino, const struct stat *is)
{
	struct opened *o = map_get(&fs->opened, ino);

	if (o)
		o->is = *is;
}

const struct stat *opened_find(const struct fs *fs, fuse_ino_t ino)
{
	const struct opened *o = map_get(&fs->opened, ino);

	return o && o->is.st_ino ? &o->is : NULL;
}

static void free_opened(void *ctx, uint64_t ino, void *value)
{
	free(value);
}

void opened_finish(struct fs *fs)
{
	map_each(&fs->opened, free_opened, NULL);
	map_finish(&fs->opened);
}
