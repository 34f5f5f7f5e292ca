/* SPDX-License-Identifier: MIT */
/*
 * The loop's side of FUSE: /dev/fuse is polled beside the sockets, requests are answered at once or
 * become a struct fs_op, and what the account tells is passed to the notifier.
 */
#include "fs/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/control.h"
#include "fs/draft.h"
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "fs/hold.h"
#include "fs/inode.h"
#include "fs/mount.h"
#include "fs/moves.h"
#include "fs/notify.h"
#include "fs/op.h"
#include "fs/opened.h"
#include "fs/push.h"
#include "fs/views.h"
#include "mail/size/sizes.h"
#include "state/state.h"

/* Requests served before the sockets get a turn again. */
#define REQUESTS_PER_TURN 32
/* Milliseconds of work in one turn of the loop that are worth a word. */
#define LAG_MAX 50

/* --- what the account tells --- */

static void fs_on_directory_changed(void *ctx, struct mailbox *mb)
{
	struct fs *fs = ctx;

	if (!fs->session || fs->stopping)
		return;
	notify_directory(fs->notifier, inode_of_directory(fs, mb));
	views_on_directory_changed(fs, mb);
}

static void fs_on_message_gone(void *ctx, struct mailbox *mb, uint32_t uid)
{
	struct fs *fs = ctx;
	char name[NAME_MAX + 1];
	fuse_ino_t ino = inode_of_message(mb, uid);

	draft_message_gone(fs, mb, uid);
	/* A name that is hidden the kernel has forgotten already. */
	if (fs->session && !fs->stopping)
		views_on_message_gone(fs, mb, uid);
	if (!fs->session || fs->stopping || mailbox_hidden(mb, uid))
		return;
	fuse_ino_t parent = inode_of_directory(fs, mb);
	/* Who has it open hears that it has no name any more, also where the kernel has forgotten the name. And
	 * under names for people nobody knows which it is known by: the kernel asks for the name again when it
	 * hears that the inode has changed. A name that the kernel removes itself it forgets. */
	if (fs->options.named || opened_find(fs, ino))
		notify_attributes(fs->notifier, ino);
	if (!fs->options.named && !map_get(&fs->unlinking, ino)) {
		size_t n = entry_number(fs, mb, uid, name);
		notify_name_gone(fs->notifier, parent, ino, name, n);
	}
	notify_directory(fs->notifier, parent);
}

static void fs_on_flags_changed(void *ctx, struct mailbox *mb, uint32_t uid)
{
	struct fs *fs = ctx;

	if (fs->session && !fs->stopping)
		views_on_flags_changed(fs, mb, uid);
}

static void fs_on_moving(void *ctx, struct mailbox *from, const struct cache_message *m,
	struct mailbox *to, struct span name)
{
	struct fs *fs = ctx;

	if (!fs->stopping)
		moves_on_moving(fs, from, m, to, name);
}

static void fs_on_moved(void *ctx, struct mailbox *from, uint32_t uid, struct mailbox *to,
	uint32_t new_uid, int err)
{
	struct fs *fs = ctx;

	if (!fs->stopping)
		moves_on_moved(fs, from, uid, to, new_uid, err);
}

/* at_once: nothing may be read before the kernel has forgotten the size. Else the size has become
 * smaller. The kernel sees that by itself when our answer to a read is shorter than it asked for,
 * but not if it was told to forget the attributes while that read was under way: then it gives the
 * reader zeros behind the end. So it is told after such an answer: see answer_now in file.c. */
static void fs_on_size_changed(void *ctx, struct mailbox *mb, uint32_t uid, bool at_once)
{
	struct fs *fs = ctx;
	fuse_ino_t ino = inode_of_message(mb, uid);

	if (!fs->session || fs->stopping)
		return;
	if (at_once)
		notify_attributes(fs->notifier, ino);
	else
		map_put(&fs->shrunk, ino, fs);
}

static void fs_on_directory_gone(void *ctx, struct mailbox *parent, struct mailbox *mb)
{
	struct fs *fs = ctx;

	if (fs->session && !fs->stopping)
		views_on_directory_gone(fs, parent, mb);
	if (!fs->session || fs->stopping || mb == fs->account->tree.top ||
		map_get(&fs->unlinking, inode_of_directory(fs, mb)))
		return;
	notify_name_gone(fs->notifier, inode_of_directory(fs, parent), inode_of_directory(fs, mb),
		mb->component, strlen(mb->component));
}

/* A read of the message is under way. Its answer brings the octets, and until then the kernel keeps
 * the pages locked: a push would only wait for it. */
static bool is_being_read(const struct fs *fs, fuse_ino_t ino)
{
	LIST_FOREACH (pos, &fs->ops)
		if (list_entry(pos, struct fs_op, link)->ino == ino)
			return true;
	return false;
}

/* Where the kernel, or a program that asked it, believes in another size nothing is pushed: reads
 * must reach us, to be answered as must_tell and answer_now in file.c have it. */
static void fs_on_push(
	void *ctx, struct mailbox *mb, uint32_t uid, uint64_t offset, char *data, size_t n)
{
	struct fs *fs = ctx;
	fuse_ino_t ino = inode_of_message(mb, uid);

	if (!fs->session || fs->stopping || fs->options.seen || mb->dead ||
		notify_is_due(fs->notifier, ino) || map_get(&fs->shrunk, ino) ||
		sizes_misled(mb, uid) || is_being_read(fs, ino)) {
		free(data);
		return;
	}
	push_octets(fs->pusher, ino, offset, data, n);
}

static void fs_on_renamed(void *ctx, struct mailbox *mb)
{
	drafts_on_renamed(ctx, mb);
}

const struct account_observer fs_observer = {
	.on_directory_changed = fs_on_directory_changed,
	.on_message_gone = fs_on_message_gone,
	.on_moving = fs_on_moving,
	.on_moved = fs_on_moved,
	.on_size_changed = fs_on_size_changed,
	.on_flags_changed = fs_on_flags_changed,
	.on_renamed = fs_on_renamed,
	.on_directory_gone = fs_on_directory_gone,
	.on_push = fs_on_push,
};

/* --- serving --- */

static void stop_polling(struct fs *fs)
{
	if (fs->polling)
		uv_poll_stop(&fs->poll);
	fs->polling = false;
}

static void fs_on_readable(uv_poll_t *poll, int status, int events)
{
	struct fs *fs = poll->data;

	for (unsigned i = 0; i < REQUESTS_PER_TURN && fs->session; i++) {
		int n = fuse_session_receive_buf(fs->session, &fs->buffer);
		if (n == -EAGAIN || n == -EINTR)
			break;
		/* Its deadline counts from now, not from when the turn began. */
		uv_update_time(fs->loop);
		if (n > 0)
			fuse_session_process_buf(fs->session, &fs->buffer);
		if (n <= 0 || fuse_session_exited(fs->session)) {
			stop_polling(fs);
			fs->on_unmounted(fs->ctx);
			return;
		}
	}
}

/* The timer runs only while requests wait. */
static void fs_on_timer(uv_timer_t *timer)
{
	struct fs *fs = timer->data;

	op_tick(fs);
	if (list_empty(&fs->ops))
		uv_timer_stop(timer);
}

/* --- the watchdog: one turn of the loop must be short, since everybody waits for it --- */

static uint64_t cpu_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void fs_on_turn_begin(uv_check_t *check)
{
	struct fs *fs = check->data;

	fs->turn = cpu_time();
	fs->doing = "network";
}

static void fs_on_turn_end(uv_prepare_t *prepare)
{
	struct fs *fs = prepare->data;
	uint64_t spent = fs->turn ? cpu_time() - fs->turn : 0;

	if (spent > LAG_MAX)
		log_debug("the loop was busy for %llu ms; the last operation: %s",
			(unsigned long long)spent, fs->doing);
	fs->turn = 0;
}

static void watch_lag(struct fs *fs)
{
	uv_check_init(fs->loop, &fs->turn_begin);
	uv_prepare_init(fs->loop, &fs->turn_end);
	fs->turn_begin.data = fs->turn_end.data = fs;
	uv_check_start(&fs->turn_begin, fs_on_turn_begin);
	uv_prepare_start(&fs->turn_end, fs_on_turn_end);
}

struct fs *fs_create(uv_loop_t *loop, const struct fs_options *options)
{
	struct fs *fs = mem_zalloc(sizeof(*fs));

	fs->loop = loop;
	fs->options = *options;
	fs->mounted = time(NULL);
	list_init(&fs->ops);
	list_init(&fs->turns);
	list_init(&fs->free_names);
	inherit_init(&fs->inherit);
	map_init(&fs->locked);
	map_init(&fs->unlinking);
	map_init(&fs->opened);
	map_init(&fs->begun);
	map_init(&fs->shrunk);
	fs->notifier = notify_create(fs);
	fs->pusher = push_create(fs);
	fs->control = control_create();
	fs->moves = moves_create();
	fs->drafts = drafts_create(fs);
	fs->views = views_create();
	fs->contents = contents_create();
	return fs;
}

uv_loop_t *fs_loop(const struct fs *fs)
{
	return fs->loop;
}

int fs_mount(struct fs *fs, struct account *account, fs_callback *on_unmounted, void *ctx,
	char *error, size_t size)
{
	struct fuse_session *session = mount_session(fs, error, size);

	if (!session)
		return ERR_INVALID;
	fs->session = session;
	fs->account = account;
	fs->on_unmounted = on_unmounted;
	views_begin(fs);
	drafts_begin(fs->drafts, account->state ? state_dir(account->state) : -1,
		account->state ? state_path(account->state) : NULL);
	fs->ctx = ctx;
	int fd = fuse_session_fd(session);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	uv_poll_init(fs->loop, &fs->poll, fd);
	uv_timer_init(fs->loop, &fs->timer);
	uv_timer_init(fs->loop, &fs->keeping);
	uv_idle_init(fs->loop, &fs->idle);
	fs->poll.data = fs->timer.data = fs->keeping.data = fs->idle.data = fs;
	uv_poll_start(&fs->poll, UV_READABLE, fs_on_readable);
	fs->polling = true;
	fs->timer.timer_cb = fs_on_timer;
	watch_lag(fs);
	return 0;
}

static void fs_on_closed(uv_handle_t *handle)
{
	struct fs *fs = handle->data;

	if (--fs->closing == 0)
		fs->on_stopped(fs->ctx);
}

/* No thread of ours is in the kernel any more: the descriptor may be closed. */
static void fs_on_notifier_idle(void *ctx)
{
	struct fs *fs = ctx;

	stop_polling(fs);
	op_fail_all(fs, ERR_IO);
	/* It holds mailboxes, and the account ends before the fs does. */
	moves_destroy(fs->moves);
	fs->moves = NULL;
	fs->options.unmount(fs->options.ctx);
	mount_end(fs);
	fs->closing = 6;
	uv_close((uv_handle_t *)&fs->turn_begin, fs_on_closed);
	uv_close((uv_handle_t *)&fs->turn_end, fs_on_closed);
	uv_close((uv_handle_t *)&fs->poll, fs_on_closed);
	uv_close((uv_handle_t *)&fs->timer, fs_on_closed);
	uv_close((uv_handle_t *)&fs->keeping, fs_on_closed);
	uv_close((uv_handle_t *)&fs->idle, fs_on_closed);
}

static void fs_on_pusher_idle(void *ctx)
{
	struct fs *fs = ctx;

	/* Requests are still answered meanwhile: the notifier may wait for a lock that one of them
	 * holds. */
	notify_drain(fs->notifier, fs_on_notifier_idle, fs);
}

void fs_stop(struct fs *fs, fs_callback *on_done)
{
	fs->on_stopped = on_done;
	fs->stopping = true;
	op_fail_all(fs, ERR_IO);
	push_drain(fs->pusher, fs_on_pusher_idle, fs);
}

void fs_destroy(struct fs *fs)
{
	if (!fs)
		return;
	if (fs->session)
		fuse_session_destroy(fs->session);
	free(fs->buffer.mem);
	notify_destroy(fs->notifier);
	push_destroy(fs->pusher);
	control_destroy(fs->control);
	moves_destroy(fs->moves);
	drafts_destroy(fs->drafts);
	views_destroy(fs->views);
	contents_destroy(fs->contents);
	map_finish(&fs->locked);
	map_finish(&fs->unlinking);
	opened_finish(fs);
	map_finish(&fs->begun);
	map_finish(&fs->shrunk);
	inherit_finish(&fs->inherit);
	hold_finish(fs);
	free(fs);
}
