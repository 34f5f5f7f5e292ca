#include "mail/status.h"

#include "base/log.h"
#include "mail/body.h"
#include "mail/pool_private.h"
#include "mail/quota.h"
#include "mail/sizes.h"
#include "mail/watch.h"

static unsigned long long n(uint64_t number)
{
	return number;
}

static int put_connections(const struct pool *p, const char *role, struct buf *out)
{
	int err = 0;

	LIST_FOREACH (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		struct conn_counts counts = conn_counts(c);
		err |= buf_printf(out,
			"connection: %s %s: %s%s%s, %u tasks, %llu in, %llu out, %llu turns%s\n",
			c->name, role, conn_state_name(c), c->mailbox ? ", " : "",
			c->mailbox ? mailbox_path(c->mailbox) : "", c->task_count,
			n(counts.wire_in), n(counts.wire_out), n(counts.turns),
			c->deflated ? ", deflated" : "");
	}
	return err;
}

static int put_server(struct account *a, struct buf *out)
{
	const struct pool_options *o = &a->options.pool;
	struct conn_counts total = pool_counts(a->pool);
	struct conn_counts watching = pool_counts(watch_pool(a->watch));
	int err = buf_printf(out, "server: %s@%s:%u\n", o->login.user, o->host, o->port);

	err |= buf_printf(out, "state: %s\n", pool_is_down(a->pool) ? "offline" : "online");
	if (a->pool->line->text[0])
		err |= buf_printf(out, "trouble: %s\n", a->pool->line->text);
	if (a->pool->login)
		err |= buf_printf(out, "login: by %s\n", a->pool->login);
	err |= buf_printf(out, "capabilities: %s\n", pool_capability_words(a->pool));
	err |= buf_printf(out, "watching: %s\n", watch_mode(a->watch));
	err |= put_connections(a->pool, "data", out);
	err |= put_connections(watch_pool(a->watch), "watch", out);
	err |= buf_printf(out, "wire: %llu in, %llu out, %llu turns\n",
		n(total.wire_in + watching.wire_in), n(total.wire_out + watching.wire_out),
		n(total.turns + watching.turns));
	err |= buf_printf(out, "sizes: %s\n", sizes_text(a));
	if (a->quota->limit)
		err |= buf_printf(
			out, "quota: %llu of %llu octets\n", n(a->quota->used), n(a->quota->limit));
	return err;
}

static int put_cache(struct account *a, struct buf *out)
{
	struct cache_counts c;
	uint64_t asked;

	cache_counts(a->cache, &c);
	asked = c.hits + c.misses;
	return buf_printf(out,
		"cache: %s, %llu of %llu octets, %llu hits, %llu misses (%llu %%), %zu octets to "
		"write\n"
		"memory: %llu octets of bodies\n",
		c.on_disk ? "on disk" : "in memory", n(c.bytes), n(c.max_bytes), n(c.hits),
		n(c.misses), n(asked ? c.hits * 100 / asked : 0), c.queued,
		n(body_memory(a->bodies)));
}

/* Octets of lines about mailboxes; the others are only counted. */
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

	if (!mailbox_selectable(mb) || !mb->loaded || l->at_rest != (mb->complete && !mb->sync))
		return;
	if (l->out->len - l->from > MAILBOXES_TEXT_MAX) {
		l->more++;
		return;
	}
	uint64_t age = mb->checked ? (uv_now(l->account->loop) - mb->checked) / 1000 : 0;
	l->err |= buf_printf(l->out,
		"mailbox: %s: %zu messages, UIDVALIDITY %u, %s, %s %llu s ago\n", mailbox_path(mb),
		mailbox_count(mb), mb->uidvalidity,
		mb->sync       ? "being checked"
		: mb->complete ? "complete"
			       : "incomplete",
		mb->checked ? "checked" : "never checked,", n(age));
}

int account_status(struct account *a, struct buf *out)
{
	struct listing l = {.account = a, .out = out};
	int err = put_server(a, out) | put_cache(a, out);

	l.from = out->len;
	map_each(&a->by_id, put_mailbox, &l);
	l.at_rest = true;
	map_each(&a->by_id, put_mailbox, &l);
	if (l.more > 0)
		err |= buf_printf(out, "mailboxes: %u more\n", l.more);
	return err | l.err | log_recent(out);
}
