/* SPDX-License-Identifier: MIT */
/*
 * What must not go wrong when something else does: a full disk, a limit on file sizes, damage that
 * shows only later, kill -9. The full disks are small file systems in memory in a mount namespace
 * of this process; where the kernel does not allow one, these tests are skipped.
 */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"

#define KIB 1024u
#define SEGMENT "bodies/00000001"

/* --- damage that shows later --- */

/* Changes one octet behind the only place in the file that holds these. */
static void damage_after(struct fixture *f, const char *name, const void *octets, size_t n)
{
	size_t size = (size_t)size_in(f, name);
	char *all = malloc(size);
	int fd = open(path_in(f, name), O_RDWR);

	assert_int_equal(read(fd, all, size), size);
	char *at = memmem(all, size, octets, n);
	assert_non_null(at);
	at[n] ^= 1;
	assert_int_equal(pwrite(fd, at + n, 1, at + n - all), 1);
	close(fd);
	free(all);
}

/* Everything is answered as if nothing were known, and nothing more is said. */
static void check_ceased(struct fixture *f)
{
	uint32_t uid = 1;

	for (uint32_t i = 1; i <= 10; i++)
		assert_false(has_chunk(f, 1, i, 0, 5000));
	put_chunk(f, 1, 20, 0, 5000);
	put_messages(f, 1, 1, 10);
	fixture_settle(f);
	assert_false(has_chunk(f, 1, 20, 0, 5000));
	load(f, 1);
	assert_int_equal(f->err, ERR_IO);
	assert_null(f->messages);
	put_journal(f, 1, &uid, 1);
	fixture_settle(f);
	assert_int_equal(f->err, ERR_IO);
	assert_int_equal(count_mailboxes(f, NULL), 0);
	uint32_t id = cache_new_id(f->c);
	fixture_reopen(f);
	expect_log("the database is damaged; it is kept as cache.db.damaged");
	assert_true(cache_new_id(f->c) > id);
	assert_false(has_chunk(f, 1, 1, 0, 5000));
	put_chunk(f, 1, 1, 0, 5000);
	fixture_settle(f);
	assert_true(has_chunk(f, 1, 1, 0, 5000));
}

static void fill_some(struct fixture *f)
{
	struct cache_mailbox m = mailbox_of(1, "m");

	fixture_open(f, 100 * MIB);
	cache_put_mailbox(f->c, &m);
	put_messages(f, 1, 1, 1000);
	for (uint32_t uid = 1; uid <= 10; uid++)
		put_chunk(f, 1, uid, 0, 5000);
	fixture_idle(f);
	fixture_close(f);
}

/* All but message 7. */
static void check_others(struct fixture *f)
{
	for (uint32_t uid = 1; uid <= 10; uid++)
		assert_true(uid == 7 || has_chunk(f, 1, uid, 0, 5000));
	load(f, 1);
	assert_int_equal(f->n, 1000);
}

static void test_damaged_body(void **state)
{
	struct fixture *f = *state;
	char *octets = make_octets(1, 7, 0, 5000);

	fill_some(f);
	damage_after(f, SEGMENT, octets + 500, 100);
	free(octets);
	fixture_open(f, 100 * MIB);
	assert_false(has_chunk(f, 1, 7, 0, 5000));
	fixture_settle(f);
	fixture_idle(f);
	expect_log("bytes of message 7 are damaged; what is found damaged is fetched again");
	check_others(f);
	put_chunk(f, 1, 7, 0, 5000);
	fixture_settle(f);
	assert_true(has_chunk(f, 1, 7, 0, 5000));
	fixture_reopen(f);
	assert_true(has_chunk(f, 1, 7, 0, 5000));
	check_others(f);
}

/* A file of bodies is cut: what is behind is fetched again, what is before is there. */
static void test_cut_segment(void **state)
{
	struct fixture *f = *state;

	fill_some(f);
	assert_int_equal(truncate(path_in(f, SEGMENT), 6 * 5000 + 1), 0);
	fixture_open(f, 100 * MIB);
	for (uint32_t uid = 10; uid >= 1; uid--)
		assert_int_equal(has_chunk(f, 1, uid, 0, 5000), uid <= 6);
	fixture_idle(f);
	expect_log("bytes of message 10 are damaged");
	load(f, 1);
	assert_int_equal(f->n, 1000);
	for (uint32_t uid = 1; uid <= 20; uid++)
		put_chunk(f, 1, uid, 0, 5000);
	fixture_settle(f);
	for (uint32_t uid = 1; uid <= 20; uid++)
		assert_true(has_chunk(f, 1, uid, 0, 5000));
}

/* A file of bodies is gone, or is something else. */
static void test_lost_segment(void **state)
{
	struct fixture *f = *state;

	fill_some(f);
	assert_int_equal(unlink(path_in(f, SEGMENT)), 0);
	fixture_open(f, 100 * MIB);
	expect_log("1 of its files are gone; what they held is fetched again");
	assert_int_equal(counts_of(f).bytes, 0);
	for (uint32_t uid = 1; uid <= 10; uid++)
		assert_false(has_chunk(f, 1, uid, 0, 5000));
	put_chunk(f, 1, 3, 0, 5000);
	fixture_settle(f);
	assert_true(has_chunk(f, 1, 3, 0, 5000));
	fixture_close(f);
	assert_int_equal(unlink(path_in(f, SEGMENT)), 0);
	assert_int_equal(symlink("/etc/passwd", path_in(f, SEGMENT)), 0);
	fixture_open(f, 100 * MIB);
	expect_log("1 of its files are gone");
	assert_false(has_chunk(f, 1, 3, 0, 5000));
}

/* Files that a crash has left are removed, foreign ones are not. */
static void test_unknown_segments(void **state)
{
	struct fixture *f = *state;

	fill_some(f);
	close(open(path_in(f, "bodies/000000ff"), O_WRONLY | O_CREAT, 0600));
	close(open(path_in(f, "bodies/notes"), O_WRONLY | O_CREAT, 0600));
	fixture_open(f, 100 * MIB);
	assert_false(exists_in(f, "bodies/000000ff"));
	assert_true(exists_in(f, "bodies/notes"));
	check_others(f);
}

static void test_damaged_messages(void **state)
{
	struct fixture *f = *state;
	struct cache_message m = message_of(500);

	fill_some(f);
	damage_after(f, "cache.db", &m, sizeof(m));
	fixture_open(f, 100 * MIB);
	load(f, 1);
	assert_int_equal(f->err, ERR_IO);
	expect_log("malformed; going on without it");
	check_ceased(f);
}

/* Somebody empties the files while they are in use: that what was kept is lost is all that it does.
 */
static void test_emptied_in_use(void **state)
{
	struct fixture *f = *state;
	char path[PATH_MAX];

	fixture_open(f, 100 * MIB);
	put_messages(f, 1, 1, 1000);
	for (uint32_t uid = 1; uid <= 100; uid++)
		put_chunk(f, 1, uid, 0, 5000);
	fixture_settle(f);
	DIR *dir = opendir(f->dir);
	assert_non_null(dir);
	for (struct dirent *e; (e = readdir(dir));) {
		snprintf(path, sizeof(path), "%s/%s", f->dir, e->d_name);
		if (e->d_type == DT_REG)
			assert_int_equal(truncate(path, 0), 0);
	}
	closedir(dir);
	for (uint32_t uid = 1; uid <= 200; uid++) {
		has_chunk(f, 1, uid, 0, 5000);
		put_chunk(f, 1, uid + 100, 0, 5000);
		fixture_settle(f);
	}
	load(f, 1);
	forgive_log("cache: ");
	fixture_reopen(f);
	forgive_log("cache: ");
	put_chunk(f, 1, 1, 1, 5000);
	fixture_settle(f);
	assert_true(has_chunk(f, 1, 1, 1, 5000));
}

/* --- a limit on file sizes --- */

static void limit_files(rlim_t octets)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = octets < limit.rlim_max ? octets : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static size_t count_chunks(struct fixture *f, uint32_t last, size_t n)
{
	size_t found = 0;

	for (uint32_t uid = 1; uid <= last; uid++)
		found += has_chunk(f, 1, uid, 0, n);
	return found;
}

static void test_file_size_limit(void **state)
{
	struct fixture *f = *state;

	signal(SIGXFSZ, SIG_IGN);
	fixture_open(f, 100 * MIB);
	limit_files(3 * MIB);
	for (uint32_t uid = 1; uid <= 100; uid++) {
		put_chunk(f, 1, uid, 0, 100000);
		fixture_settle(f);
	}
	limit_files(RLIM_INFINITY);
	expect_log("database or disk is full; going on without keeping mail");
	size_t found = count_chunks(f, 100, 100000);
	assert_in_range(found, 5, 99);
	assert_int_equal(counts_of(f).bytes, found * 100000);
	/* When it is over it is over. */
	put_chunk(f, 1, 200, 0, 100000);
	fixture_settle(f);
	assert_true(has_chunk(f, 1, 200, 0, 100000));
	fixture_reopen(f);
	assert_int_equal(count_chunks(f, 200, 100000), found + 1);
	assert_int_equal(counts_of(f).bytes, (found + 1) * 100000);
}

/* --- full disks --- */

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* For a user who may not mount: a namespace in which he may. */
static bool enter_user_namespace(void)
{
	char users[32], groups[32];

	snprintf(users, sizeof(users), "0 %u 1", (unsigned)geteuid());
	snprintf(groups, sizeof(groups), "0 %u 1", (unsigned)getegid());
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
	       write_text("/proc/self/setgroups", "deny") &&
	       write_text("/proc/self/uid_map", users) && write_text("/proc/self/gid_map", groups);
}

/* The copies of others' mounts here would keep those alive when they are unmounted. */
static void let_go_of_others(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	while (mounts && (m = getmntent(mounts)))
		if (strncmp(m->mnt_type, "fuse", 4) == 0)
			umount2(m->mnt_dir, MNT_DETACH);
	if (mounts)
		endmntent(mounts);
}

/* Before any thread runs. */
static bool enter_namespace(void)
{
	if (unshare(CLONE_NEWNS) != 0 && !enter_user_namespace())
		return false;
	if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0)
		return false;
	let_go_of_others();
	return true;
}

static const char *program; /* its own path; not /proc/self/exe, which is valgrind's below it */
static bool have_namespace;

static void mount_small(struct fixture *f, const char *options)
{
	if (!have_namespace || mount("tmpfs", f->root, "tmpfs", 0, options) != 0)
		skip();
}

static int destroy_mounted(void **state)
{
	struct fixture *f = *state;

	if (f->c)
		fixture_close(f);
	umount2(f->root, MNT_DETACH);
	return fixture_destroy(state);
}

/* Leaves no octet free. */
static void make_full(struct fixture *f, const char *name)
{
	char path[96];
	static const char zeros[4096];

	snprintf(path, sizeof(path), "%s/%s", f->root, name);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	close(fd);
}

static void make_room(struct fixture *f, const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", f->root, name);
	assert_int_equal(unlink(path), 0);
}

static void test_full_disk(void **state)
{
	struct fixture *f = *state;

	mount_small(f, "size=6m,mode=0700");
	fixture_open(f, 100 * MIB);
	for (uint32_t uid = 1; uid <= 200; uid++) {
		put_chunk(f, 1, uid, 0, 64 * KIB);
		if (uid % 5 == 0)
			fixture_idle(f);
	}
	fixture_settle(f);
	expect_log("database or disk is full; going on without keeping mail");
	size_t found = count_chunks(f, 200, 64 * KIB);
	assert_in_range(found, 10, 95);
	assert_int_equal(counts_of(f).bytes, found * 64 * KIB);
	fixture_reopen(f);
	assert_int_equal(count_chunks(f, 200, 64 * KIB), found);
	assert_int_equal(counts_of(f).bytes, found * 64 * KIB);
}

/* A cache whose bound is lower works on in a full disk, in the room that it has. */
static void test_bound_on_a_full_disk(void **state)
{
	struct fixture *f = *state;

	mount_small(f, "size=8m,mode=0700");
	fixture_open(f, MIB);
	for (uint32_t uid = 1; uid <= 400; uid++) {
		put_chunk(f, 1, uid, 0, 32 * KIB);
		if (uid % 4 == 0)
			fixture_idle(f);
		if (uid == 100)
			make_full(f, "filler");
	}
	fixture_idle(f);
	forgive_log("database or disk is full; going on without keeping mail");
	make_room(f, "filler");
	put_chunk(f, 1, 500, 0, 32 * KIB);
	fixture_idle(f);
	assert_true(has_chunk(f, 1, 500, 0, 32 * KIB));
	assert_true(counts_of(f).bytes <= MIB);
	assert_int_equal(count_chunks(f, 500, 32 * KIB) * 32 * KIB, counts_of(f).bytes);
}

static void test_failed_write_freezes_the_mailbox(void **state)
{
	struct fixture *f = *state;
	struct cache_mailbox a = mailbox_of(1, "a"), b = mailbox_of(2, "b"), last;
	const uint32_t gone[] = {1, 2, 3};
	uint32_t uid = 1;

	mount_small(f, "size=8m,mode=0700");
	fixture_open(f, MIB);
	cache_put_mailbox(f->c, &a);
	put_messages(f, 1, 1, 1000);
	fixture_idle(f);
	make_full(f, "filler");
	put_messages(f, 1, 1001, 100000);
	fixture_idle(f);
	expect_log("database or disk is full; going on without keeping mail");
	put_journal(f, 1, (const uint32_t[64 * KIB]){1}, 64 * KIB);
	fixture_settle(f);
	assert_int_equal(f->err, ERR_IO);
	make_room(f, "filler");
	/* Each would be wrong without what was not kept. */
	a.exists = 99999;
	cache_put_mailbox(f->c, &a);
	cache_drop_messages(f->c, 1, gone, 3);
	put_messages(f, 1, 200000, 200001);
	load(f, 1);
	assert_int_equal(f->err, ERR_IO);
	/* Others are as ever. */
	cache_put_mailbox(f->c, &b);
	put_messages(f, 2, 1, 20);
	put_chunk(f, 1, 1, 0, 10);
	put_journal(f, 1, &uid, 1);
	load(f, 2);
	assert_int_equal(f->err, 0);
	assert_int_equal(f->n, 20);
	fixture_reopen(f);
	assert_int_equal(count_mailboxes(f, &last), 2);
	assert_int_equal(last.id, 2);
	assert_int_equal(count_journal(f, NULL, NULL), 1);
	assert_true(has_chunk(f, 1, 1, 0, 10));
	load(f, 1);
	assert_int_equal(f->err, 0);
	assert_int_equal(f->n, 1000);
	cache_drop_mailbox(f->c, 2);
	fixture_reopen(f);
	assert_int_equal(count_mailboxes(f, &last), 1);
	assert_int_equal(last.exists, mailbox_of(1, "").exists);
}

static void on_kept(void *ctx, int err)
{
	struct fixture *f = ctx;

	f->pending--;
	assert_int_equal(err, 0);
}

/* There is no room for what would have to be moved: others go, and kept mail stays where it is. */
static void test_kept_on_a_full_disk(void **state)
{
	struct fixture *f = *state;

	mount_small(f, "size=8m,mode=0700");
	fixture_open(f, 2 * MIB);
	for (uint32_t uid = 1; uid <= 20; uid++) {
		put_chunk(f, 1, uid, 0, 32 * KIB);
		put_chunk(f, 2, uid, 0, 32 * KIB);
	}
	f->pending++;
	cache_keep_mailbox(f->c, 1, CACHE_KEEP, on_kept, f);
	fixture_idle(f);
	make_full(f, "filler");
	for (uint32_t uid = 100; uid <= 200; uid++) {
		put_chunk(f, 2, uid, 0, 32 * KIB);
		fixture_idle(f);
	}
	assert_int_equal(count_chunks(f, 20, 32 * KIB), 20);
	forgive_log("database or disk is full; going on without keeping mail");
	make_room(f, "filler");
	for (uint32_t uid = 201; uid <= 300; uid++) {
		put_chunk(f, 2, uid, 0, 32 * KIB);
		fixture_idle(f);
	}
	assert_true(has_chunk(f, 2, 300, 0, 32 * KIB));
	assert_int_equal(count_chunks(f, 20, 32 * KIB), 20);
	assert_int_equal(counts_of(f).kept, 20 * 32 * KIB);
	assert_true(counts_of(f).bytes <= 2 * MIB + 20 * 32 * KIB);
}

static void test_full_when_opened(void **state)
{
	struct fixture *f = *state;

	mount_small(f, "size=1m,mode=0700");
	make_full(f, "filler");
	fixture_open(f, MIB);
	expect_log("keeping mail in memory");
	assert_false(counts_of(f).on_disk);
	put_chunk(f, 1, 1, 0, 1000);
	fixture_settle(f);
	assert_true(has_chunk(f, 1, 1, 0, 1000));
	fixture_close(f);
	make_room(f, "filler");
	fixture_open(f, MIB);
	assert_true(counts_of(f).on_disk);
}

/* Ids must go on, only not across the next start. */
static void test_counter_cannot_be_written(void **state)
{
	struct fixture *f = *state;

	signal(SIGXFSZ, SIG_IGN);
	fixture_open(f, MIB);
	limit_files(0);
	uint32_t id = cache_new_id(f->c);
	for (int i = 0; i < 10000; i++)
		assert_int_equal(cache_new_id(f->c), ++id);
	limit_files(RLIM_INFINITY);
	expect_log("cache.ids: File too large");
}

/* --- kill -9 --- */

#define ROUNDS 6
#define BATCH 20u

static size_t size_of(uint32_t uid)
{
	return (uid * 7919u) % (uid % 16 == 0 ? CACHE_CHUNK : 9000);
}

/* What the process does that is killed: after each batch is kept it tells how far it came. */
static void write_batch(struct fixture *f, uint32_t first)
{
	struct cache_mailbox m = mailbox_of(1, "m");

	for (uint32_t uid = first; uid < first + BATCH; uid++)
		put_chunk(f, 1, uid, 0, size_of(uid));
	put_messages(f, 1, first, first + BATCH - 1);
	m.exists = first + BATCH - 1;
	cache_put_mailbox(f->c, &m);
	/* The last is a chunk, whose callback says that all before it is there. */
	put_chunk(f, 1, first + BATCH - 1, 1, 1);
	fixture_settle(f);
}

static int writer(const char *dir, uint32_t first, int fd)
{
	struct fixture f = {0};

	if (uv_loop_init(&f.loop) != 0)
		return 1;
	snprintf(f.dir, sizeof(f.dir), "%s", dir);
	fixture_open(&f, 1000 * MIB);
	for (;; first += BATCH) {
		uint32_t report[2] = {first + BATCH - 1, cache_new_id(f.c)};

		write_batch(&f, first);
		if (write(fd, report, sizeof(report)) != sizeof(report))
			return 1;
	}
}

static pid_t start_writer(struct fixture *f, uint32_t first, int *from)
{
	char number[16], fd[16];
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	snprintf(number, sizeof(number), "%u", first);
	snprintf(fd, sizeof(fd), "%d", ends[1]);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		execl(program, program, "writer", f->dir, number, fd, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	*from = ends[0];
	return pid;
}

static uint64_t check_after_kill(struct fixture *f, uint32_t reported, uint32_t *end)
{
	struct cache_mailbox m;
	uint64_t bytes = 0;
	uint32_t uid;

	assert_int_equal(count_mailboxes(f, &m), 1);
	assert_true(m.exists >= reported);
	load(f, 1);
	assert_int_equal(f->err, 0);
	assert_true(f->n >= m.exists);
	for (uint32_t i = 0; i < f->n; i++)
		assert_int_equal(f->messages[i].uid, i + 1);
	/* All that was reported is there, and what came after it as far as it came. */
	for (uid = 1; has_chunk(f, 1, uid, 0, size_of(uid)); uid++) {
		bytes += size_of(uid);
		bytes += uid % BATCH == 0 && has_chunk(f, 1, uid, 1, 1);
	}
	assert_true(uid > reported);
	assert_true(uid > f->n);
	*end = uid;
	return bytes;
}

static void test_kill(void **state)
{
	struct fixture *f = *state;
	uint32_t report[2], end, next = 1;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		int from;
		pid_t pid = start_writer(f, next, &from);

		for (uint32_t i = 0; i < 3 + round * 7; i++)
			assert_int_equal(read(from, report, sizeof(report)), sizeof(report));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		while (read(from, report, sizeof(report)) == sizeof(report))
			;
		close(from);
		fixture_open(f, 1000 * MIB);
		assert_int_equal(check_after_kill(f, report[0], &end), counts_of(f).bytes);
		assert_true(cache_new_id(f->c) > report[1]);
		fixture_close(f);
		/* The batch that was cut off is written again, so that there is no gap. */
		next = report[0] + 1;
	}
	assert_false(exists_in(f, "cache.db.damaged"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_create, fixture_destroy)
#define TEST_MOUNTED(f) cmocka_unit_test_setup_teardown(f, fixture_create, destroy_mounted)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_damaged_body),
		TEST(test_cut_segment),
		TEST(test_lost_segment),
		TEST(test_unknown_segments),
		TEST(test_damaged_messages),
		TEST(test_emptied_in_use),
		TEST(test_file_size_limit),
		TEST_MOUNTED(test_full_disk),
		TEST_MOUNTED(test_bound_on_a_full_disk),
		TEST_MOUNTED(test_kept_on_a_full_disk),
		TEST_MOUNTED(test_failed_write_freezes_the_mailbox),
		TEST_MOUNTED(test_full_when_opened),
		TEST(test_counter_cannot_be_written),
		TEST(test_kill),
	};

	if (argc == 5)
		return writer(argv[2], (uint32_t)strtoul(argv[3], NULL, 10),
			(int)strtol(argv[4], NULL, 10));
	program = argv[0];
	have_namespace = enter_namespace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
