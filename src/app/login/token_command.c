/* SPDX-License-Identifier: MIT */
#include "app/login/token_command.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "app/login/credentials.h"
#include "app/login/command.h"
#include "imap/oauth.h"

struct token_command {
	struct token_source source;
	uv_idle_t soon; /* gives the token that is there to who waits */
	const char *command;
	struct command *running;
	struct buf token;
	unsigned serial; /* of the token, from 1 */
	struct list waits;
};

/* Whoever is called may ask again: that is for the next time. */
static void tell_all(struct token_command *t, const char *token, const char *error)
{
	struct list told = LIST_INIT(told);

	list_splice(&told, &t->waits);
	while (!list_empty(&told)) {
		struct token_wait *w = list_entry(told.next, struct token_wait, link);
		list_remove(&w->link);
		w->serial = t->serial;
		w->on_token(w, token, error);
	}
}

static void token_command_on_soon(uv_idle_t *idle)
{
	struct token_command *t = idle->data;

	uv_idle_stop(idle);
	/* It may have been refused, by another, since it was asked for. */
	if (t->token.len > 0)
		tell_all(t, buf_cstr(&t->token), NULL);
}

static void token_command_on_line(void *ctx, int err, struct span line, const char *error)
{
	struct token_command *t = ctx;

	t->running = NULL;
	if (err == 0 && !imap_oauth_is_token(line)) {
		tell_all(t, NULL, "tokencmd printed what cannot be a token");
		return;
	}
	if (err == 0)
		err = buf_append_span(&t->token, line);
	if (err < 0) {
		tell_all(t, NULL, *error ? error : error_text(err));
		return;
	}
	t->serial++;
	tell_all(t, buf_cstr(&t->token), NULL);
}

static void note_refused(struct token_source *s, const struct token_wait *w)
{
	struct token_command *t = list_entry(s, struct token_command, source);

	/* Another connection may have found out before. */
	if (w->serial == t->serial)
		buf_finish(&t->token);
}

static void want_token(struct token_source *s, struct token_wait *w, bool refused)
{
	struct token_command *t = list_entry(s, struct token_command, source);

	list_append(&t->waits, &w->link);
	if (refused)
		note_refused(s, w);
	if (t->running)
		return;
	if (t->token.len > 0) {
		uv_idle_start(&t->soon, token_command_on_soon);
		return;
	}
	const struct command_options options = {.option = "tokencmd",
		.noun = "token",
		.command = t->command,
		.max = CREDENTIALS_TOKEN_MAX,
		.timeout = CREDENTIALS_TIMEOUT};
	log_debug("running tokencmd%s", refused ? ": the token was refused" : "");
	t->running = command_start(t->soon.loop, &options, token_command_on_line, t);
}

struct token_command *token_command_create(uv_loop_t *loop, const char *command)
{
	struct token_command *t = mem_zalloc(sizeof(*t));

	t->source.want = want_token;
	t->source.refused = note_refused;
	t->command = command;
	buf_init_secret(&t->token, CREDENTIALS_TOKEN_MAX);
	list_init(&t->waits);
	uv_idle_init(loop, &t->soon);
	t->soon.data = t;
	return t;
}

struct token_source *token_command_source(struct token_command *t)
{
	return &t->source;
}

void token_command_stop(struct token_command *t)
{
	if (!t)
		return;
	if (t->running)
		command_cancel(t->running);
	t->running = NULL;
	uv_close((uv_handle_t *)&t->soon, NULL);
}

void token_command_destroy(struct token_command *t)
{
	if (!t)
		return;
	buf_finish(&t->token);
	free(t);
}
