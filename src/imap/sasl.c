/* SPDX-License-Identifier: MIT */
#include "imap/sasl.h"

#include <gsasl.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "imap/oauth.h"
#include "imap/response.h"

/* SCRAM's server says how often to hash, and the loop stands still meanwhile: up to about half a
 * second. Real servers ask for 4,096 to 100,000 rounds. */
#define ROUNDS_MAX 600000
#define BEARER_MAX (64u << 10)

/* --- mechanisms --- */

static const struct mechanism {
	const char *name;
	unsigned uses;
	bool authzid;      /* can carry one */
	bool server_first; /* the client's first message answers one of the server's */
} mechanisms[IMAP_MECHANISMS] = {
	[IMAP_AUTH_OAUTHBEARER] = {"OAUTHBEARER", IMAP_USES_TOKEN, true, false},
	[IMAP_AUTH_XOAUTH2] = {"XOAUTH2", IMAP_USES_TOKEN, true, false},
	[IMAP_AUTH_EXTERNAL] = {"EXTERNAL", IMAP_USES_CERTIFICATE, true, false},
	[IMAP_AUTH_SCRAM_SHA_256_PLUS] = {"SCRAM-SHA-256-PLUS",
		IMAP_USES_PASSWORD | IMAP_USES_BINDING, true, false},
	[IMAP_AUTH_SCRAM_SHA_1_PLUS] = {"SCRAM-SHA-1-PLUS", IMAP_USES_PASSWORD | IMAP_USES_BINDING,
		true, false},
	[IMAP_AUTH_SCRAM_SHA_256] = {"SCRAM-SHA-256", IMAP_USES_PASSWORD, true, false},
	[IMAP_AUTH_SCRAM_SHA_1] = {"SCRAM-SHA-1", IMAP_USES_PASSWORD, true, false},
	[IMAP_AUTH_PLAIN] = {"PLAIN", IMAP_USES_PASSWORD, true, false},
	[IMAP_AUTH_LOGIN] = {"LOGIN", IMAP_USES_PASSWORD, false, true},
};

enum imap_mechanism imap_mechanism_find(struct span name)
{
	for (int m = IMAP_AUTH_ANY + 1; m < IMAP_MECHANISMS; m++)
		if (span_equal_nocase(name, span_of(mechanisms[m].name)))
			return (enum imap_mechanism)m;
	return IMAP_AUTH_ANY;
}

const char *imap_mechanism_name(enum imap_mechanism m)
{
	return mechanisms[m].name;
}

unsigned imap_mechanism_uses(enum imap_mechanism m)
{
	return mechanisms[m].uses;
}

bool imap_mechanism_carries_authzid(enum imap_mechanism m)
{
	return mechanisms[m].authzid;
}

uint32_t imap_mechanisms_parse(struct span words)
{
	const struct span prefix = SPAN("AUTH=");
	struct span word;
	uint32_t set = 0;

	while (imap_word_next(&words, &word)) {
		if (word.n <= prefix.n ||
			!span_equal_nocase((struct span){word.p, prefix.n}, prefix))
			continue;
		struct span name = {word.p + prefix.n, word.n - prefix.n};
		enum imap_mechanism m = imap_mechanism_find(name);
		set |= m == IMAP_AUTH_ANY ? 0 : UINT32_C(1) << m;
	}
	return set;
}

enum imap_mechanism imap_mechanism_choose(
	uint32_t offered, const struct imap_login_as *as, const struct binding *binding)
{
	unsigned have = (as->password ? IMAP_USES_PASSWORD : 0) |
			(as->token ? IMAP_USES_TOKEN : 0) |
			(as->certificate ? IMAP_USES_CERTIFICATE : 0) |
			(binding->kind != BINDING_NONE ? IMAP_USES_BINDING : 0);

	for (int m = IMAP_AUTH_ANY + 1; m < IMAP_MECHANISMS; m++) {
		bool wanted = as->only == IMAP_AUTH_ANY || as->only == (enum imap_mechanism)m;
		bool possible = (mechanisms[m].uses & ~have) == 0 &&
				(!as->authzid || mechanisms[m].authzid);
		if (wanted && possible && (offered & UINT32_C(1) << m))
			return (enum imap_mechanism)m;
	}
	return IMAP_AUTH_ANY;
}

/* --- an exchange --- */

struct imap_sasl {
	Gsasl *context;
	Gsasl_session *session;
	enum imap_mechanism mechanism;
	bool complete;
	struct buf bearer; /* what OAuth has to say; context and session are NULL then */
	bool answered;     /* bad news about the token, once */
	char reason[256];
};

static int set_property(struct imap_sasl *s, Gsasl_property property, const char *value)
{
	bool set = !value || gsasl_property_set(s->session, property, value) == GSASL_OK;

	return set ? 0 : ERR_NOMEM;
}

/* Only where it is used: without -PLUS, GNU SASL 2.2 would refuse to go on. So the server is never
 * told that we could have bound the login, had it offered to (the "y" of RFC 5802 section 6); who
 * wants to be sure asks for the mechanism by name. */
static int set_binding(struct imap_sasl *s, const struct binding *binding)
{
	Gsasl_property property = binding->kind == BINDING_TLS_EXPORTER ? GSASL_CB_TLS_EXPORTER
									: GSASL_CB_TLS_UNIQUE;
	char *text;

	if (!(mechanisms[s->mechanism].uses & IMAP_USES_BINDING))
		return 0;
	if (gsasl_base64_to(binding->octets, binding->n, &text, NULL) != GSASL_OK)
		return ERR_NOMEM;
	int err = set_property(s, property, text);
	gsasl_free(text);
	return err;
}

static int start_mechanism(struct imap_sasl *s, const struct imap_sasl_options *o)
{
	const char *name = mechanisms[s->mechanism].name;

	if (gsasl_init(&s->context) != GSASL_OK)
		return ERR_NOMEM;
	if (!gsasl_client_support_p(s->context, name))
		return ERR_AUTH;
	if (gsasl_client_start(s->context, name, &s->session) != GSASL_OK)
		return ERR_NOMEM;
	int err = set_property(s, GSASL_AUTHID, o->as->user);
	if (err == 0)
		err = set_property(s, GSASL_AUTHZID, o->as->authzid);
	if (err == 0)
		err = set_property(s, GSASL_PASSWORD, o->as->password);
	if (err == 0)
		err = set_property(s, GSASL_SERVICE, "imap");
	if (err == 0)
		err = set_property(s, GSASL_HOSTNAME, o->host);
	return err == 0 ? set_binding(s, o->binding) : err;
}

/* The token says who logs in; the user is whose mail it is about. */
static int start_oauth(struct imap_sasl *s, const struct imap_sasl_options *o)
{
	const char *user = o->as->authzid ? o->as->authzid : o->as->user;

	if (s->mechanism == IMAP_AUTH_XOAUTH2)
		return imap_oauth_x(&s->bearer, user, o->token);
	return imap_oauth_bearer(&s->bearer, user, o->token, o->host, o->port);
}

int imap_sasl_create(struct imap_sasl **out, const struct imap_sasl_options *options)
{
	struct imap_sasl *s = calloc(1, sizeof(*s));

	if (!s)
		return ERR_NOMEM;
	s->mechanism = options->mechanism;
	buf_init_secret(&s->bearer, BEARER_MAX);
	bool oauth = mechanisms[s->mechanism].uses & IMAP_USES_TOKEN;
	int err = oauth ? start_oauth(s, options) : start_mechanism(s, options);
	if (err < 0) {
		imap_sasl_destroy(s);
		return err;
	}
	*out = s;
	return 0;
}

/* GNU SASL frees its copies as they are. */
static void wipe(struct imap_sasl *s, Gsasl_property property)
{
	const char *value = gsasl_property_fast(s->session, property);

	if (value)
		explicit_bzero((void *)(uintptr_t)value, strlen(value));
}

void imap_sasl_destroy(struct imap_sasl *s)
{
	if (!s)
		return;
	if (s->session) {
		wipe(s, GSASL_PASSWORD);
		wipe(s, GSASL_SCRAM_SALTED_PASSWORD);
		gsasl_finish(s->session);
	}
	if (s->context)
		gsasl_done(s->context);
	buf_finish(&s->bearer);
	free(s);
}

enum imap_mechanism imap_sasl_mechanism(const struct imap_sasl *s)
{
	return s->mechanism;
}

bool imap_sasl_speaks_first(const struct imap_sasl *s)
{
	return !mechanisms[s->mechanism].server_first;
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

/* SCRAM hashes the password as RFC 4013 prepares it (RFC 5802 section 2.2), and not all can be. GNU SASL
 * 2.2.0 refuses those too, but forgets to free the salt. */
static bool has_unfit_password(struct imap_sasl *s)
{
	const char *password = gsasl_property_fast(s->session, GSASL_PASSWORD);
	char *prepared = NULL;

	if (!password || s->mechanism == IMAP_AUTH_PLAIN || s->mechanism == IMAP_AUTH_LOGIN)
		return false;
	int rc = gsasl_saslprep(password, 0, &prepared, NULL);
	if (prepared) {
		explicit_bzero(prepared, strlen(prepared));
		gsasl_free(prepared);
	}
	if (rc == GSASL_OK || rc == GSASL_MALLOC_ERROR)
		return false;
	snprintf(s->reason, sizeof(s->reason),
		"the password has a character that SCRAM does not allow (RFC 4013)");
	return true;
}

static int append_base64(struct buf *reply, struct span octets)
{
	char *text;

	if (gsasl_base64_to(octets.p, octets.n, &text, NULL) != GSASL_OK)
		return ERR_NOMEM;
	int err = buf_append_span(reply, span_of(text));
	explicit_bzero(text, strlen(text));
	gsasl_free(text);
	return err;
}

/* The token, and then an answer to what the server has against it: only after that comes its NO
 * (RFC 7628 section 3.2.3: 01 in base64; XOAUTH2: an empty line). */
static int step_oauth(struct imap_sasl *s, struct span challenge, struct buf *reply)
{
	if (!s->complete) {
		s->complete = true;
		return append_base64(reply, buf_span(&s->bearer));
	}
	if (s->answered)
		return ERR_AUTH;
	s->answered = true;
	int err = imap_oauth_explain(challenge, s->reason, sizeof(s->reason));
	if (err == 0 && s->mechanism == IMAP_AUTH_OAUTHBEARER)
		err = buf_append_span(reply, SPAN("AQ=="));
	return err;
}

int imap_sasl_step(struct imap_sasl *s, struct span challenge, struct buf *reply)
{
	if (!s->session)
		return step_oauth(s, challenge, reply);
	char *text = strndup(challenge.n ? challenge.p : "", challenge.n);
	char *answer = NULL;
	if (!text)
		return ERR_NOMEM;
	bool refuses = asks_too_much(text) || (*text && has_unfit_password(s));
	int rc = refuses ? GSASL_AUTHENTICATION_ERROR : gsasl_step64(s->session, text, &answer);
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

const char *imap_sasl_reason(const struct imap_sasl *s)
{
	return s->reason;
}

bool imap_sasl_complete(const struct imap_sasl *s)
{
	return s->complete;
}
