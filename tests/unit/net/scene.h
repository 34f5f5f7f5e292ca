/* SPDX-License-Identifier: MIT */
/* A server that does TLS, what it is to do, and what it saw. */
#ifndef TEST_SCENE_H
#define TEST_SCENE_H

#include <semaphore.h>

#include "base/binding.h"
#include "net/stream.h"
#include "pki.h"
#include "server.h"

#define TLS12 "NORMAL:-VERS-ALL:+VERS-TLS1.2"
#define TLS13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"

/* What the server is to do, and what it saw. */
struct scene {
	gnutls_certificate_credentials_t credentials;
	const char *priority; /* NULL: any */
	gnutls_datum_t ticket_key;
	bool handshake_done;
	unsigned connections, resumed;
	char sni[64], alpn[16];
	bool no_alpn;           /* as most servers */
	bool wants_certificate; /* of the client */
	char client[64];        /* the common name in it */
	struct binding binding; /* as the server sees it */
	sem_t go;               /* posted by the test */
};

extern const struct pki_certificate scene_good;

void scene_init(struct scene *s, const struct pki_certificate *certificate);
void scene_finish(struct scene *s);

/* Does not fail. */
struct net_tls *make_tls(const char *cafile, const char *priority);
/* For scripts; ctx is the scene. */
bool handshake(struct peer *p, struct scene *s);
void tls_echo(struct peer *p, void *ctx);
/* One connection to tls_echo. */
void check_echo(struct scene *s, struct net_tls *tls, const char *host, uint16_t port);

#endif
