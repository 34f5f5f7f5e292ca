/* SPDX-License-Identifier: MIT */
/*
 * Puts a file into a mailbox by mail/change/append.h, and copies it to another by mail/change/copy.h,
 * without a mount; in the clear:
 *
 *	put PORT USER PASSWORD TIMEOUT MAILBOX FILE [COPY_TO [TIMES]]
 *
 * Prints a line for each of the TIMES, which go on together: "appended UID listed|unlisted" or "not
 * appended: ERROR: REASON", then "copied UID" or "not copied: ERROR"; at last "peak N", the memory in
 * KiB. TIMEOUT is in milliseconds.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "mail/account.h"
#include "mail/change/append.h"
#include "mail/change/copy.h"
#include "mail/sync/sync.h"

#define TIMES_MAX 100

static struct {
	uv_loop_t loop;
	struct account *account;
	struct mailbox *to, *copy_to;
	struct append appends[TIMES_MAX];
	struct copy copies[TIMES_MAX];
	struct mailbox_wait rows[TIMES_MAX]; /* for that of the message to copy */
	const char *mailbox, *file, *copy_name;
	unsigned times, left, unlisted;
	int failed;
} at;

static void put_on_stopped(void *ctx)
{
	uv_stop(&at.loop);
}

static void one_less(void)
{
	if (--at.left == 0)
		account_stop(at.account, put_on_stopped);
}

static void put_on_copied(struct copy *c, int err)
{
	if (err < 0)
		printf("not copied: %s\n", error_text(err));
	else
		printf("copied %" PRIu32 "\n", c->new_uid);
	at.failed |= err < 0;
	one_less();
}

/* Of a message whose row has not come the copy cannot be told from others. */
static bool has_row(const struct copy *c)
{
	const struct cache_message *m = mailbox_find(c->from, c->uid);

	return !m || !(m->flags & (CACHE_SIZE_UNKNOWN | CACHE_DATE_UNKNOWN));
}

static void put_on_row(struct mailbox_wait *w, int err)
{
	struct copy *c = &at.copies[w - at.rows];

	if (err < 0 || has_row(c)) {
		copy_start(c);
		return;
	}
	sync_start(c->from);
	mailbox_wait(c->from, w);
}

static void put_on_appended(struct append *a, int err)
{
	size_t i = (size_t)(a - at.appends);
	bool listed = a->uid && mailbox_find(at.to, a->uid);

	at.failed |= err < 0;
	if (err < 0)
		printf("not appended: %s: %s\n", error_text(err), a->reason);
	else
		printf("appended %" PRIu32 " %s\n", a->uid, listed ? "listed" : "unlisted");
	if (err < 0 || !at.copy_to || a->uid == 0) {
		one_less();
		return;
	}
	at.copies[i] = (struct copy){
		.from = at.to, .uid = a->uid, .to = at.copy_to, .on_done = put_on_copied};
	at.rows[i].on_wake = put_on_row;
	put_on_row(&at.rows[i], 0);
}

static struct mailbox *find(const char *path)
{
	struct mailbox *mb = tree_by_path(&at.account->tree, span_of(path));

	if (!mb)
		fprintf(stderr, "put: there is no mailbox %s\n", path);
	return mb;
}

/* The mailboxes are listed. */
static void put_all(void)
{
	int fd = open(at.file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		exit(1);
	for (unsigned i = 0; i < at.times; i++) {
		at.appends[i] = (struct append){.mb = at.to, .fd = fd, .on_done = put_on_appended};
		append_start(&at.appends[i]);
	}
	close(fd);
}

static void put_on_listed(struct mailbox_wait *w, int err)
{
	free(w);
	if (err < 0) {
		fprintf(stderr, "put: %s\n", error_text(err));
		exit(1);
	}
	if (--at.unlisted == 0)
		put_all();
}

static void list(struct mailbox *mb)
{
	struct mailbox_wait *w = calloc(1, sizeof(*w));

	if (!w)
		exit(1);
	w->on_wake = put_on_listed;
	at.unlisted++;
	sync_start(mb);
	mailbox_wait(mb, w);
}

static void put_on_started(void *ctx, int err, const char *text)
{
	if (err < 0) {
		fprintf(stderr, "put: %s\n", text);
		exit(1);
	}
	at.to = find(at.mailbox);
	at.copy_to = at.copy_name ? find(at.copy_name) : NULL;
	if (!at.to || (at.copy_name && !at.copy_to))
		exit(1);
	list(at.to);
	if (at.copy_to)
		list(at.copy_to);
}

static void on_change(void *ctx, struct mailbox *mb)
{
}

static void on_gone(void *ctx, struct mailbox *mb, uint32_t uid)
{
}

static void on_size(void *ctx, struct mailbox *mb, uint32_t uid, bool at_once)
{
}

static void on_directory_gone(void *ctx, struct mailbox *parent, struct mailbox *mb)
{
}

static const struct account_observer observer = {
	.on_directory_changed = on_change,
	.on_message_gone = on_gone,
	.on_size_changed = on_size,
	.on_directory_gone = on_directory_gone,
};

static void run(const struct account_options *options)
{
	const struct cache_options in_memory = {.account = "put", .max_bytes = 1u << 20};
	char error[256];

	uv_loop_init(&at.loop);
	struct cache *cache = cache_open(&at.loop, &in_memory, error, sizeof(error));
	if (!cache)
		exit(1);
	at.account = account_create(&at.loop, options, cache, NULL, &observer, NULL);
	account_start(at.account, put_on_started);
	uv_run(&at.loop, UV_RUN_DEFAULT);
	account_destroy(at.account);
	cache_close(cache);
	uv_run(&at.loop, UV_RUN_DEFAULT);
	uv_loop_close(&at.loop);
}

/* What getrusage says is also that of who has started us. */
static void tell_peak(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[256];

	while (status && fgets(line, sizeof(line), status))
		if (strncmp(line, "VmHWM:", 6) == 0)
			printf("peak %ld\n", strtol(line + 6, NULL, 10));
	if (status)
		fclose(status);
}

int main(int argc, char **argv)
{
	if (argc < 7)
		return 2;
	const struct account_options options = {
		.pool = {.host = "127.0.0.1",
			.port = (uint16_t)strtoul(argv[1], NULL, 10),
			.login = {.user = argv[2], .password = argv[3]},
			.mode = POOL_TLS_NONE,
			.compress = POOL_COMPRESS_OFF,
			.timeout = strtoull(argv[4], NULL, 10),
			.connections = 4},
		.refresh = 60000,
		.sizes = SIZES_TRUST,
	};
	at.mailbox = argv[5];
	at.file = argv[6];
	at.copy_name = argc > 7 && *argv[7] ? argv[7] : NULL;
	at.times = argc > 8 ? (unsigned)strtoul(argv[8], NULL, 10) : 1;
	if (at.times == 0 || at.times > TIMES_MAX)
		return 2;
	at.left = at.times;
	run(&options);
	tell_peak();
	return at.failed;
}
