/* SPDX-License-Identifier: MIT */
/*
 * Mounting. Why they cannot libfuse and fusermount3 say on stderr, in one line or two; here that
 * becomes a text. For the length of the call stderr is a file in memory: other threads may write to
 * it too, so what came without a failure is passed on.
 */
#include "fs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "fs/filesystem.h"
#include "fs/mounted.h"
#include "fs/operations.h"

#define SAID_MAX 1024

static struct fuse_session *new_session(struct fs *fs)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session = NULL;

	if (fuse_opt_add_arg(&args, "imapfs") == 0 && fuse_opt_add_arg(&args, "-o") == 0 &&
		fuse_opt_add_arg(&args, fs->options.mount_options) == 0)
		session = fuse_session_new(&args, &fs_operations, sizeof(fs_operations), fs);
	fuse_opt_free_args(&args);
	return session;
}

static struct fuse_session *new_and_mounted(struct fs *fs)
{
	struct fuse_session *session = new_session(fs);

	if (session && fuse_session_mount(session, fs->options.mountpoint) < 0) {
		fuse_session_destroy(session);
		session = NULL;
	}
	return session;
}

/* Returns what to give to end_hearing, -1 when stderr stays as it is. */
static int begin_hearing(int *heard)
{
	int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

	*heard = saved < 0 ? -1 : memfd_create("stderr", MFD_CLOEXEC);
	if (*heard >= 0 && dup2(*heard, STDERR_FILENO) >= 0)
		return saved;
	if (*heard >= 0)
		close(*heard);
	if (saved >= 0)
		close(saved);
	*heard = -1;
	return -1;
}

/* Closes both; said gets the lines. */
static void end_hearing(int saved, int heard, char *said, size_t size)
{
	ssize_t n = 0;

	if (saved >= 0) {
		dup2(saved, STDERR_FILENO);
		n = pread(heard, said, size - 1, 0);
		close(saved);
		close(heard);
	}
	said[n > 0 ? n : 0] = '\0';
}

/* The lines as one. */
static void explain_failure(char *said, char *error, size_t size)
{
	for (size_t n = strlen(said); n > 0 && said[n - 1] == '\n'; n--)
		said[n - 1] = '\0';
	for (char *end = strchr(said, '\n'); end; end = strchr(end, '\n'))
		*end = ';';
	text_printable(span_of(*said ? said : "libfuse does not say why"), error, size);
}

struct fuse_session *mount_session(struct fs *fs, char *error, size_t size)
{
	char said[SAID_MAX];
	int heard;

	fflush(stderr);
	int saved = begin_hearing(&heard);
	struct fuse_session *session = new_and_mounted(fs);
	end_hearing(saved, heard, said, sizeof(said));
	if (session)
		fputs(said, stderr);
	else
		explain_failure(said, error, size);
	if (session && !mounted_at(fs->options.mountpoint, &fs->ours))
		log_debug("%s: %s", fs->options.mountpoint, strerror(errno));
	return session;
}

/* Closes the device, which ends the connection, and leaves in its place a descriptor that polls as
 * that of an ended connection does: libfuse then unmounts nothing, and it has no other way not to
 * unmount whatever is at the path. */
static bool sever(struct fuse_session *session)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return false;
	close(fds[0]);
	bool ok = dup3(fds[1], fuse_session_fd(session), O_CLOEXEC) >= 0;
	close(fds[1]);
	return ok;
}

void mount_end(struct fs *fs)
{
	if (mounted_is_at(&fs->ours, fs->options.mountpoint) || sever(fs->session))
		fuse_session_unmount(fs->session);
}
