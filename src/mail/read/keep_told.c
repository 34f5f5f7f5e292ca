/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "mail/read/keep_private.h"

static const char *reason_of(const struct keep *k)
{
	if (k->err == ERR_DAYLIMIT)
		return "daylimit";
	if (error_is_connection(k->err))
		return "offline";
	return k->no_room ? "room" : "other";
}

static const char *state_of(const struct keep *k)
{
	static const char *const words[] = {[KEEP_NEVER] = "stopped",
		[KEEP_DONE] = "done",
		[KEEP_STOPPED] = "stopped",
		[KEEP_FAILED] = "failed"};

	return k->step != KEEP_REST ? "busy" : words[k->end];
}

/* With what has come of the message that is under way. */
static uint64_t octets_here(const struct keep *k)
{
	uint64_t here = k->octets_here + (k->step != KEEP_REST ? k->read.offset : 0);

	return here < k->octets ? here : k->octets;
}

int keep_print(const struct mailbox *mb, struct buf *out)
{
	const struct keep *k = mb->keeping.keep;
	int err = buf_printf(out, "kept: %s\n", mb->keeping.kept ? "yes" : "no");

	if (!k)
		return err | buf_printf(out, "state: stopped\n");
	err |= buf_printf(out, "state: %s\nmessages: %llu of %llu\nbytes: %llu of %llu\n",
		state_of(k), (unsigned long long)k->messages_here, (unsigned long long)k->messages,
		(unsigned long long)octets_here(k), (unsigned long long)k->octets);
	if (k->unreadable > 0)
		err |= buf_printf(out, "unreadable: %llu\n", (unsigned long long)k->unreadable);
	if (k->step == KEEP_REST && k->end == KEEP_FAILED)
		err |= buf_printf(out, "reason: %s\nerror: %s\n", reason_of(k), error_text(k->err));
	return err;
}

/* Octets of lines about mailboxes; those that would come behind are only counted. */
#define REPORT_MAX ((size_t)64 << 10)

struct listing {
	struct buf *out;
	size_t from;   /* where in out they begin */
	unsigned more; /* that have no line */
	int err;
};

static void report_one(void *ctx, uint64_t key, void *value)
{
	struct listing *l = ctx;
	const struct mailbox *mb = value;
	const struct keep *k = mb->keeping.keep;

	if (!mb->keeping.kept || mb->dead)
		return;
	if (l->out->len - l->from > REPORT_MAX) {
		l->more++;
		return;
	}
	l->err |= buf_printf(l->out, "kept: %s", mailbox_path(mb));
	if (k && mb->messages.loaded) {
		/* Of those that were missing at the last look none came otherwise. */
		uint64_t all = mailbox_count(mb), missing = k->messages - k->messages_here;
		bool failed = k->step == KEEP_REST && k->end == KEEP_FAILED;
		l->err |= buf_printf(l->out, ": %llu of %llu messages%s%s",
			(unsigned long long)(all > missing ? all - missing : 0),
			(unsigned long long)all, k->step != KEEP_REST ? ", being fetched" : "",
			failed ? ", failed: " : "");
		if (failed)
			l->err |= buf_printf(l->out, "%s", error_text(k->err));
	}
	l->err |= buf_append_char(l->out, '\n');
}

int keep_report(const struct account *a, struct buf *out)
{
	struct listing l = {.out = out, .from = out->len};
	struct cache_counts counts;

	cache_counts(a->cache, &counts);
	if (counts.kept_lost)
		return buf_printf(out, "kept: nothing any more: the cache's database was damaged; "
				       "give imapfs --keep again\n");
	map_each(&a->tree.by_id, report_one, &l);
	if (l.more > 0)
		l.err |= buf_printf(out, "kept: %u more\n", l.more);
	return l.err;
}
