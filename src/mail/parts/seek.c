/* SPDX-License-Identifier: MIT */
#include "mail/parts/seek.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "imap/capability.h"
#include "link/retry.h"
#include "mime/utf8.h"

/* Ranges that the answer may name. */
#define FOUND_MAX ((size_t)2 << 20)

struct seek {
	struct mailbox *mb;
	struct pool_task task;
	struct imap_command command;
	struct retry retry;
	enum seek_as as;
	char *text;
	size_t n;
	struct uidset found;
	bool answered;
	seek_on_done *on_done; /* NULL: canceled */
	void *ctx;
};

static void end(struct seek *s, int err)
{
	if (s->on_done)
		s->on_done(s->ctx, err, err < 0 ? NULL : &s->found);
	imap_command_finish(&s->command);
	uidset_finish(&s->found);
	mailbox_release(s->mb);
	free(s->text);
	free(s);
}

static void end_task(struct seek *s, int err)
{
	pool_end(&s->task);
	end(s, err);
}

static void queue(struct seek *s)
{
	s->task.deadline = account_deadline(s->mb->account);
	pool_start(s->mb->account->pool, &s->task);
}

static bool has_gmail(const struct account *a)
{
	struct span words = span_of(pool_capability_words(a->pool)), word;

	while (imap_word_next(&words, &word))
		if (span_equal_nocase(word, SPAN("X-GM-EXT-1")))
			return true;
	return false;
}

static void seek_on_command(struct imap_command *c, const struct imap_result *result)
{
	struct seek *s = list_entry(c, struct seek, command);

	if (s->mb->dead) {
		end_task(s, ERR_STALE);
		return;
	}
	switch (result->outcome) {
	case IMAP_DONE:
		uidset_sort(&s->found);
		/* Without the answer that it found nothing nothing is known. */
		end_task(s, s->answered ? 0 : ERR_PROTOCOL);
		break;
	case IMAP_PARTIAL:
		end_task(s, ERR_PARTIAL);
		break;
	case IMAP_REFUSED:
		log_notice("%s: the server does not search so in %s: %.*s",
			s->mb->account->options.pool.host, mailbox_path(s->mb),
			(int)result->response->text.n, result->response->text.p);
		end_task(s, ERR_INVALID);
		break;
	case IMAP_BUSY:
		end_task(s, result->err);
		break;
	case IMAP_LOST:
		pool_end(&s->task);
		if (retry_lost(&s->retry, result->err))
			queue(s);
		else
			end(s, result->err);
		break;
	}
}

static void build(struct seek *s)
{
	static const char *const keys[] = {[SEEK_KEYS] = "",
		[SEEK_BODY] = "BODY ",
		[SEEK_TEXT] = "TEXT ",
		[SEEK_GMAIL] = "X-GM-RAW "};
	struct span text = {s->text, s->n};
	bool ascii = mime_utf8_ascii(text) == text.n;
	bool plus = pool_capabilities(s->mb->account->pool) & IMAP_CAP_LITERAL_PLUS;

	imap_command_begin(&s->command, plus, seek_on_command);
	imap_command_add(
		&s->command, "UID SEARCH %s%s", ascii ? "" : "CHARSET UTF-8 ", keys[s->as]);
	if (s->as == SEEK_KEYS)
		imap_command_add(&s->command, "%s", s->text);
	else
		imap_command_add_string(&s->command, text);
	imap_command_add(&s->command, "\r\n");
}

static void seek_on_conn(struct pool_task *t)
{
	struct seek *s = list_entry(t, struct seek, task);

	if (s->mb->dead || !s->on_done) {
		end_task(s, ERR_STALE);
		return;
	}
	if (s->as == SEEK_GMAIL && !has_gmail(s->mb->account)) {
		end_task(s, ERR_INVALID);
		return;
	}
	uidset_clear(&s->found);
	s->answered = false;
	build(s);
	pool_submit(t, &s->command);
}

static void seek_on_fail(struct pool_task *t, int err)
{
	end(list_entry(t, struct seek, task), err);
}

/* What does not say which command it answers is of the first that is not answered. */
static void seek_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct seek *s = list_entry(t, struct seek, task);
	struct span set = r->words;
	uint32_t first, last;

	if ((r->kind != IMAP_SEARCH && r->kind != IMAP_ESEARCH) || !s->command.sent ||
		!pool_is_next(t, &s->command))
		return;
	s->answered = true;
	while (imap_set_next(&set, &first, &last) && s->found.count < FOUND_MAX)
		uidset_add(&s->found, first, last);
}

struct seek *seek_start(
	struct mailbox *mb, enum seek_as as, struct span text, seek_on_done *on_done, void *ctx)
{
	struct seek *s = mem_zalloc(sizeof(*s));

	s->mb = mailbox_hold(mb);
	s->as = as;
	s->text = mem_alloc(text.n + 1);
	memcpy(s->text, text.p, text.n);
	s->text[text.n] = 0;
	s->n = text.n;
	s->on_done = on_done;
	s->ctx = ctx;
	s->task = (struct pool_task){
		.mailbox = mb,
		.access = POOL_READ,
		.uid = mailbox_last(mb),
		.on_conn = seek_on_conn,
		.on_fail = seek_on_fail,
		.on_untagged = seek_on_untagged,
	};
	list_init(&s->task.link);
	imap_command_init(&s->command, false, NULL);
	queue(s);
	return s;
}

void seek_cancel(struct seek *s)
{
	s->on_done = NULL;
}
