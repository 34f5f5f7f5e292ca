/* SPDX-License-Identifier: MIT */
/* What each kind of word does with its value. */
#include "app/options/private.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/text.h"
#include "app/options/words.h"

enum {
	SUFFIX_MAX = 64,
	SECONDS_MAX = 3600,
	CONNECTIONS_MAX = 16,
};

static const uint64_t cache_size_min = UINT64_C(1) << 20;

static void replace(char **to, const char *value)
{
	free(*to);
	*to = mem_strdup(value);
}

/* --- one function for each kind of option --- */

int options_set_ignored(
	struct options_parser *p, const struct options_rule *rule, const char *value)
{
	return 0;
}

int options_add_mount_option(struct options_parser *p, const char *name, const char *value)
{
	int err = p->mount.len ? buf_append_char(&p->mount, ',') : 0;

	if (err == 0)
		err = buf_append_span(&p->mount, span_of(name));
	for (; err == 0 && value && *value; value++) {
		if (*value == ',' || *value == '\\')
			err = buf_append_char(&p->mount, '\\');
		if (err == 0)
			err = buf_append_char(&p->mount, *value);
	}
	return err < 0 ? options_fail(p, "the options are too long") : 0;
}

int options_set_mount(struct options_parser *p, const struct options_rule *rule, const char *value)
{
	return options_add_mount_option(p, rule->name, NULL);
}

int options_set_flag(struct options_parser *p, const struct options_rule *rule, const char *value)
{
	struct options *o = p->o;
	const struct {
		const char *name;
		bool *to, value;
	} flags[] = {{"ro", &o->ro, true}, {"rw", &o->ro, false}, {"offline", &o->offline, true},
		{"subscribed", &o->subscribed, true}, {"seen", &o->seen, true},
		{"remount", &o->remount, true}, {"debug", &o->debug, true},
		{"debug", &o->foreground, true}};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (strcmp(flags[i].name, rule->name) == 0)
			*flags[i].to = flags[i].value;
	return 0;
}

/* What the kernel makes of the word is its own matter; here it is that changes are waited for. */
int options_set_sync(struct options_parser *p, const struct options_rule *rule, const char *value)
{
	p->sync = rule->name;
	p->o->sync = strcmp(rule->name, "async") != 0;
	return 0;
}

int options_set_allow(struct options_parser *p, const struct options_rule *rule, const char *value)
{
	if (!p->reading_account && p->allow_of_account)
		p->allow_root = p->allow_other = false;
	p->allow_of_account = p->reading_account;
	*(strcmp(rule->name, "allow_root") == 0 ? &p->allow_root : &p->allow_other) = true;
	if (p->allow_root && p->allow_other)
		return options_fail(p, "allow_other and allow_root exclude each other");
	return 0;
}

int options_set_permissions(
	struct options_parser *p, const struct options_rule *rule, const char *value)
{
	p->permissions = true;
	return 0;
}

/* Of the ways to a password the one that the command line names takes the place of the account's.
 */
static void supersede_secret(struct options_parser *p)
{
	char **const secrets[] = {&p->o->passfile, &p->o->passcmd, &p->o->netrc, &p->o->tokencmd};

	if (p->secret_of_account && !p->reading_account)
		for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
			free(*secrets[i]);
			*secrets[i] = NULL;
		}
	p->secret_of_account = p->reading_account;
}

/* Other filesystems have a word "cache" with yes and no. */
static bool is_switch(const char *value)
{
	static const char *const words[] = {
		"yes", "no", "true", "false", "on", "off", "none", "strict", "loose"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(value, words[i]) == 0)
			return true;
	return false;
}

int options_set_text(struct options_parser *p, const struct options_rule *rule, const char *value)
{
	const struct {
		const char *name;
		char **to;
	} texts[] = {{"passfile", &p->o->passfile}, {"netrc", &p->o->netrc},
		{"cafile", &p->o->cafile}, {"authzid", &p->o->authzid},
		{"certfile", &p->o->certfile}, {"keyfile", &p->o->keyfile},
		{"tls_priority", &p->o->tls_priority}, {"cache", &p->o->cache},
		{"statedir", &p->o->statedir}, {"trash", &p->o->trash}, {"fsname", &p->fsname},
		{"subtype", &p->subtype}, {"user", &p->user}, {"setuid", &p->o->setuid}};

	if (strcmp(rule->name, "cache") == 0 && is_switch(value))
		return options_fail(p,
			"cache= is a directory, not '%s' (./%s would be one): mail is always "
			"cached, and cache_size= says how much",
			value, value);
	if (strcmp(rule->name, "passfile") == 0 || strcmp(rule->name, "netrc") == 0)
		supersede_secret(p);
	if (strcmp(rule->name, "trash") == 0)
		p->trash_of_account = p->reading_account;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(texts[i].name, rule->name) == 0)
			replace(texts[i].to, value);
	return 0;
}

/* The first word that only a shell would understand. NULL: there is none. */
static const char *shell_word(char *const *words)
{
	static const char *const signs[] = {"|", "||", "&", "&&", ";", ">", ">>", "<", "<<<", "2>",
		"2>/dev/null", ">/dev/null"};

	for (; *words; words++)
		for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
			if (strcmp(*words, signs[i]) == 0)
				return signs[i];
	return NULL;
}

int options_set_command(
	struct options_parser *p, const struct options_rule *rule, const char *value)
{
	const char *reason;
	char **words;

	if (words_split(value, &words, &reason) < 0)
		return options_fail(p, "%s= is no command: %s", rule->name, reason);
	const char *sign = shell_word(words);
	words_free(words);
	if (sign)
		return options_fail(p,
			"%s= is not run by a shell, to which the '%s' in it would belong; write "
			"%s=sh -c 'COMMAND'",
			rule->name, sign, rule->name);
	supersede_secret(p);
	replace(rule->name[0] == 't' ? &p->o->tokencmd : &p->o->passcmd, value);
	return 0;
}

int options_set_auth(struct options_parser *p, const struct options_rule *rule, const char *value)
{
	struct buf names;

	p->o->auth = imap_mechanism_find(span_of(value));
	if (p->o->auth != IMAP_AUTH_ANY)
		return 0;
	buf_init(&names, 512);
	for (int m = IMAP_AUTH_ANY + 1; m < IMAP_MECHANISMS; m++)
		buf_printf(&names, "%s%s", names.len ? ", " : "",
			imap_mechanism_name((enum imap_mechanism)m));
	options_fail(p, "auth= is one of %s, not '%s'", buf_cstr(&names), value);
	buf_finish(&names);
	return ERR_INVALID;
}

int options_set_tls(struct options_parser *p, const struct options_rule *rule, const char *value)
{
	static const char *const modes[] = {[SOURCE_TLS_IMPLICIT] = "implicit",
		[SOURCE_TLS_STARTTLS] = "starttls",
		[SOURCE_TLS_NONE] = "none"};

	for (int i = SOURCE_TLS_IMPLICIT; i <= SOURCE_TLS_NONE; i++) {
		if (strcmp(value, modes[i]) != 0)
			continue;
		if (p->has_tls && !p->tls_of_account && p->tls != (enum source_tls)i)
			return options_fail(p, "tls=%s contradicts tls=%s", value, modes[p->tls]);
		p->tls = (enum source_tls)i;
		p->has_tls = true;
		p->tls_of_account = p->reading_account;
		return 0;
	}
	return options_fail(p, "tls= is implicit, starttls or none, not '%s'", value);
}

/* Two digits an octet, with colons between or without. */
int options_set_fingerprint(
	struct options_parser *p, const struct options_rule *rule, const char *value)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	size_t n = 0;

	for (const char *c = value; *c; n++, c += 2) {
		c += n > 0 && *c == ':';
		const char *high = *c ? strchr(digits, c[0]) : NULL;
		const char *low = high && c[1] ? strchr(digits, c[1]) : NULL;
		if (!low || n == sizeof(p->o->fingerprint)) {
			n = 0;
			break;
		}
		p->o->fingerprint[n] = (unsigned char)((high - digits) % 16 << 4 |
						       (low - digits) % 16);
	}
	if (n != sizeof(p->o->fingerprint))
		return options_fail(p,
			"fingerprint= is the SHA-256 of the server's certificate, 64 hexadecimal "
			"digits, with colons between each two or without, not '%.100s'",
			value);
	p->o->has_fingerprint = true;
	return 0;
}

/* Words of which one is taken; an index of an enum that begins with 0. */
struct choice {
	const char *name;
	const char *words[4];
	const char *text; /* the words, as they are told */
};

static void take_choice(struct options_parser *p, const char *name, int chosen)
{
	struct options *o = p->o;

	if (strcmp(name, "compress") == 0)
		o->compress = (enum options_compress)chosen;
	else if (strcmp(name, "sizes") == 0)
		o->sizes = (enum options_sizes)chosen;
	else if (strcmp(name, "expunge") == 0)
		o->expunge_force = chosen == 1;
	else if (strcmp(name, "views") == 0)
		o->list_views = chosen == 1;
	else if (strcmp(name, "layout") == 0)
		o->layout = (enum options_layout)chosen;
	else
		o->delete = (enum options_delete)chosen;
}

/* The account's trash= goes with the account's delete=. */
static void supersede_trash(struct options_parser *p)
{
	if (p->reading_account || !p->trash_of_account || p->o->delete == OPTIONS_DELETE_TRASH)
		return;
	free(p->o->trash);
	p->o->trash = NULL;
}

int options_set_choice(struct options_parser *p, const struct options_rule *rule, const char *value)
{
	static const struct choice choices[] = {
		{"compress",
			{[COMPRESS_AUTO] = "auto", [COMPRESS_ON] = "on", [COMPRESS_OFF] = "off"},
			"auto, on or off"},
		{"sizes",
			{[OPTIONS_SIZES_AUTO] = "auto",
				[OPTIONS_SIZES_TRUST] = "trust",
				[OPTIONS_SIZES_VERIFY] = "verify"},
			"auto, trust or verify"},
		{"expunge", {"safe", "force"}, "safe or force"},
		{"views", {"hide", "list"}, "hide or list"},
		{"layout",
			{[OPTIONS_LAYOUT_PLAIN] = "plain",
				[OPTIONS_LAYOUT_MAILDIR] = "maildir",
				[OPTIONS_LAYOUT_NAMED] = "named"},
			"plain, maildir or named"},
		{"delete",
			{[OPTIONS_DELETE_EXPUNGE] = "expunge",
				[OPTIONS_DELETE_TRASH] = "trash",
				[OPTIONS_DELETE_NEVER] = "never"},
			"expunge, trash or never"},
	};
	const struct choice *c = choices;

	while (strcmp(c->name, rule->name) != 0)
		c++;
	for (int i = 0; c->words[i]; i++) {
		if (strcmp(value, c->words[i]) != 0)
			continue;
		take_choice(p, c->name, i);
		supersede_trash(p);
		return 0;
	}
	return options_fail(p, "%s= is %s, not '%s'", c->name, c->text, value);
}

/* Numbers from 1 on. */
int options_set_count(struct options_parser *p, const struct options_rule *rule, const char *value)
{
	const struct {
		const char *name, *of;
		unsigned *to, max;
	} counts[] = {{"connections", "", &p->o->connections, CONNECTIONS_MAX},
		{"timeout", " of seconds", &p->o->timeout, SECONDS_MAX},
		{"refresh", " of seconds", &p->o->refresh, SECONDS_MAX},
		{"port", "", &p->port, UINT16_MAX}};
	uint64_t number;
	size_t i = 0;

	while (strcmp(counts[i].name, rule->name) != 0)
		i++;
	if (!text_parse_number(span_of(value), counts[i].max, &number) || number == 0)
		return options_fail(p, "%s= is a number%s from 1 to %u, not '%s'", rule->name,
			counts[i].of, counts[i].max, value);
	*counts[i].to = (unsigned)number;
	return 0;
}

int options_set_size(struct options_parser *p, const struct options_rule *rule, const char *value)
{
	const struct {
		const char *name, *what, *least;
		uint64_t *to, min;
	} sizes[] = {{"cache_size", "", "1M", &p->o->cache_size, cache_size_min},
		{"bwlimit", " a second", "1k", &p->o->bwlimit, 1024},
		{"daylimit", " a day", "1M", &p->o->daylimit, 1 << 20}};
	uint64_t number;
	size_t i = 0;

	while (strcmp(sizes[i].name, rule->name) != 0)
		i++;
	if (!size_parse(span_of(value), &number) || number < sizes[i].min)
		return options_fail(p,
			"%s= is a number of bytes%s, of at least %s, with k, M or G behind it, "
			"not '%s'",
			sizes[i].name, sizes[i].what, sizes[i].least, value);
	*sizes[i].to = number;
	return 0;
}

/* The highest one means "unchanged" to chown and is nobody's. */
int options_set_id(struct options_parser *p, const struct options_rule *rule, const char *value)
{
	uint64_t id;

	if (!text_parse_number(span_of(value), UINT32_MAX - 1, &id))
		return options_fail(
			p, "%s= is a number, not '%s' (`id` shows yours)", rule->name, value);
	if (strcmp(rule->name, "uid") == 0) {
		p->o->uid = (uid_t)id;
		p->o->has_uid = true;
	} else {
		p->o->gid = (gid_t)id;
		p->o->has_gid = true;
	}
	return 0;
}

int options_set_mask(struct options_parser *p, const struct options_rule *rule, const char *value)
{
	unsigned mask = 0;
	size_t n = strlen(value);

	if (n > 4 || strspn(value, "01234567") != n)
		mask = 01000;
	for (const char *c = value; *c && mask <= 0777; c++)
		mask = mask * 8 + (unsigned)(*c - '0');
	if (mask > 0777)
		return options_fail(p, "%s= is octal, from 0 to 0777, not '%s'", rule->name, value);
	if (rule->name[0] == 'u') {
		p->umask = mask;
	} else if (rule->name[0] == 'f') {
		p->o->fmask = mask;
		p->has_fmask = true;
	} else {
		p->o->dmask = mask;
		p->has_dmask = true;
	}
	return 0;
}

int options_set_suffix(struct options_parser *p, const struct options_rule *rule, const char *value)
{
	char printable[SUFFIX_MAX + 4];
	struct span suffix = span_of(value);
	bool plain = suffix.n >= 2 && suffix.n <= SUFFIX_MAX && value[0] == '.' &&
		     !strchr(value, '/') && strspn(value + 1, "0123456789") < suffix.n - 1;

	/* Equal when there was nothing to replace and nothing to cut. */
	if (!plain || strcmp(text_printable(suffix, printable, sizeof(printable)), value) != 0)
		return options_fail(p,
			"suffix= is a dot and something that is not only digits, without a "
			"slash, as .eml, not '%.80s'",
			value);
	replace(&p->o->suffix, value);
	return 0;
}
