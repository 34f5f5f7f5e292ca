/* SPDX-License-Identifier: MIT */
/*
 * The verb of setxattr: flags are set and taken off, those of messages with the same change by one
 * UID STORE. It is done by difference (+FLAGS, -FLAGS), never as a whole, so that it bears to be
 * done twice and touches nothing that somebody else changes meanwhile; so UNCHANGEDSINCE (RFC 7162)
 * would be of no use. The server answers what flags each message has then: what it does not say is
 * asked for again, and what it did not take was refused.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/change/private.h"
#include "mail/model/flagdiff.h"

static bool store_alike(const struct change *a, const struct change *b)
{
	return strcmp(a->diff, b->diff) == 0;
}

static int store_permit(struct changes *c)
{
	return conn_selected(c->task.conn)->readonly ? ERR_READONLY : 0;
}

/* --- the step --- */

static bool send_words(struct changes *c, const char *diff, char sign)
{
	struct buf words;

	buf_init(&words, 2 * FLAGS_TEXT_MAX);
	bool any = flagdiff_words(span_of(diff), sign, &words) == 0 && words.len > 0;
	if (any) {
		char *text = mem_printf(" %cFLAGS (%.*s)", sign, (int)words.len, words.data);
		step_send_piece(c, "UID STORE", text);
		free(text);
	}
	buf_finish(&words);
	return any;
}

/* All of the batch have the same. When they were all given up, or memory is lacking, nothing is
 * asked for, and nothing is heard. */
static void store_send(struct changes *c)
{
	const char *diff = list_empty(&c->batch)
				   ? ""
				   : list_entry(c->batch.next, struct change, link)->diff;
	bool set = send_words(c, diff, '+');

	if (!send_words(c, diff, '-') && !set)
		step_send(c, "NOOP");
}

static bool has_flag(const struct imap_fetch *row, struct span word)
{
	struct span words = row->flag_words, keyword;
	unsigned flag = imap_flag_of(word);

	if (flag)
		return row->flags & flag;
	while (imap_keyword_next(&words, &keyword))
		if (span_equal_nocase(keyword, word))
			return true;
	return false;
}

/* Whether the message has what it was to be given, and nothing that was to be taken off. */
static bool is_as_wanted(const struct change *r, const struct imap_fetch *row)
{
	struct span words = span_of(r->diff), word;

	while (imap_word_next(&words, &word)) {
		struct span bare = {word.p + 1, word.n - 1};
		if (word.n > 1 && has_flag(row, bare) != (word.p[0] == '+'))
			return false;
	}
	return true;
}

/* The flags themselves are taken by who follows them. After the first of two commands they are not
 * yet what they will be. */
static void store_on_row(struct changes *c, const struct imap_fetch *row, uint32_t uid)
{
	LIST_FOREACH (pos, &c->batch) {
		struct change *r = list_entry(pos, struct change, link);
		if (r->uid == uid && row->has_flags)
			r->heard = is_as_wanted(r, row) ? CHANGE_HEARD_DONE : CHANGE_HEARD_OTHER;
	}
}

static void store_ok(struct changes *c)
{
	course_over(c, 0);
}

/* Where no keyword may be made it is most likely for that. */
static void store_refused(struct changes *c)
{
	const struct pool_selected *s = conn_selected(c->task.conn);
	bool closed = s->has_permanentflags && !(s->permanentflags & IMAP_FLAG_ANY);

	course_over(c, c->now.err == ERR_REFUSED && closed ? ERR_DENIED : c->now.err);
}

static const struct step store = {
	.name = "store",
	.send = store_send,
	.on_row = store_on_row,
	.ok = store_ok,
	.refused = store_refused,
};

/* --- the verb --- */

static void store_start(struct changes *c)
{
	if (!verify_first(c))
		step_go_over(c, &store, &c->uids);
}

/* A server may say OK and keep some flags only (PERMANENTFLAGS). */
static void tell_other(const struct changes *c, const struct change *r)
{
	struct mailbox *mb = c->mb;

	if (!mb->flags->refused_logged)
		log_warning("%s: %s/%u: the server does not take the flags \"%s\" (PERMANENTFLAGS)",
			mb->account->options.pool.host, mailbox_path(mb), r->uid, r->diff);
	mb->flags->refused_logged = true;
}

static void store_settle(struct changes *c)
{
	struct list others = LIST_INIT(others);

	LIST_FOREACH_SAFE (pos, &c->batch) {
		struct change *r = list_entry(pos, struct change, link);
		struct cache_message *m = mailbox_find(c->mb, r->uid);
		if (c->verdict < 0 || r->heard == CHANGE_HEARD_DONE || !m)
			continue;
		/* What it has is asked for when somebody wants to know. */
		flags_doubt(c->mb, m);
		if (r->heard != CHANGE_HEARD_OTHER)
			continue;
		tell_other(c, r);
		list_remove(&r->link);
		list_append(&others, &r->link);
	}
	flags_save(c->mb);
	queue_answer(&others, ERR_DENIED);
	queue_end_batch(c, c->verdict);
}

const struct verb change_flags = {
	.gone_is_done = true,
	.alike = store_alike,
	.permit = store_permit,
	.start = store_start,
	.settle = store_settle,
};
