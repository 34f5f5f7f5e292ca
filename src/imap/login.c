/* SPDX-License-Identifier: MIT */
/*
 * Greeting -> [CAPABILITY -> STARTTLS -> TLS] -> [CAPABILITY] -> AUTHENTICATE or LOGIN ->
 * [CAPABILITY] -> ID and ENABLE in one turn -> READY, and COMPRESS when its owner wants. What was
 * learnt before TLS is forgotten (RFC 3501 section 6.2.1), what was said before login is asked
 * again after it unless the OK brought it along (iCloud corrupts the stream otherwise).
 */
#include "imap/login.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "imap/oauth.h"
#include "imap/session_private.h"

#define TOKEN_MAX (32u << 10)
/* A token in base64, and some challenges' answers. */
#define WIRE_MAX (128u << 10)

static void next_step(struct imap_session *s);
static void log_in(struct imap_session *s);

void imap_login_init(struct imap_session *s)
{
	imap_command_init(&s->login.command, false, NULL);
	imap_command_init(&s->login.id, false, NULL);
	imap_command_init(&s->login.enable, false, NULL);
	buf_init_secret(&s->login.token, TOKEN_MAX);
	buf_init_secret(&s->login.wire, WIRE_MAX);
}

static void forget_secrets(struct imap_session *s)
{
	imap_sasl_destroy(s->login.sasl);
	s->login.sasl = NULL;
	buf_finish(&s->login.token);
	buf_finish(&s->login.wire);
	imap_command_finish(&s->login.command);
}

void imap_login_finish(struct imap_session *s)
{
	forget_secrets(s);
	imap_command_finish(&s->login.id);
	imap_command_finish(&s->login.enable);
}

static void begin_command(
	struct imap_session *s, struct imap_command *c, imap_command_done *on_done)
{
	imap_command_begin(c, s->capabilities & IMAP_CAP_LITERAL_PLUS, on_done);
}

static struct imap_session *owner(struct imap_command *c)
{
	return list_entry(c, struct imap_session, login.command);
}

/* Whether it is over: the session ended, or the command could not be built. */
static bool has_ended(struct imap_session *s, const struct imap_result *result)
{
	if (!imap_session_over(s) && result->outcome == IMAP_LOST)
		imap_session_fail(s, result->err, error_text(result->err));
	return imap_session_over(s);
}

static struct span server_text(const struct imap_result *result)
{
	return result->response->text;
}

void imap_login_on_capability(struct imap_session *s, struct span words)
{
	s->capabilities = imap_capability_parse(words);
	s->mechanisms = imap_mechanisms_parse(words);
	s->has_capabilities = true;
	/* For people only: a list too long for the buffer is left out. */
	buf_clear(&s->capability_words);
	if (buf_append_span(&s->capability_words, words) == 0)
		buf_cstr(&s->capability_words);
}

static void forget_capabilities(struct imap_session *s)
{
	s->capabilities = 0;
	s->mechanisms = 0;
	s->has_capabilities = false;
	s->login.asked = false;
}

/* --- CAPABILITY --- */

static void login_on_capabilities(struct imap_command *c, const struct imap_result *result)
{
	struct imap_session *s = owner(c);

	if (has_ended(s, result))
		return;
	if (result->err < 0 || !s->has_capabilities)
		imap_session_fail_with(
			s, ERR_PROTOCOL, "no answer to CAPABILITY", server_text(result));
	else
		next_step(s);
}

static void ask_capabilities(struct imap_session *s)
{
	s->login.asked = true;
	begin_command(s, &s->login.command, login_on_capabilities);
	imap_command_add(&s->login.command, "CAPABILITY\r\n");
	imap_session_submit(s, &s->login.command, s->now);
}

/* --- STARTTLS --- */

static void login_on_starttls(struct imap_command *c, const struct imap_result *result)
{
	struct imap_session *s = owner(c);

	if (has_ended(s, result))
		return;
	if (result->err < 0) {
		imap_session_fail_with(
			s, ERR_TLS, "the server refused STARTTLS", server_text(result));
		return;
	}
	size_t buffered = s->rest.n;
	s->rest.n = 0;
	forget_capabilities(s);
	s->enabled = 0;
	imap_seqmap_clear(s->seqmap);
	imap_session_set_state(s, IMAP_TLS);
	s->events.on_starttls(s->ctx, buffered);
}

static void start_tls(struct imap_session *s)
{
	if (!(s->capabilities & IMAP_CAP_STARTTLS)) {
		imap_session_fail(s, ERR_TLS,
			"the server does not offer STARTTLS, and login in the clear is not "
			"allowed; use imaps:// or, knowing the risk, -o tls=none");
		return;
	}
	imap_session_set_state(s, IMAP_STARTTLS);
	begin_command(s, &s->login.command, login_on_starttls);
	imap_command_add(&s->login.command, "STARTTLS\r\n");
	imap_session_submit(s, &s->login.command, s->now);
}

void imap_login_on_tls(struct imap_session *s)
{
	/* With implicit TLS the greeting is still to come. */
	if (s->state != IMAP_TLS)
		return;
	s->options.starttls = false;
	imap_session_set_state(s, IMAP_CAPABILITIES);
	next_step(s);
}

/* --- AUTHENTICATE and LOGIN --- */

static void ask_token(struct imap_session *s, bool refused)
{
	forget_secrets(s);
	s->login.waiting = true;
	s->events.on_token(s->ctx, refused);
}

/* A token that was good may have expired since: that is worth one more. */
static bool refuses_first_token(struct imap_session *s)
{
	if (!s->login.token.len || s->login.token_refused)
		return false;
	s->login.token_refused = true;
	return true;
}

/* Cyrus 3.6 offers -PLUS over TLS 1.3 but knows no binding to it but that of TLS 1.2. */
static bool refuses_binding(struct imap_session *s)
{
	if (s->binding.kind != BINDING_TLS_EXPORTER || s->options.login.only != IMAP_AUTH_ANY ||
		!(imap_mechanism_uses(s->login.mechanism) & IMAP_USES_BINDING))
		return false;
	s->binding.kind = BINDING_NONE;
	s->login.binding_refused = true;
	return true;
}

/* Some servers offer SCRAM and have no hashes for it of this user's password. Whoever is shown the
 * password has to be the server, which TLS proves. NULL: nothing else to try. */
static const char *other_mechanism(const struct imap_session *s)
{
	bool scram = strncmp(imap_mechanism_name(s->login.mechanism), "SCRAM-", 6) == 0;

	if (!scram || !s->options.tls || s->login.cancelled ||
		s->options.login.only != IMAP_AUTH_ANY)
		return NULL;
	if (s->mechanisms & UINT32_C(1) << IMAP_AUTH_PLAIN)
		return "PLAIN";
	bool login = s->mechanisms & UINT32_C(1) << IMAP_AUTH_LOGIN;
	return login && !s->options.login.authzid ? "LOGIN" : NULL;
}

static void describe_way(const struct imap_session *s, char *out, size_t size)
{
	const char *other = other_mechanism(s);

	*out = '\0';
	if (other)
		snprintf(out, size, " by %s (if the password is right, try -o auth=%s)",
			imap_mechanism_name(s->login.mechanism), other);
}

static void login_on_refused(struct imap_session *s, const struct imap_result *result)
{
	const char *reason = s->login.sasl ? imap_sasl_reason(s->login.sasl) : "";
	bool failed = result->response->code == IMAP_CODE_AUTHENTICATIONFAILED;
	int err = result->err == ERR_THROTTLED ? ERR_THROTTLED : ERR_AUTH;
	bool token = imap_mechanism_uses(s->login.mechanism) & IMAP_USES_TOKEN;
	const char *of = token ? ": of the token it says: " : ": ";
	char text[448], way[96] = "";

	if (err == ERR_AUTH && refuses_first_token(s)) {
		ask_token(s, true);
		return;
	}
	if (err == ERR_AUTH && !failed && refuses_binding(s)) {
		forget_secrets(s);
		log_in(s);
		return;
	}
	if (err == ERR_AUTH && s->login.sasl)
		describe_way(s, way, sizeof(way));
	snprintf(text, sizeof(text), "login refused%s%s%s%s", way, *reason ? of : "", reason,
		failed ? ": [AUTHENTICATIONFAILED]" : "");
	imap_session_fail_with(s, err, text, server_text(result));
}

static void login_on_done(struct imap_command *c, const struct imap_result *result)
{
	struct imap_session *s = owner(c);
	bool proved = !s->login.sasl || imap_sasl_complete(s->login.sasl);

	if (has_ended(s, result))
		return;
	if (result->err < 0) {
		login_on_refused(s, result);
		return;
	}
	if (!proved) {
		imap_session_fail(
			s, ERR_AUTH, "the server did not prove that it knows the password");
		return;
	}
	forget_secrets(s);
	/* Capabilities that came with this OK were read before it completed the command. */
	if (result->response->code != IMAP_CODE_CAPABILITY)
		forget_capabilities(s);
	else
		imap_login_on_capability(s, result->response->code_args);
	imap_session_set_state(s, IMAP_INTRODUCTION);
	next_step(s);
}

/* Remembers what the command has of secrets, from an offset on: a server may repeat it. */
static int note_wire(struct imap_session *s, size_t from)
{
	const struct buf *text = &s->login.command.text;

	if (text->len <= from)
		return 0;
	return buf_append(&s->login.wire, text->data + from, text->len - from);
}

static void send_login(struct imap_session *s)
{
	struct imap_command *c = &s->login.command;

	begin_command(s, c, login_on_done);
	c->text.secret = true;
	snprintf(s->login.shown, sizeof(s->login.shown), "LOGIN ...");
	imap_command_add(c, "LOGIN ");
	imap_command_add_string(c, span_of(s->options.login.user));
	imap_command_add(c, " ");
	size_t before = c->text.len;
	imap_command_add_string(c, span_of(s->options.login.password));
	int err = note_wire(s, before);
	imap_command_add(c, "\r\n");
	if (err < 0)
		imap_session_fail(s, err, error_text(err));
	else
		imap_session_submit(s, c, s->now);
}

/* What the client says first; an empty one is "=" (RFC 4959 section 3). */
static int add_initial_response(struct imap_session *s)
{
	struct imap_command *c = &s->login.command;

	imap_command_add(c, " ");
	size_t before = c->text.len;
	int err = imap_sasl_step(s->login.sasl, (struct span){0}, &c->text);
	if (err == 0)
		err = note_wire(s, before);
	if (err == 0 && c->text.len == before)
		imap_command_add(c, "=");
	return err;
}

static void send_authenticate(struct imap_session *s)
{
	struct imap_command *c = &s->login.command;
	const char *name = imap_mechanism_name(imap_sasl_mechanism(s->login.sasl));

	snprintf(s->login.shown, sizeof(s->login.shown), "AUTHENTICATE %s ...", name);
	imap_command_add(c, "AUTHENTICATE %s", name);
	if ((s->capabilities & IMAP_CAP_SASL_IR) && imap_sasl_speaks_first(s->login.sasl)) {
		int err = add_initial_response(s);
		if (err < 0) {
			imap_session_fail(s, err, "SASL failed");
			return;
		}
	}
	imap_command_add(c, "\r\n");
	imap_session_submit(s, c, s->now);
}

/* The command LOGIN is what a server without AUTH= has. */
static bool may_send_login(const struct imap_session *s)
{
	const struct imap_login_as *as = &s->options.login;
	bool wanted = as->only == IMAP_AUTH_ANY || as->only == IMAP_AUTH_LOGIN;

	return wanted && as->password && !as->authzid &&
	       !(s->capabilities & IMAP_CAP_LOGINDISABLED);
}

/* The names behind AUTH=, for people: as many as there is room for. */
static void list_offered(const struct imap_session *s, char *out, size_t size)
{
	struct span words = buf_span(&s->capability_words), word;
	char names[200];
	size_t n = 0;

	while (imap_word_next(&words, &word) && n + word.n + 1 < sizeof(names))
		if (word.n > 5 && span_equal_nocase((struct span){word.p, 5}, SPAN("AUTH=")))
			n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%.*s", n ? " " : "",
				(int)word.n - 5, word.p + 5);
	text_printable((struct span){names, n}, out, size);
}

static const char *why_none(const struct imap_session *s)
{
	const struct imap_login_as *as = &s->options.login;

	if (as->only != IMAP_AUTH_ANY && (s->mechanisms & UINT32_C(1) << as->only))
		return "this TLS connection is not one that the mechanism of auth= can bind to";
	if (as->only != IMAP_AUTH_ANY)
		return "the server does not offer the mechanism of auth=";
	if (as->token)
		return "a token is good for OAUTHBEARER and XOAUTH2 only";
	if (!as->password)
		return "a certificate alone is good for EXTERNAL only; give a password, too";
	if (as->authzid)
		return "the server offers no mechanism that carries an authzid=";
	return "the server offers no way to log in that is known here";
}

static void fail_no_mechanism(struct imap_session *s)
{
	char text[512], offered[200];

	list_offered(s, offered, sizeof(offered));
	snprintf(text, sizeof(text), "login refused: %s%s%s%s", why_none(s),
		*offered ? " (offered: " : "", offered, *offered ? ")" : "");
	imap_session_fail(s, ERR_AUTH, text);
}

static void authenticate(struct imap_session *s)
{
	struct imap_sasl_options options = {
		.mechanism = s->login.mechanism,
		.as = &s->options.login,
		.binding = &s->binding,
		.token = s->login.token.len ? buf_cstr(&s->login.token) : NULL,
		.host = s->options.host,
		.port = s->options.port,
	};

	begin_command(s, &s->login.command, login_on_done);
	s->login.command.text.secret = true;
	int err = imap_sasl_create(&s->login.sasl, &options);
	if (err == 0)
		send_authenticate(s);
	else if (err == ERR_AUTH)
		imap_session_fail(s, err, "GNU SASL lacks what the login needs");
	else
		imap_session_fail(s, err, error_text(err));
}

static void log_in(struct imap_session *s)
{
	const struct imap_login_as *as = &s->options.login;

	s->login.mechanism = imap_mechanism_choose(s->mechanisms, as, &s->binding);
	imap_session_set_state(s, IMAP_LOGIN);
	if (s->login.mechanism == IMAP_AUTH_ANY && may_send_login(s))
		send_login(s);
	else if (s->login.mechanism == IMAP_AUTH_ANY)
		fail_no_mechanism(s);
	else if (imap_mechanism_uses(s->login.mechanism) & IMAP_USES_TOKEN)
		ask_token(s, false);
	else
		authenticate(s);
}

void imap_login_on_token(struct imap_session *s, struct span token)
{
	int err = imap_oauth_is_token(token) ? buf_append_span(&s->login.token, token) : ERR_AUTH;

	s->login.waiting = false;
	if (err == 0)
		authenticate(s);
	else if (err == ERR_NOMEM)
		imap_session_fail(s, err, error_text(err));
	else
		imap_session_fail(s, ERR_AUTH, "what was given as a token cannot be one");
}

void imap_login_on_challenge(struct imap_session *s, struct span challenge)
{
	struct buf reply;

	buf_init_secret(&reply, IMAP_COMMAND_MAX);
	int err = s->login.sasl ? imap_sasl_step(s->login.sasl, challenge, &reply) : ERR_AUTH;
	if (err == 0)
		err = buf_append_span(&s->login.wire, buf_span(&reply));
	if (err == ERR_NOMEM) {
		imap_session_fail(s, err, error_text(err));
		buf_finish(&reply);
		return;
	}
	/* "*" cancels (RFC 3501 section 6.2.2); the tagged BAD that follows ends the login. */
	s->login.cancelled |= err < 0;
	if (err < 0)
		s->events.send(s->ctx, SPAN("*"));
	else
		s->events.send(s->ctx, buf_span(&reply));
	s->events.send(s->ctx, SPAN("\r\n"));
	buf_finish(&reply);
}

/* --- ID, ENABLE --- */

static void introduced(struct imap_session *s, const struct imap_result *result)
{
	if (!has_ended(s, result) && --s->login.pending == 0)
		next_step(s);
}

static void login_on_id(struct imap_command *c, const struct imap_result *result)
{
	introduced(list_entry(c, struct imap_session, login.id), result);
}

static void login_on_enable(struct imap_command *c, const struct imap_result *result)
{
	introduced(list_entry(c, struct imap_session, login.enable), result);
}

/* True when something was sent that must be waited for. Neither's refusal matters. UTF-8 in names
 * is enabled only where nothing else works (RFC 6855 section 6): modified UTF-7 can say any name,
 * and Dovecot 2.4 enables UTF8=ACCEPT and goes on with that. */
static bool introduce(struct imap_session *s)
{
	bool id = s->capabilities & IMAP_CAP_ID;
	/* Without UIDONLY such a server (Yahoo) may not even show more messages than the limit. */
	bool uidonly = (s->capabilities & IMAP_CAP_UIDONLY) &&
		       (s->capabilities & IMAP_CAP_MESSAGELIMIT);
	bool enable = (s->capabilities & IMAP_CAP_ENABLE) &&
		      (uidonly || (s->capabilities & (IMAP_CAP_QRESYNC | IMAP_CAP_UTF8_ONLY)));

	s->login.introduced = true;
	s->login.pending = (unsigned)id + (unsigned)enable;
	if (id) {
		begin_command(s, &s->login.id, login_on_id);
		imap_command_add(&s->login.id, "ID (\"name\" \"imapfs\")\r\n");
		imap_session_submit(s, &s->login.id, s->now);
	}
	if (enable) {
		begin_command(s, &s->login.enable, login_on_enable);
		imap_command_add(&s->login.enable, "ENABLE%s%s%s\r\n",
			s->capabilities & IMAP_CAP_QRESYNC ? " QRESYNC" : "",
			s->capabilities & IMAP_CAP_UTF8_ONLY ? " UTF8=ACCEPT" : "",
			uidonly ? " UIDONLY" : "");
		imap_session_submit(s, &s->login.enable, s->now);
	}
	return s->login.pending > 0;
}

/* --- the order of things --- */

static void next_introduction(struct imap_session *s)
{
	if (!s->has_capabilities && !s->login.asked) {
		ask_capabilities(s);
		return;
	}
	if (!s->login.introduced && introduce(s))
		return;
	imap_session_set_state(s, IMAP_READY);
	s->events.on_ready(s->ctx);
}

static void next_step(struct imap_session *s)
{
	if (s->state == IMAP_INTRODUCTION)
		next_introduction(s);
	else if (!s->has_capabilities)
		ask_capabilities(s);
	else if (s->options.starttls)
		start_tls(s);
	else
		log_in(s);
}

void imap_login_on_greeting(struct imap_session *s, const struct imap_response *r)
{
	if (r->kind != IMAP_CONDITION) {
		imap_session_fail(s, ERR_PROTOCOL, "the server's greeting is not IMAP");
		return;
	}
	if (r->condition == IMAP_BYE || r->condition == IMAP_NO || r->condition == IMAP_BAD) {
		int err = imap_condition_error(r) == ERR_THROTTLED ? ERR_THROTTLED : ERR_NET;
		imap_session_fail_with(s, err, "the server refused the connection", r->text);
		return;
	}
	if (r->code == IMAP_CODE_CAPABILITY)
		imap_login_on_capability(s, r->code_args);
	if (r->condition == IMAP_PREAUTH && s->options.starttls) {
		imap_session_fail(s, ERR_TLS,
			"the server logged us in before TLS (PREAUTH), which an attacker "
			"could do to read along");
		return;
	}
	imap_session_set_state(
		s, r->condition == IMAP_PREAUTH ? IMAP_INTRODUCTION : IMAP_CAPABILITIES);
	next_step(s);
}

/* --- COMPRESS, any time later --- */

static void login_on_compress(struct imap_command *c, const struct imap_result *result)
{
	struct imap_session *s = owner(c);

	if (has_ended(s, result))
		return;
	bool agreed = result->err == 0;
	struct span rest = agreed ? s->rest : SPAN("");
	if (agreed)
		s->rest.n = 0;
	s->events.on_compress(s->ctx, agreed, rest);
}

void imap_session_compress(struct imap_session *s, uint64_t now)
{
	begin_command(s, &s->login.command, login_on_compress);
	imap_command_add(&s->login.command, "COMPRESS DEFLATE\r\n");
	imap_session_submit(s, &s->login.command, now);
}
