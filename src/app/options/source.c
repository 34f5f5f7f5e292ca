/* SPDX-License-Identifier: MIT */
/*
 * Both forms are first split into spans of the text, the parts are then decoded and checked each by
 * a function of its own.
 */
#include "app/options/source.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/span.h"
#include "base/text.h"

enum {
	PORT_PLAIN = 143,
	HOST_MAX = 253, /* of a DNS name */
	PART_MAX = 4096,
};

#define NO_PASSWORD                                                                                \
	"never put a password on the command line, others can see it there; use -o passfile=, "    \
	"-o passcmd= or the prompt"

struct parser {
	struct source *source;
	bool url;
	char *error;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static int fail(struct parser *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(p->error, p->size, format, args);
	va_end(args);
	return ERR_INVALID;
}

static bool find_octet(struct span s, char c, size_t *at)
{
	const char *found = s.n ? memchr(s.p, c, s.n) : NULL;

	if (found)
		*at = (size_t)(found - s.p);
	return found != NULL;
}

static bool find_last(struct span s, char c, size_t *at)
{
	const char *found = s.n ? memrchr(s.p, c, s.n) : NULL;

	if (found)
		*at = (size_t)(found - s.p);
	return found != NULL;
}

static struct span text_before(struct span s, size_t at)
{
	return (struct span){s.p, at};
}

static struct span from(struct span s, size_t at)
{
	return (struct span){s.p + at, s.n - at};
}

static int hex_value(char c)
{
	const char *digits = "0123456789abcdef0123456789ABCDEF";
	const char *found = c ? strchr(digits, c) : NULL;

	return found ? (int)((found - digits) % 16) : -1;
}

static int percent_decode(struct parser *p, struct span s, struct buf *out)
{
	while (s.n > 0) {
		char c = s.p[0];
		size_t n = 1;
		if (c == '%') {
			int high = s.n > 2 ? hex_value(s.p[1]) : -1;
			int low = s.n > 2 ? hex_value(s.p[2]) : -1;
			if (high < 0 || low < 0)
				return fail(p, "a %% in a URL needs two hex digits behind it; a "
					       "percent sign itself is %%25");
			c = (char)(high << 4 | low);
			n = 3;
		}
		if (buf_append_char(out, c) < 0)
			return fail(p, "SOURCE is too long");
		s = from(s, n);
	}
	return 0;
}

static bool is_text(struct span s)
{
	while (s.n > 0) {
		size_t n = text_utf8_sequence(s);
		unsigned char c = (unsigned char)s.p[0];
		if (n == 0 || (n == 1 && (c < 0x20 || c == 0x7f)))
			return false;
		s = from(s, n);
	}
	return true;
}

/* Decodes (in a URL), checks and copies one part. what: its name for the error. */
static int take_text(struct parser *p, struct span s, const char *what, char **out)
{
	struct buf text;

	buf_init(&text, PART_MAX);
	int err = p->url ? percent_decode(p, s, &text) : buf_append_span(&text, s);
	if (err == ERR_LIMIT)
		err = fail(p, "SOURCE is too long");
	if (err == 0 && !is_text(buf_span(&text)))
		err = fail(p, "the %s in SOURCE is not UTF-8, or has control characters", what);
	if (err == 0)
		*out = mem_copy(text.data, text.len);
	buf_finish(&text);
	return err;
}

static int take_user(struct parser *p, struct span user)
{
	size_t at;

	if (p->url && find_octet(user, ':', &at))
		return fail(p, NO_PASSWORD);
	if (p->url && find_octet(user, ';', &at)) {
		struct span mechanism = from(user, at);
		if (!span_equal_nocase(mechanism, SPAN(";AUTH=*")))
			return fail(p, "in the URL only ;AUTH=* may follow the user");
		user = text_before(user, at);
		if (user.n == 0)
			return 0;
	}
	if (user.n == 0)
		return fail(p, "the user before '@' is empty");
	return take_text(p, user, "user", &p->source->user);
}

/* An address may name its zone: fe80::1%eth0 (in a URL %25eth0). */
static bool is_ipv6(const char *host)
{
	char address[INET6_ADDRSTRLEN];
	struct in6_addr ignored;
	size_t n = strcspn(host, "%");

	if (n >= sizeof(address) || (host[n] == '%' && host[n + 1] == '\0'))
		return false;
	memcpy(address, host, n);
	address[n] = '\0';
	return inet_pton(AF_INET6, address, &ignored) == 1;
}

/* A name of other letters as the DNS and the certificate have it, xn-- (RFC 5891). NULL: it is none.
 */
static char *take_idn(struct source *source, const char *letters)
{
	gnutls_datum_t mapped;

	/* The mapping would leave out some of what else is ASCII. */
	for (const char *c = source->host; *c; c++)
		if (!(*c & 0x80) && !strchr(letters, *c))
			return NULL;
	if (gnutls_idna_map(source->host, (unsigned)strlen(source->host), &mapped, 0) < 0)
		return NULL;
	free(source->host);
	source->host = mem_copy(mapped.data, mapped.size);
	gnutls_free(mapped.data);
	return source->host;
}

static int take_host(struct parser *p, struct span host)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
	bool brackets = host.n >= 2 && host.p[0] == '[';

	if (brackets)
		host = text_before(from(host, 1), host.n - 2);
	if (host.n == 0)
		return fail(p, "the host in SOURCE is empty (an IPv6 address is written [::1])");
	int err = take_text(p, host, "host", &p->source->host);
	if (err < 0)
		return err;
	char *name = p->source->host;
	if (brackets)
		return is_ipv6(name) ? 0 : fail(p, "[%s] is not an IPv6 address", name);
	for (char *c = name; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	if (name[strspn(name, letters)] != '\0' && (name = take_idn(p->source, letters)) == NULL)
		return fail(p, "'%.80s' cannot be a host name", p->source->host);
	if (strlen(name) > HOST_MAX || name[strspn(name, letters)] != '\0' || name[0] == '-')
		return fail(p, "'%.80s' cannot be a host name", name);
	return 0;
}

static int take_port(struct parser *p, struct span port)
{
	uint64_t value;

	if (port.n == 0)
		return 0;
	if (!text_parse_number(port, UINT16_MAX, &value) || value == 0)
		return fail(p, "the port in the URL must be a number from 1 to 65535");
	p->source->port = (uint16_t)value;
	p->source->port_given = true;
	return 0;
}

/* A slash at the end is what completion in a shell, or habit, adds. */
static int take_mailbox(struct parser *p, struct span mailbox)
{
	while (mailbox.n > 0 && mailbox.p[mailbox.n - 1] == '/')
		mailbox.n--;
	if (mailbox.n == 0)
		return 0;
	return take_text(p, mailbox, "mailbox", &p->source->mailbox);
}

/* Where the host ends in what starts with it: behind the bracket of an address, or at a colon. */
static bool host_length(struct span s, size_t *n)
{
	if (s.n > 0 && s.p[0] == '[') {
		if (!find_octet(s, ']', n))
			return false;
		(*n)++;
		return *n == s.n || s.p[*n] == ':';
	}
	if (!find_octet(s, ':', n))
		*n = s.n;
	return true;
}

static int parse_authority(struct parser *p, struct span authority)
{
	size_t at, n;
	int err = 0;

	if (find_last(authority, '@', &at)) {
		err = take_user(p, text_before(authority, at));
		authority = from(authority, at + 1);
	}
	if (err < 0)
		return err;
	if (!host_length(authority, &n))
		return fail(p, "an IPv6 address in SOURCE is written [::1]");
	err = take_host(p, text_before(authority, n));
	if (err == 0 && n < authority.n)
		err = take_port(p, from(authority, n + 1));
	return err;
}

static int parse_url(struct parser *p, struct span rest)
{
	size_t n = 0, at;

	while (n < rest.n && !strchr("/?#", rest.p[n]))
		n++;
	struct span path = from(rest, n);
	int err = parse_authority(p, text_before(rest, n));
	if (err < 0 || path.n == 0)
		return err;
	if (path.p[0] != '/' || find_octet(path, '?', &at) || find_octet(path, '#', &at) ||
		find_octet(path, ';', &at))
		return fail(p, "the URL must end with its mailbox; there ';' is %%3B, '?' is %%3F "
			       "and '#' is %%23");
	return take_mailbox(p, from(path, 1));
}

/* The host of the first form: behind the last '@' before the first colon, or a bracket. */
static int split_plain(struct parser *p, struct span text, struct span *host)
{
	size_t colon, at = 0;

	if (text.p[0] == '[') {
		*host = text;
		return 0;
	}
	struct span head = find_octet(text, ':', &colon) ? text_before(text, colon) : text;
	if (!find_last(head, '@', &at)) {
		*host = text;
		return 0;
	}
	*host = from(text, at + 1);
	return take_user(p, text_before(text, at));
}

static int parse_plain(struct parser *p, struct span text)
{
	struct span host;
	size_t n, at;

	int err = split_plain(p, text, &host);
	if (err < 0)
		return err;
	if (!host_length(host, &n))
		return fail(p, "an IPv6 address in SOURCE is written [::1]");
	struct span mailbox = n < host.n ? from(host, n + 1) : text_before(host, 0);
	/* anna:secret@host would otherwise ask the host "anna" for a mailbox "secret@host". */
	if (find_octet(mailbox, '@', &at))
		return fail(p, "there is an '@' behind the colon of SOURCE. If a password stands "
			       "there: " NO_PASSWORD
			       ". If it belongs to the mailbox: write imaps://USER@HOST/MAILBOX, "
			       "with %%40 for it");
	err = take_host(p, text_before(host, n));
	/* Who writes this means the port, which is the one that is taken anyway. */
	if (err < 0 || span_equal(mailbox, SPAN("993")))
		return err;
	if (span_equal(mailbox, SPAN("143")))
		return fail(p, "behind the colon of SOURCE stands a mailbox; for port 143 write "
			       "imap://USER@HOST/, for a mailbox 143 imaps://USER@HOST/143");
	while (mailbox.n > 0 && mailbox.p[0] == '/')
		mailbox = from(mailbox, 1);
	return take_mailbox(p, mailbox);
}

static bool skip_prefix(struct span *s, struct span prefix)
{
	if (s->n < prefix.n || !span_equal_nocase(text_before(*s, prefix.n), prefix))
		return false;
	*s = from(*s, prefix.n);
	return true;
}

static uint16_t default_port(enum source_tls tls)
{
	return tls == SOURCE_TLS_IMPLICIT ? SOURCE_PORT_IMPLICIT : PORT_PLAIN;
}

int source_parse(const char *text, struct source *source, char *error, size_t size)
{
	struct parser p = {.source = source, .error = error, .size = size};
	struct span s = span_of(text);
	int err;

	*source = (struct source){.tls = SOURCE_TLS_IMPLICIT};
	p.url = source->tls_given = skip_prefix(&s, SPAN("imaps://"));
	if (!p.url && skip_prefix(&s, SPAN("imap://"))) {
		p.url = source->tls_given = true;
		source->tls = SOURCE_TLS_STARTTLS;
	}
	if (s.n == 0)
		err = fail(&p, "SOURCE names no host");
	else if (p.url)
		err = parse_url(&p, s);
	else if (strstr(text, "://"))
		err = fail(&p, "a URL as SOURCE starts with imaps:// or imap://");
	else
		err = parse_plain(&p, s);
	if (err < 0) {
		source_finish(source);
		return err;
	}
	if (!source->port_given)
		source->port = default_port(source->tls);
	return 0;
}

void source_finish(struct source *source)
{
	free(source->user);
	free(source->host);
	free(source->mailbox);
	*source = (struct source){.tls = SOURCE_TLS_IMPLICIT};
}

int source_set_tls(struct source *source, enum source_tls tls, char *error, size_t size)
{
	struct parser p = {.error = error, .size = size};
	bool implicit = tls == SOURCE_TLS_IMPLICIT;

	if (source->tls_given && implicit != (source->tls == SOURCE_TLS_IMPLICIT))
		return fail(&p, implicit ? "tls=implicit contradicts imap://, write imaps://"
					 : "tls= contradicts imaps://, write imap://");
	source->tls = tls;
	if (!source->port_given)
		source->port = default_port(tls);
	return 0;
}
