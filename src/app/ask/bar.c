/* SPDX-License-Identifier: MIT */
#include "app/ask/bar.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text.h"

#define NAME_MAX_WIDTH 24u
#define BAR_MIN 8u
#define BAR_MAX 40u
/* Milliseconds between looks that count for the rate. */
#define SAMPLE_TIME 500

const char *bar_megabytes(uint64_t octets, char *text, size_t size)
{
	/* Not 0.0 MB. */
	if (octets < 50000)
		snprintf(text, size, "%.1f kB", (double)octets / 1e3);
	else
		snprintf(text, size, "%.1f MB", (double)octets / 1e6);
	return text;
}

/* Octets a second over the last looks; 0: not known. */
static double rate_of(struct bar *b, const struct bar_state *s, int64_t now)
{
	struct bar_sample *last = &b->samples[(b->count + BAR_SAMPLES - 1) % BAR_SAMPLES];

	/* Another look at what there is may find less here than was thought. */
	if (b->count > 0 && s->octets < last->octets)
		b->count = 0;
	if (b->count == 0 || now - last->at >= SAMPLE_TIME)
		b->samples[b->count++ % BAR_SAMPLES] = (struct bar_sample){now, s->octets};
	const struct bar_sample *first =
		&b->samples[b->count > BAR_SAMPLES ? b->count % BAR_SAMPLES : 0];
	if (now <= first->at)
		return 0;
	return (double)(s->octets - first->octets) * 1000 / (double)(now - first->at);
}

/* Columns of a character, perhaps one too many: wide ones begin with the Hangul. */
static unsigned width_of(struct span sequence)
{
	return sequence.n >= 3 && (unsigned char)sequence.p[0] >= 0xe1 ? 2 : 1;
}

/* As much of the name as the columns hold; returns how many it takes. */
static unsigned put_name(const char *name, unsigned columns, char *text, size_t size)
{
	char printable[512];
	struct span rest = span_of(text_printable(span_of(name), printable, sizeof(printable)));
	unsigned used = 0;
	size_t n, at = 0;

	while (rest.n > 0 && (n = text_utf8_sequence(rest)) > 0 &&
		used + width_of((struct span){rest.p, n}) <= columns && at + n < size) {
		used += width_of((struct span){rest.p, n});
		memcpy(text + at, rest.p, n);
		at += n;
		rest = (struct span){rest.p + n, rest.n - n};
	}
	text[at] = '\0';
	return used;
}

static void put_time(double seconds, char *text, size_t size)
{
	unsigned long s = seconds < 360000 ? (unsigned long)seconds : 360000;

	if (s >= 3600)
		snprintf(text, size, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(text, size, "%lu:%02lu", s / 60, s % 60);
}

static void put_bar(const struct bar_state *s, unsigned width, char *text)
{
	uint64_t all = s->all_octets ? s->all_octets : 1;
	uint64_t octets = s->octets < all ? s->octets : all;
	unsigned full = (unsigned)((double)octets / (double)all * (width - 2));

	memset(text, '.', width);
	memset(text + 1, '#', full);
	text[0] = '[';
	text[width - 1] = ']';
	text[width] = '\0';
}

/* "1204/5000  51.2/130.5 MB  3.1 MB/s  0:25 left", of which as many as the columns hold. */
static unsigned put_figures(
	const struct bar_state *s, double rate, unsigned columns, char *text, size_t size)
{
	char figures[4][64], left[32] = "-:--";
	unsigned used = 0;

	if (rate > 0 && s->all_octets >= s->octets)
		put_time((double)(s->all_octets - s->octets) / rate + 0.5, left, sizeof(left));
	snprintf(figures[0], sizeof(figures[0]), "%llu/%llu", (unsigned long long)s->messages,
		(unsigned long long)s->all_messages);
	snprintf(figures[1], sizeof(figures[1]), "%.1f/%.1f MB", (double)s->octets / 1e6,
		(double)s->all_octets / 1e6);
	snprintf(figures[2], sizeof(figures[2]), "%.1f MB/s", rate / 1e6);
	snprintf(figures[3], sizeof(figures[3]), "%s left", left);
	for (unsigned i = 0; i < 4; i++) {
		unsigned n = (unsigned)strlen(figures[i]), gap = i > 0 ? 2 : 0;
		if (used + gap + n > columns || used + gap + n >= size)
			break;
		memset(text + used, ' ', gap);
		memcpy(text + used + gap, figures[i], n);
		used += gap + n;
	}
	text[used] = '\0';
	return used;
}

void bar_text(struct bar *b, const struct bar_state *s, int64_t now, unsigned columns, char *text,
	size_t size)
{
	char name[4 * NAME_MAX_WIDTH + 1], bar[BAR_MAX + 3] = "", figures[192];
	double rate = rate_of(b, s, now);
	unsigned used = put_figures(s, rate, columns, figures, sizeof(figures));
	unsigned room = columns > used + 2 ? columns - used - 2 : 0;
	unsigned name_width = put_name(
		s->name, room < NAME_MAX_WIDTH ? room : NAME_MAX_WIDTH, name, sizeof(name));

	room -= name_width;
	if (room >= BAR_MIN + 2)
		put_bar(s, room - 2 < BAR_MAX ? room - 2 : BAR_MAX, bar);
	snprintf(text, size, "%s%s%s%s%s", name, name[0] ? "  " : "", bar, bar[0] ? "  " : "",
		figures);
}

void bar_show(struct bar *b, const struct bar_state *s, int64_t now)
{
	struct winsize size = {.ws_col = 80};
	char text[512];

	if (!isatty(STDERR_FILENO))
		return;
	ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
	/* The last column stays free: some terminals begin a new line behind it. */
	bar_text(b, s, now, size.ws_col > 1 ? size.ws_col - 1u : 79, text, sizeof(text));
	fprintf(stderr, "\r%s\033[K", text);
	b->shown = true;
}

void bar_wipe(struct bar *b)
{
	if (b->shown)
		fputs("\r\033[K", stderr);
	b->shown = false;
}
