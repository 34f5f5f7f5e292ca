/*
 * Three steps: getopt takes the command line apart, options_words.c does what each word of -o says,
 * and what depends on several options (defaults, paths, conflicts) is settled at the end.
 */
#include "options.h"

#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "options_private.h"

enum {
	TIMEOUT_DEFAULT = 30, /* seconds */
	REFRESH_DEFAULT = 60,
	CONNECTIONS_DEFAULT = 3,
	MOUNT_OPTIONS_MAX = 64 << 10,
};

static const uint64_t cache_size_default = UINT64_C(2) << 30;

int options_fail(struct options_parser *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(p->error, p->size, format, args);
	va_end(args);
	return ERR_INVALID;
}

/* --- the command line --- */

static int take_argument(struct options_parser *p, char *argument)
{
	if (!p->source)
		p->source = argument;
	else if (!p->mountpoint)
		p->mountpoint = argument;
	else
		return options_fail(
			p, "too many arguments: there is one SOURCE and one MOUNTPOINT");
	return 0;
}

static int fail_letter(struct options_parser *p, char *const *argv)
{
	const char *word = argv[optind - 1];

	if (optopt == 'o')
		return options_fail(p, "-o needs options behind it (imapfs -h lists them)");
	if (strncmp(word, "--", 2) == 0) {
		struct span name = {word + 2, strcspn(word + 2, "=")};
		return options_fail_unknown(p, "--", name);
	}
	return options_fail(p, "unknown option '-%c' (imapfs -h lists them)", optopt);
}

static int take_letter(struct options_parser *p, int letter, char *const *argv)
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
		return options_parse_list(p, optarg);
	default:
		return fail_letter(p, argv);
	}
}

/* '-' in getopt's letters: arguments come in their order, whatever POSIXLY_CORRECT says. */
static int parse_letters(struct options_parser *p, int argc, char **argv)
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
		err = options_fail(p,
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
static int resolve(struct options_parser *p, char **path)
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
		return options_fail(p, "there is no %s directory for the path '%s'",
			cwd ? "current" : "home", *path);
	char *absolute = mem_printf("%s/%s", strcmp(base, "/") == 0 ? "" : base, start);
	free(cwd);
	free(*path);
	*path = absolute;
	return 0;
}

/* As ssh does: who the source does not name is who calls. */
static int settle_user(struct options_parser *p)
{
	struct source *source = &p->o->source;

	if (source->user)
		return 0;
	const struct passwd *pw = p->user ? NULL : getpwuid(getuid());
	const char *name = p->user ? p->user : pw ? pw->pw_name : getenv("USER");
	if (!name || !*name)
		return options_fail(p, "your login name is unknown; write USER@%s", source->host);
	source->user = mem_strdup(name);
	return 0;
}

/* What of a login can be seen to be impossible. */
static int settle_login(struct options_parser *p)
{
	struct options *o = p->o;
	bool plain = o->source.tls == SOURCE_TLS_NONE;
	bool any = o->auth == IMAP_AUTH_ANY;
	unsigned uses = any ? 0 : imap_mechanism_uses(o->auth);

	if (plain && o->has_fingerprint)
		return options_fail(p, "with tls=none there is no certificate for fingerprint=");
	if (plain && o->certfile)
		return options_fail(p, "with tls=none no certificate (certfile=) can be shown");
	if (plain && (uses & IMAP_USES_BINDING))
		return options_fail(p, "auth=%s needs TLS", imap_mechanism_name(o->auth));
	if (o->keyfile && !o->certfile)
		return options_fail(p, "keyfile= needs its certificate, certfile=");
	if ((uses & IMAP_USES_CERTIFICATE) && !o->certfile)
		return options_fail(p, "auth=%s needs certfile=", imap_mechanism_name(o->auth));
	if ((uses & IMAP_USES_TOKEN) && !o->tokencmd)
		return options_fail(p, "auth=%s needs tokencmd=", imap_mechanism_name(o->auth));
	if ((uses & IMAP_USES_PASSWORD) && o->tokencmd)
		return options_fail(
			p, "auth=%s has no use for tokencmd=", imap_mechanism_name(o->auth));
	if (o->authzid && !any && !imap_mechanism_carries_authzid(o->auth))
		return options_fail(
			p, "auth=%s cannot carry an authzid=", imap_mechanism_name(o->auth));
	if (o->certfile && !o->keyfile)
		o->keyfile = mem_strdup(o->certfile);
	bool given = o->passfile || o->passcmd || o->netrc_given;
	if (o->offline)
		o->without_password = true;
	else if (any)
		o->without_password = o->tokencmd || (o->certfile && !given);
	else
		o->without_password = !(uses & IMAP_USES_PASSWORD);
	return 0;
}

static int settle_source(struct options_parser *p)
{
	struct options *o = p->o;
	int err = source_parse(p->source, &o->source, p->error, p->size);

	if (err == 0 && p->has_tls)
		err = source_set_tls(&o->source, p->tls, p->error, p->size);
	if (err == 0)
		err = settle_login(p);
	if (err == 0)
		err = settle_user(p);
	if (err < 0)
		return err;
	bool address = strchr(o->source.host, ':');
	o->account = mem_printf(address ? "%s@[%s]" : "%s@%s", o->source.user, o->source.host);
	o->identity = mem_printf("%s port %u%s%s", o->account, o->source.port,
		o->authzid ? " acting as " : "", o->authzid ? o->authzid : "");
	return 0;
}

/* The account as one path component: what is neither a letter, a digit nor known to be harmless is
 * %XX, and so is a dot in front. */
static int append_escaped(struct buf *out, const char *name)
{
	int err = 0;

	for (const char *c = name; err == 0 && *c; c++) {
		bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			      (*c >= '0' && *c <= '9') || (unsigned char)*c >= 0x80;
		if (letter || (strchr("@-_+=:[].", *c) && !(*c == '.' && c == name)))
			err = buf_append_char(out, *c);
		else
			err = buf_printf(out, "%%%02X", (unsigned char)*c);
	}
	return err;
}

/* All that says whose mail it is: with authzid= one user may read the mail of many. */
static int account_component(struct options_parser *p, struct buf *out)
{
	const struct options *o = p->o;
	int err = append_escaped(out, o->account);

	if (err == 0 && o->source.port != SOURCE_PORT_IMPLICIT)
		err = buf_printf(out, ":%u", o->source.port);
	if (err == 0 && o->authzid)
		err = buf_append_char(out, ',');
	if (err == 0 && o->authzid)
		err = append_escaped(out, o->authzid);
	return err < 0 ? options_fail(
				 p, "the account's name is too long for a directory; use cache=DIR")
		       : 0;
}

static int settle_cache(struct options_parser *p)
{
	const char *base = getenv("XDG_CACHE_HOME"), *home = home_directory();
	bool given = base && *base == '/';
	struct buf account;

	if (p->o->cache)
		return resolve(p, &p->o->cache);
	if (!given && (!home || *home != '/'))
		return options_fail(p, "there is no home directory for the cache; use cache=DIR");
	buf_init(&account, NAME_MAX);
	int err = account_component(p, &account);
	if (err == 0)
		p->o->cache = mem_printf("%s%s/imapfs/%s", given ? base : home,
			given ? "" : "/.cache", buf_cstr(&account));
	buf_finish(&account);
	return err;
}

static int settle_paths(struct options_parser *p)
{
	struct options *o = p->o;

	o->mountpoint = mem_strdup(p->mountpoint);
	if (o->mountpoint[0] == '\0')
		return options_fail(p, "MOUNTPOINT is empty");
	int err = resolve(p, &o->mountpoint);
	if (err == 0)
		err = resolve(p, &o->passfile);
	if (err == 0)
		err = resolve(p, &o->netrc);
	if (err == 0)
		err = resolve(p, &o->cafile);
	if (err == 0)
		err = resolve(p, &o->certfile);
	if (err == 0)
		err = resolve(p, &o->keyfile);
	return err == 0 ? settle_cache(p) : err;
}

static int settle_mount_options(struct options_parser *p)
{
	int err = p->o->ro ? options_add_mount_option(p, "ro", NULL) : 0;

	/* Nobody but the kernel looks at the permissions: without this whoever is let in could read
	 * and delete everything, and access(2), which rm asks, would say that a message can be
	 * written. */
	if (err == 0)
		err = options_add_mount_option(p, "default_permissions", NULL);
	if (err == 0)
		err = options_add_mount_option(p, "fsname=", p->fsname ? p->fsname : p->o->account);
	if (err == 0)
		err = options_add_mount_option(p, "subtype=", p->subtype ? p->subtype : "imapfs");
	if (err == 0)
		p->o->mount_options = mem_copy(p->mount.data, p->mount.len);
	return err;
}

static int settle(struct options_parser *p)
{
	struct options *o = p->o;

	if (!!o->passfile + !!o->passcmd + !!o->netrc + !!o->tokencmd > 1)
		return options_fail(
			p, "passfile=, passcmd=, netrc= and tokencmd= exclude each other");
	o->netrc_given = o->netrc != NULL;
	if (!o->netrc && home_directory())
		o->netrc = mem_strdup("~/.netrc");
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
	struct options_parser p = {.o = o, .error = error, .size = size};

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
	free(o->identity);
	free(o->mountpoint);
	free(o->passfile);
	free(o->passcmd);
	free(o->netrc);
	free(o->tokencmd);
	free(o->cafile);
	free(o->tls_priority);
	free(o->authzid);
	free(o->certfile);
	free(o->keyfile);
	free(o->cache);
	free(o->suffix);
	free(o->mount_options);
	*o = (struct options){.timeout = 0};
}
