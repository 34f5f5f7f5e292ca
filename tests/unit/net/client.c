/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

enum { PATIENCE = 60 * 1000 }; /* ms for a whole test */

static void check_callback(const struct client *c)
{
	assert_false(c->calling);
	assert_non_null(c->stream);
	assert_int_equal(c->closed, 0);
}

static void on_open(void *ctx)
{
	struct client *c = ctx;

	check_callback(c);
	c->opened++;
	if (c->on_open)
		c->on_open(c);
}

static void on_data(void *ctx, struct span data)
{
	struct client *c = ctx;

	check_callback(c);
	assert_true(c->opened > 0);
	assert_in_range(data.n, 1, 64 * 1024);
	c->received_total += data.n;
	if (!c->discard)
		assert_int_equal(buf_append_span(&c->received, data), 0);
	if (c->on_data)
		c->on_data(c, data);
}

static void on_drain(void *ctx)
{
	struct client *c = ctx;

	check_callback(c);
	assert_int_equal(net_stream_unsent(c->stream), 0);
	c->drained++;
	if (c->on_drain)
		c->on_drain(c);
}

static void on_closed(void *ctx, int err, const char *text)
{
	struct client *c = ctx;

	check_callback(c);
	c->closed++;
	c->err = err;
	snprintf(c->text, sizeof(c->text), "%s", text);
	if (c->on_closed)
		c->on_closed(c);
}

static void on_watchdog(uv_timer_t *watchdog)
{
	fail_msg("not done after %d s", PATIENCE / 1000);
}

void client_init(struct client *c)
{
	*c = (struct client){0};
	uv_loop_init(&c->loop);
	uv_timer_init(&c->loop, &c->watchdog);
	uv_timer_start(&c->watchdog, on_watchdog, PATIENCE, 0);
	uv_unref((uv_handle_t *)&c->watchdog);
	buf_init(&c->received, 256 * 1024 * 1024);
	/* Ends a test whose loop spins or hangs without the watchdog. */
	alarm(120);
}

void client_start(struct client *c, const struct net_stream_options *options)
{
	static const struct net_stream_events events = {
		.on_open = on_open,
		.on_data = on_data,
		.on_drain = on_drain,
		.on_closed = on_closed,
	};

	c->calling = true;
	c->stream = net_stream_create(&c->loop, options, &events, c);
	c->calling = false;
	assert_non_null(c->stream);
}

void client_connect(
	struct client *c, const char *host, uint16_t port, struct net_tls *tls, bool implicit)
{
	struct net_stream_options options = {
		.host = host,
		.port = port,
		.tls = tls,
		.implicit_tls = implicit,
		.connect_timeout = 10000,
	};

	client_start(c, &options);
}

void client_write(struct client *c, struct span data)
{
	c->calling = true;
	net_stream_write(c->stream, data);
	c->calling = false;
}

void client_start_tls(struct client *c, size_t buffered)
{
	c->calling = true;
	net_stream_start_tls(c->stream, buffered);
	c->calling = false;
}

void client_start_deflate(struct client *c, struct span rest)
{
	c->calling = true;
	net_stream_start_deflate(c->stream, rest);
	c->calling = false;
}

void client_destroy(struct client *c)
{
	c->calling = true;
	net_stream_destroy(c->stream);
	c->calling = false;
	c->stream = NULL;
}

static void turn(struct client *c)
{
	assert_true(uv_loop_alive(&c->loop));
	uv_run(&c->loop, UV_RUN_ONCE);
}

void client_run_until(struct client *c, const unsigned *counter, unsigned n)
{
	while (*counter < n)
		turn(c);
}

void client_run_until_received(struct client *c, uint64_t total)
{
	while (c->received_total < total)
		turn(c);
}

void client_turns(struct client *c, unsigned n)
{
	while (n-- > 0)
		uv_run(&c->loop, UV_RUN_NOWAIT);
}

void client_finish(struct client *c)
{
	client_destroy(c);
	uv_close((uv_handle_t *)&c->watchdog, NULL);
	assert_int_equal(uv_run(&c->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&c->loop), 0);
	buf_finish(&c->received);
	alarm(0);
}
