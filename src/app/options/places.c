/* SPDX-License-Identifier: MIT */
/* Paths: those that were given are made absolute, and the account's directories have a place of
 * their own by default. */
#include "app/options/private.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "app/accounts/home.h"

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
static int account_component(struct options_parser *p, const char *option, struct buf *out)
{
	const struct options *o = p->o;
	int err = append_escaped(out, o->account);

	if (err == 0 && o->source.port != SOURCE_PORT_IMPLICIT)
		err = buf_printf(out, ":%u", o->source.port);
	if (err == 0 && o->authzid)
		err = buf_append_char(out, ',');
	if (err == 0 && o->authzid)
		err = append_escaped(out, o->authzid);
	return err < 0 ? options_fail(p,
				 "the account's name is too long for a directory; use %s=DIR",
				 option)
		       : 0;
}

/* What of ours is kept in one place, and where that is by default. */
struct own_place {
	const char *option, *what;
	const char *variable; /* of the environment */
	const char *below;    /* the home directory, where that is not set */
};

static int settle_place(struct options_parser *p, const struct own_place *place, char **path)
{
	struct buf account;

	if (*path)
		return resolve(p, path);
	char *base = home_place(place->variable, place->below);
	if (!base)
		return options_fail(p, "there is no home directory for the %s; use %s=DIR",
			place->what, place->option);
	buf_init(&account, NAME_MAX);
	int err = account_component(p, place->option, &account);
	if (err == 0)
		*path = mem_printf("%s/%s", base, buf_cstr(&account));
	buf_finish(&account);
	free(base);
	return err;
}

/* On a read-only mount there is nothing to be kept but the cache, and what is counted. */
static int settle_places(struct options_parser *p)
{
	static const struct own_place cache = {"cache", "cache", "XDG_CACHE_HOME", "/.cache"};
	static const struct own_place state = {
		"statedir", "changes that wait", "XDG_STATE_HOME", "/.local/state"};
	int err = settle_place(p, &cache, &p->o->cache);

	bool keeps = !p->o->ro || p->o->daylimit > 0;

	return err == 0 && keeps ? settle_place(p, &state, &p->o->statedir) : err;
}

int options_settle_paths(struct options_parser *p)
{
	struct options *o = p->o;

	o->mountpoint = p->mountpoint ? mem_strdup(p->mountpoint) : NULL;
	if (o->mountpoint && o->mountpoint[0] == '\0')
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
	return err == 0 ? settle_places(p) : err;
}
