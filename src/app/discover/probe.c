/* SPDX-License-Identifier: MIT */
#include "app/discover/probe.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "net/connect.h"
#include "net/question.h"

struct probing {
	struct probe *probe;
	uv_loop_t loop;
	uv_timer_t timer;
	struct net_connect *connect; /* NULL: it is over, as the other is */
	struct net_question *srv;
};

static void end_probing(struct probing *p)
{
	net_connect_cancel(p->connect);
	net_question_cancel(p->srv);
	p->connect = NULL;
	p->srv = NULL;
	if (!uv_is_closing((uv_handle_t *)&p->timer))
		uv_close((uv_handle_t *)&p->timer, NULL);
}

static void probe_on_timer(uv_timer_t *timer)
{
	struct probing *p = timer->data;

	if (p->connect)
		snprintf(p->probe->text, sizeof(p->probe->text), "%s",
			net_connect_resolved(p->connect)
				? "no answer in time from any of its addresses"
				: "the name server does not answer");
	end_probing(p);
}

static void note_peer(int fd, struct probe *probe)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	char name[INET6_ADDRSTRLEN] = "";

	if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0)
		getnameinfo((const struct sockaddr *)&peer, size, name, sizeof(name), NULL, 0,
			NI_NUMERICHOST);
	snprintf(probe->text, sizeof(probe->text), "%s", name);
}

static void probe_on_connect(void *ctx, int fd, const struct net_failure *failure)
{
	struct probing *p = ctx;

	p->connect = NULL;
	p->probe->answers = fd >= 0;
	if (fd >= 0) {
		note_peer(fd, p->probe);
		close(fd);
	} else {
		snprintf(p->probe->text, sizeof(p->probe->text), "%s", failure->text);
	}
	if (fd >= 0 || !p->srv)
		end_probing(p);
}

/* A host that answers goes before what the DNS says, so there is still something to wait for. */
static void probe_on_srv(void *ctx, const struct net_srv *srv)
{
	struct probing *p = ctx;

	p->srv = NULL;
	p->probe->srv = *srv;
	if (!p->connect)
		end_probing(p);
}

void probe_host(const char *host, uint16_t port, uint64_t limit, bool ask_srv, struct probe *probe)
{
	struct probing p = {.probe = probe};
	struct net_failure failure;

	*probe = (struct probe){.answers = false};
	if (uv_loop_init(&p.loop) < 0)
		return;
	uv_timer_init(&p.loop, &p.timer);
	p.timer.data = &p;
	uv_timer_start(&p.timer, probe_on_timer, limit, 0);
	p.connect = net_connect_start(&p.loop, host, port, 0, probe_on_connect, &p, &failure);
	if (!p.connect)
		snprintf(probe->text, sizeof(probe->text), "%s", failure.text);
	if (ask_srv && net_srv_start(&p.srv, &p.loop, host, probe_on_srv, &p) < 0)
		p.srv = NULL;
	if (!p.connect && !p.srv)
		end_probing(&p);
	uv_run(&p.loop, UV_RUN_DEFAULT);
	uv_loop_close(&p.loop);
}
