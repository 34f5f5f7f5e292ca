/* SPDX-License-Identifier: MIT */
/* What either direction accepts, the other gives back. */
#include "fuzz.h"

#include "base/error.h"
#include "base/text.h"
#include "imap/utf7.h"

#define OUT_MAX 65536

typedef int convert_fn(struct span from, struct buf *out);

static void check_round(convert_fn *there, convert_fn *back, struct span input)
{
	struct buf out, again;

	buf_init(&out, OUT_MAX);
	buf_init(&again, OUT_MAX);
	int err = there(input, &out);
	CHECK(err == 0 || err == ERR_INVALID || err == ERR_LIMIT);
	if (err == 0) {
		CHECK(back(buf_span(&out), &again) == 0);
		CHECK(span_equal(buf_span(&again), input));
	} else {
		CHECK(out.len == 0);
	}
	buf_finish(&out);
	buf_finish(&again);
}

static bool is_utf8(struct span s)
{
	while (s.n > 0) {
		size_t n = text_utf8_sequence(s);
		if (n == 0)
			return false;
		s = (struct span){s.p + n, s.n - n};
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span input = {(const char *)data, size};
	struct buf out;

	if (size == 0 || size > OUT_MAX / 8)
		return 0;
	check_round(imap_utf7_decode, imap_utf7_encode, input);
	check_round(imap_utf7_encode, imap_utf7_decode, input);
	buf_init(&out, OUT_MAX);
	CHECK((imap_utf7_encode(input, &out) == 0) == is_utf8(input));
	buf_finish(&out);
	return 0;
}
