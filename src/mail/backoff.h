/* How long to wait before the next attempt to connect. Pure. */
#ifndef MAIL_BACKOFF_H
#define MAIL_BACKOFF_H

#include <stdint.h>

struct backoff {
	unsigned failures; /* attempts in a row that failed, of any kind */
	unsigned refusals; /* of these, those whose login was refused; since the last success */
};

void backoff_note(struct backoff *b, int err);
/* The machine was suspended and is back, perhaps elsewhere: how often it failed before says little.
 * That it did stays (failures is not 0), and so do refusals. */
void backoff_wake(struct backoff *b);
/* Milliseconds: 1, 2, 4 ... 30 s, give or take a quarter (noise: any number) so that many clients
 * do not come back in step. A login that is refused goes on to 5 minutes, by its own count: who
 * tries a password that is no longer right over and over gets the account locked. */
uint64_t backoff_delay(const struct backoff *b, uint32_t noise);

#endif
