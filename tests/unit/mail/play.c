/* SPDX-License-Identifier: MIT */
/* See play.h. */
#include "play.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../support/check.h"
#include "../support/oom.h"
#include "base/text.h"
#include "imap/response.h"
#include "play_acts.h"
#include "play_stream.h"

#define TEXT_MAX (64u << 20)
/* A stream hands out no more at once. */
#define READ_MAX (64u << 10)
/* A connection's line that has not ended. */
#define STREAMS_MAX 64
/* Requests that wait when the transcript is over must end within these milliseconds. */
#define PATIENCE (15 * 60 * 1000)
/* Lines before a difference that are shown. */
#define CONTEXT 8

/* Server's octets before such a line are not cut, where there is one. */
#define CUT SPAN("cut from here")

enum last { LAST_NONE, LAST_SERVER, LAST_ACTION, LAST_EXPECTED };

static struct {
	struct play *play;
	int number; /* of the line in the file */
	bool over;  /* whatever comes now is not written down */
	bool begun; /* the options are over */
	bool uncut; /* until a line says otherwise */
	enum last last;
	unsigned stream;              /* whose octets are gathered */
	struct buf octets;            /* of the server, which arrive together */
	struct buf solid;             /* for each of them: whether a cut before it is of no use */
	struct buf sent[STREAMS_MAX]; /* lines of ours that have not ended */
} now;

/* --- writing down --- */

static void put(struct buf *out, struct span s)
{
	CHECK(buf_append_span(out, s) == 0);
}

static void put_got(const char *before, struct span line)
{
	if (now.over)
		return;
	oom_pause();
	put(&now.play->got, span_of(before));
	put(&now.play->got, line);
	put(&now.play->got, SPAN("\n"));
	oom_resume();
}

static void put_expected(struct span line)
{
	struct play *p = now.play;

	CHECK(p->lines < PLAY_LINES_MAX);
	p->numbers[p->lines++] = now.number;
	put(&p->expected, line);
	put(&p->expected, SPAN("\n"));
}

/* Before each stimulus, in both texts: what comes of it must not have come before. */
static void mark(void)
{
	put_expected(SPAN("--"));
	put_got("", SPAN("--"));
}

static void told(struct span line)
{
	put_got("=> ", line);
}

static void on_made(unsigned number)
{
	char text[32];

	CHECK(number < STREAMS_MAX);
	snprintf(text, sizeof(text), "connect %u", number);
	told(span_of(text));
}

static void end_line(unsigned number)
{
	char before[16];
	struct buf line;

	oom_pause();
	buf_init(&line, TEXT_MAX);
	acts_put_octets(&line, buf_span(&now.sent[number]));
	snprintf(before, sizeof(before), "C%u: ", number);
	put_got(before, buf_span(&line));
	buf_finish(&line);
	buf_clear(&now.sent[number]);
	oom_resume();
}

static void on_sent(unsigned number, struct span octets)
{
	struct buf *line = &now.sent[number];

	oom_pause();
	for (size_t i = 0; i < octets.n; i++) {
		if (octets.p[i] != '\n') {
			CHECK(buf_append_char(line, octets.p[i]) == 0);
			continue;
		}
		if (line->len > 0 && line->data[line->len - 1] == '\r')
			buf_truncate(line, line->len - 1);
		end_line(number);
	}
	oom_resume();
}

static void end_lines(void)
{
	for (unsigned i = 0; i < STREAMS_MAX; i++)
		if (now.sent[i].len > 0)
			end_line(i);
}

static void on_closed(unsigned number)
{
	char text[32];

	end_lines();
	snprintf(text, sizeof(text), "close %u", number);
	told(span_of(text));
}

/* --- the server's octets --- */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void put_octet(char c, bool solid)
{
	CHECK(buf_append_char(&now.octets, c) == 0);
	CHECK(buf_append_char(&now.solid, (char)(solid || now.uncut)) == 0);
}

static bool starts_with(struct span *line, struct span prefix)
{
	if (line->n < prefix.n || memcmp(line->p, prefix.p, prefix.n) != 0)
		return false;
	*line = (struct span){line->p + prefix.n, line->n - prefix.n};
	return true;
}

static bool take_number(struct span *text, uint64_t *n)
{
	const char *space = memchr(text->p, ' ', text->n);
	size_t length = space ? (size_t)(space - text->p) : text->n;

	if (!text_parse_number((struct span){text->p, length}, UINT32_MAX, n))
		return false;
	length += space != NULL;
	*text = (struct span){text->p + length, text->n - length};
	return true;
}

static void put_solid(struct span octets)
{
	for (size_t i = 0; i < octets.n; i++)
		put_octet(octets.p[i], true);
}

/* Rows of messages that follow one another. */
static bool put_rows(struct span args)
{
	uint64_t seq, uid, step, count;
	char row[128];

	if (!take_number(&args, &seq) || !take_number(&args, &uid) || !take_number(&args, &step) ||
		!take_number(&args, &count) || args.n > 0)
		return false;
	for (uint64_t i = 0; i < count; i++) {
		int n = snprintf(row, sizeof(row),
			"%s* %" PRIu64 " FETCH (UID %" PRIu64 " RFC822.SIZE 10 INTERNALDATE "
			"\"01-Jan-2024 10:00:00 +0000\")",
			i > 0 ? "\r\n" : "", seq + i, uid + i * step);
		put_solid((struct span){row, (size_t)n});
	}
	return true;
}

/* UIDs of the message numbers of a set, where the messages were numbered from uid on in steps, and
 * one of them, by its number before, is no more. */
static bool put_samples(struct span args)
{
	uint64_t uid, step, gone;
	uint32_t first, last;
	char row[64];
	bool any = false;

	if (!take_number(&args, &uid) || !take_number(&args, &step) || !take_number(&args, &gone))
		return false;
	while (imap_set_next(&args, &first, &last)) {
		for (uint64_t seq = first; seq <= last; seq++) {
			int n = snprintf(row, sizeof(row),
				"%s* %" PRIu64 " FETCH (UID %" PRIu64 ")", any ? "\r\n" : "", seq,
				uid + (seq - (seq < gone)) * step);
			put_solid((struct span){row, (size_t)n});
			any = true;
		}
	}
	return any;
}

/* What is between the parentheses of $(...): "rows SEQ UID STEP COUNT", "samples UID STEP GONE SET",
 * or "N TEXT", which is TEXT over and over, N octets in all. It is not cut. */
static bool put_many(struct span args)
{
	uint64_t n;

	if (starts_with(&args, SPAN("rows ")))
		return put_rows(args);
	if (starts_with(&args, SPAN("samples ")))
		return put_samples(args);
	if (!take_number(&args, &n) || args.n == 0)
		return false;
	for (uint64_t i = 0; i < n; i++)
		put_octet(args.p[i % args.n], true);
	return true;
}

/* Returns how many octets of s it takes; 0: it is no $(...). */
static size_t put_parentheses(struct span s)
{
	const char *end = memchr(s.p, ')', s.n);

	if (s.n < 2 || s.p[0] != '$' || s.p[1] != '(' || !end)
		return 0;
	size_t n = (size_t)(end - s.p);
	return put_many((struct span){s.p + 2, n - 2}) ? n + 1 : 0;
}

static void unescape(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		struct span rest = {s.p + i, s.n - i};
		size_t many = put_parentheses(rest);
		if (many > 0) {
			i += many - 1;
		} else if (rest.n >= 4 && rest.p[0] == '\\' && rest.p[1] == 'x' &&
			   hex(rest.p[2]) >= 0 && hex(rest.p[3]) >= 0) {
			put_octet((char)(hex(rest.p[2]) * 16 + hex(rest.p[3])), false);
			i += 3;
		} else {
			put_octet(s.p[i], false);
		}
	}
}

/* Octets that arrive next, at `from` of those that are gathered; `cuts` counts where they may be
 * cut. */
static size_t part_size(size_t from, size_t *cuts)
{
	const struct play *p = now.play;
	size_t pieces = 1, n = 0;

	while (from + n < now.octets.len && n < READ_MAX) {
		bool may_cut = n > 0 && !now.solid.data[from + n];
		if (may_cut && (pieces == p->part || *cuts == p->cut))
			break;
		pieces += may_cut;
		*cuts += !now.solid.data[from + n];
		n++;
	}
	return n;
}

static void flush(void)
{
	size_t at = 0;

	if (now.octets.len == 0)
		return;
	while (at < now.octets.len) {
		size_t n = part_size(at, &now.play->octets);
		struct span part = {now.octets.data + at, n};
		oom_resume();
		bool heard = streams_feed(now.stream, part);
		acts_settle();
		oom_pause();
		if (!heard)
			break;
		at += n;
	}
	if (at < now.octets.len)
		told(SPAN("nobody hears the server"));
	end_lines();
	buf_clear(&now.octets);
	buf_clear(&now.solid);
}

/* --- the file --- */

static bool take_line(struct span *text, struct span *line)
{
	if (text->n == 0)
		return false;
	const char *lf = memchr(text->p, '\n', text->n);
	*line = (struct span){text->p, lf ? (size_t)(lf - text->p) : text->n};
	size_t used = line->n + (lf != NULL);
	*text = (struct span){text->p + used, text->n - used};
	return true;
}

/* "S2: text" */
static bool take_stream(struct span *line, char kind, unsigned *number)
{
	const char *colon = memchr(line->p, ':', line->n);
	size_t n = colon ? (size_t)(colon - line->p) : 0;
	uint64_t value;

	if (n < 2 || line->p[0] != kind || line->n < n + 2 || colon[1] != ' ' ||
		!text_parse_number((struct span){line->p + 1, n - 1}, STREAMS_MAX - 1, &value))
		return false;
	*number = (unsigned)value;
	*line = (struct span){colon + 2, line->n - n - 2};
	return true;
}

static void begin(void)
{
	if (now.begun)
		return;
	now.begun = true;
	oom_resume();
	acts_mount();
	acts_settle();
	oom_pause();
}

/* What was said or done has come to its effect. */
static void settle(enum last next)
{
	if (now.last == LAST_SERVER && next != LAST_SERVER)
		flush();
	if (now.last == LAST_ACTION && next != LAST_ACTION) {
		oom_resume();
		acts_settle();
		oom_pause();
		end_lines();
	}
	if (next != now.last && (next == LAST_SERVER || next == LAST_ACTION))
		mark();
	now.last = next;
}

static void hear(unsigned stream, struct span text)
{
	settle(LAST_SERVER);
	if (stream != now.stream)
		flush();
	now.stream = stream;
	unescape(text);
	put_octet('\r', false);
	put_octet('\n', false);
}

static bool play_line(struct span line)
{
	struct span rest = line;
	unsigned stream;

	if (line.n == 0 || line.p[0] == '#')
		return true;
	if (!now.begun && acts_option(line))
		return true;
	begin();
	if (take_stream(&rest, 'S', &stream)) {
		hear(stream, rest);
		return true;
	}
	if (starts_with(&rest, SPAN("! "))) {
		settle(LAST_ACTION);
		oom_resume();
		bool known = acts_do(rest);
		oom_pause();
		return known;
	}
	settle(LAST_EXPECTED);
	if (span_equal(line, CUT)) {
		now.uncut = false;
		return true;
	}
	put_expected(line);
	return take_stream(&rest, 'C', &stream) || starts_with(&rest, SPAN("=> "));
}

static void play_lines(void)
{
	struct span text = now.play->text, line;

	while (take_line(&text, &line)) {
		now.number++;
		if (!play_line(line) && now.play->wrong_line == 0)
			now.play->wrong_line = now.number;
	}
	begin();
	settle(LAST_EXPECTED);
}

void play_run(struct play *p, size_t part, size_t cut)
{
	static const struct stream_events events = {
		.on_made = on_made, .on_sent = on_sent, .on_closed = on_closed};

	p->part = part;
	p->cut = cut;
	p->octets = p->lines = 0;
	p->wrong_line = 0;
	buf_clear(&p->expected);
	buf_clear(&p->got);
	now.play = p;
	now.number = 0;
	now.over = now.begun = false;
	now.uncut = memmem(p->text.p, p->text.n, CUT.p, CUT.n);
	now.last = LAST_NONE;
	buf_init(&now.octets, TEXT_MAX);
	buf_init(&now.solid, TEXT_MAX);
	for (unsigned i = 0; i < STREAMS_MAX; i++)
		buf_init(&now.sent[i], TEXT_MAX);
	streams_reset(&events);
	/* What the play itself needs it has: it resumes before it calls what is tested. */
	oom_pause();
	acts_begin(told);
	play_lines();
	now.over = true;
	if (acts_waiting() > 0)
		acts_pass(PATIENCE);
	p->waiting = acts_waiting();
	if (p->waiting == 0)
		acts_end();
	for (unsigned i = 0; i < STREAMS_MAX; i++)
		buf_finish(&now.sent[i]);
	buf_finish(&now.solid);
	buf_finish(&now.octets);
	oom_resume();
}

void play_init(struct play *p, struct span text)
{
	*p = (struct play){.text = text};
	buf_init(&p->expected, TEXT_MAX);
	buf_init(&p->got, TEXT_MAX);
}

void play_finish(struct play *p)
{
	buf_finish(&p->expected);
	buf_finish(&p->got);
	acts_finish();
}

/* --- the difference --- */

static void report_line(struct buf *report, const char *what, struct span line, bool there)
{
	CHECK(buf_printf(report, "  %s %.*s\n", what, there ? (int)line.n : 15,
		      there ? line.p : "(nothing more)") == 0);
}

/* The lines before, so that one sees where it was. */
static void report_context(struct buf *report, struct span got, size_t lines)
{
	struct span line;

	for (size_t i = 0; i < lines && take_line(&got, &line); i++)
		if (i + CONTEXT >= lines)
			CHECK(buf_printf(report, "    %.*s\n", (int)line.n, line.p) == 0);
}

bool play_compare(const struct play *p, const char *name, struct buf *report)
{
	struct span expected = buf_span(&p->expected), got = buf_span(&p->got);
	struct span want = {0}, have = {0};

	for (size_t i = 0;; i++) {
		bool more = take_line(&expected, &want), came = take_line(&got, &have);
		if (!more && !came)
			return true;
		if (more && came && span_equal(want, have))
			continue;
		int number = p->lines == 0 ? 0 : p->numbers[i < p->lines ? i : p->lines - 1];
		CHECK(buf_printf(report, "%s:%d: not as expected", name, number) == 0);
		if (p->part != SIZE_MAX)
			CHECK(buf_printf(report, ", in parts of %zu", p->part) == 0);
		if (p->cut > 0)
			CHECK(buf_printf(report, ", cut at %zu", p->cut) == 0);
		CHECK(buf_printf(report, "; before:\n") == 0);
		report_context(report, buf_span(&p->got), i);
		report_line(report, "expected", want, more);
		report_line(report, "but came", have, came);
		for (size_t j = 0; j < CONTEXT && take_line(&got, &have); j++)
			report_line(report, "        ", have, true);
		return false;
	}
}
