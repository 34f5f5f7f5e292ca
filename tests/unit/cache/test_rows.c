/* SPDX-License-Identifier: MIT */
/* Mailboxes, messages, the journal and ids. */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

/* Stands before libc's for SQLite too, so that flushes can be counted. */
static int flushes;
int fdatasync(int fd)
{
	__atomic_add_fetch(&flushes, 1, __ATOMIC_SEQ_CST);
	return (int)syscall(SYS_fdatasync, fd);
}

/* --- mailboxes --- */

/* As they come back: shorter names first. */
static const struct cache_mailbox mailboxes[] = {
	{.id = 70000, .name = {"", 0}, .uidvalidity = 5, .exists = 3},
	{.id = 1, .name = {"INBOX", 5}, .has_delimiter = true, .delimiter = '/'},
	{.id = 2,
		.name = {"a\0b\xff\x80", 5},
		.has_delimiter = true,
		.delimiter = (char)0xe9,
		.list_flags = UINT32_MAX,
		.uidvalidity = UINT32_MAX,
		.uidnext = UINT32_MAX,
		.highestmodseq = UINT64_MAX,
		.exists = UINT32_MAX,
		.complete = true,
		.listed = true,
		.changed = INT64_MAX},
	{.id = UINT32_MAX,
		.name = {"Archive.2020", 12},
		.has_delimiter = true,
		.delimiter = '.',
		.uidnext = 9,
		.highestmodseq = 1,
		.complete = true,
		.changed = -1},
};
#define MAILBOXES (sizeof(mailboxes) / sizeof(mailboxes[0]))

static void same_mailbox(void *ctx, const struct cache_mailbox *m)
{
	size_t *i = ctx;
	const struct cache_mailbox *right = &mailboxes[(*i)++];

	assert_int_equal(m->id, right->id);
	assert_true(span_equal(m->name, right->name));
	assert_int_equal(m->has_delimiter, right->has_delimiter);
	assert_int_equal(m->delimiter, right->delimiter);
	assert_int_equal(m->list_flags, right->list_flags);
	assert_int_equal(m->uidvalidity, right->uidvalidity);
	assert_int_equal(m->uidnext, right->uidnext);
	assert_true(m->highestmodseq == right->highestmodseq);
	assert_int_equal(m->exists, right->exists);
	assert_int_equal(m->complete, right->complete);
	assert_int_equal(m->listed, right->listed);
	assert_true(m->changed == right->changed);
}

static void test_mailboxes(void **state)
{
	struct fixture *f = *state;
	size_t seen = 0;

	fixture_open(f, MIB);
	assert_int_equal(count_mailboxes(f, NULL), 0);
	for (size_t i = MAILBOXES; i-- > 0;) {
		struct cache_mailbox other = mailboxes[i];

		other.name = SPAN("another name");
		other.uidvalidity = 77;
		other.has_delimiter = !other.has_delimiter;
		other.listed = !other.listed;
		other.changed = 5;
		cache_put_mailbox(f->c, &other);
		cache_put_mailbox(f->c, &mailboxes[i]);
	}
	fixture_reopen(f);
	cache_each_mailbox(f->c, same_mailbox, &seen);
	assert_int_equal(seen, MAILBOXES);
}

static void test_drop_mailbox(void **state)
{
	struct fixture *f = *state;
	struct cache_mailbox kept = mailbox_of(3, "kept"), dropped = mailbox_of(4, "dropped"), last;

	fixture_open(f, 100 * MIB);
	for (uint32_t id = 3; id <= 4; id++) {
		cache_put_mailbox(f->c, id == 3 ? &kept : &dropped);
		put_messages(f, id, 1, 1000);
		for (uint32_t uid = 1; uid <= 1000; uid++)
			put_chunk(f, id, uid, 0, 100);
	}
	fixture_settle(f);
	cache_drop_mailbox(f->c, 4);
	assert_false(has_chunk(f, 4, 1, 0, 100));
	/* What comes too late is not kept. */
	put_chunk(f, 4, 2000, 0, 100);
	put_messages(f, 4, 2000, 2001);
	cache_put_mailbox(f->c, &dropped);
	fixture_idle(f);
	assert_false(has_chunk(f, 4, 2000, 0, 100));
	assert_int_equal(counts_of(f).bytes, 100 * 1000);
	load(f, 4);
	assert_int_equal(f->err, 0);
	assert_int_equal(f->n, 0);
	load(f, 3);
	assert_int_equal(f->n, 1000);
	fixture_reopen(f);
	assert_int_equal(count_mailboxes(f, &last), 1);
	assert_int_equal(last.id, 3);
	assert_false(has_chunk(f, 4, 1, 0, 100));
	assert_true(has_chunk(f, 3, 1000, 0, 100));
	load(f, 4);
	assert_int_equal(f->n, 0);
}

/* Closed before the bodies are all removed: they are gone all the same, and their room later. */
static void test_drop_mailbox_and_close(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 100 * MIB);
	for (uint32_t uid = 1; uid <= 2000; uid++)
		put_chunk(f, 9, uid, 0, 10);
	cache_drop_mailbox(f->c, 9);
	fixture_reopen(f);
	assert_false(has_chunk(f, 9, 2000, 0, 10));
	put_messages(f, 9, 1, 1);
	put_messages(f, 10, 1, 1);
	fixture_idle(f);
	assert_int_equal(counts_of(f).bytes, 0);
	load(f, 9);
	assert_int_equal(f->n, 0);
}

/* --- messages --- */

static void check_message(const struct cache_message *m, uint32_t uid)
{
	struct cache_message right = message_of(uid);

	assert_int_equal(m->uid, right.uid);
	assert_int_equal(m->flags, right.flags);
	assert_true(m->size == right.size);
	assert_true(m->date == right.date);
}

static void test_messages(void **state)
{
	static const uint32_t unsorted[] = {129, 1, 127, UINT32_MAX, 128, 256, 2, 1u << 31, 255};
	static const uint32_t sorted[] = {1, 2, 127, 128, 129, 255, 256, 1u << 31, UINT32_MAX};
	static const uint32_t gone[] = {2, 256, 300, UINT32_MAX};
	static const uint32_t left[] = {1, 127, 128, 129, 255, 1u << 31};
	struct fixture *f = *state;

	fixture_open(f, MIB);
	for (size_t i = 0; i < 9; i++) {
		struct cache_message old = {.uid = unsorted[i], .size = 1};
		struct cache_message m = message_of(unsorted[i]);

		cache_put_messages(f->c, 5, &old, 1);
		cache_put_messages(f->c, 5, &m, 1);
	}
	/* Neighbours in the table. */
	put_messages(f, 4, UINT32_MAX - 1, UINT32_MAX);
	put_messages(f, 6, 1, 2);
	load(f, 5); /* sees what was queued before */
	assert_int_equal(f->err, 0);
	assert_int_equal(f->n, 9);
	for (size_t i = 0; i < 9; i++)
		check_message(&f->messages[i], sorted[i]);

	cache_drop_messages(f->c, 5, gone, 4);
	fixture_reopen(f);
	load(f, 5);
	assert_int_equal(f->n, 6);
	for (size_t i = 0; i < 6; i++)
		check_message(&f->messages[i], left[i]);
	load(f, 4);
	assert_int_equal(f->n, 2);
	check_message(&f->messages[1], UINT32_MAX);
	load(f, UINT32_MAX);
	assert_int_equal(f->n, 0);
	assert_null(f->messages);
}

#define MODEL_UIDS 3000u

static void check_model(struct fixture *f, uint32_t mailbox, const uint64_t *sizes)
{
	size_t at = 0;

	load(f, mailbox);
	for (uint32_t uid = 1; uid < MODEL_UIDS; uid++) {
		if (sizes[uid] == 0)
			continue;
		assert_true(at < f->n);
		assert_int_equal(f->messages[at].uid, uid);
		assert_int_equal(f->messages[at++].size, sizes[uid]);
	}
	assert_int_equal(at, f->n);
}

static void model_step(struct fixture *f, uint32_t mailbox, uint64_t *sizes, uint64_t stamp)
{
	struct cache_message messages[50];
	uint32_t uids[50];
	size_t n = (size_t)(rand() % 50) + 1;
	bool drop = rand() % 3 == 0;
	uint32_t uid = (uint32_t)rand() % MODEL_UIDS;

	for (size_t i = 0; i < n; i++) {
		uid = (uid + (uint32_t)(rand() % 40)) % (MODEL_UIDS - 1) + 1;
		messages[i] = (struct cache_message){.uid = uid, .size = stamp};
		uids[i] = uid;
		sizes[uid] = drop ? 0 : stamp;
	}
	if (drop)
		cache_drop_messages(f->c, mailbox, uids, n);
	else
		cache_put_messages(f->c, mailbox, messages, n);
}

static void test_messages_against_model(void **state)
{
	static uint64_t sizes[3][MODEL_UIDS];
	struct fixture *f = *state;

	srand(4711);
	fixture_open(f, MIB);
	for (uint64_t step = 1; step <= 600; step++) {
		uint32_t mailbox = (uint32_t)rand() % 3;

		model_step(f, mailbox + 1, sizes[mailbox], step);
		if (step % 97 == 0)
			fixture_reopen(f);
		if (step % 31 == 0)
			check_model(f, mailbox + 1, sizes[mailbox]);
	}
	for (uint32_t i = 0; i < 3; i++)
		check_model(f, i + 1, sizes[i]);
}

static void test_many_messages(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, MIB);
	for (uint32_t first = 1; first < 100000; first += 1000)
		put_messages(f, 1, first, first + 999);
	load(f, 1);
	assert_int_equal(f->n, 100000);
	for (uint32_t i = 0; i < 100000; i++)
		check_message(&f->messages[i], i + 1);
}

static void on_canceled_load(void *ctx, int err, struct cache_message *messages, size_t n)
{
	struct fixture *f = ctx;

	assert_int_equal(err, ERR_CANCELED);
	assert_null(messages);
	assert_int_equal(n, 0);
	f->pending--;
}

static void test_loads_are_canceled_by_close(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, MIB);
	for (int i = 0; i < 5; i++) {
		put_messages(f, 1, 1, 5000);
		f->pending++;
		cache_load_messages(f->c, 1, on_canceled_load, f);
	}
	assert_int_equal(f->pending, 5);
	cache_close(f->c);
	f->c = NULL;
	assert_int_equal(f->pending, 0);
}

/* --- the queue --- */

static bool is_writing(const struct fixture *f)
{
	return f->loop.active_reqs.count > 0;
}

/* A transaction for each row would write pages that hold hundreds. */
static void test_writes_are_gathered(void **state)
{
	struct fixture *f = *state;
	uint32_t uid = 7;

	fixture_open_gathering(f, MIB, 50);
	fixture_idle(f);
	put_messages(f, 1, 1, 100);
	put_messages(f, 2, 1, 100);
	assert_false(is_writing(f));
	/* Who waits is answered at once, with what was put before. */
	load(f, 2);
	assert_int_equal(f->err, 0);
	assert_int_equal(f->n, 100);
	fixture_idle(f);
	put_messages(f, 3, 1, 100);
	assert_false(is_writing(f));
	put_journal(f, 3, &uid, 1);
	assert_true(is_writing(f));
	fixture_idle(f);
	/* 1.2 MB are no crumbs. */
	put_messages(f, 4, 1, 50000);
	assert_true(is_writing(f));
	fixture_idle(f);
	/* And nothing is forgotten. */
	put_messages(f, 5, 1, 100);
	assert_false(is_writing(f));
	fixture_idle(f);
	assert_int_equal(counts_of(f).queued, 0);
}

/* --- the journal --- */

static void test_journal(void **state)
{
	struct fixture *f = *state;
	uint32_t uids[2000], mailbox;
	size_t n;

	fixture_open(f, MIB);
	assert_int_equal(count_journal(f, NULL, NULL), 0);
	for (uint32_t id = 3; id <= 5; id++) {
		for (uint32_t i = 0; i < 2000; i++)
			uids[i] = (i + 1) * id;
		put_journal(f, id, uids, 2000);
		put_journal(f, id, uids, id);
	}
	fixture_settle(f);
	assert_int_equal(f->err, 0);
	put_journal(f, 4, NULL, 0);
	fixture_reopen(f);
	assert_int_equal(count_journal(f, &mailbox, &n), 2);
	assert_int_equal(mailbox, 5);
	assert_int_equal(n, 5);
	put_journal(f, 3, NULL, 0);
	put_journal(f, 5, NULL, 0);
	fixture_reopen(f);
	assert_int_equal(count_journal(f, NULL, NULL), 0);
}

static void test_journal_is_flushed(void **state)
{
	struct fixture *f = *state;
	uint32_t uid = 7;

	fixture_open(f, MIB);
	put_messages(f, 1, 1, 100);
	fixture_idle(f);
	int before = __atomic_load_n(&flushes, __ATOMIC_SEQ_CST);
	put_messages(f, 1, 101, 200);
	fixture_idle(f);
	/* An ordinary write does not wait for the disk. */
	assert_int_equal(__atomic_load_n(&flushes, __ATOMIC_SEQ_CST), before);
	put_journal(f, 7, &uid, 1);
	fixture_settle(f);
	assert_int_equal(f->err, 0);
	assert_true(__atomic_load_n(&flushes, __ATOMIC_SEQ_CST) > before);
}

/* --- notes --- */

static void test_note(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, MIB);
	assert_int_equal(cache_get_note(f->c, CACHE_NOTE_SIZES), 0);
	put_chunk(f, 1, 1, 0, 1000);
	cache_put_note(f->c, CACHE_NOTE_SIZES, 1);
	cache_put_note(f->c, CACHE_NOTE_SIZES, INT64_MAX);
	fixture_settle(f);
	fixture_reopen(f);
	assert_int_equal(cache_get_note(f->c, CACHE_NOTE_SIZES), INT64_MAX);
	/* The sum of the bodies lies in the same table. */
	assert_int_equal(counts_of(f).bytes, 1000);
}

/* Those that are of the moment. */
static void test_other_flags_are_not_kept(void **state)
{
	struct fixture *f = *state;
	struct cache_message m = {.uid = 9, .size = 5, .flags = UINT32_MAX};

	fixture_open(f, MIB);
	cache_put_messages(f->c, 3, &m, 1);
	load(f, 3);
	assert_int_equal(f->n, 1);
	assert_int_equal(f->messages[0].flags, CACHE_MESSAGE_FLAGS);
}

/* --- flags --- */

static struct {
	unsigned calls;
	bool found;
	uint64_t modseq;
	char sets[64];
	size_t n;
} flags;

static void on_flags(void *ctx, const struct cache_flags *about)
{
	struct fixture *f = ctx;

	f->pending--;
	flags.calls++;
	flags.found = about;
	if (!about)
		return;
	flags.modseq = about->modseq;
	flags.n = about->sets.n;
	assert_true(flags.n <= sizeof(flags.sets));
	memcpy(flags.sets, about->sets.p, flags.n);
}

/* They come before messages that are asked for behind them. */
static void load_flags(struct fixture *f, uint32_t mailbox)
{
	flags.calls = 0;
	f->pending++;
	cache_load_flags(f->c, mailbox, on_flags, f);
	load(f, mailbox);
	assert_int_equal(flags.calls, 1);
	fixture_settle(f);
}

static void test_flags(void **state)
{
	struct fixture *f = *state;
	const struct cache_flags some = {UINT64_MAX, {"$Work\0a b", 10}}, none = {0};

	fixture_open(f, MIB);
	load_flags(f, 3);
	assert_false(flags.found);
	cache_put_flags(f->c, 3, &none);
	load_flags(f, 3);
	assert_true(flags.found);
	assert_int_equal(flags.n, 0);
	cache_put_flags(f->c, 3, &some);
	fixture_settle(f);
	fixture_reopen(f);
	load_flags(f, 3);
	assert_true(flags.found);
	assert_true(flags.modseq == UINT64_MAX);
	assert_int_equal(flags.n, 10);
	assert_memory_equal(flags.sets, some.sets.p, 10);
	load_flags(f, 4);
	assert_false(flags.found);
	cache_drop_mailbox(f->c, 3);
	cache_put_flags(f->c, 3, &some);
	load_flags(f, 3);
	assert_false(flags.found);
}

/* --- ids --- */

/* --- inodes of views --- */

struct seen_views {
	unsigned n;
	uint32_t id, mailbox, level;
	char key[16], state[16];
};

static void see_view(void *ctx, const struct cache_view *v)
{
	struct seen_views *seen = ctx;

	seen->n++;
	seen->id = v->id;
	seen->mailbox = v->mailbox;
	seen->level = v->level;
	memcpy(seen->state, v->state.p, v->state.n);
	snprintf(seen->key, sizeof(seen->key), "%.*s", (int)v->key.n, v->key.p);
}

/* They are remembered as long as their mailbox, and no id below them is given out again. */
static void test_views(void **state)
{
	struct fixture *f = *state;
	struct seen_views seen = {0};

	fixture_open(f, MIB);
	const struct cache_view other = {.id = 20, .mailbox = 8, .key = SPAN("mh")};
	const struct cache_view v = {.id = 70000,
		.mailbox = 7,
		.level = 3,
		.key = SPAN("text/1"),
		.state = SPAN("12\0"
			      "4")};
	cache_put_view(f->c, &other);
	cache_put_view(f->c, &v);
	cache_drop_mailbox(f->c, 8);
	cache_put_view(f->c, &other);
	fixture_reopen(f);
	cache_each_view(f->c, see_view, &seen);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.id, 70000);
	assert_int_equal(seen.mailbox, 7);
	assert_int_equal(seen.level, 3);
	assert_string_equal(seen.key, "text/1");
	assert_memory_equal(seen.state,
		"12\0"
		"4",
		5);
	assert_true(cache_new_id(f->c) > 70000);
}

static void test_ids(void **state)
{
	struct fixture *f = *state;
	uint32_t last = 0;

	for (int round = 0; round < 4; round++) {
		fixture_open(f, MIB);
		for (int i = 0; i < 500; i++) {
			uint32_t id = cache_new_id(f->c);

			assert_true(id > last);
			last = id;
		}
		cache_drop_mailbox(f->c, last);
		fixture_close(f);
	}
	assert_true(last < 50000);
}

/* Each id is in the file before it is given out, so not even a crash makes it come again. */
static void test_ids_are_written_first(void **state)
{
	struct fixture *f = *state;
	char text[16] = "";

	fixture_open(f, MIB);
	for (int i = 0; i < 300; i++) {
		int before = __atomic_load_n(&flushes, __ATOMIC_SEQ_CST);
		uint32_t id = cache_new_id(f->c);
		int fd = open(path_in(f, "cache.ids"), O_RDONLY);

		assert_int_equal(read(fd, text, 11), 11);
		close(fd);
		assert_true(strtoul(text, NULL, 10) > id);
		if (i == 0)
			assert_true(__atomic_load_n(&flushes, __ATOMIC_SEQ_CST) > before);
	}
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void test_ids_survive_the_database(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, MIB);
	uint32_t id = cache_new_id(f->c);
	fixture_close(f);
	write_file(path_in(f, "cache.db"), "this is no database, but long enough to look at");
	fixture_open(f, MIB);
	expect_log("kept as cache.db.damaged");
	assert_true(cache_new_id(f->c) > id);
}

static void test_ids_survive_the_counter(void **state)
{
	static const char *const contents[] = {
		"", "rubbish", "0000000000\n", "4294967295\n", "99999999999999\n", "12", "-5\n"};
	struct fixture *f = *state;
	struct cache_mailbox m = mailbox_of(1000000, "x");

	fixture_open(f, MIB);
	cache_put_mailbox(f->c, &m);
	fixture_close(f);
	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
		write_file(path_in(f, "cache.ids"), contents[i]);
		fixture_open(f, MIB);
		if (i > 0)
			expect_log("cache.ids is damaged");
		/* A counter that is lost goes on far above. */
		assert_true(cache_new_id(f->c) > (i > 0 ? 1010000 : 1000000));
		fixture_close(f);
	}
	unlink(path_in(f, "cache.ids"));
	fixture_open(f, MIB);
	assert_true(cache_new_id(f->c) > 1000000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_create, fixture_destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_mailboxes),
		TEST(test_drop_mailbox),
		TEST(test_drop_mailbox_and_close),
		TEST(test_messages),
		TEST(test_messages_against_model),
		TEST(test_many_messages),
		TEST(test_loads_are_canceled_by_close),
		TEST(test_writes_are_gathered),
		TEST(test_journal),
		TEST(test_journal_is_flushed),
		TEST(test_note),
		TEST(test_other_flags_are_not_kept),
		TEST(test_flags),
		TEST(test_views),
		TEST(test_ids),
		TEST(test_ids_are_written_first),
		TEST(test_ids_survive_the_database),
		TEST(test_ids_survive_the_counter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
