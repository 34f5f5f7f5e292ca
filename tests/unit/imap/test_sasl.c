/* SPDX-License-Identifier: MIT */
/*
 * Each mechanism that GNU SASL has against GNU SASL's own server, and which one is chosen. The
 * channel binding of either side is given: what an attacker between the two has, differs.
 */
#include "imap/sasl.h"

#include <gsasl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "imap/oauth.h"

#define SET(m) (UINT32_C(1) << IMAP_AUTH_##m)
#define ALL_PASSWORD                                                                               \
	(SET(SCRAM_SHA_256_PLUS) | SET(SCRAM_SHA_1_PLUS) | SET(SCRAM_SHA_256) | SET(SCRAM_SHA_1) | \
		SET(PLAIN) | SET(LOGIN))

static const struct binding none = {.kind = BINDING_NONE};
static const struct binding unique = {BINDING_TLS_UNIQUE, 12, "twelveoctets"};
static const struct binding other_unique = {BINDING_TLS_UNIQUE, 12, "twelveOCTETS"};
static const struct binding exporter = {
	BINDING_TLS_EXPORTER, 32, "\0\1\2\3456789abcdef0123456789abcde"};

static const struct imap_login_as joe = {.user = "joe", .password = "s3cret"};

/* --- the server --- */

struct server {
	const struct binding *binding;
	char authzid[64];
};

static int give_binding(Gsasl_session *session, Gsasl_property property, enum binding_kind kind)
{
	const struct server *server = gsasl_session_hook_get(session);
	char *text;

	if (server->binding->kind != kind)
		return GSASL_NO_CALLBACK;
	assert_int_equal(
		gsasl_base64_to(server->binding->octets, server->binding->n, &text, NULL), 0);
	gsasl_property_set(session, property, text);
	gsasl_free(text);
	return GSASL_OK;
}

static int on_property(Gsasl *context, Gsasl_session *session, Gsasl_property property)
{
	const char *password;

	switch ((int)property) {
	case GSASL_PASSWORD:
		gsasl_property_set(session, GSASL_PASSWORD, "s3cret");
		return GSASL_OK;
	case GSASL_VALIDATE_SIMPLE:
		password = gsasl_property_fast(session, GSASL_PASSWORD);
		return strcmp(gsasl_property_fast(session, GSASL_AUTHID), "joe") == 0 &&
				       strcmp(password, "s3cret") == 0
			       ? GSASL_OK
			       : GSASL_AUTHENTICATION_ERROR;
	case GSASL_VALIDATE_EXTERNAL:
		return GSASL_OK;
	case GSASL_CB_TLS_UNIQUE:
		return give_binding(session, property, BINDING_TLS_UNIQUE);
	case GSASL_CB_TLS_EXPORTER:
		return give_binding(session, property, BINDING_TLS_EXPORTER);
	default:
		return GSASL_NO_CALLBACK;
	}
}

/* Lets both talk; true when both are content. The server begins with an empty challenge. */
static bool talk(struct imap_sasl *client, Gsasl_session *server)
{
	char *challenge = NULL;
	struct buf reply;
	int err = 0, rc;

	buf_init(&reply, 4096);
	if (!imap_sasl_speaks_first(client))
		assert_int_equal(gsasl_step64(server, "", &challenge), GSASL_NEEDS_MORE);
	do {
		buf_clear(&reply);
		err = imap_sasl_step(client, span_of(challenge ? challenge : ""), &reply);
		gsasl_free(challenge);
		challenge = NULL;
		rc = err < 0 ? GSASL_AUTHENTICATION_ERROR
			     : gsasl_step64(server, buf_cstr(&reply), &challenge);
	} while (rc == GSASL_NEEDS_MORE);
	/* What the server says last, SCRAM's proof. */
	if (rc == GSASL_OK && challenge && *challenge)
		err = imap_sasl_step(client, span_of(challenge), &reply);
	gsasl_free(challenge);
	buf_finish(&reply);
	return rc == GSASL_OK && err == 0 && imap_sasl_complete(client);
}

static bool log_in(enum imap_mechanism m, const struct imap_login_as *as,
	const struct binding *ours, struct server *server)
{
	struct imap_sasl *client;
	Gsasl *context;
	Gsasl_session *session;

	struct imap_sasl_options options = {
		.mechanism = m, .as = as, .binding = ours, .host = "localhost", .port = 993};
	assert_int_equal(imap_sasl_create(&client, &options), 0);
	assert_int_equal(imap_sasl_mechanism(client), m);
	assert_int_equal(gsasl_init(&context), GSASL_OK);
	gsasl_callback_set(context, on_property);
	assert_int_equal(gsasl_server_start(context, imap_mechanism_name(m), &session), GSASL_OK);
	gsasl_session_hook_set(session, server);
	bool content = talk(client, session);
	const char *authzid = gsasl_property_fast(session, GSASL_AUTHZID);
	snprintf(server->authzid, sizeof(server->authzid), "%s", authzid ? authzid : "");
	gsasl_finish(session);
	gsasl_done(context);
	imap_sasl_destroy(client);
	return content;
}

/* --- tests --- */

static void each_mechanism(void **state)
{
	const struct binding *const bindings[] = {&unique, &exporter};

	for (int i = IMAP_AUTH_ANY + 1; i < IMAP_MECHANISMS; i++) {
		enum imap_mechanism m = (enum imap_mechanism)i;
		if (imap_mechanism_uses(m) & IMAP_USES_TOKEN)
			continue;
		bool proves = imap_mechanism_uses(m) & IMAP_USES_PASSWORD;
		for (int b = 0; b < 2; b++) {
			struct server server = {.binding = bindings[b]};
			struct imap_login_as wrong = {.user = "joe", .password = "secret"};
			assert_true(log_in(m, &joe, bindings[b], &server));
			assert_int_equal(log_in(m, &wrong, bindings[b], &server), !proves);
		}
	}
}

static void as_another(void **state)
{
	struct imap_login_as as = {.user = "joe", .authzid = "jane=,", .password = "s3cret"};

	for (int i = IMAP_AUTH_ANY + 1; i < IMAP_MECHANISMS; i++) {
		enum imap_mechanism m = (enum imap_mechanism)i;
		struct server server = {.binding = &exporter};
		if (!imap_mechanism_carries_authzid(m) ||
			(imap_mechanism_uses(m) & IMAP_USES_TOKEN))
			continue;
		assert_true(log_in(m, &as, &exporter, &server));
		assert_string_equal(server.authzid, "jane=,");
	}
}

/* Who sits between two TLS connections has other octets on each. */
static void somebody_in_between(void **state)
{
	struct server server = {.binding = &other_unique};

	assert_false(log_in(IMAP_AUTH_SCRAM_SHA_256_PLUS, &joe, &unique, &server));
	assert_false(log_in(IMAP_AUTH_SCRAM_SHA_1_PLUS, &joe, &unique, &server));
	assert_false(log_in(IMAP_AUTH_SCRAM_SHA_256_PLUS, &joe, &exporter, &server));
	/* Without the binding nobody notices. */
	assert_true(log_in(IMAP_AUTH_SCRAM_SHA_256, &joe, &unique, &server));
}

static enum imap_mechanism choose(
	uint32_t offered, struct imap_login_as as, const struct binding *b)
{
	as.user = "joe";
	return imap_mechanism_choose(offered, &as, b);
}

static void the_strongest(void **state)
{
	const struct imap_login_as password = {.password = "x"};
	const struct imap_login_as both = {.password = "x", .certificate = true};
	const struct imap_login_as certificate = {.certificate = true};
	uint32_t all = ALL_PASSWORD | SET(EXTERNAL);

	assert_int_equal(choose(all, password, &unique), IMAP_AUTH_SCRAM_SHA_256_PLUS);
	assert_int_equal(choose(all, password, &none), IMAP_AUTH_SCRAM_SHA_256);
	assert_int_equal(choose(all, both, &unique), IMAP_AUTH_EXTERNAL);
	assert_int_equal(choose(all, certificate, &unique), IMAP_AUTH_EXTERNAL);
	assert_int_equal(choose(ALL_PASSWORD, certificate, &unique), IMAP_AUTH_ANY);
	assert_int_equal(choose(ALL_PASSWORD, both, &none), IMAP_AUTH_SCRAM_SHA_256);
	assert_int_equal(choose(SET(SCRAM_SHA_1_PLUS) | SET(SCRAM_SHA_256), password, &exporter),
		IMAP_AUTH_SCRAM_SHA_1_PLUS);
	assert_int_equal(
		choose(SET(SCRAM_SHA_1) | SET(PLAIN), password, &none), IMAP_AUTH_SCRAM_SHA_1);
	assert_int_equal(choose(SET(LOGIN) | SET(PLAIN), password, &none), IMAP_AUTH_PLAIN);
	assert_int_equal(choose(SET(LOGIN), password, &none), IMAP_AUTH_LOGIN);
	assert_int_equal(choose(0, password, &none), IMAP_AUTH_ANY);
}

static void the_one_asked_for(void **state)
{
	struct imap_login_as as = {.password = "x", .only = IMAP_AUTH_PLAIN};

	assert_int_equal(choose(ALL_PASSWORD, as, &unique), IMAP_AUTH_PLAIN);
	assert_int_equal(choose(SET(SCRAM_SHA_256) | SET(LOGIN), as, &unique), IMAP_AUTH_ANY);
	as.only = IMAP_AUTH_SCRAM_SHA_256_PLUS;
	assert_int_equal(choose(ALL_PASSWORD, as, &none), IMAP_AUTH_ANY);
}

static void with_authzid(void **state)
{
	const struct imap_login_as as = {.password = "x", .authzid = "jane"};

	assert_int_equal(choose(SET(LOGIN) | SET(PLAIN), as, &none), IMAP_AUTH_PLAIN);
	assert_int_equal(choose(SET(LOGIN), as, &none), IMAP_AUTH_ANY);
}

static void with_a_token(void **state)
{
	const struct imap_login_as as = {.token = true};
	const struct imap_login_as both = {.token = true, .certificate = true};

	assert_int_equal(choose(SET(OAUTHBEARER) | SET(XOAUTH2) | ALL_PASSWORD, as, &unique),
		IMAP_AUTH_OAUTHBEARER);
	assert_int_equal(choose(SET(XOAUTH2) | SET(EXTERNAL), both, &unique), IMAP_AUTH_XOAUTH2);
	assert_int_equal(choose(ALL_PASSWORD, as, &unique), IMAP_AUTH_ANY);
}

static void expect_words(const char *json, const char *words)
{
	char *challenge, text[64];

	assert_int_equal(gsasl_base64_to(json, strlen(json), &challenge, NULL), GSASL_OK);
	assert_int_equal(imap_oauth_explain(span_of(challenge), text, sizeof(text)), 0);
	assert_string_equal(text, words);
	gsasl_free(challenge);
}

static void what_a_server_has_against_a_token(void **state)
{
	expect_words("{\"status\":\"invalid_token\"}", "status invalid_token");
	expect_words(
		" { \"status\" : 401 , \"x\":null,\"scope\":\"a b\" } ", "status 401, scope a b");
	expect_words("{\"error\":\"say \\\"no\\\" to \\/\"}", "error say \"no\" to /");
	expect_words("{\"status\":\"\\", "{\"status\":\"\\");
	expect_words("{}", "{}");
	expect_words("{\"status\":{\"deep\":1}}", "{\"status\":{\"deep\":1}}");
	expect_words("", "");
	expect_words("{\"status\":\"0123456789012345678901234567890123456789012345678901234567\"}",
		"status 01234567890123456789012345678901234567890123456789012...");
}

static void names(void **state)
{
	assert_int_equal(
		imap_mechanism_find(SPAN("scram-sha-256-plus")), IMAP_AUTH_SCRAM_SHA_256_PLUS);
	assert_int_equal(imap_mechanism_find(SPAN("PLAINTEXT")), IMAP_AUTH_ANY);
	assert_int_equal(imap_mechanism_find(SPAN("")), IMAP_AUTH_ANY);
	assert_int_equal(imap_mechanisms_parse((struct span){0}), 0);
	assert_int_equal(
		imap_mechanisms_parse(SPAN("AUTH= PLAIN AUTH=PLAINTEXT xAUTH=PLAIN AUTH")), 0);
	assert_int_equal(imap_mechanisms_parse(SPAN("IMAP4rev1 auth=plain AUTH=SCRAM-SHA-1 IDLE")),
		SET(PLAIN) | SET(SCRAM_SHA_1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_mechanism),
		cmocka_unit_test(as_another),
		cmocka_unit_test(somebody_in_between),
		cmocka_unit_test(the_strongest),
		cmocka_unit_test(the_one_asked_for),
		cmocka_unit_test(with_authzid),
		cmocka_unit_test(with_a_token),
		cmocka_unit_test(what_a_server_has_against_a_token),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
