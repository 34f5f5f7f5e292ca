/*
 * One window: a run of chunks of one message, asked for by one `UID FETCH n (UID
 * BODY.PEEK[]<start.octets>)`.
 *
 * The octets are appended to the chunks as they come, and readers that wait for them are answered,
 * but not from the last of them before the whole FETCH response was parsed: a literal that is
 * shorter than announced goes on with other octets. What an answer tells about the end of the
 * message is ending.h's to say: where it may be, the window asks for one octet before its own, and
 * where RFC822.SIZE says that the message ends with the window, for one behind it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/backoff.h"
#include "mail/body_private.h"
#include "mail/ending.h"
#include "mail/sync.h"

/* Connections that may be lost before a window gives up. */
/* Looks at the list of messages before one without data counts as unreadable. */
#define LOOKS_MAX 3
#define ATTEMPTS 3
/* Octets before a literal's end that are not shown while it is not whole. */
#define HELD_BACK (64u << 10)

struct window {
	struct pool_task task;
	struct body *body;
	uint32_t uid;
	uint32_t first, count; /* chunks */
	struct imap_command command;
	unsigned attempts;        /* connections lost */
	unsigned broken;          /* in the middle of this very body */
	unsigned empties;         /* answers without octets */
	uint64_t short_at;        /* see struct ending_answer */
	bool grown;               /* see struct ending_answer */
	bool look_back;           /* ask from an octet before the window's own */
	struct mailbox_wait wait; /* for the list, which tells whether the message is there */
	unsigned looks;           /* at the list of messages, for one that has no data */

	/* The command under way. */
	uint64_t start, wanted; /* octets of the window that are still to come */
	uint64_t from, asked;   /* octets of the command: those, and perhaps one on either side */
	uint64_t got;           /* wanted ones */
	uint64_t came;          /* all of the answer */
	uint64_t announced;     /* the literal's octets from `start` on */
	uint64_t skip;          /* octets to pass over, before `start` */
	uint64_t whole;         /* octets of the message, when the server sends it whole; else 0 */
	bool begun;             /* a body was claimed */
	bool ended;             /* and its row was seen */
	bool row;               /* any row of the message was seen */
	bool origin_said;
	bool uid_said; /* the body is this message's for certain */
	uint32_t seq;  /* of the body, while it is not certain */
	bool nonsense; /* the body is not what was asked for */
};

static void send_window(struct window *w);
static void send_noop(struct window *w);

static void window_end(struct window *w)
{
	struct body *b = w->body;

	for (uint32_t i = w->first; i < w->first + w->count; i++) {
		struct chunk *c = map_get(&b->chunks, i);
		if (c)
			c->fetching = false;
	}
	imap_command_finish(&w->command);
	b->windows--;
}

/* Frees the window; the body's readers are answered, or fail with err. */
static void window_finish(struct window *w, int err)
{
	struct body *b = w->body;

	window_end(w);
	free(w);
	if (b->mb) {
		/* Readers may come and go while they are told: the count keeps b. */
		b->windows++;
		if (err < 0)
			body_fail(b, err);
		else
			body_wake(b);
		b->windows--;
	}
	body_release(b);
}

static void window_queue(struct window *w)
{
	struct account *a = w->body->pool->account;

	w->task.mailbox = w->body->mb;
	w->task.deadline = account_deadline(a);
	pool_start(a->pool, &w->task);
}

/* --- octets --- */

/* Lets readers see what came, up to limit octets of the answer. */
static void show(struct window *w, uint64_t limit)
{
	uint64_t end = w->start + (w->got < limit ? w->got : limit);

	for (uint32_t i = w->first; i < w->first + w->count; i++) {
		struct chunk *c = map_get(&w->body->chunks, i);
		uint64_t from = (uint64_t)i * CACHE_CHUNK;
		if (!c || end <= from)
			continue;
		uint32_t n = end - from < CACHE_CHUNK ? (uint32_t)(end - from) : CACHE_CHUNK;
		if (n > c->n)
			c->n = n;
	}
}

static void append(struct window *w, struct span octets)
{
	struct body *b = w->body;

	w->came += octets.n;
	if (w->skip > 0) {
		size_t n = octets.n < w->skip ? octets.n : (size_t)w->skip;
		w->skip -= n;
		octets.p += n;
		octets.n -= n;
	}
	while (octets.n > 0 && w->got < w->wanted) {
		uint64_t at = w->start + w->got;
		struct chunk *c = body_chunk(b, (uint32_t)(at / CACHE_CHUNK));
		uint32_t from = (uint32_t)(at % CACHE_CHUNK);
		size_t n = octets.n;
		if (n > CACHE_CHUNK - from)
			n = CACHE_CHUNK - from;
		if (n > w->wanted - w->got)
			n = (size_t)(w->wanted - w->got);
		/* Small messages get what they need, large ones whole chunks. */
		uint64_t expected = w->announced - w->got;
		uint32_t cap = expected > CACHE_CHUNK - from ? CACHE_CHUNK
							     : from + (uint32_t)expected;
		body_chunk_reserve(b, c, cap > from + n ? cap : from + (uint32_t)n);
		memcpy(c->data + from, octets.p, n);
		c->fetching = true;
		w->got += n;
		octets.p += n;
		octets.n -= n;
	}
}

/* Without an origin it may be the part that was asked for, or the server ignores partials and sends
 * everything from octet 0. Where the length does not tell which it is nonsense. */
static void interpret(struct window *w, uint64_t size)
{
	const struct cache_message *m = mailbox_find(w->body->mb, w->uid);
	uint64_t end = w->body->end_known ? w->body->end : m ? m->size : 0;
	bool everything = size > w->asked || (size == end && w->from > 0);

	w->skip = w->start - w->from;
	if (!w->origin_said && everything) {
		w->whole = size;
		w->skip = w->start;
	} else if (!w->origin_said && w->from > 0 && size > 0) {
		bool full = size == w->asked && w->from + size <= end;
		w->nonsense = w->body->outgrown || !(full || w->from + size == end);
	}
	w->announced = size > w->skip ? size - w->skip : 0;
}

static bool on_body_begin(
	struct pool_task *t, const struct imap_fetch *prefix, uint32_t uid, uint64_t size)
{
	struct window *w = list_entry(t, struct window, task);

	if (w->begun || !w->command.on_done || !w->body->mb || (uid != 0 && uid != w->uid))
		return false;
	if (prefix->has_origin && prefix->origin != w->from)
		return false;
	w->begun = true;
	w->origin_said = prefix->has_origin;
	/* One that is only mapped from the sequence number may be contradicted by the row's end. */
	w->uid_said = prefix->uid != 0;
	w->seq = prefix->seq;
	interpret(w, size);
	return true;
}

static void on_body_data(struct pool_task *t, struct span octets)
{
	struct window *w = list_entry(t, struct window, task);

	if (!w->body->mb)
		return;
	append(w, octets);
	/* Without an origin these may be octets from elsewhere in the message. */
	if (w->uid_said && (w->origin_said || w->from == 0) && w->announced > HELD_BACK) {
		show(w, w->announced - HELD_BACK);
		w->body->windows++;
		body_wake(w->body);
		w->body->windows--;
	}
}

static void on_body_end(struct pool_task *t)
{
}

static void on_row(struct window *w, const struct imap_fetch *row, uint32_t uid)
{
	if (w->begun && !w->uid_said && uid != 0 && row->seq == w->seq) {
		w->uid_said = true;
		w->nonsense = uid != w->uid;
	}
	if (uid == w->uid)
		w->row = true;
	if (uid != w->uid && !(w->begun && !w->ended && row->seq == w->seq))
		return;
	switch (row->body_kind) {
	case IMAP_BODY_ABSENT:
	case IMAP_BODY_NIL:
		break;
	case IMAP_BODY_INLINE:
		if (w->begun || uid != w->uid || (row->has_origin && row->origin != w->from))
			break;
		if (!row->has_origin && !pool_is_next(&w->task, &w->command))
			break;
		w->begun = w->uid_said = w->ended = true;
		w->origin_said = row->has_origin;
		interpret(w, row->body.n);
		append(w, row->body);
		break;
	case IMAP_BODY_STREAMED:
		if (w->begun)
			w->ended = true;
		break;
	}
}

static void on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct window *w = list_entry(t, struct window, task);

	if (r->kind == IMAP_FETCH && w->body->mb && !(w->ended && w->uid_said))
		on_row(w, &r->fetch, uid);
}

/* --- what an answer means --- */

static void save_whole(struct window *w)
{
	struct body *b = w->body;
	uint64_t reached = w->start + w->got;

	for (uint32_t i = w->first; i < w->first + w->count; i++) {
		struct chunk *c = map_get(&b->chunks, i);
		uint64_t chunk_end = ((uint64_t)i + 1) * CACHE_CHUNK;
		bool last = b->end_known && b->end < chunk_end &&
			    b->end >= (uint64_t)i * CACHE_CHUNK;
		if (!c && last)
			c = body_chunk(b, i);
		if (c && !c->whole && (chunk_end <= reached || (last && b->end == reached)))
			body_save_chunk(b, c);
	}
}

static void unreadable(struct window *w, const char *why, struct span text)
{
	struct account *a = w->body->pool->account;

	log_warning("%s: message %u of %s cannot be read: %s%s%.*s", a->options.pool.host, w->uid,
		w->body->mb ? w->body->mb->component : "", why, text.n ? ": " : "", (int)text.n,
		text.p);
	window_finish(w, ERR_UNREADABLE);
}

static void look_at_list(struct window *w);

/* The message had its turn in the list: it is gone, or there without octets. A check that had
 * looked already when it was doubted does not count. */
static void on_listed(struct mailbox_wait *wait, int err)
{
	struct window *w = list_entry(wait, struct window, wait);

	if (!w->body->mb)
		window_finish(w, ERR_GONE);
	else if (err < 0)
		window_finish(w, err);
	else if (!mailbox_find(w->body->mb, w->uid)) /* read on after it was expunged */
		window_finish(w, ERR_GONE);
	else if (w->body->mb->doubt && w->looks < LOOKS_MAX)
		look_at_list(w);
	else
		unreadable(w, "the server lists the message but has no data for it", SPAN(""));
}

static void look_at_list(struct window *w)
{
	struct mailbox *mb = w->body->mb;

	w->looks++;
	mb->doubt = true;
	w->wait = (struct mailbox_wait){.on_wake = on_listed};
	mailbox_wait(mb, &w->wait);
	sync_start(mb);
}

static void finish_unreadable(struct window *w, const char *why)
{
	w->body->bound = UINT64_MAX;
	pool_end(&w->task);
	unreadable(w, why, SPAN(""));
}

/* All that can be known of the message is known now. */
static void finish_found(struct window *w, uint64_t end)
{
	struct body *b = w->body;

	if (b->end_known && b->end != end) {
		finish_unreadable(w, "it does not end where it did before");
		return;
	}
	show(w, UINT64_MAX);
	body_set_end(b, end);
	save_whole(w);
	pool_end(&w->task);
	window_finish(w, 0);
}

static void on_nothing(struct window *w)
{
	struct body *b = w->body;
	const struct cache_message *m = mailbox_find(b->mb, w->uid);
	const struct sizes *sizes = &b->pool->account->sizes;
	const struct ending_silence silence = {
		.start = w->start,
		.answers = ++w->empties,
		.lower = b->bound != UINT64_MAX,
		.row = w->row,
		.empty_string = w->begun,
		.promised_0 = m && !(m->flags & CACHE_SIZE_UNKNOWN) && m->size == 0 &&
			      sizes->belief != SIZES_LIAR,
	};

	if (w->short_at == ENDING_NOWHERE)
		w->short_at = w->from;
	switch (ending_after_nothing(&silence)) {
	case ENDING_NEXT_AGAIN:
		w->look_back = true;
		send_noop(w);
		break;
	case ENDING_NEXT_ANEW:
		w->look_back = true;
		pool_end(&w->task);
		w->task.bulk = false;
		w->task.selected_after = pool_selection_now();
		window_queue(w);
		break;
	case ENDING_NEXT_LOWER:
		if (!body_set_bound(b, w->from)) {
			finish_unreadable(w, "the server has no data where it had some before");
			break;
		}
		pool_end(&w->task);
		window_finish(w, 0);
		break;
	case ENDING_NEXT_EMPTY:
		finish_found(w, 0);
		break;
	case ENDING_NEXT_UNREADABLE:
		finish_unreadable(w, "the server has the message but sends no data for it");
		break;
	case ENDING_NEXT_LOOK:
		b->bound = UINT64_MAX;
		pool_end(&w->task);
		look_at_list(w);
		break;
	}
}

/* All that was asked for came. */
static void on_open(struct window *w)
{
	struct body *b = w->body;

	if (!body_reaches(b, w->from + w->came)) {
		finish_unreadable(w, "its octets come and go");
		return;
	}
	show(w, UINT64_MAX);
	save_whole(w);
	pool_end(&w->task);
	window_finish(w, 0);
}

static void on_unsure(struct window *w, uint64_t end)
{
	show(w, UINT64_MAX);
	save_whole(w);
	if (w->got > 0)
		w->empties = 0;
	w->short_at = end;
	w->start = end > w->start ? end : w->start;
	w->look_back = true;
	send_window(w);
}

/* What is known or announced of the message's size. */
static uint64_t promised(const struct window *w)
{
	const struct cache_message *m = mailbox_find(w->body->mb, w->uid);

	if (w->body->end_known)
		return w->body->end;
	return m && !(m->flags & CACHE_SIZE_UNKNOWN) ? m->size : ENDING_NOWHERE;
}

static void on_ok(struct window *w)
{
	const struct ending_answer answer = {
		.from = w->from,
		.asked = w->asked,
		.came = w->came,
		.whole = w->whole,
		.has_origin = w->origin_said,
		.grown = w->grown,
		.promised = promised(w),
		.short_at = w->short_at,
	};
	uint64_t end;

	if (w->nonsense || (w->begun && !w->uid_said)) {
		finish_unreadable(w, "the server answered with something else");
		return;
	}
	switch (ending_judge(&answer, &end)) {
	case ENDING_OPEN:
		on_open(w);
		break;
	case ENDING_VAGUE:
		w->grown = true;
		send_window(w);
		break;
	case ENDING_FOUND:
		finish_found(w, end);
		break;
	case ENDING_UNSURE:
		on_unsure(w, end);
		break;
	case ENDING_NOTHING:
		on_nothing(w);
		break;
	}
}

static void retry_later(struct window *w)
{
	if (++w->attempts >= ATTEMPTS * 4) {
		window_finish(w, ERR_THROTTLED);
		return;
	}
	window_queue(w);
	pool_delay(&w->task, w->body->pool->account->pool, backoff_delay(w->attempts));
}

static void on_lost(struct window *w, int err)
{
	/* Lost framing in the middle of this very body is most likely its fault. */
	if (err == ERR_PROTOCOL && w->begun && ++w->broken >= 2)
		unreadable(w, "its octets break the protocol", SPAN(""));
	else if (++w->attempts < ATTEMPTS && err != ERR_CANCELED)
		window_queue(w);
	else
		window_finish(w, err);
}

static void on_done(struct imap_command *c, const struct imap_result *result)
{
	struct window *w = list_entry(c, struct window, command);

	if (!w->body->mb) {
		pool_end(&w->task);
		window_finish(w, ERR_GONE);
	} else if (result->err == 0) {
		on_ok(w);
	} else if (!result->response) {
		pool_end(&w->task);
		on_lost(w, result->err);
	} else if (result->err == ERR_THROTTLED) {
		pool_end(&w->task);
		retry_later(w);
	} else {
		pool_end(&w->task);
		unreadable(w, "the server refuses it", result->response->text);
	}
}

static void on_noop_done(struct imap_command *c, const struct imap_result *result)
{
	struct window *w = list_entry(c, struct window, command);

	if (!result->response || !w->body->mb)
		on_done(c, result);
	else
		send_window(w);
}

static void send_noop(struct window *w)
{
	imap_command_finish(&w->command);
	imap_command_init(&w->command, false, on_noop_done);
	imap_command_add(&w->command, "NOOP\r\n");
	pool_submit(&w->task, &w->command);
}

static void send_window(struct window *w)
{
	struct imap_command *c = &w->command;
	uint64_t end = ((uint64_t)w->first + w->count) * CACHE_CHUNK, expected = promised(w);
	bool may_be_past = w->look_back || w->body->bound != UINT64_MAX || w->start >= expected ||
			   expected == ENDING_NOWHERE;
	bool may_end = w->look_back || expected == end || expected == ENDING_NOWHERE;

	w->wanted = end - w->start;
	w->from = w->start - (may_be_past && w->start > 0);
	w->asked = end - w->from + may_end + w->grown;
	w->got = w->came = w->announced = w->skip = w->whole = 0;
	w->begun = w->ended = w->row = w->origin_said = w->uid_said = w->nonsense = false;
	imap_command_finish(c);
	imap_command_init(c, false, on_done);
	imap_command_add(c, "UID FETCH %u (UID BODY.PEEK[]<%llu.%llu>)\r\n", w->uid,
		(unsigned long long)w->from, (unsigned long long)w->asked);
	pool_submit(&w->task, c);
}

static void on_conn(struct pool_task *t)
{
	struct window *w = list_entry(t, struct window, task);
	struct chunk *c = map_get(&w->body->chunks, w->first);

	if (!w->body->mb) {
		pool_end(t);
		window_finish(w, ERR_GONE);
		return;
	}
	/* After a lost connection everything that is not whole is asked for again. */
	while (w->count > 1 && c && c->whole) {
		w->first++;
		w->count--;
		c = map_get(&w->body->chunks, w->first);
	}
	w->start = (uint64_t)w->first * CACHE_CHUNK;
	send_window(w);
}

static void on_fail(struct pool_task *t, int err)
{
	struct window *w = list_entry(t, struct window, task);

	if (err == ERR_THROTTLED && w->body->mb)
		retry_later(w);
	else
		window_finish(w, err);
}

void window_start(struct body *b, uint32_t first, uint32_t count, bool bulk)
{
	struct window *w = mem_zalloc(sizeof(*w));

	w->body = b;
	w->uid = b->uid;
	w->first = first;
	w->count = count;
	w->short_at = ENDING_NOWHERE;
	w->task = (struct pool_task){
		.access = POOL_READ,
		.uid = b->uid,
		.bulk = bulk,
		.on_conn = on_conn,
		.on_fail = on_fail,
		.on_untagged = on_untagged,
		.on_body_begin = on_body_begin,
		.on_body_data = on_body_data,
		.on_body_end = on_body_end,
	};
	imap_command_init(&w->command, false, NULL);
	for (uint32_t i = first; i < first + count; i++) {
		struct chunk *c = body_chunk(b, i);
		c->fetching = true;
		c->n = 0;
	}
	b->windows++;
	window_queue(w);
}
