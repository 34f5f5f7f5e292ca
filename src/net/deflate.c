/* SPDX-License-Identifier: MIT */
#include "net/deflate.h"

#define ZLIB_CONST /* next_in points to const */

#include <stdlib.h>
#include <zlib.h>

enum { RAW_WINDOW = -15, MEM_LEVEL = 8 };

struct net_deflate {
	z_stream in, out;
	char *first; /* where in.next_in points at the start */
	bool ended;  /* the server closed its deflate stream */
};

struct net_deflate *net_deflate_create(struct span first)
{
	struct net_deflate *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	if (inflateInit2(&d->in, RAW_WINDOW) != Z_OK)
		goto free_struct;
	if (deflateInit2(&d->out, Z_DEFAULT_COMPRESSION, Z_DEFLATED, RAW_WINDOW, MEM_LEVEL,
		    Z_DEFAULT_STRATEGY) != Z_OK)
		goto end_inflate;
	if (first.n > 0) {
		d->first = malloc(first.n);
		if (!d->first)
			goto end_deflate;
		memcpy(d->first, first.p, first.n);
		net_deflate_feed(d, (struct span){d->first, first.n});
	}
	return d;

end_deflate:
	deflateEnd(&d->out);
end_inflate:
	inflateEnd(&d->in);
free_struct:
	free(d);
	return NULL;
}

void net_deflate_destroy(struct net_deflate *d)
{
	if (!d)
		return;
	inflateEnd(&d->in);
	deflateEnd(&d->out);
	free(d->first);
	free(d);
}

int net_deflate_pack(
	struct net_deflate *d, struct span data, struct buf *out, struct net_failure *f)
{
	z_stream *z = &d->out;

	z->next_in = (const Bytef *)data.p;
	z->avail_in = (uInt)data.n;
	do {
		size_t room = z->avail_in / 2 + 128;
		char *p = buf_reserve(out, room);
		if (!p)
			return net_failure_set(f, ERR_NOMEM, "out of memory");
		z->next_out = (Bytef *)p;
		z->avail_out = (uInt)room;
		deflate(z, Z_SYNC_FLUSH);
		buf_commit(out, room - z->avail_out);
	} while (z->avail_out == 0);
	return 0;
}

void net_deflate_feed(struct net_deflate *d, struct span data)
{
	d->in.next_in = (const Bytef *)data.p;
	d->in.avail_in = (uInt)data.n;
}

ssize_t net_deflate_unpack(struct net_deflate *d, char *out, size_t size, struct net_failure *f)
{
	z_stream *z = &d->in;

	if (d->ended && z->avail_in == 0)
		return 0;
	z->next_out = (Bytef *)out;
	z->avail_out = (uInt)size;
	int status = d->ended ? Z_DATA_ERROR : inflate(z, Z_SYNC_FLUSH);
	if (status == Z_MEM_ERROR)
		return net_failure_set(f, ERR_NOMEM, "out of memory");
	if (status != Z_OK && status != Z_BUF_ERROR && status != Z_STREAM_END)
		return net_failure_set(f, ERR_PROTOCOL,
			"the server's compressed data is damaged: %s",
			d->ended ? "bytes behind its end"
			: z->msg ? z->msg
				 : "unknown reason");
	d->ended = status == Z_STREAM_END;
	return (ssize_t)(size - z->avail_out);
}
