/* SPDX-License-Identifier: MIT */
/*
 * SASL (RFC 4422) as AUTHENTICATE carries it: which mechanism to take, and one exchange. GNU SASL
 * does the mechanisms.
 */
#ifndef IMAP_SASL_H
#define IMAP_SASL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/binding.h"
#include "base/buf.h"
#include "base/span.h"

/* The first that can be used is used. */
enum imap_mechanism {
	IMAP_AUTH_ANY, /* none in particular */
	IMAP_AUTH_OAUTHBEARER,
	IMAP_AUTH_XOAUTH2,
	IMAP_AUTH_EXTERNAL,
	IMAP_AUTH_SCRAM_SHA_256_PLUS,
	IMAP_AUTH_SCRAM_SHA_1_PLUS,
	IMAP_AUTH_SCRAM_SHA_256,
	IMAP_AUTH_SCRAM_SHA_1,
	IMAP_AUTH_PLAIN,
	IMAP_AUTH_LOGIN,
	IMAP_MECHANISMS,
};

/* What a mechanism makes use of. */
enum imap_auth_use {
	IMAP_USES_PASSWORD = 1 << 0,
	IMAP_USES_CERTIFICATE = 1 << 1, /* the client's, shown to the server by TLS */
	IMAP_USES_BINDING = 1 << 2,
	IMAP_USES_TOKEN = 1 << 3,
};

/* Who logs in, by what. The strings must outlive the login; whoever gives them wipes them. */
struct imap_login_as {
	const char *user;
	const char *authzid;      /* to act as this other one; NULL: as user */
	const char *password;     /* NULL: none */
	bool token;               /* there is one to be had (OAuth) */
	bool certificate;         /* TLS has one for us */
	enum imap_mechanism only; /* IMAP_AUTH_ANY: the strongest */
};

/* Case does not matter. IMAP_AUTH_ANY: it is not known here. */
enum imap_mechanism imap_mechanism_find(struct span name);
const char *imap_mechanism_name(enum imap_mechanism m);
/* A set of enum imap_auth_use. */
unsigned imap_mechanism_uses(enum imap_mechanism m);
bool imap_mechanism_carries_authzid(enum imap_mechanism m);

/* The set (bits 1 << enum imap_mechanism) that a list of capabilities names by AUTH=. */
uint32_t imap_mechanisms_parse(struct span words);
/* The first mechanism of the set that can be used, IMAP_AUTH_ANY: there is none. */
enum imap_mechanism imap_mechanism_choose(
	uint32_t offered, const struct imap_login_as *as, const struct binding *binding);

struct imap_sasl;

struct imap_sasl_options {
	enum imap_mechanism mechanism;
	const struct imap_login_as *as;
	const struct binding *binding;
	const char *token; /* where the mechanism uses one */
	const char *host;
	uint16_t port;
};

/* Starts an exchange. It has copies of the secrets until destroy, which wipes them. Returns 0 and
 * *out; ERR_AUTH when GNU SASL lacks the mechanism; ERR_NOMEM. */
int imap_sasl_create(struct imap_sasl **out, const struct imap_sasl_options *options);
void imap_sasl_destroy(struct imap_sasl *s);

enum imap_mechanism imap_sasl_mechanism(const struct imap_sasl *s);
/* Whether the client speaks first: then its first message may go with the command (RFC 4959). */
bool imap_sasl_speaks_first(const struct imap_sasl *s);

/* Answers a challenge, both in base64 as on the line: appends to reply. Where the client speaks
 * first the first challenge is empty. Returns 0, or ERR_AUTH when the challenge makes no sense or
 * the server failed to prove itself (SCRAM). */
int imap_sasl_step(struct imap_sasl *s, struct span challenge, struct buf *reply);
/* Why the login fails, for people; empty: not known. With a token in the server's words, as it said in a
 * challenge; with SCRAM that the password cannot be used. */
const char *imap_sasl_reason(const struct imap_sasl *s);
/* Whether the mechanism saw all it needs: an OK before that is a server that proved nothing. */
bool imap_sasl_complete(const struct imap_sasl *s);

#endif
