/* SPDX-License-Identifier: MIT */
/* The names of the account's mailboxes: LIST, and who waits for it. */
#ifndef MAIL_SYNC_LISTER_H
#define MAIL_SYNC_LISTER_H

#include "mail/model/account.h"

struct lister_wait;

/* The wait is over (and not in any list any more); err of the LIST. */
typedef void lister_on_wake(struct lister_wait *w, int err);

/* Someone who waits for the tree. */
struct lister_wait {
	struct list link;
	lister_on_wake *on_wake;
};

/* The account's one lister. */
struct lister *lister_create(struct account *a);
/* No LIST begins any more. */
void lister_stop(struct lister *l);
/* After the loop has closed what lister_stop left. */
void lister_destroy(struct lister *l);

/* Lists anew, unless that is under way; w is woken at the end, NULL: nobody is. newer: see
 * lister_start. */
void lister_list(struct account *a, struct lister_wait *w, bool newer);
/* Makes sure that the tree is fresh. True: it is, now. False: w will be woken. */
bool lister_fresh_try(struct account *a, struct lister_wait *w);
void lister_unwait(struct lister_wait *w);

/* Begins a LIST; none must be under way. status: asks for the status of each mailbox too, where
 * LIST can (RFC 5819). newer: over a connection whose names are not in doubt, if there can be one,
 * else over the newest. Where names stay in doubt another LIST follows by itself, when there can be
 * a newer connection. */
void lister_start(struct account *a, bool status, bool newer);
/* There may be news of names: what the connections made so far name may be old. */
void lister_doubt(struct account *a);
/* The same, if the connection that named the mailboxes last is older than so many milliseconds, and
 * there may be a newer one. */
void lister_doubt_older(struct account *a, uint64_t age);
/* The server told of news of names: lists anew, after the LIST under way if there is one. */
void lister_on_news(struct account *a);

/* Names change by what we do ourselves. What a LIST under way says may be older or newer, and is not
 * believed; none begins before lister_resume, and who waits for one waits. */
void lister_pause(struct account *a);
void lister_resume(struct account *a);

/* The personal namespace, for people: its prefix and delimiter; "": not known. */
const char *lister_namespace(const struct account *a);
bool lister_is_running(const struct account *a);
/* The last LIST that succeeded did so less than `age` milliseconds ago. */
bool lister_is_fresh(const struct account *a, uint64_t age);
/* The last LIST brought the status of each mailbox along. */
bool lister_has_status(const struct account *a);

/* A LIST still named a mailbox that cannot be selected: for a moment the next refusal is no reason
 * for another LIST. */
void lister_note_vain(struct account *a);
bool lister_is_vain(const struct account *a);

#endif
