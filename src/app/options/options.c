/* SPDX-License-Identifier: MIT */
/* The steps of the command line, one behind the other; private.h says where each is. */
#include "app/options/options.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "app/options/private.h"

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

/* The server that was found takes the place of what SOURCE names. */
static void replace_source(struct options_parser *p, const char *source)
{
	free(p->source);
	p->source = mem_strdup(source);
}

static int parse_words(struct options_parser *p, const char *found)
{
	int err = options_apply_account(p);

	for (size_t i = 0; err == 0 && i < p->list_count; i++)
		err = options_parse_list(p, p->lists[i]);
	if (err == 0 && found)
		replace_source(p, found);
	return err == 0 ? options_settle(p) : err;
}

int options_parse(
	int argc, char **argv, const char *found, struct options *o, char *error, size_t size)
{
	struct options_parser p = {.o = o, .error = error, .size = size};

	*o = (struct options){.cache_size = cache_size_default,
		.timeout = TIMEOUT_DEFAULT,
		.refresh = REFRESH_DEFAULT,
		.connections = CONNECTIONS_DEFAULT};
	buf_init(&p.mount, MOUNT_OPTIONS_MAX);
	int err = options_take_command_line(&p, argc, argv);
	if (err == 0 && !o->help && !o->version)
		err = parse_words(&p, found);
	buf_finish(&p.mount);
	free(p.source);
	free(p.mountpoint);
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
	free(o->name);
	free(o->setuid);
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
	free(o->statedir);
	free(o->trash);
	free(o->suffix);
	free(o->mount_options);
	*o = (struct options){.timeout = 0};
}
