/* SPDX-License-Identifier: MIT */
#include "fs/seen.h"

#include "fs/filesystem.h"
#include "mail/change/changes.h"
#include "mail/change/intents.h"
#include "mail/model/flags.h"

/* Messages that were begun and not read to their end; when there are more all are forgotten. */
#define BEGUN_MAX 4096

/* How far the message was read from its beginning without a gap. */
static uint64_t reached(const struct fs *fs, fuse_ino_t ino)
{
	return map_number(&fs->begun, ino);
}

static void mark_seen(const struct body_read *read)
{
	const struct cache_message *m = mailbox_shown(read->mb, read->uid);
	const struct intent_ask ask = {.verb = INTENT_FLAGS, .diff = "+\\Seen"};
	struct flags_value value;

	/* Where it cannot be done nobody waits for it. */
	if (!m || intents_are_doubtful(read->mb, &change_flags) ||
		(flags_get(read->mb, m, &value) && (value.system & IMAP_FLAG_SEEN)))
		return;
	intents_put(read->mb, read->uid, &ask);
}

void seen_note(struct fs *fs, fuse_ino_t ino, const struct body_read *read, size_t n)
{
	const struct cache_message *m = mailbox_find(read->mb, read->uid);
	uint64_t end = read->offset + n, before = read->offset == 0 ? 0 : reached(fs, ino);

	if (!fs->options.seen || !m || read->offset > before)
		return;
	if (end >= m->size && !(m->flags & CACHE_SIZE_UNKNOWN)) {
		map_remove(&fs->begun, ino);
		mark_seen(read);
		return;
	}
	if (fs->begun.count >= BEGUN_MAX) {
		map_finish(&fs->begun);
		map_init(&fs->begun);
	}
	if (end > before)
		map_put_number(&fs->begun, ino, end);
}
