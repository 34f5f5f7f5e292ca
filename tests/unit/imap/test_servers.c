/* SPDX-License-Identifier: MIT */
/*
 * Runs servers.txt (its path is the argument): each case is fed to framer and parser in all ways,
 * and what comes out is compared with what the file expects. Each line is also given to the parser
 * cut short at every point.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/feed.h"
#include "../support/oom.h"
#include "base/error.h"
#include "conversation.h"
#include "dump.h"
#include "imap/response.h"

#define TEXT_MAX (1u << 20)

static const char *path;
static int mismatches; /* so that one run shows all of them */

/* One case of the file. */
struct transcript {
	struct buf sent, expected;
	int line; /* of its first S: */
};

static void *start(void)
{
	void *c = conversation_start();

	assert_non_null(c);
	return c;
}

static void feed(void *state, struct span part)
{
	conversation_feed(state, part);
}

static void end(void *state, struct buf *result)
{
	assert_int_equal(buf_append_span(result, conversation_text(state)), 0);
	conversation_end(state);
}

static const struct feeder feeder = {start, feed, end};

static void append_unescaped(struct buf *out, const char *s)
{
	unsigned octet;

	while (*s) {
		if (sscanf(s, "\\x%2x", &octet) == 1) {
			assert_int_equal(buf_append_char(out, (char)octet), 0);
			s += 4;
		} else {
			assert_int_equal(buf_append_char(out, *s++), 0);
		}
	}
}

/* Reads lines up to an empty one that ends a case; false at the end of the file. */
static bool read_case(FILE *file, int *line, struct transcript *t)
{
	char text[4096];

	buf_clear(&t->sent);
	buf_clear(&t->expected);
	while (fgets(text, sizeof(text), file)) {
		++*line;
		text[strcspn(text, "\n")] = '\0';
		if (strncmp(text, "S: ", 3) == 0) {
			if (t->sent.len == 0)
				t->line = *line;
			append_unescaped(&t->sent, text + 3);
			assert_int_equal(buf_append(&t->sent, "\r\n", 2), 0);
		} else if (strncmp(text, "= ", 2) == 0) {
			assert_int_equal(buf_printf(&t->expected, "%s\n", text + 2), 0);
		} else if (text[0] == '\0' && t->sent.len > 0) {
			return true;
		} else if (text[0] != '\0' && text[0] != '#') {
			fail_msg("%s:%d: neither S:, = nor #", path, *line);
		}
	}
	return t->sent.len > 0;
}

static void each_case(void (*check)(const struct transcript *t))
{
	struct transcript t;
	int line = 0, cases = 0;
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	buf_init(&t.sent, TEXT_MAX);
	buf_init(&t.expected, TEXT_MAX);
	for (; read_case(file, &line, &t); cases++)
		check(&t);
	assert_true(cases > 30);
	buf_finish(&t.sent);
	buf_finish(&t.expected);
	fclose(file);
}

static void check_all_ways(const struct transcript *t)
{
	struct buf got;

	buf_init(&got, TEXT_MAX);
	feed_all_ways(&feeder, buf_span(&t->sent), &got);
	if (!span_equal(buf_span(&got), buf_span(&t->expected))) {
		fprintf(stderr, "%s:%d: got\n%.*s", path, t->line, (int)got.len, got.data);
		mismatches++;
	}
	buf_finish(&got);
}

static void transcripts(void **state)
{
	each_case(check_all_ways);
	assert_int_equal(mismatches, 0);
}

static void parse_prefix(void *ctx, struct span prefix)
{
	struct imap_response r;
	struct imap_fetch f;
	struct buf out;

	buf_init(&out, TEXT_MAX);
	int err = imap_response_parse(ctx, prefix, &r);
	assert_true(err == 0 || err == ERR_PROTOCOL);
	if (err == 0)
		dump_response(&out, &r);
	err = imap_response_parse_prefix(ctx, prefix, &f);
	assert_true(err == 0 || err == ERR_PROTOCOL);
	buf_finish(&out);
}

/* The whole case stands for a line: the parser must not care what is in it. */
static void check_prefixes(const struct transcript *t)
{
	struct imap_parser *p = imap_parser_create();

	assert_non_null(p);
	feed_prefixes(buf_span(&t->sent), parse_prefix, p);
	imap_parser_destroy(p);
}

static void lines_cut_short(void **state)
{
	each_case(check_prefixes);
}

/* Every allocation fails once; what came out until then must be what was expected. */
static void check_out_of_memory(const struct transcript *t)
{
	for (size_t n = 1;; n++) {
		oom_arm(n);
		struct conversation *c = conversation_start();
		int err = c ? conversation_feed(c, buf_span(&t->sent)) : ERR_NOMEM;
		bool failed = oom_disarm();
		struct span text = c ? conversation_text(c) : SPAN("");
		assert_true(text.n == 0 || failed || span_equal(text, buf_span(&t->expected)));
		if (failed) {
			static const char last[] = "ERROR out of memory\n";
			assert_int_equal(err, ERR_NOMEM);
			if (c)
				text.n -= sizeof(last) - 1;
			assert_true(text.n <= t->expected.len);
			assert_memory_equal(text.p, t->expected.data, text.n);
		}
		conversation_end(c);
		if (!failed)
			break;
	}
}

static void out_of_memory(void **state)
{
	each_case(check_out_of_memory);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transcripts),
		cmocka_unit_test(lines_cut_short),
		cmocka_unit_test(out_of_memory),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: %s servers.txt\n", argv[0]);
		return 2;
	}
	path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
