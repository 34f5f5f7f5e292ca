/* SPDX-License-Identifier: MIT */
/* Parameters, a line "name=value" each: what they give is UTF-8, and the name of a file is harmless. */
#include "fuzz_mime.h"

#include "mime/params.h"

#define PAIRS_MAX 64

static void check_filename(struct span text)
{
	struct buf out;

	buf_init(&out, MIME_FILENAME_MAX);
	CHECK(mime_filename(text, &out) == 0);
	check_utf8(buf_span(&out));
	CHECK(out.len == 0 || (out.data[0] != '.' && out.data[0] != ' '));
	CHECK(out.len == 0 || (!memchr(out.data, '/', out.len) && !memchr(out.data, 0, out.len)));
	buf_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};
	struct mime_param pairs[PAIRS_MAX];
	struct buf out;
	size_t n = 0;

	for (; n < PAIRS_MAX && in.n > 0; n++) {
		struct span line = take_line(&in);
		const char *equals = line.n ? memchr(line.p, '=', line.n) : NULL;
		size_t name = equals ? (size_t)(equals - line.p) : line.n;
		size_t taken = name + (equals != NULL);
		pairs[n].name = (struct span){line.p, name};
		pairs[n].value = (struct span){line.p + taken, line.n - taken};
	}
	buf_init(&out, FUZZ_OUT_MAX);
	CHECK(mime_params_get(pairs, n, SPAN("name"), &out) == 0);
	check_utf8(buf_span(&out));
	check_filename(buf_span(&out));
	buf_finish(&out);
	return 0;
}
