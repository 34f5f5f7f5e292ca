/* SPDX-License-Identifier: MIT */
#include "mail/report.h"

#include "base/log.h"
#include "mail/allowance.h"
#include "mail/read/body.h"
#include "mail/read/keep.h"
#include "link/pool.h"
#include "mail/change/intents.h"
#include "mail/quota.h"
#include "mail/size/sizes.h"
#include "mail/sync/lister.h"
#include "mail/sync/sync.h"
#include "mail/sync/watch.h"

static unsigned long long n(uint64_t number)
{
	return number;
}

struct connections {
	const char *role;
	struct buf *out;
	int err;
};

static void put_connection(void *ctx, const struct pool_connection *c)
{
	struct connections *all = ctx;

	all->err |= buf_printf(all->out,
		"connection: %s %s: %s%s%s, %u tasks, %llu in, %llu out, %llu turns%s\n", c->name,
		all->role, c->state, c->mailbox ? ", " : "",
		c->mailbox ? mailbox_path(c->mailbox) : "", c->tasks, n(c->counts.wire_in),
		n(c->counts.wire_out), n(c->counts.turns), c->deflated ? ", deflated" : "");
}

static int put_connections(const struct pool *p, const char *role, struct buf *out)
{
	struct connections all = {role, out, 0};

	pool_each_connection(p, put_connection, &all);
	return all.err;
}

static int put_server(struct account *a, struct buf *out)
{
	const struct pool_options *o = &a->options.pool;
	struct pool_counts total = pool_counts(a->pool);
	struct pool_counts watching = pool_counts(watch_pool(a->watch));
	int err = buf_printf(out, "server: %s@%s:%u\n", o->login.user, o->host, o->port);

	err |= buf_printf(out, "state: %s\n", pool_is_down(a->pool) ? "offline" : "online");
	if (pool_trouble(a->pool)[0])
		err |= buf_printf(out, "trouble: %s\n", pool_trouble(a->pool));
	if (pool_login_name(a->pool))
		err |= buf_printf(out, "login: by %s\n", pool_login_name(a->pool));
	err |= buf_printf(out, "capabilities: %s\n", pool_capability_words(a->pool));
	if (lister_namespace(a)[0])
		err |= buf_printf(out, "namespace: %s\n", lister_namespace(a));
	err |= buf_printf(out, "watching: %s\n", watch_mode(a->watch));
	err |= put_connections(a->pool, "data", out);
	err |= put_connections(watch_pool(a->watch), "watch", out);
	err |= buf_printf(out, "wire: %llu in, %llu out, %llu turns\n",
		n(total.wire_in + watching.wire_in), n(total.wire_out + watching.wire_out),
		n(total.turns + watching.turns));
	err |= allowance_print(a->allowance, out);
	err |= buf_printf(out, "sizes: %s\n", sizes_text(a));
	if (a->quota->limit)
		err |= buf_printf(
			out, "quota: %llu of %llu bytes\n", n(a->quota->used), n(a->quota->limit));
	return err;
}

static int put_cache(struct account *a, struct buf *out)
{
	struct cache_counts c;
	uint64_t asked;

	cache_counts(a->cache, &c);
	asked = c.hits + c.misses;
	int err = buf_printf(out,
		"cache: %s, %llu of %llu bytes, %llu hits, %llu misses (%llu %%), %zu bytes to "
		"write",
		c.on_disk ? "on disk" : "in memory", n(c.bytes - c.kept), n(c.max_bytes), n(c.hits),
		n(c.misses), n(asked ? c.hits * 100 / asked : 0), c.queued);
	if (c.kept > 0)
		err |= buf_printf(out, ", %llu bytes kept", n(c.kept));
	return err |
	       buf_printf(out, "\nmemory: %llu bytes of bodies\n", n(body_memory(a->bodies))) |
	       keep_report(a, out);
}

/* Octets of lines about mailboxes; those that would come behind are only counted. */
#define MAILBOXES_TEXT_MAX ((size_t)256 << 10)

struct listing {
	struct account *account;
	struct buf *out;
	size_t from;   /* where in out they begin */
	bool at_rest;  /* those with nothing under way, which come last */
	unsigned more; /* that have no line */
	int err;
};

static void put_mailbox(void *ctx, uint64_t key, void *value)
{
	struct listing *l = ctx;
	const struct mailbox *mb = value;

	if (!mailbox_selectable(mb) || !mb->messages.loaded ||
		l->at_rest != (mb->messages.complete && !sync_is_under_way(mb)))
		return;
	if (l->out->len - l->from > MAILBOXES_TEXT_MAX) {
		l->more++;
		return;
	}
	uint64_t checked = sync_checked_at(mb);
	uint64_t age = checked ? (uv_now(l->account->loop) - checked) / 1000 : 0;
	l->err |= buf_printf(l->out,
		"mailbox: %s: %zu messages, UIDVALIDITY %u, %s, %s %llu s ago\n", mailbox_path(mb),
		mailbox_count(mb), mb->uidvalidity,
		sync_is_under_way(mb)   ? "being checked"
		: mb->messages.complete ? "complete"
					: "incomplete",
		checked ? "checked" : "never checked,", n(age));
}

int report_print(struct account *a, struct buf *out)
{
	struct listing l = {.account = a, .out = out};
	int err = put_server(a, out) | put_cache(a, out) | intents_print(a, out);

	l.from = out->len;
	map_each(&a->tree.by_id, put_mailbox, &l);
	l.at_rest = true;
	map_each(&a->tree.by_id, put_mailbox, &l);
	if (l.more > 0)
		err |= buf_printf(out, "mailboxes: %u more\n", l.more);
	return err | l.err | log_recent(out);
}
