/* SPDX-License-Identifier: MIT */
/*
 * Given names: what a message was called when it came in through the mount. Its name is its UID; the
 * given name finds it too, but is not listed. A message has one at most, and a name stands for one
 * message.
 *
 * One that looks like a UID is passing: it is there for the program that has just made it, and finds
 * nothing any more when the directory is listed again, since a message may get that UID. That the message
 * came in under it stays known: who puts the same in once more adds nothing.
 */
#ifndef MAIL_MODEL_GIVEN_H
#define MAIL_MODEL_GIVEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct cache_message;
struct given_names;
struct mailbox;

/* The UID of the message; 0: there is none of that name, or the server said a wrong UID: the message of
 * that has neither the size nor the date of what came in. */
uint32_t given_find(struct mailbox *mb, const char *name);
/* It is a passing one. */
bool given_is_passing(const struct mailbox *mb, const char *name);
/* The UID of the message that came in under this name, which finds nothing any more; 0: there is none. */
uint32_t given_was(const struct mailbox *mb, const char *name);
/* The UID of the message that came in under this name last, whether the name finds it or not; 0: there is none. */
uint32_t given_last(struct mailbox *mb, const char *name);
/* The name stands for this message, and for no other any more. is: size and date of what came in; NULL:
 * as that of the name that the message had. */
void given_put(struct mailbox *mb, const char *name, uint32_t uid, bool passing,
	const struct cache_message *is);
/* The same for what the cache knows. */
void given_load(struct mailbox *mb, struct span name, uint32_t uid);
/* The message is gone, or has no given name any more. */
void given_drop(struct mailbox *mb, uint32_t uid);
void given_drop_passing(struct mailbox *mb);
/* The mailbox is dead. */
void given_finish(struct mailbox *mb);

#endif
