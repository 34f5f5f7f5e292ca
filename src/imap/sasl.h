/* One SASL exchange (RFC 4422) as AUTHENTICATE carries it: GNU SASL does the
 * mechanisms. In all that are used here the client speaks first: the first challenge is empty. */
#ifndef IMAP_SASL_H
#define IMAP_SASL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

struct imap_sasl;

struct imap_sasl_options {
	const char *user;
	const char *password; /* wiped by the caller; GNU SASL keeps a copy until destroy */
	const char *host;
};

/* Starts with the strongest mechanism of capabilities (enum imap_capability) that GNU SASL has.
 * Returns 0 and *out; ERR_AUTH when no mechanism is shared; ERR_NOMEM. */
int imap_sasl_create(
	struct imap_sasl **out, uint32_t capabilities, const struct imap_sasl_options *options);
void imap_sasl_destroy(struct imap_sasl *s);

const char *imap_sasl_mechanism(const struct imap_sasl *s);

/* Answers a challenge, both in base64 as on the line: appends to reply. Returns 0, or ERR_AUTH when
 * the challenge makes no sense or the server failed to prove itself (SCRAM). */
int imap_sasl_step(struct imap_sasl *s, struct span challenge, struct buf *reply);
/* Whether the mechanism saw all it needs: an OK before that is a server that proved nothing. */
bool imap_sasl_complete(const struct imap_sasl *s);

#endif
