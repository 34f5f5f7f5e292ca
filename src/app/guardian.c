/* SPDX-License-Identifier: MIT */
#include "app/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/libc.h"
#include "base/log.h"
#include "fs/mounted.h"

/* How long the kernel may take to end a dead process whose threads all can end, and those that
 * waited for the connection after it was aborted; milliseconds. */
enum { END_WAIT = 200, ABORTED_WAIT = 1000 };
/* Seconds that the daemon waits for an answer. */
enum { ANSWER_WAIT = 5 };

/* The daemon's words; each is one octet, answered by the same when it is done. */
enum { WORD_EXPECT = 'e', WORD_WATCH = 'w', WORD_UNMOUNT = 'u' };

/* --- the guardian's side --- */

struct ward {
	const char *mountpoint;
	pid_t daemon;
	int socket;
	int process; /* pidfd of the daemon, or -1 */
	int signals;
	bool expecting, watching;
	struct mounted before, ours;
};

static bool is_ours(const struct ward *w)
{
	return w->watching && mounted_is_at(&w->ours, w->mountpoint);
}

/* Somebody may have unmounted it already: then it is again what was there before. */
static void watch_mount(struct ward *w)
{
	w->watching = mounted_at(w->mountpoint, &w->ours) && !mounted_is_same(&w->ours, &w->before);
}

/* Where fusectl is mounted, the user who mounted may write here. */
static void abort_connection(const struct ward *w)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%u/abort", minor(w->ours.dev));
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	if (write(fd, "1", 1) < 0)
		log_warning("%s: %s", path, strerror(errno));
	close(fd);
}

/* The program is looked for in the user's PATH, and is given nothing but that. */
static bool run_fusermount(const char *mountpoint)
{
	char path[4096];
	const char *const argv[] = {"fusermount3", "-u", "-q", "-z", "--", mountpoint, NULL};
	char *envp[] = {path, NULL};
	const char *given = getenv("PATH");
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t child;
	int status = -1;

	snprintf(path, sizeof(path), "PATH=%s", given ? given : "/usr/bin:/bin");
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	int err = posix_spawnp(&child, argv[0], NULL, &attr, (char *const *)argv, envp);
	posix_spawnattr_destroy(&attr);
	if (err != 0) {
		log_warning("cannot run fusermount3: %s", strerror(err));
		return false;
	}
	return TEMP_FAILURE_RETRY(waitpid(child, &status, 0)) == child && status == 0;
}

/* MNT_FORCE ends the connection too, but only the system's root may. */
static bool take_away(const struct ward *w)
{
	return umount2(w->mountpoint, MNT_FORCE | MNT_DETACH) == 0 ||
	       umount2(w->mountpoint, MNT_DETACH) == 0 || run_fusermount(w->mountpoint);
}

static void unmount_ours(const struct ward *w)
{
	if (!is_ours(w))
		return;
	abort_connection(w);
	if (!take_away(w))
		log_warning("cannot unmount %s", w->mountpoint);
}

static bool daemon_has_ended(const struct ward *w, int wait)
{
	struct pollfd ended = {.fd = w->process, .events = POLLIN};

	return poll(&ended, 1, wait) > 0;
}

/* The daemon may have been killed while it mounted: then a mount that is new here, and dead, is
 * ours. To stat a dead one does not wait. */
static void adopt_mount(struct ward *w)
{
	struct stat st;

	if (w->expecting && !w->watching && stat(w->mountpoint, &st) < 0 &&
		(errno == ENOTCONN || errno == ECONNABORTED))
		watch_mount(w);
}

/* The daemon's last thread closes /dev/fuse when it ends, and the connection with it. A thread that
 * cannot end waits for the connection to be aborted. This waits for the end of the whole process,
 * since only that releases its lock of the cache. */
static void rescue(struct ward *w)
{
	bool ended = daemon_has_ended(w, END_WAIT);

	adopt_mount(w);
	if (!w->watching)
		return;
	if (!ended) {
		abort_connection(w);
		if (!daemon_has_ended(w, 0) && is_ours(w))
			umount2(w->mountpoint, MNT_FORCE);
		if (!daemon_has_ended(w, ABORTED_WAIT))
			log_error("what waits in the mount hangs until root writes 1 to "
				  "/sys/fs/fuse/connections/%u/abort",
				minor(w->ours.dev));
	}
	if (!is_ours(w))
		return;
	log_error("the daemon died; unmounting %s", w->mountpoint);
	if (!take_away(w))
		log_error("cannot unmount; try 'fusermount3 -uz %s'", w->mountpoint);
}

/* False at the end of the daemon. */
static bool obey(struct ward *w)
{
	char word = 0;

	if (TEMP_FAILURE_RETRY(recv(w->socket, &word, 1, 0)) != 1)
		return false;
	if (word == WORD_EXPECT)
		w->expecting = true;
	else if (word == WORD_WATCH)
		watch_mount(w);
	else if (word == WORD_UNMOUNT)
		unmount_ours(w);
	send(w->socket, &word, 1, MSG_NOSIGNAL);
	return true;
}

/* The kernel signs it with the parent's number; others may send what they like. */
static bool parent_has_ended(const struct ward *w)
{
	struct signalfd_siginfo info;

	while (read(w->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo == (uint32_t)SIGRTMIN && info.ssi_pid == (uint32_t)w->daemon)
			return true;
	return false;
}

/* The end of the socket and the pidfd tell only when all threads are gone; the signal tells when
 * the main one is. */
static void wait_for_end(struct ward *w)
{
	struct pollfd fds[] = {
		{.fd = w->socket, .events = POLLIN},
		{.fd = w->signals, .events = POLLIN},
	};

	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents && parent_has_ended(w))
			return;
		if (fds[0].revents && !obey(w))
			return;
	}
}

/* Not to be mistaken for the daemon by `pkill imapfs`, and to be told from it in ps. */
static void rename_process(const char *mountpoint)
{
	char title[512];

	snprintf(title, sizeof(title), "imapfs: guardian of %s", mountpoint);
	uv_set_process_title(title);
	prctl(PR_SET_NAME, "guardian");
}

static void let_go(struct ward *w, bool quiet)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; null >= 0 && fd < (quiet ? 3 : 2); fd++)
		dup2(null, fd);
	if (w->socket != 3) {
		dup3(w->socket, 3, O_CLOEXEC);
		w->socket = 3;
	}
	closefrom(4);
	if (quiet)
		log_to_syslog();
	setsid();
	if (chdir("/") < 0)
		log_warning("cannot change to /: %s", strerror(errno));
}

static _Noreturn void guard(struct ward *w, bool quiet)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	let_go(w, quiet);
	/* Of the kind that queues, so that another one cannot hide it. */
	prctl(PR_SET_PDEATHSIG, SIGRTMIN);
	w->process = (int)syscall(SYS_pidfd_open, w->daemon, 0);
	w->signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	rename_process(w->mountpoint);
	/* Who died before the signal was ordered has closed the socket. */
	wait_for_end(w);
	rescue(w);
	_exit(0);
}

/* --- the daemon's side --- */

void guardian_start(struct guardian *g, const char *mountpoint, bool quiet)
{
	const struct timeval patience = {.tv_sec = ANSWER_WAIT};
	struct ward w = {.mountpoint = mountpoint, .daemon = getpid()};
	int fds[2];

	*g = (struct guardian){.socket = -1};
	if (!mounted_at(mountpoint, &w.before)) {
		log_warning("cannot start the guardian: %s: %s", mountpoint, strerror(errno));
		return;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
		log_warning("cannot start the guardian: %s", strerror(errno));
		return;
	}
	pid_t child = fork();
	if (child == 0) {
		close(fds[0]);
		w.socket = fds[1];
		guard(&w, quiet);
	}
	close(fds[1]);
	if (child < 0) {
		log_warning("cannot start the guardian: %s", strerror(errno));
		close(fds[0]);
		return;
	}
	setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	g->pid = child;
	g->socket = fds[0];
}

/* False when it is not there or does not answer. */
static bool send_word(const struct guardian *g, char word)
{
	char answer;

	return g->pid > 0 && send(g->socket, &word, 1, MSG_NOSIGNAL) == 1 &&
	       TEMP_FAILURE_RETRY(recv(g->socket, &answer, 1, 0)) == 1;
}

static void close_poll(struct guardian *g)
{
	if (g->polling)
		uv_close((uv_handle_t *)&g->poll, NULL);
	g->polling = false;
}

static void end_guardian(struct guardian *g)
{
	kill(g->pid, SIGKILL);
	TEMP_FAILURE_RETRY(waitpid(g->pid, NULL, 0));
	close(g->socket);
	g->pid = 0;
}

static void mourn(struct guardian *g)
{
	log_warning("the guardian was killed: nobody will unmount when the daemon dies too");
	end_guardian(g);
}

static void guardian_on_readable(uv_poll_t *poll, int status, int events)
{
	struct guardian *g = poll->data;
	char late;

	if (recv(g->socket, &late, 1, MSG_DONTWAIT) > 0)
		return;
	close_poll(g);
	mourn(g);
}

void guardian_expect(struct guardian *g)
{
	send_word(g, WORD_EXPECT);
}

void guardian_watch(struct guardian *g, uv_loop_t *loop)
{
	if (g->pid <= 0)
		return;
	if (!send_word(g, WORD_WATCH)) {
		mourn(g);
		return;
	}
	if (uv_poll_init(loop, &g->poll, g->socket) < 0)
		return;
	g->poll.data = g;
	g->polling = true;
	uv_poll_start(&g->poll, UV_READABLE, guardian_on_readable);
	/* libuv made it non-blocking. */
	fcntl(g->socket, F_SETFL, fcntl(g->socket, F_GETFL) & ~O_NONBLOCK);
}

void guardian_unmount(struct guardian *g)
{
	close_poll(g);
	send_word(g, WORD_UNMOUNT);
}

void guardian_stop(struct guardian *g)
{
	close_poll(g);
	if (g->pid > 0)
		end_guardian(g);
}
