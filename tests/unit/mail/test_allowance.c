/* SPDX-License-Identifier: MIT */
/* What comes on a day, over midnight, and where several mounts count in one file. */
#include "mail/allowance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mail/model/account.h"

static time_t clock_says;

time_t __wrap_time(time_t *out);

time_t __wrap_time(time_t *out)
{
	if (out)
		*out = clock_says;
	return clock_says;
}

struct place {
	char dir[64];
	struct account first, second;
};

static void set_up(struct account *a, const char *dir)
{
	char error[256];

	a->loop = uv_default_loop();
	a->options.daylimit = 1000;
	a->options.traffic = traffic_open(dir, error, sizeof(error));
	assert_non_null(a->options.traffic);
	a->allowance = allowance_create(a);
	assert_non_null(a->allowance);
}

static int two_mounts(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	setenv("TZ", "UTC", 1);
	clock_says = 1800000000; /* 2027-01-15 08:00:00 */
	snprintf(p->dir, sizeof(p->dir), "/tmp/imapfs-allowance.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	set_up(&p->first, p->dir);
	set_up(&p->second, p->dir);
	*state = p;
	return 0;
}

static void end(struct account *a)
{
	allowance_destroy(a->allowance);
	a->allowance = NULL;
	traffic_close(a->options.traffic);
	a->options.traffic = NULL;
}

static int clean_up(void **state)
{
	struct place *p = *state;
	char path[80];

	end(&p->first);
	end(&p->second);
	snprintf(path, sizeof(path), "%s/traffic", p->dir);
	unlink(path);
	rmdir(p->dir);
	free(p);
	return 0;
}

/* What the next mount would say. */
static bool is_left(const struct place *p)
{
	struct account next = {0};

	set_up(&next, p->dir);
	bool left = allowance_is_left(next.allowance);
	end(&next);
	return left;
}

static void spent_today(void **state)
{
	struct place *p = *state;

	p->first.received = 999;
	assert_true(allowance_is_left(p->first.allowance));
	p->first.received = 1000;
	assert_false(allowance_is_left(p->first.allowance));
	end(&p->first);
	assert_false(is_left(p));
	clock_says += 16 * 3600;
	assert_true(is_left(p));
}

/* The second mount counts the new day; the first one looks, or ends, only then. */
static void yesterday_is_over(struct place *p)
{
	p->first.received = 100;
	clock_says += 16 * 3600;
	p->second.received = 950;
	assert_true(allowance_is_left(p->second.allowance));
	end(&p->second);
}

static void looked_at_after_midnight(void **state)
{
	struct place *p = *state;

	yesterday_is_over(p);
	assert_false(allowance_is_left(p->first.allowance));
	assert_false(is_left(p));
}

static void ended_after_midnight(void **state)
{
	struct place *p = *state;

	yesterday_is_over(p);
	end(&p->first);
	assert_false(is_left(p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(spent_today, two_mounts, clean_up),
		cmocka_unit_test_setup_teardown(looked_at_after_midnight, two_mounts, clean_up),
		cmocka_unit_test_setup_teardown(ended_after_midnight, two_mounts, clean_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
