/* SPDX-License-Identifier: MIT */
/* See play_stream.h. What the linker finds here it does not take from net/. */
#include "play_stream.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"
#include "net/stream.h"

struct net_stream {
	struct list link;
	unsigned number;
	bool open;
	struct net_stream_events events;
	void *ctx;
	struct net_stream_counts counts;
	size_t taken; /* octets more that the line takes; SIZE_MAX: all */
	size_t unsent;
};

static struct list streams = LIST_INIT(streams);
static struct stream_events watch;
static unsigned made;
static bool refusing;

void streams_reset(const struct stream_events *events)
{
	watch = *events;
	made = 0;
	refusing = false;
}

void streams_refuse(bool refuse)
{
	refusing = refuse;
}

static struct net_stream *find(unsigned number)
{
	LIST_FOREACH (pos, &streams) {
		struct net_stream *s = list_entry(pos, struct net_stream, link);
		if (s->number == number)
			return s;
	}
	return NULL;
}

static struct net_stream *find_unopened(void)
{
	LIST_FOREACH (pos, &streams) {
		struct net_stream *s = list_entry(pos, struct net_stream, link);
		if (!s->open)
			return s;
	}
	return NULL;
}

/* The server's doing, which is no news to the play; the owner destroys it. */
static void end(struct net_stream *s, const char *text)
{
	s->number = 0;
	s->open = true;
	s->events.on_closed(s->ctx, ERR_NET, text);
}

bool streams_step(void)
{
	struct net_stream *s = find_unopened();

	if (!s)
		return false;
	if (refusing) {
		end(s, "connection refused");
	} else {
		s->open = true;
		s->events.on_open(s->ctx);
	}
	return true;
}

bool streams_feed(unsigned number, struct span octets)
{
	struct net_stream *s = find(number);

	if (!s)
		return false;
	s->counts.wire_in += octets.n;
	s->counts.data_in += octets.n;
	s->events.on_data(s->ctx, octets);
	return true;
}

bool streams_take(unsigned number, size_t octets)
{
	struct net_stream *s = find(number);

	if (!s)
		return false;
	size_t n = octets < s->unsent ? octets : s->unsent;
	s->unsent -= n;
	s->counts.wire_out += n;
	s->taken = octets == SIZE_MAX ? SIZE_MAX : octets - n;
	if (s->unsent == 0 && n > 0)
		s->events.on_drain(s->ctx);
	return true;
}

bool streams_close(unsigned number)
{
	struct net_stream *s = find(number);

	if (s)
		end(s, "connection closed by the server");
	return s;
}

bool streams_close_all(void)
{
	bool any = false;

	LIST_FOREACH_SAFE (pos, &streams) {
		struct net_stream *s = list_entry(pos, struct net_stream, link);
		if (s->number > 0)
			end(s, "connection closed by the server");
		any = true;
	}
	return any;
}

/* --- net/stream.h --- */

struct net_stream *net_stream_create(uv_loop_t *loop, const struct net_stream_options *options,
	const struct net_stream_events *events, void *ctx)
{
	struct net_stream *s = mem_zalloc(sizeof(*s));

	s->number = ++made;
	s->events = *events;
	s->ctx = ctx;
	s->taken = SIZE_MAX;
	list_append(&streams, &s->link);
	watch.on_made(s->number);
	return s;
}

void net_stream_destroy(struct net_stream *s)
{
	if (!s)
		return;
	if (s->number > 0)
		watch.on_closed(s->number);
	list_remove(&s->link);
	free(s);
}

void net_stream_binding(const struct net_stream *s, struct binding *binding)
{
	*binding = (struct binding){.kind = BINDING_NONE};
}

void net_stream_write(struct net_stream *s, struct span data)
{
	size_t n = data.n < s->taken ? data.n : s->taken;

	if (s->taken < SIZE_MAX)
		s->taken -= n;
	s->unsent += data.n - n;
	s->counts.wire_out += n;
	s->counts.data_out += data.n;
	watch.on_sent(s->number, data);
}

size_t net_stream_unsent(const struct net_stream *s)
{
	return s->unsent;
}

size_t net_stream_untaken(const struct net_stream *s)
{
	return s->unsent;
}

uint64_t net_stream_held(const struct net_stream *s)
{
	return 0;
}

void net_stream_counts(const struct net_stream *s, struct net_stream_counts *counts)
{
	*counts = s->counts;
}

/* No play has TLS, nor asks for COMPRESS. */
void net_stream_start_tls(struct net_stream *s, size_t buffered)
{
	abort();
}

void net_stream_start_deflate(struct net_stream *s, struct span rest)
{
	abort();
}
