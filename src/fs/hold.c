/* SPDX-License-Identifier: MIT */
#include "fs/hold.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fs/draft.h"
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "fs/inode.h"
#include "fs/process.h"
#include "mail/change/intents.h"
#include "mail/model/given.h"

#define NOT_KNOWN ((pid_t)-1)

struct free_name {
	struct list link; /* fs.free_names, the oldest first */
	fuse_ino_t directory;
	pid_t by;
	uint64_t until; /* uv_now */
	char name[];
};

static pid_t process_by(pid_t thread)
{
	pid_t id = process_of(thread).id;

	return id ? id : NOT_KNOWN;
}

pid_t hold_process(fuse_req_t req)
{
	return process_by(fuse_req_ctx(req)->pid);
}

/* Those that remove a file first and then make it anew. */
static const char *const replacers[] = {"7z", "7za", "7zr", "bsdcpio", "bsdtar", "cp", "cpio",
	"emacs", "gio", "install", "mv", "nano", "nvim", "pax", "rsync", "star", "tar", "unar",
	"unzip", "vi", "vim"};

static bool is_replacer(const struct process *p)
{
	char name[PROCESS_NAME_SIZE];

	process_name(p, name);
	for (size_t i = 0; i < sizeof(replacers) / sizeof(replacers[0]); i++)
		if (strcmp(name, replacers[i]) == 0)
			return true;
	return false;
}

bool hold_may_replace(struct fs *fs, fuse_req_t req)
{
	pid_t thread = fuse_req_ctx(req)->pid;
	struct process p = process_of(thread);

	return process_is_known(&p) && (is_replacer(&p) || draft_is_writer(fs, thread));
}

/* Who removed just now what was called so, which is *uid; 0: nobody. */
static pid_t removed_by(const struct fs *fs, struct mailbox *mb, const char *name, uint32_t *uid)
{
	if (!entry_parse_name(fs, mb, name, uid) || !mailbox_hidden(mb, *uid))
		*uid = given_find(mb, name);
	/* By its number alone: it was alive a moment ago. */
	return *uid ? intents_removed_by(mb, *uid) : 0;
}

/* It cannot put anything there any more, if another one does. */
static bool wanted_to_replace(pid_t by)
{
	struct process p = process_of(by);

	return process_is_known(&p) && is_replacer(&p);
}

uint32_t hold_take_back(struct fs *fs, fuse_req_t req, struct mailbox *mb, const char *name)
{
	uint32_t uid;
	pid_t by = removed_by(fs, mb, name, &uid);

	if (by == 0 || (by != hold_process(req) && !wanted_to_replace(by)))
		return 0;
	return intents_take_back(mb, uid, by) ? uid : 0;
}

void hold_keep(const struct fs *fs, struct mailbox *mb, const char *name)
{
	uint32_t uid;
	pid_t by = removed_by(fs, mb, name, &uid);

	if (by != 0 && wanted_to_replace(by))
		intents_take_back(mb, uid, by);
}

bool hold_finds(const struct fs *fs, pid_t thread, struct mailbox *mb, const char *name)
{
	uint32_t uid;
	pid_t by = removed_by(fs, mb, name, &uid);

	return by != 0 && by == process_by(thread);
}

static void free_first(struct fs *fs)
{
	struct free_name *f = list_entry(fs->free_names.next, struct free_name, link);

	list_remove(&f->link);
	free(f);
}

static void drop_old(struct fs *fs)
{
	while (!list_empty(&fs->free_names) &&
		list_entry(fs->free_names.next, struct free_name, link)->until < uv_now(fs->loop))
		free_first(fs);
}

void hold_free_name(struct fs *fs, fuse_req_t req, struct mailbox *mb, const char *name)
{
	size_t n = strlen(name) + 1;
	struct free_name *f = mem_zalloc(sizeof(*f) + n);

	drop_old(fs);
	f->directory = inode_of_directory(fs, mb);
	f->by = hold_process(req);
	f->until = uv_now(fs->loop) + INTENTS_HOLD;
	memcpy(f->name, name, n);
	list_append(&fs->free_names, &f->link);
}

bool hold_is_free(struct fs *fs, pid_t thread, const struct mailbox *mb, const char *name)
{
	drop_old(fs);
	LIST_FOREACH (pos, &fs->free_names) {
		const struct free_name *f = list_entry(pos, struct free_name, link);
		if (f->directory == inode_of_directory(fs, mb) && strcmp(f->name, name) == 0 &&
			f->by == process_by(thread))
			return true;
	}
	return false;
}

void hold_finish(struct fs *fs)
{
	while (!list_empty(&fs->free_names))
		free_first(fs);
}
