/*
 * Three steps: getopt takes the command line apart, a table of names says what each word of -o
 * does, and what depends on several options (defaults, paths, conflicts) is settled at the end.
 *
 * fuse_opt is not used: it stops at an unknown word without a chance to say which one was meant,
 * and takes "timeout=10x" for 10.
 */
#include "options.h"

#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/span.h"
#include "base/text.h"
#include "words.h"

enum {
	SUFFIX_MAX = 64,
	TIMEOUT_DEFAULT = 30, /* seconds */
	REFRESH_DEFAULT = 60,
	SECONDS_MAX = 3600,
	CONNECTIONS_DEFAULT = 3,
	CONNECTIONS_MAX = 16,
	MOUNT_OPTIONS_MAX = 64 << 10,
};

static const uint64_t cache_size_default = UINT64_C(2) << 30;
static const uint64_t cache_size_min = UINT64_C(1) << 20;

/* What is only known to be right when the whole command line was read. */
struct parser {
	struct options *o;
	struct buf mount; /* words for libfuse */
	char *source, *mountpoint;
	char *user, *fsname, *subtype;
	bool has_tls, has_fmask, has_dmask;
	bool allow_other, allow_root;
	enum source_tls tls;
	mode_t umask;
	char *error;
	size_t size;
};

struct rule {
	const char *name;
	const char *value; /* what its value is called; NULL: it takes none */
	int (*set)(struct parser *p, const struct rule *rule, const char *value);
};

__attribute__((format(printf, 2, 3))) static int fail(struct parser *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(p->error, p->size, format, args);
	va_end(args);
	return ERR_INVALID;
}

static void replace(char **to, const char *value)
{
	free(*to);
	*to = mem_strdup(value);
}

/* --- one function for each kind of option --- */

static int set_ignored(struct parser *p, const struct rule *rule, const char *value)
{
	return 0;
}

static int add_mount_option(struct parser *p, const char *name, const char *value)
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
	return err < 0 ? fail(p, "the options are too long") : 0;
}

static int set_mount(struct parser *p, const struct rule *rule, const char *value)
{
	return add_mount_option(p, rule->name, NULL);
}

static int set_allow(struct parser *p, const struct rule *rule, const char *value)
{
	bool *flag = strcmp(rule->name, "allow_root") == 0 ? &p->allow_root : &p->allow_other;

	if (*flag)
		return 0;
	*flag = true;
	if (p->allow_root && p->allow_other)
		return fail(p, "allow_other and allow_root exclude each other");
	return add_mount_option(p, rule->name, NULL);
}

static int set_ro(struct parser *p, const struct rule *rule, const char *value)
{
	p->o->ro = strcmp(rule->name, "ro") == 0;
	return 0;
}

static int set_offline(struct parser *p, const struct rule *rule, const char *value)
{
	p->o->offline = p->o->ro = true;
	return 0;
}

static int set_subscribed(struct parser *p, const struct rule *rule, const char *value)
{
	p->o->subscribed = true;
	return 0;
}

static int set_text(struct parser *p, const struct rule *rule, const char *value)
{
	const struct {
		const char *name;
		char **to;
	} texts[] = {{"passfile", &p->o->passfile}, {"cafile", &p->o->cafile},
		{"cache", &p->o->cache}, {"fsname", &p->fsname}, {"subtype", &p->subtype},
		{"user", &p->user}};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(texts[i].name, rule->name) == 0)
			replace(texts[i].to, value);
	return 0;
}

static int set_passcmd(struct parser *p, const struct rule *rule, const char *value)
{
	const char *reason;
	char **words;

	if (words_split(value, &words, &reason) < 0)
		return fail(p, "passcmd= is no command: %s", reason);
	words_free(words);
	replace(&p->o->passcmd, value);
	return 0;
}

static int set_tls(struct parser *p, const struct rule *rule, const char *value)
{
	static const char *const modes[] = {[SOURCE_TLS_IMPLICIT] = "implicit",
		[SOURCE_TLS_STARTTLS] = "starttls",
		[SOURCE_TLS_NONE] = "none"};

	for (int i = SOURCE_TLS_IMPLICIT; i <= SOURCE_TLS_NONE; i++) {
		if (strcmp(value, modes[i]) != 0)
			continue;
		if (p->has_tls && p->tls != (enum source_tls)i)
			return fail(p, "tls=%s contradicts tls=%s", value, modes[p->tls]);
		p->tls = (enum source_tls)i;
		p->has_tls = true;
		return 0;
	}
	return fail(p, "tls= is implicit, starttls or none, not '%s'", value);
}

static int set_number(struct parser *p, const struct rule *rule, const char *value)
{
	bool connections = strcmp(rule->name, "connections") == 0;
	unsigned max = connections ? CONNECTIONS_MAX : SECONDS_MAX;
	uint64_t number;

	if (!text_parse_number(span_of(value), max, &number) || number == 0)
		return fail(p, "%s= is a number%s from 1 to %u, not '%s'", rule->name,
			connections ? "" : " of seconds", max, value);
	if (connections)
		p->o->connections = (unsigned)number;
	else if (strcmp(rule->name, "timeout") == 0)
		p->o->timeout = (unsigned)number;
	else
		p->o->refresh = (unsigned)number;
	return 0;
}

static int set_size(struct parser *p, const struct rule *rule, const char *value)
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
		return fail(p,
			"cache_size= is a number of octets, of at least 1M, with K, M or G "
			"behind it, not '%s'",
			value);
	p->o->cache_size = number << shift;
	return 0;
}

/* The highest one means "unchanged" to chown and is nobody's. */
static int set_id(struct parser *p, const struct rule *rule, const char *value)
{
	uint64_t id;

	if (!text_parse_number(span_of(value), UINT32_MAX - 1, &id))
		return fail(p, "%s= is a number, not '%s' (`id` shows yours)", rule->name, value);
	if (strcmp(rule->name, "uid") == 0) {
		p->o->uid = (uid_t)id;
		p->o->has_uid = true;
	} else {
		p->o->gid = (gid_t)id;
		p->o->has_gid = true;
	}
	return 0;
}

static int set_mask(struct parser *p, const struct rule *rule, const char *value)
{
	unsigned mask = 0;
	size_t n = strlen(value);

	if (n > 4 || strspn(value, "01234567") != n)
		mask = 01000;
	for (const char *c = value; *c && mask <= 0777; c++)
		mask = mask * 8 + (unsigned)(*c - '0');
	if (mask > 0777)
		return fail(p, "%s= is octal, from 0 to 0777, not '%s'", rule->name, value);
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

static int set_suffix(struct parser *p, const struct rule *rule, const char *value)
{
	char printable[SUFFIX_MAX + 4];
	struct span suffix = span_of(value);
	bool plain = suffix.n >= 2 && suffix.n <= SUFFIX_MAX && value[0] == '.' &&
		     !strchr(value, '/') && strspn(value + 1, "0123456789") < suffix.n - 1;

	/* Equal when there was nothing to replace and nothing to cut. */
	if (!plain || strcmp(text_printable(suffix, printable, sizeof(printable)), value) != 0)
		return fail(p, "suffix= is a dot and something that is not only digits, without a "
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
	{"passcmd", "COMMAND", set_passcmd},
	{"cafile", "FILE", set_text},
	{"tls", "MODE", set_tls},
	{"cache", "DIR", set_text},
	{"cache_size", "SIZE", set_size},
	{"timeout", "SECONDS", set_number},
	{"refresh", "SECONDS", set_number},
	{"connections", "N", set_number},
	{"suffix", ".EXT", set_suffix},
	{"uid", "N", set_id},
	{"gid", "N", set_id},
	{"umask", "OCTAL", set_mask},
	{"fmask", "OCTAL", set_mask},
	{"dmask", "OCTAL", set_mask},
	{"allow_other", NULL, set_allow},
	{"allow_root", NULL, set_allow},
	{"default_permissions", NULL, set_mount},
	{"auto_unmount", NULL, set_mount},
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

/* dashes: how the name was introduced. The value is not repeated, it may be a secret. */
static int fail_unknown(struct parser *p, const char *dashes, struct span name)
{
	const struct rule *hint = nearest(name);
	char printable[64];

	text_printable(name, printable, sizeof(printable));
	if (is_password(name))
		return fail(p,
			"there is no option '%s%s': a password never belongs on the command line; "
			"use passfile=, passcmd= or the prompt",
			dashes, printable);
	if (!hint)
		return fail(p, "unknown option '%s%s' (imapfs -h lists them)", dashes, printable);
	return fail(p, "unknown option '%s%s' (did you mean %s%s%s?)", dashes, printable,
		*dashes ? "-o " : "", hint->name, hint->value ? "=" : "");
}

/* --- the words of -o --- */

static int set_option(struct parser *p, struct span name, const char *value)
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
		return fail_unknown(p, "", name);
	if (other->value)
		return fail(p, "option '%s' needs a value: %s=%s", other->name, other->name,
			other->value);
	return fail(p, "option '%s' takes no value", other->name);
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

static int parse_list(struct parser *p, const char *list)
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

/* --- the command line --- */

static int take_argument(struct parser *p, char *argument)
{
	if (!p->source)
		p->source = argument;
	else if (!p->mountpoint)
		p->mountpoint = argument;
	else
		return fail(p, "too many arguments: there is one SOURCE and one MOUNTPOINT");
	return 0;
}

static int fail_letter(struct parser *p, char *const *argv)
{
	const char *word = argv[optind - 1];

	if (optopt == 'o')
		return fail(p, "-o needs options behind it (imapfs -h lists them)");
	if (strncmp(word, "--", 2) == 0) {
		struct span name = {word + 2, strcspn(word + 2, "=")};
		return fail_unknown(p, "--", name);
	}
	return fail(p, "unknown option '-%c' (imapfs -h lists them)", optopt);
}

static int take_letter(struct parser *p, int letter, char *const *argv)
{
	struct options *o = p->o;

	switch (letter) {
	case 1:
		return take_argument(p, optarg);
	case 'd':
		o->debug = o->foreground = true;
		return 0;
	case 'f':
		o->foreground = true;
		return 0;
	case 's':
		return 0; /* one thread is all there is */
	case 'h':
		o->help = true;
		return 0;
	case 'V':
		o->version = true;
		return 0;
	case 'o':
		return parse_list(p, optarg);
	default:
		return fail_letter(p, argv);
	}
}

/* '-' in getopt's letters: arguments come in their order, whatever POSIXLY_CORRECT says. */
static int parse_letters(struct parser *p, int argc, char **argv)
{
	static const struct option words[] = {{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'}, {NULL, 0, NULL, 0}};
	int letter, err = 0;

	optind = 0;
	opterr = 0;
	while (err == 0 && !p->o->help && !p->o->version &&
		(letter = getopt_long(argc, argv, "-:dfhso:V", words, NULL)) != -1)
		err = take_letter(p, letter, argv);
	if (p->o->help || p->o->version)
		return 0;
	while (err == 0 && optind < argc)
		err = take_argument(p, argv[optind++]);
	if (err == 0 && !p->mountpoint)
		err = fail(p,
			"%s missing; usage: imapfs [options] SOURCE MOUNTPOINT (imapfs -h says "
			"more)",
			p->source ? "MOUNTPOINT is" : "SOURCE and MOUNTPOINT are");
	return err;
}

/* --- what follows from several options --- */

static const char *home_directory(void)
{
	const char *home = getenv("HOME");
	const struct passwd *pw = home && *home == '/' ? NULL : getpwuid(getuid());

	return pw ? pw->pw_dir : home;
}

/* Makes a path absolute: in the background the current directory is another. A shell does not
 * expand the ~ of "-o passfile=~/x", and fstab has no shell. */
static int resolve(struct parser *p, char **path)
{
	const char *start = *path, *base;
	char *cwd = NULL;

	if (!start || *start == '/')
		return 0;
	if (strncmp(start, "~/", 2) == 0) {
		base = home_directory();
		start += 2;
	} else {
		base = cwd = getcwd(NULL, 0);
	}
	if (!base)
		return fail(p, "there is no %s directory for the path '%s'",
			cwd ? "current" : "home", *path);
	char *absolute = mem_printf("%s/%s", strcmp(base, "/") == 0 ? "" : base, start);
	free(cwd);
	free(*path);
	*path = absolute;
	return 0;
}

/* As ssh does: who the source does not name is who calls. */
static int settle_user(struct parser *p)
{
	struct source *source = &p->o->source;

	if (source->user)
		return 0;
	const struct passwd *pw = p->user ? NULL : getpwuid(getuid());
	const char *name = p->user ? p->user : pw ? pw->pw_name : getenv("USER");
	if (!name || !*name)
		return fail(p, "your login name is unknown; write USER@%s", source->host);
	source->user = mem_strdup(name);
	return 0;
}

static int settle_source(struct parser *p)
{
	struct options *o = p->o;
	int err = source_parse(p->source, &o->source, p->error, p->size);

	if (err == 0 && p->has_tls)
		err = source_set_tls(&o->source, p->tls, p->error, p->size);
	if (err == 0)
		err = settle_user(p);
	if (err < 0)
		return err;
	bool address = strchr(o->source.host, ':');
	o->account = mem_printf(address ? "%s@[%s]" : "%s@%s", o->source.user, o->source.host);
	return 0;
}

/* The account as one path component: what is neither a letter, a digit nor known to be harmless is
 * %XX, and so is a dot in front. */
static int account_component(struct parser *p, struct buf *out)
{
	const char *name = p->o->account;
	int err = 0;

	for (const char *c = name; err == 0 && *c; c++) {
		bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			      (*c >= '0' && *c <= '9') || (unsigned char)*c >= 0x80;
		if (letter || (strchr("@-_+=:[].", *c) && !(*c == '.' && c == name)))
			err = buf_append_char(out, *c);
		else
			err = buf_printf(out, "%%%02X", (unsigned char)*c);
	}
	if (err == 0 && !source_port_is_default(&p->o->source))
		err = buf_printf(out, ":%u", p->o->source.port);
	return err < 0 ? fail(p, "the account's name is too long for a directory; use cache=DIR")
		       : 0;
}

static int settle_cache(struct parser *p)
{
	const char *base = getenv("XDG_CACHE_HOME"), *home = home_directory();
	bool given = base && *base == '/';
	struct buf account;

	if (p->o->cache)
		return resolve(p, &p->o->cache);
	if (!given && (!home || *home != '/'))
		return fail(p, "there is no home directory for the cache; use cache=DIR");
	buf_init(&account, NAME_MAX);
	int err = account_component(p, &account);
	if (err == 0)
		p->o->cache = mem_printf("%s%s/imapfs/%s", given ? base : home,
			given ? "" : "/.cache", buf_cstr(&account));
	buf_finish(&account);
	return err;
}

static int settle_paths(struct parser *p)
{
	struct options *o = p->o;

	o->mountpoint = mem_strdup(p->mountpoint);
	if (o->mountpoint[0] == '\0')
		return fail(p, "MOUNTPOINT is empty");
	int err = resolve(p, &o->mountpoint);
	if (err == 0)
		err = resolve(p, &o->passfile);
	if (err == 0)
		err = resolve(p, &o->cafile);
	return err == 0 ? settle_cache(p) : err;
}

static int settle_mount_options(struct parser *p)
{
	int err = p->o->ro ? add_mount_option(p, "ro", NULL) : 0;

	if (err == 0)
		err = add_mount_option(p, "fsname=", p->fsname ? p->fsname : p->o->account);
	if (err == 0)
		err = add_mount_option(p, "subtype=", p->subtype ? p->subtype : "imapfs");
	if (err == 0)
		p->o->mount_options = mem_copy(p->mount.data, p->mount.len);
	return err;
}

static int settle(struct parser *p)
{
	struct options *o = p->o;

	if (o->passfile && o->passcmd)
		return fail(p, "passfile= and passcmd= exclude each other");
	if (!p->has_fmask)
		o->fmask = p->umask;
	if (!p->has_dmask)
		o->dmask = p->umask;
	if (!o->suffix)
		o->suffix = mem_strdup("");
	int err = settle_source(p);
	if (err == 0)
		err = settle_paths(p);
	return err == 0 ? settle_mount_options(p) : err;
}

int options_parse(int argc, char **argv, struct options *o, char *error, size_t size)
{
	struct parser p = {.o = o, .error = error, .size = size};

	*o = (struct options){.cache_size = cache_size_default,
		.timeout = TIMEOUT_DEFAULT,
		.refresh = REFRESH_DEFAULT,
		.connections = CONNECTIONS_DEFAULT};
	buf_init(&p.mount, MOUNT_OPTIONS_MAX);
	int err = parse_letters(&p, argc, argv);
	if (err == 0 && !o->help && !o->version)
		err = settle(&p);
	buf_finish(&p.mount);
	free(p.user);
	free(p.fsname);
	free(p.subtype);
	if (err < 0)
		options_finish(o);
	return err;
}

void options_finish(struct options *o)
{
	source_finish(&o->source);
	free(o->account);
	free(o->mountpoint);
	free(o->passfile);
	free(o->passcmd);
	free(o->cafile);
	free(o->cache);
	free(o->suffix);
	free(o->mount_options);
	*o = (struct options){.timeout = 0};
}
