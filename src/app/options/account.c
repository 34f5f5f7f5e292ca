/* SPDX-License-Identifier: MIT */
/*
 * The lines of an account in the file of accounts, applied as if they stood before all that the
 * command line says. SOURCE names the account, NAME or NAME:MAILBOX.
 */
#include "app/options/private.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "app/accounts/config.h"

struct account_reader {
	struct options_parser *p;
	const char *path;
	struct span wanted;
	bool found;
	char *source;
};

static void replace(char **to, const char *value)
{
	free(*to);
	*to = mem_strdup(value);
}

/* The line as it stands in the file goes before what options_set says of it. */
static int name_line(struct account_reader *a, const struct config_entry *e)
{
	char *reason = mem_strdup(a->p->error);

	options_fail(a->p, "%s:%u: %s", a->path, e->line, reason);
	free(reason);
	return ERR_INVALID;
}

/* "ro = yes": a word without a value needs one in the file. */
static int apply_switch(struct options_parser *p, struct span name, const char *value)
{
	static const char *const on[] = {"yes", "true", "on", "1"};
	static const char *const off[] = {"no", "false", "off", "0"};

	for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++)
		if (strcmp(value, on[i]) == 0)
			return options_set(p, name, NULL);
	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
		if (strcmp(value, off[i]) == 0)
			return 0;
	return options_fail(p, "%.*s = is yes or no, not '%s'", (int)name.n, name.p, value);
}

static int apply_entry(struct account_reader *a, const struct config_entry *e)
{
	struct span name = span_of(e->name);

	if (strcmp(e->name, "source") == 0) {
		replace(&a->source, e->value);
		return 0;
	}
	if (strcmp(e->name, "mountpoint") == 0) {
		if (!a->p->mountpoint)
			a->p->mountpoint = mem_strdup(e->value);
		return 0;
	}
	if (!options_find_rule(name, true) && options_find_rule(name, false))
		return apply_switch(a->p, name, e->value);
	return options_set(a->p, name, *e->value ? e->value : NULL);
}

static int account_on_entry(void *ctx, const struct config_entry *e)
{
	struct account_reader *a = ctx;

	if (!span_equal(a->wanted, span_of(e->account)))
		return 0;
	a->found = true;
	int err = apply_entry(a, e);
	return err < 0 ? name_line(a, e) : 0;
}

/* A URL could hold a name as its scheme only. mount(8) makes a path of a name that is also the name of a
 * file where it is run. */
static struct span account_of(const char *source)
{
	const char *name = source[0] == '/' ? strrchr(source, '/') + 1 : source;

	return (struct span){name, strstr(source, "://") ? 0 : strcspn(name, ":")};
}

/* The mailbox that stands behind the account's name goes to the end of what the file has. */
static void take_source(struct options_parser *p, const struct account_reader *a)
{
	const char *base = a->source ? a->source : p->o->name;
	const char *mailbox = a->wanted.p + a->wanted.n;
	bool url = strstr(base, "://");
	size_t n = strlen(base);

	while (*mailbox && n > 0 && base[n - 1] == '/')
		n--;
	char *source = mem_printf("%.*s%s%s", (int)n, base,
		!*mailbox ? ""
		: url     ? "/"
			  : ":",
		*mailbox ? mailbox + 1 : "");
	free(p->source);
	p->source = source;
}

static int need_source(struct options_parser *p, const struct account_reader *a)
{
	if (a->source || strpbrk(p->o->name, "@."))
		return 0;
	return options_fail(
		p, "%s: the account [%s] has no line source = USER@HOST", a->path, p->o->name);
}

/* A single word is meant as an account's name. */
static int fail_without_mountpoint(struct options_parser *p, const struct account_reader *a)
{
	if (!a->found && a->path && !strpbrk(p->source, "@.:/"))
		return options_fail(p,
			"there is no account '%s' in %s, and MOUNTPOINT is missing; usage: imapfs "
			"[options] SOURCE MOUNTPOINT (imapfs -h says more)",
			p->source, a->path);
	return options_fail(p, "MOUNTPOINT is missing; usage: imapfs [options] SOURCE MOUNTPOINT "
			       "(imapfs -h says more)");
}

int options_apply_account(struct options_parser *p)
{
	struct account_reader a = {.p = p, .wanted = account_of(p->source), .path = config_path()};

	p->reading_account = true;
	int err = a.path && a.wanted.n > 0
			  ? config_read(a.path, account_on_entry, &a, p->error, p->size)
			  : 0;
	p->reading_account = false;
	if (err == 0 && a.found) {
		p->o->name = mem_copy(a.wanted.p, a.wanted.n);
		err = need_source(p, &a);
	}
	if (err == 0 && a.found)
		take_source(p, &a);
	else if (err == 0)
		err = options_refuse_mistaken(p);
	if (err == 0 && !p->mountpoint && !p->o->check)
		err = fail_without_mountpoint(p, &a);
	free((char *)a.path);
	free(a.source);
	return err;
}
