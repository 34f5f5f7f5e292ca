/* SPDX-License-Identifier: MIT */
#include "app/start/account_options.h"

#include <stddef.h>

#include "base/error.h"
#include "net/stream.h"

void account_options_fill(const struct options *o, const char *password,
	struct token_source *tokens, struct net_tls *tls, struct account_options *out)
{
	static const enum pool_tls modes[] = {
		[SOURCE_TLS_IMPLICIT] = POOL_TLS_IMPLICIT,
		[SOURCE_TLS_STARTTLS] = POOL_TLS_STARTTLS,
		[SOURCE_TLS_NONE] = POOL_TLS_NONE,
	};
	static const enum pool_compress compress[] = {
		[COMPRESS_AUTO] = POOL_COMPRESS_AUTO,
		[COMPRESS_ON] = POOL_COMPRESS_ON,
		[COMPRESS_OFF] = POOL_COMPRESS_OFF,
	};
	static const enum sizes_mode sizes[] = {
		[OPTIONS_SIZES_AUTO] = SIZES_AUTO,
		[OPTIONS_SIZES_TRUST] = SIZES_TRUST,
		[OPTIONS_SIZES_VERIFY] = SIZES_VERIFY,
	};
	static const enum delete_mode delete[] = {
		[OPTIONS_DELETE_EXPUNGE] = DELETE_EXPUNGE,
		[OPTIONS_DELETE_TRASH] = DELETE_TRASH,
		[OPTIONS_DELETE_NEVER] = DELETE_NEVER,
	};
	*out = (struct account_options){
		.pool =
			{
				.host = o->source.host,
				.port = o->source.port,
				.login =
					{
						.user = o->source.user,
						.authzid = o->authzid,
						.password = o->without_password ? NULL : password,
						.token = o->tokencmd,
						.certificate = o->certfile,
						.only = o->auth,
					},
				.tokens = tokens,
				.mode = modes[o->source.tls],
				.tls = tls,
				.compress = compress[o->compress],
				.timeout = (uint64_t)o->timeout * 1000,
				.connections = o->connections,
				.offline = o->offline,
			},
		.mailbox = o->source.mailbox,
		.subscribed = o->subscribed,
		.refresh = (uint64_t)o->refresh * 1000,
		.readonly = o->ro,
		.expunge_force = o->expunge_force,
		.delete = delete[o->delete],
		.trash = o->trash,
		.summaries = o->layout == OPTIONS_LAYOUT_NAMED,
		.sizes = sizes[o->sizes],
	};
}

int account_options_tls(const struct options *o, struct net_tls **tls, char *error, size_t size)
{
	const struct net_tls_options options = {
		.cafile = o->cafile,
		.priority = o->tls_priority,
		.fingerprint = o->has_fingerprint ? o->fingerprint : NULL,
		.certfile = o->certfile,
		.keyfile = o->keyfile,
	};

	*tls = o->source.tls == SOURCE_TLS_NONE ? NULL : net_tls_create(&options, error, size);
	return *tls || o->source.tls == SOURCE_TLS_NONE ? 0 : ERR_TLS;
}
