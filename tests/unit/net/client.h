/* SPDX-License-Identifier: MIT */
/*
 * The side under test: a loop, a stream on it, and notes of all that the stream said. It asserts
 * what holds everywhere: no callback from inside a net_stream function, none after on_closed or
 * net_stream_destroy, at most 64 KiB of data each, and that the loop ends after a destroy.
 */
#ifndef TEST_CLIENT_H
#define TEST_CLIENT_H

#include "base/buf.h"
#include "net/stream.h"

struct client {
	uv_loop_t loop;
	uv_timer_t watchdog;
	struct net_stream *stream; /* NULL once destroyed */
	bool calling;              /* inside a net_stream function */

	unsigned opened, drained, closed;
	int err;
	char text[512];
	struct buf received;
	uint64_t received_total;
	bool discard; /* received stays empty */

	/* What the test wants to do in the callbacks; each may be NULL. */
	void (*on_open)(struct client *c);
	void (*on_data)(struct client *c, struct span data);
	void (*on_drain)(struct client *c);
	void (*on_closed)(struct client *c);
	void *ctx;
};

void client_init(struct client *c);
/* Connects to host with 10 seconds of patience. tls may be NULL. */
void client_connect(
	struct client *c, const char *host, uint16_t port, struct net_tls *tls, bool implicit);
void client_start(struct client *c, const struct net_stream_options *options);
void client_write(struct client *c, struct span data);
void client_start_tls(struct client *c, size_t buffered);
void client_start_deflate(struct client *c, struct span rest);
void client_destroy(struct client *c);

/* Runs the loop until *counter reaches n; fails the test when that takes a minute or nothing is
 * left to wait for. */
void client_run_until(struct client *c, const unsigned *counter, unsigned n);
void client_run_until_received(struct client *c, uint64_t total);
/* n turns of the loop that do not wait. */
void client_turns(struct client *c, unsigned n);
/* Destroys the stream, lets the loop end and closes it. */
void client_finish(struct client *c);

#endif
