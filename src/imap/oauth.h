/* SPDX-License-Identifier: MIT */
/*
 * OAuth 2.0 tokens as SASL carries them: OAUTHBEARER (RFC 7628), and XOAUTH2, which Google and
 * Microsoft had before it. GNU SASL has neither; each is one message, and an answer to bad news.
 */
#ifndef IMAP_OAUTH_H
#define IMAP_OAUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/* Whether it has the form of a token (RFC 6750 section 2.1), and so can do no harm on the line. */
bool imap_oauth_is_token(struct span token);

/* Each appends the client's message, before base64. Returns 0 or the error of buf. user: whose mail
 * is wanted. */
int imap_oauth_bearer(
	struct buf *out, const char *user, const char *token, const char *host, uint16_t port);
int imap_oauth_x(struct buf *out, const char *user, const char *token);

/* What the server's JSON (in base64, as in its challenge) says of a refused token, as words for
 * people: printable, NUL-terminated, cut where size demands it; empty when it says nothing. Returns
 * 0 or ERR_NOMEM. */
int imap_oauth_explain(struct span challenge, char *out, size_t size);

#endif
