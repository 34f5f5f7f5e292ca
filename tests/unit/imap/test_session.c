/* SPDX-License-Identifier: MIT */
/*
 * Plays transcripts (the arguments), each in all ways of cutting the server's octets, with each
 * allocation failing once, and with debugging on, when no secret may be in the log.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <gsasl.h>

#include <cmocka.h>

#include "../support/oom.h"
#include "base/log.h"
#include "script.h"

#define FILE_MAX (1u << 20)

static const char *path;
static struct script script;

/* Reports of sanitizers must be seen although stderr is captured. */
extern void __sanitizer_set_report_fd(void *fd) __attribute__((weak));

static void read_file(struct buf *text)
{
	FILE *file = fopen(path, "r");
	char part[4096];
	size_t n;

	if (!file) {
		perror(path);
		exit(2);
	}
	while ((n = fread(part, 1, sizeof(part), file)) > 0)
		assert_int_equal(buf_append(text, part, n), 0);
	fclose(file);
}

/* --- all ways of cutting --- */

/* The line of a text that begins at an offset. A mark, as the end, is where nothing more is. */
static struct span line_at(const struct buf *text, size_t at)
{
	struct span rest = {text->data + at, at < text->len ? text->len - at : 0};
	const char *lf = rest.n ? memchr(rest.p, '\n', rest.n) : NULL;
	struct span line = {rest.p, lf ? (size_t)(lf - rest.p) : rest.n};

	return line.n == 0 || span_equal(line, SPAN("--")) ? SPAN("nothing more") : line;
}

/* Tells of the first line that is not as expected. */
static void show_difference(const char *way)
{
	const struct buf *expected = &script.expected, *got = &script.got;
	size_t start = 0, lines = 0;

	for (size_t i = 0; i < expected->len && i < got->len; i++) {
		if (expected->data[i] != got->data[i])
			break;
		if (expected->data[i] == '\n') {
			start = i + 1;
			lines++;
		}
	}
	struct span wanted = line_at(expected, start), came = line_at(got, start);
	fprintf(stderr, "%s:%d: fed %s:\n  expected %.*s\n       got %.*s\n", path,
		script_line(&script, lines), way, (int)wanted.n, wanted.p, (int)came.n, came.p);
}

static void play(const char *way, size_t part, size_t cut)
{
	script_play(&script, part, cut);
	if (script.wrong_line)
		fail_msg("%s:%d: not a transcript's line", path, script.wrong_line);
	if (!span_equal(buf_span(&script.got), buf_span(&script.expected))) {
		show_difference(way);
		fail();
	}
}

static void transcript(void **state)
{
	char way[64];

	play("whole", SIZE_MAX, 0);
	play("octet by octet", 1, 0);
	for (size_t cut = 1; cut < script.octets; cut++) {
		snprintf(way, sizeof(way), "in two parts, the first of %zu octets", cut);
		play(way, SIZE_MAX, cut);
	}
}

/* --- out of memory --- */

/* Up to where memory was lacking all is as expected, and that it was is said. */
static void out_of_memory(void **state)
{
	struct script *s = &script;
	bool failed = true;

	for (size_t n = 1; failed; n++) {
		oom_arm(n);
		script_play(s, SIZE_MAX, 0);
		failed = oom_disarm();
		size_t same = 0;
		while (same < s->got.len && same < s->expected.len &&
			s->got.data[same] == s->expected.data[same])
			same++;
		struct span rest = {s->got.data + same, s->got.len - same};
		bool told = rest.n > 0 && memmem(rest.p, rest.n, "out of memory", 13);
		if (same < s->got.len ? !failed || !told : !failed && same < s->expected.len)
			fail_msg("%s: allocation %zu fails:\n%.*s", path, n, (int)s->got.len,
				s->got.data);
	}
}

/* --- secrets --- */

static void capture(int *real, int *file)
{
	FILE *log = tmpfile();

	assert_non_null(log);
	fflush(stderr);
	*real = dup(STDERR_FILENO);
	*file = dup(fileno(log));
	fclose(log);
	dup2(*file, STDERR_FILENO);
	if (__sanitizer_set_report_fd)
		__sanitizer_set_report_fd((void *)(intptr_t)*real);
	log_set_debug(true);
}

static void release(int real, int file, struct buf *log)
{
	char part[4096];
	ssize_t n;

	log_set_debug(false);
	fflush(stderr);
	dup2(real, STDERR_FILENO);
	if (__sanitizer_set_report_fd)
		__sanitizer_set_report_fd((void *)(intptr_t)STDERR_FILENO);
	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	while ((n = read(file, part, sizeof(part))) > 0)
		assert_int_equal(buf_append(log, part, (size_t)n), 0);
	close(real);
	close(file);
}

static bool holds(const struct buf *log, struct span s)
{
	return memmem(log->data, log->len, s.p, s.n);
}

/* What SASL's PLAIN says. */
static void check_plain(const struct buf *log)
{
	const struct script *s = &script;
	struct buf plain;
	char *encoded;
	size_t n;

	buf_init(&plain, FILE_MAX);
	assert_int_equal(buf_append(&plain, "", 1), 0);
	assert_int_equal(buf_append_span(&plain, span_of(s->user)), 0);
	assert_int_equal(buf_append(&plain, "", 1), 0);
	assert_int_equal(buf_append_span(&plain, span_of(s->password)), 0);
	assert_int_equal(gsasl_base64_to(plain.data, plain.len, &encoded, &n), GSASL_OK);
	if (holds(log, (struct span){encoded, n}))
		fail_msg("%s: the log has what PLAIN says:\n%.*s", path, (int)log->len, log->data);
	gsasl_free(encoded);
	buf_finish(&plain);
}

static void secrets_stay_out_of_the_log(void **state)
{
	const struct script *s = &script;
	struct buf log;
	int real, file;

	buf_init(&log, FILE_MAX);
	capture(&real, &file);
	script_play(&script, SIZE_MAX, 0);
	release(real, file, &log);
	assert_true(holds(&log, SPAN("-> dead")));
	/* The first octets must do where the rest would be shown as question marks. */
	struct span password = {s->password, strlen(s->password) < 6 ? strlen(s->password) : 6};
	if (password.n > 0 && holds(&log, password))
		fail_msg("%s: the log has the password:\n%.*s", path, (int)log.len, log.data);
	check_plain(&log);
	buf_finish(&log);
}

/* Returns the number of tests that failed. */
static int check_file(const char *file)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transcript),
		cmocka_unit_test(out_of_memory),
		cmocka_unit_test(secrets_stay_out_of_the_log),
	};
	struct buf text;

	path = file;
	buf_init(&text, FILE_MAX);
	read_file(&text);
	script_init(&script, buf_span(&text));
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	script_finish(&script);
	buf_finish(&text);
	return failed;
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: %s TRANSCRIPT...\n", argv[0]);
		return 2;
	}
	for (int i = 1; i < argc; i++)
		failed += check_file(argv[i]);
	return failed > 0;
}
