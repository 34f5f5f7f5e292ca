/*
 * The struct is shared by the loop and the thread, and freed by the last of them. Whether the loop
 * still waits is said under the lock: only then the thread may use the handle.
 */
#include "net/lookup.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/mem.h"

/* Lookups under way, those that were given up included. */
#define LOOKUPS_MAX 16

struct net_lookup {
	uv_async_t done;
	atomic_uint references;
	net_lookup_cb *on_done;
	void *ctx;
	char *host, *service;

	uv_mutex_t lock;
	bool abandoned; /* the handle is closed, or about to be */
	int status;
	struct addrinfo *addresses;
};

static atomic_uint running;

static void release(struct net_lookup *l)
{
	if (atomic_fetch_sub(&l->references, 1) > 1)
		return;
	uv_mutex_destroy(&l->lock);
	if (l->addresses)
		freeaddrinfo(l->addresses);
	free(l->host);
	free(l->service);
	free(l);
}

static void on_closed(uv_handle_t *handle)
{
	release(handle->data);
}

/* By libuv, which knows names of other scripts; on a loop of the thread's own, since it counts the
 * requests of a loop even of those that do not wait. */
static int look_up(struct net_lookup *l, struct addrinfo **addresses)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	uv_getaddrinfo_t request;
	uv_loop_t loop;
	int status = uv_loop_init(&loop);

	if (status < 0)
		return status;
	status = uv_getaddrinfo(&loop, &request, NULL, l->host, l->service, &hints);
	*addresses = status == 0 ? request.addrinfo : NULL;
	uv_loop_close(&loop);
	return status;
}

static void *work(void *ctx)
{
	struct net_lookup *l = ctx;
	struct addrinfo *addresses = NULL;
	int status = look_up(l, &addresses);

	uv_mutex_lock(&l->lock);
	l->status = status;
	l->addresses = addresses;
	if (!l->abandoned)
		uv_async_send(&l->done);
	uv_mutex_unlock(&l->lock);
	release(l);
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static void on_done(uv_async_t *done)
{
	struct net_lookup *l = done->data;
	struct addrinfo *addresses = l->addresses;
	net_lookup_cb *callback = l->on_done;
	void *ctx = l->ctx;
	int status = l->status;

	l->addresses = NULL;
	net_lookup_cancel(l);
	callback(ctx, status, addresses);
}

static int start_thread(struct net_lookup *l)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	int error = pthread_create(&thread, &attributes, work, l);
	pthread_attr_destroy(&attributes);
	return error ? uv_translate_sys_error(error) : 0;
}

int net_lookup_start(struct net_lookup **lookup, uv_loop_t *loop, const char *host,
	const char *service, net_lookup_cb *callback, void *ctx)
{
	if (atomic_fetch_add(&running, 1) >= LOOKUPS_MAX) {
		atomic_fetch_sub(&running, 1);
		return UV_EAI_AGAIN;
	}
	struct net_lookup *l = mem_zalloc(sizeof(*l));
	uv_mutex_init(&l->lock);
	uv_async_init(loop, &l->done, on_done);
	l->done.data = l;
	l->host = mem_strdup(host);
	l->service = mem_strdup(service);
	l->on_done = callback;
	l->ctx = ctx;
	atomic_store(&l->references, 2);
	int status = start_thread(l);
	if (status == 0) {
		*lookup = l;
		return 0;
	}
	atomic_fetch_sub(&running, 1);
	net_lookup_cancel(l);
	release(l);
	return status;
}

void net_lookup_cancel(struct net_lookup *l)
{
	if (!l)
		return;
	uv_mutex_lock(&l->lock);
	l->abandoned = true;
	uv_mutex_unlock(&l->lock);
	uv_close((uv_handle_t *)&l->done, on_closed);
}
