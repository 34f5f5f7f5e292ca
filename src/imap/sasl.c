#include "imap/sasl.h"

#include <gsasl.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "imap/capability.h"

/* SCRAM's server says how often to hash, and the loop stands still meanwhile: up to about half a
 * second. Real servers ask for 4,096 to 100,000 rounds. */
#define ROUNDS_MAX 600000

struct imap_sasl {
	Gsasl *context;
	Gsasl_session *session;
	const char *mechanism;
	bool complete;
};

/* Strongest first. */
static const struct {
	uint32_t capability;
	const char *name;
} mechanisms[] = {
	{IMAP_CAP_AUTH_SCRAM_SHA_256, "SCRAM-SHA-256"},
	{IMAP_CAP_AUTH_SCRAM_SHA_1, "SCRAM-SHA-1"},
	{IMAP_CAP_AUTH_PLAIN, "PLAIN"},
};

static int start(
	struct imap_sasl *s, uint32_t capabilities, const struct imap_sasl_options *options)
{
	for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]) && !s->mechanism; i++)
		if ((capabilities & mechanisms[i].capability) &&
			gsasl_client_support_p(s->context, mechanisms[i].name))
			s->mechanism = mechanisms[i].name;
	if (!s->mechanism)
		return ERR_AUTH;
	if (gsasl_client_start(s->context, s->mechanism, &s->session) != GSASL_OK)
		return ERR_NOMEM;
	if (gsasl_property_set(s->session, GSASL_AUTHID, options->user) != GSASL_OK ||
		gsasl_property_set(s->session, GSASL_PASSWORD, options->password) != GSASL_OK ||
		gsasl_property_set(s->session, GSASL_SERVICE, "imap") != GSASL_OK ||
		gsasl_property_set(s->session, GSASL_HOSTNAME, options->host) != GSASL_OK)
		return ERR_NOMEM;
	return 0;
}

int imap_sasl_create(
	struct imap_sasl **out, uint32_t capabilities, const struct imap_sasl_options *options)
{
	struct imap_sasl *s = calloc(1, sizeof(*s));

	if (!s || gsasl_init(&s->context) != GSASL_OK) {
		free(s);
		return ERR_NOMEM;
	}
	int err = start(s, capabilities, options);
	if (err < 0) {
		imap_sasl_destroy(s);
		return err;
	}
	*out = s;
	return 0;
}

void imap_sasl_destroy(struct imap_sasl *s)
{
	if (!s)
		return;
	if (s->session)
		gsasl_finish(s->session);
	gsasl_done(s->context);
	free(s);
}

const char *imap_sasl_mechanism(const struct imap_sasl *s)
{
	return s->mechanism;
}

/* The server's first message of SCRAM ends with ",i=4096" (RFC 5802 section 7). What is no base64
 * is left to GNU SASL to refuse. */
static bool asks_too_much(const char *challenge)
{
	char *text = NULL;
	size_t n = 0;
	uint64_t rounds;
	bool excessive = false;

	if (gsasl_base64_from(challenge, strlen(challenge), &text, &n) != GSASL_OK)
		return false;
	const char *start = memmem(text, n, ",i=", 3);
	if (start) {
		struct span digits = {start + 3, (size_t)(text + n - start) - 3};
		const char *comma = digits.n ? memchr(digits.p, ',', digits.n) : NULL;
		if (comma)
			digits.n = (size_t)(comma - digits.p);
		excessive = !text_parse_number(digits, ROUNDS_MAX, &rounds);
	}
	gsasl_free(text);
	return excessive;
}

int imap_sasl_step(struct imap_sasl *s, struct span challenge, struct buf *reply)
{
	char *text = strndup(challenge.n ? challenge.p : "", challenge.n);
	char *answer = NULL;

	if (!text)
		return ERR_NOMEM;
	int rc = asks_too_much(text) ? GSASL_AUTHENTICATION_ERROR
				     : gsasl_step64(s->session, text, &answer);
	free(text);
	s->complete = rc == GSASL_OK;
	int err = rc == GSASL_OK || rc == GSASL_NEEDS_MORE ? 0 : ERR_AUTH;
	if (rc == GSASL_MALLOC_ERROR)
		err = ERR_NOMEM;
	if (err == 0 && answer)
		err = buf_append_span(reply, span_of(answer));
	if (answer) {
		explicit_bzero(answer, strlen(answer));
		gsasl_free(answer);
	}
	return err;
}

bool imap_sasl_complete(const struct imap_sasl *s)
{
	return s->complete;
}
