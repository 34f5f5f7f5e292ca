/* SPDX-License-Identifier: MIT */
#include "scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>

#include "client.h"

const struct pki_certificate scene_good = {
	.name = "localhost",
	.address = "127.0.0.1",
	.from_days = -1,
	.to_days = 1,
};

void scene_init(struct scene *s, const struct pki_certificate *certificate)
{
	*s = (struct scene){0};
	s->credentials = pki_server(certificate);
	gnutls_session_ticket_key_generate(&s->ticket_key);
	sem_init(&s->go, 0, 0);
}

void scene_finish(struct scene *s)
{
	gnutls_certificate_free_credentials(s->credentials);
	gnutls_free(s->ticket_key.data);
	sem_destroy(&s->go);
}

struct net_tls *make_tls(const char *cafile, const char *priority)
{
	char error[256] = "";
	struct net_tls *tls = net_tls_create(
		&(struct net_tls_options){.cafile = cafile, .priority = priority}, error,
		sizeof(error));

	assert_string_equal(error, "");
	assert_non_null(tls);
	return tls;
}

static void note_binding(struct peer *p, struct scene *s)
{
	bool tls13 = gnutls_protocol_get_version(p->tls) == GNUTLS_TLS1_3;
	gnutls_datum_t data;

	s->binding.kind = tls13 ? BINDING_TLS_EXPORTER : BINDING_TLS_UNIQUE;
	if (gnutls_session_channel_binding(
		    p->tls, tls13 ? GNUTLS_CB_TLS_EXPORTER : GNUTLS_CB_TLS_UNIQUE, &data) < 0)
		return;
	s->binding.n = data.size < BINDING_MAX ? data.size : BINDING_MAX;
	memcpy(s->binding.octets, data.data, s->binding.n);
	gnutls_free(data.data);
}

static void note_client(struct peer *p, struct scene *s)
{
	const gnutls_datum_t *peers = gnutls_certificate_get_peers(p->tls, NULL);
	gnutls_x509_crt_t certificate;
	size_t size = sizeof(s->client);

	if (!peers)
		return;
	gnutls_x509_crt_init(&certificate);
	gnutls_x509_crt_import(certificate, &peers[0], GNUTLS_X509_FMT_DER);
	gnutls_x509_crt_get_dn_by_oid(
		certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, s->client, &size);
	gnutls_x509_crt_deinit(certificate);
}

bool handshake(struct peer *p, struct scene *s)
{
	gnutls_datum_t protocol = {NULL, 0};
	size_t size = sizeof(s->sni);
	unsigned type;

	p->wants_certificate = s->wants_certificate;
	p->no_alpn = s->no_alpn;
	s->handshake_done = peer_start_tls(p, s->credentials, s->priority, &s->ticket_key);
	if (!s->handshake_done)
		return false;
	s->resumed += gnutls_session_is_resumed(p->tls) ? 1 : 0;
	if (gnutls_server_name_get(p->tls, s->sni, &size, &type, 0) < 0)
		s->sni[0] = '\0';
	if (gnutls_alpn_get_selected_protocol(p->tls, &protocol) == 0)
		snprintf(s->alpn, sizeof(s->alpn), "%.*s", (int)protocol.size,
			(const char *)protocol.data);
	note_binding(p, s);
	note_client(p, s);
	return true;
}

void tls_echo(struct peer *p, void *ctx)
{
	if (handshake(p, ctx))
		peer_echo(p);
}

void check_echo(struct scene *s, struct net_tls *tls, const char *host, uint16_t port)
{
	struct client c;
	struct net_stream_counts counts;

	client_init(&c);
	client_connect(&c, host, port, tls, true);
	client_write(&c, SPAN("a1 NOOP\r\n"));
	client_run_until_received(&c, 9);
	assert_memory_equal(c.received.data, "a1 NOOP\r\n", 9);
	assert_int_equal(c.opened, 1);
	net_stream_counts(c.stream, &counts);
	assert_int_equal(counts.data_in, 9);
	assert_true(counts.wire_in > 100);
	assert_true(counts.wire_out > 100);
	client_finish(&c);
}
