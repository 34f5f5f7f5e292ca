/* SPDX-License-Identifier: MIT */
/*
 * The last message of a mailbox that is fetched ahead is kept back from the kernel, so that its read
 * shows whether the reader took the mailbox as a whole. Who leaves out what was fetched is taken for
 * somebody who looks here and there, and begins again with little.
 */
#include "mail/read/across.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/mem.h"
#include "imap/parts.h"
#include "mail/model/trail.h"
#include "mail/read/ahead.h"
#include "mail/read/batch.h"
#include "mail/read/lookup.h"
#include "mail/read/private.h"

/* Octets ahead of the reader at first. */
#define LEAD_MIN ((uint64_t)1 << 20)
/* So many messages of a mailbox, or all, are read before its reader is believed to read on. */
#define READ_MIN 3
/* Mailboxes ahead of a reader, at most, and readers. */
#define AHEAD_MAX 64
#define READERS 4
/* Milliseconds after which somebody who was not seen is no reader any more for whom messages come along
 * with rows, and how many mailboxes behind these he may be. */
#define READER_LIFE 10000
#define BEHIND_MAX 128
/* Octets of each message that come along with rows, at least. */
#define ALONG_MIN (16u << 10)
/* Messages whose sizes are looked at. */
#define SAMPLE 64

/* A mailbox that is fetched ahead. */
struct coming {
	uint32_t id;
	uint64_t octets;
};

/* Somebody who reads messages of one mailbox after the other. */
struct reader {
	uint32_t mailbox;                /* that is being read; 0: nobody is there */
	uint64_t used;                   /* the account's count of notes when it was seen last */
	uint64_t seen;                   /* uv_now then */
	unsigned read;                   /* messages of the mailbox that were seen to be read */
	uint32_t uid;                    /* the last of these */
	bool kept_read;                  /* and the one that was kept back */
	bool goes_on;                    /* as expected: he is kept ahead of */
	struct trail_track track;        /* then: how far */
	uint64_t lead;                   /* octets that may be ahead */
	uint64_t ahead;                  /* octets of `coming` */
	struct coming coming[AHEAD_MAX]; /* in the order of the walk */
	size_t count;
};

struct across {
	struct account *account;
	struct trail trail;
	struct reader readers[READERS];
	uint64_t notes;
};

/* Nobody reads there. */
static bool has_nothing(const struct mailbox *mb)
{
	return !mailbox_selectable(mb) || (mb->messages.complete && mailbox_count(mb) == 0);
}

struct across *across_create(struct account *a)
{
	struct across *x = mem_zalloc(sizeof(*x));

	x->account = a;
	x->trail = (struct trail){.tree = &a->tree, .is_skipped = has_nothing};
	return x;
}

void across_destroy(struct across *x)
{
	free(x);
}

/* Whether the mailbox that was read until now was read as a whole, as far as that shows. */
static bool was_read(const struct across *x, const struct reader *r)
{
	struct mailbox *mb = tree_mailbox(&x->account->tree, r->mailbox);

	if (!mb || mb->dead)
		return false;
	return r->kept_read || r->read >= READ_MIN || r->read >= mailbox_count(mb);
}

static size_t find_coming(const struct reader *r, const struct mailbox *mb)
{
	size_t at = 0;

	while (at < r->count && r->coming[at].id != mb->id)
		at++;
	return at;
}

/* The reader has come to the mailbox: what was to come before it is over. */
static void drop_passed(struct reader *r, const struct mailbox *mb)
{
	size_t at = find_coming(r, mb);

	at = at < r->count ? at + 1 : 0;
	for (size_t i = 0; i < at; i++)
		r->ahead -= r->coming[i].octets;
	r->count -= at;
	memmove(r->coming, r->coming + at, r->count * sizeof(r->coming[0]));
}

/* Looks the mailbox's small messages up, up to so many octets; returns how many those are, with what is
 * there already or on its way. */
static uint64_t look_up_mailbox(struct mailbox *mb, uint64_t most, bool selected)
{
	struct lookup *l = lookup_create(mb);
	uint64_t octets = 0;
	uint32_t uid = 0;

	for (const struct cache_message *m = mailbox_after(mb, 0); m && octets < most;
		m = mailbox_after(mb, uid)) {
		uid = m->uid;
		if ((m->flags & CACHE_SIZE_UNKNOWN) || m->size == 0 || m->size >= BATCH_MESSAGE_MAX)
			continue;
		octets += m->size;
		/* As it does when it came along with the rows. */
		if (body_has(mb, uid, NULL, 0))
			continue;
		lookup_add(l, uid, 0);
		/* The kernel takes only what belongs to a file that it knows. */
		if (mb->names.cached_version == 0)
			lookup_keep(l, uid);
	}
	mb->reading.kept = mailbox_last(mb);
	lookup_keep(l, mb->reading.kept);
	if (!selected)
		lookup_foresee(l);
	lookup_start(l);
	return octets;
}

static bool may_look_further(const struct across *x, const struct reader *r)
{
	struct cache_counts counts;

	cache_counts(x->account->cache, &counts);
	return r->ahead < r->lead && r->count < AHEAD_MAX && counts.queued < BODY_QUEUE_MAX;
}

static void keep_ahead(struct across *x, struct reader *r)
{
	struct mailbox *mb;

	while (may_look_further(x, r) && (mb = trail_peek(&x->trail, &r->track))) {
		/* Its rows are still to come. */
		if (!mb->messages.complete || !mb->messages.loaded)
			return;
		trail_step(&x->trail, &r->track);
		uint64_t octets = look_up_mailbox(mb, r->lead - r->ahead, false);
		r->coming[r->count++] = (struct coming){mb->id, octets};
		r->ahead += octets;
	}
}

/* --- readers --- */

static struct reader *find_reader(struct across *x, const struct mailbox *mb)
{
	for (size_t i = 0; i < READERS; i++)
		if (x->readers[i].mailbox == mb->id && x->readers[i].used)
			return &x->readers[i];
	return NULL;
}

/* Who was a little before the mailbox on this walk. */
static struct reader *find_behind(
	struct across *x, const struct trail_track *track, const struct mailbox *mb)
{
	for (size_t i = 0; i < READERS; i++)
		if (x->readers[i].used &&
			trail_is_behind(&x->trail, x->readers[i].mailbox, mb, track->order))
			return &x->readers[i];
	return NULL;
}

static struct reader *oldest_reader(struct across *x)
{
	struct reader *oldest = &x->readers[0];

	for (size_t i = 1; i < READERS; i++)
		if (x->readers[i].used < oldest->used)
			oldest = &x->readers[i];
	return oldest;
}

static void go_on_reading(
	struct across *x, struct reader *r, const struct trail_track *track, struct mailbox *mb)
{
	uint64_t most = pool_lead(x->account->pool);

	drop_passed(r, mb);
	if (!r->goes_on || r->track.order != track->order || r->count == 0) {
		r->track = *track;
		r->track.reached = mb->id;
		r->count = 0;
		r->ahead = 0;
	}
	/* Not fetched ahead: now that it is read as well, as a whole. */
	if (mb->reading.kept == 0)
		look_up_mailbox(mb, LEAD_MIN, true);
	r->lead = !r->goes_on ? LEAD_MIN : r->lead * 2 < most ? r->lead * 2 : most;
	r->goes_on = true;
}

/* A reader comes to the mailbox. */
static struct reader *note_mailbox(struct across *x, struct mailbox *mb)
{
	const struct trail_track *track = trail_note(&x->trail, mb, uv_now(mb->account->loop));
	struct reader *r = track ? find_behind(x, track, mb) : NULL;

	if (r && was_read(x, r)) {
		go_on_reading(x, r, track, mb);
	} else {
		r = r ? r : oldest_reader(x);
		*r = (struct reader){.mailbox = mb->id};
	}
	r->mailbox = mb->id;
	r->read = 0;
	r->uid = 0;
	r->kept_read = false;
	return r;
}

void across_note(struct mailbox *mb, uint32_t uid)
{
	struct across *x = mb->account->across;
	struct reader *r = find_reader(x, mb);

	if (!r)
		r = note_mailbox(x, mb);
	r->used = ++x->notes;
	r->seen = uv_now(mb->account->loop);
	r->read += uid != r->uid;
	r->uid = uid;
	r->kept_read |= uid == mb->reading.kept;
	if (r->goes_on)
		keep_ahead(x, r);
}

/* --- messages along with rows --- */

/* What comes along for a reader. */
struct along {
	uint32_t octets; /* of each message, at most */
	uint64_t each;   /* that a message is counted for */
	uint64_t lead;   /* that may be between him and the mailbox's end */
};

static uint64_t mean_octets(struct mailbox *mb)
{
	const struct cache_message *m = mailbox_after(mb, 0);
	uint64_t octets = 0, n = 0;

	for (; m && n < SAMPLE; m = mailbox_after(mb, m->uid), n++)
		octets += m->flags & CACHE_SIZE_UNKNOWN ? 0 : m->size;
	return n ? octets / n + 1 : 1;
}

/* Who may not go on gets no more than LEAD_MIN, whatever the sizes are. */
static struct along along_for(const struct across *x, const struct reader *r)
{
	struct mailbox *here = tree_mailbox(&x->account->tree, r->mailbox);
	uint64_t mean = mean_octets(here), octets = (4 * mean + 4095) / 4096 * 4096;
	uint32_t most = ahead_beginning(here) ? ahead_beginning(here) : CACHE_CHUNK + 1;
	bool sure = r->goes_on && r->lead > LEAD_MIN;

	if (octets < ALONG_MIN)
		octets = ALONG_MIN;
	if (octets > most || sure)
		octets = most;
	return (struct along){
		.octets = (uint32_t)octets,
		.each = sure && mean < octets ? mean : octets,
		.lead = sure ? r->lead : LEAD_MIN,
	};
}

/* He reads what he comes to. */
static bool reads_on(const struct across *x, const struct reader *r)
{
	const struct mailbox *here = tree_mailbox(&x->account->tree, r->mailbox);

	if (!here || here->dead || uv_now(x->account->loop) - r->seen > READER_LIFE)
		return false;
	return r->goes_on || was_read(x, r);
}

static uint64_t count_messages(const struct mailbox *mb)
{
	return mb->messages.complete ? mailbox_count(mb) : mb->freshness.status.messages;
}

/* Octets from the reader to the end of the mailbox, UINT64_MAX: it is not in front of him, or far
 * away. */
static uint64_t octets_between(const struct across *x, const struct reader *r,
	enum mailbox_order order, const struct mailbox *mb, uint64_t each)
{
	struct trail_track at = {.order = order, .reached = r->mailbox};
	const struct mailbox *next;
	uint64_t octets = 0;

	while (at.ahead < BEHIND_MAX && (next = trail_peek(&x->trail, &at))) {
		trail_step(&x->trail, &at);
		octets += each * count_messages(next);
		if (next == mb)
			return octets;
	}
	return UINT64_MAX;
}

bool across_on_ahead(
	void *ctx, enum mailbox_order order, struct mailbox *mb, struct sync_rider **rider)
{
	struct across *x = ctx;
	bool later = false;

	uint32_t next = mb->freshness.status.uidnext;

	if (mb->messages.complete || mb->messages.rows.count > 0)
		return true;
	/* What has come since STATUS may be any number. */
	if (count_messages(mb) > IMAP_PARTS_MAX || next < 2)
		return true;
	if (!pool_may_fetch(mb->account->pool))
		return true;
	for (size_t i = 0; i < READERS; i++) {
		const struct reader *r = &x->readers[i];
		if (!r->used || !reads_on(x, r))
			continue;
		struct along along = along_for(x, r);
		uint64_t octets = octets_between(x, r, order, mb, along.each);
		if (octets <= along.lead) {
			*rider = batch_create_rider(mb, next - 1, along.octets);
			return true;
		}
		later |= octets != UINT64_MAX;
	}
	return !later;
}
