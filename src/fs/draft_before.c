/* SPDX-License-Identifier: MIT */
/*
 * A message that was written again by who has written it: the new one is there, and the one before is
 * removed, as unlink does it: it goes to the trash, or stays, as -o delete= says. It must be known for
 * that: what is removed is compared with what was shown. One that has got another date and nothing else
 * is no loss, and does not go to the trash.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/draft.h"
#include "fs/filesystem.h"
#include "mail/change/changes.h"
#include "mail/change/intents.h"
#include "mail/change/trash.h"
#include "mail/sync/sync.h"

struct before {
	struct fs *fs;
	struct mailbox *mb; /* held */
	uint32_t uid;
	struct mailbox *trash; /* held; NULL: it is expunged */
	struct mailbox_wait wait;
	struct change removal;
	char name[256];
};

static void before_end(struct before *b, int err)
{
	if (err < 0 && err != ERR_GONE)
		log_warning("%s was written again, but message %u, which is what it was before, "
			    "stays: %s",
			b->name, b->uid, error_text(err));
	mailbox_release(b->mb);
	mailbox_release(b->trash);
	free(b);
}

static void before_on_removed(struct change *r, int err)
{
	before_end(list_entry(r, struct before, removal), err);
}

static void remove_known(struct before *b)
{
	const struct verb *verb = b->trash ? &change_move : &change_remove;
	struct intent_ask ask = {.verb = b->trash ? INTENT_MOVE : INTENT_REMOVE, .to = b->trash};

	/* Whoever drains waits for it, and the next mount does it if this one cannot. */
	if (!b->fs->options.sync && !intents_are_doubtful(b->mb, verb)) {
		int err = intents_put(b->mb, b->uid, &ask);
		before_end(b, err == ERR_INVALID ? ERR_GONE : err);
		return;
	}
	b->removal = (struct change){.verb = verb,
		.mb = b->mb,
		.uid = b->uid,
		.to = b->trash,
		.on_done = before_on_removed};
	list_init(&b->removal.link);
	changes_start(&b->removal);
}

static void before_on_checked(struct mailbox_wait *w, int err)
{
	struct before *b = list_entry(w, struct before, wait);

	if (mailbox_find(b->mb, b->uid))
		remove_known(b);
	else
		before_end(b, err < 0 ? err : ERR_GONE);
}

void draft_remove_before(struct draft *d, uint32_t uid)
{
	struct mailbox *trash = NULL;

	if (!d->redated && !trash_find(d->fs->account, d->mb, &trash)) {
		log_notice("%s was written again; message %u, which is what it was before, stays",
			draft_path(d), uid);
		return;
	}
	struct before *b = mem_zalloc(sizeof(*b));
	b->fs = d->fs;
	b->mb = mailbox_hold(d->mb);
	b->uid = uid;
	b->trash = mailbox_hold(trash);
	snprintf(b->name, sizeof(b->name), "%s", draft_path(d));
	if (mailbox_find(b->mb, uid)) {
		remove_known(b);
		return;
	}
	b->wait = (struct mailbox_wait){.on_wake = before_on_checked};
	sync_start(b->mb);
	mailbox_wait(b->mb, &b->wait);
}
