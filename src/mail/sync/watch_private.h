/* SPDX-License-Identifier: MIT */
/* The insides of the watching, for watch.c (its connection) and heard.c (what it tells). */
#ifndef MAIL_SYNC_WATCH_PRIVATE_H
#define MAIL_SYNC_WATCH_PRIVATE_H

#include "mail/sync/trust.h"
#include "mail/sync/watch.h"

enum watch_mode { WATCH_POLL, WATCH_NOTIFY, WATCH_IDLE };

enum watch_state {
	WATCH_RESTING,    /* no connection is wanted */
	WATCH_QUEUED,     /* the task waits for the connection */
	WATCH_SETTING_UP, /* NOTIFY was not answered yet, or the server gave up telling */
	WATCH_TELLING     /* NOTIFY was agreed to, or IDLE was sent */
};

struct watch {
	struct account *account;
	struct pool *pool; /* of the one connection */
	struct pool_task task;
	struct imap_command command;
	enum watch_mode mode;
	enum watch_state state;
	bool started, stopping;
	uv_timer_t renew;   /* IDLE, or confirms with a NOOP that the line lives */
	uv_timer_t refresh; /* looks at everything */
	watch_on_stopped *on_stopped;
	void *ctx;

	struct mailbox *in_use; /* that was listed or read last, or NULL */
	uint64_t used_at;       /* uv_now when it was */

	/* What it tells. */
	uint32_t generation; /* of connections: freshness.watched.by */
	uint64_t agreed_at;  /* uv_now when NOTIFY was agreed to, last */
	/* With NOTIFY, whether it tells of flags. */
	struct {
		bool asked;         /* the last NOTIFY asks for it */
		bool refused;       /* the server does not tell of them */
		uint64_t agreed_at; /* uv_hrtime; 0: not */
	} flags;
	struct trust trust;
	uv_timer_t judge; /* runs while the server may still tell of what was found */
};

/* Whether the connection is there. */
bool watch_holds(const struct watch *w);
/* Whether the server is to tell of the mailbox. */
bool watch_tells_of(const struct watch *w, const struct mailbox *mb);
/* The server gave up telling: it is asked again when the line is confirmed the next time, and
 * meanwhile everything is looked at. */
void watch_on_overflow(struct watch *w);

/* --- heard.c --- */

/* From the pool of the watching connection, or from its task; ctx is the watch. */
void heard_on_pool_untagged(void *ctx, struct mailbox *mb, struct conn *conn,
	const struct imap_response *r, uint32_t uid);
void heard_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid);

#endif
