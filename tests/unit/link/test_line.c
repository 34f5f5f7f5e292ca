/* SPDX-License-Identifier: MIT */
/* Whether the way to the server is up, and who may try. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/error.h"
#include "link/line.h"

#define NOW ((uint64_t)5000000)
#define TIMEOUT ((uint64_t)30000)

static struct line up(void)
{
	struct line l;

	line_init(&l);
	l.heard_at = NOW - TIMEOUT;
	return l;
}

static void refused_for_longer_than_the_timeout(void **state)
{
	struct line l = up();

	assert_false(line_is_failing(&l) || line_is_down(&l, NOW));
	line_failed(&l, ERR_NET, "refused", false, NOW, TIMEOUT, 0);
	assert_true(line_is_failing(&l));
	assert_false(line_is_down(&l, NOW + TIMEOUT - 1));
	assert_int_equal(line_error(&l, NOW + TIMEOUT - 1), 0);
	/* What fails later does not put it off. */
	line_failed(&l, ERR_NET, "refused", false, NOW + 20000, TIMEOUT, 0);
	assert_true(line_is_down(&l, NOW + TIMEOUT));
	assert_int_equal(line_error(&l, NOW + TIMEOUT), ERR_NET);
	assert_string_equal(l.text, "refused");
	assert_true(line_ready(&l, NOW));
	assert_false(line_is_failing(&l) || line_is_down(&l, NOW + TIMEOUT));
	assert_int_equal(line_error(&l, NOW + TIMEOUT), 0);
	assert_string_equal(l.text, "");
	assert_false(line_ready(&l, NOW));
}

static void login_refused(void **state)
{
	struct line l = up();

	line_failed(&l, ERR_AUTH, "no", false, NOW, TIMEOUT, 0);
	assert_false(line_may_try(&l, true, true, NOW + 3000));
	assert_int_equal(line_error(&l, NOW + 3000), ERR_AUTH);
	assert_int_equal(line_error(&l, l.backoff.retry_at), 0);
	assert_int_equal(line_error(&l, l.backoff.retry_at + TIMEOUT), 0);
	line_failed(&l, ERR_AUTH, "no", false, NOW + 5000, TIMEOUT, 0);
	line_failed(&l, ERR_AUTH, "no", false, NOW + 65000, TIMEOUT, 0);
	assert_false(line_may_try(&l, false, true, NOW + 65000 + 60000));
	assert_true(line_may_try(&l, true, true, NOW + 65000 + 60000));
	assert_int_equal(line_error(&l, NOW + 65001), ERR_AUTH);
	line_ready(&l, NOW);
	line_failed(&l, ERR_TOKEN, "tokencmd", false, NOW, TIMEOUT, 0);
	assert_int_equal(line_error(&l, NOW), 0);
	assert_int_equal(line_error(&l, NOW + TIMEOUT), ERR_TOKEN);
}

/* A server that would not have one more is not away, and may still have the only one. */
static void refused_beside_others(void **state)
{
	struct line l = up();

	line_failed(&l, ERR_AUTH, "too many", true, NOW, TIMEOUT, 0);
	assert_false(line_is_down(&l, NOW + 2 * TIMEOUT));
	assert_int_equal(line_error(&l, NOW + 1), 0);
	assert_false(line_may_try(&l, true, false, NOW + 1));
	assert_true(line_may_try(&l, true, true, NOW + 1));
	assert_true(line_retry_at(&l, false) > NOW + 1);
	assert_true(line_retry_at(&l, true) <= NOW + 1);
	line_failed(&l, ERR_AUTH, "no", false, NOW + 1, TIMEOUT, 0);
	assert_false(line_may_try(&l, true, true, NOW + 2));
	assert_true(line_retry_at(&l, true) > NOW + 2);
}

static void one_silence(void **state)
{
	struct line l = up();

	/* Another one was heard: it is that connection's. */
	l.heard_at = NOW - TIMEOUT / 2;
	assert_false(line_fell_silent(&l, NOW - 100000, NOW, TIMEOUT, 0));
	assert_true(line_is_failing(&l));
	assert_false(line_is_doubted(&l));
	line_ready(&l, NOW);

	l.heard_at = NOW - TIMEOUT;
	assert_true(line_fell_silent(&l, NOW - 100000, NOW, TIMEOUT, 0));
	assert_true(line_is_failing(&l) && line_is_doubted(&l));
	assert_true(line_may_try(&l, false, true, NOW));
	assert_false(line_is_down(&l, NOW + 1999));
	assert_true(line_is_down(&l, NOW + 2000));
	/* Those that were made before fall silent as well: nothing new. */
	assert_true(line_fell_silent(&l, NOW - 50000, NOW + 500, TIMEOUT, 0));
	assert_false(line_is_down(&l, NOW + 1999));
	assert_int_equal(l.silences, 1);
	line_ready(&l, NOW);
	assert_false(line_is_failing(&l) || line_is_down(&l, NOW + 3000));
	assert_true(line_is_doubted(&l));
	line_was_useful(&l, NOW + TIMEOUT - 1, TIMEOUT);
	assert_true(line_is_doubted(&l));
	line_was_useful(&l, NOW + TIMEOUT, TIMEOUT);
	assert_false(line_is_doubted(&l));
}

/* It was there before the silence and has answered since. */
static void answered(void **state)
{
	struct line l = up();

	assert_false(line_answered(&l, NOW));
	line_fell_silent(&l, NOW - 50000, NOW, TIMEOUT, 0);
	l.shaken = false;
	line_fell_silent(&l, NOW + 1000, NOW + 40000, TIMEOUT, 0);
	assert_true(line_is_down(&l, NOW + 40000));
	assert_false(line_answered(&l, NOW + 40000));
	l.heard_at = NOW + 40001;
	assert_true(line_answered(&l, NOW + 40001));
	assert_false(line_is_down(&l, NOW + 90000) || line_is_failing(&l));
	assert_true(line_may_try(&l, false, false, NOW + 40001));
	assert_false(line_answered(&l, NOW + 40002));
	/* It has been up for a moment only. */
	assert_true(line_is_doubted(&l));
}

/* The server has not noticed yet that the silent one is gone, and would not have one more. */
static void answered_while_others_are_refused(void **state)
{
	struct line l = up();

	line_fell_silent(&l, NOW - 50000, NOW, TIMEOUT, 0);
	line_failed(&l, ERR_THROTTLED, "too many", true, NOW + 100, TIMEOUT, 0);
	assert_true(line_is_down(&l, NOW + 5000));
	l.heard_at = NOW + 5000;
	assert_true(line_answered(&l, NOW + 5000));
	assert_false(line_is_down(&l, NOW + 90000));
	assert_false(line_may_try(&l, false, false, NOW + 101));
	assert_string_equal(l.text, "too many");
}

/* The login works, then it is silent, again and again. */
static void silence_after_each_login(void **state)
{
	static const uint64_t seconds[] = {0, 1, 2, 4, 8, 16, 30, 30};
	struct line l = up();
	uint64_t now = NOW, made = NOW - 100000;

	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		assert_true(line_fell_silent(&l, made, now, TIMEOUT, 0));
		assert_int_equal(line_is_down(&l, now), i > 0);
		uint64_t wait = l.backoff.retry_at > now ? l.backoff.retry_at - now : 0;
		assert_int_equal(wait, seconds[i] * 750);
		made = now + 35000;
		l.heard_at = made;
		line_ready(&l, made);
		/* It lists mailboxes. */
		line_was_useful(&l, made + 5000, TIMEOUT);
		now = made + TIMEOUT;
	}
}

/* It falls silent over what comes too early for it. */
static void one_at_a_time(void **state)
{
	struct line l = up();

	assert_false(line_learn_pace(&l));
	/* In an outage the next one cannot be made either. */
	line_stalled(&l, IMAP_BEHIND_COMMAND);
	line_failed(&l, ERR_NET, "refused", false, NOW, TIMEOUT, 0);
	assert_false(line_learn_pace(&l));
	line_stalled(&l, IMAP_BEHIND_DONE);
	assert_true(line_learn_pace(&l));
	assert_true(l.pace.done_alone && !l.pace.one_at_a_time);
	assert_false(line_learn_pace(&l));
	line_stalled(&l, IMAP_BEHIND_COMMAND);
	assert_true(line_learn_pace(&l));
	assert_true(l.pace.one_at_a_time);
	line_stalled(&l, IMAP_BEHIND_COMMAND);
	assert_false(line_learn_pace(&l));
}

/* Who has borne it loses a connection now and then like others. */
static void borne_before(void **state)
{
	struct line l = up();

	for (int i = 0; i < 5; i++) {
		line_bore(&l, IMAP_BEHIND_COMMAND);
		line_stalled(&l, IMAP_BEHIND_COMMAND);
		assert_false(line_learn_pace(&l));
		line_stalled(&l, IMAP_BEHIND_COMMAND);
		assert_false(line_learn_pace(&l));
	}
	line_bore(&l, 0);
	line_stalled(&l, IMAP_BEHIND_COMMAND);
	assert_true(line_learn_pace(&l));
}

/* Who failed before the line was back has no say about who comes after. */
static void back_since(void **state)
{
	struct line l = {0};

	line_init(&l);
	assert_false(line_is_back_since(&l, 0));
	line_failed(&l, ERR_NET, "refused", false, 1000, 30000, 0);
	assert_false(line_is_back_since(&l, 500));
	line_ready(&l, 5000);
	assert_true(line_is_back_since(&l, 4999));
	assert_false(line_is_back_since(&l, 5000));
	line_failed(&l, ERR_NET, "refused", false, 6000, 30000, 0);
	assert_false(line_is_back_since(&l, 4999));
	/* A login is not enough where silence came after logins. */
	line_fell_silent(&l, 5000, 9000, 2000, 0);
	line_ready(&l, 10000);
	assert_false(line_is_back_since(&l, 9500));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(back_since),
		cmocka_unit_test(refused_for_longer_than_the_timeout),
		cmocka_unit_test(login_refused),
		cmocka_unit_test(refused_beside_others),
		cmocka_unit_test(one_silence),
		cmocka_unit_test(answered),
		cmocka_unit_test(answered_while_others_are_refused),
		cmocka_unit_test(silence_after_each_login),
		cmocka_unit_test(one_at_a_time),
		cmocka_unit_test(borne_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
