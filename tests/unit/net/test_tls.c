/* SPDX-License-Identifier: MIT */
/* TLS: verification and what it says, STARTTLS, resumption, and servers that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "client.h"
#include "net/tls.h"
#include "pki.h"
#include "scene.h"
#include "server.h"

enum { BIG = 20 * 1000 * 1000 };

/* ---- the good case ---- */

static void check_versions(const char *priority)
{
	struct scene s;
	struct server server;
	struct net_tls *tls = make_tls(pki_cafile(), NULL);

	scene_init(&s, &scene_good);
	s.priority = priority;
	server_start(&server, tls_echo, &s);
	check_echo(&s, tls, "127.0.0.1", server.port);
	check_echo(&s, tls, "127.0.0.1", server.port);
	server_stop(&server);
	assert_string_equal(s.alpn, "imap");
	assert_string_equal(s.sni, "");
	assert_int_equal(s.resumed, 1);
	net_tls_destroy(tls);
	scene_finish(&s);
}

static void test_tls12(void **state)
{
	check_versions(TLS12);
}

static void test_tls13(void **state)
{
	check_versions(TLS13);
}

static void test_name(void **state)
{
	struct scene s;
	struct server server;
	struct net_tls *tls = make_tls(pki_cafile(), NULL);

	scene_init(&s, &scene_good);
	server_start(&server, tls_echo, &s);
	check_echo(&s, tls, "localhost", server.port);
	check_echo(&s, tls, "127.0.0.1", server.port);
	server_stop(&server);
	/* Another host, nothing to resume. */
	assert_int_equal(s.resumed, 0);
	net_tls_destroy(tls);
	scene_finish(&s);
}

static void test_server_without_alpn(void **state)
{
	struct scene s;
	struct server server;
	struct net_tls *tls = make_tls(pki_cafile(), NULL);

	scene_init(&s, &scene_good);
	s.no_alpn = true;
	server_start(&server, tls_echo, &s);
	check_echo(&s, tls, "127.0.0.1", server.port);
	server_stop(&server);
	assert_string_equal(s.alpn, "");
	net_tls_destroy(tls);
	scene_finish(&s);
}

static void echo_or_close(struct peer *p, void *ctx)
{
	struct scene *s = ctx;

	if (s->connections++ != 1)
		tls_echo(p, s);
}

/* The handshake that would have resumed is cut off: the next one does not try again. */
static void test_resumption_refused(void **state)
{
	struct scene s;
	struct server server;
	struct client c;
	struct net_tls *tls = make_tls(pki_cafile(), NULL);

	scene_init(&s, &scene_good);
	server_start(&server, echo_or_close, &s);
	check_echo(&s, tls, "127.0.0.1", server.port);
	client_init(&c);
	client_connect(&c, "127.0.0.1", server.port, tls, true);
	client_run_until(&c, &c.closed, 1);
	client_finish(&c);
	check_echo(&s, tls, "127.0.0.1", server.port);
	check_echo(&s, tls, "127.0.0.1", server.port);
	server_stop(&server);
	assert_int_equal(s.connections, 4);
	assert_int_equal(s.resumed, 0);
	net_tls_destroy(tls);
	scene_finish(&s);
}

static void test_sni(void **state)
{
	struct scene s;
	struct server server;
	struct net_tls *tls = make_tls(pki_cafile(), NULL);

	scene_init(&s, &scene_good);
	server_start(&server, tls_echo, &s);
	check_echo(&s, tls, "localhost", server.port);
	server_stop(&server);
	assert_string_equal(s.sni, "localhost");
	net_tls_destroy(tls);
	scene_finish(&s);
}

static void test_credentials_go_first(void **state)
{
	struct scene s;
	struct server server;
	struct client c;
	struct net_tls *tls = make_tls(pki_cafile(), NULL);

	scene_init(&s, &scene_good);
	server_start(&server, tls_echo, &s);
	client_init(&c);
	client_connect(&c, "127.0.0.1", server.port, tls, true);
	client_run_until(&c, &c.opened, 1);
	net_tls_destroy(tls);
	client_write(&c, SPAN("x"));
	client_run_until_received(&c, 1);
	client_finish(&c);
	server_stop(&server);
	scene_finish(&s);
}

/* ---- verification ---- */

static void check_rejected(const struct pki_certificate *certificate, const char *cafile,
	const char *host, const char *text)
{
	struct scene s;
	struct server server;
	struct client c;
	struct net_tls *tls = make_tls(cafile, NULL);

	scene_init(&s, certificate);
	/* TLS 1.2, where the server waits for us and so must see our refusal. */
	s.priority = TLS12;
	server_start(&server, tls_echo, &s);
	client_init(&c);
	client_connect(&c, host, server.port, tls, true);
	client_write(&c, SPAN("secret"));
	client_run_until(&c, &c.closed, 1);
	assert_int_equal(c.opened, 0);
	assert_int_equal(c.err, ERR_TLS);
	if (!strstr(c.text, text))
		assert_string_equal(c.text, text);
	client_finish(&c);
	server_stop(&server);
	assert_false(s.handshake_done);
	net_tls_destroy(tls);
	scene_finish(&s);
}

static void test_wrong_host(void **state)
{
	struct pki_certificate c = {
		.name = "mail.example.org", .address = "192.0.2.1", .from_days = -1, .to_days = 1};

	check_rejected(&c, pki_cafile(), "127.0.0.1",
		"certificate is for mail.example.org, 192.0.2.1, not 127.0.0.1; write a host that "
		"it is for in SOURCE");
	check_rejected(&c, pki_cafile(), "localhost",
		"certificate is for mail.example.org, 192.0.2.1, not localhost; write a host that "
		"it is for in SOURCE");
}

static void test_name_with_escapes(void **state)
{
	struct pki_certificate c = {.common_name = "a\033[2Jb", .from_days = -1, .to_days = 1};

	check_rejected(&c, pki_cafile(), "127.0.0.1", "certificate is for a?[2Jb, not 127.0.0.1; ");
}

static void test_unknown_authority(void **state)
{
	char text[256];

	snprintf(text, sizeof(text),
		"certificate is signed by an authority that is not in %s; if its owner confirms "
		"it, pin it with -o fingerprint=",
		pki_other_cafile());
	check_rejected(&scene_good, pki_other_cafile(), "127.0.0.1", text);
}

static void test_expired(void **state)
{
	struct pki_certificate c = scene_good;

	c.from_days = -3;
	c.to_days = -2;
	check_rejected(&c, pki_cafile(), "127.0.0.1", "certificate expired on 20");
}

static void test_not_yet_valid(void **state)
{
	struct pki_certificate c = scene_good;

	c.from_days = 2;
	c.to_days = 3;
	check_rejected(&c, pki_cafile(), "127.0.0.1", "certificate is not yet valid");
}

static void test_explanations(void **state)
{
	static const struct {
		unsigned status;
		const char *text;
	} cases[] = {
		{GNUTLS_CERT_INVALID | GNUTLS_CERT_REVOKED, "certificate is revoked"},
		{GNUTLS_CERT_SIGNER_NOT_FOUND,
			"certificate is signed by an unknown authority; give the authority with -o "
			"cafile=, or, if its owner confirms it, pin it with -o fingerprint=?"},
		{GNUTLS_CERT_EXPIRED | GNUTLS_CERT_UNEXPECTED_OWNER,
			"certificate expired; it is for another host, not h; write a host that it "
			"is for in SOURCE; its owner must renew it, unless this machine's clock is "
			"wrong"},
		{GNUTLS_CERT_NOT_ACTIVATED,
			"certificate is not yet valid; is this machine's clock right?"},
	};
	struct net_failure f;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		tls_explain_certificate(cases[i].status, NULL, "h", NULL, &f);
		assert_string_equal(f.text, cases[i].text);
		assert_int_equal(f.err, ERR_TLS);
	}
	tls_explain_certificate(
		GNUTLS_CERT_INVALID | GNUTLS_CERT_INSECURE_ALGORITHM, NULL, "h", NULL, &f);
	assert_non_null(strstr(f.text, "certificate is not valid: "));
}

static void test_addresses(void **state)
{
	assert_true(tls_host_is_address("127.0.0.1"));
	assert_true(tls_host_is_address("::1"));
	assert_false(tls_host_is_address("localhost"));
	assert_false(tls_host_is_address("1.2.3.4.example.org"));
}

static void check_unusable(const struct net_tls_options *options, const char *text)
{
	char error[256] = "";

	assert_null(net_tls_create(options, error, sizeof(error)));
	if (!strstr(error, text))
		assert_string_equal(error, text);
}

static void test_unusable_options(void **state)
{
	check_unusable(&(struct net_tls_options){.cafile = "/nonexistent/ca.pem"},
		"/nonexistent/ca.pem: ");
	check_unusable(&(struct net_tls_options){.cafile = "/dev/null"}, "/dev/null: ");
	check_unusable(
		&(struct net_tls_options){.cafile = pki_cafile(), .priority = "NORMAL:+XX"}, "+XX");
	check_unusable(&(struct net_tls_options){.cafile = pki_cafile(),
			       .priority = "NORMAL:-VERS-ALL:+VERS-TLS1.1"},
		"neither TLS 1.2 nor TLS 1.3");
}

/* ---- STARTTLS ---- */

static void starttls_server(struct peer *p, void *ctx)
{
	char line[128];

	peer_say(p, "* OK\r\n");
	if (!peer_read_line(p, line, sizeof(line)))
		return;
	peer_say(p, "a1 OK begin\r\n");
	if (handshake(p, ctx))
		peer_echo(p);
}

static void test_starttls(void **state)
{
	struct scene s;
	struct server server;
	struct client c;
	struct net_tls *tls = make_tls(pki_cafile(), NULL);

	scene_init(&s, &scene_good);
	server_start(&server, starttls_server, &s);
	client_init(&c);
	client_connect(&c, "127.0.0.1", server.port, tls, false);
	client_run_until_received(&c, 6);
	client_write(&c, SPAN("a1 STARTTLS\r\n"));
	client_run_until_received(&c, 6 + 13);
	client_start_tls(&c, 0);
	client_write(&c, SPAN("a2 NOOP\r\n"));
	client_run_until(&c, &c.opened, 2);
	client_run_until_received(&c, 6 + 13 + 9);
	assert_memory_equal(c.received.data, "* OK\r\na1 OK begin\r\na2 NOOP\r\n", 28);
	client_finish(&c);
	server_stop(&server);
	assert_true(s.handshake_done);
	net_tls_destroy(tls);
	scene_finish(&s);
}

static void start_tls_at_ok(struct client *c, struct span data)
{
	if (c->received.len >= 6 + 13)
		client_start_tls(c, 0);
}

/* As the owner does it: from inside on_data, and with a pause over all. */
static void test_starttls_in_callback(void **state)
{
	struct scene s;
	struct server server;
	struct client c;
	struct net_tls *tls = make_tls(pki_cafile(), NULL);

	scene_init(&s, &scene_good);
	server_start(&server, starttls_server, &s);
	client_init(&c);
	c.on_data = start_tls_at_ok;
	client_connect(&c, "127.0.0.1", server.port, tls, false);
	client_write(&c, SPAN("a1 STARTTLS\r\n"));
	client_run_until(&c, &c.opened, 2);
	client_finish(&c);
	server_stop(&server);
	net_tls_destroy(tls);
	scene_finish(&s);
}

static void test_starttls_with_buffered_octets(void **state)
{
	struct scene s;
	struct server server;
	struct client c;
	struct net_tls *tls = make_tls(pki_cafile(), NULL);

	scene_init(&s, &scene_good);
	server_start(&server, starttls_server, &s);
	client_init(&c);
	client_connect(&c, "127.0.0.1", server.port, tls, false);
	client_write(&c, SPAN("a1 STARTTLS\r\n"));
	client_run_until_received(&c, 6 + 13);
	client_start_tls(&c, 1);
	assert_int_equal(c.closed, 0);
	client_run_until(&c, &c.closed, 1);
	assert_int_equal(c.err, ERR_TLS);
	assert_non_null(strstr(c.text, "tampering"));
	client_finish(&c);
	server_stop(&server);
	assert_false(s.handshake_done);
	net_tls_destroy(tls);
	scene_finish(&s);
}

static void test_starttls_wrong_host(void **state)
{
	struct pki_certificate certificate = {
		.name = "mail.example.org", .from_days = -1, .to_days = 1};
	struct scene s;
	struct server server;
	struct client c;
	struct net_tls *tls = make_tls(pki_cafile(), NULL);

	scene_init(&s, &certificate);
	server_start(&server, starttls_server, &s);
	client_init(&c);
	c.on_data = start_tls_at_ok;
	client_connect(&c, "127.0.0.1", server.port, tls, false);
	client_write(&c, SPAN("a1 STARTTLS\r\n"));
	client_run_until(&c, &c.closed, 1);
	assert_int_equal(c.err, ERR_TLS);
	assert_non_null(strstr(c.text, "certificate is for mail.example.org, not 127.0.0.1"));
	assert_int_equal(c.opened, 1);
	client_finish(&c);
	server_stop(&server);
	net_tls_destroy(tls);
	scene_finish(&s);
}

/* ---- servers that misbehave ---- */

static void check_end(server_script *script, int err, const char *text, bool opens)
{
	struct scene s;
	struct server server;
	struct client c;
	struct net_tls *tls = make_tls(pki_cafile(), NULL);
	struct net_stream_options options = {
		.host = "127.0.0.1",
		.tls = tls,
		.implicit_tls = true,
		.connect_timeout = err == ERR_TIMEOUT ? 300 : 10000,
	};

	scene_init(&s, &scene_good);
	server_start(&server, script, &s);
	options.port = server.port;
	client_init(&c);
	client_start(&c, &options);
	client_run_until(&c, &c.closed, 1);
	assert_int_equal(c.err, err);
	if (!strstr(c.text, text))
		assert_string_equal(c.text, text);
	assert_int_equal(c.opened, opens ? 1 : 0);
	sem_post(&s.go);
	client_finish(&c);
	server_stop(&server);
	net_tls_destroy(tls);
	scene_finish(&s);
}

/* The whole of it, since closing with octets unread would be a reset. */
static void read_hello(struct peer *p)
{
	unsigned char record[5 + 65535];

	if (peer_read_all(p, record, 5))
		peer_read_all(p, record + 5, (size_t)(record[3] << 8 | record[4]));
}

static void close_at_hello(struct peer *p, void *ctx)
{
	read_hello(p);
}

static void close_in_record(struct peer *p, void *ctx)
{
	read_hello(p);
	peer_write(p, "\x16\x03\x03\x00\x7a\x02\x00", 7);
}

static void test_closed_in_handshake(void **state)
{
	const char *text = "connection closed by the server during the TLS handshake";

	check_end(close_at_hello, ERR_NET, text, false);
	check_end(close_in_record, ERR_NET, text, false);
}

static void reset_at_hello(struct peer *p, void *ctx)
{
	read_hello(p);
	peer_reset(p);
}

static void test_reset_in_handshake(void **state)
{
	check_end(reset_at_hello, ERR_NET, "reset", false);
}

static void speak_plain(struct peer *p, void *ctx)
{
	read_hello(p);
	peer_say(p, "* OK IMAP4rev1 ready\r\n");
	read_hello(p);
}

static void test_plain_server(void **state)
{
	check_end(speak_plain, ERR_TLS, "does not speak TLS", false);
}

static void never_answer(struct peer *p, void *ctx)
{
	struct scene *s = ctx;

	sem_wait(&s->go);
}

static void test_silent_server(void **state)
{
	check_end(never_answer, ERR_TIMEOUT, "the TLS handshake with 127.0.0.1 port", false);
}

static void refuse(struct peer *p, void *ctx)
{
	read_hello(p);
	peer_write(p, "\x15\x03\x03\x00\x02\x02\x46", 7);
}

static void test_alert(void **state)
{
	check_end(refuse, ERR_TLS, "the server refused the TLS handshake: ", false);
}

static void end_orderly(struct peer *p, void *ctx)
{
	if (handshake(p, ctx))
		gnutls_bye(p->tls, GNUTLS_SHUT_WR);
}

static void end_without_notice(struct peer *p, void *ctx)
{
	handshake(p, ctx);
}

static void test_closed_when_open(void **state)
{
	check_end(end_orderly, ERR_NET, "connection closed by the server", true);
	check_end(end_without_notice, ERR_NET, "connection closed by the server", true);
}

static void damage_record(struct peer *p, void *ctx)
{
	struct scene *s = ctx;
	struct peer plain = {.fd = p->fd};

	if (!handshake(p, ctx))
		return;
	peer_write(&plain,
		"\x17\x03\x03\x00\x20"
		"abcdefghijklmnopqrstuvwxyz012345",
		37);
	sem_wait(&s->go);
}

static void test_damaged_record(void **state)
{
	check_end(damage_record, ERR_TLS, "TLS: ", true);
}

/* ---- while open ---- */

static void rehandshake_and_echo(struct peer *p, void *ctx)
{
	if (!handshake(p, ctx))
		return;
	gnutls_rehandshake(p->tls);
	peer_echo(p);
}

static void new_keys_and_echo(struct peer *p, void *ctx)
{
	if (!handshake(p, ctx))
		return;
	gnutls_session_key_update(p->tls, GNUTLS_KU_PEER);
	peer_echo(p);
}

static void check_goes_on(server_script *script, const char *priority)
{
	struct scene s;
	struct server server;
	struct net_tls *tls = make_tls(pki_cafile(), NULL);

	scene_init(&s, &scene_good);
	s.priority = priority;
	server_start(&server, script, &s);
	check_echo(&s, tls, "127.0.0.1", server.port);
	server_stop(&server);
	net_tls_destroy(tls);
	scene_finish(&s);
}

static void test_rehandshake_declined(void **state)
{
	check_goes_on(rehandshake_and_echo, TLS12);
}

static void test_key_update(void **state)
{
	check_goes_on(new_keys_and_echo, TLS13);
}

/* Octets whose value depends on their place, so that a loss or a swap shows. */
static char octet_at(uint64_t i)
{
	return (char)((i * 2654435761u) >> 13);
}

static void send_big(struct peer *p, void *ctx)
{
	static char octets[100 * 1000];

	if (!handshake(p, ctx))
		return;
	for (uint64_t at = 0; at < BIG; at += sizeof(octets)) {
		for (size_t i = 0; i < sizeof(octets); i++)
			octets[i] = octet_at(at + i);
		if (!peer_write(p, octets, sizeof(octets)))
			return;
	}
	peer_echo(p);
}

static void check(struct client *c, struct span data)
{
	uint64_t *checked = c->ctx;

	for (size_t i = 0; i < data.n; i++) {
		if (data.p[i] != octet_at(*checked + i))
			fail_msg("octet %ju is wrong", (uintmax_t)(*checked + i));
	}
	*checked += data.n;
}

static void test_big(void **state)
{
	struct scene s;
	struct server server;
	struct client c;
	uint64_t checked = 0;
	struct net_tls *tls = make_tls(pki_cafile(), NULL);

	scene_init(&s, &scene_good);
	server_start(&server, send_big, &s);
	client_init(&c);
	c.discard = true;
	c.ctx = &checked;
	c.on_data = check;
	client_connect(&c, "127.0.0.1", server.port, tls, true);
	while (checked < BIG) {
		assert_true(uv_loop_alive(&c.loop));
		uv_run(&c.loop, UV_RUN_ONCE);
	}
	client_finish(&c);
	server_stop(&server);
	net_tls_destroy(tls);
	scene_finish(&s);
}

static void write_big(struct client *c)
{
	static char octets[4 * 1000 * 1000];

	for (size_t i = 0; i < sizeof(octets); i++)
		octets[i] = octet_at(i);
	client_write(c, (struct span){octets, sizeof(octets)});
}

static void test_big_echo(void **state)
{
	enum { SIZE = 4 * 1000 * 1000 };
	struct scene s;
	struct server server;
	struct client c;
	struct net_tls *tls = make_tls(pki_cafile(), NULL);

	scene_init(&s, &scene_good);
	server_start(&server, tls_echo, &s);
	client_init(&c);
	c.on_open = write_big;
	client_connect(&c, "127.0.0.1", server.port, tls, true);
	client_run_until_received(&c, SIZE);
	client_run_until(&c, &c.drained, 1);
	for (size_t i = 0; i < SIZE; i++) {
		if (c.received.data[i] != octet_at(i))
			fail_msg("octet %zu is wrong", i);
	}
	client_finish(&c);
	server_stop(&server);
	net_tls_destroy(tls);
	scene_finish(&s);
}

/* ---- destroying ---- */

static void destroy_now(struct client *c)
{
	client_destroy(c);
}

static void destroy_in_data(struct client *c, struct span data)
{
	client_destroy(c);
	assert_memory_equal(data.p, "x", 1);
}

/* Ends only when told to, so that no other callback comes before on_drain. */
static void echo_until_told(struct peer *p, void *ctx)
{
	char octet = 0;

	if (!handshake(p, ctx))
		return;
	while (octet != 'c' && peer_read_all(p, &octet, 1))
		peer_write(p, &octet, 1);
}

static void test_destroy_in_callbacks(void **state)
{
	struct scene s;
	struct server server;
	struct net_tls *tls = make_tls(pki_cafile(), NULL);

	scene_init(&s, &scene_good);
	server_start(&server, echo_until_told, &s);
	for (int i = 0; i < 4; i++) {
		struct client c;
		client_init(&c);
		c.on_open = i == 0 ? destroy_now : NULL;
		c.on_data = i == 1 ? destroy_in_data : NULL;
		c.on_drain = i == 2 ? destroy_now : NULL;
		c.on_closed = i == 3 ? destroy_now : NULL;
		client_connect(&c, "127.0.0.1", server.port, tls, true);
		client_write(&c, i == 3 ? SPAN("c") : SPAN("x"));
		while (c.stream && uv_loop_alive(&c.loop))
			uv_run(&c.loop, UV_RUN_ONCE);
		assert_null(c.stream);
		client_finish(&c);
	}
	server_stop(&server);
	net_tls_destroy(tls);
	scene_finish(&s);
}

/* At any turn of the loop until the stream is open. */
static void test_destroy_early(void **state)
{
	struct scene s;
	struct server server;
	struct net_tls *tls = make_tls(pki_cafile(), NULL);

	scene_init(&s, &scene_good);
	server_start(&server, tls_echo, &s);
	for (unsigned turns = 0; turns < 8; turns++) {
		struct client c;
		client_init(&c);
		client_connect(&c, "127.0.0.1", server.port, tls, true);
		for (unsigned i = 0; i < turns && c.opened == 0; i++)
			uv_run(&c.loop, UV_RUN_ONCE);
		client_finish(&c);
	}
	server_stop(&server);
	net_tls_destroy(tls);
	scene_finish(&s);
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
		cmocka_unit_test(test_tls12),
		cmocka_unit_test(test_tls13),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_server_without_alpn),
		cmocka_unit_test(test_resumption_refused),
		cmocka_unit_test(test_sni),
		cmocka_unit_test(test_credentials_go_first),
		cmocka_unit_test(test_wrong_host),
		cmocka_unit_test(test_name_with_escapes),
		cmocka_unit_test(test_unknown_authority),
		cmocka_unit_test(test_expired),
		cmocka_unit_test(test_not_yet_valid),
		cmocka_unit_test(test_explanations),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_unusable_options),
		cmocka_unit_test(test_starttls),
		cmocka_unit_test(test_starttls_in_callback),
		cmocka_unit_test(test_starttls_with_buffered_octets),
		cmocka_unit_test(test_starttls_wrong_host),
		cmocka_unit_test(test_closed_in_handshake),
		cmocka_unit_test(test_reset_in_handshake),
		cmocka_unit_test(test_plain_server),
		cmocka_unit_test(test_silent_server),
		cmocka_unit_test(test_alert),
		cmocka_unit_test(test_closed_when_open),
		cmocka_unit_test(test_damaged_record),
		cmocka_unit_test(test_rehandshake_declined),
		cmocka_unit_test(test_key_update),
		cmocka_unit_test(test_big),
		cmocka_unit_test(test_big_echo),
		cmocka_unit_test(test_destroy_in_callbacks),
		cmocka_unit_test(test_destroy_early),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
