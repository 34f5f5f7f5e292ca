/* SPDX-License-Identifier: MIT */
/*
 * What the cache's tests share: a directory and a loop for each test, octets that can be told
 * apart, and the log. A line in the log that a test did not expect fails it.
 */
#ifndef TESTS_CACHE_SUPPORT_H
#define TESTS_CACHE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cache/cache.h"

#define MIB ((uint64_t)1 << 20)

struct fixture {
	uv_loop_t loop;
	struct cache *c;
	char root[64];                  /* removed at the end */
	char dir[96];                   /* of the cache, in root; does not exist at the start */
	int pending;                    /* callbacks that are due */
	int err;                        /* of the last callback that had one */
	struct cache_message *messages; /* of the last load */
	size_t n;
};

/* Setup and teardown of each test; *state is the fixture. */
int fixture_create(void **state);
int fixture_destroy(void **state);

/* Opens f->dir; must succeed. */
void fixture_open(struct fixture *f, uint64_t max_bytes);
void fixture_open_gathering(struct fixture *f, uint64_t max_bytes, uint64_t gather);
void fixture_close(struct fixture *f);
void fixture_reopen(struct fixture *f);
/* Runs the loop until no callback is due. */
void fixture_settle(struct fixture *f);
/* Runs it until nothing is left to do, house-keeping included. */
void fixture_idle(struct fixture *f);

/* Takes the next line of the log, which must hold text. */
void expect_log(const char *text);
/* Takes all lines, which must all hold text; there need be none. */
void forgive_log(const char *text);

/* n octets that depend on all the numbers; malloc'ed. */
char *make_octets(uint32_t mailbox, uint32_t uid, uint32_t chunk, size_t n);
void put_chunk(struct fixture *f, uint32_t mailbox, uint32_t uid, uint32_t chunk, size_t n);
/* False on a miss; what is found must be what make_octets made. */
bool has_chunk(struct fixture *f, uint32_t mailbox, uint32_t uid, uint32_t chunk, size_t n);
struct cache_counts counts_of(struct fixture *f);

/* Loads into f->messages, f->n and f->err. */
void load(struct fixture *f, uint32_t mailbox);
struct cache_message message_of(uint32_t uid);
void put_messages(struct fixture *f, uint32_t mailbox, uint32_t first, uint32_t last);
void put_journal(struct fixture *f, uint32_t mailbox, const uint32_t *uids, size_t n);
struct cache_mailbox mailbox_of(uint32_t id, const char *name);
/* The number of mailboxes, or of journal entries; the last one is copied, without its name. */
size_t count_mailboxes(struct fixture *f, struct cache_mailbox *last);
size_t count_journal(struct fixture *f, uint32_t *mailbox, size_t *n);

/* Of a file in f->dir; -1 when there is none. The string is overwritten by the next call. */
const char *path_in(struct fixture *f, const char *name);
long long size_in(struct fixture *f, const char *name);
bool exists_in(struct fixture *f, const char *name);

#endif
