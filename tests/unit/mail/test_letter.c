/* SPDX-License-Identifier: MIT */
/* What may be a message, and what is sent of it. Each is fed whole, octet by octet, and in two parts
 * cut at each point; the results must be the same. */
#include "mail/change/letter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/error.h"

struct looked {
	int err;
	const char *reason;
	uint64_t size;
	bool dated;
	int64_t date;
	char id[LETTER_ID_MAX];
	size_t written;
	char sent[65536];
};

/* A block of its own, so that AddressSanitizer sees an octet too many. */
static void feed(struct letter *l, struct letter_writer *w, struct span part, struct looked *to)
{
	char *in = malloc(part.n + 1), *out = malloc(LETTER_WRITTEN(part.n));

	assert_true(in && out);
	memcpy(in, part.p, part.n);
	part.p = in;
	letter_feed(l, part);
	size_t n = letter_write(w, part, out);
	assert_true(n <= LETTER_WRITTEN(part.n) && to->written + n <= sizeof(to->sent));
	memcpy(to->sent + to->written, out, n);
	to->written += n;
	free(in);
	free(out);
}

static void look(struct span text, size_t first, size_t part, struct looked *to)
{
	struct letter *l = calloc(1, sizeof(*l));
	struct letter_writer w = {0};

	assert_non_null(l);
	*to = (struct looked){0};
	for (size_t at = 0, n; at < text.n; at += n) {
		n = at == 0 ? first : part;
		n = n < text.n - at ? n : text.n - at;
		feed(l, &w, (struct span){text.p + at, n}, to);
	}
	to->err = letter_end(l);
	to->reason = l->reason;
	to->size = l->size;
	to->dated = letter_date(l, &to->date);
	memcpy(to->id, l->id, sizeof(to->id));
	if (to->err == 0)
		assert_int_equal(to->size, to->written);
	free(l);
}

static void assert_same(const struct looked *a, const struct looked *b)
{
	assert_int_equal(a->err, b->err);
	assert_ptr_equal(a->reason, b->reason);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->dated, b->dated);
	if (a->dated)
		assert_int_equal(a->date, b->date);
	assert_string_equal(a->id, b->id);
	assert_int_equal(a->written, b->written);
	assert_memory_equal(a->sent, b->sent, a->written);
}

static struct looked result;

static const struct looked *look_at(struct span text)
{
	static struct looked other;

	look(text, text.n + 1, 1, &result);
	look(text, 1, 1, &other);
	assert_same(&result, &other);
	for (size_t cut = 1; cut < text.n && text.n < 2000; cut++) {
		look(text, cut, text.n, &other);
		assert_same(&result, &other);
	}
	return &result;
}

static void assert_sent(struct span text, struct span sent)
{
	const struct looked *r = look_at(text);

	if (r->err != 0)
		fail_msg("%.*s: %s", (int)text.n, text.p, r->reason);
	assert_int_equal(r->written, sent.n);
	assert_memory_equal(r->sent, sent.p, sent.n);
}

static void assert_refused(struct span text, const char *reason)
{
	const struct looked *r = look_at(text);

	if (r->err != ERR_INVALID || !r->reason || !strstr(r->reason, reason))
		fail_msg("%.*s: %s", (int)text.n, text.p ? text.p : "",
			r->reason ? r->reason : "taken");
}

static void messages_are_sent_as_they_are(void **state)
{
	static const char *const table[] = {"A: b\r\n\r\nc\r\n", "A: b\r\n\r\nc", "A: b\r\n", "A:b",
		"A:", "A :b\r\n\r\n", "A\t: b\r\n\r\n", "X-1_2.3: b\r\n",
		"A: b\r\n!#$%&'*+/=?^`{|}~: b\r\n", "A: b\r\n c\r\n\r\nd\r\n",
		"A: b\r\n\r\nFrom here\r\n\r\nFrom there\r\n", "A: b\r\n\r\n\xff\xfe\x01\x7f\r\n",
		"A: \xc3\xbc\r\n\r\n",
		/* Only the first line must be a field. */
		"A: b\r\nno field\r\n\r\nc\r\n", "From: joe\r\n\r\n", "From:joe\r\n\r\n",
		/* A CR alone ends no line. */
		"A: b\r\n\r\nc\rd\r\n", "A: b\r\n\r\nc\r", "A: b\r\n\r\nc\r\r\n",
		"A: b\rc\r\n\r\n"};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_sent(span_of(table[i]), span_of(table[i]));
}

static void lines_end_with_crlf(void **state)
{
	assert_sent(SPAN("A: b\n\nc\n"), SPAN("A: b\r\n\r\nc\r\n"));
	assert_sent(SPAN("A: b\r\n\nc\nd"), SPAN("A: b\r\n\r\nc\r\nd"));
	assert_sent(SPAN("A: b\n\n\n\n\n"), SPAN("A: b\r\n\r\n\r\n\r\n\r\n"));
	assert_sent(SPAN("A: b\n\nc\r\r\n\r\rd\n"), SPAN("A: b\r\n\r\nc\r\r\n\r\rd\r\n"));
}

static void the_mbox_line_is_left_out(void **state)
{
	assert_sent(SPAN("From joe@example.org Mon Jan  1 10:00:00 2024\nA: b\n\nc\n"),
		SPAN("A: b\r\n\r\nc\r\n"));
	assert_sent(SPAN("From joe\r\nA: b\r\n\r\nc\r\n"), SPAN("A: b\r\n\r\nc\r\n"));
	/* What is not behind an empty line begins no message, nor what is quoted. */
	assert_sent(SPAN("From joe\nA: b\n\nc\nFrom d\n\n>From e\n"),
		SPAN("A: b\r\n\r\nc\r\nFrom d\r\n\r\n>From e\r\n"));
	assert_refused(SPAN("From joe\nA: b\n\nc\n\nFrom jane\nA: d\n\n"), "several messages");
	assert_refused(SPAN("From joe\n"), "empty");
	assert_refused(SPAN("From joe"), "empty");
	assert_refused(SPAN("From joe\nFrom jane\nA: b\n"), "does not begin");
}

static void others_are_refused(void **state)
{
	static const char *const table[] = {"hello\n", "hello", "hello world: x\n", "\n", "\r\n",
		"\nA: b\n", " A: b\n", "\tA: b\n", ": b\n", " : b\n", "F", "From",
		"\xef\xbb\xbfTo: b\n", "\xc3\xbc: b\n", "%PDF-1.5\n", "#!/bin/sh\n", "<html>\n",
		"A\nB: c\n", "A \nB: c\n", ">From joe 10:00\nA: b\n", "{\"a\": 1}\n",
		"<a href=\"http://x\">\n", "A\r: b\n", "\rA: b\n", "A\r"};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_refused(span_of(table[i]), "does not begin");
	assert_refused((struct span){0}, "empty");
	assert_refused(SPAN("A: b\n\nc\0d\n"), "NUL");
	assert_refused(SPAN("A: b\0\n\nc\n"), "NUL");
	assert_refused(SPAN("A: b\n\nc\n\0"), "NUL");
	assert_refused(SPAN("\xff\xd8\xff\xe0\0\x10JFIF"), "");
}

static void dated(struct span text, int64_t date)
{
	const struct looked *r = look_at(text);

	if (r->err || !r->dated || r->date != date)
		fail_msg("%.*s: %lld", (int)text.n, text.p, r->dated ? (long long)r->date : -1LL);
}

static void undated(struct span text)
{
	assert_false(look_at(text)->dated);
}

static void it_came_when_received_says(void **state)
{
	dated(SPAN("Received: from a by b; Thu, 1 Feb 2024 13:05:59 +0100\n"
		   "Received: from c by a; Thu, 1 Feb 2024 13:00:00 +0100\n"
		   "Date: Thu, 1 Feb 2024 12:00:00 +0100\n\n"),
		1706789159);
	dated(SPAN("A: b\nRECEIVED : from a (x; y)\n\tby b;\n\tThu, 1 Feb 2024 13:05:59 +0100 "
		   "(CET)\n\n"),
		1706789159);
	dated(SPAN("Received: by b; 1 Feb 2024 12:05:59 GMT"), 1706789159);
	/* The topmost says nothing: Date does. */
	dated(SPAN("Received: from a by b; yesterday\nReceived: by c; 1 Jan 2020 00:00:00 GMT\n"
		   "Date: Thu, 1 Feb 2024 13:05:59 +0100\n\n"),
		1706789159);
	dated(SPAN("Received: by b\nDate:\n Thu, 1 Feb 2024 13:05:59 +0100\n\n"), 1706789159);
	dated(SPAN("date: 1 Feb 2024 13:05:59 +0100\r\n\r\nDate: 1 Jan 2020 00:00:00 GMT\r\n"),
		1706789159);
	undated(SPAN("A: b\n\nDate: Thu, 1 Feb 2024 13:05:59 +0100\n"));
	undated(SPAN("Date: yesterday\n\n"));
	undated(SPAN(
		"X-Date: Thu, 1 Feb 2024 13:05:59 +0100\nDate x: 1 Feb 2024 13:05:59 +0100\n\n"));
}

/* A date behind thousands of octets of comment. */
static void long_fields(void **state)
{
	static char text[8000];
	const char *end = "; Thu, 1 Feb 2024 13:05:59 +0100\n\n";

	memset(text, 'x', sizeof(text));
	memcpy(text, "Received: ", 10);
	memcpy(text + sizeof(text) - strlen(end), end, strlen(end));
	dated((struct span){text, sizeof(text)}, 1706789159);
	/* A name of that length is one, too. */
	memset(text, 'x', 4000);
	text[4000] = ':';
	assert_int_equal(look_at((struct span){text, sizeof(text)})->err, 0);
}

static void it_has_an_id(void **state)
{
	assert_string_equal(
		look_at(SPAN("A: b\nMessage-Id:\t<1@x> \nMessage-ID: <2@x>\n\n"))->id, "<1@x>");
	assert_string_equal(look_at(SPAN("A: b\nMessage-ID:\n <1@x>\n\n"))->id, "<1@x>");
	assert_string_equal(look_at(SPAN("A: b\n\nMessage-ID: <1@x>\n\n"))->id, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_sent_as_they_are),
		cmocka_unit_test(lines_end_with_crlf),
		cmocka_unit_test(the_mbox_line_is_left_out),
		cmocka_unit_test(others_are_refused),
		cmocka_unit_test(it_came_when_received_says),
		cmocka_unit_test(long_fields),
		cmocka_unit_test(it_has_an_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
