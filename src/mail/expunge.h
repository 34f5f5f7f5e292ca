/*
 * unlink: messages are deleted by STORE \Deleted and EXPUNGE, confirmed by the server, and never
 * anything else. Requests of one mailbox that come while another is under way share commands.
 */
#ifndef MAIL_EXPUNGE_H
#define MAIL_EXPUNGE_H

#include "mail/account.h"

struct removal {
	struct list link;
	struct mailbox *mb;
	uint32_t uid;
	struct cache_message shown; /* what it looked like when it was to be removed */
	bool other;                 /* the server has another message under that UID */
	/* Once, from the loop: 0 when the server has confirmed that the message is gone; ERR_GONE
	 * when its mailbox is no more, or has another UIDVALIDITY (never ERR_STALE: the kernel
	 * would try again by the name, on another message); ERR_READONLY, ERR_DENIED, ERR_UNSAFE
	 * before anything was sent; ERR_REFUSED and its kinds, and then the marks are as before; or
	 * what happened to the connection. */
	void (*on_done)(struct removal *r, int err);
};

void expunge_start(struct removal *r);
/* No callback any more. True: nothing was sent for it and nothing will be. */
bool expunge_cancel(struct removal *r);

/* Gives the \Deleted flags back that a crash or an outage kept from other clients (the cache's
 * journal). Call before the first expunge, and when the server is back. */
void expunge_restore_start(struct account *a);
/* The mailbox is about to be freed; after its pool and its cache. No callback. */
void expunge_forget(struct mailbox *mb);
/* Nothing is under way. */
bool expunge_is_idle(const struct mailbox *mb);

#endif
