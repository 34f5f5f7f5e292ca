/* SPDX-License-Identifier: MIT */
/* Octets of several messages by one command: which answers count, and for whom. */
#include "imap/parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_asks(const uint32_t *uids, size_t n, struct span expected)
{
	struct imap_parts p = {.from = 7, .octets = 20};
	struct imap_command c;

	for (size_t i = 0; i < n; i++)
		imap_parts_add(&p, uids[i], NULL);
	imap_command_init(&c, false, NULL);
	imap_parts_ask(&p, &c);
	assert_int_equal(c.build_error, 0);
	assert_int_equal(c.text.len, expected.n);
	assert_memory_equal(c.text.data, expected.p, expected.n);
	imap_command_finish(&c);
}

static void the_command_names_runs_as_ranges(void **state)
{
	const uint32_t one[] = {9}, run[] = {5, 3, 4};
	const uint32_t some[] = {UINT32_MAX, 1, 2, 9, UINT32_MAX - 1, 4};

	assert_asks(one, 1, SPAN("UID FETCH 9 (UID BODY.PEEK[]<7.20>)\r\n"));
	assert_asks(run, 3, SPAN("UID FETCH 3:5 (UID BODY.PEEK[]<7.20>)\r\n"));
	assert_asks(some, 6,
		SPAN("UID FETCH 1:2,4,9,4294967294:4294967295 (UID BODY.PEEK[]<7.20>)\r\n"));
}

static void a_section_is_named(void **state)
{
	struct imap_parts p = {.section = "HEADER", .octets = 20};
	struct imap_command c;

	imap_parts_add(&p, 3, NULL);
	imap_parts_add(&p, 4, NULL);
	imap_command_init(&c, false, NULL);
	imap_parts_ask(&p, &c);
	assert_string_equal(buf_cstr(&c.text), "UID FETCH 3:4 (UID BODY.PEEK[HEADER]<0.20>)\r\n");
	imap_command_finish(&c);
}

static void the_longest_command_fits_a_line(void **state)
{
	struct imap_parts p = {.from = UINT64_MAX, .octets = UINT64_MAX};
	struct imap_command c;

	for (unsigned i = 0; i < IMAP_PARTS_MAX; i++)
		imap_parts_add(&p, UINT32_MAX - 2 * i, NULL);
	imap_command_init(&c, false, NULL);
	imap_parts_ask(&p, &c);
	/* A tag and a space go before it. */
	assert_true(c.text.len <= 1000 - 8);
	imap_command_finish(&c);
}

/* Messages 3 and 5, octets 7 to 26 of each. */
static void ask(struct imap_parts *p)
{
	static char three[] = "three", five[] = "five";
	struct imap_command c;

	*p = (struct imap_parts){.from = 7, .octets = 20};
	imap_parts_add(p, 5, five);
	imap_parts_add(p, 3, three);
	imap_command_init(&c, false, NULL);
	imap_parts_ask(p, &c);
	imap_command_finish(&c);
}

static const struct imap_fetch streamed = {
	.seq = 2, .body_kind = IMAP_BODY_STREAMED, .has_origin = true, .origin = 7};

static void a_body_counts_when_its_row_has_ended(void **state)
{
	struct imap_parts p;

	ask(&p);
	assert_true(imap_parts_begin(&p, &streamed, 5, 4, true));
	assert_ptr_equal(p.current, &p.at[1]);
	imap_parts_count(&p, SPAN("ab"));
	imap_parts_count(&p, SPAN("cd"));
	assert_false(p.at[1].complete);
	const struct imap_part *part = imap_parts_end(&p, &streamed, 5, false);
	assert_ptr_equal(part, &p.at[1]);
	assert_string_equal(part->owner, "five");
	assert_true(part->complete);
	assert_int_equal(part->got, 4);
	/* And once only. */
	assert_false(imap_parts_begin(&p, &streamed, 5, 4, true));
	assert_null(imap_parts_end(&p, &streamed, 5, false));
	assert_false(p.at[0].begun);
}

static void a_body_that_is_cut_is_not_complete(void **state)
{
	struct imap_parts p;

	ask(&p);
	assert_true(imap_parts_begin(&p, &streamed, 3, 4, true));
	imap_parts_count(&p, SPAN("abc"));
	const struct imap_part *part = imap_parts_end(&p, &streamed, 3, false);
	assert_non_null(part);
	assert_false(part->complete);
}

static void bodies_of_others_are_not_claimed(void **state)
{
	struct imap_fetch elsewhere = streamed, nowhere = streamed;
	struct imap_parts p;

	ask(&p);
	elsewhere.origin = 8;
	nowhere.has_origin = false;
	assert_false(imap_parts_begin(&p, &streamed, 4, 4, true));
	assert_false(imap_parts_begin(&p, &streamed, 0, 4, true));
	assert_false(imap_parts_begin(&p, &elsewhere, 5, 4, true));
	assert_false(imap_parts_begin(&p, &nowhere, 5, 4, true));
	assert_null(p.current);
	/* From the message's start it may be what was asked for. */
	p.from = 0;
	assert_false(imap_parts_begin(&p, &nowhere, 5, 4, false));
	assert_true(imap_parts_begin(&p, &nowhere, 5, 4, true));
	/* One at a time. */
	assert_false(imap_parts_begin(&p, &nowhere, 5, 4, true));
}

static void a_row_of_another_number_ends_nothing(void **state)
{
	struct imap_fetch other = streamed;
	struct imap_parts p;

	ask(&p);
	other.seq = 3;
	assert_null(imap_parts_end(&p, &streamed, 5, false));
	assert_true(imap_parts_begin(&p, &streamed, 5, 0, true));
	assert_null(imap_parts_end(&p, &other, 5, false));
	assert_null(imap_parts_end(&p, &streamed, 4, false));
	assert_non_null(imap_parts_end(&p, &streamed, 5, false));
}

/* The messages become known behind the command: nobody's body is claimed before. */
static void all_are_asked_for_and_named_later(void **state)
{
	struct imap_parts p = {.octets = 20, .all = 1000};
	struct imap_fetch body = streamed;
	struct imap_command c;
	char nine[] = "nine";

	body.origin = 0;
	imap_command_init(&c, false, NULL);
	imap_parts_ask(&p, &c);
	assert_int_equal(c.build_error, 0);
	assert_string_equal(buf_cstr(&c.text), "UID FETCH 1:1000 (UID BODY.PEEK[]<0.20>)\r\n");
	imap_command_finish(&c);
	assert_false(imap_parts_begin(&p, &body, 9, 4, true));
	imap_parts_add(&p, 9, nine);
	assert_false(imap_parts_begin(&p, &body, 8, 4, true));
	assert_true(imap_parts_begin(&p, &body, 9, 4, true));
	imap_parts_count(&p, SPAN("abcd"));
	assert_true(imap_parts_end(&p, &body, 9, false)->complete);
	/* One that comes late moves it: what streams then is nobody's. */
	imap_parts_add(&p, 8, nine);
	assert_null(p.current);
}

/* The end of a row that has no streamed body; asked of messages in turn. */
static bool is_complete(struct imap_fetch row, bool is_next, uint64_t got)
{
	struct imap_parts p;

	ask(&p);
	const struct imap_part *part = imap_parts_end(&p, &row, 3, is_next);
	if (part && part->complete)
		assert_int_equal(part->got, got);
	return part && part->complete;
}

static void short_bodies_are_judged_by_their_origin(void **state)
{
	const struct imap_fetch absent = {.seq = 1};
	struct imap_fetch nil = {.body_kind = IMAP_BODY_NIL, .has_origin = true, .origin = 7};
	struct imap_fetch quoted = {
		.body_kind = IMAP_BODY_INLINE, .has_origin = true, .origin = 7, .body = SPAN("ab")};

	assert_false(is_complete(absent, true, 0));
	assert_true(is_complete(nil, false, 0));
	assert_true(is_complete(quoted, false, 2));
	nil.has_origin = quoted.has_origin = false;
	assert_false(is_complete(nil, true, 0));
	assert_false(is_complete(quoted, true, 2));
	quoted.body = SPAN("");
	assert_true(is_complete(quoted, true, 0));
	assert_false(is_complete(quoted, false, 0));
}

static void asking_again_begins_anew(void **state)
{
	struct imap_command c;
	struct imap_parts p;

	ask(&p);
	assert_true(imap_parts_begin(&p, &streamed, 5, 4, true));
	imap_parts_count(&p, SPAN("abc"));
	imap_command_init(&c, false, NULL);
	imap_parts_ask(&p, &c);
	imap_command_finish(&c);
	assert_null(p.current);
	assert_true(imap_parts_begin(&p, &streamed, 5, 1, true));
	imap_parts_count(&p, SPAN("a"));
	assert_true(imap_parts_end(&p, &streamed, 5, false)->complete);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_command_names_runs_as_ranges),
		cmocka_unit_test(a_section_is_named),
		cmocka_unit_test(the_longest_command_fits_a_line),
		cmocka_unit_test(a_body_counts_when_its_row_has_ended),
		cmocka_unit_test(a_body_that_is_cut_is_not_complete),
		cmocka_unit_test(bodies_of_others_are_not_claimed),
		cmocka_unit_test(a_row_of_another_number_ends_nothing),
		cmocka_unit_test(all_are_asked_for_and_named_later),
		cmocka_unit_test(short_bodies_are_judged_by_their_origin),
		cmocka_unit_test(asking_again_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
