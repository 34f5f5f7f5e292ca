/* SPDX-License-Identifier: MIT */
/*
 * What blocks and cannot be interrupted, as the C library's resolver does, each in a thread of its
 * own: one that does not answer holds up neither the threads that others need nor the end of the
 * program, as a request of libuv's does, which cannot be given up.
 */
#ifndef NET_QUESTION_H
#define NET_QUESTION_H

#include <uv.h>

struct net_question;

struct net_question_kind {
	/* In the thread: fills data with the answer. */
	void (*ask)(void *data);
	/* Frees data, in the thread or in the loop; nobody else uses it any more. */
	void (*destroy)(void *data);
};

/* Once, from the loop; data is valid during the call. The question is gone then. */
typedef void net_question_cb(void *ctx, void *data);

/* Takes data, also when it fails. 0, or libuv's code, and then no callback follows. kind must be
 * static. */
int net_question_start(struct net_question **question, uv_loop_t *loop,
	const struct net_question_kind *kind, void *data, net_question_cb *on_done, void *ctx);
/* No callback follows. NULL is fine. */
void net_question_cancel(struct net_question *q);

#endif
