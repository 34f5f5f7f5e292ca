#include "mail/quota.h"

#include <stdlib.h>

#include "base/mem.h"

#define QUOTA_FRESH 60000

struct asker {
	struct pool_task task;
	struct account *account;
	struct imap_command command;
};

static void finish(struct asker *q)
{
	q->account->quota->asking = false;
	imap_command_finish(&q->command);
	free(q);
}

static void on_fail(struct pool_task *t, int err)
{
	finish(list_entry(t, struct asker, task));
}

static void on_done(struct imap_command *c, const struct imap_result *result)
{
	struct asker *q = list_entry(c, struct asker, command);

	pool_end(&q->task);
	finish(q);
}

static void on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct quota *quota = list_entry(t, struct asker, task)->account->quota;

	if (r->kind != IMAP_QUOTA)
		return;
	if (r->quota.has_storage && r->quota.storage_limit < UINT64_MAX / 1024 &&
		r->quota.storage_used < UINT64_MAX / 1024) {
		quota->used = r->quota.storage_used * 1024;
		quota->limit = r->quota.storage_limit * 1024;
	}
	if (r->quota.has_message) {
		quota->messages = r->quota.message_used;
		quota->message_limit = r->quota.message_limit;
	}
}

static void on_conn(struct pool_task *t)
{
	struct asker *q = list_entry(t, struct asker, task);

	imap_command_init(&q->command, false, on_done);
	imap_command_add(&q->command, "GETQUOTAROOT INBOX\r\n");
	pool_submit(t, &q->command);
}

void quota_start(struct account *a)
{
	struct quota *quota = a->quota;
	uint64_t now = uv_now(a->loop);

	if (!(pool_capabilities(a->pool) & IMAP_CAP_QUOTA) || quota->asking ||
		(quota->asked && now < quota->asked + QUOTA_FRESH))
		return;
	struct asker *q = mem_zalloc(sizeof(*q));
	q->account = a;
	q->task = (struct pool_task){
		.access = POOL_NO_MAILBOX,
		.deadline = account_deadline(a),
		.on_conn = on_conn,
		.on_fail = on_fail,
		.on_untagged = on_untagged,
	};
	quota->asking = true;
	quota->asked = now;
	pool_start(a->pool, &q->task);
}
