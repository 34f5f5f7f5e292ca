/*
 * Plays the transcripts (the folder is the argument): each in all ways of cutting the server's
 * octets, with each allocation failing once, and with debugging on, when no secret may be in the
 * log.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <dirent.h>
#include <gsasl.h>

#include <cmocka.h>

#include "../support/oom.h"
#include "base/log.h"
#include "script.h"

#define FILE_MAX (1u << 20)

static const char *folder;
static int mismatches; /* so that one run shows all of them */

/* Reports of sanitizers must be seen although stderr is captured. */
extern void __sanitizer_set_report_fd(void *fd) __attribute__((weak));

static void read_file(const char *path, struct buf *text)
{
	FILE *file = fopen(path, "r");
	char part[4096];
	size_t n;

	assert_non_null(file);
	while ((n = fread(part, 1, sizeof(part), file)) > 0)
		assert_int_equal(buf_append(text, part, n), 0);
	fclose(file);
}

static int is_transcript(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return n > 4 && strcmp(entry->d_name + n - 4, ".txt") == 0;
}

static void each(void (*check)(const char *name, struct script *s))
{
	struct dirent **entries;
	int count = scandir(folder, &entries, is_transcript, alphasort);

	assert_true(count > 60);
	for (int i = 0; i < count; i++) {
		struct script s;
		struct buf text;
		char path[4096];
		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		buf_init(&text, FILE_MAX);
		read_file(path, &text);
		script_init(&s, buf_span(&text));
		check(entries[i]->d_name, &s);
		script_finish(&s);
		buf_finish(&text);
		free(entries[i]);
	}
	free(entries);
}

/* True when it is as expected; else tells of it. */
static bool compare(const char *name, const struct script *s)
{
	if (span_equal(buf_span(&s->got), buf_span(&s->expected)))
		return true;
	mismatches++;
	fprintf(stderr, "%s, parts of %zu, cut at %zu: expected\n%.*s%s: got\n%.*s", name, s->part,
		s->cut, (int)s->expected.len, s->expected.data, name, (int)s->got.len, s->got.data);
	return false;
}

static void check_ways(const char *name, struct script *s)
{
	script_play(s, SIZE_MAX, 0);
	if (s->wrong_line) {
		fprintf(stderr, "%s:%d: not a transcript's line\n", name, s->wrong_line);
		mismatches++;
	}
	if (!compare(name, s))
		return;
	script_play(s, 1, 0);
	bool same = compare(name, s);
	for (size_t cut = 1; same && cut < s->octets; cut++) {
		script_play(s, SIZE_MAX, cut);
		same = compare(name, s);
	}
}

static void transcripts(void **state)
{
	mismatches = 0;
	each(check_ways);
	assert_int_equal(mismatches, 0);
}

/* Up to where memory was lacking all is as expected, and that it was is said. */
static void check_out_of_memory(const char *name, struct script *s)
{
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
			fail_msg("%s: allocation %zu fails:\n%.*s", name, n, (int)s->got.len,
				s->got.data);
	}
}

static void out_of_memory(void **state)
{
	each(check_out_of_memory);
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
static void check_plain(const char *name, const struct script *s, const struct buf *log)
{
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
		fail_msg("%s: the log has what PLAIN says:\n%.*s", name, (int)log->len, log->data);
	gsasl_free(encoded);
	buf_finish(&plain);
}

static void check_secrets(const char *name, struct script *s)
{
	struct buf log;
	int real, file;

	buf_init(&log, FILE_MAX);
	capture(&real, &file);
	script_play(s, SIZE_MAX, 0);
	release(real, file, &log);
	assert_true(holds(&log, SPAN("-> dead")));
	/* The first octets must do where the rest would be shown as question marks. */
	struct span password = {s->password, strlen(s->password) < 6 ? strlen(s->password) : 6};
	if (password.n > 0 && holds(&log, password))
		fail_msg("%s: the log has the password:\n%.*s", name, (int)log.len, log.data);
	check_plain(name, s, &log);
	buf_finish(&log);
}

static void secrets_stay_out_of_the_log(void **state)
{
	each(check_secrets);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transcripts),
		cmocka_unit_test(out_of_memory),
		cmocka_unit_test(secrets_stay_out_of_the_log),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	folder = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
