/* SPDX-License-Identifier: MIT */
/*
 * Everything lies in one struct that lives until all handles are done with it (`references`),
 * whether or not the caller still waits (`done`).
 */
#include "net/connect.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/lookup.h"
#include "net/question.h"

enum {
	ATTEMPT_DELAY = 250, /* ms, RFC 8305 section 5 */
	MAX_ATTEMPTS = 16,   /* addresses tried of those that the resolver gave */
	/* A dead server is noticed after 60 + 4 * 15 seconds without traffic. */
	KEEPALIVE_IDLE = 60,
	KEEPALIVE_INTERVAL = 15,
	KEEPALIVE_COUNT = 4,
};

struct attempt {
	uv_poll_t poll;
	struct net_connect *c;
	int fd; /* -1: ended */
};

struct net_connect {
	uv_loop_t *loop;
	struct net_question *lookup; /* while it is under way */
	uv_timer_t timer;
	unsigned references; /* handles that are not closed */
	bool done;

	char *host;
	unsigned port, window;
	struct addrinfo *addresses, *next;
	struct attempt attempts[MAX_ATTEMPTS];
	size_t started, running;
	int error; /* errno of the attempt that tells most */

	net_connect_cb *on_done;
	void *ctx;
	struct net_failure failure;
};

static void connect_release(struct net_connect *c)
{
	if (--c->references > 0 || !c->done)
		return;
	if (c->addresses)
		freeaddrinfo(c->addresses);
	free(c->host);
	free(c);
}

static void connect_on_timer_closed(uv_handle_t *handle)
{
	connect_release(handle->data);
}

static void connect_on_poll_closed(uv_handle_t *handle)
{
	struct attempt *a = handle->data;

	connect_release(a->c);
}

/* The poll handle leaves the loop before the descriptor's number can be given to anyone else. */
static int end_attempt(struct attempt *a)
{
	int fd = a->fd;

	uv_close((uv_handle_t *)&a->poll, connect_on_poll_closed);
	a->fd = -1;
	a->c->running--;
	return fd;
}

static void connect_finish(struct net_connect *c)
{
	c->done = true;
	net_question_cancel(c->lookup);
	c->lookup = NULL;
	for (size_t i = 0; i < c->started; i++) {
		if (c->attempts[i].fd >= 0)
			close(end_attempt(&c->attempts[i]));
	}
	uv_close((uv_handle_t *)&c->timer, connect_on_timer_closed);
}

static void connect_fail(struct net_connect *c)
{
	connect_finish(c);
	c->on_done(c->ctx, -1, &c->failure);
}

/* That there is no IPv6 here says nothing about the server, so it never hides another reason. */
static void note_attempt_error(struct net_connect *c, int error)
{
	bool local = error == ENETUNREACH || error == EADDRNOTAVAIL || error == EAFNOSUPPORT;

	if (c->error == 0 || !local)
		c->error = error;
}

static void set_options(int fd, int window)
{
	int on = 1, idle = KEEPALIVE_IDLE, interval = KEEPALIVE_INTERVAL, count = KEEPALIVE_COUNT;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	if (window > 0)
		setsockopt(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &window, sizeof(window));
}

/* A non-blocking socket on its way to the address, or -1 and errno. */
static int open_socket(const struct addrinfo *address, unsigned window)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		address->ai_protocol);

	if (fd < 0)
		return -1;
	set_options(fd, (int)window);
	if (connect(fd, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

static void start_next(struct net_connect *c);

static void connect_on_attempt(uv_poll_t *poll, int status, int events)
{
	struct attempt *a = poll->data;
	struct net_connect *c = a->c;
	int error = 0;
	socklen_t size = sizeof(error);

	if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error == 0 && status < 0)
		error = -status;
	int fd = end_attempt(a);
	if (error == 0) {
		connect_finish(c);
		c->on_done(c->ctx, fd, NULL);
		return;
	}
	close(fd);
	note_attempt_error(c, error);
	start_next(c);
}

static bool start_attempt(struct net_connect *c, const struct addrinfo *address)
{
	int fd = open_socket(address, c->window);

	if (fd < 0) {
		note_attempt_error(c, errno);
		return false;
	}
	struct attempt *a = &c->attempts[c->started];
	int err = uv_poll_init(c->loop, &a->poll, fd);
	if (err < 0) {
		close(fd);
		note_attempt_error(c, -err);
		return false;
	}
	a->poll.data = a;
	a->c = c;
	a->fd = fd;
	c->started++;
	c->running++;
	c->references++;
	uv_poll_start(&a->poll, UV_WRITABLE, connect_on_attempt);
	return true;
}

static void connect_on_timer(uv_timer_t *timer)
{
	start_next(timer->data);
}

static void start_next(struct net_connect *c)
{
	while (c->next && c->started < MAX_ATTEMPTS) {
		const struct addrinfo *address = c->next;
		c->next = address->ai_next;
		if (start_attempt(c, address)) {
			uv_timer_start(&c->timer, connect_on_timer, ATTEMPT_DELAY, 0);
			return;
		}
	}
	if (c->running > 0)
		return;
	net_failure_set(&c->failure, c->error == ETIMEDOUT ? ERR_TIMEOUT : ERR_NET,
		"cannot connect to %s port %u: %s", c->host, c->port, strerror(c->error));
	connect_fail(c);
}

static void connect_on_resolved(void *ctx, int status, struct addrinfo *addresses)
{
	struct net_connect *c = ctx;

	c->lookup = NULL;
	c->addresses = c->next = addresses;
	if (status == 0) {
		start_next(c);
	} else {
		net_failure_set(&c->failure, status == UV_ENOMEM ? ERR_NOMEM : ERR_NET,
			"cannot resolve the host name %s: %s", c->host, uv_strerror(status));
		connect_fail(c);
	}
}

struct net_connect *net_connect_start(uv_loop_t *loop, const char *host, uint16_t port,
	unsigned window, net_connect_cb *on_done, void *ctx, struct net_failure *failure)
{
	struct net_connect *c = mem_zalloc(sizeof(*c));
	char service[8];

	snprintf(service, sizeof(service), "%u", port);
	int err = net_lookup_start(&c->lookup, loop, host, service, connect_on_resolved, c);
	if (err < 0) {
		net_failure_set(failure, err == UV_ENOMEM ? ERR_NOMEM : ERR_NET,
			"cannot resolve the host name %s: %s", host, uv_strerror(err));
		free(c);
		return NULL;
	}
	c->loop = loop;
	c->host = mem_strdup(host);
	c->port = port;
	c->window = window;
	c->on_done = on_done;
	c->ctx = ctx;
	uv_timer_init(loop, &c->timer);
	c->timer.data = c;
	c->references = 1;
	return c;
}

void net_connect_cancel(struct net_connect *c)
{
	if (!c)
		return;
	connect_finish(c);
}

bool net_connect_resolved(const struct net_connect *c)
{
	return c->addresses != NULL;
}
