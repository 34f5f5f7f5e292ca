/* SPDX-License-Identifier: MIT */
/*
 * TLS by GnuTLS between a struct net_wire and the plain octets; it never waits. struct net_tls
 * holds what the streams of an account share: credentials, priorities and the last session, so that
 * a reconnect resumes it.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <gnutls/gnutls.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/span.h"
#include "net/failure.h"
#include "net/stream.h"
#include "net/wire.h"

struct tls_session;

/* NULL on an error. tls stays alive as long as the session; wire must, too. */
struct tls_session *tls_session_create(struct net_tls *tls, const char *host, uint16_t port,
	struct net_wire *wire, struct net_failure *f);
void tls_session_destroy(struct tls_session *t);

/* 1: done, the certificate is for host and trusted. 0: go on when the wire has more octets. Else an
 * error, and perhaps an alert for the server in wire->out. */
int tls_session_handshake(struct tls_session *t, struct net_failure *f);
/* Octets written to p, 0 when the wire must be filled first, or an error (ERR_NET: the server's
 * orderly end). */
ssize_t tls_session_read(struct tls_session *t, char *p, size_t size, struct net_failure *f);
/* Encrypts up to one record of data into wire->out; octets taken (not 0) or an error. */
ssize_t tls_session_write(struct tls_session *t, struct span data, struct net_failure *f);
/* Puts our orderly end into wire->out. */
void tls_session_bye(struct tls_session *t);
/* See net_stream_binding. */
void tls_session_binding(const struct tls_session *t, struct binding *binding);
/* Whether the handshake took up an earlier session. */
bool tls_session_resumed(const struct tls_session *t);

/* What is wrong with the certificate, and what to do, as on_closed's text. status:
 * gnutls_certificate_status_t bits; leaf may be NULL; cafile as in struct net_tls_options. */
void tls_explain_certificate(unsigned status, gnutls_x509_crt_t leaf, const char *host,
	const char *cafile, struct net_failure *f);
/* It is not the one that is pinned. leaf may be NULL. */
void tls_explain_pin(gnutls_x509_crt_t leaf, struct net_failure *f);
/* An address, not a name (which has no SNI). */
bool tls_host_is_address(const char *host);

#endif
