/* SPDX-License-Identifier: MIT */
/* One connection: a stream, a session on it, and the mailbox that is selected. Known in link/ only.
 */
#ifndef LINK_CONN_H
#define LINK_CONN_H

#include "link/rate.h"
#include "link/pool.h"
#include "link/token.h"
#include "link/trouble.h"
#include "net/stream.h"

/* Timeouts for which a mailbox may take to be selected, and for which a server that says that it is
 * still at it is believed. */
#define CONN_PATIENCE 10

enum conn_state {
	CONN_CONNECTING, /* until the session is ready */
	CONN_CONFIRMING, /* NOOP sent, since others fell silent */
	CONN_READY,
	CONN_SELECTING,
	CONN_COMPRESSING, /* COMPRESS sent */
	CONN_CLOSING,     /* LOGOUT sent */
	CONN_DEAD,        /* to be freed by the pool */
};

/* What goes over the stream; conn.c. */
struct conn_wire {
	uint64_t heard_at;         /* uv_now of the last octets; 0: none ever */
	bool heard;                /* since we last spoke */
	uint64_t turns;            /* how often we spoke after that */
	bool deflated;             /* COMPRESS=DEFLATE is active */
	bool uploads;              /* octets of a source are on their way */
	uint64_t taken;            /* octets that the server's machine had taken at the last look */
	uint64_t held;             /* net_stream_held at the last look */
	bool lost;                 /* the stream ended, not the session by what the server said */
	struct pool_counts closed; /* the stream's last, when it is no more */
};

/* How fast it is; speed.c. */
struct conn_speed {
	struct rate rate;
	uint64_t asked_at;   /* uv_hrtime, during the login: of what is not answered yet */
	uint64_t round_trip; /* the shortest of the login, nanoseconds; 0: not known */
};

/* The mailbox that is selected, or being selected, and what the server told of it to this
 * connection. */
struct conn_view {
	struct mailbox *mailbox; /* NULL: none */
	struct pool_selected selected;
	uint32_t told;  /* highest UID that it was told of, or asked for: see pool.h */
	uint32_t asked; /* `told` once the NOOP under way is answered */
};

/* What is to be selected when the tasks have ended. */
struct conn_next {
	struct mailbox *mailbox; /* NULL: nothing */
	bool writable;
	uint32_t uid; /* for select_begin */
};

/* Selecting; select.c. */
struct conn_selecting {
	struct imap_command command, rights; /* SELECT or EXAMINE, and MYRIGHTS behind it */
	unsigned pending;                    /* of these */
	enum imap_outcome outcome;           /* of the first */
	int error;
};

/* One of the mailboxes that are selected one behind the other; train.c. */
struct conn_train {
	struct list cars; /* the first is what is being selected, or is selected */
};

/* NOOP: to confirm that it is alive, or to be told of new messages; noop.c. */
struct conn_noop {
	struct pool_task task;
	struct imap_command command;
};

/* IDLE while nobody wants anything of it; rest.c. */
struct conn_rest {
	struct imap_command command;
	bool under_way;
	uint64_t since; /* uv_now when IDLE was sent */
};

/* The tasks that it was granted to. */
struct conn_tasks {
	struct list list;
	unsigned count;
	unsigned bulk;          /* of these, bulk ones */
	unsigned alone;         /* of these, those that want nobody beside them */
	struct pool_task *body; /* the one that claimed the body under way */
	uint64_t granted_at;    /* uv_now of the last grant; 0: none ever */
};

/* What was under way first when the connection was lost. */
struct conn_blame {
	bool any;
	struct trouble_of of;
};

struct conn {
	struct list link; /* pool's conns */
	struct pool *pool;
	unsigned number; /* of its pool's, in the order in which they were made */
	char name[32];   /* in logs */
	enum conn_state state;
	uint64_t state_at; /* uv_now of its last change */
	uint64_t made_at;  /* uv_now */
	uint64_t ready_at; /* uv_now; 0: the pool was not told yet that it is ready */
	struct net_stream *stream;
	struct imap_session *session;
	struct token_wait token; /* for the login */
	struct conn_wire wire;
	struct conn_speed speed;
	struct conn_view view;
	struct conn_next next;
	struct conn_selecting selecting;
	struct conn_train train;
	struct conn_noop noop;
	struct conn_rest rest;
	struct conn_tasks tasks;
	struct conn_blame blame;
};

/* --- conn.c --- */

/* Makes a connection of the pool, which frees it when it is dead. */
void conn_create(struct pool *p, unsigned number);
void conn_destroy(struct conn *c);
void conn_set_state(struct conn *c, enum conn_state state);
const char *conn_state_name(const struct conn *c);
struct pool_counts conn_counts(const struct conn *c);
/* The login is over, and nothing is under way: on to COMPRESS, or it is ready. */
void conn_go_on(struct conn *c);
void conn_grant(struct conn *c, struct pool_task *t);
void conn_tick(struct conn *c);
/* uv_now when conn_tick is of use next; UINT64_MAX: not before something else happens. `soon` is
 * when that is soon. */
uint64_t conn_next_tick(const struct conn *c, uint64_t soon);
/* It is lost, and this was under way. Only the first counts: servers work in order. */
void conn_blame(struct conn *c, const struct trouble_of *of);
void conn_logout(struct conn *c);
/* The server no longer agrees with us about this connection; everything on it fails. */
void conn_fail(struct conn *c, int err, const char *text);

/* --- select.c --- */

/* uid: one that is known to be in the mailbox now, or 0. 0, or ERR_NO_MAILBOX when it cannot be
 * selected any more: nothing is sent then. */
int select_begin(struct conn *c, struct mailbox *mailbox, bool writable, uint32_t uid);
/* Makes the command that selects the mailbox; false when it cannot be selected any more: then there
 * is none. */
bool select_build(struct conn *c, struct imap_command *command, struct mailbox *mailbox,
	bool writable, imap_command_done *on_done);
/* The same as soon as no task is on the connection; until then it takes no more. */
void select_next(struct conn *c, struct mailbox *mailbox, bool writable, uint32_t uid);
/* The server has answered, with this error: the view is that of the mailbox (true), or of none, and
 * who waits for it fails. */
bool select_settle(struct conn *c, int err);
/* What the server says while it selects. */
void select_note(struct conn *c, const struct imap_response *r);
/* What it has said so far is of the mailbox before. */
void select_forget(struct conn *c);
/* It has been selecting its mailbox for longer than the timeout. */
bool select_is_slow(const struct conn *c);
void select_tick(struct conn *c);

/* --- train.c --- */

/* Mailboxes are selected one behind the other, and what is in them is asked for unseen. */
bool train_is_under_way(const struct conn *c);
/* Whether it will come to the mailbox, for tasks that are foreseen; the same of one that has no
 * connection yet. */
bool train_goes_to(const struct conn *c, const struct pool_task *t);
bool train_is_awaited(const struct pool *p, const struct pool_task *t);
/* EXAMINE of the mailbox, and behind it these commands (each with its CRLF), which tasks that wait
 * for the mailbox will submit, are to be sent when there is a connection for that (train_run). */
unsigned train_add(struct pool *p, struct mailbox *mailbox, const char *const *commands, size_t n);
/* The same, as a train of its own, at once: 0 where no connection is free. */
unsigned train_leave(
	struct pool *p, struct mailbox *mailbox, const char *const *commands, size_t n);
/* How many have no connection yet. */
size_t train_count_waiting(const struct pool *p);
/* Sends what can be sent now. wanted: a connection that has no train yet is left to others unless
 * somebody waits for the first mailbox. */
void train_run(struct pool *p, bool wanted);
/* Mailboxes that are under way. */
unsigned train_length(const struct conn *c);
/* Untagged data, before anybody sees it. True: it came out of order, and the connection is lost. */
bool train_loses_order(struct conn *c, const struct imap_response *r);
/* The connection is lost. */
void train_on_lost(struct conn *c, int err);
/* For a command of a task on it: true, it was foreseen, or cannot be sent and will be lost. */
bool train_submit(struct conn *c, struct imap_command *command);
/* The session's event. */
void train_on_selecting(struct conn *c, struct imap_command *command);
/* Mailboxes that have died are no longer in it. */
void train_forget_dead(struct pool *p);
/* What was sent for that mailbox had its old name: whoever waits for it is placed otherwise. */
void train_forget(struct pool *p, const struct mailbox *mailbox);
void train_each_mailbox(
	const struct pool *p, void (*f)(void *ctx, struct mailbox *mailbox), void *ctx);
/* Those of a connection that is no more; those that have none. */
void train_finish(struct conn *c);
void train_forget_waiting(struct pool *p);

/* --- speed.c --- */

/* Octets have arrived, and were an answer if one was due. */
void speed_note_round_trip(struct conn *c);
/* So many octets have arrived and were handed out. */
void speed_note(struct conn *c, size_t octets);
/* COMPRESS is to be sent before anything else, as soon as no task is on the connection. */
bool speed_wants_deflate(const struct conn *c);
void speed_deflate(struct conn *c);
/* It deflates, which costs more than it brings and cannot be ended: to be closed as soon as no task
 * is on it. */
bool speed_is_in_vain(const struct conn *c);

/* --- noop.c --- */

/* Milliseconds of silence after which a connection that rests is asked for a sign of life. */
#define NOOP_KEEP_ALIVE ((uint64_t)2 * 60 * 1000)

/* It has to answer before it gets tasks (again); lives_on_ready follows. */
void noop_confirm(struct conn *c);
/* So that it is told of this UID, unless one is under way. */
void noop_look(struct conn *c, uint32_t uid);
/* Whatever comes of it. Nothing else may be under way. */
void noop_send(struct conn *c);
/* Where nothing else would tell that the line is dead, or what happened in the mailbox. */
void noop_keep_alive(struct conn *c);

#endif
