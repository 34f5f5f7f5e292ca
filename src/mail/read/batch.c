/* SPDX-License-Identifier: MIT */
#include "mail/read/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "imap/parts.h"
#include "mail/read/answer.h"
#include "mail/read/private.h"

/* What becomes of a message. */
struct wish {
	struct body *body; /* held by its count of fetches; NULL: released, it is over */
	bool keep;         /* not to be pushed into the kernel */
};

struct batch {
	struct pool_task task;
	struct sync_rider rider; /* where its messages become known as it goes: parts.all */
	struct mailbox *mb;
	const struct body_section *section; /* NULL: the messages */
	struct imap_command command;
	struct imap_parts parts; /* owners: wishes */
	struct wish wishes[IMAP_PARTS_MAX];
};

struct batch *batch_create(struct mailbox *mb)
{
	struct batch *b = mem_zalloc(sizeof(*b));

	b->mb = mb;
	b->parts.octets = CACHE_CHUNK;
	imap_command_init(&b->command, false, NULL);
	return b;
}

void batch_want_chunks(struct batch *b)
{
	b->parts.octets = CACHE_CHUNK + 1;
}

void batch_want_beginnings(struct batch *b, uint32_t octets)
{
	b->parts.octets = octets;
}

void batch_want_headers(struct batch *b, const struct body_section *section)
{
	b->section = section;
	b->parts.section = section->name;
}

bool batch_is_full(const struct batch *b)
{
	return b->parts.count == IMAP_PARTS_MAX;
}

void batch_add(struct batch *b, uint32_t uid, bool keep)
{
	struct wish *wish = &b->wishes[b->parts.count];

	*wish = (struct wish){body_hold(b->mb, uid, b->section), keep};
	struct chunk *c = chunk_make(wish->body, 0);
	c->fetching = true;
	c->n = 0;
	imap_parts_add(&b->parts, uid, wish);
}

/* Who waits for a message that did not come whole asks for it by a window. */
static void release_wish(struct wish *wish)
{
	struct body *body = wish->body;

	if (!body)
		return;
	wish->body = NULL;
	struct chunk *c = map_get(&body->chunks, 0);
	if (c)
		c->fetching = false;
	if (body->mb)
		body_wake(body);
	body->fetches--;
	body_release(body);
}

static void batch_destroy(struct batch *b)
{
	for (unsigned i = 0; i < b->parts.count; i++)
		release_wish(b->parts.at[i].owner);
	imap_command_finish(&b->command);
	free(b);
}

static void batch_on_fail(struct pool_task *t, int err)
{
	batch_destroy(list_entry(t, struct batch, task));
}

static void batch_on_done(struct imap_command *c, const struct imap_result *result)
{
	struct batch *b = list_entry(c, struct batch, command);

	pool_end(&b->task);
	batch_destroy(b);
}

/* --- octets --- */

static bool batch_on_body_begin(
	struct pool_task *t, const struct imap_fetch *prefix, uint32_t uid, uint64_t size)
{
	struct batch *b = list_entry(t, struct batch, task);

	return imap_parts_begin(&b->parts, prefix, uid, size, pool_is_next(t, &b->command));
}

static bool batch_on_section_begin(
	struct pool_task *t, const struct imap_fetch *prefix, uint32_t uid, uint64_t size)
{
	const struct batch *b = list_entry(t, struct batch, task);
	const struct imap_fetch it = answer_of_section(prefix, b->parts.section);

	return it.body_kind != IMAP_BODY_ABSENT && batch_on_body_begin(t, &it, uid, size);
}

/* A chunk holds what is believed of a message that is announced as small. */
static void keep_part(struct body *body, const struct imap_part *part, struct span octets)
{
	struct chunk *c = chunk_make(body, 0);

	if (part->got >= CACHE_CHUNK)
		return;
	size_t room = CACHE_CHUNK - part->got, n = octets.n < room ? octets.n : room;
	if (part->got == 0)
		chunk_reserve(body, c,
			part->announced < CACHE_CHUNK ? (uint32_t)part->announced : CACHE_CHUNK);
	memcpy(c->data + part->got, octets.p, n);
}

static void batch_on_body_data(struct pool_task *t, struct span octets)
{
	struct imap_parts *parts = &list_entry(t, struct batch, task)->parts;
	const struct wish *wish = parts->current->owner;

	if (wish->body->mb)
		keep_part(wish->body, parts->current, octets);
	imap_parts_count(parts, octets);
}

/* The octets are the message if they are as many as RFC822.SIZE promised and fewer than were asked
 * for; and its beginning, or all of its first chunk and more, if they are as many as were asked for,
 * and no more than promised. Else a window finds out. */
enum right { RIGHT_NOT, RIGHT_WHOLE, RIGHT_BEGINNING, RIGHT_CHUNK };

static enum right is_right(const struct batch *b, struct body *body, const struct imap_part *part)
{
	const struct cache_message *m = body->mb ? mailbox_find(body->mb, part->uid) : NULL;

	if (!m || !part->complete || part->got == 0)
		return RIGHT_NOT;
	if (b->section)
		return part->got < b->parts.octets && chunk_ends_header(body, part->got)
			       ? RIGHT_WHOLE
			       : RIGHT_NOT;
	if (part->got < b->parts.octets && m->size == part->got)
		return RIGHT_WHOLE;
	if (part->got < b->parts.octets || m->size < part->got)
		return RIGHT_NOT;
	if (part->got > CACHE_CHUNK)
		return RIGHT_CHUNK;
	return part->got < CACHE_CHUNK && m->size > part->got ? RIGHT_BEGINNING : RIGHT_NOT;
}

/* Where the rows come along: the kernel takes only what belongs to a file that it knows, and the last
 * is what the others are kept back from it for, see across.c. */
static bool is_kept(const struct batch *b, const struct wish *wish)
{
	struct mailbox *mb = b->mb;

	if (b->parts.all == 0)
		return wish->keep || b->section;
	return mb->names.cached_version == 0 || wish->body->uid == mailbox_last(mb);
}

static void take_part(const struct batch *b, struct wish *wish, enum right right, uint64_t octets)
{
	struct chunk *c = chunk_make(wish->body, 0);

	c->n = octets < CACHE_CHUNK ? (uint32_t)octets : CACHE_CHUNK;
	if (right == RIGHT_WHOLE)
		body_set_end(wish->body, octets);
	if (right != RIGHT_BEGINNING)
		chunk_save(wish->body, c);
	if (!is_kept(b, wish))
		body_push(wish->body, c);
}

/* A row of the command before: the message is on its way. */
static void note_coming(struct batch *b, const struct imap_fetch *row, uint32_t uid)
{
	const struct cache_message *m = mailbox_find(b->mb, uid);

	if (uid > b->parts.all || !row->has_size || !m || (m->flags & CACHE_SIZE_UNKNOWN) ||
		m->size == 0)
		return;
	if (!batch_is_full(b) && !body_has(b->mb, uid, NULL, 0))
		batch_add(b, uid, false);
}

static void batch_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct batch *b = list_entry(t, struct batch, task);

	if (r->kind != IMAP_FETCH)
		return;
	const struct imap_fetch row = answer_of_section(&r->fetch, b->parts.section);
	if (row.body_kind == IMAP_BODY_ABSENT && b->parts.all != 0)
		note_coming(b, &row, uid);
	if (row.body_kind != IMAP_BODY_STREAMED)
		return;
	const struct imap_part *part = imap_parts_end(
		&b->parts, &row, uid, pool_is_next(t, &b->command));
	struct wish *wish = part ? part->owner : NULL;
	if (!wish || !wish->body)
		return;
	enum right right = is_right(b, wish->body, part);
	if (right != RIGHT_NOT)
		take_part(b, wish, right, part->got);
	release_wish(wish);
}

static void ask(struct batch *b)
{
	imap_command_begin(&b->command, false, batch_on_done);
	imap_parts_ask(&b->parts, &b->command);
}

static void batch_on_conn(struct pool_task *t)
{
	struct batch *b = list_entry(t, struct batch, task);

	ask(b);
	pool_submit(t, &b->command);
}

const char *batch_text(struct batch *b)
{
	ask(b);
	return buf_cstr(&b->command.text);
}

void batch_start_foreseen(struct batch *b, unsigned number, bool awaited)
{
	struct account *a = b->mb->account;

	b->task = (struct pool_task){
		.mailbox = b->mb,
		.access = POOL_READ,
		.uid = b->parts.count ? b->parts.at[b->parts.count - 1].uid : 0,
		.bulk = !awaited,
		.fetches = true,
		.deadline = account_deadline(a),
		.on_conn = batch_on_conn,
		.on_fail = batch_on_fail,
		.on_untagged = batch_on_untagged,
		.on_body_begin = b->section ? NULL : batch_on_body_begin,
		.on_section_begin = b->section ? batch_on_section_begin : NULL,
		.on_body_data = batch_on_body_data,
	};
	pool_start(a->pool, &b->task);
	b->task.foreseen = number;
	b->task.only_foreseen = awaited && number != 0;
}

void batch_start(struct batch *b)
{
	batch_start_foreseen(b, 0, false);
}

void batch_foresee(struct batch *const *batches, size_t n)
{
	const char *texts[POOL_FORESEEN_MAX] = {NULL};
	struct mailbox *mb = batches[0]->mb;

	for (size_t i = 0; i < n; i++)
		texts[i] = batch_text(batches[i]);
	struct pool *p = mb->account->pool;
	unsigned number = pool_may_fetch(p) ? pool_foresee(p, mb, texts, n) : 0;
	for (size_t i = 0; i < n; i++)
		batch_start_foreseen(batches[i], number, false);
}

static const char *batch_rider_text(struct sync_rider *r)
{
	return batch_text(list_entry(r, struct batch, rider));
}

static void batch_rider_start(struct sync_rider *r, unsigned number)
{
	struct batch *b = list_entry(r, struct batch, rider);

	if (number == 0)
		batch_destroy(b);
	else
		batch_start_foreseen(b, number, true);
}

struct sync_rider *batch_create_rider(struct mailbox *mb, uint32_t last, uint32_t octets)
{
	struct batch *b = batch_create(mb);

	b->parts.all = last;
	b->parts.octets = octets;
	b->rider = (struct sync_rider){.text = batch_rider_text, .start = batch_rider_start};
	return &b->rider;
}
