/* SPDX-License-Identifier: MIT */
/*
 * A set's number is its place in the array, and stays: rows, also those in the cache, have it. Where
 * a mailbox has more sets than a row has numbers, the last number stands for a set that is kept
 * beside, by UID; the cache does not keep those, they are asked for again.
 */
#include "mail/model/flags.h"

#include <search.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/model/flagdiff.h"
#include "mail/model/tree.h"

/* The number that stands for a set in `others`. */
#define OTHER CACHE_KEYWORDS_MAX
/* Messages that are handed to the cache at once. */
#define SAVE_MAX 1024
/* Keywords of one message. */
#define WORDS_MAX 1024

/* Keywords, as struct flags_value has them. */
struct flags_set {
	uint32_t number;
	size_t n;
	char words[]; /* a NUL behind them */
};

static int compare_sets(const void *a, const void *b)
{
	return strcmp(((const struct flags_set *)a)->words, ((const struct flags_set *)b)->words);
}

struct flags *flags_follow(struct mailbox *mb)
{
	if (mb->flags)
		return mb->flags;
	mb->flags = mem_zalloc(sizeof(*mb->flags));
	map_init(&mb->flags->others);
	map_init(&mb->flags->emailids);
	map_init(&mb->flags->promised);
	list_init(&mb->flags->waiters);
	mb->flags->sets_unsaved = true;
	return mb->flags;
}

static void free_value(void *ctx, uint64_t key, void *value)
{
	free(value);
}

void flags_forget(struct mailbox *mb)
{
	struct flags *f = mb->flags;

	if (!f)
		return;
	tdestroy(f->by_words, free);
	map_each(&f->others, free_value, NULL);
	map_finish(&f->others);
	map_each(&f->emailids, free_value, NULL);
	map_finish(&f->emailids);
	map_each(&f->promised, free_value, NULL);
	map_finish(&f->promised);
	free(f->sets);
	free(f->unsaved);
	free(f);
	mb->flags = NULL;
}

/* --- keywords --- */

static int compare_words(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	int order = imap_keyword_compare(*x, *y);

	/* Of those that differ in case the same comes first each time. */
	return order ? order : memcmp(x->p, y->p, x->n);
}

bool flags_sort_keywords(struct span words, struct buf *out)
{
	struct span list[WORDS_MAX];
	size_t n = 0;

	while (n < WORDS_MAX && imap_keyword_next(&words, &list[n]))
		n++;
	if (n > 1)
		qsort(list, n, sizeof(*list), compare_words);
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && imap_keyword_compare(list[i], list[i - 1]) == 0)
			continue;
		if (out->len > 0 && buf_append_char(out, ' ') < 0)
			return false;
		if (buf_append_span(out, list[i]) < 0)
			return false;
	}
	return n < WORDS_MAX;
}

/* --- sets --- */

static struct flags_set *make_set(struct span words)
{
	struct flags_set *set = mem_alloc(sizeof(*set) + words.n + 1);

	memcpy(set->words, words.p, words.n);
	set->words[words.n] = '\0';
	set->n = words.n;
	return set;
}

static void keep_set(struct flags *f, struct flags_set *set)
{
	f->sets = array_grow(f->sets, &f->set_room, f->set_count + 1, sizeof(struct flags_set *));
	f->sets[f->set_count++] = set;
	f->octets += set->n + 1;
	f->sets_unsaved = true;
	set->number = (uint32_t)f->set_count;
}

/* Takes over the set. Returns its number, or OTHER, with the set in `others`. */
static uint32_t intern_set(struct flags *f, uint32_t uid, struct flags_set *set)
{
	struct flags_set **found = tfind(set, &f->by_words, compare_sets);

	if (found) {
		free(set);
		return (*found)->number;
	}
	if (f->set_count + 1 < OTHER) {
		mem_check(tsearch(set, &f->by_words, compare_sets));
		keep_set(f, set);
		return set->number;
	}
	f->octets += set->n + 1;
	map_put(&f->others, uid, set);
	return OTHER;
}

static void drop_other(struct flags *f, uint32_t uid)
{
	struct flags_set *set = map_remove(&f->others, uid);

	if (set)
		f->octets -= set->n + 1;
	free(set);
}

/* The number for a message's keywords. */
static uint32_t number_of(struct mailbox *mb, uint32_t uid, struct span keywords)
{
	struct flags *f = mb->flags;

	if (keywords.n == 0)
		return 0;
	if (f->octets + keywords.n < FLAGS_SETS_MAX)
		return intern_set(f, uid, make_set(keywords));
	if (!f->left_out_logged)
		log_warning("%s: the keywords of its messages are too many: some are left out",
			mailbox_path(mb));
	f->left_out_logged = true;
	return 0;
}

static uint32_t row_number(const struct cache_message *m)
{
	return m->flags >> CACHE_KEYWORDS_SHIFT;
}

static struct span keywords_of(const struct flags *f, const struct cache_message *m)
{
	uint32_t number = row_number(m);
	const struct flags_set *set = NULL;

	if (number == OTHER)
		set = map_get(&f->others, m->uid);
	else if (number > 0 && number <= f->set_count)
		set = f->sets[number - 1];
	return set ? (struct span){set->words, set->n} : (struct span){0};
}

/* --- messages --- */

bool flags_get(const struct mailbox *mb, const struct cache_message *m, struct flags_value *value)
{
	if (!mb->flags || !(m->flags & CACHE_FLAGS_KNOWN))
		return false;
	*value = (struct flags_value){
		.system = (m->flags & CACHE_SYSTEM_FLAGS) >> CACHE_SYSTEM_SHIFT,
		.keywords = keywords_of(mb->flags, m),
	};
	return true;
}

static void note_unsaved(struct mailbox *mb, uint32_t uid)
{
	struct flags *f = mb->flags;

	f->unsaved = array_grow(
		f->unsaved, &f->unsaved_room, f->unsaved_count + 1, sizeof(*f->unsaved));
	f->unsaved[f->unsaved_count++] = uid;
	if (f->unsaved_count == SAVE_MAX)
		flags_save(mb);
}

static bool put_shown(struct mailbox *mb, struct cache_message *m, const struct flags_value *value)
{
	struct flags_value old;
	bool known = flags_get(mb, m, &old);

	if (known && old.system == value->system && span_equal(old.keywords, value->keywords))
		return false;
	if (row_number(m) == OTHER)
		drop_other(mb->flags, m->uid);
	uint32_t number = number_of(mb, m->uid, value->keywords);
	m->flags &= ~CACHE_OWN_FLAGS;
	m->flags |= CACHE_FLAGS_KNOWN | value->system << CACHE_SYSTEM_SHIFT |
		    number << CACHE_KEYWORDS_SHIFT;
	note_unsaved(mb, m->uid);
	mb->tree->notices->on_flags_changed(mb, m->uid);
	return true;
}

void flags_put_emailid(struct mailbox *mb, uint32_t uid, struct span id)
{
	struct flags *f = mb->flags;

	if (map_get(&f->emailids, uid) || f->emailid_octets + id.n >= FLAGS_SETS_MAX)
		return;
	map_put(&f->emailids, uid, mem_copy(id.p, id.n));
	f->emailid_octets += id.n + 1 + sizeof(struct map_slot);
}

const char *flags_emailid(const struct mailbox *mb, uint32_t uid)
{
	return mb->flags ? map_get(&mb->flags->emailids, uid) : NULL;
}

bool flags_put(struct mailbox *mb, struct cache_message *m, const struct flags_value *value)
{
	const char *diff = flags_promised(mb, m->uid);
	struct flags_value shown = *value;
	struct buf keywords;

	if (!diff)
		return put_shown(mb, m, value);
	buf_init(&keywords, FLAGS_TEXT_MAX);
	bool ok = flagdiff_apply(span_of(diff), value, &shown, &keywords) == 0;
	bool changed = put_shown(mb, m, ok ? &shown : value);
	buf_finish(&keywords);
	return changed;
}

const char *flags_promised(const struct mailbox *mb, uint32_t uid)
{
	return mb->flags ? map_get(&mb->flags->promised, uid) : NULL;
}

void flags_promise(struct mailbox *mb, uint32_t uid, const char *diff)
{
	struct cache_message *m = mailbox_find(mb, uid);
	struct flags_value value;

	if (mb->flags)
		free(map_remove(&mb->flags->promised, uid));
	if (!diff)
		return;
	map_put(&mb->flags->promised, uid, mem_strdup(diff));
	if (!m || !flags_get(mb, m, &value))
		return;
	/* The value points into a set, which stays. */
	flags_put(mb, m, &value);
}

void flags_doubt(struct mailbox *mb, struct cache_message *m)
{
	m->flags &= ~(uint32_t)CACHE_FLAGS_KNOWN;
	note_unsaved(mb, m->uid);
}

void flags_note_modseq(struct mailbox *mb, uint64_t modseq)
{
	if (modseq > mb->flags->modseq)
		mb->flags->modseq = modseq;
}

/* --- the cache --- */

static void save_about(struct mailbox *mb, uint64_t modseq)
{
	struct flags *f = mb->flags;
	size_t used = 0, n = 0;

	for (size_t i = 0; i < f->set_count; i++)
		n += f->sets[i]->n + 1;
	char *sets = mem_alloc(n + 1);
	for (size_t i = 0; i < f->set_count; used += f->sets[i++]->n + 1)
		memcpy(sets + used, f->sets[i]->words, f->sets[i]->n + 1);
	const struct cache_flags about = {.modseq = modseq, .sets = {sets, n}};
	cache_put_flags(mb->tree->cache, mb->id, &about);
	free(sets);
	f->sets_unsaved = false;
	f->saved_modseq = modseq;
}

static void save_messages(struct mailbox *mb)
{
	struct flags *f = mb->flags;
	struct cache_message *messages = mem_resize(NULL, f->unsaved_count, sizeof(*messages));
	size_t n = 0;

	for (size_t i = 0; i < f->unsaved_count; i++) {
		const struct cache_message *m = mailbox_find(mb, f->unsaved[i]);
		if (m)
			messages[n++] = *m;
	}
	cache_put_messages(mb->tree->cache, mb->id, messages, n);
	free(messages);
	f->unsaved_count = 0;
}

/* New sets go before the messages that have them, and a modseq behind the messages that it covers:
 * what is cut off between is true. */
void flags_save(struct mailbox *mb)
{
	struct flags *f = mb->flags;

	if (!f || mb->dead || mb->uidvalidity == 0)
		return;
	if (f->sets_unsaved)
		save_about(mb, f->saved_modseq);
	if (f->unsaved_count > 0)
		save_messages(mb);
	if (f->modseq != f->saved_modseq)
		save_about(mb, f->modseq);
}

void flags_load(struct mailbox *mb, const struct cache_flags *about)
{
	struct flags *f = flags_follow(mb);
	const char *p = about->sets.p, *end = p + about->sets.n;

	while (p < end) {
		size_t n = strlen(p);
		struct flags_set *set = make_set((struct span){p, n});
		mem_check(tsearch(set, &f->by_words, compare_sets));
		keep_set(f, set);
		p += n + 1;
	}
	f->modseq = f->saved_modseq = about->modseq;
	f->sets_unsaved = false;
}

void flags_check_loaded(const struct mailbox *mb, struct cache_message *messages, size_t n)
{
	size_t sets = mb->flags ? mb->flags->set_count : 0;

	for (size_t i = 0; i < n; i++)
		if (row_number(&messages[i]) > sets || !mb->flags)
			messages[i].flags &= ~CACHE_OWN_FLAGS;
}
