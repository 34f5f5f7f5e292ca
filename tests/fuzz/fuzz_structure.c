/* SPDX-License-Identifier: MIT */
/*
 * A message as a hostile server tells it: the structure stands before a NUL, the message behind it.
 * Sections lead back to their parts, names are distinct and safe, the split is the same however the
 * octets are cut and never leaves them, the text view always comes to its end, and what was packed is
 * the same when it was unpacked. All of it is taken for a packed structure, too.
 */
#include "fuzz_mime.h"

#include "base/error.h"
#include "imap/bodystructure.h"
#include "mime/header.h"
#include "mime/packed.h"
#include "mime/readable.h"
#include "mime/split.h"

static void check_sections(const struct mime_structure *s)
{
	struct buf section;

	buf_init(&section, 4096);
	for (uint32_t i = 0; i < s->count; i++) {
		buf_clear(&section);
		CHECK(mime_structure_section(s, i, &section) == 0);
		if (s->parts[i].kind != MIME_MULTIPART)
			CHECK(mime_structure_find(s, buf_span(&section)) == i);
	}
	buf_finish(&section);
}

static void check_names(const struct mime_structure *s, const struct mime_names *n)
{
	for (uint32_t i = 0; i < s->count; i++) {
		struct span name = n->of[i].text;
		CHECK((name.n == 0) == (s->parts[i].kind == MIME_MULTIPART));
		CHECK(name.n <= MIME_FILENAME_MAX);
		if (name.n > 0)
			CHECK(mime_names_find(n, n->of[i].directory, name) == i);
		CHECK(!name.n || !memchr(name.p, '/', name.n));
		check_utf8(name);
	}
}

static bool split(struct mime_split *p, const struct mime_structure *s, struct span in, size_t part)
{
	CHECK(mime_split_init(p, s) == 0);
	while (in.n > 0) {
		size_t n = part < in.n ? part : in.n;
		mime_split_feed(p, (struct span){in.p, n});
		in = (struct span){in.p + n, in.n - n};
	}
	return mime_split_end(p);
}

static void check_split(const struct mime_structure *s, struct span in)
{
	struct mime_split whole, pieces;
	bool good = split(&whole, s, in, SIZE_MAX);

	CHECK(split(&pieces, s, in, 1) == good);
	for (uint32_t i = 0; i < s->count && good; i++) {
		const struct mime_region *a = &whole.regions[i], *b = &pieces.regions[i];
		if (s->parts[i].kind == MIME_MULTIPART)
			continue;
		CHECK(a->at == b->at && a->end == b->end);
		CHECK(a->at <= a->end && a->end <= in.n);
	}
	mime_split_finish(&whole);
	mime_split_finish(&pieces);
}

static void check_readable(
	const struct mime_structure *s, const struct mime_names *n, struct span in)
{
	size_t header = mime_header_length(in);
	struct span body = {in.p + header, in.n - header};
	struct mime_readable r;
	struct buf out;

	buf_init(&out, FUZZ_OUT_MAX);
	CHECK(mime_readable_begin(&r, s, n, in, &out) == 0);
	for (uint32_t count = 0; mime_readable_wants(&r) != MIME_NO_PART; count++) {
		CHECK(count < 2 * s->count);
		int err = mime_readable_feed(&r, body, &out);
		if (err == 0)
			err = mime_readable_end_part(&r, &out);
		CHECK(err == 0 || err == ERR_LIMIT);
		if (err < 0)
			break;
	}
	check_utf8(buf_span(&out));
	mime_readable_finish(&r);
	buf_finish(&out);
}

static void check_packed(const struct mime_structure *s)
{
	struct mime_structure back;
	struct buf first, second;

	buf_init(&first, FUZZ_OUT_MAX);
	buf_init(&second, FUZZ_OUT_MAX);
	CHECK(mime_structure_pack(s, &first) == 0);
	CHECK(mime_structure_unpack(buf_span(&first), &back) == 0);
	CHECK(mime_structure_pack(&back, &second) == 0);
	CHECK(span_equal(buf_span(&first), buf_span(&second)));
	mime_structure_finish(&back);
	buf_finish(&first);
	buf_finish(&second);
}

static void check_unpacked(struct span in)
{
	struct mime_structure s;

	if (mime_structure_unpack(in, &s) == 0)
		check_packed(&s);
	mime_structure_finish(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, 0, size) : NULL;
	size_t n = end ? (size_t)(end - data) : size, taken = n + (end != NULL);
	struct span message = {(const char *)data + taken, size - taken};
	struct mime_structure s;
	struct mime_names names;
	int err = imap_bodystructure_parse((struct span){(const char *)data, n}, &s);

	CHECK(err == 0 || err == ERR_UNREADABLE || err == ERR_LIMIT);
	if (err == 0) {
		CHECK(mime_names_init(&names, &s) == 0);
		check_sections(&s);
		check_names(&s, &names);
		check_split(&s, message);
		check_readable(&s, &names, message);
		check_packed(&s);
		mime_names_finish(&names);
	}
	mime_structure_finish(&s);
	check_unpacked((struct span){(const char *)data, size});
	return 0;
}
