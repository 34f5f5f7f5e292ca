/* SPDX-License-Identifier: MIT */
/* What follows from several words together, when all were read: defaults, and what contradicts. */
#include "app/options/private.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "app/accounts/home.h"

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

static int settle_port(struct options_parser *p)
{
	struct source *source = &p->o->source;

	if (source->port_given && source->port != p->port)
		return options_fail(
			p, "port=%u contradicts the port %u of SOURCE", p->port, source->port);
	source->port = (uint16_t)p->port;
	source->port_given = true;
	return 0;
}

/* anna@example.org: neither a port nor TLS nor a URL says that example.org is more than a domain. */
static bool is_address(const struct options_parser *p)
{
	const struct source *source = &p->o->source;
	const char *host = source->host;

	return source->user && !strchr(source->user, '@') && !source->tls_given && !p->has_tls &&
	       !source->port_given && strchr(host, '.') && !strchr(host, ':') &&
	       host[strspn(host, "0123456789.")] != '\0';
}

static int settle_source(struct options_parser *p)
{
	struct options *o = p->o;
	int err = source_parse(p->source, &o->source, p->error, p->size);

	if (err == 0 && p->has_tls)
		err = source_set_tls(&o->source, p->tls, p->error, p->size);
	if (err == 0 && p->port)
		err = settle_port(p);
	if (err == 0)
		err = settle_login(p);
	if (err < 0)
		return err;
	o->is_address = is_address(p);
	o->bare_name = !o->name && !o->source.user && !o->source.tls_given &&
		       !strpbrk(o->source.host, ".:") && strcmp(o->source.host, "localhost") != 0;
	err = settle_user(p);
	if (err < 0)
		return err;
	bool address = strchr(o->source.host, ':');
	o->account = mem_printf(address ? "%s@[%s]" : "%s@%s", o->source.user, o->source.host);
	o->identity = mem_printf("%s port %u%s%s", o->account, o->source.port,
		o->authzid ? " acting as " : "", o->authzid ? o->authzid : "");
	return 0;
}

/* Where others are let in than whom the files belong to only the kernel looks at the permissions: without them they could
 * read and delete everything. Elsewhere it would keep the owner of a message, which has mode 0400, from setting flags, as
 * these are an attribute; access(2), which rm asks, is answered without it (fs/operations.c). */
static bool needs_permissions(const struct options_parser *p)
{
	const struct options *o = p->o;
	bool all_belongs_to_us = !o->has_uid && !((o->fmask | o->dmask) & 0700);

	return p->allow_other || p->allow_root || p->permissions || !all_belongs_to_us;
}

/* mount -a knows by the source, as fstab has it, that it is mounted already. */
static int settle_mount_options(struct options_parser *p)
{
	int err = p->o->ro ? options_add_mount_option(p, "ro", NULL) : 0;

	if (err == 0 && p->sync)
		err = options_add_mount_option(p, p->sync, NULL);
	if (err == 0 && (p->allow_other || p->allow_root))
		err = options_add_mount_option(
			p, p->allow_root ? "allow_root" : "allow_other", NULL);
	if (err == 0 && needs_permissions(p))
		err = options_add_mount_option(p, "default_permissions", NULL);
	if (err == 0)
		err = options_add_mount_option(p, "fsname=", p->fsname ? p->fsname : p->given);
	if (err == 0)
		err = options_add_mount_option(p, "subtype=", p->subtype ? p->subtype : "imapfs");
	if (err == 0)
		p->o->mount_options = mem_copy(p->mount.data, p->mount.len);
	return err;
}

int options_settle(struct options_parser *p)
{
	struct options *o = p->o;

	if (!!o->passfile + !!o->passcmd + !!o->netrc + !!o->tokencmd > 1)
		return options_fail(
			p, "passfile=, passcmd=, netrc= and tokencmd= exclude each other");
	if (o->trash && o->delete != OPTIONS_DELETE_TRASH)
		return options_fail(p, "trash= is of use with delete=trash only");
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
		err = options_settle_paths(p);
	return err == 0 ? settle_mount_options(p) : err;
}
