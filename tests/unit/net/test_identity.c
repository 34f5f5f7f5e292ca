/* SPDX-License-Identifier: MIT */
/* Who the server is and who we are: pinned certificates, the versions that may show them, our own
 * certificate, and what a login can be bound to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "client.h"
#include "pki.h"
#include "scene.h"
#include "server.h"

/* A connection that does not come about, or ends at once. */
static void expect_tls_error(struct net_tls *tls, uint16_t port, const char *words)
{
	struct client c;

	client_init(&c);
	client_connect(&c, "127.0.0.1", port, tls, true);
	client_run_until(&c, &c.closed, 1);
	assert_int_equal(c.err, ERR_TLS);
	if (!strstr(c.text, words))
		assert_string_equal(c.text, words);
	client_finish(&c);
}

/* ---- a pinned certificate ---- */

static struct net_tls *make_pinned(const unsigned char *fingerprint)
{
	char error[256] = "";
	struct net_tls_options options = {.fingerprint = fingerprint};
	struct net_tls *tls = net_tls_create(&options, error, sizeof(error));

	assert_string_equal(error, "");
	return tls;
}

/* Whoever signed it, whatever it is for and whenever it was valid; also when resumed. */
static void check_pinned(const char *priority)
{
	static const struct pki_certificate bad = {
		.name = "mail.example.org", .from_days = -3, .to_days = -2};
	unsigned char fingerprint[NET_FINGERPRINT];
	struct scene s;
	struct server server;

	scene_init(&s, &bad);
	s.priority = priority;
	pki_fingerprint(s.credentials, fingerprint);
	struct net_tls *tls = make_pinned(fingerprint);
	server_start(&server, tls_echo, &s);
	check_echo(&s, tls, "127.0.0.1", server.port);
	check_echo(&s, tls, "127.0.0.1", server.port);
	server_stop(&server);
	assert_int_equal(s.resumed, 1);
	net_tls_destroy(tls);
	scene_finish(&s);
}

static void test_pinned(void **state)
{
	check_pinned(TLS12);
	check_pinned(TLS13);
}

/* Not even one that could be verified is taken in place of the pinned one. */
static void test_pinned_other(void **state)
{
	unsigned char fingerprint[NET_FINGERPRINT];
	char shown[3 * NET_FINGERPRINT + 1];
	struct scene s;
	struct server server;
	struct client c;

	scene_init(&s, &scene_good);
	s.priority = TLS12;
	pki_fingerprint(s.credentials, fingerprint);
	for (size_t i = 0; i < NET_FINGERPRINT; i++)
		snprintf(shown + 3 * i, 4, "%02X:", fingerprint[i]);
	shown[3 * NET_FINGERPRINT - 1] = '\0';
	fingerprint[NET_FINGERPRINT - 1] ^= 1;
	struct net_tls *tls = make_pinned(fingerprint);
	server_start(&server, tls_echo, &s);
	client_init(&c);
	client_connect(&c, "127.0.0.1", server.port, tls, true);
	client_write(&c, SPAN("secret"));
	client_run_until(&c, &c.closed, 1);
	assert_int_equal(c.opened, 0);
	assert_int_equal(c.err, ERR_TLS);
	assert_non_null(strstr(c.text, "certificate is not the one that fingerprint= pins: "));
	assert_non_null(strstr(c.text, shown));
	client_finish(&c);
	server_stop(&server);
	assert_false(s.handshake_done);
	net_tls_destroy(tls);
	scene_finish(&s);
}

/* ---- versions ---- */

/* Whatever tls_priority= says, the server is not given less. */
static void test_no_old_version(void **state)
{
	struct scene s;
	struct server server;
	struct net_tls *tls = make_tls(pki_cafile(), "NORMAL:-VERS-ALL:+VERS-TLS1.2:+VERS-TLS1.1");

	scene_init(&s, &scene_good);
	s.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.0";
	server_start(&server, tls_echo, &s);
	expect_tls_error(tls, server.port, "");
	server_stop(&server);
	assert_false(s.handshake_done);
	net_tls_destroy(tls);
	scene_finish(&s);
}

/* ---- bindings ---- */

static void expect_binding(const char *priority, enum binding_kind kind, bool resumed)
{
	struct scene s;
	struct server server;
	struct client c;
	struct binding ours;
	struct net_tls *tls = make_tls(pki_cafile(), NULL);

	scene_init(&s, &scene_good);
	s.priority = priority;
	server_start(&server, tls_echo, &s);
	if (resumed)
		check_echo(&s, tls, "127.0.0.1", server.port);
	client_init(&c);
	client_connect(&c, "127.0.0.1", server.port, tls, true);
	client_run_until(&c, &c.opened, 1);
	net_stream_binding(c.stream, &ours);
	client_finish(&c);
	server_stop(&server);
	assert_int_equal(s.resumed, resumed);
	assert_int_equal(ours.kind, kind);
	if (kind != BINDING_NONE) {
		assert_int_equal(s.binding.kind, kind);
		assert_in_range(ours.n, 12, BINDING_MAX);
		assert_int_equal(s.binding.n, ours.n);
		assert_memory_equal(s.binding.octets, ours.octets, ours.n);
	}
	net_tls_destroy(tls);
	scene_finish(&s);
}

static void test_bindings(void **state)
{
	expect_binding(TLS13, BINDING_TLS_EXPORTER, false);
	expect_binding(TLS13, BINDING_TLS_EXPORTER, true);
	expect_binding(TLS12, BINDING_TLS_UNIQUE, false);
	expect_binding(TLS12, BINDING_TLS_UNIQUE, true);
	/* Without the extended master secret who is in between could make both ends the same. */
	expect_binding(TLS12 ":%NO_SESSION_HASH", BINDING_NONE, false);
}

static void note_plain(struct peer *p, void *ctx)
{
	peer_echo(p);
}

static void test_no_binding_in_the_clear(void **state)
{
	struct server server;
	struct client c;
	struct binding ours = {.kind = BINDING_TLS_UNIQUE};

	server_start(&server, note_plain, NULL);
	client_init(&c);
	client_connect(&c, "127.0.0.1", server.port, NULL, false);
	client_run_until(&c, &c.opened, 1);
	net_stream_binding(c.stream, &ours);
	assert_int_equal(ours.kind, BINDING_NONE);
	client_finish(&c);
	server_stop(&server);
}

/* ---- our own certificate ---- */

static char certfile[PKI_PATH], keyfile[PKI_PATH];

static struct net_tls *make_certified(void)
{
	struct net_tls_options options = {
		.cafile = pki_cafile(), .certfile = certfile, .keyfile = keyfile};
	char error[256] = "";
	struct net_tls *tls = net_tls_create(&options, error, sizeof(error));

	assert_string_equal(error, "");
	return tls;
}

static void check_certified(const char *priority)
{
	struct scene s;
	struct server server;
	struct net_tls *tls = make_certified();

	scene_init(&s, &scene_good);
	s.priority = priority;
	s.wants_certificate = true;
	/* It names another authority as the one that it takes: that is for it to say, not for us to
	 * guess. */
	gnutls_certificate_set_x509_trust_file(
		s.credentials, pki_other_cafile(), GNUTLS_X509_FMT_PEM);
	server_start(&server, tls_echo, &s);
	check_echo(&s, tls, "127.0.0.1", server.port);
	server_stop(&server);
	assert_string_equal(s.client, "joe");
	net_tls_destroy(tls);
	scene_finish(&s);
}

static void test_own_certificate(void **state)
{
	check_certified(TLS12);
	check_certified(TLS13);
}

/* The line says what to do. */
static void test_own_certificate_missing(void **state)
{
	struct scene s;
	struct server server;
	struct net_tls *tls = make_tls(pki_cafile(), NULL);

	scene_init(&s, &scene_good);
	s.priority = TLS13;
	s.wants_certificate = true;
	server_start(&server, tls_echo, &s);
	expect_tls_error(tls, server.port, "it wants a client certificate (-o certfile=)");
	server_stop(&server);
	net_tls_destroy(tls);
	scene_finish(&s);
}

static void expect_unusable(const char *cert, const char *key, const char *words)
{
	struct net_tls_options options = {.cafile = pki_cafile(), .certfile = cert, .keyfile = key};
	char error[256] = "";

	assert_null(net_tls_create(&options, error, sizeof(error)));
	if (!strstr(error, words))
		assert_string_equal(error, words);
}

static void test_unusable_certificates(void **state)
{
	char other_cert[PKI_PATH], other_key[PKI_PATH];

	pki_client("jane", other_cert, other_key);
	expect_unusable("/nowhere/c.pem", keyfile, "/nowhere/c.pem: No such file");
	expect_unusable(certfile, "/nowhere/k.pem", "/nowhere/k.pem: No such file");
	expect_unusable(certfile, other_key, "The certificate and the given key do not match");
	expect_unusable(keyfile, keyfile, "certificate /tmp/");
	FILE *file = fopen(other_key, "w");
	assert_non_null(file);
	fputs("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
		file);
	fclose(file);
	expect_unusable(certfile, other_key, "the key is encrypted");
	unlink(other_cert);
	unlink(other_key);
}

static int set_up(void **state)
{
	pki_init();
	pki_client("joe", certfile, keyfile);
	return 0;
}

static int tear_down(void **state)
{
	unlink(certfile);
	unlink(keyfile);
	pki_finish();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pinned),
		cmocka_unit_test(test_pinned_other),
		cmocka_unit_test(test_no_old_version),
		cmocka_unit_test(test_bindings),
		cmocka_unit_test(test_no_binding_in_the_clear),
		cmocka_unit_test(test_own_certificate),
		cmocka_unit_test(test_own_certificate_missing),
		cmocka_unit_test(test_unusable_certificates),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
