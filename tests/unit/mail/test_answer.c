/* SPDX-License-Identifier: MIT */
/* Which octets of a message an answer brings, and whether they are that message's. */
#include "mail/read/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Of message 5, which has 100 octets: those from 50 on, and the one before them. */
static void ask(struct answer *a)
{
	answer_init(a, 5, 49, 31, 50);
	a->end = 100;
}

static struct imap_fetch row(uint32_t seq, uint32_t uid, enum imap_body kind)
{
	return (struct imap_fetch){.seq = seq, .uid = uid, .body_kind = kind};
}

static struct imap_fetch from(struct imap_fetch row, uint64_t origin)
{
	row.has_origin = true;
	row.origin = origin;
	return row;
}

static void assert_took(struct answer *a, struct span octets, struct span wanted)
{
	struct span took = answer_take(a, octets);

	assert_int_equal(took.n, wanted.n);
	assert_memory_equal(took.p, wanted.p, wanted.n);
}

static void octets_before_the_start_are_passed_over(void **state)
{
	struct imap_fetch r = from(row(1, 5, IMAP_BODY_STREAMED), 49);
	struct answer a;

	ask(&a);
	assert_true(answer_begin(&a, &r, 5, 4, true));
	assert_int_equal(a.announced, 3);
	assert_true(answer_is_certain(&a));
	assert_took(&a, SPAN(""), SPAN(""));
	assert_took(&a, SPAN("ab"), SPAN("b"));
	assert_took(&a, SPAN("cd"), SPAN("cd"));
	assert_int_equal(a.came, 4);
	assert_false(a.ended);
	assert_false(answer_end(&a, &r, 5, true));
	assert_true(a.ended && a.row && !a.nonsense);
	assert_int_equal(a.whole, 0);
}

static void bodies_of_others_are_not_claimed(void **state)
{
	struct imap_fetch r = from(row(1, 5, IMAP_BODY_STREAMED), 49);
	struct imap_fetch elsewhere = from(r, 50);
	struct imap_fetch nowhere = row(1, 5, IMAP_BODY_STREAMED);
	struct answer a;

	ask(&a);
	assert_false(answer_begin(&a, &r, 6, 4, true));
	assert_false(answer_begin(&a, &elsewhere, 5, 4, true));
	/* Of who says not from where it is the one that was asked first. */
	assert_false(answer_begin(&a, &nowhere, 5, 4, false));
	assert_true(answer_begin(&a, &r, 5, 4, true));
	/* One at a time. */
	assert_false(answer_begin(&a, &r, 5, 4, true));
}

/* Without an origin, a body of so many octets. */
static struct answer interpreted(uint64_t size, bool outgrown)
{
	struct imap_fetch r = row(1, 5, IMAP_BODY_STREAMED);
	struct answer a;

	ask(&a);
	a.outgrown = outgrown;
	assert_true(answer_begin(&a, &r, 5, size, true));
	assert_false(answer_is_certain(&a));
	return a;
}

static void without_an_origin_the_length_tells_what_it_is(void **state)
{
	/* The part, in full. */
	struct answer a = interpreted(31, false);
	assert_false(a.nonsense || a.whole);
	assert_int_equal(a.skip, 1);
	/* The part, as far as the message goes. */
	answer_init(&a, 5, 80, 31, 81);
	a.end = 100;
	struct imap_fetch r = row(1, 5, IMAP_BODY_STREAMED);
	assert_true(answer_begin(&a, &r, 5, 20, true));
	assert_false(a.nonsense);
	/* The length tells nothing where the message is longer than promised. */
	assert_true(interpreted(31, true).nonsense);
	/* Anything else. */
	assert_true(interpreted(30, false).nonsense);
	assert_true(interpreted(1, false).nonsense);
	assert_false(interpreted(0, false).nonsense);
	/* The whole message: as long as promised, or longer than what was asked for. */
	a = interpreted(100, false);
	assert_false(a.nonsense);
	assert_int_equal(a.whole, 100);
	assert_int_equal(a.skip, 50);
	assert_int_equal(a.announced, 50);
	assert_int_equal(interpreted(32, false).whole, 32);
	assert_int_equal(interpreted(32, false).announced, 0);
}

static void the_row_tells_whose_a_body_was(void **state)
{
	struct imap_fetch begin = from(row(7, 0, IMAP_BODY_STREAMED), 49);
	struct imap_fetch other = row(8, 6, IMAP_BODY_STREAMED);
	struct answer a;

	ask(&a);
	assert_true(answer_begin(&a, &begin, 5, 4, true));
	assert_false(answer_is_certain(&a));
	answer_end(&a, &other, 6, false);
	assert_false(a.ended || a.uid_said || a.row);
	answer_end(&a, &begin, 5, false);
	assert_true(a.ended && a.uid_said && !a.nonsense);
	/* It was another's. */
	ask(&a);
	assert_true(answer_begin(&a, &begin, 5, 4, true));
	answer_end(&a, &begin, 6, false);
	assert_true(a.ended && a.nonsense);
	assert_false(a.row);
}

static void short_bodies_come_within_the_row(void **state)
{
	struct imap_fetch quoted = from(row(1, 5, IMAP_BODY_INLINE), 49);
	struct imap_fetch nil = row(1, 5, IMAP_BODY_NIL);
	struct answer a;

	quoted.body = SPAN("abc");
	ask(&a);
	assert_false(answer_end(&a, &nil, 5, true));
	assert_true(a.row && !a.begun);
	assert_false(answer_end(&a, &quoted, 6, true));
	assert_true(answer_end(&a, &quoted, 5, false));
	assert_true(a.begun && a.ended && answer_is_certain(&a));
	assert_took(&a, quoted.body, SPAN("bc"));
	/* Nothing more is heard. */
	assert_false(answer_end(&a, &quoted, 5, true));

	/* Where it begins is not said: it counts when it answers this question. */
	quoted.has_origin = false;
	quoted.body = SPAN("");
	ask(&a);
	assert_false(answer_end(&a, &quoted, 5, false));
	assert_false(a.begun);
	assert_true(answer_end(&a, &quoted, 5, true));
	assert_true(a.begun && !a.nonsense);

	/* From elsewhere. */
	quoted = from(quoted, 48);
	ask(&a);
	assert_false(answer_end(&a, &quoted, 5, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(octets_before_the_start_are_passed_over),
		cmocka_unit_test(bodies_of_others_are_not_claimed),
		cmocka_unit_test(without_an_origin_the_length_tells_what_it_is),
		cmocka_unit_test(the_row_tells_whose_a_body_was),
		cmocka_unit_test(short_bodies_come_within_the_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
