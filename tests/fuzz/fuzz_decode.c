/* SPDX-License-Identifier: MIT */
/*
 * Transfer encodings, charsets and HTML as they arrive: cut at places that the input chooses they give
 * the same as whole, within the bounds that their headers promise, and text is UTF-8. The first line
 * says which (a charset's label unless it is one of three words), and its octets where it is cut.
 */
#include "fuzz_mime.h"

#include "mime/base64.h"
#include "mime/charset.h"
#include "mime/html.h"
#include "mime/qp.h"

union state {
	struct mime_base64 base64;
	struct mime_qp qp;
	struct mime_charset charset;
	struct mime_html html;
};

enum kind { BASE64, QP, HTML, CHARSET };

static enum kind kind_of(struct span line)
{
	if (span_equal(line, SPAN("base64")))
		return BASE64;
	if (span_equal(line, SPAN("qp")))
		return QP;
	return span_equal(line, SPAN("html")) ? HTML : CHARSET;
}

static void start(union state *s, enum kind kind, struct span label)
{
	if (kind == BASE64)
		mime_base64_init(&s->base64);
	else if (kind == QP)
		mime_qp_init(&s->qp);
	else if (kind == HTML)
		mime_html_init(&s->html);
	else
		CHECK(mime_charset_init(&s->charset, label) == 0);
}

static int feed(union state *s, enum kind kind, struct span in, struct buf *out)
{
	if (kind == BASE64)
		return mime_base64_feed(&s->base64, in, out);
	if (kind == QP)
		return mime_qp_feed(&s->qp, in, out);
	return kind == HTML ? mime_html_feed(&s->html, in, out)
			    : mime_charset_feed(&s->charset, in, out);
}

static void end(union state *s, enum kind kind, struct buf *out)
{
	if (kind == BASE64) {
		CHECK(mime_base64_end(&s->base64, out) == 0);
	} else if (kind == QP) {
		CHECK(mime_qp_end(&s->qp, out) == 0);
	} else if (kind == HTML) {
		CHECK(mime_html_end(&s->html, out) == 0);
		mime_html_finish(&s->html);
	} else {
		CHECK(mime_charset_end(&s->charset, out) == 0);
		mime_charset_finish(&s->charset);
	}
}

static void convert(enum kind kind, struct span label, struct span in, bool cut, struct buf *out)
{
	union state s;
	size_t at = 0, next = 0;

	start(&s, kind, label);
	while (at < in.n) {
		size_t n = cut && label.n ? 1 + (unsigned char)label.p[next++ % label.n] % 16
					  : in.n;
		n = n < in.n - at ? n : in.n - at;
		/* A block of its own, so that nothing is read beyond. */
		char *piece = malloc(n);
		CHECK(piece);
		memcpy(piece, in.p + at, n);
		CHECK(feed(&s, kind, (struct span){piece, n}, out) == 0);
		free(piece);
		at += n;
	}
	end(&s, kind, out);
}

static void check_bounds(enum kind kind, struct span in, const struct buf *out)
{
	if (kind == BASE64)
		CHECK(out->len <= in.n / 4 * 3 + 3);
	else if (kind == QP)
		CHECK(out->len <= in.n);
	else
		CHECK(out->len <= 4 * in.n + 16);
	if (kind == CHARSET)
		check_utf8(buf_span(out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};
	struct span line = take_line(&in);
	enum kind kind = kind_of(line);
	struct buf whole, pieces;

	buf_init(&whole, FUZZ_OUT_MAX);
	buf_init(&pieces, FUZZ_OUT_MAX);
	convert(kind, line, in, false, &whole);
	convert(kind, line, in, true, &pieces);
	CHECK(span_equal(buf_span(&whole), buf_span(&pieces)));
	check_bounds(kind, in, &whole);
	buf_finish(&whole);
	buf_finish(&pieces);
	return 0;
}
