/* SPDX-License-Identifier: MIT */
/* See play_acts.h. Each request does what src/fs does for the like. */
#include "play_acts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "mail/size/sizes.h"
#include "mail/sync/watch.h"
#include "play_clock.h"
#include "play_requests.h"
#include "play_stream.h"

/* Milliseconds in which a stop must be done. */
#define STOP_TIME 5000

struct acts acts;

/* --- requests --- */

struct request *request_create(struct mailbox *mb, uint32_t uid)
{
	struct request *r = mem_zalloc(sizeof(*r));

	r->mb = mailbox_hold(mb);
	r->uid = uid;
	list_append(&acts.requests, &r->link);
	return r;
}

void request_end(struct request *r)
{
	list_remove(&r->link);
	mailbox_release(r->mb);
	free(r->append_flags);
	free(r->path);
	free(r->diff);
	free(r);
}

unsigned acts_waiting(void)
{
	unsigned n = 0;

	LIST_FOREACH (pos, &acts.requests)
		n += !list_entry(pos, struct request, link)->drains;
	return n;
}

bool acts_is_outage(int err)
{
	return err == ERR_NET || err == ERR_TIMEOUT || err == ERR_THROTTLED || err == ERR_AUTH ||
	       err == ERR_TOKEN || err == ERR_TLS || err == ERR_PROTOCOL;
}

/* --- the account --- */

static bool step(void)
{
	return streams_step();
}

void acts_settle(void)
{
	clock_settle(&acts.loop, step);
}

void acts_pass(uint64_t milliseconds)
{
	clock_pass(&acts.loop, milliseconds, step);
}

static void on_started(void *ctx, int err, const char *text)
{
	if (err < 0)
		acts_tell("started: %s: %s", error_text(err), text);
	else
		acts_tell("started");
}

static void on_stopped(void *ctx)
{
	acts.stopped = true;
}

void acts_mount(void)
{
	acts.account = account_create(
		&acts.loop, &acts.options, acts.cache, acts.state, &acts_observer, NULL);
	account_start(acts.account, on_started);
}

static void end_drains(void)
{
	LIST_FOREACH_SAFE (pos, &acts.requests) {
		struct request *r = list_entry(pos, struct request, link);
		if (!r->drains)
			continue;
		intents_drain_cancel(&r->drain);
		request_end(r);
	}
}

static void unmount(void)
{
	uint64_t time = STOP_TIME;

	if (!acts.account)
		return;
	end_drains();
	if (intents_waiting(acts.account) > 0)
		time += acts.options.pool.timeout;
	acts.muted = true;
	acts.stopped = false;
	account_stop(acts.account, on_stopped);
	for (uint64_t i = 0; i < time && !acts.stopped; i += 1000) {
		acts_settle();
		streams_close_all();
		acts_pass(1000);
	}
	if (!acts.stopped || acts_waiting() > 0) {
		fprintf(stderr, "%s\n", acts.stopped ? "a request was forgotten" : "no end");
		abort();
	}
	account_destroy(acts.account);
	acts.account = NULL;
	acts_settle();
	acts.muted = false;
}

/* Its threads take longer to start than a play does. */
static void open_cache(void)
{
	const struct cache_options options = {.account = "test", .max_bytes = 64u << 20};
	char error[256];

	if (acts.cache)
		return;
	if (uv_loop_init(&acts.loop) < 0)
		abort();
	const struct state_options promised = {.account = "test"};
	acts.cache = cache_open(&acts.loop, &options, error, sizeof(error));
	acts.state = state_open(&acts.loop, &promised, error, sizeof(error));
	if (!acts.cache || !acts.state)
		abort();
}

void acts_begin(void (*told)(struct span line))
{
	clock_reset();
	srandom(1);
	acts.told = told;
	list_init(&acts.requests);
	acts.muted = false;
	open_cache();
	/* A lease is not shared with other processes that play. */
	snprintf(acts.user, sizeof(acts.user), "joe%d", (int)getpid());
	acts.options = (struct account_options){
		.pool = {.host = "mail.example",
			.port = 143,
			.login = {.user = acts.user, .password = "secret"},
			.mode = POOL_TLS_NONE,
			.compress = POOL_COMPRESS_OFF,
			.timeout = 30000,
			.connections = 4},
		.refresh = 60000,
		.sizes = SIZES_TRUST,
	};
}

static void on_written(void *ctx, int err)
{
}

struct wiped {
	struct list link;
	uint32_t uidvalidity, uid;
	size_t n;
	char name[64];
};

static void note_intent(void *ctx, const struct state_intent *intent)
{
	struct wiped *w = mem_zalloc(sizeof(*w));

	*w = (struct wiped){.uidvalidity = intent->uidvalidity, .uid = intent->uid};
	w->n = intent->mailbox.n < sizeof(w->name) ? intent->mailbox.n : sizeof(w->name);
	memcpy(w->name, intent->mailbox.p, w->n);
	list_append(ctx, &w->link);
}

static void wipe_journal(void)
{
	struct list all = LIST_INIT(all);

	state_each(acts.state, note_intent, &all);
	while (!list_empty(&all)) {
		struct wiped *w = list_entry(all.next, struct wiped, link);
		list_remove(&w->link);
		state_drop(acts.state, (struct span){w->name, w->n}, w->uidvalidity, w->uid);
		free(w);
	}
}

static void wipe_mailbox(void *ctx, const struct cache_mailbox *m)
{
	cache_put_journal(acts.cache, m->id, NULL, 0, on_written, NULL);
	cache_drop_mailbox(acts.cache, m->id);
}

static void note_handle(uv_handle_t *handle, void *ctx)
{
	bool *any = ctx;

	*any = true;
}

void acts_end(void)
{
	bool any = false;

	unmount();
	wipe_journal();
	cache_each_mailbox(acts.cache, wipe_mailbox, NULL);
	cache_put_note(acts.cache, CACHE_NOTE_SIZES, 0);
	cache_put_note(acts.cache, CACHE_NOTE_ONE_MAILBOX, 0);
	acts_settle();
	uv_walk(&acts.loop, note_handle, &any);
	if (any) {
		fprintf(stderr, "a handle was forgotten\n");
		abort();
	}
}

void acts_finish(void)
{
	cache_close(acts.cache);
	state_close(acts.state);
	acts_settle();
	if (uv_loop_close(&acts.loop) < 0)
		abort();
	acts.cache = NULL;
}

/* --- words --- */

struct span acts_take_word(struct span *rest)
{
	const char *space = memchr(rest->p, ' ', rest->n);
	struct span word = {rest->p, space ? (size_t)(space - rest->p) : rest->n};
	size_t used = word.n + (space != NULL);

	*rest = (struct span){rest->p + used, rest->n - used};
	return word;
}

bool acts_take_number(struct span *rest, uint64_t *n)
{
	return text_parse_number(acts_take_word(rest), UINT64_MAX, n);
}

static bool number_option(struct span line, struct span name, uint64_t *n)
{
	if (line.n < name.n || memcmp(line.p, name.p, name.n) != 0)
		return false;
	return text_parse_number((struct span){line.p + name.n, line.n - name.n}, UINT32_MAX, n);
}

bool acts_option(struct span line)
{
	struct account_options *o = &acts.options;
	struct span rest = line;
	uint64_t n;

	if (number_option(line, SPAN("connections: "), &n))
		o->pool.connections = (unsigned)n;
	else if (number_option(line, SPAN("timeout: "), &n))
		o->pool.timeout = n;
	else if (number_option(line, SPAN("refresh: "), &n))
		o->refresh = n;
	else if (span_equal(line, SPAN("force")))
		o->expunge_force = true;
	else if (span_equal(line, SPAN("subscribed")))
		o->subscribed = true;
	else if (span_equal(line, SPAN("sizes: auto")))
		o->sizes = SIZES_AUTO;
	else if (span_equal(line, SPAN("sizes: verify")))
		o->sizes = SIZES_VERIFY;
	else if (span_equal(acts_take_word(&rest), SPAN("mailbox:"))) {
		snprintf(acts.mailbox, sizeof(acts.mailbox), "%.*s", (int)rest.n, rest.p);
		o->mailbox = acts.mailbox;
	} else
		return false;
	return true;
}

struct mailbox *acts_take_mailbox(struct span *rest)
{
	struct span path = acts_take_word(rest);
	struct mailbox *mb = tree_by_path(&acts.account->tree, path);

	if (!mb)
		acts_tell("no mailbox %.*s", (int)path.n, path.p);
	return mb;
}

bool acts_each_uid(struct span args, void (*f)(struct mailbox *mb, uint32_t uid))
{
	struct mailbox *mb = acts_take_mailbox(&args);
	uint64_t uid;

	while (args.n > 0) {
		if (!acts_take_number(&args, &uid))
			return false;
		if (mb)
			f(mb, (uint32_t)uid);
	}
	return true;
}

/* --- actions --- */

static bool act_take(struct span args)
{
	uint64_t n, octets = SIZE_MAX;

	if (!acts_take_number(&args, &n) || (args.n > 0 && !acts_take_number(&args, &octets)))
		return false;
	return streams_take((unsigned)n, (size_t)octets);
}

static bool act_use_names(struct span args)
{
	watch_use_names(acts.account->watch, true);
	return true;
}

static bool act_state(struct span args)
{
	acts_tell("state %s", pool_is_down(acts.account->pool) ? "offline" : "online");
	return true;
}

static bool act_mode(struct span args)
{
	acts_tell("mode %s", watch_mode(acts.account->watch));
	return true;
}

static bool act_close(struct span args)
{
	uint64_t n;

	return acts_take_number(&args, &n) && streams_close((unsigned)n);
}

static bool act_refuse(struct span args)
{
	streams_refuse(true);
	return true;
}

static bool act_accept(struct span args)
{
	streams_refuse(false);
	return true;
}

static bool act_tick(struct span args)
{
	uint64_t n;

	if (!acts_take_number(&args, &n))
		return false;
	acts_pass(n);
	return true;
}

static bool act_sleep(struct span args)
{
	uint64_t n;

	if (!acts_take_number(&args, &n))
		return false;
	clock_sleep(n);
	return true;
}

static bool act_remount(struct span args)
{
	unmount();
	acts_mount();
	return true;
}

static const struct act others[] = {
	{"take", act_take},
	{"use-names", act_use_names},
	{"state", act_state},
	{"mode", act_mode},
	{"close", act_close},
	{"refuse", act_refuse},
	{"accept", act_accept},
	{"tick", act_tick},
	{"sleep", act_sleep},
	{"remount", act_remount},
	{NULL, NULL},
};

bool acts_do(struct span line)
{
	const struct act *const tables[] = {
		acts_of_reading, acts_of_parts, acts_of_changing, acts_of_writing, others};
	struct span rest = line, name = acts_take_word(&rest);

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct act *a = tables[i]; a->name; a++)
			if (span_equal(name, span_of(a->name)))
				return a->run(rest);
	return false;
}
