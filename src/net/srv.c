/* SPDX-License-Identifier: MIT */
/* By the C library's resolver, which knows what is in resolv.conf; it blocks, so in a thread. */
#include "net/srv.h"

#include <arpa/nameser.h>
#include <limits.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/question.h"

enum {
	ANSWER_MAX = 64 << 10,
	RECORD_FIXED = 6, /* priority, weight, port */
};

struct srv_question {
	net_srv_cb *on_done;
	void *ctx;
	char *name;
	struct net_srv srv;
};

/* A name that a resolver may say is not always one of a host. */
static bool is_host_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";

	return *name && *name != '.' && *name != '-' && name[strspn(name, letters)] == '\0';
}

static bool take_target(ns_msg *message, const unsigned char *target, struct net_srv *srv)
{
	char name[NS_MAXDNAME];

	if (dn_expand(ns_msg_base(*message), ns_msg_end(*message), target, name, sizeof(name)) < 0)
		return false;
	size_t n = strlen(name);
	while (n > 0 && name[n - 1] == '.')
		name[--n] = '\0';
	for (char *c = name; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	srv->none = n == 0;
	if (!srv->none && (n >= sizeof(srv->host) || !is_host_name(name)))
		return false;
	memcpy(srv->host, name, n + 1);
	return true;
}

void net_srv_parse(const unsigned char *answer, size_t n, struct net_srv *srv)
{
	unsigned best_priority = UINT_MAX, best_weight = 0;
	ns_msg message;
	ns_rr record;

	*srv = (struct net_srv){.found = false};
	if (n > ANSWER_MAX || ns_initparse(answer, (int)n, &message) < 0)
		return;
	for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
		struct net_srv this = {.found = true};
		if (ns_parserr(&message, ns_s_an, i, &record) < 0)
			return;
		const unsigned char *data = ns_rr_rdata(record);
		if (ns_rr_type(record) != ns_t_srv || ns_rr_rdlen(record) <= RECORD_FIXED)
			continue;
		unsigned priority = ns_get16(data), weight = ns_get16(data + 2);
		this.port = (uint16_t)ns_get16(data + 4);
		bool better = priority < best_priority ||
			      (priority == best_priority && weight > best_weight);
		if (!better || !take_target(&message, data + RECORD_FIXED, &this) ||
			(!this.none && this.port == 0))
			continue;
		best_priority = priority;
		best_weight = weight;
		*srv = this;
	}
}

static void srv_ask(void *data)
{
	struct srv_question *q = data;
	unsigned char *answer = mem_alloc(ANSWER_MAX);
	int n = res_query(q->name, ns_c_in, ns_t_srv, answer, ANSWER_MAX);

	if (n > 0)
		net_srv_parse(answer, n < ANSWER_MAX ? (size_t)n : ANSWER_MAX, &q->srv);
	free(answer);
}

static void srv_destroy(void *data)
{
	struct srv_question *q = data;

	free(q->name);
	free(q);
}

static void srv_on_answer(void *ctx, void *data)
{
	struct srv_question *q = data;

	q->on_done(q->ctx, &q->srv);
}

int net_srv_start(struct net_question **question, uv_loop_t *loop, const char *domain,
	net_srv_cb *on_done, void *ctx)
{
	static const struct net_question_kind kind = {srv_ask, srv_destroy};
	struct srv_question *q = mem_zalloc(sizeof(*q));

	q->name = mem_printf("_imaps._tcp.%s.", domain);
	q->on_done = on_done;
	q->ctx = ctx;
	return net_question_start(question, loop, &kind, q, srv_on_answer, NULL);
}
