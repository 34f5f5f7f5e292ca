/* SPDX-License-Identifier: MIT */
/*
 * A server on the loopback in its own thread with ordinary blocking calls. A script is called with
 * each connection, one after the other, and says what the server does with it. It must not assert:
 * it notes what it saw for the test to look at after server_stop.
 */
#ifndef TEST_SERVER_H
#define TEST_SERVER_H

#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

struct peer {
	int fd;
	gnutls_session_t tls; /* NULL: plain */
	bool wants_certificate;
	bool no_alpn;
	bool deflated;
	z_stream in, out;
	unsigned char packed[16 * 1024]; /* what `in` reads from */
};

typedef void server_script(struct peer *p, void *ctx);

struct server {
	int fd;
	uint16_t port;
	pthread_t thread;
	server_script *script;
	void *ctx;
};

void server_start(struct server *s, server_script *script, void *ctx);
/* Waits for the script to end, and takes no more connections. */
void server_stop(struct server *s);
/* A socket listening on address; *port 0: any port, which is filled in. */
int server_listen(const char *address, uint16_t *port, int backlog);

/* Each gives up (false, or -1) when the client is gone or does nothing for 10 seconds. */
long peer_read(struct peer *p, void *octets, size_t n); /* at most n, 0 at the end */
bool peer_read_all(struct peer *p, void *octets, size_t n);
/* Reads up to and with the next LF. */
bool peer_read_line(struct peer *p, char *line, size_t size);
bool peer_write(struct peer *p, const void *octets, size_t n);
bool peer_say(struct peer *p, const char *text);
/* Sends back what comes until the client closes. */
void peer_echo(struct peer *p);
/* ticket_key may be NULL: nothing to resume. */
bool peer_start_tls(struct peer *p, gnutls_certificate_credentials_t credentials,
	const char *priority, const gnutls_datum_t *ticket_key);
void peer_start_deflate(struct peer *p);
/* Closes with a reset instead of an orderly end. */
void peer_reset(struct peer *p);

#endif
