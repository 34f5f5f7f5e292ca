/* SPDX-License-Identifier: MIT */
/*
 * A slow line of the proxy: connections that share a delay, a rate and a fault. Times are
 * nanoseconds of uv_hrtime. Single-threaded, on the loop given.
 */
#ifndef PROXY_LINE_H
#define PROXY_LINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

struct line;

struct line *line_create(uv_loop_t *loop, const struct sockaddr *server, socklen_t size);
/* Takes over a connection that was accepted. */
void line_adopt(struct line *l, int fd);
/* Resets every connection; the loop ends when nothing else is on it. */
void line_shutdown(struct line *l);
void line_destroy(struct line *l);

/* For octets read from now on. rate: octets a second and direction, 0 for no cap. */
void line_set_rtt(struct line *l, uint64_t ns);
void line_set_rate(struct line *l, uint64_t rate);

/* RST to both ends of every connection. */
void line_cut(struct line *l);
/* FIN to both ends of every connection; what is under way is lost. */
void line_close(struct line *l);
/* Nothing is read or written, new connections are accepted and wait. */
void line_stall(struct line *l);
/* One octet a millisecond and direction of a connection. */
void line_dribble(struct line *l);
/* Every connection, also those to come, swallows what it is sent, and answers nothing. */
void line_half_open(struct line *l);
/* One of these, once so many octets more of the server (else: of clients) were handed on, over all
 * connections, and not one more. The last one asked for counts. */
void line_act_after(
	struct line *l, bool from_server, uint64_t octets, void (*action)(struct line *l));
/* Back to normal for new connections and for those that lost nothing. */
void line_resume(struct line *l);

struct line_stats {
	uint64_t to_client, to_server; /* octets handed on */
	/* Times a client sent something after it had received something, or at first: an exchange
	 * that was not pipelined costs one each. */
	uint64_t round_trips;
	uint64_t connections; /* accepted */
	uint64_t open;        /* now */
	uint64_t limits;      /* of line_act_after that were reached */
};
void line_stats(const struct line *l, struct line_stats *stats);
void line_reset_stats(struct line *l);

#endif
