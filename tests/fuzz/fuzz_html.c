/* SPDX-License-Identifier: MIT */
/* HTML that is UTF-8, as it is after its charset: what comes out is UTF-8, too, and hardly longer. */
#include "fuzz_mime.h"

#include "mime/charset.h"
#include "mime/html.h"

static void to_utf8(struct span in, struct buf *out)
{
	struct mime_charset c;

	CHECK(mime_charset_init(&c, SPAN("utf-8")) == 0);
	CHECK(mime_charset_feed(&c, in, out) == 0);
	CHECK(mime_charset_end(&c, out) == 0);
	mime_charset_finish(&c);
}

static void render(struct span in, size_t part, struct buf *out)
{
	struct mime_html h;

	mime_html_init(&h);
	while (in.n > 0) {
		size_t n = part < in.n ? part : in.n;
		CHECK(mime_html_feed(&h, (struct span){in.p, n}, out) == 0);
		in = (struct span){in.p + n, in.n - n};
	}
	CHECK(mime_html_end(&h, out) == 0);
	mime_html_finish(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text, whole, pieces;

	buf_init(&text, FUZZ_OUT_MAX);
	buf_init(&whole, FUZZ_OUT_MAX);
	buf_init(&pieces, FUZZ_OUT_MAX);
	to_utf8((struct span){(const char *)data, size}, &text);
	render(buf_span(&text), SIZE_MAX, &whole);
	render(buf_span(&text), 1, &pieces);
	CHECK(span_equal(buf_span(&whole), buf_span(&pieces)));
	check_utf8(buf_span(&whole));
	CHECK(whole.len <= 4 * text.len + 16);
	buf_finish(&text);
	buf_finish(&whole);
	buf_finish(&pieces);
	return 0;
}
