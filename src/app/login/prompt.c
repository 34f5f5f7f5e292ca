/* SPDX-License-Identifier: MIT */
/*
 * The signals that end or stop a process are blocked but for the moment in which ppoll waits, so
 * none can come between a look at `caught` and the wait, or while the terminal is half set.
 */
#include "app/login/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/error.h"
#include "base/libc.h"

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};

enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };

struct guard {
	struct sigaction actions[SIGNALS];
	sigset_t mask; /* before */
	sigset_t wait; /* while waiting */
};

static volatile sig_atomic_t caught;

static void prompt_on_signal(int number)
{
	caught = number;
}

/* What is ignored (nohup) stays ignored. */
static void guard_start(struct guard *g)
{
	struct sigaction action = {.sa_handler = prompt_on_signal};
	sigset_t block;

	caught = 0;
	sigemptyset(&action.sa_mask);
	sigemptyset(&block);
	for (int i = 0; i < SIGNALS; i++)
		sigaddset(&block, signals[i]);
	sigprocmask(SIG_BLOCK, &block, &g->mask);
	g->wait = g->mask;
	for (int i = 0; i < SIGNALS; i++) {
		sigdelset(&g->wait, signals[i]);
		sigaction(signals[i], NULL, &g->actions[i]);
		if (g->actions[i].sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
}

static void guard_finish(const struct guard *g)
{
	for (int i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &g->actions[i], NULL);
	sigprocmask(SIG_SETMASK, &g->mask, NULL);
}

static int set_terminal(int fd, const struct termios *modes)
{
	int result;

	do
		result = tcsetattr(fd, TCSADRAIN, modes);
	while (result < 0 && errno == EINTR);
	return result;
}

/* The terminal gives whole lines. Returns 0, ERR_CANCELED, or buf's errors. */
static int read_typed_line(int fd, const struct guard *g, struct buf *line)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	char c;

	for (;;) {
		int ready = ppoll(&readable, 1, NULL, &g->wait);
		if (caught || (ready < 0 && errno != EINTR))
			return ERR_CANCELED;
		if (ready <= 0)
			continue;
		ssize_t n = read(fd, &c, 1);
		if (n <= 0)
			return ERR_CANCELED;
		if (c == '\n')
			return 0;
		int err = buf_append_char(line, c);
		if (err < 0)
			return err;
	}
}

static void say(int fd, const char *text)
{
	/* Nothing could be done about a terminal that takes no more. */
	if (write(fd, text, strlen(text)) < 0)
		return;
}

/* --- the terminal's modes, whatever becomes of us --- */

/* A process that waits for our end and then gives the terminal its modes back: who kills us by
 * SIGKILL has a shell that shows what he types. It was forked before anything secret was typed. */
struct keeper {
	pid_t pid;
	int fd; /* our end of its pipe; -1: there is none */
};

static _Noreturn void keep_modes(int terminal, int fd, const struct termios *before)
{
	char told;

	for (int i = 0; i < SIGNALS; i++)
		signal(signals[i], SIG_IGN);
	signal(SIGTTOU, SIG_IGN); /* a shell is in the foreground by then */
	if (TEMP_FAILURE_RETRY(read(fd, &told, 1)) == 0)
		set_terminal(terminal, before);
	_exit(0);
}

static void keeper_start(struct keeper *k, int terminal, const struct termios *before)
{
	int fds[2];

	*k = (struct keeper){.fd = -1};
	if (pipe2(fds, O_CLOEXEC) < 0)
		return;
	k->pid = fork();
	if (k->pid == 0) {
		close(fds[1]);
		keep_modes(terminal, fds[0], before);
	}
	close(fds[0]);
	if (k->pid > 0)
		k->fd = fds[1];
	else
		close(fds[1]);
}

static void keeper_finish(struct keeper *k)
{
	if (k->fd < 0)
		return;
	if (write(k->fd, "", 1) < 0)
		kill(k->pid, SIGKILL);
	close(k->fd);
	TEMP_FAILURE_RETRY(waitpid(k->pid, NULL, 0));
}

/* --- questions --- */

static void make_quiet(struct termios *modes)
{
	modes->c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	modes->c_lflag |= ICANON | ISIG;
}

static int ask_at(int fd, const char *question, bool quiet, struct buf *line)
{
	struct termios before, modes;
	struct keeper keeper = {.fd = -1};
	struct guard guard;

	if (tcgetattr(fd, &before) < 0)
		return ERR_IO;
	guard_start(&guard);
	modes = before;
	if (quiet) {
		keeper_start(&keeper, fd, &before);
		make_quiet(&modes);
	}
	int err = set_terminal(fd, &modes) < 0 ? ERR_IO : 0;
	if (err == 0) {
		say(fd, question);
		err = read_typed_line(fd, &guard, line);
		if (quiet || err < 0)
			say(fd, "\n");
		set_terminal(fd, &before);
	}
	keeper_finish(&keeper);
	guard_finish(&guard);
	return err;
}

/* ERR_IO: there is no terminal. */
static int ask_terminal(const char *question, bool quiet, struct buf *line)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	int err = ERR_IO, number = 0;

	if (fd < 0)
		return ERR_IO;
	do {
		buf_clear(line);
		err = ask_at(fd, question, quiet, line);
		number = caught;
		if (number)
			raise(number);
	} while (number == SIGTSTP);
	close(fd);
	return err;
}

int prompt_secret(const char *question, struct buf *answer, char *error, size_t size)
{
	struct buf line;

	buf_init_secret(&line, answer->max);
	int err = ask_terminal(question, true, &line);
	if (err == 0)
		err = buf_append_span(answer, buf_span(&line));
	if (err == ERR_IO)
		snprintf(error, size,
			"there is no terminal to ask for the password; use -o passfile= "
			"or -o passcmd=");
	else if (err < 0)
		snprintf(error, size, "%s",
			err == ERR_CANCELED ? "no password was given" : "the password is too long");
	buf_finish(&line);
	return err;
}

int prompt_yes(const char *question, bool *yes, char *error, size_t size)
{
	struct buf line;

	*yes = false;
	buf_init(&line, 256);
	int err = ask_terminal(question, false, &line);
	if (err == 0)
		*yes = span_equal_nocase(buf_span(&line), SPAN("y")) ||
		       span_equal_nocase(buf_span(&line), SPAN("yes"));
	if (err < 0)
		snprintf(error, size, "%s",
			err == ERR_IO ? "there is no terminal to ask on" : "there was no answer");
	buf_finish(&line);
	return err;
}
