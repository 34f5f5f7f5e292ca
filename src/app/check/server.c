/* SPDX-License-Identifier: MIT */
/*
 * The server, by an account like that of a mount, but read-only, with a cache in memory and nobody
 * who looks: it connects, logs in and lists, and is stopped again.
 */
#include "app/check/private.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "app/discover/discover.h"
#include "app/discover/probe.h"
#include "app/login/credentials.h"
#include "app/login/token_command.h"
#include "app/start/account_options.h"
#include "mail/quota.h"
#include "net/stream.h"

#define ERROR_MAX 1024
/* Milliseconds between looks whether the quota has come, and how many of them. */
#define QUOTA_STEP 100
#define QUOTA_LOOKS 50

struct asking {
	struct check *check;
	uv_loop_t loop;
	uv_timer_t timer; /* waits for the quota */
	unsigned looks;
	struct buf password;
	struct net_tls *tls;
	struct token_command *tokens;
	struct cache *cache;
	struct account *account;
};

/* --- nobody looks --- */

static void server_on_directory_changed(void *ctx, struct mailbox *mb)
{
}

static void server_on_message_gone(void *ctx, struct mailbox *mb, uint32_t uid)
{
}

static void server_on_moving(void *ctx, struct mailbox *from, const struct cache_message *m,
	struct mailbox *to, struct span name)
{
}

static void server_on_moved(void *ctx, struct mailbox *from, uint32_t uid, struct mailbox *to,
	uint32_t new_uid, int err)
{
}

static void server_on_size_changed(void *ctx, struct mailbox *mb, uint32_t uid, bool at_once)
{
}

static void server_on_directory_gone(void *ctx, struct mailbox *parent, struct mailbox *mb)
{
}

static void server_on_push(
	void *ctx, struct mailbox *mb, uint32_t uid, uint64_t offset, char *data, size_t n)
{
	free(data);
}

static const struct account_observer nobody = {
	.on_directory_changed = server_on_directory_changed,
	.on_message_gone = server_on_message_gone,
	.on_moving = server_on_moving,
	.on_moved = server_on_moved,
	.on_size_changed = server_on_size_changed,
	.on_directory_gone = server_on_directory_gone,
	.on_push = server_on_push,
};

/* --- the account --- */

static void server_on_stopped(void *ctx)
{
	struct asking *s = ctx;

	token_command_stop(s->tokens);
	uv_close((uv_handle_t *)&s->timer, NULL);
}

static void server_on_timer(uv_timer_t *timer)
{
	struct asking *s = timer->data;

	if (s->account->quota->asking && ++s->looks < QUOTA_LOOKS)
		return;
	uv_timer_stop(timer);
	check_facts(s->check, s->account, s->tls);
	account_stop(s->account, server_on_stopped);
}

/* What went wrong says which line it belongs to. */
static void fail_start(struct check *c, int err, const char *text)
{
	char *hint;

	switch (err) {
	case ERR_TLS:
		check_fail(c, EXIT_STATUS_TLS, "TLS", "%s", text);
		return;
	case ERR_AUTH:
	case ERR_TOKEN:
		hint = discover_hint_login(c->o);
		check_fail(c, EXIT_STATUS_LOGIN, "login", "%s%s", text, hint);
		free(hint);
		return;
	case ERR_NO_MAILBOX:
		check_fail(c, EXIT_STATUS_MOUNT, "folders", "%s", text);
		return;
	default:
		check_fail(c, EXIT_STATUS_CONNECT, "connection", "%s", text);
	}
}

static void server_on_started(void *ctx, int err, const char *text)
{
	struct asking *s = ctx;

	if (err < 0) {
		fail_start(s->check, err, text);
		account_stop(s->account, server_on_stopped);
		return;
	}
	uv_timer_start(&s->timer, server_on_timer, 0, QUOTA_STEP);
}

static void run_account(struct asking *s)
{
	const struct options *o = s->check->o;
	struct account_options options;

	account_options_fill(o, buf_cstr(&s->password),
		s->tokens ? token_command_source(s->tokens) : NULL, s->tls, &options);
	options.readonly = true;
	options.trash = NULL;
	options.delete = DELETE_EXPUNGE;
	options.pool.offline = false;
	s->account = account_create(&s->loop, &options, s->cache, NULL, &nobody, s);
	account_start(s->account, server_on_started);
	uv_run(&s->loop, UV_RUN_DEFAULT);
}

static void ask_account(struct asking *s)
{
	const struct options *o = s->check->o;
	const struct cache_options memory = {.account = o->identity, .max_bytes = 1 << 20};
	char error[ERROR_MAX] = "";

	if (account_options_tls(o, &s->tls, error, sizeof(error)) < 0) {
		check_fail(s->check, EXIT_STATUS_TLS, "TLS", "%s", error);
		return;
	}
	if (uv_loop_init(&s->loop) < 0)
		return;
	uv_timer_init(&s->loop, &s->timer);
	s->timer.data = s;
	if (o->tokencmd)
		s->tokens = token_command_create(&s->loop, o->tokencmd);
	s->cache = cache_open(&s->loop, &memory, error, sizeof(error));
	if (s->cache)
		run_account(s);
	cache_close(s->cache);
	account_destroy(s->account);
	token_command_destroy(s->tokens);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	uv_loop_close(&s->loop);
}

/* --- before it --- */

static bool get_secret(struct asking *s)
{
	struct check *c = s->check;
	const char *source = "";
	char error[ERROR_MAX];
	int err = c->o->keyfile ? credentials_check_key(c->o->keyfile, error, sizeof(error)) : 0;

	if (err == 0)
		err = credentials_get(c->o, &s->password, &source, error, sizeof(error));
	if (err < 0)
		check_fail(c, EXIT_STATUS_LOGIN, "password", "%s", error);
	else
		check_ok(c, "password", "%s", source);
	return err == 0;
}

static bool reach_server(struct check *c)
{
	const struct source *source = &c->o->source;
	struct probe probe;

	probe_host(source->host, source->port, (uint64_t)c->o->timeout * 1000, false, &probe);
	if (probe.answers) {
		check_ok(c, "address", "%s port %u is %s", source->host, source->port, probe.text);
		return true;
	}
	char *hint = discover_hint_connect(c->o);
	check_fail(c, EXIT_STATUS_CONNECT, "address", "%s%s", probe.text, hint);
	free(hint);
	return false;
}

void check_server(struct check *c)
{
	struct asking s = {.check = c};

	buf_init_secret(&s.password, CREDENTIALS_MAX);
	if (reach_server(c) && get_secret(&s))
		ask_account(&s);
	net_tls_destroy(s.tls);
	buf_finish(&s.password);
}
