/* SPDX-License-Identifier: MIT */
/*
 * net/stream.h without a network: what is written is told to the play, and what a server says the
 * play hands in. Streams are counted from 1.
 */
#ifndef MAIL_TEST_PLAY_STREAM_H
#define MAIL_TEST_PLAY_STREAM_H

#include <stdbool.h>

#include "base/span.h"

struct stream_events {
	void (*on_made)(unsigned number);
	void (*on_sent)(unsigned number, struct span octets);
	/* By us. */
	void (*on_closed)(unsigned number);
};

/* None was made yet. */
void streams_reset(const struct stream_events *events);
/* From now on connections are refused, or not. */
void streams_refuse(bool refuse);
/* Those that were made are open, or refused; true when there were some. */
bool streams_step(void);
/* The server's octets. False: there is no such stream, or it has ended. */
bool streams_feed(unsigned number, struct span octets);
/* The line takes so many octets more of ours, and no others before this is called again; SIZE_MAX: all.
 * Until it was called it takes all. False as above. */
bool streams_take(unsigned number, size_t octets);
/* The server closes it. False as above. */
bool streams_close(unsigned number);
/* All of them; false when there was none. */
bool streams_close_all(void);

#endif
