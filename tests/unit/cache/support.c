/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reports of sanitizers must be seen although stderr is captured. */
extern void __sanitizer_set_report_fd(void *fd) __attribute__((weak));

static int real_stderr = -1;
static int captured = -1; /* the reading end of a pipe, which no limit on files touches */

static int capture_stderr(void)
{
	int ends[2];

	fflush(stderr);
	if (pipe2(ends, O_CLOEXEC) != 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
		return -1;
	real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	captured = ends[0];
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	if (__sanitizer_set_report_fd)
		__sanitizer_set_report_fd((void *)(intptr_t)real_stderr);
	return 0;
}

static bool next_line(char *line, size_t size)
{
	size_t n = 0;

	fflush(stderr);
	while (n < size - 1 && read(captured, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
	return n > 0;
}

void expect_log(const char *text)
{
	char line[4096];

	if (!next_line(line, sizeof(line)))
		fail_msg("the log does not say '%s'", text);
	if (!strstr(line, text))
		fail_msg("the log says '%s', not '%s'", line, text);
}

void forgive_log(const char *text)
{
	char line[4096];

	while (next_line(line, sizeof(line)))
		if (!strstr(line, text))
			fail_msg("the log says '%s', not '%s'", line, text);
}

static void release_stderr(void)
{
	dup2(real_stderr, STDERR_FILENO);
	if (__sanitizer_set_report_fd)
		__sanitizer_set_report_fd((void *)(intptr_t)STDERR_FILENO);
	close(real_stderr);
	close(captured);
}

int fixture_create(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	/* In memory: thousands of flushes would wait for whoever else uses the disk. */
	snprintf(f->root, sizeof(f->root), "%s/cache-test-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(f->root) || uv_loop_init(&f->loop) != 0)
		return -1;
	snprintf(f->dir, sizeof(f->dir), "%s/a/b", f->root);
	*state = f;
	return capture_stderr();
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

int fixture_destroy(void **state)
{
	struct fixture *f = *state;
	char line[4096];

	if (f->c)
		fixture_close(f);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	int rc = uv_loop_close(&f->loop);
	nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f->messages);
	free(f);
	bool unexpected = next_line(line, sizeof(line));
	release_stderr();
	if (unexpected)
		fprintf(stderr, "not expected in the log: %s\n", line);
	return unexpected ? -1 : rc;
}

void fixture_open(struct fixture *f, uint64_t max_bytes)
{
	fixture_open_gathering(f, max_bytes, 0);
}

void fixture_open_gathering(struct fixture *f, uint64_t max_bytes, uint64_t gather)
{
	const struct cache_options options = {
		.dir = f->dir, .max_bytes = max_bytes, .gather = gather};
	char error[512] = "";

	f->c = cache_open(&f->loop, &options, error, sizeof(error));
	if (!f->c)
		fail_msg("%s", error);
}

void fixture_close(struct fixture *f)
{
	cache_close(f->c);
	f->c = NULL;
	uv_run(&f->loop, UV_RUN_DEFAULT);
}

void fixture_reopen(struct fixture *f)
{
	uint64_t max_bytes = counts_of(f).max_bytes;

	fixture_close(f);
	fixture_open(f, max_bytes);
}

void fixture_settle(struct fixture *f)
{
	while (f->pending > 0)
		uv_run(&f->loop, UV_RUN_ONCE);
	assert_int_equal(f->pending, 0);
}

void fixture_idle(struct fixture *f)
{
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->pending, 0);
}

char *make_octets(uint32_t mailbox, uint32_t uid, uint32_t chunk, size_t n)
{
	uint64_t x = ((uint64_t)mailbox << 32 | uid) * 31 + chunk + n;
	char *octets = malloc(n ? n : 1);

	for (size_t i = 0; i < n; i++) {
		if (i % 8 == 0)
			x = x * 6364136223846793005u + 1442695040888963407u;
		octets[i] = (char)(x >> 56 ^ i);
	}
	return octets;
}

static void on_chunk(void *ctx)
{
	struct fixture *f = ctx;

	f->pending--;
}

void put_chunk(struct fixture *f, uint32_t mailbox, uint32_t uid, uint32_t chunk, size_t n)
{
	int before = ++f->pending;

	cache_put_chunk(
		f->c, mailbox, uid, chunk, make_octets(mailbox, uid, chunk, n), n, on_chunk, f);
	assert_int_equal(f->pending, before);
}

bool has_chunk(struct fixture *f, uint32_t mailbox, uint32_t uid, uint32_t chunk, size_t n)
{
	char *data, *right;
	size_t length;

	enum cache_found found;

	while ((found = cache_get_chunk(f->c, mailbox, uid, chunk, &data, &length)) == CACHE_LATER)
		uv_sleep(1);
	if (found == CACHE_ABSENT)
		return false;
	right = make_octets(mailbox, uid, chunk, n);
	assert_int_equal(length, n);
	assert_memory_equal(data, right, n);
	free(right);
	free(data);
	return true;
}

struct cache_counts counts_of(struct fixture *f)
{
	struct cache_counts counts;

	cache_counts(f->c, &counts);
	return counts;
}

static void on_load(void *ctx, int err, struct cache_message *messages, size_t n)
{
	struct fixture *f = ctx;

	free(f->messages);
	f->messages = messages;
	f->n = n;
	f->err = err;
	f->pending--;
}

void load(struct fixture *f, uint32_t mailbox)
{
	f->pending++;
	cache_load_messages(f->c, mailbox, on_load, f);
	fixture_settle(f);
}

struct cache_message message_of(uint32_t uid)
{
	return (struct cache_message){.uid = uid,
		.flags = uid % 8,
		.size = ((uint64_t)uid << 20) + 7,
		.date = (int64_t)uid - 1000};
}

void put_messages(struct fixture *f, uint32_t mailbox, uint32_t first, uint32_t last)
{
	size_t n = last - first + 1;
	struct cache_message *messages = calloc(n, sizeof(*messages));

	for (size_t i = 0; i < n; i++)
		messages[i] = message_of(first + (uint32_t)i);
	cache_put_messages(f->c, mailbox, messages, n);
	free(messages);
}

static void on_journal(void *ctx, int err)
{
	struct fixture *f = ctx;

	f->err = err;
	f->pending--;
}

void put_journal(struct fixture *f, uint32_t mailbox, const uint32_t *uids, size_t n)
{
	int before = ++f->pending;

	cache_put_journal(f->c, mailbox, uids, n, on_journal, f);
	assert_int_equal(f->pending, before);
}

struct cache_mailbox mailbox_of(uint32_t id, const char *name)
{
	return (struct cache_mailbox){.id = id,
		.name = span_of(name),
		.has_delimiter = true,
		.delimiter = '/',
		.list_flags = id * 3,
		.uidvalidity = id + 1000,
		.uidnext = id + 2000,
		.highestmodseq = UINT64_MAX - id,
		.exists = id + 3000,
		.complete = true};
}

struct mailbox_count {
	size_t n;
	struct cache_mailbox last;
};

static void on_mailbox(void *ctx, const struct cache_mailbox *m)
{
	struct mailbox_count *count = ctx;

	count->n++;
	count->last = *m;
	count->last.name = (struct span){0};
}

size_t count_mailboxes(struct fixture *f, struct cache_mailbox *last)
{
	struct mailbox_count count = {0};

	cache_each_mailbox(f->c, on_mailbox, &count);
	if (last)
		*last = count.last;
	return count.n;
}

struct journal_count {
	size_t entries, n;
	uint32_t mailbox;
};

static void on_journal_entry(void *ctx, uint32_t mailbox, const uint32_t *uids, size_t n)
{
	struct journal_count *count = ctx;

	count->entries++;
	count->mailbox = mailbox;
	count->n = n;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(uids[i], (i + 1) * mailbox);
}

size_t count_journal(struct fixture *f, uint32_t *mailbox, size_t *n)
{
	struct journal_count count = {0};

	cache_each_journal(f->c, on_journal_entry, &count);
	if (mailbox)
		*mailbox = count.mailbox;
	if (n)
		*n = count.n;
	return count.entries;
}

const char *path_in(struct fixture *f, const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	return path;
}

long long size_in(struct fixture *f, const char *name)
{
	struct stat st;

	return lstat(path_in(f, name), &st) == 0 ? (long long)st.st_size : -1;
}

bool exists_in(struct fixture *f, const char *name)
{
	return size_in(f, name) >= 0;
}
