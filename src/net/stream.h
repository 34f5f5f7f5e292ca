/* SPDX-License-Identifier: MIT */
/*
 * One octet stream to a server: name resolution, TCP to the first address that answers, TLS by
 * GnuTLS, deflate (RFC 4978). It runs on the libuv loop that it was given, in that loop's thread;
 * nothing blocks.
 *
 * Callbacks are made from the loop only, never from inside a function of this file. After on_closed
 * none follows. net_stream_destroy may be called from any callback.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/binding.h"
#include "base/span.h"

struct net_tls; /* credentials and priorities, shared by the streams of an account */
struct net_throttle;

/* The length of a SHA-256 fingerprint. */
#define NET_FINGERPRINT 32

struct net_tls_options {
	const char *cafile;   /* PEM; NULL: the system's */
	const char *priority; /* GnuTLS priority string; NULL: "NORMAL". Versions below TLS 1.2 are
				 taken out of it in any case */
	/* The SHA-256 of the server's certificate in DER, NET_FINGERPRINT octets, or NULL. It takes
	 * the place of all verification: that certificate is right, and no other is. */
	const unsigned char *fingerprint;
	/* Our own certificate, with those above it, and its key, both PEM; both NULL: none. */
	const char *certfile, *keyfile;
};

/* Loads the certificates. NULL on an error, which is then described in error (NUL-terminated, names
 * the file). */
struct net_tls *net_tls_create(const struct net_tls_options *options, char *error, size_t size);
void net_tls_destroy(struct net_tls *tls);

struct net_stream_events {
	/* Connected, and with implicit TLS the handshake is done and the certificate verified. Also
	 * after net_stream_start_tls. */
	void (*on_open)(void *ctx);
	/* Octets of the server, decrypted and inflated, at most 64 KiB each time. Valid until it
	 * returns. */
	void (*on_data)(void *ctx, struct span data);
	/* All that was written has been handed to the kernel. May be NULL. */
	void (*on_drain)(void *ctx);
	/* The end, once: err is ERR_NET, ERR_TLS, ERR_TIMEOUT, ERR_PROTOCOL (deflate) or ERR_NOMEM.
	 * text is one line for people that says what was wrong and, where the user can do
	 * something, what: "certificate is for mail.example.org, not imap.example.org". A close by
	 * the server is ERR_NET "connection closed by the server". */
	void (*on_closed)(void *ctx, int err, const char *text);
};

struct net_stream_options {
	const char *host; /* a name or an address; also what the certificate must be for (SNI is
			     sent for names) */
	uint16_t port;
	struct net_tls *tls;           /* NULL: no TLS ever */
	bool implicit_tls;             /* handshake directly after connecting */
	uint64_t connect_timeout;      /* milliseconds for resolving, connecting and the handshake
				     together, without what the throttle takes */
	struct net_throttle *throttle; /* shared with others; must outlive the stream. NULL: none */
	uint64_t *received; /* counts octets, with others; outlives the stream; or NULL */
};

struct net_stream;

/* Starts; on_open or on_closed will follow. options and what it points at (but tls) are copied. */
struct net_stream *net_stream_create(uv_loop_t *loop, const struct net_stream_options *options,
	const struct net_stream_events *events, void *ctx);
/* Closes at once without a callback. NULL is fine. Frees later, from the loop. */
void net_stream_destroy(struct net_stream *s);

/* What a login can be tied to; BINDING_NONE without TLS, or where it would not be safe: TLS 1.2
 * without the extended master secret (RFC 7627). */
void net_stream_binding(const struct net_stream *s, struct binding *binding);

/* Queues octets (copied) for sending; they are sent from the loop at the end of this turn, together
 * (one TLS record where they fit). Errors arrive as on_closed. Not to be called from a uv_prepare
 * callback: it may miss the turn. At most 64 MiB are queued; more ends the stream. */
void net_stream_write(struct net_stream *s, struct span data);
/* Octets queued and not yet taken by the kernel. */
size_t net_stream_unsent(const struct net_stream *s);
/* The same, and what the kernel has and the server's has not acknowledged. */
size_t net_stream_untaken(const struct net_stream *s);

/* STARTTLS: the server's OK was read. Any octet of the server that was received beyond that OK and
 * not yet handed out is fatal (ERR_TLS): the caller says in `buffered` how many it still holds.
 * Then the handshake; on_open or on_closed follows. */
void net_stream_start_tls(struct net_stream *s, size_t buffered);
/* RFC 4978: everything after the server's OK is deflated, both ways. rest: octets that came behind
 * that OK, already handed out, still compressed: they are inflated and given to on_data later. */
void net_stream_start_deflate(struct net_stream *s, struct span rest);

/* Milliseconds, in all, that octets of either direction waited for the throttle: they are no silence of
 * the server's. */
uint64_t net_stream_held(const struct net_stream *s);

/* For status and benches. */
struct net_stream_counts {
	uint64_t wire_in, wire_out; /* octets as on the wire, TLS included */
	uint64_t data_in, data_out; /* octets as IMAP sees them */
};
void net_stream_counts(const struct net_stream *s, struct net_stream_counts *counts);

#endif
