/* SPDX-License-Identifier: MIT */
#include "app/login/netrc.h"

#include <stdbool.h>

#include "base/error.h"

enum { WORD_MAX = 4096 };

struct netrc {
	struct span rest;
	struct buf word; /* the last one */
	int err;
};

/* What is known of the entry that is being read. */
struct entry {
	bool machine;     /* it is of the host */
	bool other_login; /* and of somebody else */
	bool has_password;
	struct buf password;
};

static bool is_blank_octet(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip(struct netrc *n, size_t octets)
{
	n->rest = (struct span){n->rest.p + octets, n->rest.n - octets};
}

static void add_to_word(struct netrc *n, char c)
{
	if (n->err == 0)
		n->err = buf_append_char(&n->word, c);
}

static void take_quoted_word(struct netrc *n)
{
	skip(n, 1);
	while (n->rest.n > 0 && n->rest.p[0] != '"') {
		if (n->rest.p[0] == '\\' && n->rest.n > 1)
			skip(n, 1);
		add_to_word(n, n->rest.p[0]);
		skip(n, 1);
	}
	if (n->rest.n == 0)
		n->err = ERR_INVALID;
	else
		skip(n, 1);
}

/* The next word; false at the end. */
static bool next_word(struct netrc *n)
{
	buf_clear(&n->word);
	while (n->rest.n > 0 && is_blank_octet(n->rest.p[0]))
		skip(n, 1);
	if (n->rest.n == 0 || n->err < 0)
		return false;
	if (n->rest.p[0] == '"') {
		take_quoted_word(n);
		return n->err == 0;
	}
	for (; n->rest.n > 0 && !is_blank_octet(n->rest.p[0]); skip(n, 1))
		add_to_word(n, n->rest.p[0]);
	return n->err == 0;
}

static bool word_is(const struct netrc *n, struct span word)
{
	return span_equal(buf_span(&n->word), word);
}

/* Past the next such octets, or the end. */
static void skip_past(struct netrc *n, struct span octets)
{
	const char *at = n->rest.n ? memmem(n->rest.p, n->rest.n, octets.p, octets.n) : NULL;

	skip(n, at ? (size_t)(at - n->rest.p) + octets.n : n->rest.n);
}

/* A keyword that does not begin an entry. */
static void take_keyword(struct netrc *n, struct entry *e, const char *user)
{
	if (word_is(n, SPAN("login"))) {
		e->other_login = !next_word(n) || !word_is(n, span_of(user));
	} else if (word_is(n, SPAN("password"))) {
		buf_clear(&e->password);
		e->has_password = next_word(n);
		if (n->err == 0)
			n->err = buf_append_span(&e->password, buf_span(&n->word));
	} else if (word_is(n, SPAN("macdef"))) {
		skip_past(n, SPAN("\n\n"));
	} else if (n->word.len > 0 && n->word.data[0] == '#') {
		skip_past(n, SPAN("\n"));
	}
}

static bool is_wanted(const struct entry *e)
{
	return e->machine && !e->other_login && e->has_password;
}

int netrc_find(struct span text, const char *host, const char *user, struct buf *password)
{
	struct netrc n = {.rest = text};
	struct entry e = {.machine = false};

	buf_init_secret(&n.word, WORD_MAX);
	buf_init_secret(&e.password, WORD_MAX);
	while (next_word(&n)) {
		bool machine = word_is(&n, SPAN("machine"));
		if (!machine && !word_is(&n, SPAN("default"))) {
			take_keyword(&n, &e, user);
			continue;
		}
		if (is_wanted(&e))
			break;
		e.machine = machine && next_word(&n) &&
			    span_equal_nocase(buf_span(&n.word), span_of(host));
		e.other_login = e.has_password = false;
	}
	if (n.err == 0 && is_wanted(&e))
		n.err = buf_append_span(password, buf_span(&e.password));
	buf_finish(&n.word);
	buf_finish(&e.password);
	return n.err;
}
