/* SPDX-License-Identifier: MIT */
/*
 * The guardian: a small process that does nothing but wait for the end of the daemon.
 *
 * When a daemon is killed while one of its threads waits inside the kernel for a directory's lock
 * (fuse_lowlevel_notify_delete), that thread cannot end: the lock's holder waits for an answer of
 * ours that will never come. The thread keeps /dev/fuse open, so the kernel does not notice that
 * nobody serves the mount any more, and everyone in it hangs unkillably. Only somebody outside can
 * mend that, by aborting the FUSE connection. The guardian does, and unmounts, so that after any
 * death the mountpoint is usable again.
 *
 * It is forked before there are threads, descriptors or secrets, has a session of its own and
 * ignores signals, and keeps the right to run fusermount3, which the daemon gives up
 * (privileges.h). So it also does the unmounting at the daemon's ordinary end.
 */
#ifndef APP_GUARDIAN_H
#define APP_GUARDIAN_H

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

struct guardian {
	pid_t pid; /* 0: there is none */
	int socket;
	uv_poll_t poll; /* for its end */
	bool polling;
};

/* Forks it; mountpoint is absolute. quiet: it speaks to syslog, else on stderr. From the main
 * thread, which is the one whose end counts. Without a guardian (it has said why) all else works.
 */
void guardian_start(struct guardian *g, const char *mountpoint, bool quiet);
/* What will be mounted at the mountpoint is ours, if the daemon dies before it can say so. */
void guardian_expect(struct guardian *g);
/* What is mounted at the mountpoint now is ours: it is taken away when the daemon dies. Warns when
 * the guardian itself dies. */
void guardian_watch(struct guardian *g, uv_loop_t *loop);
/* Ends the FUSE connection and unmounts, if what is mounted there is still ours. Blocks for some
 * milliseconds, and never for the filesystem. */
void guardian_unmount(struct guardian *g);
/* Ends it and waits for that; the loop must run once more. */
void guardian_stop(struct guardian *g);

#endif
