/* SPDX-License-Identifier: MIT */
/*
 * How far the rows of a mailbox are what the server has. Only mail/sync changes it; the others ask
 * and tell by the functions of mail/sync/sync.h.
 */
#ifndef MAIL_MODEL_FRESHNESS_H
#define MAIL_MODEL_FRESHNESS_H

#include <stdbool.h>
#include <stdint.h>

struct sync;

struct freshness {
	struct sync *sync; /* the check under way, or NULL */
	uint64_t checked;  /* uv_now at the end of the last check that succeeded; 0: never */

	/* News: what the server told of and no check has found yet. */
	uint64_t news_count; /* how often the server told of something */
	uint64_t news_at;    /* uv_hrtime when it did last, but by a SELECT of ours */

	/* What STATUS said last. */
	struct {
		uint64_t at; /* uv_now; 0: never */
		uint32_t messages, uidnext;
		uint64_t asked; /* uv_now when it was asked for ahead of a walk; 0: never */
	} status;
	uint32_t foreseen; /* rows that were asked for ahead of a walk that has not come yet */

	/* The watching connection: see watch.c. */
	struct {
		uint32_t by; /* generation of the connection that tells of this mailbox; 0: none */
		bool ahead;  /* it told of news before a check found it */
	} watched;

	/* Side by side: there are as many of these structs as the account has mailboxes. */
	bool verifying; /* nobody waits for the check under way */
	bool news;      /* there are news */
	bool doubt; /* something was expunged that could not be named, or was said to be there */
	bool holes; /* the server may have more below uidnext than is known here */
	bool partial_logged; /* the log has it that the server lists a part only */
	bool unsound_logged; /* and that SEARCH and EXISTS contradict each other */
};

#endif
