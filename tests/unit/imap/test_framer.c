/* SPDX-License-Identifier: MIT */
/* The framer's limits, and that it neither copies nor keeps what it hands out of a body. What it
 * makes of each response is in servers.txt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/oom.h"
#include "base/error.h"
#include "imap/framer.h"

static int feed(struct imap_framer *f, struct span *in, struct imap_frame *frame)
{
	size_t used;
	int err = imap_framer_feed(f, in->p, in->n, &used, frame);

	assert_true(used <= in->n);
	in->p += used;
	in->n -= used;
	return err;
}

static void assert_frame(struct imap_framer *f, struct span *in, enum imap_frame_kind kind)
{
	struct imap_frame frame;

	assert_int_equal(feed(f, in, &frame), 0);
	assert_int_equal(frame.kind, kind);
}

static void assert_feeds(struct imap_framer *f, const char *text, enum imap_frame_kind kind)
{
	struct span in = span_of(text);

	assert_frame(f, &in, kind);
	assert_int_equal(in.n, 0);
}

static void nothing_in_nothing_out(void **state)
{
	struct imap_framer *f = imap_framer_create();
	struct span in = SPAN("");

	assert_frame(f, &in, IMAP_FRAME_MORE);
	assert_feeds(f, "* OK", IMAP_FRAME_MORE);
	assert_frame(f, &in, IMAP_FRAME_MORE);
	assert_feeds(f, "\r\n", IMAP_FRAME_LINE);
	assert_frame(f, &in, IMAP_FRAME_MORE);
	imap_framer_destroy(f);
	imap_framer_destroy(NULL);
}

/* The octets of a body lie where they were fed, and the framer needs no memory for them. */
static void body_is_not_copied(void **state)
{
	static char data[4096];
	struct imap_framer *f = imap_framer_create();
	struct imap_frame frame;

	assert_feeds(f, "* 1 FETCH (BODY[] {1099511627776}\r\n", IMAP_FRAME_BODY_BEGIN);
	oom_arm(SIZE_MAX);
	for (int i = 0; i < 1000; i++) {
		struct span in = {data, sizeof(data)};
		assert_int_equal(feed(f, &in, &frame), 0);
		assert_int_equal(frame.kind, IMAP_FRAME_BODY_DATA);
		assert_ptr_equal(frame.text.p, data);
		assert_int_equal(frame.text.n, sizeof(data));
		assert_int_equal(in.n, 0);
	}
	assert_int_equal(oom_allocated(), 0);
	oom_disarm();
	imap_framer_destroy(f);
}

/* The frame for a body's end needs no octets behind it. */
static void body_ends_when_its_octets_end(void **state)
{
	struct imap_framer *f = imap_framer_create();
	struct span in = SPAN("* 1 FETCH (BODY[] {3}\r\nabc");

	assert_frame(f, &in, IMAP_FRAME_BODY_BEGIN);
	assert_frame(f, &in, IMAP_FRAME_BODY_DATA);
	assert_int_equal(in.n, 0);
	assert_frame(f, &in, IMAP_FRAME_BODY_END);
	assert_frame(f, &in, IMAP_FRAME_MORE);
	in = SPAN(")\r\n");
	assert_frame(f, &in, IMAP_FRAME_LINE);
	imap_framer_destroy(f);
}

static void whole_lines_need_no_memory(void **state)
{
	struct imap_framer *f = imap_framer_create();
	struct span in = SPAN("* 1 EXISTS\r\n* 2 FETCH (UID 5)\r\na OK\r\n");

	oom_arm(1);
	for (int i = 0; i < 3; i++)
		assert_frame(f, &in, IMAP_FRAME_LINE);
	assert_frame(f, &in, IMAP_FRAME_MORE);
	assert_int_equal(oom_allocated(), 0);
	oom_disarm();
	imap_framer_destroy(f);
}

/* head, then as many 'x' as make `line` octets, then tail, in parts of `part` octets. Returns the
 * error or the kind of the last frame. */
static int feed_long(const char *head, size_t line, const char *tail, size_t part)
{
	struct imap_framer *f = imap_framer_create();
	size_t n = line + strlen(tail);
	char *text = malloc(n);
	struct imap_frame frame = {.kind = IMAP_FRAME_MORE};
	int err = 0;

	assert_non_null(f);
	assert_non_null(text);
	memset(text, 'x', n);
	memcpy(text, head, strlen(head));
	memcpy(text + line, tail, strlen(tail));
	for (size_t at = 0; at < n && err == 0; at += part) {
		struct span in = {text + at, part < n - at ? part : n - at};
		while (in.n > 0 && err == 0)
			err = feed(f, &in, &frame);
	}
	imap_framer_destroy(f);
	free(text);
	return err < 0 ? err : (int)frame.kind;
}

static void line_maximum(void **state)
{
	static const size_t parts[] = {SIZE_MAX / 2, 65536, 4099};

	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(feed_long("* ", IMAP_LINE_MAX, "\n", parts[i]), IMAP_FRAME_LINE);
		assert_int_equal(feed_long("* ", IMAP_LINE_MAX + 1, "\n", parts[i]), ERR_PROTOCOL);
		assert_int_equal(feed_long("* ", IMAP_LINE_MAX + 1, "", parts[i]), ERR_PROTOCOL);
	}
}

/* Literals count, and one that cannot fit is refused before its octets are waited for. */
static void literal_maximum(void **state)
{
	char head[64];
	size_t room = IMAP_LINE_MAX - strlen("* LIST () \"/\" {8388600}\r\n");

	snprintf(head, sizeof(head), "* LIST () \"/\" {%zu}\r\n", room);
	assert_int_equal(feed_long(head, IMAP_LINE_MAX, "\n", 65536), IMAP_FRAME_LINE);
	assert_int_equal(feed_long(head, IMAP_LINE_MAX, "x\n", 65536), ERR_PROTOCOL);
	snprintf(head, sizeof(head), "* LIST () \"/\" {%zu}\r\n", room + 1);
	oom_arm(SIZE_MAX);
	struct imap_framer *f = imap_framer_create();
	struct span in = span_of(head);
	struct imap_frame frame;
	assert_int_equal(feed(f, &in, &frame), ERR_PROTOCOL);
	assert_true(oom_allocated() < 4096);
	oom_disarm();
	imap_framer_destroy(f);
}

static void announced_length_costs_nothing(void **state)
{
	oom_arm(SIZE_MAX);
	struct imap_framer *f = imap_framer_create();
	assert_feeds(f, "* LIST () \"/\" {8000000}\r\nabc", IMAP_FRAME_MORE);
	assert_true(oom_allocated() < 4096);
	oom_disarm();
	imap_framer_destroy(f);
}

static int feed_bodies(int count)
{
	struct imap_framer *f = imap_framer_create();
	struct imap_frame frame;
	struct span in = SPAN("* 1 FETCH (");
	int err = feed(f, &in, &frame);

	for (int i = 0; i < count && err == 0; i++) {
		in = SPAN(" BODY[] {0}\r\n");
		err = feed(f, &in, &frame);
		if (err == 0)
			assert_frame(f, &in, IMAP_FRAME_BODY_END);
	}
	imap_framer_destroy(f);
	return err;
}

static void streamed_maximum(void **state)
{
	assert_int_equal(feed_bodies(100), 0);
	assert_int_equal(feed_bodies(101), ERR_PROTOCOL);
}

/* As many literals as a response can hold: takes hours when one costs the length of the response.
 */
static void many_literals_are_linear(void **state)
{
	static const char *const heads[] = {"* 1 FETCH (", "* OK [", "* LIST ("};

	for (int h = 0; h < 3; h++) {
		struct imap_framer *f = imap_framer_create();
		struct imap_frame frame;
		struct span in = span_of(heads[h]);
		int err = feed(f, &in, &frame);
		for (int i = 0; i < (1 << 20) && err == 0; i++) {
			in = SPAN("( {0}\r\n");
			err = feed(f, &in, &frame);
		}
		assert_int_equal(err, 0);
		in = SPAN("\n");
		assert_frame(f, &in, IMAP_FRAME_LINE);
		imap_framer_destroy(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_in_nothing_out),
		cmocka_unit_test(body_is_not_copied),
		cmocka_unit_test(body_ends_when_its_octets_end),
		cmocka_unit_test(whole_lines_need_no_memory),
		cmocka_unit_test(line_maximum),
		cmocka_unit_test(literal_maximum),
		cmocka_unit_test(announced_length_costs_nothing),
		cmocka_unit_test(streamed_maximum),
		cmocka_unit_test(many_literals_are_linear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
