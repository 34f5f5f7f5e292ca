/* SPDX-License-Identifier: MIT */
/*
 * The struct is shared by the loop and the thread, and freed by the last of them. Whether the loop
 * still waits is said under the lock: only then the thread may use the handle.
 */
#include "net/question.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

/* Questions under way, those that were given up included. */
#define QUESTIONS_MAX 16

struct net_question {
	uv_async_t done;
	atomic_uint references;
	net_question_cb *on_done;
	void *ctx;
	const struct net_question_kind *kind;
	void *data; /* the thread's until done is sent */

	uv_mutex_t lock;
	bool abandoned; /* the handle is closed, or about to be */
};

static atomic_uint running;

static void question_release(struct net_question *q)
{
	if (atomic_fetch_sub(&q->references, 1) > 1)
		return;
	uv_mutex_destroy(&q->lock);
	q->kind->destroy(q->data);
	free(q);
}

static void question_on_closed(uv_handle_t *handle)
{
	question_release(handle->data);
}

static void *question_run(void *ctx)
{
	struct net_question *q = ctx;

	q->kind->ask(q->data);
	uv_mutex_lock(&q->lock);
	if (!q->abandoned)
		uv_async_send(&q->done);
	uv_mutex_unlock(&q->lock);
	question_release(q);
	atomic_fetch_sub(&running, 1);
	return NULL;
}

/* The handle closes in a later turn, so data is good during the call. */
static void question_on_done(uv_async_t *done)
{
	struct net_question *q = done->data;

	net_question_cancel(q);
	q->on_done(q->ctx, q->data);
}

static int start_thread(struct net_question *q)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	int error = pthread_create(&thread, &attributes, question_run, q);
	pthread_attr_destroy(&attributes);
	return error ? uv_translate_sys_error(error) : 0;
}

int net_question_start(struct net_question **question, uv_loop_t *loop,
	const struct net_question_kind *kind, void *data, net_question_cb *on_done, void *ctx)
{
	if (atomic_fetch_add(&running, 1) >= QUESTIONS_MAX) {
		atomic_fetch_sub(&running, 1);
		kind->destroy(data);
		return UV_EAI_AGAIN;
	}
	struct net_question *q = mem_zalloc(sizeof(*q));
	uv_mutex_init(&q->lock);
	uv_async_init(loop, &q->done, question_on_done);
	q->done.data = q;
	q->kind = kind;
	q->data = data;
	q->on_done = on_done;
	q->ctx = ctx;
	atomic_store(&q->references, 2);
	int status = start_thread(q);
	if (status == 0) {
		*question = q;
		return 0;
	}
	atomic_fetch_sub(&running, 1);
	net_question_cancel(q);
	question_release(q);
	return status;
}

void net_question_cancel(struct net_question *q)
{
	if (!q)
		return;
	uv_mutex_lock(&q->lock);
	q->abandoned = true;
	uv_mutex_unlock(&q->lock);
	uv_close((uv_handle_t *)&q->done, question_on_closed);
}
