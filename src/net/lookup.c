/* SPDX-License-Identifier: MIT */
#include "net/lookup.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "net/question.h"

struct lookup {
	net_lookup_cb *on_done;
	void *ctx;
	char *host, *service;
	int status;
	struct addrinfo *addresses;
};

/* By libuv, which knows names of other scripts; on a loop of the thread's own, since it counts the
 * requests of a loop even of those that do not wait. */
static void lookup_ask(void *data)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct lookup *l = data;
	uv_getaddrinfo_t request;
	uv_loop_t loop;

	l->status = uv_loop_init(&loop);
	if (l->status < 0)
		return;
	l->status = uv_getaddrinfo(&loop, &request, NULL, l->host, l->service, &hints);
	if (l->status == 0)
		l->addresses = request.addrinfo;
	uv_loop_close(&loop);
}

static void lookup_destroy(void *data)
{
	struct lookup *l = data;

	if (l->addresses)
		freeaddrinfo(l->addresses);
	free(l->host);
	free(l->service);
	free(l);
}

static void lookup_on_answer(void *ctx, void *data)
{
	struct lookup *l = data;
	struct addrinfo *addresses = l->addresses;

	l->addresses = NULL;
	l->on_done(l->ctx, l->status, addresses);
}

int net_lookup_start(struct net_question **lookup, uv_loop_t *loop, const char *host,
	const char *service, net_lookup_cb *on_done, void *ctx)
{
	static const struct net_question_kind kind = {lookup_ask, lookup_destroy};
	struct lookup *l = mem_zalloc(sizeof(*l));

	l->host = mem_strdup(host);
	l->service = mem_strdup(service);
	l->on_done = on_done;
	l->ctx = ctx;
	return net_question_start(lookup, loop, &kind, l, lookup_on_answer, NULL);
}
