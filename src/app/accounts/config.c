/* SPDX-License-Identifier: MIT */
/*
 * libinih parses, with a reader of ours: inih cuts without a word what is longer than its buffers,
 * and takes an indented line as a continuation.
 */
#include "app/accounts/config.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/span.h"
#include "base/text.h"
#include "app/accounts/home.h"

enum {
	FILE_MAX = 256 << 10,
	SECTION_MAX = 49, /* inih's, without its NUL */
};

struct config {
	const char *path;
	struct span rest; /* of the text */
	unsigned line;
	bool names_secret;
	config_entry_cb *on_entry;
	void *ctx;
	int err;
	char *error;
	size_t size;
};

__attribute__((format(printf, 3, 4))) static int fail(
	struct config *c, int err, const char *format, ...)
{
	va_list args;

	c->err = err;
	va_start(args, format);
	vsnprintf(c->error, c->size, format, args);
	va_end(args);
	return err;
}

/* --- the file --- */

static int check_owner(struct config *c, const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return fail(c, ERR_INVALID, "%s is not a file", c->path);
	if (st->st_uid != geteuid() && st->st_uid != 0)
		return fail(c, ERR_INVALID, "%s belongs to another user (uid %u)", c->path,
			(unsigned)st->st_uid);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return fail(c, ERR_INVALID,
			"others can write %s (mode %04o), which names commands that are run; run: "
			"chmod 600 '%s'",
			c->path, (unsigned)(st->st_mode & 07777), c->path);
	return 0;
}

static int check_secret(struct config *c, const struct stat *st)
{
	if (!c->names_secret || !(st->st_mode & (S_IRWXG | S_IRWXO)))
		return 0;
	return fail(c, ERR_INVALID,
		"others can read %s (mode %04o), which says how to get at a password; run: chmod "
		"600 '%s'",
		c->path, (unsigned)(st->st_mode & 07777), c->path);
}

static int read_text(struct config *c, int fd, struct buf *text)
{
	for (;;) {
		char *to = buf_reserve(text, 4096);
		if (!to)
			return fail(c, ERR_LIMIT, "%s is too large", c->path);
		ssize_t n = read(fd, to, 4096);
		if (n < 0 && errno != EINTR)
			return fail(c, ERR_IO, "%s: %s", c->path, strerror(errno));
		if (n == 0)
			return 0;
		if (n > 0)
			buf_commit(text, (size_t)n);
	}
}

/* --- its lines --- */

static struct span next_line(struct config *c)
{
	const char *end = memchr(c->rest.p, '\n', c->rest.n);
	struct span line = {c->rest.p, end ? (size_t)(end - c->rest.p) : c->rest.n};
	size_t taken = line.n + (end != NULL);

	c->rest = (struct span){c->rest.p + taken, c->rest.n - taken};
	c->line++;
	while (line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t')) {
		line.p++;
		line.n--;
	}
	while (line.n > 0 && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == ' '))
		line.n--;
	return line;
}

/* The account's name is what is typed as SOURCE, and so it cannot be what a URL or a mailbox is. */
static int check_section(struct config *c, struct span line)
{
	const char *end = memchr(line.p, ']', line.n);
	size_t n = end ? (size_t)(end - line.p) - 1 : 0;

	if (n == 0 || n > SECTION_MAX)
		return fail(c, ERR_INVALID,
			"%s:%u: an account begins with [NAME], of at most %d bytes", c->path,
			c->line, SECTION_MAX);
	for (size_t i = 1; i <= n; i++)
		if ((unsigned char)line.p[i] <= ' ' || strchr(":/,[", line.p[i]))
			return fail(c, ERR_INVALID,
				"%s:%u: the name of an account has no blanks, and none of : / , [",
				c->path, c->line);
	return 0;
}

/* inih's reader: copies the next line to `to`, of `room` octets. */
static char *config_on_read(char *to, int room, void *ctx)
{
	struct config *c = ctx;

	if (c->err < 0 || c->rest.n == 0)
		return NULL;
	struct span line = next_line(c);
	if (line.n + 1 >= (size_t)room)
		fail(c, ERR_INVALID, "%s:%u: the line is longer than %d bytes", c->path, c->line,
			room - 2);
	else if (memchr(line.p, '\0', line.n))
		fail(c, ERR_INVALID, "%s:%u: there is a NUL byte", c->path, c->line);
	else if (line.n > 0 && line.p[0] == '[')
		check_section(c, line);
	if (c->err < 0)
		return NULL;
	memcpy(to, line.p, line.n);
	to[line.n] = '\n';
	to[line.n + 1] = '\0';
	return to;
}

static bool names_secret(const char *name)
{
	static const char *const names[] = {"passfile", "passcmd", "tokencmd", "netrc", "keyfile"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* 0 is inih's word for an error; where the first one was our reader knows. */
static int config_on_pair(void *ctx, const char *section, const char *name, const char *value)
{
	struct config *c = ctx;
	const struct config_entry entry = {section, name, value, c->line};

	if (c->err < 0)
		return 0;
	if (!*section)
		fail(c, ERR_INVALID, "%s:%u: there is no [NAME] of an account above this line",
			c->path, c->line);
	else
		c->err = c->on_entry(c->ctx, &entry);
	c->names_secret |= names_secret(name);
	return c->err == 0;
}

static int parse_text(struct config *c, const struct buf *text)
{
	c->rest = buf_span(text);
	int bad = c->rest.n ? ini_parse_stream(config_on_read, c, config_on_pair, c) : 0;
	if (c->err == 0 && bad != 0)
		fail(c, ERR_INVALID,
			"%s:%d: not understood; a line is [NAME] or WORD = VALUE (ro = yes)",
			c->path, bad);
	return c->err;
}

static int read_open(struct config *c, int fd)
{
	struct stat st;
	struct buf text;

	if (fstat(fd, &st) < 0)
		return fail(c, ERR_IO, "%s: %s", c->path, strerror(errno));
	if (check_owner(c, &st) < 0)
		return c->err;
	buf_init(&text, FILE_MAX);
	int err = read_text(c, fd, &text);
	if (err == 0)
		err = parse_text(c, &text);
	buf_finish(&text);
	return err == 0 ? check_secret(c, &st) : err;
}

int config_read(const char *path, config_entry_cb *on_entry, void *ctx, char *error, size_t size)
{
	struct config c = {
		.path = path, .on_entry = on_entry, .ctx = ctx, .error = error, .size = size};
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0)
		return fail(&c, ERR_IO, "%s: %s", path, strerror(errno));
	int err = read_open(&c, fd);
	close(fd);
	return err;
}

char *config_path(void)
{
	char *directory = home_place("XDG_CONFIG_HOME", "/.config");
	char *path = directory ? mem_printf("%s/config", directory) : NULL;

	free(directory);
	return path;
}

/* --- the list --- */

struct listing {
	char *account, *source, *mountpoint;
};

static void finish_account(struct listing *l)
{
	if (l->account)
		printf("%s\t%s\t%s\n", l->account, l->source ? l->source : l->account,
			l->mountpoint ? l->mountpoint : "-");
	free(l->account);
	free(l->source);
	free(l->mountpoint);
	*l = (struct listing){NULL, NULL, NULL};
}

static void keep_printable(char **to, const char *value)
{
	char text[512];

	free(*to);
	*to = mem_strdup(text_printable(span_of(value), text, sizeof(text)));
}

static int config_on_listed(void *ctx, const struct config_entry *entry)
{
	struct listing *l = ctx;

	if (!l->account || strcmp(l->account, entry->account) != 0) {
		finish_account(l);
		keep_printable(&l->account, entry->account);
	}
	if (strcmp(entry->name, "source") == 0)
		keep_printable(&l->source, entry->value);
	if (strcmp(entry->name, "mountpoint") == 0)
		keep_printable(&l->mountpoint, entry->value);
	return 0;
}

int config_list(const char *path, char *error, size_t size)
{
	struct listing l = {NULL, NULL, NULL};
	int err = config_read(path, config_on_listed, &l, error, size);

	finish_account(&l);
	return err;
}
