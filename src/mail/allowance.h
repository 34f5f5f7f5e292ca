/* SPDX-License-Identifier: MIT */
/*
 * What may come from the server on a day (-o daylimit). A day ends at midnight, local time. Once as much
 * as that has come no octets of messages are fetched until then; lists of messages, flags and changes
 * go on, and count.
 */
#ifndef MAIL_ALLOWANCE_H
#define MAIL_ALLOWANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "state/traffic.h"

struct account;
struct allowance;

/* NULL where the account has no limit; all functions take that. */
struct allowance *allowance_create(struct account *a);
/* What was counted is written. */
void allowance_destroy(struct allowance *w);
/* Whether octets of messages may be fetched. The first time that they may not is told in the log. */
bool allowance_is_left(struct allowance *w);
/* A line for the status. Returns buf's errors. */
int allowance_print(struct allowance *w, struct buf *out);

/* The day's name, and the time (seconds since 1970) at which the next one begins. Pure but for the time
 * zone. */
int64_t allowance_day(int64_t now, char day[TRAFFIC_DAY]);

#endif
