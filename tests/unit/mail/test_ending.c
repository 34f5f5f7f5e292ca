/* SPDX-License-Identifier: MIT */
/* What answers tell about the end of a message, as tables. */
#include "mail/read/ending.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CHUNK (256u << 10)
#define NO ENDING_NOWHERE

struct row {
	struct ending_answer answer;
	enum ending ending;
	uint64_t end; /* where it matters */
};

static void check(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t end;
		enum ending ending = ending_judge(&rows[i].answer, &end);
		if (ending != rows[i].ending)
			print_error("row %zu\n", i);
		assert_int_equal(ending, rows[i].ending);
		if (rows[i].end)
			assert_int_equal(end, rows[i].end);
	}
}

/* from, asked, came, whole, has_origin, grown, promised, short_at */
static void test_octets(void **state)
{
	static const struct row rows[] = {
		/* Short, as promised. */
		{{0, CHUNK, 900, 0, true, false, 900, NO}, ENDING_FOUND, 900},
		{{CHUNK, CHUNK, 5, 0, true, false, CHUNK + 5, NO}, ENDING_FOUND, CHUNK + 5},
		/* Short, and not as promised: once more. */
		{{0, CHUNK, 900, 0, true, false, 1000, NO}, ENDING_UNSURE, 900},
		{{0, CHUNK, 900, 0, true, false, 800, NO}, ENDING_UNSURE, 900},
		{{0, CHUNK, 900, 0, true, false, NO, NO}, ENDING_UNSURE, 900},
		/* That agreed, or went on. */
		{{899, CHUNK, 1, 0, true, false, 1000, 900}, ENDING_FOUND, 900},
		{{899, CHUNK, 11, 0, true, false, 1000, 900}, ENDING_UNSURE, 910},
		{{899, CHUNK, 101, 0, true, false, 1000, 900}, ENDING_FOUND, 1000},
		/* All came. That the promise ends there is no proof: */
		{{0, CHUNK, CHUNK, 0, true, false, 2 * CHUNK, NO}, ENDING_OPEN, 0},
		{{0, CHUNK, CHUNK, 0, true, false, CHUNK, NO}, ENDING_OPEN, 0},
		/* which an octet more is asked for, */
		{{0, CHUNK + 1, CHUNK, 0, true, false, CHUNK, NO}, ENDING_FOUND, CHUNK},
		{{0, CHUNK + 1, CHUNK + 1, 0, true, false, CHUNK, NO}, ENDING_OPEN, 0},
		/* or one before. */
		{{CHUNK - 1, 2, 1, 0, true, false, CHUNK, NO}, ENDING_FOUND, CHUNK},
		{{CHUNK - 1, 2, 2, 0, true, false, CHUNK, NO}, ENDING_OPEN, 0},
		/* None came from there, and the octet before is the last. */
		{{CHUNK - 1, CHUNK + 1, 1, 0, true, false, 3 * CHUNK, CHUNK}, ENDING_FOUND, CHUNK},
	};

	check(rows, COUNT(rows));
}

/* Never an end, whatever is promised, known or found before. */
static void test_no_octets(void **state)
{
	static const uint64_t offsets[] = {0, 1, 899, 900, CHUNK - 1, CHUNK, 7 * CHUNK};
	static const uint64_t ends[] = {0, 1, 900, CHUNK, 7 * CHUNK, NO};

	for (size_t i = 0; i < COUNT(offsets); i++)
		for (size_t j = 0; j < COUNT(ends); j++)
			for (size_t k = 0; k < COUNT(ends); k++)
				for (unsigned flags = 0; flags < 4; flags++) {
					const struct ending_answer a = {offsets[i], CHUNK, 0, 0,
						flags & 1, flags & 2, ends[j], ends[k]};
					uint64_t end;
					assert_int_equal(ending_judge(&a, &end), ENDING_NOTHING);
				}
}

static void test_without_origin(void **state)
{
	static const struct row rows[] = {
		/* Sent whole, whatever was asked for. */
		{{0, CHUNK, 400000, 400000, false, false, 400000, NO}, ENDING_FOUND, 400000},
		{{CHUNK - 1, CHUNK, 400000, 400000, false, false, NO, NO}, ENDING_FOUND, 400000},
		/* Whether it knows parts or not. */
		{{0, CHUNK, 900, 0, false, false, 5000, NO}, ENDING_FOUND, 900},
		{{0, CHUNK, CHUNK, 0, false, false, 400000, NO}, ENDING_OPEN, 0},
		/* All of it, or a part: an octet more is asked for. */
		{{0, CHUNK, CHUNK, 0, false, false, 900, NO}, ENDING_VAGUE, 0},
		{{0, CHUNK, CHUNK, 0, false, false, NO, NO}, ENDING_VAGUE, 0},
		{{0, CHUNK + 1, CHUNK, 0, false, true, 900, NO}, ENDING_FOUND, CHUNK},
		{{0, CHUNK + 1, CHUNK + 1, 0, false, true, 900, NO}, ENDING_OPEN, 0},
	};

	check(rows, COUNT(rows));
}

/* start, answers, lower, row, empty_string, promised_0 */
static void test_silence(void **state)
{
	static const struct {
		struct ending_silence silence;
		enum ending_next next;
	} rows[] = {
		{{0, 1, false, false, false, false}, ENDING_NEXT_AGAIN},
		{{0, 1, false, true, true, true}, ENDING_NEXT_AGAIN},
		{{CHUNK, 1, false, true, true, false}, ENDING_NEXT_AGAIN},
		{{0, 2, false, true, true, true}, ENDING_NEXT_ANEW},
		{{CHUNK, 2, false, false, false, false}, ENDING_NEXT_ANEW},
		{{CHUNK, 3, false, true, true, false}, ENDING_NEXT_LOWER},
		{{CHUNK, 3, false, false, false, true}, ENDING_NEXT_LOWER},
		{{0, 3, false, true, true, true}, ENDING_NEXT_EMPTY},
		{{0, 3, false, true, true, false}, ENDING_NEXT_UNREADABLE},
		{{0, 3, false, true, false, true}, ENDING_NEXT_UNREADABLE},
		{{0, 3, false, false, false, false}, ENDING_NEXT_LOOK},
		/* On the way down each octet is asked for once, but the first ones. */
		{{CHUNK, 1, true, true, true, false}, ENDING_NEXT_LOWER},
		{{0, 1, true, true, true, false}, ENDING_NEXT_AGAIN},
		{{0, 3, true, true, true, false}, ENDING_NEXT_UNREADABLE},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(ending_after_nothing(&rows[i].silence), rows[i].next);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_octets),
		cmocka_unit_test(test_no_octets),
		cmocka_unit_test(test_without_origin),
		cmocka_unit_test(test_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
