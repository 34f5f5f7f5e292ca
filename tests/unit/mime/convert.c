/* SPDX-License-Identifier: MIT */
/* See convert.h. */
#include "convert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/feed.h"
#include "../support/oom.h"
#include "base/error.h"
#include "mime/base64.h"
#include "mime/charset.h"
#include "mime/html.h"
#include "mime/qp.h"

#define OUT_MAX (256u << 20)

static int init_base64(void *state, struct span argument)
{
	mime_base64_init(state);
	return 0;
}

static int feed_base64(void *state, struct span in, struct buf *out)
{
	return mime_base64_feed(state, in, out);
}

static int end_base64(void *state, struct buf *out)
{
	return mime_base64_end(state, out);
}

static int init_qp(void *state, struct span argument)
{
	mime_qp_init(state);
	return 0;
}

static int feed_qp(void *state, struct span in, struct buf *out)
{
	return mime_qp_feed(state, in, out);
}

static int end_qp(void *state, struct buf *out)
{
	return mime_qp_end(state, out);
}

static void finish_nothing(void *state)
{
}

static int init_charset(void *state, struct span argument)
{
	return mime_charset_init(state, argument);
}

static int feed_charset(void *state, struct span in, struct buf *out)
{
	return mime_charset_feed(state, in, out);
}

static int end_charset(void *state, struct buf *out)
{
	return mime_charset_end(state, out);
}

static void finish_charset(void *state)
{
	mime_charset_finish(state);
}

static int init_html(void *state, struct span argument)
{
	mime_html_init(state);
	return 0;
}

static int feed_html(void *state, struct span in, struct buf *out)
{
	return mime_html_feed(state, in, out);
}

static int end_html(void *state, struct buf *out)
{
	return mime_html_end(state, out);
}

static void finish_html(void *state)
{
	mime_html_finish(state);
}

const struct converter convert_base64 = {
	sizeof(struct mime_base64), init_base64, feed_base64, end_base64, finish_nothing};
const struct converter convert_qp = {
	sizeof(struct mime_qp), init_qp, feed_qp, end_qp, finish_nothing};
const struct converter convert_charset = {
	sizeof(struct mime_charset), init_charset, feed_charset, end_charset, finish_charset};
const struct converter convert_html = {
	sizeof(struct mime_html), init_html, feed_html, end_html, finish_html};

/* Feeds the first `cut` octets in parts of `part`, and the rest at once. */
static int convert_cut(const struct converter *c, struct span argument, struct span in, size_t cut,
	size_t part, struct guarded *g, struct buf *out)
{
	void *state = test_malloc(c->size);
	int err = c->init(state, argument);

	if (err == 0) {
		for (size_t at = 0; at < in.n && err == 0;) {
			size_t n = at < cut ? (part < cut - at ? part : cut - at) : in.n - at;
			struct span piece = {in.p + at, n};
			err = c->feed(state, g ? guarded_place(g, piece) : piece, out);
			at += n;
		}
		if (err == 0)
			err = c->end(state, out);
		c->finish(state);
	}
	test_free(state);
	return err;
}

static void check_cut(const struct converter *c, struct span argument, struct span in,
	struct span expected, size_t cut, size_t part, struct guarded *g)
{
	struct buf out;

	buf_init(&out, OUT_MAX);
	assert_int_equal(convert_cut(c, argument, in, cut, part, g, &out), 0);
	if (!span_equal(buf_span(&out), expected))
		fail_msg("%.*s, cut at %zu, gives\n%.*s\nnot\n%.*s", (int)in.n, in.p, cut,
			(int)out.len, out.data, (int)expected.n, expected.p);
	buf_finish(&out);
}

void convert_check(
	const struct converter *c, struct span argument, struct span in, struct span expected)
{
	struct guarded g;

	guarded_init(&g, in.n);
	check_cut(c, argument, in, expected, 0, 0, &g);
	check_cut(c, argument, in, expected, in.n, 1, &g);
	for (size_t cut = 1; cut < in.n; cut++)
		check_cut(c, argument, in, expected, cut, cut, &g);
	guarded_finish(&g);
}

void convert_check_text(
	const struct converter *c, const char *argument, const char *in, const char *expected)
{
	convert_check(c, span_of(argument), span_of(in), span_of(expected));
}

static void check_memory(const struct converter *c, struct span argument, struct span in)
{
	bool failed = true;

	for (size_t n = 1; failed; n++) {
		struct buf out;
		buf_init(&out, OUT_MAX);
		oom_arm(n);
		int err = convert_cut(c, argument, in, in.n, 7, NULL, &out);
		failed = oom_disarm();
		assert_int_equal(err, failed ? ERR_NOMEM : 0);
		buf_finish(&out);
	}
}

void convert_check_limits(const struct converter *c, struct span argument, struct span in)
{
	size_t need = SIZE_MAX;

	check_memory(c, argument, in);
	for (size_t max = 0; max < need; max++) {
		struct buf out;
		buf_init(&out, max);
		int err = convert_cut(c, argument, in, in.n, 7, NULL, &out);
		assert_true(err == 0 || err == ERR_LIMIT);
		assert_true(out.len <= max);
		if (err == 0)
			need = out.len;
		buf_finish(&out);
	}
}

void convert_in_parts(const struct converter *c, struct span argument, struct span in, size_t part,
	struct buf *out)
{
	assert_int_equal(convert_cut(c, argument, in, in.n, part, NULL, out), 0);
}
