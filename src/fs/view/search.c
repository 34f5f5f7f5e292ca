/* SPDX-License-Identifier: MIT */
/*
 * MAILBOX/.search/QUERY/: the messages that meet a query, the same files as in the mailbox. A look-up
 * of the name reads the query; opening the directory carries it out: by what is known here of flags,
 * dates, sizes, header fields and attachments, and by SEARCH for what only the server knows. Reading a
 * name in it counts on what was found last, for a while.
 *
 * On level 0 a node is .search itself, and keeps the mailbox's queries; query n is level n.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "fs/fresh.h"
#include "fs/listing.h"
#include "fs/view/private.h"
#include "fs/view/query.h"
#include "mail/model/flags.h"
#include "mail/model/uidset.h"
#include "mail/parts/facts.h"
#include "mail/sync/flags_ask.h"
#include "mail/sync/watch.h"

/* Queries of a mailbox that are kept. */
#define SEARCHES_MAX 1000u
/* Milliseconds for which what was found is good for who looks at names. */
#define SEARCH_FRESH 10000
#define SEARCH_TIMEOUT 60.0
/* Messages that are looked at in one turn of the loop. */
#define STEP_MESSAGES 2000u

struct search {
	struct query query;
	struct span name;                     /* owned */
	struct uidset asked[QUERY_TERMS_MAX]; /* what the server found, for each term */
	bool known[QUERY_TERMS_MAX];
	struct uidset found;
	struct uidset finding; /* while it is carried out: up to this UID */
	uint32_t at;
	bool made;
	uint64_t made_at; /* uv_now */
};

struct searches {
	struct search *of[SEARCHES_MAX];
	unsigned count;
};

static struct searches *searches_of(struct view_node *node)
{
	if (!node->data)
		node->data = mem_zalloc(sizeof(struct searches));
	return node->data;
}

static void search_free(struct search *s)
{
	for (unsigned i = 0; i < QUERY_TERMS_MAX; i++)
		uidset_finish(&s->asked[i]);
	uidset_finish(&s->found);
	uidset_finish(&s->finding);
	query_finish(&s->query);
	free((char *)(uintptr_t)s->name.p);
	free(s);
}

static void search_forget(struct view_node *node)
{
	struct searches *all = node->data;

	for (unsigned i = 0; all && i < all->count; i++)
		search_free(all->of[i]);
	free(all);
}

/* Of a directory; NULL: .search itself, or a query of an earlier mount. */
static struct search *search_of(const struct fs_op *op)
{
	uint32_t level = op->at.node->level;
	struct view_node *top = view_find_node(op->fs, &view_search, op->mb, 0);
	struct searches *all = top && level > 0 ? top->data : NULL;

	return all && level <= all->count ? all->of[level - 1] : NULL;
}

/* --- queries --- */

/* The level of a query; 0: it is none, or there are too many. */
static uint32_t find_query(struct searches *all, struct span name, int *error)
{
	struct search *s;

	for (unsigned i = 0; i < all->count; i++)
		if (span_equal(all->of[i]->name, name))
			return i + 1;
	*error = all->count == SEARCHES_MAX ? ENOSPC : ENOENT;
	if (all->count == SEARCHES_MAX)
		return 0;
	s = mem_zalloc(sizeof(*s));
	if (query_parse(&s->query, name) < 0) {
		search_free(s);
		return 0;
	}
	s->name = (struct span){mem_copy(name.p, name.n), name.n};
	all->of[all->count++] = s;
	return all->count;
}

static void lookup_query(struct fs_op *op)
{
	struct searches *all = searches_of(op->at.node);
	int error = ENOENT;
	uint32_t level = find_query(all, span_of(op->octets), &error);

	if (level == 0)
		op_reply_errno(op, error);
	else
		view_found(op, (struct view_at){view_node(op->fs, &view_search, op->mb, level), 0});
}

/* --- carrying out --- */

static void flags_of(const struct mailbox *mb, const struct cache_message *m, unsigned *flags)
{
	struct flags_value value = {0};

	flags_get(mb, m, &value);
	*flags = value.system;
}

/* 0, also where it is not told; or an error. */
static int know_summary(struct mailbox *mb, uint32_t uid, struct query_message *message)
{
	int err = facts_summary(mb, uid, &message->summary);

	if (err == ERR_UNREADABLE || err == ERR_LIMIT) {
		message->unknown |= QUERY_NO_SUMMARY;
		return 0;
	}
	return err;
}

/* The same; message->structure is to be finished, unless it is NULL. */
static int know_structure(struct mailbox *mb, uint32_t uid, struct mime_structure *structure,
	struct query_message *message)
{
	int err = facts_structure(mb, uid, structure);

	if (err == ERR_UNREADABLE || err == ERR_LIMIT) {
		message->unknown |= QUERY_NO_STRUCTURE;
		return 0;
	}
	if (err == 0)
		message->structure = structure;
	return err;
}

/* Whether the message meets the query, or may, or an error. */
static int judge(struct search *s, struct mailbox *mb, const struct cache_message *m)
{
	const struct query *q = &s->query;
	struct query_message message = {.size = m->size, .date = m->date};
	struct mime_structure structure;
	bool met[QUERY_TERMS_MAX] = {false};
	int err = 0;

	if (m->flags & CACHE_SIZE_UNKNOWN)
		message.unknown |= QUERY_NO_SIZE;
	if (m->flags & CACHE_DATE_UNKNOWN)
		message.unknown |= QUERY_NO_DATE;
	flags_of(mb, m, &message.flags);
	for (unsigned i = 0; i < q->count; i++)
		met[i] = s->known[i] && uidset_has(&s->asked[i], m->uid);
	if (query_wants_summary(q))
		err = know_summary(mb, m->uid, &message);
	if (err == 0 && query_wants_structure(q))
		err = know_structure(mb, m->uid, &structure, &message);
	if (err < 0)
		return err;
	bool matches = query_matches(q, &message, met);
	if (message.structure)
		mime_structure_finish(&structure);
	return matches;
}

/* 1: all are
 * found; 0: there are more to be looked at, after the loop's next turn. */
static int find_some(struct search *s, struct mailbox *mb)
{
	for (unsigned n = 0; n < STEP_MESSAGES; n++) {
		const struct cache_message *m = s->at < UINT32_MAX ? mailbox_after(mb, s->at)
								   : NULL;
		if (!m)
			return 1;
		s->at = m->uid;
		int matches = mailbox_hidden(mb, m->uid) ? 0 : judge(s, mb, m);
		if (matches < 0)
			return matches;
		if (matches)
			uidset_add(&s->finding, m->uid, m->uid);
	}
	return 0;
}

static void begin_finding(struct search *s)
{
	uidset_clear(&s->finding);
	s->at = 0;
}

static void go_on(struct fs_op *op);

static void search_sought(struct fs_op *op, int err)
{
	struct search *s = search_of(op);

	if (op->mb->dead || !s) {
		op_fail(op, ERR_STALE);
		return;
	}
	if (err < 0) {
		op_fail(op, err);
		return;
	}
	uidset_copy(&s->asked[op->term], op->sought);
	s->known[op->term] = true;
	go_on(op);
}

static void search_asked(struct fs_op *op, int err)
{
	if (op->mb->dead)
		op_fail(op, ERR_STALE);
	else if (err < 0)
		op_fail(op, err);
	else
		go_on(op);
}

/* Waits for facts that are missing. True: it does, or the op has ended. */
static bool wait_for_facts(struct fs_op *op, enum fact kind)
{
	int err = facts_try_all(op->mb, kind);

	if (err == 0)
		return false;
	op->uid = 0;
	op->expire = NULL;
	if (err == ERR_NOT_CACHED)
		op_wait_facts(op, kind, search_asked);
	else
		op_fail(op, err);
	return true;
}

/* Asks the server for a term that it has not been asked for. */
static bool wait_for_server(struct fs_op *op, const struct search *s)
{
	static const enum seek_as as[] = {[QUERY_BODY] = SEEK_BODY,
		[QUERY_TEXT] = SEEK_TEXT,
		[QUERY_IMAP] = SEEK_KEYS,
		[QUERY_GMAIL] = SEEK_GMAIL};

	for (unsigned i = 0; i < s->query.count; i++) {
		const struct query_term *t = &s->query.terms[i];
		if (!query_is_asked(t) || s->known[i])
			continue;
		op->term = i;
		op->expire = NULL;
		op_wait_seek(op, as[t->kind], t->text, search_sought);
		return true;
	}
	return false;
}

static void go_on(struct fs_op *op)
{
	struct search *s = search_of(op);

	if (!s) {
		op_fail(op, ERR_STALE);
		return;
	}
	if (mailbox_count(op->mb) > 0 &&
		((query_wants_summary(&s->query) && wait_for_facts(op, FACT_SUMMARY)) ||
			(query_wants_structure(&s->query) && wait_for_facts(op, FACT_STRUCTURE)) ||
			wait_for_server(op, s)))
		return;
	/* Several may wait for it, and each goes on in its turn. */
	int found = find_some(s, op->mb);
	if (found == 0) {
		op->expire = NULL;
		op_wait_turn(op, search_asked);
		return;
	}
	if (found > 0)
		uidset_copy(&s->found, &s->finding);
	begin_finding(s);
	/* A message came in meanwhile. */
	if (found == ERR_NOT_CACHED)
		go_on(op);
	else if (found < 0)
		op_fail(op, found);
	if (found < 0)
		return;
	s->made = true;
	s->made_at = uv_now(op->fs->loop);
	op->sized(op, 0);
}

static void search_flagged(struct fs_op *op, int err)
{
	go_on(op);
}

static void search_known(struct fs_op *op, int err)
{
	const struct search *s = search_of(op);

	op->uid = 0;
	if (s && query_wants_flags(&s->query))
		fresh_flags(op, search_flagged);
	else
		go_on(op);
}

/* Goes on with op->sized when it is known what meets the query. */
static void when_found(struct fs_op *op, op_resume *then)
{
	const struct search *s = search_of(op);

	op->sized = then;
	watch_read(op->fs->account->watch, op->mb);
	if (s && query_wants_summary(&s->query))
		fresh_whole_summed(op, search_known);
	else
		fresh_whole(op, search_known);
}

static bool is_fresh(const struct fs_op *op, const struct search *s)
{
	return s->made && uv_now(op->fs->loop) < s->made_at + SEARCH_FRESH;
}

/* --- names in a query's directory --- */

/* op->offset keeps the UID meanwhile. */
static void message_found(struct fs_op *op, int err)
{
	struct search *s = search_of(op);

	op->uid = (uint32_t)op->offset;
	op->offset = 0;
	/* It may not meet the query any more when it is looked at again. */
	op->given = true;
	if (!s || !uidset_has(&s->found, op->uid))
		op_fail(op, ERR_GONE);
	else
		view_found_message(op);
}

static void search_lookup(struct fs_op *op)
{
	struct search *s = search_of(op);
	uint32_t uid;

	if (op->at.node->level == 0) {
		lookup_query(op);
		return;
	}
	if (!s || !entry_parse_number(op->fs, op->mb, op->octets, &uid)) {
		op_reply_errno(op, ENOENT);
		return;
	}
	op->offset = uid;
	if (is_fresh(op, s) && uidset_has(&s->found, uid))
		message_found(op, 0);
	else
		when_found(op, message_found);
}

/* --- directories --- */

static void search_attributes(struct fs_op *op)
{
	struct stat st;

	if (op->at.node->level > 0 && !search_of(op)) {
		op_fail(op, ERR_STALE);
		return;
	}
	view_stat_directory(op->fs, op->at, op->mb, &st);
	view_answer_attributes(op, &st, SEARCH_TIMEOUT, 0);
}

static void opendir_found(struct fs_op *op, int err)
{
	fuse_reply_open(op->req, &op->fi);
	op_end(op);
}

static void search_opendir(struct fs_op *op)
{
	struct search *s = search_of(op);

	if (!s) {
		opendir_found(op, 0);
		return;
	}
	memset(s->known, 0, sizeof(s->known));
	begin_finding(s);
	when_found(op, opendir_found);
}

static void put_messages(struct listing *l, const struct search *s)
{
	uint64_t off = l->op->offset;
	uint32_t uid = LISTING_KIND(off) == LISTING_MESSAGE ? (uint32_t)off : 0;
	struct mailbox *mb = l->op->mb;
	char name[NAME_MAX + 1];
	struct stat st;

	while ((uid = uidset_after(&s->found, uid)) != 0) {
		const struct cache_message *m = mailbox_shown(mb, uid);
		if (!m)
			continue;
		entry_stat_message(l->op->fs, mb, m, &st);
		entry_number(l->op->fs, mb, uid, name);
		if (!listing_put(l, name, &st, false, 0, LISTING_MESSAGE | uid))
			return;
	}
}

static void list_found(struct fs_op *op, int err)
{
	const struct search *s = search_of(op);
	struct listing l;

	listing_begin(&l, op);
	if (listing_put_dots(&l, op->ino, op->ino) && s)
		put_messages(&l, s);
	listing_end(&l);
}

static void search_list(struct fs_op *op)
{
	const struct search *s = search_of(op);

	if (s && !s->made)
		when_found(op, list_found);
	else
		list_found(op, 0);
}

const struct view view_search = {
	.name = ".search",
	.key = "search",
	.place = VIEW_DIRECTORY,
	.selectable = true,
	.lookup = search_lookup,
	.list = search_list,
	.attributes = search_attributes,
	.opendir = search_opendir,
	.forget = search_forget,
};
