/* The insides of a pool, for pool.c, place.c and conn.c. */
#ifndef MAIL_POOL_PRIVATE_H
#define MAIL_POOL_PRIVATE_H

#include "mail/backoff.h"
#include "mail/conn.h"
#include "mail/line.h"
#include "mail/spread.h"
#include "mail/trouble.h"

/* With POOL_COMPRESS_AUTO: whether deflate brings more of the mail in the same time. */
enum pool_deflate { DEFLATE_UNTRIED, DEFLATE_TRIED, DEFLATE_PAYS, DEFLATE_COSTS };

struct pool {
	uv_loop_t *loop;
	struct pool_options options;
	struct pool_events events;
	void *ctx;
	struct line *line;    /* shared by the pools of the account */
	struct line own_line; /* of the first of them */
	struct list in_line;
	struct list waiting; /* tasks */
	struct list conns;
	uint64_t max_until; /* uv_now; 0: max is what the user allows */
	unsigned max;       /* connections that the server lets us have */
	unsigned numbers;   /* connections ever made */
	bool first_told, shutting_down;
	struct backoff lives; /* connections in a row that were lost soon, of no use to anybody */
	struct trouble trouble;
	uint32_t capabilities, enabled;
	enum pool_deflate deflate;
	struct spread spread;  /* of bulk tasks */
	uint64_t line_rate;    /* of the connection that last told, octets a second */
	uint64_t round_trip;   /* nanoseconds */
	uint64_t plain_rate;   /* of the line before it was tried, octets a second */
	uint64_t renewed_at;   /* uv_now of the last login for a young connection's sake; 0: none */
	bool rests;            /* connections without a task IDLE, see conn_rest */
	bool compress_refused; /* the server offers it, but said no */
	bool binding_refused;  /* the same for logins bound to TLS: each refusal costs seconds */
	char *capability_words;
	const char *login; /* how the last connection that was ready was logged in; a constant */
	struct conn_counts past; /* of connections that are no more */
	int64_t slept;           /* CLOCK_BOOTTIME less CLOCK_MONOTONIC, milliseconds */
	uv_timer_t tick;         /* while something has a deadline, about each second */
	uint64_t ticks_at;       /* uv_now; 0: it is stopped */
	uint64_t ticked_at;      /* uv_now */
	uv_timer_t rest;         /* while a connection without a task does not IDLE yet */
	uv_check_t wakes;        /* sees that the machine slept */
	uv_idle_t soon;          /* runs pool_run once at the loop's next turn */
	void (*on_shut_down)(void *ctx);
	uint64_t shutdown_deadline;
};

/* Of all connections so far. */
struct conn_counts pool_counts(const struct pool *p);
/* As the server wrote them. */
const char *pool_capability_words(const struct pool *p);
/* Those that are not dead. */
unsigned pool_conn_count(const struct pool *p);
/* One more is allowed now. t: the task that it would be for, NULL: for none that waits. */
bool pool_may_connect(const struct pool *p, const struct pool_task *t);
/* Connections that tasks can use. */
unsigned pool_ready_count(const struct pool *p);
/* Takes the task from the waiting list and tells it. */
void pool_fail_task(struct pool_task *t, int err);

/* --- place.c --- */

/* Connections lost over one thing before who wants it is told. */
#define TROUBLES_TOLD 3

/* What the task is if connections are lost over it. */
struct trouble_of place_trouble_of(const struct pool_task *t);
/* uv_now: not before that, since it was asked so, or since connections were lost over it. */
uint64_t place_not_before(const struct pool *p, const struct pool_task *t);
/* Connections that carry bulk tasks: of one mailbox, or with NULL of all. */
unsigned place_bulk_lines(const struct pool *p, const struct mailbox *mailbox);
bool place_is_young(const struct conn *c);
/* Grants the waiting task a connection, or fails it: true then, it has left the waiting list. Else
 * sees to it that there will be one. */
bool place_try(struct pool *p, struct pool_task *t);

#endif
