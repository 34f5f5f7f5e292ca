/*
 * The words of -o: a table of names says what each one does. What depends on several of them is
 * settled in options.c.
 *
 * fuse_opt is not used: it stops at an unknown word without a chance to say which one was meant,
 * and takes "timeout=10x" for 10.
 */
#include "options_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "words.h"

enum {
	SUFFIX_MAX = 64,
	SECONDS_MAX = 3600,
	CONNECTIONS_MAX = 16,
};

static const uint64_t cache_size_min = UINT64_C(1) << 20;

struct rule {
	const char *name;
	const char *value; /* what its value is called; NULL: it takes none */
	int (*set)(struct options_parser *p, const struct rule *rule, const char *value);
};

static void replace(char **to, const char *value)
{
	free(*to);
	*to = mem_strdup(value);
}

/* --- one function for each kind of option --- */

static int set_ignored(struct options_parser *p, const struct rule *rule, const char *value)
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

static int set_mount(struct options_parser *p, const struct rule *rule, const char *value)
{
	return options_add_mount_option(p, rule->name, NULL);
}

static int set_allow(struct options_parser *p, const struct rule *rule, const char *value)
{
	bool *flag = strcmp(rule->name, "allow_root") == 0 ? &p->allow_root : &p->allow_other;

	if (*flag)
		return 0;
	*flag = true;
	if (p->allow_root && p->allow_other)
		return options_fail(p, "allow_other and allow_root exclude each other");
	return options_add_mount_option(p, rule->name, NULL);
}

static int set_ro(struct options_parser *p, const struct rule *rule, const char *value)
{
	p->o->ro = strcmp(rule->name, "ro") == 0;
	return 0;
}

static int set_offline(struct options_parser *p, const struct rule *rule, const char *value)
{
	p->o->offline = p->o->ro = true;
	return 0;
}

static int set_subscribed(struct options_parser *p, const struct rule *rule, const char *value)
{
	p->o->subscribed = true;
	return 0;
}

static int set_text(struct options_parser *p, const struct rule *rule, const char *value)
{
	const struct {
		const char *name;
		char **to;
	} texts[] = {{"passfile", &p->o->passfile}, {"netrc", &p->o->netrc},
		{"cafile", &p->o->cafile}, {"authzid", &p->o->authzid},
		{"certfile", &p->o->certfile}, {"keyfile", &p->o->keyfile},
		{"tls_priority", &p->o->tls_priority}, {"cache", &p->o->cache},
		{"fsname", &p->fsname}, {"subtype", &p->subtype}, {"user", &p->user}};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(texts[i].name, rule->name) == 0)
			replace(texts[i].to, value);
	return 0;
}

static int set_command(struct options_parser *p, const struct rule *rule, const char *value)
{
	const char *reason;
	char **words;

	if (words_split(value, &words, &reason) < 0)
		return options_fail(p, "%s= is no command: %s", rule->name, reason);
	words_free(words);
	replace(rule->name[0] == 't' ? &p->o->tokencmd : &p->o->passcmd, value);
	return 0;
}

static int set_auth(struct options_parser *p, const struct rule *rule, const char *value)
{
	struct buf names;

	p->o->auth = imap_mechanism_find(span_of(value));
	if (p->o->auth != IMAP_AUTH_ANY)
		return 0;
	buf_init(&names, 512);
	for (int m = IMAP_AUTH_ANY + 1; m < IMAP_MECHANISMS; m++)
		buf_printf(&names, "%s%s", names.len ? ", " : "",
			imap_mechanism_name((enum imap_mechanism)m));
	options_fail(p, "auth= is one of %s", buf_cstr(&names));
	buf_finish(&names);
	return ERR_INVALID;
}

static int set_tls(struct options_parser *p, const struct rule *rule, const char *value)
{
	static const char *const modes[] = {[SOURCE_TLS_IMPLICIT] = "implicit",
		[SOURCE_TLS_STARTTLS] = "starttls",
		[SOURCE_TLS_NONE] = "none"};

	for (int i = SOURCE_TLS_IMPLICIT; i <= SOURCE_TLS_NONE; i++) {
		if (strcmp(value, modes[i]) != 0)
			continue;
		if (p->has_tls && p->tls != (enum source_tls)i)
			return options_fail(p, "tls=%s contradicts tls=%s", value, modes[p->tls]);
		p->tls = (enum source_tls)i;
		p->has_tls = true;
		return 0;
	}
	return options_fail(p, "tls= is implicit, starttls or none, not '%s'", value);
}

static int set_compress(struct options_parser *p, const struct rule *rule, const char *value)
{
	static const char *const modes[] = {
		[COMPRESS_AUTO] = "auto", [COMPRESS_ON] = "on", [COMPRESS_OFF] = "off"};

	for (int i = COMPRESS_AUTO; i <= COMPRESS_OFF; i++)
		if (strcmp(value, modes[i]) == 0) {
			p->o->compress = (enum options_compress)i;
			return 0;
		}
	return options_fail(p, "compress= is auto, on or off, not '%s'", value);
}

/* Two digits an octet, with colons between or without. */
static int set_fingerprint(struct options_parser *p, const struct rule *rule, const char *value)
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
			"digits, with colons between each two or without");
	p->o->has_fingerprint = true;
	return 0;
}

static int set_sizes(struct options_parser *p, const struct rule *rule, const char *value)
{
	static const char *const modes[] = {[OPTIONS_SIZES_AUTO] = "auto",
		[OPTIONS_SIZES_TRUST] = "trust",
		[OPTIONS_SIZES_VERIFY] = "verify"};

	for (int i = OPTIONS_SIZES_AUTO; i <= OPTIONS_SIZES_VERIFY; i++) {
		if (strcmp(value, modes[i]) == 0) {
			p->o->sizes = (enum options_sizes)i;
			return 0;
		}
	}
	return options_fail(p, "sizes= is auto, trust or verify, not '%s'", value);
}

static int set_expunge(struct options_parser *p, const struct rule *rule, const char *value)
{
	p->o->expunge_force = strcmp(value, "force") == 0;
	if (p->o->expunge_force || strcmp(value, "safe") == 0)
		return 0;
	return options_fail(p, "expunge= is safe or force, not '%s'", value);
}

static int set_number(struct options_parser *p, const struct rule *rule, const char *value)
{
	bool connections = strcmp(rule->name, "connections") == 0;
	unsigned max = connections ? CONNECTIONS_MAX : SECONDS_MAX;
	uint64_t number;

	if (!text_parse_number(span_of(value), max, &number) || number == 0)
		return options_fail(p, "%s= is a number%s from 1 to %u, not '%s'", rule->name,
			connections ? "" : " of seconds", max, value);
	if (connections)
		p->o->connections = (unsigned)number;
	else if (strcmp(rule->name, "timeout") == 0)
		p->o->timeout = (unsigned)number;
	else
		p->o->refresh = (unsigned)number;
	return 0;
}

static int set_size(struct options_parser *p, const struct rule *rule, const char *value)
{
	static const char units[] = "KMG";
	struct span digits = span_of(value);
	const char *unit = digits.n > 0 ? strchr(units, digits.p[digits.n - 1]) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
	uint64_t number;

	if (unit)
		digits.n--;
	if (!text_parse_number(digits, (uint64_t)INT64_MAX >> shift, &number) ||
		number << shift < cache_size_min)
		return options_fail(p,
			"cache_size= is a number of octets, of at least 1M, with K, M or G "
			"behind it, not '%s'",
			value);
	p->o->cache_size = number << shift;
	return 0;
}

/* The highest one means "unchanged" to chown and is nobody's. */
static int set_id(struct options_parser *p, const struct rule *rule, const char *value)
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

static int set_mask(struct options_parser *p, const struct rule *rule, const char *value)
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

static int set_suffix(struct options_parser *p, const struct rule *rule, const char *value)
{
	char printable[SUFFIX_MAX + 4];
	struct span suffix = span_of(value);
	bool plain = suffix.n >= 2 && suffix.n <= SUFFIX_MAX && value[0] == '.' &&
		     !strchr(value, '/') && strspn(value + 1, "0123456789") < suffix.n - 1;

	/* Equal when there was nothing to replace and nothing to cut. */
	if (!plain || strcmp(text_printable(suffix, printable, sizeof(printable)), value) != 0)
		return options_fail(p,
			"suffix= is a dot and something that is not only digits, without a "
			"slash, as "
			".eml");
	replace(&p->o->suffix, value);
	return 0;
}

static const struct rule rules[] = {
	{"ro", NULL, set_ro},
	{"rw", NULL, set_ro},
	{"offline", NULL, set_offline},
	{"subscribed", NULL, set_subscribed},
	{"passfile", "FILE", set_text},
	{"passcmd", "COMMAND", set_command},
	{"netrc", "FILE", set_text},
	{"tokencmd", "COMMAND", set_command},
	{"auth", "MECHANISM", set_auth},
	{"authzid", "NAME", set_text},
	{"certfile", "FILE", set_text},
	{"keyfile", "FILE", set_text},
	{"cafile", "FILE", set_text},
	{"tls", "MODE", set_tls},
	{"tls_priority", "STRING", set_text},
	{"fingerprint", "SHA256", set_fingerprint},
	{"cache", "DIR", set_text},
	{"cache_size", "SIZE", set_size},
	{"timeout", "SECONDS", set_number},
	{"refresh", "SECONDS", set_number},
	{"connections", "N", set_number},
	{"compress", "MODE", set_compress},
	{"sizes", "MODE", set_sizes},
	{"expunge", "MODE", set_expunge},
	{"suffix", ".EXT", set_suffix},
	{"uid", "N", set_id},
	{"gid", "N", set_id},
	{"umask", "OCTAL", set_mask},
	{"fmask", "OCTAL", set_mask},
	{"dmask", "OCTAL", set_mask},
	{"allow_other", NULL, set_allow},
	{"allow_root", NULL, set_allow},
	{"default_permissions", NULL, set_ignored}, /* always so */
	{"auto_unmount", NULL, set_ignored},        /* always so: see guardian.h */
	{"fsname", "NAME", set_text},
	{"subtype", "NAME", set_text},
	/* mount(8) adds the name of who calls it. */
	{"user", "NAME", set_text},
	/* What libfuse passes on to mount(2). */
	{"exec", NULL, set_mount},
	{"noexec", NULL, set_mount},
	{"nosuid", NULL, set_mount},
	{"nodev", NULL, set_mount},
	{"atime", NULL, set_mount},
	{"noatime", NULL, set_mount},
	{"sync", NULL, set_mount},
	{"async", NULL, set_mount},
	/* Words of fstab for others. mount.fuse3 always adds suid and dev: there are no such files
	 * here, and nosuid and nodev stay. */
	{"suid", NULL, set_ignored},
	{"dev", NULL, set_ignored},
	{"relatime", NULL, set_ignored},
	{"defaults", NULL, set_ignored},
	{"auto", NULL, set_ignored},
	{"noauto", NULL, set_ignored},
	{"nofail", NULL, set_ignored},
	{"_netdev", NULL, set_ignored},
	{"user", NULL, set_ignored},
	{"users", NULL, set_ignored},
	{"nouser", NULL, set_ignored},
	{"owner", NULL, set_ignored},
	{"group", NULL, set_ignored},
	{"comment", "TEXT", set_ignored},
};

enum { RULES = sizeof(rules) / sizeof(rules[0]) };

/* --- unknown names --- */

enum { HINT_MAX = 32 };

/* Levenshtein's distance; both at most HINT_MAX octets. */
static unsigned distance(struct span a, struct span b)
{
	unsigned row[HINT_MAX + 1];

	for (unsigned j = 0; j <= b.n; j++)
		row[j] = j;
	for (size_t i = 0; i < a.n; i++) {
		unsigned diagonal = row[0]++;
		for (size_t j = 0; j < b.n; j++) {
			unsigned best = diagonal + (a.p[i] != b.p[j]);
			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (diagonal + 1 < best)
				best = diagonal + 1;
			row[j + 1] = best;
		}
	}
	return row[b.n];
}

/* The rule that was probably meant: at most a third of its letters differ. NULL: none is near. */
static const struct rule *nearest(struct span name)
{
	const struct rule *best = NULL;
	unsigned least = HINT_MAX;

	if (name.n > HINT_MAX)
		return NULL;
	for (size_t i = 0; i < RULES; i++) {
		struct span known = span_of(rules[i].name);
		unsigned d = distance(name, known);
		if (d < least && 3 * d <= known.n + 1) {
			best = &rules[i];
			least = d;
		}
	}
	return best;
}

static bool is_password(struct span name)
{
	return span_equal_nocase(name, SPAN("password")) || span_equal_nocase(name, SPAN("pass")) ||
	       span_equal_nocase(name, SPAN("passwd"));
}

int options_fail_unknown(struct options_parser *p, const char *dashes, struct span name)
{
	const struct rule *hint = nearest(name);
	char printable[64];

	text_printable(name, printable, sizeof(printable));
	if (is_password(name))
		return options_fail(p,
			"there is no option '%s%s': a password never belongs on the command line; "
			"use passfile=, passcmd=, netrc= or the prompt",
			dashes, printable);
	if (!hint)
		return options_fail(
			p, "unknown option '%s%s' (imapfs -h lists them)", dashes, printable);
	return options_fail(p, "unknown option '%s%s' (did you mean %s%s%s?)", dashes, printable,
		*dashes ? "-o " : "", hint->name, hint->value ? "=" : "");
}

/* --- the words of -o --- */

static int set_option(struct options_parser *p, struct span name, const char *value)
{
	const struct rule *other = NULL;

	if (name.n > 2 && strncasecmp(name.p, "x-", 2) == 0)
		return 0;
	for (size_t i = 0; i < RULES; i++) {
		const struct rule *rule = &rules[i];
		if (!span_equal(name, span_of(rule->name)))
			continue;
		if (!rule->value == !value && (!value || *value))
			return rule->set(p, rule, value);
		other = rule;
	}
	if (!other)
		return options_fail_unknown(p, "", name);
	if (other->value)
		return options_fail(p, "option '%s' needs a value: %s=%s", other->name, other->name,
			other->value);
	return options_fail(p, "option '%s' takes no value", other->name);
}

/* Copies one word to out; a comma in it has a backslash before it, as libfuse has it. */
static const char *copy_option(const char *s, char *out)
{
	while (*s && *s != ',') {
		if (*s == '\\' && s[1])
			s++;
		*out++ = *s++;
	}
	*out = '\0';
	return s;
}

int options_parse_list(struct options_parser *p, const char *list)
{
	char *word = mem_alloc(strlen(list) + 1);
	int err = 0;

	while (err == 0 && *list) {
		list = copy_option(list, word);
		size_t n = strcspn(word, "=");
		const char *value = word[n] ? word + n + 1 : NULL;
		if (*word)
			err = set_option(p, (struct span){word, n}, value);
		if (*list == ',')
			list++;
	}
	free(word);
	return err;
}
