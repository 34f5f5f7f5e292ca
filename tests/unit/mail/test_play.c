/* SPDX-License-Identifier: MIT */
/*
 * Plays transcripts of the account (the files are the arguments), each whole, octet by octet, and
 * with the server's octets cut at each point; then with each allocation failing once that may (see
 * play_memory.c). With --show it prints what comes instead, each "--" before what came of one turn
 * of the transcript.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/oom.h"
#include "play.h"

#define FILE_MAX (1u << 20)

static const char *path, *name;
static struct buf text;
static struct play play;

static void read_file(void)
{
	FILE *file = fopen(path, "r");
	char part[4096];
	size_t n;

	assert_non_null(file);
	buf_init(&text, FILE_MAX);
	while ((n = fread(part, 1, sizeof(part), file)) > 0)
		assert_int_equal(buf_append(&text, part, n), 0);
	fclose(file);
}

/* Fails with the first difference. */
static void check(size_t part, size_t cut)
{
	struct buf report;

	play_run(&play, part, cut);
	buf_init(&report, FILE_MAX);
	bool same = play_compare(&play, name, &report);
	if (!same)
		fprintf(stderr, "%.*s", (int)report.len, report.data);
	buf_finish(&report);
	if (play.waiting > 0)
		fail_msg("%s: %u requests never end", name, play.waiting);
	assert_true(same);
}

static void whole(void **state)
{
	check(SIZE_MAX, 0);
	if (play.wrong_line > 0)
		fail_msg("%s:%d: not a transcript's line", name, play.wrong_line);
}

static void octet_by_octet(void **state)
{
	check(1, 0);
}

/* Who looks at each step of the program, as valgrind, has time for fewer: IMAPFS_CUT_EVERY says
 * how many octets lie between two cuts; by default each octet is one. */
static size_t cut_every(void)
{
	const char *said = getenv("IMAPFS_CUT_EVERY");
	size_t every = said ? strtoul(said, NULL, 10) : 1;

	return every ? every : 1;
}

static void cut_at_each_octet(void **state)
{
	size_t every = cut_every();

	check(SIZE_MAX, 0);
	for (size_t cut = 1; cut < play.octets; cut += every)
		check(SIZE_MAX, cut);
}

/* A command or a connection fails where it would not have, so the server of the transcript answers
 * another conversation: what comes of that is not known, but all that was asked for has an end. */
static void out_of_memory(void **state)
{
	bool failed = true;

	for (size_t n = 1; failed; n++) {
		oom_arm(n);
		play_run(&play, SIZE_MAX, 0);
		failed = oom_disarm();
		if (play.waiting > 0)
			fail_msg("%s: allocation %zu fails: %u requests never end:\n%.*s", name, n,
				play.waiting, (int)play.got.len, play.got.data);
	}
}

/* For who writes a transcript. */
static int show(void)
{
	play_run(&play, SIZE_MAX, 0);
	printf("%.*s", (int)play.got.len, play.got.data);
	if (play.wrong_line > 0)
		printf("%s:%d: not a transcript's line\n", name, play.wrong_line);
	if (play.waiting > 0)
		printf("%u requests never end\n", play.waiting);
	return 0;
}

static int check_all(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),
		cmocka_unit_test(octet_by_octet),
		cmocka_unit_test(cut_at_each_octet),
		cmocka_unit_test(out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Returns the number of tests that failed. */
static int run(const char *file, int (*deed)(void))
{
	path = file;
	name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	read_file();
	play_init(&play, buf_span(&text));
	int failed = deed();
	play_finish(&play);
	buf_finish(&text);
	return failed;
}

int main(int argc, char **argv)
{
	bool shows = argc > 1 && strcmp(argv[1], "--show") == 0;
	int first = shows ? 2 : 1, failed = 0;

	if (argc == first) {
		fprintf(stderr, "usage: %s [--show] FILE...\n", argv[0]);
		return 2;
	}
	for (int i = first; i < argc; i++)
		failed += run(argv[i], shows ? show : check_all);
	return failed > 0;
}
