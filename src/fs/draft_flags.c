/* SPDX-License-Identifier: MIT */
/* Drafts: the flags that the message is to have. Who copies attributes (cp -a, rsync -X) sets them
 * before he closes the file, or renames it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fs/draft.h"
#include "imap/flags.h"

#define FLAGS_MAX 4096

/* 0 or an errno. A message that is put in is recent, or not, as the server has it. */
static int check_word(struct span word)
{
	unsigned flag = imap_flag_of(word);

	if (flag)
		return flag & IMAP_FLAGS_KEPT ? 0 : EPERM;
	return imap_is_keyword(word) ? 0 : EINVAL;
}

static int check_flags(const char *text)
{
	int error = 0;

	for (size_t n; error == 0 && *text; text += n) {
		text += strspn(text, " ");
		n = strcspn(text, " ");
		error = n ? check_word((struct span){text, n}) : 0;
	}
	return error;
}

static int set_flags(struct draft *d, const char *value, size_t size)
{
	if (d->state != DRAFT_WRITTEN)
		return EACCES;
	char *flags = mem_copy(value, size);
	int error = strlen(flags) == size ? check_flags(flags) : EINVAL;
	if (error) {
		free(flags);
		return error;
	}
	free(d->flags);
	d->flags = flags;
	return 0;
}

void draft_set_flags(struct draft *d, const char *flags)
{
	free(d->flags);
	d->flags = mem_strdup(flags);
}

void draft_setxattr(
	fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	struct draft *d = draft_of(fuse_req_userdata(req), ino);
	int error = d ? EOPNOTSUPP : ESTALE;

	if (d && strcmp(name, "user.imap.flags") == 0)
		error = size > FLAGS_MAX ? E2BIG : set_flags(d, value, size);
	fuse_reply_err(req, error);
}
