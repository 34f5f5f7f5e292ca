/* SPDX-License-Identifier: MIT */
/* A structure that was packed is the same when it is unpacked; damage is noticed, or harmless. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/feed.h"
#include "../support/oom.h"
#include "base/error.h"
#include "imap/bodystructure.h"
#include "mime/packed.h"

#define OUT_MAX (16u << 20)
#define PLAIN                                                                                      \
	"(\"TEXT\" \"plain\" (\"CHARSET\" \"utf-8\" \"format\" \"flowed\") NIL NIL \"7BIT\" 1234 " \
	"30 NIL NIL NIL)"
#define HTML "(\"text\" \"html\" (\"charset\" \"UTF-8\") NIL NIL \"quoted-printable\" 5678 90)"
#define PDF                                                                                        \
	"(\"application\" \"pdf\" (\"name\" \"a b.pdf\") NIL NIL \"base64\" 9223372036854775807 "  \
	"NIL (\"attachment\" (\"filename\" \"a b.pdf\")))"
#define MULTI(parts, subtype) "(" parts " \"" subtype "\" (\"boundary\" \"--=_x\"))"
#define MESSAGE(part) "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 300 (NIL) " part " 1)"

static const char *const texts[] = {
	PLAIN,
	PDF,
	"(\"x-what\" \"ever\" NIL NIL NIL NIL 0)",
	"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1 NIL (\"inline\" NIL))",
	MULTI(PLAIN HTML, "alternative"),
	MULTI(MULTI(PLAIN HTML, "Alternative") PDF MESSAGE(MULTI(PLAIN PDF, "mixed")) HTML,
		"mixed"),
	MESSAGE(PLAIN),
	MESSAGE(MESSAGE(MULTI(PLAIN, "x-mine"))),
};

static void put_pairs(struct buf *out, const struct mime_structure *s, struct mime_pairs pairs)
{
	for (size_t i = 0; i < pairs.count; i++) {
		const struct mime_param *p = &s->params[pairs.first + i];
		assert_int_equal(buf_printf(out, " %.*s=%.*s", (int)p->name.n, p->name.p,
					 (int)p->value.n, p->value.p),
			0);
	}
}

static void show(const struct mime_structure *s, struct buf *out)
{
	for (uint32_t i = 0; i < s->count; i++) {
		const struct mime_part *p = &s->parts[i];
		assert_int_equal(
			buf_printf(out, "%d %d.%u/%u %u %.*s/%.*s %.*s %llu", (int)p->kind,
				(int)p->parent, p->number, p->children, p->depth, (int)p->type.n,
				p->type.p, (int)p->subtype.n, p->subtype.p, (int)p->encoding.n,
				p->encoding.p, (unsigned long long)p->octets),
			0);
		put_pairs(out, s, p->params);
		assert_int_equal(
			buf_printf(out, " %.*s", (int)p->disposition.n, p->disposition.p), 0);
		put_pairs(out, s, p->disposition_params);
		assert_int_equal(buf_append_char(out, '\n'), 0);
	}
}

static void pack(const char *text, struct buf *packed, struct buf *shown)
{
	struct mime_structure s;

	assert_int_equal(imap_bodystructure_parse(span_of(text), &s), 0);
	assert_int_equal(mime_structure_pack(&s, packed), 0);
	show(&s, shown);
	mime_structure_finish(&s);
}

static void round_trip(void **state)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct mime_structure s;
		struct buf packed, before, after;
		buf_init(&packed, OUT_MAX);
		buf_init(&before, OUT_MAX);
		buf_init(&after, OUT_MAX);
		pack(texts[i], &packed, &before);
		assert_int_equal(mime_structure_unpack(buf_span(&packed), &s), 0);
		show(&s, &after);
		/* Of words for which that means nothing the case may be another. */
		if (strcasecmp(buf_cstr(&before), buf_cstr(&after)) != 0)
			fail_msg("%s\n%s", buf_cstr(&before), buf_cstr(&after));
		mime_structure_finish(&s);
		buf_finish(&packed);
		buf_finish(&before);
		buf_finish(&after);
	}
}

static void is_small(void **state)
{
	struct buf packed, shown;

	buf_init(&packed, OUT_MAX);
	buf_init(&shown, OUT_MAX);
	pack(PLAIN, &packed, &shown);
	assert_true(packed.len <= 14);
	buf_clear(&packed);
	pack(MULTI(PLAIN HTML, "alternative"), &packed, &shown);
	assert_true(packed.len <= 38);
	assert_non_null(strstr(buf_cstr(&shown), "charset=UTF-8"));
	buf_finish(&packed);
	buf_finish(&shown);
}

/* Words of every length, and as many parts and as deep as there may be. */
static void extremes(void **state)
{
	struct mime_structure s, back;
	struct buf packed, before, after, text;
	uint32_t part, parent = MIME_NO_PART;

	buf_init(&packed, OUT_MAX);
	buf_init(&before, OUT_MAX);
	buf_init(&after, OUT_MAX);
	buf_init(&text, OUT_MAX);
	mime_structure_init(&s);
	for (int i = 0; i < 300; i++)
		assert_int_equal(buf_append_char(&text, 'w'), 0);
	for (int i = 0; i < MIME_DEPTH_MAX; i++) {
		assert_int_equal(mime_structure_add(&s, parent, &part), 0);
		s.parts[part].kind = MIME_MULTIPART;
		s.parts[part].type = SPAN("multipart");
		s.parts[part].subtype = (struct span){text.data, (size_t)i + 100};
		parent = part;
	}
	while (mime_structure_add(&s, parent, &part) == 0)
		s.parts[part].octets = part;
	assert_int_equal(s.count, MIME_PARTS_MAX);
	assert_int_equal(mime_structure_pack(&s, &packed), 0);
	assert_int_equal(mime_structure_unpack(buf_span(&packed), &back), 0);
	show(&s, &before);
	show(&back, &after);
	assert_string_equal(buf_cstr(&before), buf_cstr(&after));
	mime_structure_finish(&s);
	mime_structure_finish(&back);
	/* One more, of no words and no octets. */
	assert_int_equal(buf_append(&packed, "\0\0\0\0\0\0", 6), 0);
	assert_int_equal(mime_structure_unpack(buf_span(&packed), &back), ERR_UNREADABLE);
	mime_structure_finish(&back);
	buf_finish(&packed);
	buf_finish(&before);
	buf_finish(&after);
	buf_finish(&text);
}

static void take_prefix(void *ctx, struct span prefix)
{
	struct mime_structure s;
	struct buf out;
	int err = mime_structure_unpack(prefix, &s);

	assert_true(err == 0 || err == ERR_UNREADABLE);
	if (err == 0) {
		buf_init(&out, OUT_MAX);
		show(&s, &out);
		buf_finish(&out);
	}
	mime_structure_finish(&s);
}

static void damaged(void **state)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct buf packed, shown;
		buf_init(&packed, OUT_MAX);
		buf_init(&shown, OUT_MAX);
		pack(texts[i], &packed, &shown);
		feed_prefixes(buf_span(&packed), take_prefix, NULL);
		for (unsigned k = 0; k < packed.len * 256; k++) {
			char was = packed.data[k / 256];
			packed.data[k / 256] = (char)k;
			take_prefix(NULL, buf_span(&packed));
			packed.data[k / 256] = was;
		}
		buf_finish(&packed);
		buf_finish(&shown);
	}
}

static void out_of_memory(void **state)
{
	struct mime_structure s, back;
	bool failed = true;

	assert_int_equal(imap_bodystructure_parse(span_of(texts[5]), &s), 0);
	for (size_t n = 1; failed; n++) {
		struct buf packed;
		buf_init(&packed, OUT_MAX);
		mime_structure_init(&back);
		oom_arm(n);
		int err = mime_structure_pack(&s, &packed);
		if (err == 0)
			err = mime_structure_unpack(buf_span(&packed), &back);
		failed = oom_disarm();
		assert_int_equal(err, failed ? ERR_NOMEM : 0);
		mime_structure_finish(&back);
		buf_finish(&packed);
	}
	for (size_t max = 0; max < 100; max++) {
		struct buf packed;
		buf_init(&packed, max);
		assert_int_equal(mime_structure_pack(&s, &packed), ERR_LIMIT);
		buf_finish(&packed);
	}
	mime_structure_finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(is_small),
		cmocka_unit_test(extremes),
		cmocka_unit_test(damaged),
		cmocka_unit_test(out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
