/* SPDX-License-Identifier: MIT */
/* What the filesystem does in a play, and is told. See tests/transcripts/README. */
#ifndef MAIL_TEST_PLAY_ACTS_H
#define MAIL_TEST_PLAY_ACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/* told: gets each event, one line. */
void acts_begin(void (*told)(struct span line));
/* An option of the account; false: it is none. */
bool acts_option(struct span line);
/* The account is made, and starts. */
void acts_mount(void);
/* False: it is no action. */
bool acts_do(struct span line);
/* Nothing more is done before the loop rests. */
void acts_settle(void);
void acts_pass(uint64_t milliseconds);
/* Requests that have not ended. */
unsigned acts_waiting(void);
/* Everything ends, and the cache is empty again. */
void acts_end(void);
/* After the last play. */
void acts_finish(void);

/* Octets that are not printable ASCII as \xNN. */
void acts_put_octets(struct buf *out, struct span octets);

#endif
