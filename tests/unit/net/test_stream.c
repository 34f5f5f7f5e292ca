/* SPDX-License-Identifier: MIT */
/* The stream without TLS: connecting, both directions, back-pressure, every way to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "client.h"
#include "net/throttle.h"
#include "server.h"

enum { BIG = 50 * 1000 * 1000 };

/* Octets whose value depends on their place, so that a loss or a swap shows. */
static char octet_at(uint64_t i)
{
	return (char)((i * 2654435761u) >> 13);
}

static void fill(char *p, size_t n, uint64_t from)
{
	for (size_t i = 0; i < n; i++)
		p[i] = octet_at(from + i);
}

static void echo(struct peer *p, void *ctx)
{
	peer_echo(p);
}

static void test_echo(void **state)
{
	struct server server;
	struct client c;
	struct net_stream_counts counts;

	server_start(&server, echo, NULL);
	client_init(&c);
	client_connect(&c, "127.0.0.1", server.port, NULL, false);
	client_write(&c, SPAN("before open, "));
	client_run_until(&c, &c.opened, 1);
	client_write(&c, SPAN("hello "));
	client_write(&c, SPAN("world"));
	assert_in_range(net_stream_unsent(c.stream), 11, 24);
	client_run_until_received(&c, 24);
	assert_memory_equal(c.received.data, "before open, hello world", 24);
	client_run_until(&c, &c.drained, 1);
	assert_int_equal(net_stream_unsent(c.stream), 0);
	net_stream_counts(c.stream, &counts);
	assert_int_equal(counts.data_in, 24);
	assert_int_equal(counts.data_out, 24);
	assert_int_equal(counts.wire_in, 24);
	assert_int_equal(counts.wire_out, 24);
	client_finish(&c);
	assert_int_equal(c.closed, 0);
	server_stop(&server);
}

/* What the throttle holds back comes all the same, and it is known for how long it was held. */
static void test_throttled(void **state)
{
	struct net_throttle throttle;
	struct server server;
	struct client c;
	uint64_t received = 7;
	char octets[20000];

	net_throttle_init(&throttle, 40000);
	server_start(&server, echo, NULL);
	client_init(&c);
	const struct net_stream_options options = {.host = "127.0.0.1",
		.port = server.port,
		.connect_timeout = 10000,
		.throttle = &throttle,
		.received = &received};
	client_start(&c, &options);
	fill(octets, sizeof(octets), 0);
	client_write(&c, (struct span){octets, sizeof(octets)});
	client_run_until_received(&c, sizeof(octets));
	assert_memory_equal(c.received.data, octets, sizeof(octets));
	assert_int_equal(received, 7 + sizeof(octets));
	assert_in_range(net_stream_held(c.stream), 100, UINT32_MAX);
	client_finish(&c);
	assert_int_equal(throttle.waiting, 0);
	server_stop(&server);
}

/* One that ends while it waits leaves its turn to the others. */
static void test_throttled_end(void **state)
{
	struct net_throttle throttle;
	struct server server;
	struct client c;
	char octets[20000];

	net_throttle_init(&throttle, 4000);
	server_start(&server, echo, NULL);
	client_init(&c);
	const struct net_stream_options options = {.host = "127.0.0.1",
		.port = server.port,
		.connect_timeout = 10000,
		.throttle = &throttle};
	client_start(&c, &options);
	fill(octets, sizeof(octets), 0);
	client_write(&c, (struct span){octets, sizeof(octets)});
	client_run_until(&c, &c.opened, 1);
	while (throttle.waiting == 0)
		client_turns(&c, 1);
	client_finish(&c);
	assert_int_equal(throttle.waiting, 0);
	server_stop(&server);
}

static void test_name(void **state)
{
	struct server server;
	struct client c;

	server_start(&server, echo, NULL);
	client_init(&c);
	client_connect(&c, "localhost", server.port, NULL, false);
	client_run_until(&c, &c.opened, 1);
	client_finish(&c);
	server_stop(&server);
}

static void test_refused(void **state)
{
	struct client c;
	uint16_t port = 0;

	close(server_listen("127.0.0.1", &port, 1));
	client_init(&c);
	client_connect(&c, "127.0.0.1", port, NULL, false);
	client_run_until(&c, &c.closed, 1);
	assert_int_equal(c.err, ERR_NET);
	assert_non_null(strstr(c.text, "refused"));
	assert_int_equal(c.opened, 0);
	client_write(&c, SPAN("too late"));
	client_turns(&c, 5);
	client_finish(&c);
}

static void check_unresolvable(const char *host)
{
	struct client c;

	client_init(&c);
	client_connect(&c, host, 993, NULL, false);
	client_run_until(&c, &c.closed, 1);
	assert_int_equal(c.err, ERR_NET);
	assert_non_null(strstr(c.text, "cannot resolve the host name"));
	client_finish(&c);
}

static void test_no_such_host(void **state)
{
	static char endless[1000];

	check_unresolvable("imap..invalid");
	memset(endless, 'x', sizeof(endless) - 1);
	check_unresolvable(endless);
}

static void say_and_close(struct peer *p, void *ctx)
{
	peer_say(p, "* BYE full\r\n");
}

static void test_closed_by_server(void **state)
{
	struct server server;
	struct client c;

	server_start(&server, say_and_close, NULL);
	client_init(&c);
	client_connect(&c, "127.0.0.1", server.port, NULL, false);
	client_run_until(&c, &c.closed, 1);
	assert_int_equal(c.err, ERR_NET);
	assert_string_equal(c.text, "connection closed by the server");
	assert_int_equal(c.received_total, 12);
	client_finish(&c);
	server_stop(&server);
}

/* The last words of a server that is gone are heard, even when we still try to send. */
static void say_and_reset(struct peer *p, void *ctx)
{
	char octet;

	peer_read_all(p, &octet, 1);
	peer_say(p, "* BYE full\r\n");
	peer_reset(p);
	sem_post(ctx);
}

/* Not before all of that has happened is anything read. */
static void write_unheard(struct client *c)
{
	if (c->drained > 1)
		return;
	sem_wait(c->ctx);
	client_write(c, SPAN("unheard"));
}

static void test_last_words(void **state)
{
	struct server server;
	struct client c;
	sem_t reset;

	sem_init(&reset, 0, 0);
	server_start(&server, say_and_reset, &reset);
	client_init(&c);
	c.ctx = &reset;
	c.on_drain = write_unheard;
	client_connect(&c, "127.0.0.1", server.port, NULL, false);
	client_run_until(&c, &c.opened, 1);
	client_write(&c, SPAN("x"));
	client_run_until(&c, &c.closed, 1);
	assert_int_equal(c.err, ERR_NET);
	assert_int_equal(c.received_total, 12);
	client_finish(&c);
	server_stop(&server);
	sem_destroy(&reset);
}

/* ---- destroying ---- */

static void destroy_now(struct client *c)
{
	client_destroy(c);
}

static void destroy_in_data(struct client *c, struct span data)
{
	client_destroy(c);
	/* What was handed out is still there. */
	assert_memory_equal(data.p, "* BYE", 5);
}

static void run_to_end(struct client *c)
{
	while (c->stream && uv_loop_alive(&c->loop))
		uv_run(&c->loop, UV_RUN_ONCE);
	assert_null(c->stream);
	client_finish(c);
}

/* Ends only when told to, so that no other callback comes before on_drain. */
static void greet(struct peer *p, void *ctx)
{
	char octet = 0;

	peer_say(p, "* BYE full\r\n");
	while (octet != 'c' && peer_read_all(p, &octet, 1))
		;
}

static void test_destroy_in_callbacks(void **state)
{
	struct server server;

	server_start(&server, greet, NULL);
	for (int i = 0; i < 4; i++) {
		struct client c;
		client_init(&c);
		c.on_open = i == 0 ? destroy_now : NULL;
		c.on_data = i == 1 ? destroy_in_data : NULL;
		c.on_drain = i == 2 ? destroy_now : NULL;
		c.on_closed = i == 3 ? destroy_now : NULL;
		client_connect(&c, "127.0.0.1", server.port, NULL, false);
		client_write(&c, i == 3 ? SPAN("c") : SPAN("x"));
		run_to_end(&c);
	}
	server_stop(&server);
}

static void test_destroy_early(void **state)
{
	struct server server;

	server_start(&server, echo, NULL);
	for (unsigned turns = 0; turns < 4; turns++) {
		struct client c;
		client_init(&c);
		client_connect(&c, "127.0.0.1", server.port, NULL, false);
		client_write(&c, SPAN("x"));
		client_turns(&c, turns);
		client_finish(&c);
	}
	net_stream_destroy(NULL);
	server_stop(&server);
}

/* ---- much data ---- */

static void send_big(struct peer *p, void *ctx)
{
	static char octets[1000 * 1000];

	for (uint64_t at = 0; at < BIG; at += sizeof(octets)) {
		fill(octets, sizeof(octets), at);
		if (!peer_write(p, octets, sizeof(octets)))
			return;
	}
	peer_read_all(p, octets, 1);
}

struct big {
	uint64_t checked, this_turn, most;
	uv_check_t turns;
};

static void on_turn(uv_check_t *turns)
{
	struct big *b = turns->data;

	if (b->this_turn > b->most)
		b->most = b->this_turn;
	b->this_turn = 0;
}

static void check_big(struct client *c, struct span data)
{
	struct big *b = c->ctx;

	for (size_t i = 0; i < data.n; i++) {
		if (data.p[i] != octet_at(b->checked + i))
			fail_msg("octet %ju is wrong", (uintmax_t)(b->checked + i));
	}
	b->checked += data.n;
	b->this_turn += data.n;
}

/* However much comes, each turn of the loop takes its share and no more. */
static void test_big(void **state)
{
	struct server server;
	struct client c;
	struct big b = {0};

	server_start(&server, send_big, NULL);
	client_init(&c);
	uv_check_init(&c.loop, &b.turns);
	b.turns.data = &b;
	uv_check_start(&b.turns, on_turn);
	c.discard = true;
	c.ctx = &b;
	c.on_data = check_big;
	client_connect(&c, "127.0.0.1", server.port, NULL, false);
	while (b.checked < BIG) {
		assert_true(uv_loop_alive(&c.loop));
		uv_run(&c.loop, UV_RUN_ONCE);
	}
	assert_int_equal(b.checked, BIG);
	assert_in_range(b.most, 1, 3 * 1024 * 1024);
	uv_close((uv_handle_t *)&b.turns, NULL);
	client_finish(&c);
	server_stop(&server);
}

static void take_big(struct peer *p, void *ctx)
{
	static char octets[64 * 1024];
	uint64_t *right = ctx;
	long n;

	while (*right < BIG && (n = peer_read(p, octets, sizeof(octets))) > 0) {
		for (long i = 0; i < n; i++) {
			if (octets[i] != octet_at(*right))
				return;
			++*right;
		}
	}
	peer_say(p, "done");
}

static void write_more(struct client *c)
{
	static char octets[1000 * 1000];
	uint64_t *written = c->ctx;

	if (*written == BIG)
		return;
	fill(octets, sizeof(octets), *written);
	*written += sizeof(octets);
	client_write(c, (struct span){octets, sizeof(octets)});
}

static void test_big_upload(void **state)
{
	struct server server;
	struct client c;
	uint64_t right = 0, written = 0;

	server_start(&server, take_big, &right);
	client_init(&c);
	c.ctx = &written;
	c.on_open = c.on_drain = write_more;
	client_connect(&c, "127.0.0.1", server.port, NULL, false);
	client_run_until_received(&c, 4);
	assert_int_equal(net_stream_unsent(c.stream), 0);
	client_finish(&c);
	server_stop(&server);
	assert_int_equal(right, BIG);
}

static void wait_for_test(struct peer *p, void *ctx)
{
	sem_wait(ctx);
}

static void test_too_much_queued(void **state)
{
	enum { PIECE = 1024 * 1024 };
	struct server server;
	struct client c;
	sem_t end;
	char *piece = calloc(1, PIECE);

	sem_init(&end, 0, 0);
	server_start(&server, wait_for_test, &end);
	client_init(&c);
	client_connect(&c, "127.0.0.1", server.port, NULL, false);
	client_run_until(&c, &c.opened, 1);
	for (int i = 0; i < 65; i++)
		client_write(&c, (struct span){piece, PIECE});
	client_run_until(&c, &c.closed, 1);
	assert_int_equal(c.err, ERR_NOMEM);
	client_finish(&c);
	sem_post(&end);
	server_stop(&server);
	sem_destroy(&end);
	free(piece);
}

/* Unused credentials make these calls a mistake, which is reported like any other end. */
static void test_start_tls_without_credentials(void **state)
{
	struct server server;
	struct client c;

	server_start(&server, echo, NULL);
	client_init(&c);
	client_connect(&c, "127.0.0.1", server.port, NULL, false);
	client_run_until(&c, &c.opened, 1);
	client_start_tls(&c, 0);
	assert_int_equal(c.closed, 0);
	client_run_until(&c, &c.closed, 1);
	assert_int_equal(c.err, ERR_TLS);
	client_finish(&c);
	server_stop(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_throttled),
		cmocka_unit_test(test_throttled_end),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_such_host),
		cmocka_unit_test(test_closed_by_server),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_destroy_in_callbacks),
		cmocka_unit_test(test_destroy_early),
		cmocka_unit_test(test_big),
		cmocka_unit_test(test_big_upload),
		cmocka_unit_test(test_too_much_queued),
		cmocka_unit_test(test_start_tls_without_credentials),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
