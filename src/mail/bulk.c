#include "mail/bulk.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/body_private.h"
#include "mail/uidset.h"

/* As many UIDs of 10 digits as one command surely takes. */
#define PARTS_MAX (UIDSET_TEXT_MAX / 11)

struct part {
	uint32_t uid;
	struct body *body;  /* held by its count of windows */
	uint64_t announced; /* octets of the literal */
	uint32_t got;
	uint32_t seq; /* of its row */
	bool begun, done, keep;
};

struct bulk {
	struct pool_task task;
	struct mailbox *mb;
	struct imap_command command;
	struct part parts[PARTS_MAX]; /* ascending UIDs once started */
	unsigned count;
	struct part *current; /* whose body is arriving */
};

struct bulk *bulk_create(struct mailbox *mb)
{
	struct bulk *b = mem_zalloc(sizeof(*b));

	b->mb = mb;
	imap_command_init(&b->command, false, NULL);
	return b;
}

bool bulk_is_full(const struct bulk *b)
{
	return b->count == PARTS_MAX;
}

void bulk_add(struct bulk *b, uint32_t uid, bool keep)
{
	struct body *body = body_hold(b->mb, uid);
	struct chunk *c = body_chunk(body, 0);
	c->fetching = true;
	c->n = 0;
	b->parts[b->count++] = (struct part){.uid = uid, .body = body, .keep = keep};
}

/* The part is over. Who waits for a message that did not come whole asks for it by a window. */
static void part_end(struct part *p)
{
	struct body *body = p->body;

	/* Then the body may be gone: the part held it no longer. */
	if (p->done)
		return;
	p->done = true;
	struct chunk *c = map_get(&body->chunks, 0);
	if (c)
		c->fetching = false;
	if (body->mb)
		body_wake(body);
	body->windows--;
	body_release(body);
}

static void finish(struct bulk *b)
{
	for (unsigned i = 0; i < b->count; i++)
		part_end(&b->parts[i]);
	imap_command_finish(&b->command);
	free(b);
}

static void on_fail(struct pool_task *t, int err)
{
	finish(list_entry(t, struct bulk, task));
}

static void on_done(struct imap_command *c, const struct imap_result *result)
{
	struct bulk *b = list_entry(c, struct bulk, command);

	pool_end(&b->task);
	finish(b);
}

static int compare(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return (x->uid > y->uid) - (x->uid < y->uid);
}

static struct part *find(struct bulk *b, uint32_t uid)
{
	struct part key = {.uid = uid};

	return bsearch(&key, b->parts, b->count, sizeof(key), compare);
}

/* --- octets --- */

static bool on_body_begin(
	struct pool_task *t, const struct imap_fetch *prefix, uint32_t uid, uint64_t size)
{
	struct bulk *b = list_entry(t, struct bulk, task);
	struct part *p = uid ? find(b, uid) : NULL;

	if (!p || p->begun || p->done || (prefix->has_origin && prefix->origin != 0))
		return false;
	p->begun = true;
	p->announced = size;
	p->seq = prefix->seq;
	b->current = p;
	return true;
}

static void append(struct part *p, struct span octets)
{
	struct chunk *c = body_chunk(p->body, 0);
	size_t n = octets.n < CACHE_CHUNK - p->got ? octets.n : CACHE_CHUNK - p->got;

	if (p->got == 0)
		body_chunk_reserve(p->body, c,
			p->announced < CACHE_CHUNK ? (uint32_t)p->announced : CACHE_CHUNK);
	memcpy(c->data + p->got, octets.p, n);
	p->got += (uint32_t)n;
}

static void on_body_data(struct pool_task *t, struct span octets)
{
	struct part *p = list_entry(t, struct bulk, task)->current;

	if (p->body->mb)
		append(p, octets);
}

static void on_body_end(struct pool_task *t)
{
}

/* The row was parsed to its end. The message is right if its octets are as many as RFC822.SIZE
 * promised and fewer than were asked for; else a window finds out. */
static void on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct bulk *b = list_entry(t, struct bulk, task);

	if (r->kind != IMAP_FETCH || r->fetch.body_kind != IMAP_BODY_STREAMED || uid == 0)
		return;
	struct part *p = find(b, uid);
	if (!p || !p->begun || p->done || r->fetch.seq != p->seq)
		return;
	struct body *body = p->body;
	const struct cache_message *m = body->mb ? mailbox_find(body->mb, uid) : NULL;
	if (m && p->got > 0 && p->got < CACHE_CHUNK && p->announced == p->got &&
		m->size == p->got) {
		struct chunk *c = body_chunk(body, 0);
		c->n = p->got;
		body_set_end(body, p->got);
		body_save_chunk(body, c);
		if (!p->keep)
			body_push(body, c);
	}
	part_end(p);
}

static void on_conn(struct pool_task *t)
{
	struct bulk *b = list_entry(t, struct bulk, task);
	struct uidset set = {0};
	struct buf text;

	for (unsigned i = 0; i < b->count; i++)
		uidset_add(&set, b->parts[i].uid, b->parts[i].uid);
	buf_init(&text, UIDSET_TEXT_MAX);
	uidset_take_text(&set, &text);
	uidset_finish(&set);
	imap_command_init(&b->command, false, on_done);
	imap_command_add(&b->command, "UID FETCH %s (UID BODY.PEEK[]<0.%u>)\r\n", buf_cstr(&text),
		CACHE_CHUNK);
	buf_finish(&text);
	pool_submit(t, &b->command);
}

void bulk_start(struct bulk *b)
{
	struct account *a = b->mb->account;

	qsort(b->parts, b->count, sizeof(b->parts[0]), compare);
	b->task = (struct pool_task){
		.mailbox = b->mb,
		.access = POOL_READ,
		.uid = b->parts[b->count - 1].uid,
		.bulk = true,
		.deadline = account_deadline(a),
		.on_conn = on_conn,
		.on_fail = on_fail,
		.on_untagged = on_untagged,
		.on_body_begin = on_body_begin,
		.on_body_data = on_body_data,
		.on_body_end = on_body_end,
	};
	pool_start(a->pool, &b->task);
}
