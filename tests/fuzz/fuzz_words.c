/* SPDX-License-Identifier: MIT */
/* A header: each of its fields decoded, as text and as addresses; and its summary, however it is cut. */
#include "fuzz_mime.h"

#include "mime/header.h"
#include "mime/summary.h"
#include "mime/words.h"

static void check_plain(struct span s)
{
	check_utf8(s);
	while (s.n > 0) {
		int n = mime_utf8_look(s);
		CHECK(!mime_utf8_is_control(mime_utf8_value(s)));
		s = (struct span){s.p + n, s.n - (size_t)n};
	}
}

static void decode(struct span value)
{
	struct buf out;

	buf_init(&out, 3 * value.n);
	CHECK(mime_words_decode(value, true, &out) == 0);
	check_plain(buf_span(&out));
	buf_clear(&out);
	CHECK(mime_words_decode(value, false, &out) == 0);
	check_utf8(buf_span(&out));
	buf_finish(&out);
}

static void list(struct span value)
{
	struct mime_address address;
	struct buf out;

	buf_init(&out, FUZZ_OUT_MAX);
	while (mime_address_next(&value, &address)) {
		CHECK(mime_address_name(&address, &out) == 0);
		CHECK(mime_address_mailbox(&address, &out) == 0);
	}
	check_plain(buf_span(&out));
	buf_finish(&out);
}

static void summarize(struct span in, size_t part, struct buf *out)
{
	struct mime_summary_builder b;
	struct mime_summary s;

	mime_summary_init(&b);
	while (in.n > 0) {
		size_t n = part < in.n ? part : in.n;
		CHECK(mime_summary_feed(&b, (struct span){in.p, n}) == 0);
		in = (struct span){in.p + n, in.n - n};
	}
	CHECK(mime_summary_pack(&b, out) == 0);
	CHECK(mime_summary_unpack(buf_span(out), &s));
	mime_summary_finish(&b);
}

static void check_summary(struct span in)
{
	struct mime_summary s;
	struct buf whole, pieces;

	buf_init(&whole, MIME_SUMMARY_MAX);
	buf_init(&pieces, MIME_SUMMARY_MAX);
	summarize(in, SIZE_MAX, &whole);
	summarize(in, 1, &pieces);
	CHECK(span_equal(buf_span(&whole), buf_span(&pieces)));
	mime_summary_unpack(in, &s);
	buf_finish(&whole);
	buf_finish(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span header = {(const char *)data, size};
	struct mime_field field;

	CHECK(mime_header_length(header) <= size);
	while (mime_header_next(&header, &field)) {
		CHECK(field.name.n > 0);
		decode(field.value);
		list(field.value);
	}
	check_summary(header);
	return 0;
}
