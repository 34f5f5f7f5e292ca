/* One connection: a stream, a session on it, and the mailbox that is selected. Known to
 * pool.c and place.c only. */
#ifndef MAIL_CONN_H
#define MAIL_CONN_H

#include "mail/linerate.h"
#include "mail/pool.h"
#include "mail/token.h"
#include "mail/trouble.h"
#include "net/stream.h"

/* Milliseconds without a task. */
#define CONN_REST_AFTER 500

enum conn_state {
	CONN_CONNECTING, /* until the session is ready */
	CONN_PROVING,    /* NOOP sent, since others fell silent */
	CONN_READY,
	CONN_SELECTING,
	CONN_COMPRESSING, /* COMPRESS sent */
	CONN_CLOSING,     /* LOGOUT sent */
	CONN_DEAD,        /* to be freed by the pool */
};

/* Octets on the wire, and how often we spoke after the server had. */
struct conn_counts {
	uint64_t wire_in, wire_out, turns;
};

struct conn {
	struct list link; /* pool's conns */
	struct pool *pool;
	char name[32]; /* in logs */
	enum conn_state state;
	struct net_stream *stream;
	struct imap_session *session;
	uint64_t made_at, ready_at; /* uv_now; 0: the pool was not told yet */
	uint64_t state_at;          /* uv_now of the last change */
	bool deflated;              /* COMPRESS=DEFLATE is active */
	struct line_rate line_rate;
	uint64_t asked_at;   /* uv_hrtime, during the login: of what is not answered yet */
	uint64_t round_trip; /* the shortest of the login, nanoseconds; 0: not known */
	bool line_lost;      /* the stream ended, not the session by what the server said */
	int error;           /* why it is dead */
	uint64_t turns;
	bool heard;                /* since we last spoke */
	uint64_t heard_at;         /* uv_now of the last octets; 0: none ever */
	struct conn_counts closed; /* the stream's last, when it is no more */

	struct mailbox *mailbox; /* selected, or being selected */
	struct mailbox *next;    /* drain, then select this */
	bool next_writable;
	uint32_t next_uid; /* for conn_select */
	struct pool_selected selected;
	struct imap_command select, rights;
	unsigned select_pending;
	int select_error;
	bool select_lost; /* the connection went before the answer */

	/* What was under way first when the connection was lost. */
	bool blamed;
	struct trouble_of blame;

	struct token_wait token; /* for the login */

	uint32_t told;    /* highest UID that it was told of there, or asked for: see pool.h */
	uint32_t looking; /* `told` once the NOOP under way is answered */
	struct pool_task keeper; /* sends NOOP: to prove that it lives, or to be told */
	struct imap_command noop;
	struct imap_command rest; /* IDLE, while nobody wants anything of it */
	bool resting;
	struct list tasks; /* granted */
	unsigned task_count;
	unsigned bulk_count;         /* of these, bulk ones */
	struct pool_task *body_task; /* that claimed the body under way */
	uint64_t used;               /* uv_now of the last grant */
};

/* What a connection tells the pool; from the loop. */
void pool_on_conn_ready(struct conn *c);
void pool_on_conn_selected(struct conn *c, struct mailbox *mailbox, int err);
/* The answer to COMPRESS came. */
void pool_on_conn_compressed(struct conn *c);
void pool_on_conn_dead(struct conn *c, int err, const char *text);

struct conn_counts conn_counts(const struct conn *c);
const char *conn_state_name(const struct conn *c);
struct conn *conn_create(struct pool *p, unsigned number);
void conn_destroy(struct conn *c);
/* uid: one that is known to be in the mailbox now, or 0. 0, or ERR_NO_MAILBOX when it cannot be
 * selected any more: nothing is sent then. */
int conn_select(struct conn *c, struct mailbox *mailbox, bool writable, uint32_t uid);
/* The same as soon as no task is on the connection; until then it takes no more. */
void conn_select_next(struct conn *c, struct mailbox *mailbox, bool writable, uint32_t uid);
/* COMPRESS is to be sent before anything else, as soon as no task is on the connection. */
bool conn_wants_compress(const struct conn *c);
void conn_compress(struct conn *c);
/* It deflates, which costs more than it brings and cannot be ended: to be closed as soon as no task
 * is on it. */
bool conn_is_in_vain(const struct conn *c);
/* IDLE on its mailbox, when nobody has wanted anything of it for CONN_REST_AFTER: whoever wants
 * something next ends that with his command, and loses no turn by it. False: too early. */
bool conn_rest(struct conn *c);
/* NOOP, so that it is told of this UID, unless one is under way. */
void conn_look(struct conn *c, uint32_t uid);
void conn_grant(struct conn *c, struct pool_task *t);
/* It has been selecting its mailbox for longer than the timeout. */
bool conn_is_slow(const struct conn *c);
void conn_tick(struct conn *c);
/* uv_now when conn_tick is of use next; UINT64_MAX: not before something else happens. `soon` is
 * when that is soon. */
uint64_t conn_next_tick(const struct conn *c, uint64_t soon);
/* Has to answer a NOOP before it gets tasks (again); pool_on_conn_ready will tell. */
void conn_prove(struct conn *c);
/* It is lost, and this was under way. Only the first counts: servers work in order. */
void conn_blame(struct conn *c, const struct trouble_of *of);
void conn_logout(struct conn *c);
/* The server no longer agrees with us about this connection; everything on it fails. */
void conn_fail(struct conn *c, int err, const char *text);

#endif
