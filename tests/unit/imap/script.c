/* SPDX-License-Identifier: MIT */
/* See script.h. */
#include "script.h"

#include <gsasl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../support/check.h"
#include "base/error.h"
#include "base/text.h"
#include "dump.h"
#include "imap/session.h"

#define TEXT_MAX (256u << 20)
/* Allocated before the play, so that only the session's own allocations are left in it. */
#define TEXT_USUAL (64u << 10)
#define COMMANDS_MAX 64

enum line_kind { LINE_NONE, LINE_SENT, LINE_DATA };

/* A command's source: octets "0123456789012..." */
struct upload {
	struct imap_source source;
	uint64_t given; /* octets */
};

struct play {
	struct script *script;
	struct imap_session *session;
	struct imap_session_options options;
	struct imap_pace pace;
	struct binding binding; /* what TLS is to give */
	uint64_t now;
	int number;           /* of the file's line that is being played */
	enum line_kind open;  /* the last line of got goes on */
	bool carriage_return; /* was sent last */
	bool calling;         /* a function that makes no events is being called */
	bool compress;        /* is wanted */
	bool over;            /* whatever comes now is not written down */
	bool closed;
	size_t behind; /* octets at the end of a part that the session left to the stream */
	struct imap_command commands[COMMANDS_MAX];
	bool done[COMMANDS_MAX];
	unsigned count;
	struct upload uploads[COMMANDS_MAX]; /* of the command with the same index */
	uint64_t room;                       /* octets of uploads that are taken now */
	uint64_t ready;                      /* octets of uploads that are here */
	bool broken;                         /* no upload can be read any more */
};

/* The nonce of SCRAM's client: the same in every run. Stands in the way of GNU SASL's own. */
int gsasl_nonce(char *data, size_t n)
{
	memset(data, 'A', n);
	return GSASL_OK;
}

/* --- writing down --- */

static void put(struct buf *out, struct span s)
{
	CHECK(buf_append_span(out, s) == 0);
}

static void close_line(struct play *p)
{
	if (p->open != LINE_NONE)
		put(&p->script->got, SPAN("\n"));
	p->open = LINE_NONE;
}

#define EVENT(p, ...)                                                                              \
	do {                                                                                       \
		CHECK(!(p)->calling && !(p)->closed);                                              \
		close_line(p);                                                                     \
		if (!(p)->over)                                                                    \
			CHECK(buf_printf(&(p)->script->got, "=> " __VA_ARGS__) == 0);              \
	} while (0)

/* Lines of the client are put together however they are sent. */
static void on_send(void *ctx, struct span octets)
{
	struct play *p = ctx;

	CHECK(!p->closed);
	for (size_t i = 0; i < octets.n; i++) {
		if (p->open != LINE_SENT) {
			close_line(p);
			put(&p->script->got, SPAN("C: "));
			p->open = LINE_SENT;
		}
		char c = octets.p[i];
		if (p->carriage_return && c != '\n')
			dump_octets(&p->script->got, SPAN("\r"));
		p->carriage_return = c == '\r';
		if (c == '\n')
			close_line(p);
		else if (c != '\r')
			dump_octets(&p->script->got, (struct span){&c, 1});
	}
}

static size_t on_room(void *ctx)
{
	struct play *p = ctx;

	return p->room < SIZE_MAX ? (size_t)p->room : SIZE_MAX;
}

static void on_starttls(void *ctx, size_t buffered)
{
	struct play *p = ctx;

	EVENT(p, "starttls\n");
	p->behind = buffered;
}

static void on_compress(void *ctx, bool agreed, struct span rest)
{
	struct play *p = ctx;

	EVENT(p, "compress%s\n", agreed ? "" : " refused");
	p->behind = rest.n;
}

static void on_token(void *ctx, bool refused)
{
	struct play *p = ctx;

	EVENT(p, "token %s\n", refused ? "refused" : "wanted");
}

static void on_ready(void *ctx)
{
	struct play *p = ctx;

	EVENT(p, "ready\n");
	CHECK(imap_session_state(p->session) == IMAP_READY);
	if (p->compress)
		imap_session_compress(p->session, p->now);
}

static void on_untagged(void *ctx, const struct imap_response *r, uint32_t uid)
{
	struct play *p = ctx;

	EVENT(p, "%s", "");
	if (uid)
		CHECK(buf_printf(&p->script->got, "[%" PRIu32 "] ", uid) == 0);
	dump_response(&p->script->got, r);
}

static void on_body_begin(void *ctx, const struct imap_fetch *prefix, uint32_t uid, uint64_t size)
{
	struct play *p = ctx;

	EVENT(p, "body [%" PRIu32 "] seq=%" PRIu32 " octets=%" PRIu64, uid, prefix->seq, size);
	if (prefix->has_origin)
		CHECK(buf_printf(&p->script->got, " origin=%" PRIu64, prefix->origin) == 0);
	const struct imap_section *section = &prefix->section;
	if (section->name.n > 0)
		CHECK(buf_printf(&p->script->got, " section=[%.*s]", (int)section->name.n,
			      section->name.p) == 0);
	if (section->has_origin)
		CHECK(buf_printf(&p->script->got, " from=%" PRIu64, section->origin) == 0);
	put(&p->script->got, SPAN("\n"));
}

static void on_body_data(void *ctx, struct span octets)
{
	struct play *p = ctx;

	CHECK(octets.n > 0 && !p->calling && !p->closed);
	if (p->open != LINE_DATA) {
		close_line(p);
		put(&p->script->got, SPAN("=> data "));
		p->open = LINE_DATA;
	}
	dump_octets(&p->script->got, octets);
}

static void on_body_end(void *ctx)
{
	struct play *p = ctx;

	EVENT(p, "end\n");
}

/* Commands submitted and not completed. */
static unsigned pending(const struct play *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->count; i++)
		n += !p->done[i];
	return n;
}

static void on_closed(void *ctx, int err, const char *text)
{
	struct play *p = ctx;

	EVENT(p, "closed: %s: %s\n", error_text(err), text);
	p->closed = true;
	CHECK(err < 0 && pending(p) == 0);
}

static void on_selecting(void *ctx, struct imap_command *c)
{
	struct play *p = ctx;

	EVENT(p, "selecting %zu\n", (size_t)(c - p->commands) + 1);
}

static const struct imap_session_events events = {on_send, on_room, on_starttls, on_compress,
	on_token, on_ready, on_untagged, on_selecting, on_body_begin, on_body_data, on_body_end,
	on_closed};

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void unescape(struct buf *out, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (s.n - i >= 4 && c == '\\' && s.p[i + 1] == 'x' && hex(s.p[i + 2]) >= 0 &&
			hex(s.p[i + 3]) >= 0) {
			c = (char)(hex(s.p[i + 2]) * 16 + hex(s.p[i + 3]));
			i += 3;
		}
		CHECK(buf_append_char(out, c) == 0);
	}
}

/* --- the owner's deeds --- */

static struct play *current; /* on_done has no context of its own */

static void on_done(struct imap_command *c, const struct imap_result *result)
{
	struct play *p = current;
	size_t i = (size_t)(c - p->commands);

	CHECK(i < p->count && !p->done[i]);
	CHECK((result->outcome == IMAP_LOST) == !result->response);
	CHECK((result->outcome == IMAP_DONE) == (result->err == 0));
	CHECK((result->outcome == IMAP_PARTIAL) == (result->err == ERR_PARTIAL));
	CHECK((result->outcome == IMAP_BUSY) == (result->response && result->err == ERR_THROTTLED));
	CHECK(!result->response || result->response->kind == IMAP_TAGGED);
	p->done[i] = true;
	EVENT(p, "done %zu: %s", i + 1, result->err ? error_text(result->err) : "OK");
	if (p->over)
		return;
	if (result->response && result->response->text.n) {
		put(&p->script->got, SPAN(": "));
		dump_octets(&p->script->got, result->response->text);
	}
	put(&p->script->got, SPAN("\n"));
}

/* Text with $(...) for what is given as a string, whatever is in it. */
static void build(struct imap_command *c, struct span text)
{
	while (text.n > 0) {
		const char *dollar = memmem(text.p, text.n, "$(", 2);
		size_t n = dollar ? (size_t)(dollar - text.p) : text.n;
		imap_command_add(c, "%.*s", (int)n, text.p);
		text = (struct span){text.p + n, text.n - n};
		if (!dollar)
			break;
		const char *end = memchr(text.p, ')', text.n);
		size_t inner = end ? (size_t)(end - text.p) : text.n;
		imap_command_add_string(c, (struct span){text.p + 2, inner - 2});
		inner += end != NULL;
		text = (struct span){text.p + inner, text.n - inner};
	}
	imap_command_add(c, "\r\n");
}

static ssize_t read_upload(struct imap_source *source, char *out, size_t n)
{
	struct upload *u = list_entry(source, struct upload, source);
	struct play *p = current;

	CHECK(u->given + n <= source->size && n <= p->room && n > 0);
	if (p->broken)
		return ERR_IO;
	size_t here = p->ready < n ? (size_t)p->ready : n;
	for (size_t i = 0; i < here; i++)
		out[i] = (char)('0' + (u->given + i) % 10);
	u->given += here;
	p->ready -= here;
	p->room -= here;
	return (ssize_t)here;
}

static struct imap_command *new_command(struct play *p)
{
	struct imap_command *c = &p->commands[p->count++];
	bool plus = imap_session_capabilities(p->session) & IMAP_CAP_LITERAL_PLUS;

	imap_command_init(c, plus, on_done);
	return c;
}

/* "30 APPEND x ": so many octets behind it, as they are taken. */
static void act_upload(struct play *p, struct span args)
{
	const char *space = memchr(args.p, ' ', args.n);
	size_t digits = space ? (size_t)(space - args.p) : 0;
	uint64_t size;

	if (imap_session_state(p->session) != IMAP_READY || p->count == COMMANDS_MAX || !space ||
		!text_parse_number((struct span){args.p, digits}, 1u << 20, &size))
		return;
	struct upload *u = &p->uploads[p->count];
	*u = (struct upload){.source = {.size = size, .read = read_upload}};
	struct imap_command *c = new_command(p);
	imap_command_add(c, "%.*s", (int)(args.n - digits - 1), space + 1);
	imap_command_add_source(
		c, &u->source, imap_literal_is_free(imap_session_capabilities(p->session), size));
	imap_command_add(c, "\r\n");
	imap_session_submit(p->session, c, p->now);
}

/* So many octets more are taken, or are here; "broken": they cannot be had any more. */
static void act_take(struct play *p, struct span args)
{
	uint64_t n = 0;

	if (text_parse_number(args, 1u << 30, &n))
		p->room += n;
	p->calling = false;
	imap_session_go_on(p->session, p->now);
}

static void act_ready(struct play *p, struct span args)
{
	uint64_t n = 0;

	if (text_parse_number(args, 1u << 30, &n))
		p->ready = n;
	p->broken = span_equal(args, SPAN("broken"));
	p->calling = false;
	imap_session_go_on(p->session, p->now);
}

static void act_taken(struct play *p, struct span args)
{
	imap_session_note_taken(p->session, p->now);
}

static void act_held(struct play *p, struct span args)
{
	uint64_t n = 0;

	if (text_parse_number(args, 1u << 30, &n))
		imap_session_note_held(p->session, n);
}

static void submit(struct play *p, struct span text, bool idle, bool selects)
{
	if (imap_session_state(p->session) != IMAP_READY || p->count == COMMANDS_MAX)
		return;
	struct imap_command *c = new_command(p);
	c->idle = idle;
	c->selects = selects;
	unescape(&p->script->block, text);
	build(c, buf_span(&p->script->block));
	buf_clear(&p->script->block);
	imap_session_submit(p->session, c, p->now);
}

static void act_submit(struct play *p, struct span args)
{
	submit(p, args, false, false);
}

static void act_idle(struct play *p, struct span args)
{
	submit(p, SPAN("IDLE"), true, false);
}

static void act_end_idle(struct play *p, struct span args)
{
	imap_session_end_idle(p->session, p->now);
}

static void act_tls(struct play *p, struct span args)
{
	p->calling = false;
	imap_session_tls_done(p->session, &p->binding, p->now);
}

/* Time passes, milliseconds; then the session is asked to look at it. */
static void act_tick(struct play *p, struct span args)
{
	uint64_t step = 0;

	if (text_parse_number(args, 1u << 30, &step))
		p->now += step;
	p->calling = false;
	imap_session_tick(p->session, p->now);
}

static void act_token(struct play *p, struct span args)
{
	char token[128];

	snprintf(token, sizeof(token), "%.*s", (int)args.n, args.p);
	p->calling = false;
	imap_session_token(p->session, token, p->now);
}

static void act_logout(struct play *p, struct span args)
{
	imap_session_logout(p->session);
}

static void act_select(struct play *p, struct span args)
{
	submit(p, args, false, true);
}

static void act_fail(struct play *p, struct span args)
{
	p->calling = false;
	imap_session_fail(p->session, ERR_NET, "the connection was lost");
}

static void act_show(struct play *p, struct span args)
{
	struct imap_session *s = p->session;

	CHECK(buf_printf(&p->script->got, "=> exists %" PRIu32 ", pending %u%s%s\n",
		      imap_session_exists(s), pending(p),
		      imap_session_enabled(s, IMAP_CAP_QRESYNC) ? ", QRESYNC" : "",
		      imap_session_enabled(s, IMAP_CAP_UTF8_ACCEPT) ? ", UTF8=ACCEPT" : "") == 0);
}

static const struct {
	struct span name;
	void (*act)(struct play *p, struct span args);
} actions[] = {
	{{"submit", 6}, act_submit},
	{{"upload", 6}, act_upload},
	{{"take", 4}, act_take},
	{{"ready", 5}, act_ready},
	{{"taken", 5}, act_taken},
	{{"held", 4}, act_held},
	{{"idle", 4}, act_idle},
	{{"end-idle", 8}, act_end_idle},
	{{"tls", 3}, act_tls},
	{{"token", 5}, act_token},
	{{"tick", 4}, act_tick},
	{{"logout", 6}, act_logout},
	{{"select", 6}, act_select},
	{{"fail", 4}, act_fail},
	{{"show", 4}, act_show},
};

static bool act(struct play *p, struct span line)
{
	const char *space = memchr(line.p, ' ', line.n);
	size_t n = space ? (size_t)(space - line.p) : line.n;
	struct span args = {line.p + n, line.n - n};

	if (args.n > 0)
		args = (struct span){args.p + 1, args.n - 1};
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (!span_equal((struct span){line.p, n}, actions[i].name))
			continue;
		p->calling = true;
		actions[i].act(p, args);
		p->calling = false;
		close_line(p);
		return true;
	}
	return false;
}

/* --- the server's octets --- */

/* A block of its own, so that AddressSanitizer sees an octet too many; when there is no memory for
 * it, which a test may want, where it lies. */
static void feed_part(struct play *p, struct span part)
{
	char *copy = malloc(part.n);

	if (copy)
		memcpy(copy, part.p, part.n);
	p->behind = 0;
	imap_session_feed(p->session, (struct span){copy ? copy : part.p, part.n}, p->now);
	free(copy);
}

static void flush(struct play *p)
{
	struct script *s = p->script;
	size_t at = 0, start = s->octets;

	if (s->block.len == 0)
		return;
	while (at < s->block.len && !p->closed) {
		size_t n = s->block.len - at < s->part ? s->block.len - at : s->part;
		if (s->cut > start + at && s->cut < start + at + n)
			n = s->cut - start - at;
		feed_part(p, (struct span){s->block.data + at, n});
		/* A stream that changed hands comes back as what it carries, here: itself. */
		at += n - p->behind;
	}
	s->octets += s->block.len;
	buf_clear(&s->block);
	close_line(p);
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

static bool starts_with(struct span *line, struct span prefix)
{
	if (line->n < prefix.n || memcmp(line->p, prefix.p, prefix.n) != 0)
		return false;
	*line = (struct span){line->p + prefix.n, line->n - prefix.n};
	return true;
}

static void take_text(struct script *s, struct span value, char *out)
{
	buf_clear(&s->block);
	unescape(&s->block, value);
	size_t n = s->block.len < SCRIPT_SECRET_MAX - 1 ? s->block.len : SCRIPT_SECRET_MAX - 1;
	if (n)
		memcpy(out, s->block.data, n);
	out[n] = '\0';
	buf_clear(&s->block);
}

static bool take_binding(struct play *p, struct span value)
{
	if (starts_with(&value, SPAN("tls-unique ")))
		p->binding.kind = BINDING_TLS_UNIQUE;
	else if (starts_with(&value, SPAN("tls-exporter ")))
		p->binding.kind = BINDING_TLS_EXPORTER;
	p->binding.n = value.n < BINDING_MAX ? value.n : BINDING_MAX;
	memcpy(p->binding.octets, value.p, p->binding.n);
	return p->binding.kind != BINDING_NONE;
}

static bool take_option(struct play *p, struct span line)
{
	if (starts_with(&line, SPAN("user: ")))
		take_text(p->script, line, p->script->user);
	else if (starts_with(&line, SPAN("password: ")))
		take_text(p->script, line, p->script->password);
	else if (starts_with(&line, SPAN("authzid: "))) {
		take_text(p->script, line, p->script->authzid);
		p->options.login.authzid = p->script->authzid;
	} else if (starts_with(&line, SPAN("auth: ")))
		p->options.login.only = imap_mechanism_find(line);
	else if (starts_with(&line, SPAN("binding: ")))
		return take_binding(p, line);
	else if (span_equal(line, SPAN("certificate")))
		p->options.login.certificate = true;
	else if (span_equal(line, SPAN("token")))
		p->options.login.token = true;
	else if (span_equal(line, SPAN("no-password")))
		p->options.login.password = NULL;
	else if (starts_with(&line, SPAN("timeout: ")))
		return text_parse_number(line, UINT32_MAX, &p->options.timeout);
	else if (span_equal(line, SPAN("starttls")))
		p->options.starttls = true;
	else if (span_equal(line, SPAN("tls")))
		p->options.tls = true;
	else if (span_equal(line, SPAN("one-at-a-time")))
		p->pace.one_at_a_time = true;
	else if (span_equal(line, SPAN("done-alone")))
		p->pace.done_alone = true;
	else if (span_equal(line, SPAN("compress")))
		p->compress = true;
	else if (starts_with(&line, SPAN("room: ")))
		return text_parse_number(line, UINT32_MAX, &p->room);
	else if (starts_with(&line, SPAN("source: ")))
		return text_parse_number(line, UINT32_MAX, &p->ready);
	else
		return false;
	return true;
}

static void expect(struct play *p, struct span line)
{
	struct script *s = p->script;

	put(&s->expected, line);
	put(&s->expected, SPAN("\n"));
	CHECK(buf_append(&s->numbers, &p->number, sizeof(p->number)) == 0);
}

/* Before what the server says and what the owner does, in both texts: what comes of it must not
 * have come before. */
static void mark(struct play *p)
{
	expect(p, SPAN("--"));
	put(&p->script->got, SPAN("--\n"));
}

static bool play_line(struct play *p, struct span line, char *last)
{
	struct script *s = p->script;
	struct span rest = line;

	if (starts_with(&rest, SPAN("S: "))) {
		if (*last != 'S')
			mark(p);
		*last = 'S';
		unescape(&s->block, rest);
		put(&s->block, SPAN("\r\n"));
		return true;
	}
	if (line.n == 0 || line.p[0] == '#')
		return true;
	flush(p);
	char before = *last;
	*last = line.p[0];
	if (starts_with(&rest, SPAN("! "))) {
		if (before != '!')
			mark(p);
		/* The owner is told no more of a session that is closed. */
		return p->closed || act(p, rest);
	}
	expect(p, line);
	return starts_with(&rest, SPAN("C: ")) || starts_with(&rest, SPAN("=> "));
}

static struct span play_head(struct play *p)
{
	struct span text = p->script->text, rest = text, line;

	while (take_line(&rest, &line) &&
		(line.n == 0 || line.p[0] == '#' || take_option(p, line))) {
		p->number++;
		text = rest;
	}
	return text;
}

static void play_lines(struct play *p, struct span text)
{
	char last = '\0';
	struct span line;

	while (take_line(&text, &line)) {
		p->number++;
		if (!play_line(p, line, &last) && p->script->wrong_line == 0)
			p->script->wrong_line = p->number;
	}
	flush(p);
}

static void end(struct play *p)
{
	/* What waits for the next chance to be told has it now. */
	if (!p->closed)
		imap_session_tick(p->session, p->now);
	close_line(p);
	p->over = true;
	imap_session_fail(p->session, ERR_CANCELED, "the end");
	CHECK(p->closed);
	imap_session_destroy(p->session);
	for (unsigned i = 0; i < p->count; i++)
		imap_command_finish(&p->commands[i]);
}

void script_play(struct script *s, size_t part, size_t cut)
{
	static struct play p;

	p = (struct play){.script = s};
	p.room = p.ready = UINT32_MAX;
	p.options = (struct imap_session_options){.name = "test",
		.host = "mail.example",
		.port = 993,
		.login = {.user = s->user, .password = s->password},
		.timeout = 60000,
		.pace = &p.pace};
	current = &p;
	snprintf(s->user, sizeof(s->user), "joe");
	snprintf(s->password, sizeof(s->password), "s3cretW0rd");
	s->part = part;
	s->cut = cut;
	s->octets = 0;
	s->wrong_line = 0;
	buf_clear(&s->expected);
	buf_clear(&s->got);
	buf_clear(&s->numbers);
	buf_clear(&s->block);
	struct span text = play_head(&p);
	p.session = imap_session_create(&p.options, &events, &p, p.now);
	if (!p.session) {
		put(&s->got, SPAN("out of memory\n"));
		return;
	}
	play_lines(&p, text);
	end(&p);
}

int script_line(const struct script *s, size_t n)
{
	size_t count = s->numbers.len / sizeof(int);
	int number = 0;

	if (count > 0)
		memcpy(&number, s->numbers.data + (n < count ? n : count - 1) * sizeof(int),
			sizeof(int));
	return number;
}

void script_init(struct script *s, struct span text)
{
	*s = (struct script){.text = text};
	buf_init(&s->expected, TEXT_MAX);
	buf_init(&s->got, TEXT_MAX);
	buf_init(&s->numbers, TEXT_MAX);
	buf_init(&s->block, TEXT_MAX);
	CHECK(buf_reserve(&s->expected, TEXT_USUAL) && buf_reserve(&s->got, TEXT_USUAL) &&
		buf_reserve(&s->numbers, TEXT_USUAL) && buf_reserve(&s->block, TEXT_USUAL));
}

void script_finish(struct script *s)
{
	buf_finish(&s->expected);
	buf_finish(&s->got);
	buf_finish(&s->numbers);
	buf_finish(&s->block);
}
