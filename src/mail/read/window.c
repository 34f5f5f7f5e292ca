/* SPDX-License-Identifier: MIT */
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
#include "link/retry.h"
#include "mail/read/answer.h"
#include "mail/read/ending.h"
#include "mail/read/private.h"
#include "mail/size/sizes.h"
#include "mail/sync/sync.h"

/* Looks at the list of messages before one without data counts as unreadable. */
#define LOOKS_MAX 3
/* Octets before a body's end that readers do not get while its row has not ended. */
#define HELD_BACK (64u << 10)

struct window {
	struct pool_task task;
	struct body *body;
	uint32_t uid;
	uint32_t first, count; /* chunks */
	uint64_t end;          /* the octet behind them, or before: what is wanted ends there */
	struct imap_command command;
	struct retry retry;
	unsigned broken;          /* connections lost in the middle of this very body */
	unsigned empties;         /* answers without octets */
	uint64_t short_at;        /* see struct ending_answer */
	bool grown;               /* see struct ending_answer */
	bool puzzled;             /* an answer had no origin, and no meaning */
	bool look_back;           /* ask from an octet before the window's own */
	struct mailbox_wait wait; /* for the list, which tells whether the message is there */
	unsigned looks;           /* at the list, for a message that has no data */

	/* The command under way. */
	uint64_t start, wanted; /* octets of the window that are still to come */
	uint64_t got;           /* of them so far */
	struct answer answer;   /* to a question for those, and perhaps one more on either side */
};

static void window_send_fetch(struct window *w);
static void window_send_noop(struct window *w);

/* What came before it failed proves nothing. */
static void release_chunks(struct window *w, bool failed)
{
	for (uint32_t i = w->first; i < w->first + w->count; i++) {
		struct chunk *c = map_get(&w->body->chunks, i);
		if (c)
			c->fetching = false;
		if (c && failed && !c->whole)
			c->n = 0;
	}
}

/* Destroys the window; the body's readers are answered, or fail with err. */
static void window_end(struct window *w, int err)
{
	struct body *b = w->body;

	release_chunks(w, err < 0);
	imap_command_finish(&w->command);
	free(w);
	if (b->mb && err < 0)
		body_fail(b, err);
	else if (b->mb)
		body_wake(b);
	b->fetches--;
	body_release(b);
}

static void window_queue(struct window *w)
{
	struct account *a = w->body->pool->account;

	w->task.mailbox = w->body->mb;
	w->task.foreseen = 0;
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

/* Octets that a chunk is to have room for: small messages get what they need, large ones whole
 * chunks. */
static uint32_t room_for(const struct window *w, uint32_t from, size_t n)
{
	uint64_t expected = w->answer.announced - w->got;
	uint32_t room = expected > CACHE_CHUNK - from ? CACHE_CHUNK : from + (uint32_t)expected;

	return room > from + n ? room : from + (uint32_t)n;
}

/* Keeps as many of them as the window wants. */
static void keep_octets(struct window *w, struct span octets)
{
	while (octets.n > 0 && w->got < w->wanted) {
		uint64_t at = w->start + w->got;
		struct chunk *c = chunk_make(w->body, (uint32_t)(at / CACHE_CHUNK));
		uint32_t from = (uint32_t)(at % CACHE_CHUNK);
		size_t n = octets.n;
		if (n > CACHE_CHUNK - from)
			n = CACHE_CHUNK - from;
		if (n > w->wanted - w->got)
			n = (size_t)(w->wanted - w->got);
		chunk_reserve(w->body, c, room_for(w, from, n));
		memcpy(c->data + from, octets.p, n);
		c->fetching = true;
		w->got += n;
		octets.p += n;
		octets.n -= n;
	}
}

static void take_octets(struct window *w, struct span octets)
{
	keep_octets(w, answer_take(&w->answer, octets));
}

_Static_assert(ENDING_NOWHERE == UINT64_MAX, "nothing is promised");

/* The message's octets, as known or announced; or ENDING_NOWHERE. */
static uint64_t expected_end(const struct window *w)
{
	return w->body->end_known ? w->body->end : body_promised(w->body);
}

/* Other windows may have found out more since the question was sent. */
static void tell_answer(struct window *w)
{
	uint64_t end = expected_end(w);

	w->answer.end = end == ENDING_NOWHERE ? 0 : end;
	w->answer.outgrown = w->body->outgrown;
}

static bool window_on_body_begin(
	struct pool_task *t, const struct imap_fetch *prefix, uint32_t uid, uint64_t size)
{
	struct window *w = list_entry(t, struct window, task);

	if (!w->command.on_done || !w->body->mb)
		return false;
	tell_answer(w);
	return answer_begin(&w->answer, prefix, uid, size, pool_is_next(t, &w->command));
}

static bool window_on_section_begin(
	struct pool_task *t, const struct imap_fetch *prefix, uint32_t uid, uint64_t size)
{
	const struct window *w = list_entry(t, struct window, task);
	const struct imap_fetch it = answer_of_section(prefix, w->body->section);

	return it.body_kind != IMAP_BODY_ABSENT && window_on_body_begin(t, &it, uid, size);
}

static void window_on_body_data(struct pool_task *t, struct span octets)
{
	struct window *w = list_entry(t, struct window, task);

	if (!w->body->mb)
		return;
	take_octets(w, octets);
	if (answer_is_certain(&w->answer) && w->answer.announced > HELD_BACK) {
		show(w, w->answer.announced - HELD_BACK);
		body_wake(w->body);
	}
}

static void window_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct window *w = list_entry(t, struct window, task);

	if (r->kind != IMAP_FETCH || !w->body->mb)
		return;
	const struct imap_fetch row = answer_of_section(&r->fetch, w->body->section);
	tell_answer(w);
	if (answer_end(&w->answer, &row, uid, pool_is_next(t, &w->command)))
		take_octets(w, row.body);
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
			c = chunk_make(b, i);
		if (c && !c->whole && (chunk_end <= reached || (last && b->end == reached)))
			chunk_save(b, c);
	}
}

static void unreadable(struct window *w, const char *why, struct span text)
{
	struct account *a = w->body->pool->account;

	log_warning("%s: message %u of %s%s%s cannot be read: %s%s%.*s", a->options.pool.host,
		w->uid, w->body->mb ? w->body->mb->component : "",
		w->body->section ? ", section " : "", w->body->section ? w->body->section : "", why,
		text.n ? ": " : "", (int)text.n, text.p);
	window_end(w, ERR_UNREADABLE);
}

static void look_at_list(struct window *w);

/* A check has looked whether the message is there: it is gone, or there without octets. One that
 * had looked already when the message was doubted (is still doubted) does not count. */
static void window_on_listed(struct mailbox_wait *wait, int err)
{
	struct window *w = list_entry(wait, struct window, wait);

	if (!w->body->mb)
		window_end(w, ERR_GONE);
	else if (err < 0)
		window_end(w, err);
	else if (!mailbox_find(w->body->mb, w->uid)) /* read on after it was expunged */
		window_end(w, ERR_GONE);
	else if (sync_is_doubted(w->body->mb) && w->looks < LOOKS_MAX)
		look_at_list(w);
	else
		unreadable(w, "the server lists the message but has no data for it", SPAN(""));
}

static void look_at_list(struct window *w)
{
	struct mailbox *mb = w->body->mb;

	w->looks++;
	sync_doubt(mb);
	w->wait = (struct mailbox_wait){.on_wake = window_on_listed};
	mailbox_wait(mb, &w->wait);
	sync_start(mb);
}

static void end_unreadable(struct window *w, const char *why)
{
	w->body->bound = UINT64_MAX;
	pool_end(&w->task);
	unreadable(w, why, SPAN(""));
}

/* All that can be known of the message is known now. */
static void end_found(struct window *w, uint64_t end)
{
	struct body *b = w->body;

	if (b->end_known && b->end != end) {
		end_unreadable(w, "it does not end where it did before");
		return;
	}
	show(w, UINT64_MAX);
	body_set_end(b, end);
	save_whole(w);
	pool_end(&w->task);
	window_end(w, 0);
}

/* Asks the same where the mailbox is selected anew. */
static void ask_anew(struct window *w)
{
	pool_end(&w->task);
	w->task.bulk = false;
	w->task.selected_after = pool_selection_now();
	window_queue(w);
}

/* The message ends further down: readers will ask there. */
static void end_lower(struct window *w)
{
	if (!body_set_bound(w->body, w->answer.from)) {
		end_unreadable(w, "the server has no data where it had some before");
		return;
	}
	pool_end(&w->task);
	window_end(w, 0);
}

static enum ending_next after_nothing(struct window *w)
{
	struct body *b = w->body;
	const struct ending_silence silence = {
		.start = w->start,
		.answers = ++w->empties,
		.lower = b->bound != UINT64_MAX,
		.row = w->answer.row,
		.empty_string = w->answer.begun,
		.promised_0 = body_promised(b) == 0 &&
			      (b->number != 0 || !sizes_were_wrong(b->pool->account)),
	};

	return ending_after_nothing(&silence);
}

static void nothing_came(struct window *w)
{
	enum ending_next next = after_nothing(w);

	if (w->short_at == ENDING_NOWHERE)
		w->short_at = w->answer.from;
	w->look_back |= next == ENDING_NEXT_AGAIN || next == ENDING_NEXT_ANEW;
	switch (next) {
	case ENDING_NEXT_AGAIN:
		window_send_noop(w);
		break;
	case ENDING_NEXT_ANEW:
		ask_anew(w);
		break;
	case ENDING_NEXT_LOWER:
		end_lower(w);
		break;
	case ENDING_NEXT_EMPTY:
		end_found(w, 0);
		break;
	case ENDING_NEXT_UNREADABLE:
		end_unreadable(w, "the server has the message but sends no data for it");
		break;
	case ENDING_NEXT_LOOK:
		w->body->bound = UINT64_MAX;
		pool_end(&w->task);
		look_at_list(w);
		break;
	}
}

/* All that was asked for came. */
static void all_came(struct window *w)
{
	struct body *b = w->body;

	if (!body_reaches(b, w->answer.from + w->answer.came)) {
		end_unreadable(w, "its bytes come and go");
		return;
	}
	show(w, UINT64_MAX);
	save_whole(w);
	pool_end(&w->task);
	window_end(w, 0);
}

static void less_came(struct window *w, uint64_t end)
{
	show(w, UINT64_MAX);
	save_whole(w);
	if (w->got > 0)
		w->empties = 0;
	w->short_at = end;
	w->start = end > w->start ? end : w->start;
	w->look_back = true;
	window_send_fetch(w);
}

static void judge_answer(struct window *w)
{
	const struct answer *a = &w->answer;
	const struct ending_answer answer = {
		.from = a->from,
		.asked = a->asked,
		.came = a->came,
		.whole = a->whole,
		.has_origin = a->has_origin,
		.grown = w->grown,
		.promised = expected_end(w),
		.short_at = w->short_at,
	};
	uint64_t end;

	/* What a part is that does not say where it begins may be known when other questions are answered. */
	if (a->nonsense && !a->has_origin && !w->puzzled) {
		w->puzzled = true;
		window_send_noop(w);
		return;
	}
	if (a->nonsense || (a->begun && !a->uid_said)) {
		end_unreadable(w, "the server answered with something else");
		return;
	}
	enum ending ending = ending_judge(&answer, &end);
	if (ending == ENDING_UNSURE && chunk_ends_header(w->body, end))
		ending = ENDING_FOUND;
	switch (ending) {
	case ENDING_OPEN:
		all_came(w);
		break;
	case ENDING_VAGUE:
		w->grown = true;
		window_send_fetch(w);
		break;
	case ENDING_FOUND:
		end_found(w, end);
		break;
	case ENDING_UNSURE:
		less_came(w, end);
		break;
	case ENDING_NOTHING:
		nothing_came(w);
		break;
	}
}

static void window_retry(struct window *w)
{
	if (!retry_busy(&w->retry, RETRY_PATIENT)) {
		window_end(w, ERR_THROTTLED);
		return;
	}
	window_queue(w);
	pool_delay(&w->task, w->body->pool->account->pool, retry_delay(&w->retry));
}

static void window_on_lost(struct window *w, int err)
{
	/* Lost framing in the middle of this very body is most likely its fault. */
	if (err == ERR_PROTOCOL && w->answer.begun && ++w->broken >= 2)
		unreadable(w, "its bytes break the protocol", SPAN(""));
	else if (retry_lost(&w->retry, err))
		window_queue(w);
	else
		window_end(w, err);
}

static void window_on_done(struct imap_command *c, const struct imap_result *result)
{
	struct window *w = list_entry(c, struct window, command);

	if (!w->body->mb) {
		pool_end(&w->task);
		window_end(w, ERR_GONE);
	} else if (result->outcome == IMAP_DONE) {
		judge_answer(w);
	} else if (result->outcome == IMAP_LOST) {
		pool_end(&w->task);
		window_on_lost(w, result->err);
	} else if (result->outcome == IMAP_BUSY) {
		pool_end(&w->task);
		window_retry(w);
	} else {
		pool_end(&w->task);
		unreadable(w, "the server refuses it", result->response->text);
	}
}

static void window_on_noop_done(struct imap_command *c, const struct imap_result *result)
{
	struct window *w = list_entry(c, struct window, command);

	if (result->outcome == IMAP_LOST || !w->body->mb)
		window_on_done(c, result);
	else
		window_send_fetch(w);
}

static void window_send_noop(struct window *w)
{
	imap_command_begin(&w->command, false, window_on_noop_done);
	imap_command_add(&w->command, "NOOP\r\n");
	pool_submit(&w->task, &w->command);
}

/* Builds the question for what is still to come. */
static void ask_for_rest(struct window *w)
{
	struct imap_command *c = &w->command;
	uint64_t end = w->end, expected = expected_end(w);
	bool may_be_past = w->look_back || w->body->bound != UINT64_MAX || w->start >= expected ||
			   expected == ENDING_NOWHERE;
	bool may_end = w->look_back || expected == end || expected == ENDING_NOWHERE;
	uint64_t from = w->start - (may_be_past && w->start > 0);
	uint64_t asked = end - from + may_end + w->grown;

	w->wanted = end - w->start;
	w->got = 0;
	answer_init(&w->answer, w->uid, from, asked, w->start);
	imap_command_begin(c, false, window_on_done);
	imap_command_add(c, "UID FETCH %u (UID BODY.PEEK[%s]<%llu.%llu>)\r\n", w->uid,
		w->body->section ? w->body->section : "", (unsigned long long)from,
		(unsigned long long)asked);
}

static void window_send_fetch(struct window *w)
{
	ask_for_rest(w);
	pool_submit(&w->task, &w->command);
}

static void window_on_conn(struct pool_task *t)
{
	struct window *w = list_entry(t, struct window, task);
	struct chunk *c = map_get(&w->body->chunks, w->first);

	if (!w->body->mb) {
		pool_end(t);
		window_end(w, ERR_GONE);
		return;
	}
	/* After a lost connection everything that is not whole is asked for again. */
	while (w->count > 1 && c && c->whole) {
		w->first++;
		w->count--;
		c = map_get(&w->body->chunks, w->first);
	}
	w->start = (uint64_t)w->first * CACHE_CHUNK;
	window_send_fetch(w);
}

static void window_on_fail(struct pool_task *t, int err)
{
	struct window *w = list_entry(t, struct window, task);

	if (err == ERR_THROTTLED && w->body->mb)
		window_retry(w);
	else
		window_end(w, err);
}

static struct window *window_create(struct body *b, uint32_t first, uint32_t count, bool bulk)
{
	struct window *w = mem_zalloc(sizeof(*w));

	w->body = b;
	w->uid = b->uid;
	w->first = first;
	w->count = count;
	w->end = ((uint64_t)first + count) * CACHE_CHUNK;
	w->short_at = ENDING_NOWHERE;
	w->task = (struct pool_task){
		.access = POOL_READ,
		.uid = b->uid,
		.bulk = bulk,
		.fetches = true,
		.on_conn = window_on_conn,
		.on_fail = window_on_fail,
		.on_untagged = window_on_untagged,
		.on_body_begin = b->section ? NULL : window_on_body_begin,
		.on_section_begin = b->section ? window_on_section_begin : NULL,
		.on_body_data = window_on_body_data,
	};
	imap_command_init(&w->command, false, NULL);
	for (uint32_t i = first; i < first + count; i++) {
		struct chunk *c = chunk_make(b, i);
		c->fetching = true;
		c->n = 0;
	}
	b->fetches++;
	return w;
}

/* For who waits, where the mailbox has to be selected first: that and the question share a turn. */
static void window_begin(struct window *w)
{
	struct mailbox *mb = w->body->mb;
	unsigned number = 0;

	if (!w->task.bulk && pool_may_fetch(mb->account->pool)) {
		w->start = (uint64_t)w->first * CACHE_CHUNK;
		ask_for_rest(w);
		const char *text = buf_cstr(&w->command.text);
		number = pool_foresee_now(mb->account->pool, mb, &text, 1);
	}
	window_queue(w);
	w->task.foreseen = number;
}

void window_start(struct body *b, uint32_t first, uint32_t count, bool bulk)
{
	window_begin(window_create(b, first, count, bulk));
}

void window_start_beginning(struct body *b, uint64_t octets)
{
	struct window *w = window_create(b, 0, 1, false);

	w->end = octets;
	window_begin(w);
}
