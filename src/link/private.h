/* SPDX-License-Identifier: MIT */
/* The insides of a pool. */
#ifndef LINK_PRIVATE_H
#define LINK_PRIVATE_H

#include "link/backoff.h"
#include "link/conn.h"
#include "link/line.h"
#include "link/width.h"
#include "link/trouble.h"

/* With POOL_COMPRESS_AUTO: whether deflate brings more of the mail in the same time. */
enum pool_deflate { DEFLATE_UNTRIED, DEFLATE_TRIED, DEFLATE_PAYS, DEFLATE_COSTS };

/* How many connections the server lets us have. */
struct pool_limit {
	unsigned max;
	uint64_t until; /* uv_now; 0: max is what the user allows */
};

/* What is known of the server. */
struct pool_server {
	uint32_t capabilities, enabled;
	char *words;           /* the capabilities as the server wrote them, printable; or NULL */
	const char *login;     /* how the last that was ready was logged in; a constant */
	bool compress_refused; /* it offers COMPRESS, but said no */
	bool binding_refused;  /* the same for logins bound to TLS: each refusal costs seconds */
};

/* How fast its connections are; speed.c. */
struct pool_speed {
	struct width width;  /* connections that carry bulk tasks */
	uint64_t rate;       /* of the connection that last told, octets a second */
	uint64_t round_trip; /* nanoseconds; 0: not known */
	enum pool_deflate deflate;
	uint64_t plain_rate; /* before deflate was tried, octets a second */
};

/* While something has a deadline, about each second; tick.c. */
struct pool_tick {
	uv_timer_t timer;
	uint64_t due;  /* uv_now; 0: the timer is stopped */
	uint64_t last; /* uv_now */
	uint64_t held; /* pool_held at the last one */
};

/* Sees that the machine slept; tick.c. */
struct pool_sleep {
	uv_check_t check;
	int64_t known; /* how long it has slept in all, milliseconds */
};

/* Connections without a task IDLE; rest.c. */
struct pool_rest {
	uv_timer_t timer; /* while one of them does not IDLE yet */
	bool refused;     /* the server does not do it, or nobody wants it */
	unsigned losses;  /* connections in a row that were lost over it */
	uint64_t from;    /* uv_now: not before, after too many of them */
};

struct pool_shutdown {
	bool begun;
	uint64_t deadline; /* uv_now */
	pool_on_shut_down *on_done;
};

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
	unsigned foreseen; /* number of the last car */
	struct list cars;  /* of trains, that have no connection yet; see train.c */
	unsigned made;     /* connections so far */
	bool first_told;   /* how the first connection came out */
	bool owes_up;      /* on_up, in its next turn */
	struct pool_limit limit;
	struct pool_server server;
	struct pool_speed speed;
	bool no_trains;        /* the server does not bear them, see train.c */
	unsigned train_losses; /* connections in a row that were lost over one */
	struct backoff lives;  /* connections in a row that were of no use to anybody: lost soon, or
				 refused while other pools have some */
	struct trouble trouble;
	uint64_t renewed_at;     /* uv_now of the last login for a newer connection; 0: none */
	struct pool_counts past; /* of connections that are no more */
	struct pool_tick tick;
	struct pool_sleep sleep;
	struct pool_rest rest;
	uv_idle_t soon; /* runs pool_run once at the loop's next turn */
	struct pool_shutdown shutdown;
};

/* Nothing is under way on the connection but IDLE. */
static inline bool conn_is_free(const struct conn *c)
{
	return c->state == CONN_READY && c->tasks.count == 0 && !train_is_under_way(c);
}

static inline uint64_t conn_now(const struct conn *c)
{
	return uv_now(c->pool->loop);
}

/* --- pool.c --- */

/* Those that are not dead. */
unsigned pool_conn_count(const struct pool *p);
/* One more is allowed now. t: the task that it would be for, NULL: for none that waits. */
bool pool_may_connect(const struct pool *p, const struct pool_task *t);
/* Connections that tasks can use. */
unsigned pool_ready_count(const struct pool *p);
/* At the loop's next turn the waiting tasks are looked at. */
void pool_run_soon(struct pool *p);
/* The same for all pools of the line: what one has learnt concerns the others. */
void pool_run_all_soon(struct pool *p);
/* Takes the task from the waiting list and tells it. */
void pool_fail_task(struct pool_task *t, int err);
/* Fails the waiting tasks of the mailbox (NULL: of any) whose deadline is not after `due`. on_fail
 * may start new tasks: those go to the end of the list and are left alone. */
void pool_fail_waiting(struct pool *p, const struct mailbox *mailbox, int err, uint64_t due);

/* --- lives.c --- */

void lives_on_ready(struct conn *c);
void lives_on_dead(struct conn *c, int err, const char *text);
/* How a task ends says whether the connection, the line and what the task did are good. */
void lives_on_end(struct conn *c, const struct pool_task *t);
/* In the pool's turn: what on_up is to be told of. */
void lives_tell_owed(struct pool *p);
/* The first attempt failed: nothing is waited for. */
void lives_go_down(struct pool *p, int err, const char *text);
/* Fails who waits for a connection that there will be none for in time. */
void lives_fail_hopeless(struct pool *p);
/* A connection is not ready yet, in any pool. */
bool lives_is_trying(const struct line *line);

/* --- tick.c --- */

void tick_init(struct pool *p);
void tick_close(struct pool *p);
/* Something changed: sees to it that the timer runs when it is of use next. */
void tick_set(struct pool *p);

/* --- rest.c --- */

void rest_init(struct pool *p);
void rest_close(struct pool *p);
/* A connection has no task any more. */
void rest_later(struct pool *p);

/* --- place.c --- */

/* Connections lost over one thing before who wants it is told. */
#define TROUBLES_TOLD 3

/* What the task is if connections are lost over it. */
struct trouble_of place_trouble_of(const struct pool_task *t);
/* uv_now: not before that, since it was asked so, or since connections were lost over it. */
uint64_t place_not_before(const struct pool *p, const struct pool_task *t);
/* Connections that carry bulk tasks: of one mailbox, or with NULL of all. */
unsigned place_bulk_lines(const struct pool *p, const struct mailbox *mailbox);
/* A train will come for the task. */
bool place_is_foreseen(const struct pool *p, const struct pool_task *t);
/* Grants the waiting task a connection, or fails it: true then, it has left the waiting list. Else
 * sees to it that there will be one. */
bool place_try(struct pool *p, struct pool_task *t);

#endif
