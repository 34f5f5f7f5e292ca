/* SPDX-License-Identifier: MIT */
/* Drafts: the flags that the message is to have. Who copies attributes (cp -a, rsync -X) sets them
 * before he closes the file, or renames it; Python's shutil afterwards. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fs/draft.h"
#include "fs/xattr.h"
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

/* Whether the message has come in with these flags. */
static bool is_stored_with(const struct draft *d, const char *value, size_t size)
{
	const char *flags = d->flags ? d->flags : "";

	return !d->source && !d->found && !d->reflagged && strlen(flags) == size &&
	       memcmp(flags, value, size) == 0;
}

/* They are the message's by now, and stay it if it is stored once more, as for its date. */
static void set_stored(fuse_req_t req, struct draft *d, const char *value, size_t size)
{
	bool is_so = is_stored_with(d, value, size);
	int error = is_so ? 0 : d->uid ? set_flags(d, value, size) : EOPNOTSUPP;

	if (error || is_so) {
		fuse_reply_err(req, error);
		return;
	}
	d->reflagged = true;
	xattr_set_flags(req, d->ino, d->mb, d->uid, (struct span){value, size});
}

void draft_setxattr(
	fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	struct draft *d = draft_of(fuse_req_userdata(req), ino);
	int error = d ? EOPNOTSUPP : ESTALE;

	if (d && strcmp(name, "user.imap.flags") == 0) {
		if (d->state == DRAFT_STORED && size <= FLAGS_MAX) {
			set_stored(req, d, value, size);
			return;
		}
		error = size > FLAGS_MAX            ? E2BIG
			: d->state == DRAFT_STORING ? EBUSY
						    : set_flags(d, value, size);
	}
	fuse_reply_err(req, error);
}
