/* SPDX-License-Identifier: MIT */
#include "app/login/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "base/error.h"
#include "base/mem.h"
#include "app/login/command.h"
#include "app/login/netrc.h"
#include "app/login/prompt.h"

enum {
	NETRC_MAX = 256 << 10,
	NETRC_CHUNK = 4096,
};

struct report {
	char *error;
	size_t size;
};

__attribute__((format(printf, 3, 4))) static int fail(
	const struct report *r, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->error, r->size, format, args);
	va_end(args);
	return err;
}

/* --- passfile --- */

/* systemd lets a service's user at its credentials by an access list, which shows as a group's
 * permission. */
static bool is_credential(const char *path)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	size_t n = directory ? strlen(directory) : 0;

	return n > 0 && strncmp(path, directory, n) == 0 && path[n] == '/' &&
	       !strchr(path + n + 1, '/');
}

/* what: how the file is called where it was named. */
static int check_file(int fd, const char *what, const char *path, const struct report *r)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail(r, ERR_IO, "%s %s: %s", what, path, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
		return fail(r, ERR_INVALID, "%s %s is neither a file nor a pipe", what, path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return fail(r, ERR_INVALID,
			"%s %s belongs to another user (uid %u); make a copy of your own", what,
			path, (unsigned)st.st_uid);
	if (st.st_mode & ((is_credential(path) ? 0 : S_IRGRP) | S_IWGRP | S_IROTH | S_IWOTH))
		return fail(r, ERR_INVALID,
			"others can read or write %s %s (mode %04o); run: chmod 600 '%s'", what,
			path, (unsigned)(st.st_mode & 07777), path);
	return 0;
}

int credentials_check_key(const char *path, char *error, size_t size)
{
	const struct report r = {error, size};
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return fail(&r, ERR_IO, "keyfile %s: %s", path, strerror(errno));
	int err = check_file(fd, "keyfile", path, &r);
	close(fd);
	return err;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits until a pipe has something to read, or its end. Files always have. */
static int wait_readable(int fd, const char *path, int64_t deadline, const struct report *r)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	int ready;

	do {
		int64_t left = deadline - now_ms();
		ready = poll(&readable, 1, left > 0 ? (int)left : 0);
	} while (ready < 0 && errno == EINTR);
	if (ready < 0)
		return fail(r, ERR_IO, "passfile %s: %s", path, strerror(errno));
	return ready ? 0 : fail(r, ERR_TIMEOUT, "nobody writes to passfile %s, a pipe", path);
}

/* Reads until there is a line in `line`, or the end. One octet more than a password shows that it
 * is too long. */
static int read_first_line(
	int fd, const char *path, int64_t deadline, struct buf *line, const struct report *r)
{
	while (!memchr(line->len ? line->data : "", '\n', line->len)) {
		if (line->len == line->max)
			return fail(r, ERR_LIMIT,
				"the first line of passfile %s is longer than %d bytes", path,
				CREDENTIALS_MAX);
		int err = wait_readable(fd, path, deadline, r);
		if (err < 0)
			return err;
		size_t room = line->max - line->len;
		char *to = buf_reserve(line, room);
		if (!to)
			return fail(r, ERR_NOMEM, "out of memory");
		ssize_t n = read(fd, to, room);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return fail(r, ERR_IO, "passfile %s: %s", path, strerror(errno));
		if (n == 0)
			break;
		if (n > 0)
			buf_commit(line, (size_t)n);
	}
	return 0;
}

static struct span first_line(const struct buf *b)
{
	struct span s = buf_span(b);
	const char *end = s.n ? memchr(s.p, '\n', s.n) : NULL;

	if (end)
		s.n = (size_t)(end - s.p);
	if (s.n > 0 && s.p[s.n - 1] == '\r')
		s.n--;
	return s;
}

static int take_line(
	const struct buf *line, const char *path, struct buf *password, const struct report *r)
{
	struct span s = first_line(line);

	if (s.n == 0)
		return fail(r, ERR_INVALID, "the first line of passfile %s is empty", path);
	if (memchr(s.p, '\0', s.n))
		return fail(r, ERR_INVALID, "the first line of passfile %s has a NUL byte", path);
	int err = s.n > CREDENTIALS_MAX ? ERR_LIMIT : buf_append_span(password, s);
	if (err < 0)
		return fail(r, err, "the first line of passfile %s is too long", path);
	return 0;
}

int credentials_read_file(
	const char *path, int wait, struct buf *password, char *error, size_t size)
{
	const struct report r = {error, size};
	/* Not to wait here for who writes to a pipe: that is bounded below. */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct buf line;

	if (fd < 0)
		return fail(&r, ERR_IO, "passfile %s: %s", path, strerror(errno));
	buf_init_secret(&line, CREDENTIALS_MAX + 2);
	int err = check_file(fd, "passfile", path, &r);
	if (err == 0)
		err = read_first_line(fd, path, now_ms() + wait, &line, &r);
	if (err == 0)
		err = take_line(&line, path, password, &r);
	buf_finish(&line);
	close(fd);
	return err;
}

/* --- netrc --- */

static int read_netrc_file(int fd, const char *path, struct buf *text, const struct report *r)
{
	for (;;) {
		char *to = buf_reserve(text, NETRC_CHUNK);
		if (!to)
			return fail(r, ERR_LIMIT, "netrc %s is too large", path);
		ssize_t n = read(fd, to, NETRC_CHUNK);
		if (n < 0 && errno != EINTR)
			return fail(r, ERR_IO, "netrc %s: %s", path, strerror(errno));
		if (n == 0)
			return 0;
		if (n > 0)
			buf_commit(text, (size_t)n);
	}
}

static int find_in_netrc(
	int fd, const struct options *o, struct buf *password, const struct report *r)
{
	const char *path = o->netrc;
	struct buf text;

	buf_init_secret(&text, NETRC_MAX);
	int err = read_netrc_file(fd, path, &text, r);
	if (err == 0) {
		err = netrc_find(buf_span(&text), o->source.host, o->source.user, password);
		if (err < 0)
			fail(r, err, "netrc %s: %s", path,
				err == ERR_INVALID ? "a quote has no end" : "a word is too long");
	}
	buf_finish(&text);
	return err;
}

/* The usual file matters only where it has this account. */
static int read_netrc(const struct options *o, struct buf *password, char *error, size_t size)
{
	const struct report r = {error, size};
	int fd = open(o->netrc, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return o->netrc_given ? fail(&r, ERR_IO, "netrc %s: %s", o->netrc, strerror(errno))
				      : 0;
	int err = find_in_netrc(fd, o, password, &r);
	if (err < 0 && !o->netrc_given)
		err = 0;
	if (err == 0 && (password->len > 0 || o->netrc_given))
		err = check_file(fd, "netrc", o->netrc, &r);
	if (err == 0 && password->len == 0 && o->netrc_given)
		err = fail(&r, ERR_INVALID, "netrc %s has no password of %s at machine %s",
			o->netrc, o->source.user, o->source.host);
	if (err < 0)
		buf_clear(password);
	close(fd);
	return err;
}

/* --- passcmd --- */

struct waiting {
	int err;
	struct buf *password;
	struct report report;
};

static void credentials_on_password(void *ctx, int err, struct span password, const char *error)
{
	struct waiting *w = ctx;

	w->err = err < 0 ? fail(&w->report, err, "%s", error)
			 : buf_append_span(w->password, password);
	if (w->err < 0 && err == 0)
		fail(&w->report, w->err, "the password is too long");
}

/* There is no other loop yet that could be kept waiting. */
static int run_command(const char *command, struct buf *password, char *error, size_t size)
{
	struct waiting w = {.password = password, .report = {error, size}};
	const struct command_options options = {.option = "passcmd",
		.noun = "password",
		.command = command,
		.max = CREDENTIALS_MAX,
		.timeout = CREDENTIALS_TIMEOUT};
	uv_loop_t loop;

	int failed = uv_loop_init(&loop);
	if (failed < 0)
		return fail(&w.report, ERR_NOMEM, "%s", uv_strerror(failed));
	command_start(&loop, &options, credentials_on_password, &w);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	return w.err;
}

/* --- prompt --- */

static int prompt(const struct options *o, struct buf *password, char *error, size_t size)
{
	const struct report r = {error, size};
	char *question = mem_printf(
		strchr(o->source.user, '@') ? "Password for %s at %s: " : "Password for %s@%s: ",
		o->source.user, o->source.host);
	struct buf line;

	buf_init_secret(&line, CREDENTIALS_MAX);
	int err = prompt_secret(question, &line, error, size);
	if (err == 0 && line.len == 0)
		err = fail(&r, ERR_CANCELED, "no password was given");
	else if (err == 0 && memchr(line.data, '\0', line.len))
		err = fail(&r, ERR_INVALID, "the password has a NUL byte");
	else if (err == 0 && (err = buf_append_span(password, buf_span(&line))) < 0)
		fail(&r, err, "the password is too long");
	buf_finish(&line);
	free(question);
	return err;
}

/* What a service of systemd is given under our name; nothing when there is none. */
static int read_credential(struct buf *password, char *error, size_t size)
{
	const struct report r = {error, size};
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	char reason[512];
	int err = 0;

	if (!directory)
		return 0;
	if (*directory != '/')
		return fail(&r, ERR_INVALID, "CREDENTIALS_DIRECTORY is no absolute path: '%.80s'",
			directory);
	char *path = mem_printf("%s/imapfs", directory);
	if (access(path, F_OK) == 0)
		err = credentials_read_file(
			path, CREDENTIALS_TIMEOUT, password, reason, sizeof(reason));
	else if (errno != ENOENT)
		err = fail(&(struct report){reason, sizeof(reason)}, ERR_IO, "%s: %s", path,
			strerror(errno));
	free(path);
	return err < 0 ? fail(&r, err, "CREDENTIALS_DIRECTORY: %s", reason) : 0;
}

/* A service that was given credentials, but not ours, has no terminal to ask on. */
static int prompt_at_last(const struct options *o, struct buf *password, char *error, size_t size)
{
	const struct report r = {error, size};
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	int err = prompt(o, password, error, size);

	if (err == ERR_IO && directory) {
		char *reason = mem_strdup(error);
		fail(&r, err,
			"%s, or give the credential imapfs, which is not in "
			"CREDENTIALS_DIRECTORY, %.200s",
			reason, directory);
		free(reason);
	}
	return err;
}

/* Where nothing says how: what there is. */
static int find_password(const struct options *o, struct buf *password, const char **source,
	char *error, size_t size)
{
	int err = read_credential(password, error, size);

	*source = "from the credential imapfs, of systemd";
	if (err == 0 && password->len == 0 && o->netrc) {
		err = read_netrc(o, password, error, size);
		*source = "from the netrc of the user";
	}
	if (err < 0 || password->len > 0)
		return err;
	*source = "from the prompt";
	return prompt_at_last(o, password, error, size);
}

int credentials_get(const struct options *o, struct buf *password, const char **source, char *error,
	size_t size)
{
	*source = o->tokencmd           ? "OAuth, by tokencmd="
		  : o->without_password ? "none: by the certificate of certfile="
		  : o->passfile         ? "from passfile="
		  : o->passcmd          ? "from passcmd="
					: "from netrc=";
	if (o->without_password)
		return 0;
	if (o->passfile)
		return credentials_read_file(
			o->passfile, CREDENTIALS_TIMEOUT, password, error, size);
	if (o->passcmd)
		return run_command(o->passcmd, password, error, size);
	if (o->netrc_given)
		return read_netrc(o, password, error, size);
	return find_password(o, password, source, error, size);
}
