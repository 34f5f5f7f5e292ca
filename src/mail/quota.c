/* SPDX-License-Identifier: MIT */
#include "mail/quota.h"

#include <stdlib.h>

#include "base/mem.h"

/* Milliseconds. */
#define QUOTA_FRESH 60000

struct question {
	struct pool_task task;
	struct account *account;
	struct imap_command command;
};

static void end_question(struct question *q)
{
	q->account->quota->asking = false;
	imap_command_finish(&q->command);
	free(q);
}

static void quota_on_fail(struct pool_task *t, int err)
{
	end_question(list_entry(t, struct question, task));
}

static void quota_on_done(struct imap_command *c, const struct imap_result *result)
{
	struct question *q = list_entry(c, struct question, command);

	pool_end(&q->task);
	end_question(q);
}

static void quota_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct quota *quota = list_entry(t, struct question, task)->account->quota;

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

static void quota_on_conn(struct pool_task *t)
{
	struct question *q = list_entry(t, struct question, task);

	pool_send(t, &q->command, quota_on_done, "GETQUOTAROOT INBOX");
}

void quota_start(struct account *a)
{
	struct quota *quota = a->quota;
	uint64_t now = uv_now(a->loop);

	if (!(pool_capabilities(a->pool) & IMAP_CAP_QUOTA) || quota->asking ||
		(quota->asked && now < quota->asked + QUOTA_FRESH))
		return;
	struct question *q = mem_zalloc(sizeof(*q));
	q->account = a;
	q->task = (struct pool_task){
		.access = POOL_NO_MAILBOX,
		.deadline = account_deadline(a),
		.on_conn = quota_on_conn,
		.on_fail = quota_on_fail,
		.on_untagged = quota_on_untagged,
	};
	quota->asking = true;
	quota->asked = now;
	pool_start(a->pool, &q->task);
}
