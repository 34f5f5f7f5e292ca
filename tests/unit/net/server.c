/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void must(bool ok, const char *what)
{
	if (!ok) {
		perror(what);
		abort();
	}
}

int server_listen(const char *address, uint16_t *port, int backlog)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(*port)};
	socklen_t size = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0, "socket");
	must(inet_pton(AF_INET, address, &sin.sin_addr) == 1, address);
	must(bind(fd, (struct sockaddr *)&sin, size) == 0, "bind");
	must(listen(fd, backlog) == 0, "listen");
	must(getsockname(fd, (struct sockaddr *)&sin, &size) == 0, "getsockname");
	*port = ntohs(sin.sin_port);
	return fd;
}

static void serve(struct server *s, int fd)
{
	struct peer p = {.fd = fd};
	struct timeval patience = {.tv_sec = 10};
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	s->script(&p, s->ctx);
	if (p.tls)
		gnutls_deinit(p.tls);
	if (p.deflated) {
		inflateEnd(&p.in);
		deflateEnd(&p.out);
	}
	if (p.fd >= 0)
		close(p.fd);
}

static void *run(void *ctx)
{
	struct server *s = ctx;
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0)
		serve(s, fd);
	return NULL;
}

void server_start(struct server *s, server_script *script, void *ctx)
{
	*s = (struct server){.script = script, .ctx = ctx};
	s->fd = server_listen("127.0.0.1", &s->port, 16);
	must(pthread_create(&s->thread, NULL, run, s) == 0, "pthread_create");
}

void server_stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
}

static long read_plain(struct peer *p, void *octets, size_t n)
{
	if (!p->tls)
		return recv(p->fd, octets, n, 0);
	long r;
	do
		r = gnutls_record_recv(p->tls, octets, n);
	while (r == GNUTLS_E_INTERRUPTED || r == GNUTLS_E_WARNING_ALERT_RECEIVED);
	return r;
}

static bool write_plain(struct peer *p, const void *octets, size_t n)
{
	const char *at = octets;

	while (n > 0) {
		long r = p->tls ? gnutls_record_send(p->tls, at, n)
				: send(p->fd, at, n, MSG_NOSIGNAL);
		if (r <= 0)
			return false;
		at += r;
		n -= (size_t)r;
	}
	return true;
}

long peer_read(struct peer *p, void *octets, size_t n)
{
	if (!p->deflated)
		return read_plain(p, octets, n);
	p->in.next_out = octets;
	p->in.avail_out = (uInt)n;
	for (;;) {
		int status = inflate(&p->in, Z_SYNC_FLUSH);
		if (status != Z_OK && status != Z_BUF_ERROR)
			return -1;
		if (p->in.avail_out < n)
			return (long)(n - p->in.avail_out);
		long r = read_plain(p, p->packed, sizeof(p->packed));
		if (r <= 0)
			return r;
		p->in.next_in = p->packed;
		p->in.avail_in = (uInt)r;
	}
}

bool peer_read_all(struct peer *p, void *octets, size_t n)
{
	char *at = octets;

	while (n > 0) {
		long r = peer_read(p, at, n);
		if (r <= 0)
			return false;
		at += r;
		n -= (size_t)r;
	}
	return true;
}

bool peer_read_line(struct peer *p, char *line, size_t size)
{
	for (size_t i = 0; i + 1 < size; i++) {
		if (!peer_read_all(p, line + i, 1))
			return false;
		if (line[i] == '\n') {
			line[i + 1] = '\0';
			return true;
		}
	}
	return false;
}

static bool write_packed(struct peer *p, const void *octets, size_t n)
{
	unsigned char out[16 * 1024];

	p->out.next_in = (Bytef *)(uintptr_t)octets;
	p->out.avail_in = (uInt)n;
	do {
		p->out.next_out = out;
		p->out.avail_out = sizeof(out);
		deflate(&p->out, Z_SYNC_FLUSH);
		if (!write_plain(p, out, sizeof(out) - p->out.avail_out))
			return false;
	} while (p->out.avail_out == 0);
	return true;
}

bool peer_write(struct peer *p, const void *octets, size_t n)
{
	return p->deflated ? write_packed(p, octets, n) : write_plain(p, octets, n);
}

bool peer_say(struct peer *p, const char *text)
{
	return peer_write(p, text, strlen(text));
}

void peer_echo(struct peer *p)
{
	char octets[16 * 1024];
	long n;

	while ((n = peer_read(p, octets, sizeof(octets))) > 0) {
		if (!peer_write(p, octets, (size_t)n))
			return;
	}
}

bool peer_start_tls(struct peer *p, gnutls_certificate_credentials_t credentials,
	const char *priority, const gnutls_datum_t *ticket_key)
{
	static const gnutls_datum_t protocol = {(unsigned char *)"imap", 4};
	int r;

	gnutls_init(&p->tls, GNUTLS_SERVER | GNUTLS_NO_SIGNAL);
	gnutls_priority_set_direct(p->tls, priority ? priority : "NORMAL", NULL);
	gnutls_credentials_set(p->tls, GNUTLS_CRD_CERTIFICATE, credentials);
	if (!p->no_alpn)
		gnutls_alpn_set_protocols(p->tls, &protocol, 1, 0);
	if (ticket_key)
		gnutls_session_ticket_enable_server(p->tls, ticket_key);
	if (p->wants_certificate)
		gnutls_certificate_server_set_request(p->tls, GNUTLS_CERT_REQUIRE);
	gnutls_transport_set_int(p->tls, p->fd);
	do
		r = gnutls_handshake(p->tls);
	while (r < 0 && !gnutls_error_is_fatal(r) && r != GNUTLS_E_AGAIN);
	if (r < 0 && p->wants_certificate)
		gnutls_alert_send_appropriate(p->tls, r);
	return r == 0;
}

void peer_start_deflate(struct peer *p)
{
	inflateInit2(&p->in, -15);
	deflateInit2(&p->out, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
	p->deflated = true;
}

void peer_reset(struct peer *p)
{
	struct linger now = {.l_onoff = 1};

	setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(p->fd);
	p->fd = -1;
}
