/* SPDX-License-Identifier: MIT */
#include "imap/oauth.h"

#include <gsasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

bool imap_oauth_is_token(struct span token)
{
	static const char octets[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		"-._~+/=";

	for (size_t i = 0; i < token.n; i++)
		if (!token.p[i] || !strchr(octets, token.p[i]))
			return false;
	return token.n > 0;
}

/* In a GS2 header (RFC 5801 section 4). */
static int add_escaped(struct buf *out, const char *name)
{
	int err = 0;

	for (; err == 0 && *name; name++)
		if (*name == ',' || *name == '=')
			err = buf_append_span(out, *name == ',' ? SPAN("=2C") : SPAN("=3D"));
		else
			err = buf_append_char(out, *name);
	return err;
}

int imap_oauth_bearer(
	struct buf *out, const char *user, const char *token, const char *host, uint16_t port)
{
	int err = buf_append_span(out, SPAN("n,a="));

	if (err == 0)
		err = add_escaped(out, user);
	return err < 0 ? err
		       : buf_printf(
				 out, ",\1host=%s\1port=%u\1auth=Bearer %s\1\1", host, port, token);
}

int imap_oauth_x(struct buf *out, const char *user, const char *token)
{
	return buf_printf(out, "user=%s\1auth=Bearer %s\1\1", user, token);
}

/* --- what the server has against it: one flat JSON object --- */

struct json {
	const char *p, *end;
};

static void skip_space(struct json *j)
{
	while (j->p < j->end && strchr(" \t\r\n", *j->p))
		j->p++;
}

static bool skip_char(struct json *j, char c)
{
	skip_space(j);
	if (j->p == j->end || *j->p != c)
		return false;
	j->p++;
	return true;
}

/* The inside of a string or a bare word. Escapes stay as they are but for those of one octet that
 * stands for itself; the result is printable. */
static bool take_value(struct json *j, char *out, size_t size)
{
	char text[256];
	size_t n = 0;
	bool quoted = skip_char(j, '"');

	skip_space(j);
	while (j->p < j->end && (quoted ? *j->p != '"' : !strchr(",}{[ \t\r\n", *j->p))) {
		if (quoted && *j->p == '\\' && j->end - j->p > 1 && strchr("\"\\/", j->p[1]))
			j->p++;
		if (n < sizeof(text))
			text[n++] = *j->p;
		j->p++;
	}
	text_printable((struct span){text, n}, out, size);
	return quoted ? skip_char(j, '"') : n > 0;
}

static bool is_telling(const char *name)
{
	return strcmp(name, "status") == 0 || strcmp(name, "error") == 0 ||
	       strcmp(name, "error_description") == 0 || strcmp(name, "scope") == 0;
}

/* Words for people in out, none when there is nothing to tell. */
static void explain(struct json *j, char *out, size_t size)
{
	char name[64], value[256];
	size_t n = 0;

	out[0] = '\0';
	if (!skip_char(j, '{'))
		return;
	do {
		if (!take_value(j, name, sizeof(name)) || !skip_char(j, ':') ||
			!take_value(j, value, sizeof(value)))
			return;
		if (is_telling(name) && *value && n < size)
			n += (size_t)snprintf(
				out + n, size - n, "%s%s %s", n ? ", " : "", name, value);
	} while (skip_char(j, ','));
}

int imap_oauth_explain(struct span challenge, char *out, size_t size)
{
	char *text = NULL, words[512];
	size_t n = 0;

	out[0] = '\0';
	if (challenge.n == 0)
		return 0;
	int rc = gsasl_base64_from(challenge.p, challenge.n, &text, &n);
	if (rc != GSASL_OK)
		return rc == GSASL_MALLOC_ERROR ? ERR_NOMEM : 0;
	struct json j = {text, text + n};
	explain(&j, words, sizeof(words));
	/* What is no such object is shown as it is. */
	text_printable(*words ? span_of(words) : (struct span){text, n}, out, size);
	gsasl_free(text);
	return 0;
}
