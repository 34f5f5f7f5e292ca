/*
 * The signals that end or stop a process are blocked but for the moment in which ppoll waits, so
 * none can come between a look at `caught` and the wait, or while the terminal is half set.
 */
#include "prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/error.h"

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};

enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };

struct guard {
	struct sigaction actions[SIGNALS];
	sigset_t mask; /* before */
	sigset_t wait; /* while waiting */
};

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught = number;
}

/* What is ignored (nohup) stays ignored. */
static void guard_start(struct guard *g)
{
	struct sigaction action = {.sa_handler = on_signal};
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
static int read_line(int fd, const struct guard *g, struct buf *line)
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

static int ask(int fd, const char *question, struct buf *line)
{
	struct termios before, quiet;
	struct guard guard;

	if (tcgetattr(fd, &before) < 0)
		return ERR_IO;
	guard_start(&guard);
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	quiet.c_lflag |= ICANON | ISIG;
	int err = set_terminal(fd, &quiet) < 0 ? ERR_IO : 0;
	if (err == 0) {
		say(fd, question);
		err = read_line(fd, &guard, line);
		say(fd, "\n");
		set_terminal(fd, &before);
	}
	guard_finish(&guard);
	return err;
}

int prompt_secret(const char *question, struct buf *answer, char *error, size_t size)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	int err = ERR_IO, number = 0;
	struct buf line;

	buf_init_secret(&line, answer->max);
	if (fd >= 0) {
		do {
			buf_clear(&line);
			err = ask(fd, question, &line);
			number = caught;
			if (number)
				raise(number);
		} while (number == SIGTSTP);
		close(fd);
	}
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
