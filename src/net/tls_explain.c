/* SPDX-License-Identifier: MIT */
/* Turns what GnuTLS says about a certificate into one line for people. */
#include "net/tls.h"

#include <arpa/inet.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <time.h>

#include "base/text.h"

enum {
	MAX_NAMES = 4, /* of a certificate, in the text */
	NAME_SIZE = 70,
};

bool tls_host_is_address(const char *host)
{
	struct in6_addr address; /* large enough for both */

	return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static void add_name(struct buf *b, unsigned count, struct span name)
{
	char printable[NAME_SIZE];

	buf_printf(b, "%s%s", count > 0 ? ", " : "",
		text_printable(name, printable, sizeof(printable)));
}

static void add_address(struct buf *b, unsigned count, const char *octets, size_t n)
{
	char text[INET6_ADDRSTRLEN];

	if (inet_ntop(n == 4 ? AF_INET : AF_INET6, octets, text, sizeof(text)))
		add_name(b, count, span_of(text));
}

/* The names that a host could have matched: DNS names and addresses, else the subject's common
 * name. */
static void add_names(struct buf *b, gnutls_x509_crt_t leaf)
{
	char name[256];
	unsigned count = 0, more = 0;

	for (unsigned i = 0;; i++) {
		size_t n = sizeof(name);
		int type = gnutls_x509_crt_get_subject_alt_name(leaf, i, name, &n, NULL);
		if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		bool address = type == GNUTLS_SAN_IPADDRESS && (n == 4 || n == 16);
		if (type != GNUTLS_SAN_DNSNAME && !address)
			continue;
		if (count == MAX_NAMES)
			more++;
		else if (address)
			add_address(b, count++, name, n);
		else
			add_name(b, count++, (struct span){name, n});
	}
	if (more > 0)
		buf_printf(b, " and %u more", more);
	size_t n = sizeof(name);
	if (count == 0 && gnutls_x509_crt_get_dn_by_oid(
				  leaf, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &n) == 0)
		add_name(b, count++, (struct span){name, n});
	if (count == 0)
		buf_printf(b, "no host");
}

static void add_owner(struct buf *b, gnutls_x509_crt_t leaf, const char *host)
{
	buf_printf(b, "is for ");
	if (leaf)
		add_names(b, leaf);
	else
		buf_printf(b, "another host");
	buf_printf(b, ", not %s", host);
}

static void add_date(struct buf *b, time_t when)
{
	struct tm tm;
	char text[16];

	if (when != (time_t)-1 && gmtime_r(&when, &tm) &&
		strftime(text, sizeof(text), "%Y-%m-%d", &tm) > 0)
		buf_printf(b, " on %s", text);
}

/* The leaf's date only when it is the leaf that is at fault, not an authority above it. */
static void add_expired(struct buf *b, gnutls_x509_crt_t leaf)
{
	time_t end = leaf ? gnutls_x509_crt_get_expiration_time(leaf) : (time_t)-1;

	buf_printf(b, "expired");
	if (end < time(NULL))
		add_date(b, end);
}

static void add_not_yet(struct buf *b, gnutls_x509_crt_t leaf)
{
	time_t begin = leaf ? gnutls_x509_crt_get_activation_time(leaf) : (time_t)-1;

	buf_printf(b, "is not yet valid");
	if (begin > time(NULL)) {
		buf_printf(b, ", it will be");
		add_date(b, begin);
	}
}

static void add_signer(struct buf *b, gnutls_x509_crt_t leaf, const char *cafile)
{
	if (leaf && gnutls_x509_crt_check_issuer(leaf, leaf))
		buf_printf(b, "is signed by itself alone");
	else if (cafile)
		buf_printf(b, "is signed by an authority that is not in %s", cafile);
	else
		buf_printf(b, "is signed by an unknown authority");
}

/* As openssl(1) writes it, and fingerprint= takes it. */
static void add_fingerprint(struct buf *b, gnutls_x509_crt_t leaf)
{
	unsigned char octets[NET_FINGERPRINT];
	size_t n = sizeof(octets);

	if (!leaf || gnutls_x509_crt_get_fingerprint(leaf, GNUTLS_DIG_SHA256, octets, &n) < 0) {
		buf_printf(b, "?");
		return;
	}
	for (size_t i = 0; i < n; i++)
		buf_printf(b, "%s%02X", i ? ":" : "", octets[i]);
}

/* --- what to do --- */

static void add_advice(struct buf *b, unsigned status, gnutls_x509_crt_t leaf, const char *cafile)
{
	if (status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA)) {
		buf_printf(b, "; %sif its owner confirms it, pin it with -o fingerprint=",
			cafile ? "" : "give the authority with -o cafile=, or, ");
		add_fingerprint(b, leaf);
	}
	if (status & GNUTLS_CERT_UNEXPECTED_OWNER)
		buf_printf(b, "; write a host that it is for in SOURCE");
	if (status & GNUTLS_CERT_EXPIRED)
		buf_printf(b, "; its owner must renew it, unless this machine's clock is wrong");
	if (status & GNUTLS_CERT_NOT_ACTIVATED)
		buf_printf(b, "; is this machine's clock right?");
}

static void add_and(struct buf *b)
{
	if (b->len > 0)
		buf_printf(b, "; it ");
}

void tls_explain_certificate(unsigned status, gnutls_x509_crt_t leaf, const char *host,
	const char *cafile, struct net_failure *f)
{
	struct buf b;

	buf_init(&b, sizeof(f->text) - sizeof("certificate "));
	if (status & GNUTLS_CERT_REVOKED)
		buf_printf(&b, "is revoked");
	if (status & GNUTLS_CERT_EXPIRED) {
		add_and(&b);
		add_expired(&b, leaf);
	}
	if (status & GNUTLS_CERT_NOT_ACTIVATED) {
		add_and(&b);
		add_not_yet(&b, leaf);
	}
	if (status & GNUTLS_CERT_UNEXPECTED_OWNER) {
		add_and(&b);
		add_owner(&b, leaf, host);
	}
	if (status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA)) {
		add_and(&b);
		add_signer(&b, leaf, cafile);
	}
	add_advice(&b, status, leaf, cafile);
	gnutls_datum_t other = {NULL, 0};
	if (b.len == 0 && gnutls_certificate_verification_status_print(
				  status, GNUTLS_CRT_X509, &other, 0) == 0)
		buf_printf(&b, "is not valid: %s", (const char *)other.data);
	gnutls_free(other.data);
	const char *text = buf_cstr(&b);
	net_failure_set(f, ERR_TLS, "certificate %s", text ? text : "is not valid");
	buf_finish(&b);
}

void tls_explain_pin(gnutls_x509_crt_t leaf, struct net_failure *f)
{
	struct buf b;

	buf_init(&b, sizeof(f->text) - 1);
	buf_printf(&b, "certificate is not the one that fingerprint= pins: it has ");
	add_fingerprint(&b, leaf);
	buf_printf(&b, "; pin that only if the server's owner confirms it");
	const char *text = buf_cstr(&b);
	net_failure_set(f, ERR_TLS, "%s", text ? text : "certificate is not the pinned one");
	buf_finish(&b);
}
