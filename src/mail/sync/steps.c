/* SPDX-License-Identifier: MIT */
/*
 * The table of a check's steps: what a step sends, and what becomes of each answer. Beside the table
 * there is what all steps share, and the two steps that are too short for a file of their own.
 */
#include "mail/sync/private.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "mail/size/prove.h"
#include "mail/size/sizes.h"

struct step {
	const char *name;
	/* Adds the text of the command. */
	void (*send)(struct sync *s, struct imap_command *c);
	/* An untagged response came while it runs. NULL: none is of interest. */
	void (*on_row)(struct sync *s, const struct imap_response *r);
	/* OK. */
	void (*ok)(struct sync *s);
	/* OK, for the messages from the highest UID down to low only. NULL: that is as good as OK.
	 */
	void (*partial)(struct sync *s, uint32_t low);
	/* NO, and it is believed to be for good. NULL: the check fails. */
	void (*refused)(struct sync *s);
};

static void send_compare(struct sync *s, struct imap_command *c);
static void after_compare(struct sync *s);
static void send_sample(struct sync *s, struct imap_command *c);
static void after_sample(struct sync *s);
static void go_on_below(struct sync *s, uint32_t low);
static void search_instead(struct sync *s, uint32_t low);

/* clang-format off */
static const struct step steps[] = {
	/*                   name       send              on_row              ok                 partial                  refused */
	[SYNC_LOAD]    = {.name = "load"},
	[SYNC_WAIT]    = {.name = "wait"},
	[SYNC_COMPARE] = {"compare", send_compare,     NULL,               after_compare,     NULL,                    NULL},
	[SYNC_SAMPLE]  = {"sample",  send_sample,      NULL,               after_sample,      NULL,                    sync_search},
	[SYNC_FETCH]   = {"fetch",   sync_send_fetch,  sync_on_fetch_row,  sync_after_fetch,  go_on_below,             sync_search},
	[SYNC_BISECT]  = {"bisect",  sync_send_bisect, sync_on_bisect_row, sync_after_bisect, search_instead,          sync_search},
	[SYNC_SEARCH]  = {"search",  sync_send_search, sync_on_search_row, sync_after_search, go_on_below,             NULL},
	[SYNC_FILL]    = {"fill",    sync_send_fill,   NULL,               sync_after_fill,   sync_after_fill_partial, sync_after_fill_refused},
};
/* clang-format on */

/* --- what all steps share --- */

void sync_set_step(struct sync *s, enum sync_step step)
{
	log_debug("sync of %s: %s -> %s", s->mb->component, steps[s->step].name, steps[step].name);
	s->step = step;
	s->to = 0;
}

void sync_enter(struct sync *s, enum sync_step step)
{
	sync_set_step(s, step);
	sync_send(s);
}

/* One line a mailbox: it goes on being refused. */
static void warn_of_part(struct sync *s)
{
	if (!s->mb->freshness.partial_logged)
		log_warning("%s: lists %s in part only (MESSAGELIMIT), and does not go on",
			s->mb->account->options.pool.host, mailbox_path(s->mb));
	s->mb->freshness.partial_logged = true;
}

/* What was asked for was done from the highest UID down to this one (RFC 9738 section 3.1): the
 * rest is asked for below. */
static void go_on_below(struct sync *s, uint32_t low)
{
	bool sinks = low != 0 && (s->to == 0 || low <= s->to);

	if (sinks && low <= s->from) {
		steps[s->step].ok(s);
	} else if (sinks && s->parts++ <= conn_exists(s->task.conn)) {
		s->to = low - 1;
		sync_send(s);
	} else {
		warn_of_part(s);
		sync_fail(s, ERR_PARTIAL);
	}
}

static void search_instead(struct sync *s, uint32_t low)
{
	sync_search(s);
}

/* A server may say for ever that one message is not to be had now (Exchange, Yahoo): the second
 * time it is believed to be that message's fault, as with a plain NO. */
static bool is_for_good(struct sync *s, const struct imap_result *result)
{
	if (result->outcome != IMAP_BUSY)
		return result->err == ERR_REFUSED;
	s->unavailable = result->response->code == IMAP_CODE_UNAVAILABLE;
	return (s->unavailable || s->came > 0) && s->put_off++ > 0;
}

/* NO to a FETCH may be the fault of one message: SYNC_SEARCH finds out which are missing, and
 * SYNC_FILL asks for them apart. */
static void refused(struct sync *s, const struct imap_result *result)
{
	const struct step *step = &steps[s->step];

	if (step->refused && is_for_good(s, result)) {
		step->refused(s);
	} else if (result->outcome == IMAP_BUSY) {
		pool_end(&s->task);
		sync_retry_later(s);
	} else {
		sync_fail(s, result->err);
	}
}

static void partial(struct sync *s, const struct imap_response *r)
{
	const struct step *step = &steps[s->step];

	if (step->partial)
		step->partial(s, r->number ? (uint32_t)r->number : s->lowest);
	else
		step->ok(s);
}

static void lost(struct sync *s, int err)
{
	if (!s->task.only_foreseen && retry_lost(&s->retry, err)) {
		pool_end(&s->task);
		sync_queue(s);
	} else {
		sync_fail(s, err);
	}
}

static void sync_on_done(struct imap_command *c, const struct imap_result *result)
{
	struct sync *s = list_entry(c, struct sync, command);

	if (s->mb->dead) {
		sync_fail(s, ERR_STALE);
		return;
	}
	switch (result->outcome) {
	case IMAP_DONE:
		steps[s->step].ok(s);
		break;
	case IMAP_PARTIAL:
		partial(s, result->response);
		break;
	case IMAP_BUSY:
	case IMAP_REFUSED:
		refused(s, result);
		break;
	case IMAP_LOST:
		lost(s, result->err);
		break;
	}
}

void sync_send(struct sync *s)
{
	struct imap_command *c = &s->command;

	imap_command_finish(c);
	imap_command_init(c, false, sync_on_done);
	s->came = 0;
	s->lowest = 0;
	steps[s->step].send(s, c);
	pool_submit(&s->task, c);
}

void sync_on_response(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct sync *s = list_entry(t, struct sync, task);
	const struct step *step = &steps[s->step];

	if (r->kind == IMAP_FETCH && uid) {
		s->came++;
		s->lowest = s->lowest && s->lowest < uid ? s->lowest : uid;
	}
	s->disturbed |= r->kind == IMAP_EXPUNGE || r->kind == IMAP_VANISHED;
	if (step->on_row)
		step->on_row(s, r);
}

bool sync_by_uid_only(const struct sync *s)
{
	return pool_enabled(s->mb->account->pool, IMAP_CAP_UIDONLY);
}

/* --- compare --- */

void sync_on_conn(struct pool_task *t)
{
	struct sync *s = list_entry(t, struct sync, task);
	const struct pool_selected *selected = conn_selected(t->conn);

	s->by_noop = selected->asked < s->started;
	if (s->mb->messages.rows.count == 0) {
		s->nothing_known.at = uv_hrtime();
		s->nothing_known.modseq = selected->highestmodseq;
	}
	/* SELECT or NOOP tells of what was expunged before. */
	if (s->by_noop)
		uidset_clear(&s->gone);

	/* What came after SELECT was sent may not be in its answer. */
	s->news_count = s->mb->freshness.news_count -
			(!s->by_noop && s->mb->freshness.news_at > selected->asked);
	/* SELECT gives the count and UIDNEXT anew: who agrees with both has lost nothing unseen. */
	if (!s->by_noop && selected->uidnext != 0)
		s->mb->freshness.doubt = false;
	s->uidnext = s->by_noop ? 0 : selected->uidnext;
	s->modseq = s->by_noop ? 0 : selected->highestmodseq;
	sync_set_step(s, SYNC_COMPARE);
	/* A SELECT that was made for this check has told already. */
	if (s->by_noop)
		sync_send(s);
	else
		after_compare(s);
}

static void send_compare(struct sync *s, struct imap_command *c)
{
	imap_command_add(c, "NOOP\r\n");
}

bool sync_counts_agree(const struct sync *s)
{
	return sync_rows_are_sound(s->mb) && mailbox_count(s->mb) == conn_exists(s->task.conn);
}

/* What SELECT or NOOP told is compared with what is known here: ends the check or goes on. */
static void after_compare(struct sync *s)
{
	const struct mailbox *mb = s->mb;
	bool nothing_new = s->by_noop ? !mb->freshness.news
				      : s->uidnext != 0 && s->uidnext == mb->messages.uidnext;
	/* Rows of a first listing that was cut off may have gaps, anywhere, when they came in no
	 * order: counts say nothing then. */
	bool cut_off = !mb->messages.complete && mb->messages.rows.count > SYNC_SAMPLE_SIZE;

	if (mb->messages.complete && nothing_new && sync_counts_agree(s))
		sync_end(s);
	else if (conn_exists(s->task.conn) == 0 || cut_off)
		sync_search(s);
	else
		sync_enter(s, !s->sampled && sizes_want_sample(mb) ? SYNC_SAMPLE : SYNC_FETCH);
}

/* --- sample --- */

int sync_build_sample(struct mailbox *mb, uint32_t exists, struct buf *command)
{
	if (pool_enabled(mb->account->pool, IMAP_CAP_UIDONLY))
		return buf_printf(command, "UID FETCH * %s\r\n", sync_row_items(mb));
	return buf_printf(command, "FETCH 1:%u %s\r\n",
		exists < SYNC_SAMPLE_SIZE ? exists : SYNC_SAMPLE_SIZE, sync_row_items(mb));
}

static void send_sample(struct sync *s, struct imap_command *c)
{
	struct buf command;

	buf_init(&command, SYNC_COMMAND_MAX);
	if (sync_build_sample(s->mb, conn_exists(s->task.conn), &command) == 0)
		imap_command_add(c, "%s", buf_cstr(&command));
	buf_finish(&command);
}

/* The proofs are asked for first: this goes on behind them, on the same connection, which did not
 * change meanwhile unless it was lost. */
static void after_sample(struct sync *s)
{
	/* Once: a server may have no rows for them. */
	s->sampled = true;
	prove_first(s->mb);
	pool_end(&s->task);
	s->task.foreseen = 0;
	sync_queue_behind(s);
}
