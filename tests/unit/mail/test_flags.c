/* SPDX-License-Identifier: MIT */
/* The flags of a mailbox's messages, with a cache in memory and nothing else of an account. */
#include "mail/model/flags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "mail/model/flagdiff.h"
#include "mail/model/tree.h"

/* More than there are numbers for sets. */
#define MANY 5000

static unsigned changes;

static void ignore_mailbox(struct mailbox *mb)
{
}

static void ignore_removed(struct mailbox *mb, uint32_t uid)
{
}

static void count_change(struct mailbox *mb, uint32_t uid)
{
	changes++;
}

static const struct tree_notices notices = {
	.on_removed = ignore_removed,
	.on_flags_changed = count_change,
	.on_killed = ignore_mailbox,
	.on_freed = ignore_mailbox,
};

struct fixture {
	uv_loop_t loop;
	struct tree tree;
	struct mailbox *mb;
	struct cache_message *messages;
	size_t n;
	bool loaded;
};

static struct mailbox *make_mailbox(struct fixture *f)
{
	struct mailbox *mb = mailbox_create(&f->tree, 7, SPAN("INBOX"));

	mb->uidvalidity = 9;
	return mb;
}

static int create(void **state)
{
	static const struct cache_options options = {.max_bytes = 1 << 20};
	struct fixture *f = calloc(1, sizeof(*f));
	char error[256];

	if (!f || uv_loop_init(&f->loop) != 0)
		return -1;
	f->tree.notices = &notices;
	f->tree.loop = &f->loop;
	f->tree.cache = cache_open(&f->loop, &options, error, sizeof(error));
	if (!f->tree.cache)
		return -1;
	f->mb = make_mailbox(f);
	changes = 0;
	*state = f;
	return 0;
}

static int destroy(void **state)
{
	struct fixture *f = *state;

	mailbox_destroy(f->mb);
	cache_close(f->tree.cache);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	int err = uv_loop_close(&f->loop);
	free(f);
	return err;
}

static void add(struct mailbox *mb, uint32_t uid)
{
	const struct cache_message m = {.uid = uid, .size = 10};

	mailbox_add(mb, &m);
}

static bool put(struct mailbox *mb, uint32_t uid, unsigned system, const char *keywords)
{
	const struct flags_value value = {system, span_of(keywords)};

	return flags_put(mb, mailbox_find(mb, uid), &value);
}

static void check(struct mailbox *mb, uint32_t uid, unsigned system, const char *keywords)
{
	struct flags_value value;

	assert_true(flags_get(mb, mailbox_find(mb, uid), &value));
	assert_int_equal(value.system, system);
	assert_int_equal(value.keywords.n, strlen(keywords));
	assert_true(span_equal(value.keywords, span_of(keywords)));
}

static void on_flags(void *ctx, const struct cache_flags *about)
{
	struct fixture *f = ctx;

	if (about)
		flags_load(f->mb, about);
}

static void on_messages(void *ctx, int err, struct cache_message *messages, size_t n)
{
	struct fixture *f = ctx;

	assert_int_equal(err, 0);
	flags_check_loaded(f->mb, messages, n);
	rows_take(&f->mb->messages.rows, messages, n);
	f->loaded = true;
}

/* What the next mount has. */
static void remount(struct fixture *f)
{
	flags_save(f->mb);
	mailbox_destroy(f->mb);
	f->mb = make_mailbox(f);
	f->loaded = false;
	cache_load_flags(f->tree.cache, 7, on_flags, f);
	cache_load_messages(f->tree.cache, 7, on_messages, f);
	while (!f->loaded)
		uv_run(&f->loop, UV_RUN_ONCE);
}

static void nothing_is_known_before(void **state)
{
	struct fixture *f = *state;
	struct flags_value value;

	add(f->mb, 1);
	assert_false(flags_get(f->mb, mailbox_find(f->mb, 1), &value));
	flags_follow(f->mb);
	assert_false(flags_get(f->mb, mailbox_find(f->mb, 1), &value));
	remount(f);
	assert_non_null(f->mb->flags);
}

static void changes_are_told(void **state)
{
	struct fixture *f = *state;
	struct flags_value value;

	flags_follow(f->mb);
	add(f->mb, 1);
	assert_true(put(f->mb, 1, 0, ""));
	check(f->mb, 1, 0, "");
	assert_false(put(f->mb, 1, 0, ""));
	assert_true(put(f->mb, 1, IMAP_FLAGS_KEPT, "$Work a"));
	check(f->mb, 1, IMAP_FLAGS_KEPT, "$Work a");
	assert_true(put(f->mb, 1, IMAP_FLAG_SEEN, "$Work a"));
	assert_false(put(f->mb, 1, IMAP_FLAG_SEEN, "$Work a"));
	assert_int_equal(changes, 3);
	flags_doubt(f->mb, mailbox_find(f->mb, 1));
	assert_false(flags_get(f->mb, mailbox_find(f->mb, 1), &value));
	assert_true(put(f->mb, 1, IMAP_FLAG_SEEN, "$Work a"));
}

/* A row that comes again says nothing of flags. */
static void they_stay(void **state)
{
	struct fixture *f = *state;

	flags_follow(f->mb);
	add(f->mb, 1);
	put(f->mb, 1, IMAP_FLAG_DRAFT, "x");
	struct cache_message m = *mailbox_find(f->mb, 1);
	m.size = 11;
	assert_false(mailbox_add(f->mb, &m));
	check(f->mb, 1, IMAP_FLAG_DRAFT, "x");
	put(f->mb, 1, 0, "y");
	flags_note_modseq(f->mb, 77);
	flags_note_modseq(f->mb, 76);
	remount(f);
	check(f->mb, 1, 0, "y");
	assert_int_equal(f->mb->flags->modseq, 77);
	/* The sets have the same numbers. */
	put(f->mb, 1, 0, "x");
	check(f->mb, 1, 0, "x");
	assert_int_equal(f->mb->flags->set_count, 2);
}

/* What has a number is remembered, and no message gets the set of another. */
static void more_sets_than_numbers(void **state)
{
	struct fixture *f = *state;
	unsigned unknown = 0;
	char words[32];

	flags_follow(f->mb);
	for (uint32_t uid = 1; uid <= MANY; uid++) {
		add(f->mb, uid);
		snprintf(words, sizeof(words), "k%u", uid % (MANY / 2));
		put(f->mb, uid, uid % 32, words);
	}
	for (int round = 0; round < 2; round++) {
		for (uint32_t uid = 1; uid <= MANY; uid++) {
			struct flags_value value;
			snprintf(words, sizeof(words), "k%u", uid % (MANY / 2));
			if (flags_get(f->mb, mailbox_find(f->mb, uid), &value))
				check(f->mb, uid, uid % 32, words);
			else
				unknown++;
		}
		assert_int_equal(unknown, round == 0 ? 0 : MANY - 2 * 2046);
		remount(f);
	}
	/* One that loses its own leaves nothing behind. */
	add(f->mb, MANY + 1);
	put(f->mb, MANY + 1, 0, "one more");
	check(f->mb, MANY + 1, 0, "one more");
	put(f->mb, MANY + 1, 0, "and another");
	put(f->mb, MANY + 1, 0, "");
	assert_int_equal(f->mb->flags->others.count, 0);
}

static void check_sorted(const char *words, const char *expected)
{
	struct buf out;

	buf_init(&out, FLAGS_KEYWORDS_MAX);
	assert_true(flags_sort_keywords(span_of(words), &out));
	assert_int_equal(out.len, strlen(expected));
	assert_true(span_equal(buf_span(&out), span_of(expected)));
	buf_finish(&out);
}

static void keywords_are_sorted(void **state)
{
	check_sorted("", "");
	check_sorted("\\Seen \\Recent", "");
	check_sorted("b \\Seen A  $x", "$x A b");
	check_sorted("Work work WORK", "WORK");
	check_sorted("(a {5} \"q\" z", "z");
	check_sorted("ab a abc", "a ab abc");
}

static void too_many_keywords(void **state)
{
	struct buf words, out;

	buf_init(&words, 1 << 20);
	buf_init(&out, FLAGS_KEYWORDS_MAX);
	for (unsigned i = 0; i < 20000; i++)
		assert_int_equal(buf_printf(&words, "k%u ", i), 0);
	assert_false(flags_sort_keywords(buf_span(&words), &out));
	buf_finish(&out);
	buf_finish(&words);
}

/* --- differences --- */

static void check_between(
	const char *from, const char *to, unsigned flags, unsigned flags_to, const char *expected)
{
	const struct flags_value a = {flags, span_of(from)}, b = {flags_to, span_of(to)};
	struct flags_value come;
	struct buf diff, keywords;

	buf_init(&diff, 2 * FLAGS_TEXT_MAX);
	buf_init(&keywords, FLAGS_TEXT_MAX);
	assert_int_equal(flagdiff_between(&a, &b, &diff), 0);
	assert_string_equal(buf_cstr(&diff), expected);
	/* What was to come of it comes of it, once or twice. */
	assert_int_equal(flagdiff_apply(buf_span(&diff), &a, &come, &keywords), 0);
	assert_int_equal(come.system, flags_to);
	assert_true(span_equal(come.keywords, span_of(to)));
	buf_clear(&keywords);
	assert_int_equal(flagdiff_apply(buf_span(&diff), &b, &come, &keywords), 0);
	assert_int_equal(come.system, flags_to);
	assert_true(span_equal(come.keywords, span_of(to)));
	buf_finish(&keywords);
	buf_finish(&diff);
}

static void differences(void **state)
{
	check_between("", "", 0, 0, "");
	check_between("", "", IMAP_FLAG_SEEN, IMAP_FLAG_SEEN, "");
	check_between("a b", "b c", 0, IMAP_FLAG_SEEN, "+\\Seen +c -a");
	check_between(
		"", "", IMAP_FLAGS_KEPT, 0, "-\\Seen -\\Answered -\\Flagged -\\Deleted -\\Draft");
	check_between("ab abc", "abc", 0, 0, "-ab");
}

/* Of what others did meanwhile nothing is undone. */
static void differences_spare_others(void **state)
{
	const struct flags_value now = {IMAP_FLAG_DELETED, SPAN("a theirs")};
	struct flags_value come;
	struct buf keywords;

	buf_init(&keywords, FLAGS_TEXT_MAX);
	assert_int_equal(flagdiff_apply(SPAN("+\\Seen +b -a"), &now, &come, &keywords), 0);
	assert_int_equal(come.system, IMAP_FLAG_SEEN | IMAP_FLAG_DELETED);
	assert_true(span_equal(come.keywords, SPAN("b theirs")));
	buf_finish(&keywords);
}

static void check_text(int (*f)(struct span a, struct span b, struct buf *out), const char *a,
	const char *b, const char *expected)
{
	struct buf out;

	buf_init(&out, 4 * FLAGS_TEXT_MAX);
	assert_int_equal(f(span_of(a), span_of(b), &out), 0);
	assert_string_equal(buf_cstr(&out), expected);
	buf_finish(&out);
}

static void merged(void **state)
{
	check_text(flagdiff_merge, "", "+a", "+a");
	check_text(flagdiff_merge, "+a -b", "", "+a -b");
	check_text(flagdiff_merge, "+a -b +c", "-A +b", "-A +b +c");
}

static void words_of_a_sign(void **state)
{
	struct buf out;

	buf_init(&out, FLAGS_TEXT_MAX);
	assert_int_equal(flagdiff_words(SPAN("+\\Seen -b +c"), '+', &out), 0);
	assert_string_equal(buf_cstr(&out), "\\Seen c");
	buf_clear(&out);
	assert_int_equal(flagdiff_words(SPAN("+\\Seen -b +c"), '-', &out), 0);
	assert_string_equal(buf_cstr(&out), "b");
	buf_finish(&out);
}

/* Whatever the server says meanwhile: what was promised shows. */
static void promises_show(void **state)
{
	struct fixture *f = *state;

	flags_follow(f->mb);
	add(f->mb, 1);
	put(f->mb, 1, IMAP_FLAG_SEEN, "a");
	flags_promise(f->mb, 1, "+b -\\Seen");
	check(f->mb, 1, 0, "a b");
	put(f->mb, 1, IMAP_FLAG_SEEN | IMAP_FLAG_DELETED, "a c");
	check(f->mb, 1, IMAP_FLAG_DELETED, "a b c");
	flags_promise(f->mb, 1, "-a");
	check(f->mb, 1, IMAP_FLAG_DELETED, "b c");
	assert_string_equal(flags_promised(f->mb, 1), "-a");
	flags_promise(f->mb, 1, NULL);
	assert_null(flags_promised(f->mb, 1));
	put(f->mb, 1, 0, "a");
	check(f->mb, 1, 0, "a");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, create, destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_known_before),
		TEST(changes_are_told),
		TEST(they_stay),
		TEST(more_sets_than_numbers),
		TEST(keywords_are_sorted),
		TEST(too_many_keywords),
		TEST(differences),
		TEST(differences_spare_others),
		TEST(merged),
		TEST(words_of_a_sign),
		TEST(promises_show),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
