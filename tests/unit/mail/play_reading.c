/* SPDX-License-Identifier: MIT */
/* What reads in a play: listings, names, octets, flags. */
#include "play_requests.h"

#include <inttypes.h>
#include <stdlib.h>

#include "../support/oom.h"
#include "base/error.h"
#include "mail/read/glance.h"
#include "mail/size/sizes.h"
#include "mail/sync/sync.h"
#include "mail/sync/walk.h"
#include "mail/sync/watch.h"

/* Octets of a message that are shown whole. */
#define SHOWN 80
/* Names that are shown each. */
#define NAMES_SHOWN 40

static bool is_remembered(const struct mailbox *mb, int err)
{
	return !mb->dead && mb->messages.complete && mb->messages.loaded && acts_is_outage(err);
}

/* --- list --- */

/* As a listing may be handed out: all that is there, or while rows arrive what is settled. */
static void put_names(struct buf *names, struct mailbox *mb)
{
	const struct cache_message *m = mailbox_after(mb, 0);
	uint32_t first = m ? m->uid : 0, last = 0, end = mailbox_listable(mb);
	unsigned n = 0;

	for (; m && m->uid <= end; m = mailbox_after(mb, last), n++) {
		last = m->uid;
		if (!mailbox_hidden(mb, last) && buf_printf(names, " %" PRIu32, last) < 0)
			abort();
	}
	if (n <= NAMES_SHOWN)
		return;
	buf_clear(names);
	if (buf_printf(names, " %u from %" PRIu32 " to %" PRIu32, n, first, last) < 0)
		abort();
}

static void tell_names(struct mailbox *mb)
{
	struct buf names;

	oom_pause();
	buf_init(&names, ACTS_LINE_MAX);
	put_names(&names, mb);
	acts_tell("names %s:%s%s", mailbox_path(mb), names.len ? buf_cstr(&names) : "",
		mb->messages.complete ? "" : " ...");
	buf_finish(&names);
	oom_resume();
}

static void list_end(struct request *r, int err)
{
	struct mailbox *mb = r->mb;

	if (mb->dead)
		acts_tell("names %s: %s", mb->component, error_text(ERR_STALE));
	else if (err < 0 && mailbox_selectable(mb) && !is_remembered(mb, err))
		acts_tell("names %s: %s", mailbox_path(mb), error_text(err));
	else
		tell_names(mb);
	if (!mb->dead) {
		mb->removal.barred = false;
		watch_verify(acts.account->watch, mb);
	}
	request_end(r);
}

static void list_on_wake(struct mailbox_wait *w, int err)
{
	list_end(list_entry(w, struct request, mailbox_wait), err);
}

static void list_mailbox(struct mailbox *mb, bool progress)
{
	struct request *r = request_create(mb, 0);

	watch_use(acts.account->watch, mb);
	walk_note(acts.account->walk, mb);
	if (sync_is_fresh(mb)) {
		list_end(r, 0);
		return;
	}
	sync_start(mb);
	r->mailbox_wait = (struct mailbox_wait){.progress = progress, .on_wake = list_on_wake};
	mailbox_wait(mb, &r->mailbox_wait);
}

/* --- look up --- */

static void find_message(struct mailbox *mb, uint32_t uid);

static void find_on_wake(struct mailbox_wait *w, int err)
{
	struct request *r = list_entry(w, struct request, mailbox_wait);
	struct mailbox *mb = mailbox_hold(r->mb);
	uint32_t uid = r->uid;

	request_end(r);
	if (mb->dead)
		acts_tell("found %s %" PRIu32 ": %s", mb->component, uid, error_text(ERR_STALE));
	else if (err < 0 && !is_remembered(mb, err))
		acts_tell("found %s %" PRIu32 ": %s", mailbox_path(mb), uid, error_text(err));
	else if (err < 0 && !mailbox_find(mb, uid))
		acts_tell("found %s %" PRIu32 ": %s", mailbox_path(mb), uid, error_text(ERR_GONE));
	else
		find_message(mb, uid);
	mailbox_release(mb);
}

static void find_message(struct mailbox *mb, uint32_t uid)
{
	struct cache_message *m = mailbox_find(mb, uid);

	if (m && !sizes_can_show(mb, m)) {
		acts_tell("found %s %" PRIu32 ": no size yet", mailbox_path(mb), uid);
	} else if (m) {
		sizes_note_shown(mb, m);
		acts_tell("found %s %" PRIu32 ": %" PRIu64 " octets%s", mailbox_path(mb), uid,
			m->size, m->flags & CACHE_SIZE_PROVED ? ", proved" : "");
	} else if (sync_knows(mb, uid)) {
		acts_tell("found %s %" PRIu32 ": %s", mailbox_path(mb), uid, error_text(ERR_GONE));
	} else {
		struct request *r = request_create(mb, uid);
		if (!glance_start(mb, uid))
			sync_start(mb);
		r->mailbox_wait = (struct mailbox_wait){.progress = true, .on_wake = find_on_wake};
		mailbox_wait(mb, &r->mailbox_wait);
	}
}

/* --- read --- */

static void put_part(struct buf *out, struct span octets, size_t from, size_t n)
{
	acts_put_octets(out, (struct span){octets.p + from, n});
}

/* What is long by its ends. */
static void tell_octets(const struct request *r, const struct body_parts *parts)
{
	struct buf all, text;

	oom_pause();
	buf_init(&all, BODY_READ_MAX);
	buf_init(&text, ACTS_LINE_MAX);
	for (int i = 0; i < parts->count; i++)
		if (buf_append(&all, parts->iov[i].iov_base, parts->iov[i].iov_len) < 0)
			abort();
	struct span octets = buf_span(&all);
	if (octets.n <= SHOWN) {
		put_part(&text, octets, 0, octets.n);
	} else {
		put_part(&text, octets, 0, SHOWN / 2);
		if (buf_append_span(&text, SPAN(" ... ")) < 0)
			abort();
		put_part(&text, octets, octets.n - SHOWN / 2, SHOWN / 2);
	}
	/* It is escaped already. */
	struct buf line;
	buf_init(&line, ACTS_LINE_MAX);
	if (buf_printf(&line, "octets %s %" PRIu32 " %" PRIu64 ": %zu%s%s", mailbox_path(r->mb),
		    r->uid, r->read.offset, octets.n, text.len ? ": " : "",
		    text.len ? buf_cstr(&text) : "") < 0)
		abort();
	if (!acts.muted)
		acts.told(buf_span(&line));
	buf_finish(&line);
	buf_finish(&text);
	buf_finish(&all);
	oom_resume();
}

void acts_end_read(struct request *r, int err, const struct body_parts *parts)
{
	if (err < 0)
		acts_tell("octets %s %" PRIu32 " %" PRIu64 ": %s",
			r->mb->dead ? r->mb->component : mailbox_path(r->mb), r->uid,
			r->read.offset, error_text(err));
	else
		tell_octets(r, parts);
	request_end(r);
}

static void read_on_done(struct body_read *read, int err, const struct body_parts *parts)
{
	acts_end_read(list_entry(read, struct request, read), err, parts);
}

static void read_message(struct mailbox *mb, uint32_t uid, uint64_t offset, size_t size)
{
	struct request *r = request_create(mb, uid);
	struct body_parts parts;

	r->read = (struct body_read){.mb = mb,
		.uid = uid,
		.offset = offset,
		.size = size < BODY_READ_MAX ? size : BODY_READ_MAX,
		.on_done = read_on_done};
	watch_read(acts.account->watch, mb);
	int err = body_read_try(&r->read, &parts);
	if (err == ERR_NOT_CACHED)
		body_read_start(&r->read);
	else
		acts_end_read(r, err, &parts);
}

/* --- flags --- */

static void tell_flags(struct mailbox *mb, uint32_t uid, int err)
{
	const struct cache_message *m = mailbox_find(mb, uid);
	struct flags_value value;
	struct buf text;

	if (mb->dead || !m) {
		acts_tell("flags %s %" PRIu32 ": %s", mb->component, uid, error_text(ERR_STALE));
		return;
	}
	bool known = flags_get(mb, m, &value);
	if (!known || (err < 0 && !acts_is_outage(err))) {
		acts_tell("flags %s %" PRIu32 ": %s", mailbox_path(mb), uid,
			err < 0 ? error_text(err) : "not known");
		return;
	}
	oom_pause();
	buf_init(&text, ACTS_LINE_MAX);
	if (imap_flags_print(&text, value.system, value.keywords) < 0)
		abort();
	acts_tell("flags %s %" PRIu32 ":%s%s", mailbox_path(mb), uid, text.len ? " " : "",
		buf_cstr(&text));
	buf_finish(&text);
	oom_resume();
}

static void flags_on_woken(struct flags_wait *w, int err)
{
	struct request *r = list_entry(w, struct request, flags);

	tell_flags(r->mb, r->uid, err);
	request_end(r);
}

static void ask_flags(struct mailbox *mb, uint32_t uid)
{
	const struct cache_message *m = mailbox_find(mb, uid);

	watch_read(acts.account->watch, mb);
	if (!m || flags_are_true(mb, m)) {
		tell_flags(mb, uid, 0);
		return;
	}
	struct request *r = request_create(mb, uid);
	r->flags = (struct flags_wait){.mb = mb, .uid = uid, .on_wake = flags_on_woken};
	flags_wait(&r->flags);
}

/* --- prove --- */

static void prove_on_done(struct proof *proof, int err)
{
	struct request *r = list_entry(proof, struct request, proof);

	acts_tell("proved %s %" PRIu32 ": %s", r->mb->dead ? r->mb->component : mailbox_path(r->mb),
		r->uid, err < 0 ? error_text(err) : "right or corrected");
	request_end(r);
}

static void prove_message(struct mailbox *mb, uint32_t uid)
{
	if (!mailbox_find(mb, uid)) {
		acts_tell("proved %s %" PRIu32 ": %s", mailbox_path(mb), uid, error_text(ERR_GONE));
		return;
	}
	struct request *r = request_create(mb, uid);
	r->proof = (struct proof){.mb = mb, .uid = uid, .on_done = prove_on_done};
	list_init(&r->proof.link);
	prove_start(&r->proof);
}

/* --- the tree --- */

static void put_tree(struct buf *out, struct mailbox *mb)
{
	uint32_t id = 0;

	for (struct mailbox *child; (child = mailbox_child_after(mb, id)); id = child->id) {
		if (buf_printf(out, mailbox_selectable(child) ? " %s" : " (%s)",
			    mailbox_path(child)) < 0)
			abort();
		put_tree(out, child);
	}
}

static void tell_tree(int err)
{
	struct buf paths;

	oom_pause();
	buf_init(&paths, ACTS_LINE_MAX);
	put_tree(&paths, acts.account->tree.root);
	acts_tell("tree:%s%s%s", paths.len ? buf_cstr(&paths) : "", err < 0 ? ": " : "",
		err < 0 ? error_text(err) : "");
	buf_finish(&paths);
	oom_resume();
}

static void tree_on_wake(struct lister_wait *w, int err)
{
	tell_tree(err);
	request_end(list_entry(w, struct request, lister_wait));
}

static void list_tree(void)
{
	struct request *r = request_create(NULL, 0);

	r->lister_wait.on_wake = tree_on_wake;
	if (!lister_fresh_try(acts.account, &r->lister_wait))
		return;
	tell_tree(0);
	request_end(r);
}

/* --- actions --- */

static bool act_list(struct span args)
{
	struct mailbox *mb = acts_take_mailbox(&args);

	if (mb)
		list_mailbox(mb, false);
	return true;
}

static bool act_peek(struct span args)
{
	struct mailbox *mb = acts_take_mailbox(&args);

	if (mb)
		list_mailbox(mb, true);
	return true;
}

static bool act_find(struct span args)
{
	struct mailbox *mb = acts_take_mailbox(&args);
	uint64_t uid;

	if (!acts_take_number(&args, &uid))
		return false;
	if (mb)
		find_message(mb, (uint32_t)uid);
	return true;
}

static bool act_read(struct span args)
{
	struct mailbox *mb = acts_take_mailbox(&args);
	uint64_t uid, offset, size;

	if (!acts_take_number(&args, &uid) || !acts_take_number(&args, &offset) ||
		!acts_take_number(&args, &size))
		return false;
	if (mb)
		read_message(mb, (uint32_t)uid, offset, size);
	return true;
}

static bool act_flags(struct span args)
{
	return acts_each_uid(args, ask_flags);
}

static bool act_prove(struct span args)
{
	return acts_each_uid(args, prove_message);
}

static bool act_tree(struct span args)
{
	list_tree();
	return true;
}

const struct act acts_of_reading[] = {
	{"list", act_list},
	{"peek", act_peek},
	{"find", act_find},
	{"read", act_read},
	{"flags", act_flags},
	{"prove", act_prove},
	{"tree", act_tree},
	{NULL, NULL},
};
