/* SPDX-License-Identifier: MIT */
/*
 * What the kernel and libfuse cost by themselves: a filesystem that holds mailboxes wholly in
 * memory and answers everything at once, with the settings that imapfs has (src/fs/operations.c,
 * entry.c). The benches hold imapfs against it; no FUSE filesystem of that kind can be faster.
 *
 * SOURCE is a directory of directories ("mailboxes") of files that are named by numbers ("UIDs").
 * Stays in the foreground; ends by SIGTERM or by unmounting.
 */
#define FUSE_USE_VERSION 314
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define TIMEOUT 86400.0
#define REPLY_MAX ((size_t)256 << 10)
#define UID_DIGITS 10

struct message {
	uint32_t uid;
	size_t size;
	time_t date;
	char *body;
};

/* inode = place in mailboxes, from 2, << 32 | UID; UID 0 is the directory. */
struct mailbox {
	char *name;
	struct message *messages; /* by UID */
	size_t count, room;
};

static struct mailbox *mailboxes;
static size_t mailbox_count;

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail(const char *format, ...)
{
	va_list args;

	fputs("floor: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* --- loading --- */

static bool parse_uid(const char *name, uint32_t *uid)
{
	size_t n = strspn(name, "0123456789");
	unsigned long long value = strtoull(name, NULL, 10);

	*uid = (uint32_t)value;
	return name[n] == '\0' && n > 0 && n <= UID_DIGITS && name[0] != '0' && value <= UINT32_MAX;
}

static void load_message(int directory, const char *name, struct message *m)
{
	struct stat st;
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0)
		fail("%s: %s", name, strerror(errno));
	m->size = (size_t)st.st_size;
	m->date = st.st_mtime;
	m->body = mem_alloc(m->size + 1);
	for (size_t got = 0; got < m->size;) {
		ssize_t n = read(fd, m->body + got, m->size - got);
		if (n <= 0)
			fail("%s: cannot be read", name);
		got += (size_t)n;
	}
	close(fd);
}

static int by_uid(const void *a, const void *b)
{
	const struct message *l = a, *r = b;

	return (l->uid > r->uid) - (l->uid < r->uid);
}

/* The names of a directory but those with a dot in front. */
static const char *next_name(DIR *dir)
{
	const struct dirent *entry;

	do {
		entry = readdir(dir);
	} while (entry && entry->d_name[0] == '.');
	return entry ? entry->d_name : NULL;
}

static void load_mailbox(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		fail("%s: %s", name, strerror(errno));
	mailboxes = mem_resize(mailboxes, mailbox_count + 1, sizeof(*mailboxes));
	struct mailbox *mb = &mailboxes[mailbox_count++];
	*mb = (struct mailbox){.name = mem_strdup(name)};
	for (const char *file = next_name(dir); file; file = next_name(dir)) {
		struct message m = {0};
		if (!parse_uid(file, &m.uid))
			fail("%s/%s: not a number", name, file);
		load_message(fd, file, &m);
		if (mb->count == mb->room) {
			mb->room = mb->room ? mb->room * 2 : 64;
			mb->messages = mem_resize(mb->messages, mb->room, sizeof(m));
		}
		mb->messages[mb->count++] = m;
	}
	closedir(dir);
	if (mb->count)
		qsort(mb->messages, mb->count, sizeof(*mb->messages), by_uid);
}

static void load(const char *source)
{
	DIR *dir = opendir(source);

	if (!dir)
		fail("%s: %s", source, strerror(errno));
	for (const char *name = next_name(dir); name; name = next_name(dir))
		load_mailbox(dirfd(dir), name);
	closedir(dir);
}

static void unload(void)
{
	for (size_t i = 0; i < mailbox_count; i++) {
		for (size_t j = 0; j < mailboxes[i].count; j++)
			free(mailboxes[i].messages[j].body);
		free(mailboxes[i].messages);
		free(mailboxes[i].name);
	}
	free(mailboxes);
}

/* --- inodes --- */

static fuse_ino_t inode_of(const struct mailbox *mb, uint32_t uid)
{
	return (fuse_ino_t)(mb - mailboxes + 2) << 32 | uid;
}

/* The mailbox of an inode and its UID; NULL: the root. */
static struct mailbox *resolve(fuse_ino_t ino, uint32_t *uid)
{
	*uid = (uint32_t)ino;
	return ino == FUSE_ROOT_ID ? NULL : &mailboxes[(ino >> 32) - 2];
}

/* The place of the first message from that UID on. */
static size_t place_of(const struct mailbox *mb, uint32_t uid)
{
	size_t low = 0, high = mb->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (mb->messages[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct message *find(const struct mailbox *mb, uint32_t uid)
{
	size_t place = place_of(mb, uid);

	return place < mb->count && mb->messages[place].uid == uid ? &mb->messages[place] : NULL;
}

static void stat_directory(fuse_ino_t ino, struct stat *st)
{
	*st = (struct stat){.st_ino = ino, .st_mode = S_IFDIR | 0700, .st_nlink = 2};
}

static void stat_message(const struct mailbox *mb, const struct message *m, struct stat *st)
{
	*st = (struct stat){
		.st_ino = inode_of(mb, m->uid),
		.st_mode = S_IFREG | 0400,
		.st_nlink = 1,
		.st_size = (off_t)m->size,
		.st_blocks = (blkcnt_t)((m->size + 511) / 512),
		.st_mtim.tv_sec = m->date,
		.st_ctim.tv_sec = m->date,
		.st_atim.tv_sec = m->date,
	};
}

static struct fuse_entry_param entry_of(const struct stat *st)
{
	return (struct fuse_entry_param){
		.ino = st->st_ino,
		.generation = 1,
		.attr = *st,
		.attr_timeout = TIMEOUT,
		.entry_timeout = TIMEOUT,
	};
}

/* --- operations --- */

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
	conn->want |= conn->capable &
		      (FUSE_CAP_READDIRPLUS | FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_PARALLEL_DIROPS |
			      FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_ASYNC_READ);
	conn->want &= ~(unsigned)(FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_SPLICE_READ |
				  FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
				  FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA);
	conn->max_write = 1u << 20;
	conn->time_gran = 1000000000;
}

static bool stat_of(fuse_ino_t ino, struct stat *st)
{
	uint32_t uid;
	struct mailbox *mb = resolve(ino, &uid);
	const struct message *m = mb && uid ? find(mb, uid) : NULL;

	if (m)
		stat_message(mb, m, st);
	else
		stat_directory(ino, st);
	return m || !mb || !uid;
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	uint32_t uid;
	struct mailbox *mb = resolve(parent, &uid);
	fuse_ino_t found = 0;
	struct stat st;

	for (size_t i = 0; !mb && i < mailbox_count && !found; i++)
		if (strcmp(mailboxes[i].name, name) == 0)
			found = inode_of(&mailboxes[i], 0);
	if (mb && parse_uid(name, &uid))
		found = inode_of(mb, uid);
	if (!found || !stat_of(found, &st)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	struct fuse_entry_param e = entry_of(&st);
	fuse_reply_entry(req, &e);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	if (stat_of(ino, &st))
		fuse_reply_attr(req, &st, TIMEOUT);
	else
		fuse_reply_err(req, ESTALE);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_err(req, ENOSYS);
}

static void on_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	uint32_t uid;
	struct mailbox *mb = resolve(ino, &uid);
	const struct message *m = mb ? find(mb, uid) : NULL;

	if (!m) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	size_t from = (size_t)offset < m->size ? (size_t)offset : m->size;
	size_t rest = m->size - from;
	fuse_reply_buf(req, m->body + from, size < rest ? size : rest);
}

static void on_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->cache_readdir = 1;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void on_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

struct listing {
	fuse_req_t req;
	bool plus;
	char *data;
	size_t size, used;
};

/* False when it does not fit any more. */
static bool put(struct listing *l, const char *name, const struct stat *st, off_t position)
{
	char *at = l->data + l->used;
	size_t room = l->size - l->used, n;

	if (!l->plus) {
		n = fuse_add_direntry(l->req, at, room, name, st, position);
	} else {
		struct fuse_entry_param e = entry_of(st);
		if (name[0] == '.')
			e.ino = 0;
		n = fuse_add_direntry_plus(l->req, at, room, name, &e, position);
	}
	if (n > room)
		return false;
	l->used += n;
	return true;
}

/* A position is one more than that of the entry before; those of messages are by UID. */
static void list_messages(struct listing *l, const struct mailbox *mb, uint64_t from)
{
	char name[UID_DIGITS + 1];
	struct stat st;

	for (size_t i = place_of(mb, (uint32_t)from); i < mb->count; i++) {
		const struct message *m = &mb->messages[i];
		stat_message(mb, m, &st);
		snprintf(name, sizeof(name), "%u", m->uid);
		if (!put(l, name, &st, 2 + (off_t)m->uid))
			return;
	}
}

static void list_mailboxes(struct listing *l, uint64_t from)
{
	struct stat st;

	for (size_t i = from; i < mailbox_count; i++) {
		stat_directory(inode_of(&mailboxes[i], 0), &st);
		if (!put(l, mailboxes[i].name, &st, 3 + (off_t)i))
			return;
	}
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
	uint32_t uid;
	const struct mailbox *mb = resolve(ino, &uid);
	struct listing l = {.req = req, .plus = plus, .size = size < REPLY_MAX ? size : REPLY_MAX};
	uint64_t from = offset < 2 ? 0 : (uint64_t)offset - 2;
	struct stat st;

	l.data = mem_alloc(l.size);
	stat_directory(ino, &st);
	if (offset < 1)
		put(&l, ".", &st, 1);
	if (offset < 2)
		put(&l, "..", &st, 2);
	if (mb)
		list_messages(&l, mb, from + 1);
	else
		list_mailboxes(&l, from);
	fuse_reply_buf(req, l.data, l.used);
	free(l.data);
}

static void on_readdir(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	list(req, ino, size, offset, false);
}

static void on_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	list(req, ino, size, offset, true);
}

static const struct fuse_lowlevel_ops operations = {
	.init = on_init,
	.lookup = on_lookup,
	.getattr = on_getattr,
	.open = on_open,
	.read = on_read,
	.opendir = on_opendir,
	.readdir = on_readdir,
	.readdirplus = on_readdirplus,
	.releasedir = on_release,
};

static int serve(struct fuse_session *session, const char *mountpoint)
{
	int status = 1;

	if (fuse_set_signal_handlers(session) != 0)
		return 1;
	if (fuse_session_mount(session, mountpoint) == 0) {
		status = fuse_session_loop(session) < 0;
		fuse_session_unmount(session);
	}
	fuse_remove_signal_handlers(session);
	return status;
}

int main(int argc, char **argv)
{
	char program[] = "floor", option[] = "-o", value[] = "ro,fsname=floor";
	char *arguments[] = {program, option, value, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(3, arguments);

	if (argc != 3) {
		fputs("usage: floor SOURCE MOUNTPOINT\n", stderr);
		return 2;
	}
	load(argv[1]);
	struct fuse_session *session = fuse_session_new(
		&args, &operations, sizeof(operations), NULL);
	if (!session)
		return 1;
	int status = serve(session, argv[2]);
	fuse_session_destroy(session);
	fuse_opt_free_args(&args);
	unload();
	return status;
}
