/* SPDX-License-Identifier: MIT */
/*
 * With UIDPLUS messages are marked and expunged in one turn. Some servers offer UIDPLUS without
 * having UID EXPUNGE: Proton's Bridge refuses it, DavMail never answers. Once may have been an
 * accident; after the second time UIDPLUS counts as lacking.
 */
#include "mail/change/uidplus.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/change/private.h"

/* What follows the commands of marks_send. */
enum { SLOT_EXPUNGE = 2 };

struct uidplus *uidplus_create(void)
{
	return mem_zalloc(sizeof(struct uidplus));
}

void uidplus_destroy(struct uidplus *u)
{
	free(u);
}

bool uidplus_is_there(const struct account *a)
{
	return (pool_capabilities(a->pool) & IMAP_CAP_UIDPLUS) && !a->uidplus->broken;
}

void uidplus_tell_lack(struct account *a)
{
	if (!a->uidplus->lack_told)
		log_warning(
			"%s cannot expunge one message alone (UIDPLUS): nothing is removed, since "
			"what other programs mark meanwhile could go along; -o expunge=force "
			"takes the risk",
			a->options.pool.host);
	a->uidplus->lack_told = true;
}

static void doubt(struct changes *c, const char *why)
{
	struct account *a = c->mb->account;

	if (++a->uidplus->doubts == 1) {
		uidplus_start(c);
		return;
	}
	if (!a->uidplus->broken)
		log_warning(
			"%s: UID EXPUNGE was %s twice: going on as if UIDPLUS, which is offered, "
			"were lacking",
			a->options.pool.host, why);
	a->uidplus->broken = true;
	c->expunge.anew = true;
	removals_refuse(c, ERR_UNSAFE);
}

/* Until one UID EXPUNGE was carried out NOOP follows, whose answer tells that there will be none
 * for what was sent before. */
static void uidplus_send(struct changes *c)
{
	marks_send(c, false);
	struct slot *expunge = step_send_piece(c, "UID EXPUNGE", "");
	if (c->mb->account->uidplus->proven)
		return;
	struct slot *noop = step_send(c, "NOOP");
	noop->helps = true;
	noop->before = expunge;
}

static void uidplus_ok(struct changes *c)
{
	struct uidplus *u = c->mb->account->uidplus;

	if (c->now.silent && !queue_batch_is_gone(c)) {
		doubt(c, "not answered");
		return;
	}
	if (!c->now.silent) {
		u->doubts = 0;
		u->proven = true;
		c->expunge.again = true;
	}
	removals_expunged(c);
}

/* A plain NO is about these messages. */
static void uidplus_refused(struct changes *c)
{
	marks_are_blind(c);
	if (queue_batch_is_gone(c))
		removals_expunged(c);
	else if (marks_were_refused(c) || !c->now.slots[SLOT_EXPUNGE].unknown)
		removals_step_refused(c);
	else
		doubt(c, "refused");
}

static const struct step uidplus = {
	.name = "uidplus",
	.send = uidplus_send,
	.on_row = marks_on_row,
	.ok = uidplus_ok,
	.refused = uidplus_refused,
};

void uidplus_start(struct changes *c)
{
	step_go_over(c, &uidplus, &c->uids);
}
