/* SPDX-License-Identifier: MIT */
/* Who makes a request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "fs/process.h"

static void *check_thread(void *ctx)
{
	const struct process *p = ctx;

	assert_int_not_equal(gettid(), getpid());
	assert_true(process_has(p, gettid()));
	assert_false(process_is_killed(gettid()));
	return NULL;
}

static void test_threads_are_their_process(void **state)
{
	struct process p = process_of(getpid());
	char name[PROCESS_NAME_SIZE];
	pthread_t thread;

	prctl(PR_SET_NAME, "a name of 15 oc");
	process_name(&p, name);
	assert_string_equal(name, "a name of 15 oc");
	process_name(&(struct process){0}, name);
	assert_string_equal(name, "");
	assert_true(process_lives(&p));
	assert_int_equal(pthread_create(&thread, NULL, check_thread, &p), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_others(void **state)
{
	struct process p = process_of(getpid()), nobody = process_of(0), other = p;
	pid_t child = fork();

	if (child == 0) {
		pause();
		_exit(0);
	}
	assert_false(process_has(&p, child));
	struct process c = process_of(child);
	assert_true(process_lives(&c));
	assert_int_equal(kill(child, SIGKILL), 0);
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	assert_true(process_is_killed(child));
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_false(process_lives(&c));
	assert_false(process_has(&nobody, getpid()));
	assert_false(process_has(&p, 0));
	assert_false(process_is_killed(0));
	/* The number was used again. */
	other.started++;
	assert_false(process_lives(&other));
}

/* Whether a process of nobody sees how that of another user ended. */
static bool sees_killed(pid_t child)
{
	int status;
	pid_t looker = fork();

	if (looker == 0)
		_exit(setuid(65534) == 0 && process_is_killed(child) ? 0 : 1);
	assert_int_equal(waitpid(looker, &status, 0), looker);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void test_of_another_user(void **state)
{
	siginfo_t info;

	for (int killed = 0; killed < 2; killed++) {
		pid_t child = fork();
		if (child == 0) {
			if (killed)
				pause();
			_exit(0);
		}
		if (killed)
			assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
		assert_int_equal(sees_killed(child), killed);
		assert_int_equal(waitpid(child, NULL, 0), child);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_are_their_process),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_of_another_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
