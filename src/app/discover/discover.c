/* SPDX-License-Identifier: MIT */
#include "app/discover/discover.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "app/accounts/presets.h"
#include "app/discover/known.h"
#include "app/discover/probe.h"
#include "app/login/prompt.h"

enum {
	PROBE_LIMIT = 5000, /* ms */
	URL_MAX = 16 << 10,
};

__attribute__((format(printf, 4, 5))) static int fail(
	int err, char *error, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, size, format, args);
	va_end(args);
	return err;
}

static int append_encoded(struct buf *out, const char *text, bool path)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._~";
	int err = 0;

	for (; err == 0 && *text; text++)
		err = strchr(plain, *text) || (path && *text == '/')
			      ? buf_append_char(out, *text)
			      : buf_printf(out, "%%%02X", (unsigned char)*text);
	return err;
}

/* The URL of the account at this server, without a mailbox. NULL: it would be too long. */
static char *make_url(const char *user, const char *host, unsigned port)
{
	struct buf url;

	buf_init(&url, URL_MAX);
	int err = buf_printf(&url, "imaps://");
	if (err == 0)
		err = append_encoded(&url, user, false);
	if (err == 0)
		err = buf_printf(
			&url, port == SOURCE_PORT_IMPLICIT ? "@%s/" : "@%s:%u/", host, port);
	char *made = err == 0 ? mem_copy(url.data, url.len) : NULL;
	buf_finish(&url);
	return made;
}

/* With the mailbox that the user named. */
static int add_mailbox(const struct options *o, char *url, char **source)
{
	struct buf text;

	buf_init(&text, URL_MAX);
	int err = buf_append_span(&text, span_of(url));
	if (err == 0 && o->source.mailbox)
		err = append_encoded(&text, o->source.mailbox, true);
	if (err == 0)
		*source = mem_copy(text.data, text.len);
	buf_finish(&text);
	free(url);
	return err;
}

/* --- what is known of the provider --- */

static void tell_preset(const struct preset *preset, const char *address)
{
	log_notice("%s: %s, %s; to log in: %s", address, preset->provider, preset->host,
		preset->login);
	if (preset->rm)
		log_notice("%s: rm %s", preset->provider, preset->rm);
	if (preset->limits)
		log_notice("%s: %s", preset->provider, preset->limits);
}

static char *url_of_preset(const struct options *o, const struct preset *preset)
{
	char *user = preset->local_part ? mem_strdup(o->source.user) : mem_strdup(o->account);
	char *url = make_url(user, preset->host, SOURCE_PORT_IMPLICIT);

	free(user);
	return url;
}

/* --- what the domain says --- */

static bool is_within(const char *host, const char *domain)
{
	size_t n = strlen(host), m = strlen(domain);

	return n >= m && strcmp(host + n - m, domain) == 0 && (n == m || host[n - m - 1] == '.');
}

static int confirm(const struct options *o, const struct net_srv *srv, char *error, size_t size)
{
	char *question = mem_printf("%s says that its mail is at %s, which is not below %s. Log "
				    "in there? [y/N] ",
		o->source.host, srv->host, o->source.host);
	bool yes = false;
	int err = prompt_yes(question, &yes, error, size);

	free(question);
	if (err == 0 && yes)
		return 0;
	return fail(ERR_CANCELED, error, size,
		"%s names %s for its mail, which is outside its domain and was not confirmed; to "
		"log in there write %s@%s as SOURCE",
		o->source.host, srv->host, o->account, srv->host);
}

static int take_srv(
	const struct options *o, const struct net_srv *srv, char **source, char *error, size_t size)
{
	bool within = is_within(srv->host, o->source.host);
	int err = within ? 0 : confirm(o, srv, error, size);

	if (err < 0)
		return err;
	char *url = make_url(o->account, srv->host, srv->port);
	if (!url)
		return 0;
	log_notice("%s: its server is %s port %u", o->account, srv->host, srv->port);
	known_add(o->account, url);
	return add_mailbox(o, url, source);
}

static int ask_domain(const struct options *o, char **source, char *error, size_t size)
{
	uint64_t limit = (uint64_t)o->timeout * 1000;
	struct probe probe;

	probe_host(o->source.host, o->source.port, limit < PROBE_LIMIT ? limit : PROBE_LIMIT, true,
		&probe);
	if (probe.answers || !probe.srv.found)
		return 0;
	if (probe.srv.none)
		return fail(ERR_NET, error, size,
			"%s says that it has no IMAP server (its SRV record of _imaps._tcp)",
			o->source.host);
	return take_srv(o, &probe.srv, source, error, size);
}

/* Where it was mounted before the host is the server. */
static bool was_mounted(const struct options *o)
{
	return access(o->cache, F_OK) == 0;
}

int discover_server(const struct options *o, char **source, char *error, size_t size)
{
	const struct preset *preset = preset_of_domain(o->source.host);
	char *url = NULL;

	*source = NULL;
	if (!o->is_address)
		return 0;
	if ((url = known_find(o->account)))
		return add_mailbox(o, url, source);
	if (preset && !preset->host)
		return fail(ERR_NET, error, size, "%s: %s", preset->provider, preset->login);
	if (preset && (url = url_of_preset(o, preset))) {
		tell_preset(preset, o->account);
		return add_mailbox(o, url, source);
	}
	return o->offline || was_mounted(o) ? 0 : ask_domain(o, source, error, size);
}

/* --- hints --- */

char *discover_hint_connect(const struct options *o)
{
	char *known = known_find(o->source.user);
	char *hint;

	if (known) {
		char *path = known_path();
		hint = mem_printf(" (this server was found before; to look again remove its line "
				  "from %s)",
			path);
		free(path);
	} else if (o->is_address) {
		hint = mem_printf("; if %s is the domain of your address and not your mail server, "
				  "ask your provider for its name and write %s@THAT.NAME",
			o->source.host, o->account);
	} else if (o->bare_name) {
		hint = mem_printf("; there is no account '%s' in ~/.config/imapfs/config either "
				  "(imapfs --list)",
			o->source.host);
	} else {
		hint = discover_hint_mailbox(o);
	}
	free(known);
	return hint;
}

char *discover_hint_login(const struct options *o)
{
	const struct preset *preset = preset_of_host(o->source.host);

	return preset ? mem_printf(" (%s: %s)", preset->provider, preset->login) : mem_strdup("");
}

/* host:1993 names a mailbox, not a port. */
char *discover_hint_mailbox(const struct options *o)
{
	const char *name = o->source.mailbox;

	if (!name || o->source.tls_given || name[strspn(name, "0123456789")] != '\0')
		return mem_strdup("");
	return mem_printf("; if %s is a port write imaps://%s@%s:%s/", name, o->source.user,
		o->source.host, name);
}
