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
#include "fs/private.h"
#include "mail/sizes.h"

/* Reads that the kernel may have sent us beside each other. It keeps more back, and they would wait
 * there without a deadline; each is of 128 KiB at most. */
#define READS_MAX 4096
/* Requests served before the sockets get a turn again. */
#define REQUESTS_PER_TURN 32
/* Milliseconds of work in one turn of the loop that are worth a word. */
#define LAG_MAX 50

/* --- what is not allowed, cleanly --- */

static void refuse(fuse_req_t req)
{
	struct fs *fs = fuse_req_userdata(req);

	fuse_reply_err(req, fs->options.readonly ? EROFS : EPERM);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	refuse(req);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	refuse(req);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	refuse(req);
}

static void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	refuse(req);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags)
{
	refuse(req);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	refuse(req);
}

static void op_create_file(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	refuse(req);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	refuse(req);
}

/* Root is refused here what the mode refuses to others. */
static void op_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);

	if ((to_set & FUSE_SET_ATTR_SIZE) && !fs->options.readonly)
		fuse_reply_err(req, EACCES);
	else
		refuse(req);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
	struct fuse_file_info *fi)
{
	fuse_reply_err(req, EOPNOTSUPP);
}

static void op_setxattr(
	fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	fuse_reply_err(req, EOPNOTSUPP);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	fuse_reply_err(req, EOPNOTSUPP);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

/* Measured: see DESIGN, "What the kernel wants". */
static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	conn->want |= conn->capable & (FUSE_CAP_READDIRPLUS | FUSE_CAP_PARALLEL_DIROPS |
					      FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_ASYNC_READ);
	conn->want &= ~(unsigned)(FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_SPLICE_READ |
				  FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
				  FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA |
				  FUSE_CAP_WRITEBACK_CACHE);
	conn->max_write = 1u << 20;
	conn->max_background = READS_MAX;
	conn->time_gran = 1000000000;
}

const struct fuse_lowlevel_ops fs_operations = {
	.init = op_init,
	.lookup = dir_lookup,
	.getattr = file_getattr,
	.setattr = op_setattr,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = file_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = file_open,
	.read = file_read,
	.write = op_write,
	.opendir = dir_opendir,
	.readdir = dir_readdir,
	.readdirplus = dir_readdirplus,
	.releasedir = op_releasedir,
	.statfs = file_statfs,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
	.create = op_create_file,
	.fallocate = op_fallocate,
};

/* --- what the account tells --- */

static void on_directory_changed(void *ctx, struct mailbox *mb)
{
	struct fs *fs = ctx;

	if (fs->session && !fs->stopping)
		notify_directory(fs->notifier, inode_of_directory(fs, mb));
}

static void on_message_gone(void *ctx, struct mailbox *mb, uint32_t uid)
{
	struct fs *fs = ctx;
	char name[NAME_MAX + 1];
	fuse_ino_t ino = inode_of_message(mb, uid);

	if (!fs->session || fs->stopping)
		return;
	fuse_ino_t parent = inode_of_directory(fs, mb);
	/* The kernel forgets a name that it removes itself. */
	if (!map_get(&fs->unlinking, ino)) {
		size_t n = entry_name(fs, mb, uid, name);
		notify_name_gone(fs->notifier, parent, ino, name, n);
	}
	notify_directory(fs->notifier, parent);
}

/* A smaller size the kernel learns from the short answer to its read, but only as long as it was
 * not told to forget the attributes meanwhile; else the reader would see zeros behind the end. So
 * it is told after that answer: see answer_now. */
static void on_size_changed(void *ctx, struct mailbox *mb, uint32_t uid, bool at_once)
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

static void on_directory_gone(void *ctx, struct mailbox *parent, struct mailbox *mb)
{
	struct fs *fs = ctx;

	if (!fs->session || fs->stopping || mb == fs->account->top)
		return;
	notify_name_gone(fs->notifier, inode_of_directory(fs, parent), inode_of_directory(fs, mb),
		mb->component, strlen(mb->component));
}

/* Whoever reads the message now is answered: a store would only wait for him. */
static bool is_being_read(const struct fs *fs, fuse_ino_t ino)
{
	LIST_FOREACH (pos, &fs->ops)
		if (list_entry(pos, struct fs_op, link)->ino == ino)
			return true;
	return false;
}

/* Where the kernel, or who asked it, believes in another size nothing is stored: the read has to
 * reach us. */
static void on_octets_ahead(
	void *ctx, struct mailbox *mb, uint32_t uid, uint64_t offset, char *data, size_t n)
{
	struct fs *fs = ctx;
	fuse_ino_t ino = inode_of_message(mb, uid);

	if (!fs->session || fs->stopping || mb->dead || notifier_has(fs->notifier, ino) ||
		map_get(&fs->shrunk, ino) || size_misled(mb, uid) || is_being_read(fs, ino)) {
		free(data);
		return;
	}
	push_octets(fs->pusher, ino, offset, data, n);
}

const struct account_observer fs_observer = {
	.on_directory_changed = on_directory_changed,
	.on_message_gone = on_message_gone,
	.on_size_changed = on_size_changed,
	.on_directory_gone = on_directory_gone,
	.on_octets_ahead = on_octets_ahead,
};

/* --- serving --- */

static void stop_polling(struct fs *fs)
{
	if (fs->polling)
		uv_poll_stop(&fs->poll);
	fs->polling = false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct fs *fs = poll->data;

	for (unsigned i = 0; i < REQUESTS_PER_TURN && fs->session; i++) {
		int n = fuse_session_receive_buf(fs->session, &fs->buffer);
		if (n == -EAGAIN || n == -EINTR)
			break;
		if (n > 0)
			fuse_session_process_buf(fs->session, &fs->buffer);
		if (n <= 0 || fuse_session_exited(fs->session)) {
			stop_polling(fs);
			fs->on_unmounted(fs->ctx);
			return;
		}
	}
}

/* Runs only while requests wait. */
static void on_timer(uv_timer_t *timer)
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

static void on_turn_begin(uv_check_t *check)
{
	struct fs *fs = check->data;

	fs->turn = cpu_time();
	fs->doing = "network";
}

static void on_turn_end(uv_prepare_t *prepare)
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
	uv_check_start(&fs->turn_begin, on_turn_begin);
	uv_prepare_start(&fs->turn_end, on_turn_end);
}

struct fs *fs_create(uv_loop_t *loop, const struct fs_options *options)
{
	struct fs *fs = mem_zalloc(sizeof(*fs));

	fs->loop = loop;
	fs->options = *options;
	fs->mounted = time(NULL);
	list_init(&fs->ops);
	list_init(&fs->lates);
	map_init(&fs->late);
	map_init(&fs->unlinking);
	map_init(&fs->shrunk);
	fs->notifier = notifier_create(fs);
	fs->pusher = pusher_create(fs);
	fs->control = control_create();
	return fs;
}

uv_loop_t *fs_loop(const struct fs *fs)
{
	return fs->loop;
}

int fs_mount(struct fs *fs, struct account *account, void (*on_unmounted)(void *ctx), void *ctx,
	char *error, size_t size)
{
	struct fuse_session *session = mount_session(fs, error, size);

	if (!session)
		return ERR_INVALID;
	fs->session = session;
	fs->account = account;
	fs->on_unmounted = on_unmounted;
	fs->ctx = ctx;
	int fd = fuse_session_fd(session);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	uv_poll_init(fs->loop, &fs->poll, fd);
	uv_timer_init(fs->loop, &fs->timer);
	fs->poll.data = fs->timer.data = fs;
	uv_poll_start(&fs->poll, UV_READABLE, on_readable);
	fs->polling = true;
	fs->timer.timer_cb = on_timer;
	watch_lag(fs);
	return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct fs *fs = handle->data;

	if (--fs->closing == 0)
		fs->on_stopped(fs->ctx);
}

/* Nothing of ours is in the kernel any more: the descriptor may go. */
static void on_notifier_idle(struct fs *fs)
{
	stop_polling(fs);
	op_fail_all(fs, ERR_IO);
	fs->options.unmount(fs->options.ctx);
	mount_end(fs);
	fs->closing = 4;
	uv_close((uv_handle_t *)&fs->turn_begin, on_handle_closed);
	uv_close((uv_handle_t *)&fs->turn_end, on_handle_closed);
	uv_close((uv_handle_t *)&fs->poll, on_handle_closed);
	uv_close((uv_handle_t *)&fs->timer, on_handle_closed);
}

static void on_pusher_idle(struct fs *fs)
{
	/* Requests are still answered meanwhile: the notifier may wait for a lock that one of them
	 * holds. */
	notifier_drain(fs->notifier, on_notifier_idle);
}

void fs_stop(struct fs *fs, void (*on_done)(void *ctx))
{
	fs->on_stopped = on_done;
	fs->stopping = true;
	op_fail_all(fs, ERR_IO);
	pusher_drain(fs->pusher, on_pusher_idle);
}

void fs_destroy(struct fs *fs)
{
	if (!fs)
		return;
	if (fs->session)
		fuse_session_destroy(fs->session);
	free(fs->buffer.mem);
	notifier_destroy(fs->notifier);
	pusher_destroy(fs->pusher);
	control_destroy(fs->control);
	map_finish(&fs->unlinking);
	map_finish(&fs->shrunk);
	op_forget_late(fs);
	free(fs);
}
