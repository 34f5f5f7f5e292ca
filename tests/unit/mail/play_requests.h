/* SPDX-License-Identifier: MIT */
/* What the parts of the filesystem in a play share: its requests, its events, and how an action is
 * read. */
#ifndef MAIL_TEST_PLAY_REQUESTS_H
#define MAIL_TEST_PLAY_REQUESTS_H

#include "mail/account.h"
#include "mail/change/append.h"
#include "mail/change/changes.h"
#include "mail/change/copy.h"
#include "mail/change/intents.h"
#include "mail/change/mailboxes.h"
#include "mail/parts/facts.h"
#include "mail/parts/section.h"
#include "mail/read/body.h"
#include "mail/size/prove.h"
#include "mail/sync/flags_ask.h"
#include "mail/sync/lister.h"
#include "state/state.h"
#include "play_acts.h"

#define ACTS_LINE_MAX (1u << 20)

/* A request that waits. */
struct request {
	struct list link;
	struct mailbox *mb;
	uint32_t uid;
	struct mailbox_wait mailbox_wait;
	struct lister_wait lister_wait;
	struct body_read read;
	struct flags_wait flags;
	struct facts_wait facts;
	struct section_read section;
	struct change removal;
	char *diff; /* of a store, owned */
	struct drain drain;
	bool drains; /* it has a deadline in src/fs only */
	struct proof proof;
	struct append append;
	struct copy copy;
	char *append_flags;
	struct mailboxes_wait folder;
	char *path; /* owned; NULL: of no change of mailboxes */
};

struct acts {
	uv_loop_t loop;
	struct cache *cache;
	struct state *state;
	struct account *account;
	struct account_options options;
	struct list requests;
	void (*told)(struct span line);
	char user[32], mailbox[256], suffix[16];
	bool stopped, muted;
};

extern struct acts acts;

/* --- requests --- */

struct request *request_create(struct mailbox *mb, uint32_t uid);
void request_end(struct request *r);
/* What is there may be shown in spite of it. */
bool acts_is_outage(int err);
/* Tells what a read brought, and ends the request. r->read.offset is where it began. */
void acts_end_read(struct request *r, int err, const struct body_parts *parts);

/* --- events --- */

void acts_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern const struct account_observer acts_observer;

/* --- actions --- */

struct act {
	const char *name;
	bool (*run)(struct span args); /* false: they are not understood */
};

/* Each ends with one that has no name. */
extern const struct act acts_of_reading[], acts_of_parts[], acts_of_changing[], acts_of_writing[];

/* The next word, up to a space; it is taken off. */
struct span acts_take_word(struct span *rest);
bool acts_take_number(struct span *rest, uint64_t *n);
/* NULL, and an event, when there is no such mailbox. */
struct mailbox *acts_take_mailbox(struct span *rest);
/* Of a mailbox and UIDs. */
bool acts_each_uid(struct span args, void (*f)(struct mailbox *mb, uint32_t uid));

#endif
