/* SPDX-License-Identifier: MIT */
/*
 * Of messages that a lost connection may have copied: where the other mailbox still has the UIDNEXT that
 * it had before, none came to it, and they are copied again. That others look like them proves nothing,
 * since what is here is removed behind a copy: then nobody knows.
 */
#include "mail/change/private.h"

static const struct change *first_of(const struct changes *c)
{
	return list_entry(c->batch.next, struct change, link);
}

static void ask_send(struct changes *c)
{
	c->target_uidnext = 0;
	step_send_to(c, "STATUS", first_of(c)->to->name, " (UIDNEXT UIDVALIDITY)");
}

static void ask_on_status(struct changes *c, const struct imap_response *r)
{
	const struct mailbox *to = first_of(c)->to;

	if (span_equal(r->status.name, to->name) && r->status.has_uidnext &&
		r->status.has_uidvalidity && r->status.uidvalidity == to->uidvalidity)
		c->target_uidnext = r->status.uidnext;
}

static void ask_over(struct changes *c)
{
	LIST_FOREACH (pos, &c->batch) {
		struct change *r = list_entry(pos, struct change, link);
		if (r->unsure && c->target_uidnext && r->target_uidnext == c->target_uidnext)
			r->unsure = false;
		r->target_uidnext = 0;
	}
	c->verb->start(c);
}

static const struct step ask = {
	.name = "ask",
	.send = ask_send,
	.on_status = ask_on_status,
	.ok = ask_over,
	.refused = ask_over,
};

bool unsure_ask(struct changes *c)
{
	LIST_FOREACH (pos, &c->batch) {
		const struct change *r = list_entry(pos, struct change, link);
		if (!r->unsure || r->target_uidnext == 0 || r->to->dead)
			continue;
		step_go(c, &ask);
		return true;
	}
	return false;
}
