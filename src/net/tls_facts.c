/* SPDX-License-Identifier: MIT */
#include "net/tls_facts.h"

#include <gnutls/x509.h>
#include <stddef.h>
#include <string.h>

#include "base/text.h"

static void take_name(gnutls_x509_crt_t leaf, struct net_tls_facts *facts)
{
	char name[256];
	size_t n = sizeof(name);

	if (gnutls_x509_crt_get_issuer_dn_by_oid(
		    leaf, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &n) < 0) {
		n = sizeof(name);
		if (gnutls_x509_crt_get_issuer_dn(leaf, name, &n) < 0)
			return;
	}
	text_printable(span_of(name), facts->issuer, sizeof(facts->issuer));
}

void net_tls_facts_take(gnutls_session_t session, struct net_tls_facts *facts)
{
	char *description = gnutls_session_get_desc(session);
	unsigned count = 0;
	const gnutls_datum_t *peers = gnutls_certificate_get_peers(session, &count);
	gnutls_x509_crt_t leaf;

	text_printable(
		span_of(description ? description : "TLS"), facts->session, sizeof(facts->session));
	gnutls_free(description);
	if (count == 0 || gnutls_x509_crt_init(&leaf) < 0)
		return;
	if (gnutls_x509_crt_import(leaf, &peers[0], GNUTLS_X509_FMT_DER) == 0) {
		facts->from = gnutls_x509_crt_get_activation_time(leaf);
		facts->until = gnutls_x509_crt_get_expiration_time(leaf);
		take_name(leaf, facts);
	}
	gnutls_x509_crt_deinit(leaf);
}
