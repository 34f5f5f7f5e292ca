/* SPDX-License-Identifier: MIT */
#include "link/line.h"

#include <stdio.h>

#include "base/error.h"

/* Milliseconds for which the first connection after a silence may take to confirm that it is alive,
 * before the line counts as down. */
#define GRACE 2000
/* Stalls in a row over what the server has borne before. */
#define STALLS_MAX 3

void line_init(struct line *l)
{
	*l = (struct line){0};
	list_init(&l->pools);
}

static void down_from(struct line *l, uint64_t when)
{
	if (l->down_at == 0 || when < l->down_at)
		l->down_at = when ? when : 1;
}

void line_failed(struct line *l, int err, const char *text, bool beside, uint64_t now,
	uint64_t patience, uint32_t noise)
{
	backoff_failed(&l->backoff, err, 0, now, noise);
	l->suspected = 0;
	l->beside = beside;
	l->error = err;
	snprintf(l->text, sizeof(l->text), "%s", text);
	if (!beside)
		down_from(l, now + patience);
}

bool line_fell_silent(
	struct line *l, uint64_t heard, uint64_t now, uint64_t timeout, uint32_t noise)
{
	l->shaken = true;
	if (now < l->heard_at + timeout * 3 / 4)
		return false;
	/* What was not heard since then either is a part of the same silence. */
	if (l->silences > 0 && heard <= l->silent_at)
		return true;
	l->silent_at = now;
	l->error = ERR_TIMEOUT;
	snprintf(l->text, sizeof(l->text), "no answer for %llu seconds",
		(unsigned long long)(timeout / 1000));
	if (++l->silences == 1) {
		down_from(l, now + (timeout < GRACE ? timeout : GRACE));
		return true;
	}
	/* The server logs us in, even answers a NOOP, and then falls silent again. */
	l->backoff.failures = l->silences - 2;
	backoff_failed(&l->backoff, ERR_TIMEOUT, 0, now, noise);
	down_from(l, now);
	return true;
}

bool line_ready(struct line *l, uint64_t now)
{
	bool news = line_is_failing(l);

	if (news)
		l->up_at = now;

	l->backoff = (struct backoff){0};
	l->beside = l->shaken = l->told = false;
	l->down_at = 0;
	l->error = 0;
	l->text[0] = '\0';
	return news;
}

bool line_answered(struct line *l, uint64_t now)
{
	if (l->down_at == 0 || l->heard_at <= l->silent_at)
		return false;
	if (!l->beside)
		return line_ready(l, now);
	l->down_at = 0;
	l->up_at = now;
	return true;
}

void line_bore(struct line *l, unsigned behind)
{
	l->borne |= behind;
	if (behind)
		l->stalls = 0;
}

void line_stalled(struct line *l, unsigned behind)
{
	l->suspected |= behind;
}

bool line_learn_pace(struct line *l)
{
	const struct imap_pace before = l->pace;
	unsigned suspected = l->suspected;

	l->suspected = 0;
	if (!suspected || ++l->stalls < ((l->borne & suspected) ? STALLS_MAX : 1))
		return false;
	l->pace.one_at_a_time |= (suspected & IMAP_BEHIND_COMMAND) != 0;
	l->pace.done_alone |= (suspected & IMAP_BEHIND_DONE) != 0;
	return l->pace.one_at_a_time != before.one_at_a_time ||
	       l->pace.done_alone != before.done_alone;
}

bool line_is_doubted(const struct line *l)
{
	return l->silences > 0;
}

void line_was_useful(struct line *l, uint64_t now, uint64_t timeout)
{
	if (now >= l->up_at + timeout)
		l->silences = 0;
}

bool line_is_down(const struct line *l, uint64_t now)
{
	return l->down_at && now >= l->down_at;
}

bool line_is_back_since(const struct line *l, uint64_t then)
{
	return l->up_at > then && !line_is_failing(l) && !line_is_doubted(l);
}

bool line_is_failing(const struct line *l)
{
	return l->shaken || l->backoff.failures > 0;
}

bool line_may_try(const struct line *l, bool asked, bool only, uint64_t now)
{
	/* The server would not have one more; whoever has none at all may still be welcome. */
	if (l->beside && only)
		return true;
	return asked ? backoff_may_ask(&l->backoff, now) : backoff_is_due(&l->backoff, now);
}

uint64_t line_retry_at(const struct line *l, bool only)
{
	return l->beside && only ? 0 : l->backoff.retry_at;
}

int line_error(const struct line *l, uint64_t now)
{
	bool login = l->error == ERR_AUTH || l->error == ERR_TOKEN;

	if (l->backoff.refusals > 0)
		return l->beside || backoff_may_ask(&l->backoff, now) ? 0 : ERR_AUTH;
	if (!line_is_down(l, now))
		return 0;
	return login ? l->error : ERR_NET;
}
