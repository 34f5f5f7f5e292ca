/* SPDX-License-Identifier: MIT */
/* Deflate: the coder by itself, split everywhere, and a stream that switches to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/error.h"
#include "client.h"
#include "net/deflate.h"
#include "pki.h"
#include "server.h"

enum { BIG = 8 * 1000 * 1000 };

static const char text[] =
	"* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n* 2 FETCH (UID 2 FLAGS (\\Seen))\r\n"
	"* 3 FETCH (UID 3 FLAGS ())\r\na1 OK done\r\n";
static const struct span message = {text, sizeof(text) - 1};

/* ---- the coder ---- */

static struct buf packed(struct span data)
{
	struct net_deflate *d = net_deflate_create((struct span){NULL, 0});
	struct net_failure f = {0};
	struct buf b;

	buf_init(&b, 1024 * 1024);
	assert_int_equal(net_deflate_pack(d, data, &b, &f), 0);
	net_deflate_destroy(d);
	return b;
}

/* Feeds n octets and appends what they give; 0 or the error. */
static int unpack(struct net_deflate *d, struct span data, size_t step, struct buf *out)
{
	struct net_failure f = {0};
	char octets[256];
	ssize_t n;

	net_deflate_feed(d, data);
	while ((n = net_deflate_unpack(d, octets, step, &f)) > 0)
		assert_int_equal(buf_append(out, octets, (size_t)n), 0);
	assert_int_equal(f.err, n);
	return (int)n;
}

/* The first part is given to create, as what came behind the server's OK. */
static void test_split_everywhere(void **state)
{
	struct buf b = packed(message);

	for (size_t first = 0; first <= b.len; first++) {
		struct buf out;
		buf_init(&out, 1024);
		struct net_deflate *d = net_deflate_create((struct span){b.data, first});
		struct net_failure f = {0};
		char octets[256];
		ssize_t n = net_deflate_unpack(d, octets, sizeof(octets), &f);
		assert_true(n >= 0);
		assert_int_equal(buf_append(&out, octets, (size_t)n), 0);
		struct span rest = {b.data + first, b.len - first};
		assert_int_equal(unpack(d, rest, sizeof(octets), &out), 0);
		assert_true(span_equal(buf_span(&out), message));
		net_deflate_destroy(d);
		buf_finish(&out);
	}
	buf_finish(&b);
}

static void test_octet_by_octet(void **state)
{
	struct buf b = packed(message), out;
	struct net_deflate *d = net_deflate_create((struct span){NULL, 0});

	buf_init(&out, 1024);
	for (size_t i = 0; i < b.len; i++)
		assert_int_equal(unpack(d, (struct span){b.data + i, 1}, 1, &out), 0);
	assert_true(span_equal(buf_span(&out), message));
	net_deflate_destroy(d);
	buf_finish(&out);
	buf_finish(&b);
}

static void test_damaged(void **state)
{
	struct net_deflate *d = net_deflate_create((struct span){NULL, 0});
	struct buf out;

	buf_init(&out, 1024);
	assert_int_equal(unpack(d, SPAN("\xff\xff\xff\xff"), 16, &out), ERR_PROTOCOL);
	net_deflate_destroy(d);
	buf_finish(&out);
}

/* "\x03\x00" is an empty last block. */
static void test_octets_behind_the_end(void **state)
{
	struct net_deflate *d = net_deflate_create((struct span){NULL, 0});
	struct buf out;

	buf_init(&out, 1024);
	assert_int_equal(unpack(d, SPAN("\x03\x00"), 16, &out), 0);
	assert_int_equal(unpack(d, SPAN(""), 16, &out), 0);
	assert_int_equal(unpack(d, SPAN("x"), 16, &out), ERR_PROTOCOL);
	net_deflate_destroy(d);
	buf_finish(&out);
}

/* ---- a stream ---- */

struct scene {
	gnutls_certificate_credentials_t credentials; /* NULL: plain */
	size_t early; /* compressed octets that come together with the OK */
	struct buf packed;
};

/* Half text, half noise: it shrinks, but not to nothing. */
static char octet_at(uint64_t i)
{
	uint64_t noise = i * 0x9e3779b97f4a7c15;

	noise = (noise ^ noise >> 29) * 0xbf58476d1ce4e5b9;
	return (i / 1000) % 2 ? (char)('a' + i % 26) : (char)(noise >> 56);
}

static void compress_and_echo(struct peer *p, void *ctx)
{
	struct scene *s = ctx;
	char line[128];

	if (s->credentials && !peer_start_tls(p, s->credentials, NULL, NULL))
		return;
	if (!peer_read_line(p, line, sizeof(line)))
		return;
	peer_say(p, "a1 OK\r\n");
	peer_start_deflate(p);
	peer_echo(p);
}

static void deflate_at_ok(struct client *c, struct span data)
{
	if (c->received_total == 7)
		client_start_deflate(c, (struct span){NULL, 0});
}

static void check_both_ways(struct scene *s, struct net_tls *tls)
{
	struct server server;
	struct client c;
	struct net_stream_counts counts;
	char *octets = malloc(BIG);

	for (size_t i = 0; i < BIG; i++)
		octets[i] = octet_at(i);
	server_start(&server, compress_and_echo, s);
	client_init(&c);
	c.on_data = deflate_at_ok;
	client_connect(&c, "127.0.0.1", server.port, tls, tls != NULL);
	client_write(&c, SPAN("a1 COMPRESS DEFLATE\r\n"));
	client_run_until_received(&c, 7);
	client_write(&c, (struct span){octets, BIG});
	client_run_until_received(&c, 7 + BIG);
	assert_memory_equal(c.received.data, "a1 OK\r\n", 7);
	assert_true(memcmp(c.received.data + 7, octets, BIG) == 0);
	net_stream_counts(c.stream, &counts);
	assert_int_equal(counts.data_in, 7 + BIG);
	assert_int_equal(counts.data_out, 21 + BIG);
	assert_in_range(counts.wire_in, BIG / 4, BIG * 3 / 4);
	assert_in_range(counts.wire_out, BIG / 4, BIG * 3 / 4);
	client_finish(&c);
	server_stop(&server);
	free(octets);
}

static void test_both_ways(void **state)
{
	struct scene s = {0};

	check_both_ways(&s, NULL);
}

static void test_both_ways_with_tls(void **state)
{
	struct pki_certificate certificate = {
		.address = "127.0.0.1", .from_days = -1, .to_days = 1};
	struct scene s = {.credentials = pki_server(&certificate)};
	char error[256];
	struct net_tls *tls = net_tls_create(
		&(struct net_tls_options){.cafile = pki_cafile()}, error, sizeof(error));

	assert_non_null(tls);
	check_both_ways(&s, tls);
	net_tls_destroy(tls);
	gnutls_certificate_free_credentials(s.credentials);
}

/* What comes in one segment with the OK was handed out already and is given back. */
static void ok_and_packed(struct peer *p, void *ctx)
{
	struct scene *s = ctx;
	char line[128], first[512];

	if (!peer_read_line(p, line, sizeof(line)))
		return;
	/* The test goes on to the next when it has all, which may be before we end. */
	size_t early = s->early;
	memcpy(first, "a1 OK\r\n", 7);
	memcpy(first + 7, s->packed.data, early);
	peer_write(p, first, 7 + early);
	peer_read_all(p, line, 1);
	peer_write(p, s->packed.data + early, s->packed.len - early);
	peer_read_all(p, line, 1);
}

static void give_back_rest(struct client *c, struct span data)
{
	struct scene *s = c->ctx;

	if (c->received_total != 7 + s->early)
		return;
	client_start_deflate(c, (struct span){c->received.data + 7, s->early});
	buf_clear(&c->received);
	c->on_data = NULL;
	c->opened = 2;
	client_write(c, SPAN("x"));
}

static void test_rest_at_each_octet(void **state)
{
	struct scene s = {.packed = packed(message)};
	struct server server;

	server_start(&server, ok_and_packed, &s);
	for (s.early = 0; s.early <= s.packed.len; s.early++) {
		struct client c;
		client_init(&c);
		c.ctx = &s;
		c.on_data = give_back_rest;
		client_connect(&c, "127.0.0.1", server.port, NULL, false);
		client_write(&c, SPAN("a1 COMPRESS DEFLATE\r\n"));
		client_run_until(&c, &c.opened, 2);
		client_run_until_received(&c, 7 + s.early + message.n);
		assert_true(span_equal(buf_span(&c.received), message));
		client_finish(&c);
	}
	server_stop(&server);
	buf_finish(&s.packed);
}

enum { ZEROS = 64 * 1000 * 1000 };

/* 64 MB of zeros in 64 kB: each turn of the loop takes its share of them however little comes over
 * the wire. */
static void send_bomb(struct peer *p, void *ctx)
{
	char line[128], *zeros = calloc(1, ZEROS);

	if (peer_read_line(p, line, sizeof(line))) {
		peer_say(p, "a1 OK\r\n");
		peer_start_deflate(p);
		peer_write(p, zeros, ZEROS);
		peer_read_all(p, line, 1);
	}
	free(zeros);
}

static void test_bomb(void **state)
{
	struct server server;
	struct client c;

	server_start(&server, send_bomb, NULL);
	client_init(&c);
	c.discard = true;
	c.on_data = deflate_at_ok;
	client_connect(&c, "127.0.0.1", server.port, NULL, false);
	client_write(&c, SPAN("a1 COMPRESS DEFLATE\r\n"));
	client_run_until_received(&c, 8);
	while (c.received_total < 7 + ZEROS) {
		uint64_t before = c.received_total;
		uv_run(&c.loop, UV_RUN_ONCE);
		/* By `again` and by the poll. */
		assert_in_range(c.received_total - before, 0, 3 * 1024 * 1024);
	}
	client_finish(&c);
	server_stop(&server);
}

static void send_damaged(struct peer *p, void *ctx)
{
	char line[128];

	peer_read_line(p, line, sizeof(line));
	peer_say(p, "a1 OK\r\n");
	peer_read_all(p, line, 1);
	peer_say(p, "a2 OK this is not compressed\r\n");
	peer_read_all(p, line, 100);
}

static void test_damaged_stream(void **state)
{
	struct server server;
	struct client c;

	server_start(&server, send_damaged, NULL);
	client_init(&c);
	c.on_data = deflate_at_ok;
	client_connect(&c, "127.0.0.1", server.port, NULL, false);
	client_write(&c, SPAN("a1 COMPRESS DEFLATE\r\n"));
	client_run_until_received(&c, 7);
	client_write(&c, SPAN("a2 NOOP\r\n"));
	client_run_until(&c, &c.closed, 1);
	assert_int_equal(c.err, ERR_PROTOCOL);
	assert_non_null(strstr(c.text, "compressed data is damaged"));
	client_finish(&c);
	server_stop(&server);
}

static void destroy_in_data(struct client *c, struct span data)
{
	if (c->received_total == 7) {
		client_start_deflate(c, (struct span){NULL, 0});
		return;
	}
	client_destroy(c);
	assert_memory_equal(data.p, "a2", 2);
}

static void test_destroy_in_data(void **state)
{
	struct scene s = {0};
	struct server server;
	struct client c;

	server_start(&server, compress_and_echo, &s);
	client_init(&c);
	c.on_data = destroy_in_data;
	client_connect(&c, "127.0.0.1", server.port, NULL, false);
	client_write(&c, SPAN("a1 COMPRESS DEFLATE\r\n"));
	client_run_until_received(&c, 7);
	client_write(&c, SPAN("a2 NOOP\r\n"));
	client_run_until_received(&c, 8);
	assert_null(c.stream);
	client_finish(&c);
	server_stop(&server);
}

static int set_up(void **state)
{
	pki_init();
	return 0;
}

static int tear_down(void **state)
{
	pki_finish();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_everywhere),
		cmocka_unit_test(test_octet_by_octet),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_octets_behind_the_end),
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_both_ways_with_tls),
		cmocka_unit_test(test_rest_at_each_octet),
		cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_damaged_stream),
		cmocka_unit_test(test_destroy_in_data),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
