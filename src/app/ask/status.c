/* SPDX-License-Identifier: MIT */
#include "app/ask/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "app/ask/mount.h"
#include "app/options/options.h"

static int write_out(struct span text)
{
	if (fwrite(text.p, 1, text.n, stdout) < text.n || fflush(stdout) != 0)
		return EXIT_STATUS_INTERNAL;
	return EXIT_STATUS_OK;
}

int status_print(const char *mountpoint)
{
	struct buf text;

	buf_init(&text, ASK_MAX);
	int status = ask_mount(mountpoint, "status", &text);
	if (status == EXIT_STATUS_OK)
		status = write_out(buf_span(&text));
	buf_finish(&text);
	return status;
}

int status_print_json(const char *mountpoint)
{
	struct buf text, json;

	buf_init(&text, ASK_MAX);
	buf_init(&json, 8 * ASK_MAX);
	int status = ask_mount(mountpoint, "status", &text);
	if (status == EXIT_STATUS_OK && status_to_json(buf_span(&text), &json) < 0)
		status = EXIT_STATUS_INTERNAL;
	if (status == EXIT_STATUS_OK)
		status = write_out(buf_span(&json));
	buf_finish(&json);
	buf_finish(&text);
	return status;
}

/* --- again and again --- */

struct watching {
	bool terminal;
	int64_t at; /* milliseconds; of the numbers; 0: there are none */
	unsigned long long in, out, turns;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The next number in the text, which goes on behind it. */
static unsigned long long take_number(const char **text)
{
	char *end;

	*text += strcspn(*text, "0123456789\n");
	unsigned long long number = strtoull(*text, &end, 10);
	*text = end;
	return number;
}

/* How much since the last time, by the second. */
static void print_rates(struct watching *w, const char *text)
{
	unsigned long long in = 0, out = 0, turns = 0;
	const char *wire = strstr(text, "\nwire: ");
	int64_t now = now_ms(), since = now - w->at;
	time_t seconds = time(NULL);
	struct tm tm;
	char clock[16] = "";

	if (wire) {
		wire += strlen("\nwire: ");
		in = take_number(&wire);
		out = take_number(&wire);
		turns = take_number(&wire);
	}
	if (localtime_r(&seconds, &tm))
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	if (w->at && since > 0)
		printf("%s  %.1f kB/s in, %.1f kB/s out, %.1f turns/s\n", clock,
			(double)(in - w->in) / (double)since,
			(double)(out - w->out) / (double)since,
			(double)(turns - w->turns) * 1000 / (double)since);
	else
		printf("%s  %.1f MB in, %.1f MB out, %llu turns so far\n", clock, (double)in / 1e6,
			(double)out / 1e6, turns);
	*w = (struct watching){w->terminal, now, in, out, turns};
}

/* As much of it as the terminal has lines and columns for, and one is told already. */
static void print_screen(const char *text)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	for (int row = 2; *text && row < size.ws_row; row++) {
		size_t n = strcspn(text, "\n");
		printf("%.*s\n", (int)(n < size.ws_col ? n : size.ws_col), text);
		text += n + (text[n] == '\n');
	}
}

int status_watch(const char *mountpoint)
{
	const struct timespec step = {.tv_sec = 1};
	struct watching w = {.terminal = isatty(STDOUT_FILENO)};
	struct buf text;
	int status;

	buf_init(&text, ASK_MAX);
	while ((status = ask_mount(mountpoint, "status", &text)) == EXIT_STATUS_OK) {
		if (w.terminal)
			fputs("\033[H\033[2J", stdout);
		print_rates(&w, buf_cstr(&text));
		if (w.terminal)
			print_screen(buf_cstr(&text));
		if (fflush(stdout) != 0)
			break;
		buf_clear(&text);
		nanosleep(&step, NULL);
	}
	buf_finish(&text);
	return status;
}
