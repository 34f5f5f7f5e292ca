/* SPDX-License-Identifier: MIT */
#include "mail/change/lease.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

/* Milliseconds between attempts, at most. The first one waits too: who has just given it back must
 * not be the first to have it again. */
#define INTERVAL 20

struct lease {
	uv_timer_t timer;
	int socket;
	struct sockaddr_un name;
	uint64_t give_up_at; /* uv_now */
	lease_done *on_done;
	void *ctx;
};

/* FNV-1a. Two keys with one hash only wait for each other. */
static uint64_t hash_key(struct span key)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < key.n; i++)
		h = (h ^ (unsigned char)key.p[i]) * 1099511628211u;
	return h;
}

static bool try_to_take(struct lease *l)
{
	/* A name of this form is abstract, and as long as the address. */
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)&l->name, sizeof(l->name)) == 0) {
		l->socket = fd;
		return true;
	}
	if (errno != EADDRINUSE)
		log_debug("no lease: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return false;
}

static void wait_some(struct lease *l);

static void lease_on_time(uv_timer_t *timer)
{
	struct lease *l = timer->data;
	bool held = try_to_take(l);

	if (held || uv_now(timer->loop) >= l->give_up_at)
		l->on_done(l->ctx, held);
	else
		wait_some(l);
}

static void wait_some(struct lease *l)
{
	uv_timer_start(&l->timer, lease_on_time, 1 + (uint64_t)random() % INTERVAL, 0);
}

struct lease *lease_take(
	uv_loop_t *loop, struct span key, uint64_t patience, lease_done *on_done, void *ctx)
{
	struct lease *l = mem_zalloc(sizeof(*l));

	l->socket = -1;
	l->on_done = on_done;
	l->ctx = ctx;
	l->give_up_at = uv_now(loop) + patience;
	l->name.sun_family = AF_UNIX;
	snprintf(l->name.sun_path + 1, sizeof(l->name.sun_path) - 1, "imapfs-expunge-%016" PRIx64,
		hash_key(key));
	uv_timer_init(loop, &l->timer);
	/* Nobody waits for it alone: the loop may end. */
	uv_unref((uv_handle_t *)&l->timer);
	l->timer.data = l;
	wait_some(l);
	return l;
}

static void lease_on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void lease_release(struct lease *l)
{
	if (!l)
		return;
	if (l->socket >= 0)
		close(l->socket);
	uv_close((uv_handle_t *)&l->timer, lease_on_closed);
}
