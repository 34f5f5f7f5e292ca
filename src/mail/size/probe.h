/* SPDX-License-Identifier: MIT */
/*
 * Finding out how many octets a message has by asking for few of them (`BODY.PEEK[]<from.octets>`).
 * Pure: says what to ask, and learns from the answers.
 *
 * The first question is for the last octet that the server's size promises and one more: exactly
 * one comes when it is right. Otherwise the end is sought near the promise first, in steps that
 * grow by four, then by halves. The end is where an answer holds octets and is shorter than asked
 * for, if that agrees with the promise or with another answer. An answer without octets proves
 * nothing (see ending.h), but shows where to look next: below.
 */
#ifndef MAIL_SIZE_PROBE_H
#define MAIL_SIZE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

struct probe {
	uint64_t promised;                 /* octets, by the server */
	uint64_t low;                      /* the message has octets up to here */
	uint64_t high;                     /* none came from here on; UINT64_MAX: some always did */
	uint64_t width;                    /* octets of the next step away from low or high */
	uint64_t short_from, short_octets; /* the last question whose answer was short */
	unsigned asked;                    /* questions that were answered */
	unsigned doubts;                   /* answers without octets that others contradicted */
	/* What to ask next. */
	uint64_t from;
	uint32_t octets;
};

enum probe_result {
	PROBE_MORE,
	PROBE_FOUND,    /* p->low is the size */
	PROBE_NONSENSE, /* the answers contradict each other, or do not end */
};

/* promised: at least 1. doubted: the server is known to be wrong: asks for more at once. */
void probe_init(struct probe *p, uint64_t promised, bool doubted);
/* `got` of `octets` octets came from offset `from` on; these are p's own question or one that
 * includes it. */
enum probe_result probe_answer(struct probe *p, uint64_t from, uint64_t octets, uint64_t got);

#endif
