/* SPDX-License-Identifier: MIT */
/* What people are told of what was promised: the log, the status, --sync. */
#include <stdio.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "mail/change/intents_private.h"

/* Milliseconds without a refusal before the log is told of one again. */
#define LOG_AGAIN 10000

const char refusals_no_mailbox[] = "its mailbox is no more, or was numbered anew (UIDVALIDITY)";

const char *refusals_not_done(enum intent_verb verb)
{
	if (verb == INTENT_FLAGS)
		return "flags not changed";
	return verb == INTENT_REMOVE ? "not removed" : "not moved";
}

void refusals_note(struct mailbox *mb, uint32_t uid, const char *what, const char *why)
{
	struct intents *all = intents_of(mb);
	struct refusal *r = &all->refusals[all->refused++ % REFUSALS_KEPT];

	r->at = time(NULL);
	snprintf(r->text, sizeof(r->text), "%s/%u: %s: %s",
		mb->dead ? mb->component : mailbox_path(mb), uid, what, why);
	/* Of many, which mostly have the same reason, the report tells more. */
	if (all->refused == 1 || uv_now(mb->account->loop) >= all->logged_at + LOG_AGAIN)
		log_warning("%s: %s", mb->account->options.pool.host, r->text);
	all->logged_at = uv_now(mb->account->loop);
}

size_t intents_waiting(const struct account *a)
{
	return a->intents->count;
}

static int print_refusals(const struct intents *all, unsigned from, struct buf *out)
{
	int err = 0;

	if (all->refused > REFUSALS_KEPT && from < all->refused - REFUSALS_KEPT) {
		err |= buf_printf(out, "refused: %u more\n", all->refused - REFUSALS_KEPT - from);
		from = all->refused - REFUSALS_KEPT;
	}
	for (; from < all->refused; from++)
		err |= buf_printf(out, "refused: %s\n", all->refusals[from % REFUSALS_KEPT].text);
	return err;
}

int intents_print(const struct account *a, struct buf *out)
{
	int err = 0;

	if (!a->state)
		return 0;
	err = buf_printf(out, "changes: %zu wait\n", a->intents->count);
	return err | print_refusals(a->intents, 0, out);
}

int intents_print_news(const struct account *a, struct buf *out, unsigned *told)
{
	const struct intents *all = a->intents;
	int err = print_refusals(all, all->told, out);

	*told = all->refused;
	if (all->count > 0)
		err |= buf_printf(out, "not done yet: %zu change%s%s\n", all->count,
			all->count == 1 ? "" : "s",
			pool_is_down(a->pool) ? ", since the server cannot be reached" : "");
	return err;
}

void intents_note_told(struct account *a, unsigned told)
{
	if (told > a->intents->told)
		a->intents->told = told;
}
