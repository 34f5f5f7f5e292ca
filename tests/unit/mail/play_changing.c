/* SPDX-License-Identifier: MIT */
/* What changes messages in a play: at once (remove, store), or as it is promised. */
#include "play_requests.h"

#include <inttypes.h>
#include <stdlib.h>

#include "../support/oom.h"
#include "base/error.h"
#include "base/mem.h"

/* --- remove --- */

static void remove_on_done(struct change *removal, int err)
{
	struct request *r = list_entry(removal, struct request, removal);

	acts_tell("removed %s %" PRIu32 "%s%s",
		r->mb->dead ? r->mb->component : mailbox_path(r->mb), r->uid, err < 0 ? ": " : "",
		err < 0 ? error_text(err) : "");
	request_end(r);
}

static void remove_message(struct mailbox *mb, uint32_t uid)
{
	if (!mailbox_find(mb, uid) || mb->removal.barred) {
		acts_tell("removed %s %" PRIu32 ": %s", mailbox_path(mb), uid,
			error_text(mb->removal.barred ? ERR_STALE : ERR_GONE));
		return;
	}
	struct request *r = request_create(mb, uid);
	r->removal = (struct change){
		.verb = &change_remove, .mb = mb, .uid = uid, .on_done = remove_on_done};
	list_init(&r->removal.link);
	changes_start(&r->removal);
}

/* --- flags that are set --- */

static void store_on_done(struct change *change, int err)
{
	struct request *r = list_entry(change, struct request, removal);

	acts_tell("stored %s %" PRIu32 "%s%s", r->mb->dead ? r->mb->component : mailbox_path(r->mb),
		r->uid, err < 0 ? ": " : "", err < 0 ? error_text(err) : "");
	request_end(r);
}

static void store_flags(struct mailbox *mb, uint32_t uid, const char *diff)
{
	struct request *r = request_create(mb, uid);

	r->diff = mem_strdup(diff);
	r->removal = (struct change){.verb = &change_flags,
		.mb = mb,
		.uid = uid,
		.diff = r->diff,
		.on_done = store_on_done};
	list_init(&r->removal.link);
	changes_start(&r->removal);
}

static void promise_flags(struct mailbox *mb, uint32_t uid, const char *diff)
{
	struct intent_ask ask = {.verb = INTENT_FLAGS, .diff = diff, .by = 1};
	int err = mailbox_shown(mb, uid) ? intents_put(mb, uid, &ask) : ERR_GONE;

	acts_tell("set %s %" PRIu32 "%s%s", mailbox_path(mb), uid, err < 0 ? ": " : "",
		err < 0 ? error_text(err) : "");
}

/* --- unlink, as it is promised; fsync of a directory --- */

static void unlink_message(struct mailbox *mb, uint32_t uid)
{
	struct intent_ask ask = {.verb = INTENT_REMOVE, .by = 1};
	int err = mailbox_shown(mb, uid) ? intents_put(mb, uid, &ask) : ERR_GONE;

	acts_tell("unlinked %s %" PRIu32 "%s%s", mailbox_path(mb), uid, err < 0 ? ": " : "",
		err < 0 ? error_text(err) : "");
}

static struct mailbox *move_target;

static void move_message(struct mailbox *mb, uint32_t uid)
{
	struct intent_ask ask = {.verb = INTENT_MOVE, .to = move_target, .by = 1};
	int err = mailbox_shown(mb, uid) ? intents_put(mb, uid, &ask) : ERR_GONE;

	acts_tell("moves %s %" PRIu32 "%s%s", mailbox_path(mb), uid, err < 0 ? ": " : "",
		err < 0 ? error_text(err) : "");
}

static void take_back(struct mailbox *mb, uint32_t uid)
{
	acts_tell("%s %s %" PRIu32, intents_take_back(mb, uid, 1) ? "taken back" : "not taken back",
		mailbox_path(mb), uid);
}

static void tell_drained(int err)
{
	struct buf news;
	unsigned told = 0;

	oom_pause();
	buf_init(&news, ACTS_LINE_MAX);
	acts_tell("drained%s%s", err < 0 ? ": " : "", err < 0 ? error_text(err) : "");
	if (intents_print_news(acts.account, &news, &told) < 0)
		abort();
	intents_note_told(acts.account, told);
	if (news.len > 0)
		acts_tell("news %.*s", (int)news.len - 1, buf_cstr(&news));
	buf_finish(&news);
	oom_resume();
}

static void drain_on_done(struct drain *d, int err)
{
	tell_drained(err);
	request_end(list_entry(d, struct request, drain));
}

static void drain_mailbox(struct mailbox *mb, enum drain_kind kind, pid_t by)
{
	struct request *r = request_create(mb, 0);
	int err;

	r->drain = (struct drain){.mb = mb, .kind = kind, .by = by, .on_done = drain_on_done};
	r->drains = true;
	list_init(&r->drain.link);
	if (!intents_drain_try(acts.account, &r->drain, &err))
		return;
	tell_drained(err);
	request_end(r);
}

/* --- actions --- */

static bool act_remove(struct span args)
{
	return acts_each_uid(args, remove_message);
}

static bool with_diff(
	struct span args, void (*f)(struct mailbox *mb, uint32_t uid, const char *diff))
{
	struct mailbox *mb = acts_take_mailbox(&args);
	uint64_t uid;

	if (!mb || !acts_take_number(&args, &uid))
		return false;
	char *diff = mem_copy(args.p, args.n);
	f(mb, (uint32_t)uid, diff);
	free(diff);
	return true;
}

static bool act_store(struct span args)
{
	return with_diff(args, store_flags);
}

static bool act_set(struct span args)
{
	return with_diff(args, promise_flags);
}

static bool act_unlink(struct span args)
{
	return acts_each_uid(args, unlink_message);
}

static bool act_move(struct span args)
{
	move_target = acts_take_mailbox(&args);
	return move_target && acts_each_uid(args, move_message);
}

static bool act_take_back(struct span args)
{
	return acts_each_uid(args, take_back);
}

static bool act_drain(struct span args)
{
	struct mailbox *mb = acts_take_mailbox(&args);

	if (mb)
		drain_mailbox(mb, DRAIN_OWN, 1);
	return true;
}

static bool act_fsync(struct span args)
{
	struct mailbox *mb = acts_take_mailbox(&args);

	if (mb)
		drain_mailbox(mb, DRAIN_REST, 2);
	return true;
}

const struct act acts_of_changing[] = {
	{"remove", act_remove},
	{"store", act_store},
	{"set", act_set},
	{"unlink", act_unlink},
	{"move", act_move},
	{"take-back", act_take_back},
	{"drain", act_drain},
	{"fsync", act_fsync},
	{NULL, NULL},
};
