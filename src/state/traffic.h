/* SPDX-License-Identifier: MIT */
/*
 * How many octets came from the server on a day, counted by all mounts of an account together, in a file
 * of its own in the account's state directory: one line, "1 2026-11-27 00000000000000004711". The first
 * number is the format's version; a file of a newer one is left as it is.
 */
#ifndef STATE_TRAFFIC_H
#define STATE_TRAFFIC_H

#include <stddef.h>
#include <stdint.h>

/* "2026-11-27" and a NUL. */
#define TRAFFIC_DAY 11

struct traffic;

/* dir: made 0700 with its parents where it is not there. NULL, and a line in error, when the file
 * cannot be used. */
struct traffic *traffic_open(const char *dir, char *error, size_t size);
/* NULL is fine. */
void traffic_close(struct traffic *t);
/* Adds to what was counted on the day and returns the sum; with 0 octets only looks. What cannot be
 * written now (another mount writes, the disk is full) is counted, and written with what comes next.
 * A day that is not the file's begins anew. Microseconds. */
uint64_t traffic_add(struct traffic *t, const char day[TRAFFIC_DAY], uint64_t octets);

#endif
