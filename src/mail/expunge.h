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
	/* Once, from the loop: 0 when the server has confirmed that the message is gone; ERR_GONE
	 * when it was already; ERR_READONLY, ERR_DENIED before anything was sent; ERR_STALE;
	 * ERR_REFUSED; or what happened to the connection. */
	void (*on_done)(struct removal *r, int err);
};

void expunge_start(struct removal *r);
/* No callback any more. True: nothing was sent for it and nothing will be. */
bool expunge_cancel(struct removal *r);

/* Gives the \Deleted flags back that a crash of ours kept from other clients (the cache's journal).
 * Call before the first expunge. */
void expunge_restore_start(struct account *a);

#endif
