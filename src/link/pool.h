/* SPDX-License-Identifier: MIT */
/*
 * The connections of an account and who may use them. Whoever needs the server starts a task; the
 * task is granted a connection that has its mailbox selected, submits commands there, sees the
 * untagged data, and ends. Up to POOL_DEPTH tasks share a connection; while one is on it the
 * mailbox is not switched.
 *
 * on_conn and on_fail are called from the loop, never from inside pool_start. A task that
 * was granted a connection always gets its commands completed, also when the connection is lost
 * (IMAP_LOST then), and must call pool_end before or when its last command is
 * completed.
 *
 * Each connection has a view of its own of the mailbox that it has selected: a message exists there
 * once the server has told that connection of it, and not before (to a FETCH, STORE or EXPUNGE of a
 * UID that it was not told of, a server answers OK and does nothing). So a task that is about
 * messages says which:
 *
 *   t.uid             the highest UID that it needs. It is granted a connection that was told of
 *                     that (UIDNEXT at SELECT, a FETCH row), or whose server was asked by NOOP,
 *                     and has answered, since the task waits. May be changed while it waits.
 *   t.selected_after  for who got no answer all the same: the mailbox must have been selected
 *                     since then, which no view can outlive (pool_selection_now() says now).
 *   pool_is_told      whether a granted task's connection covers another UID, found out about
 *                     meanwhile. If not: end, and start again with that uid.
 */
#ifndef LINK_POOL_H
#define LINK_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "imap/session.h"

struct conn;
struct mailbox;
struct net_throttle;
struct net_tls;
struct pool;
struct pool_task;
struct token_source;

/* Exchange answers about 50 pipelined commands with BAD; 16 fill any line that was measured. */
#define POOL_DEPTH 16

/* COMPRESS=DEFLATE, where the server offers it. AUTO: once a line has proved slow. */
enum pool_compress { POOL_COMPRESS_AUTO, POOL_COMPRESS_ON, POOL_COMPRESS_OFF };

enum pool_tls { POOL_TLS_IMPLICIT, POOL_TLS_STARTTLS, POOL_TLS_NONE };

struct pool_options {
	const char *host;
	uint16_t port;
	struct imap_login_as login;
	struct token_source *tokens; /* where login.token says so */
	enum pool_tls mode;
	struct net_tls *tls;           /* NULL with POOL_TLS_NONE */
	struct net_throttle *throttle; /* bounds what all connections carry; NULL: nothing does */
	uint64_t *received;            /* counts octets that came by any of them; or NULL */
	enum pool_compress compress;
	uint64_t timeout;     /* milliseconds */
	unsigned connections; /* at most */
	bool quiet;           /* failures are no news for the user */
	bool offline;         /* never connect */
};

/* Milliseconds from one login that is made to have a newer connection to the next. */
#define POOL_RENEWAL ((uint64_t)60 * 1000)

struct pool_events {
	/* Once, when the first connection is ready, or when it could not be made. text: one line
	 * for people, NULL when err is 0. */
	void (*on_first)(void *ctx, int err, const char *text);
	/* Optional: a connection is ready after the first could not be made, or after none was for
	 * a while, or after one fell silent. */
	void (*on_up)(void *ctx);
	/* A SELECT's or EXAMINE's answer; returns 0, or ERR_STALE when this is not the mailbox that
	 * it was. */
	int (*on_selected)(void *ctx, struct mailbox *mailbox, struct conn *conn);
	/* Optional: the server refused it in these words; true when somebody says so to people. */
	bool (*on_refused)(void *ctx, struct mailbox *mailbox, struct span text);
	/* The raw name that SELECT needs and, appended to parameters, what goes behind it (a
	 * QRESYNC parameter); false when the mailbox is no more. */
	bool (*on_select)(void *ctx, const struct mailbox *mailbox, struct span *name,
		struct buf *parameters);
	/* Untagged data in a selected mailbox; before the tasks see it. While SELECT is under way
	 * only VANISHED (EARLIER), which can be of no other mailbox than the new one, and FETCH
	 * where that is so, see pool_selected.is_alone. */
	void (*on_untagged)(void *ctx, struct mailbox *mailbox, struct conn *conn,
		const struct imap_response *r, uint32_t uid);
	/* All that one read from the network brought has been handed out. */
	void (*on_batch)(void *ctx, struct mailbox *mailbox);
	/* Whether it was deleted, or has another UIDVALIDITY now. */
	bool (*is_dead)(const struct mailbox *mailbox);
	/* Its path, for people; valid until the next call. */
	const char *(*path)(const struct mailbox *mailbox);
	/* Optional: whether octets of messages may be fetched now. */
	bool (*may_fetch)(void *ctx);
};

/* What SELECT or EXAMINE said. */
struct pool_selected {
	uint64_t asked;                /* uv_hrtime when it was sent */
	bool writable;                 /* asked by SELECT */
	bool readonly;                 /* the server said READ-ONLY to a SELECT */
	uint32_t uidvalidity, uidnext; /* 0: not said */
	bool resyncs;                  /* on_select gave it a QRESYNC parameter */
	bool is_alone; /* no other mailbox was selected, or [CLOSED] has come since: what comes
			  while SELECT is under way is of this one */
	uint64_t highestmodseq;
	bool has_permanentflags;
	unsigned permanentflags;
	bool has_rights; /* by MYRIGHTS */
	bool can_delete; /* rights t and e */
};

enum pool_access {
	POOL_NO_MAILBOX, /* any connection will do */
	POOL_READ,       /* EXAMINE is enough */
	POOL_WRITE,      /* SELECT */
};

typedef void pool_task_conn(struct pool_task *t);
typedef void pool_task_fail(struct pool_task *t, int err);
typedef void pool_task_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid);
typedef bool pool_task_body_begin(
	struct pool_task *t, const struct imap_fetch *prefix, uint32_t uid, uint64_t size);
typedef void pool_task_body_data(struct pool_task *t, struct span octets);

struct pool_task {
	struct list link; /* the pool's */
	struct mailbox *mailbox;
	enum pool_access access;
	uint32_t uid; /* the highest UID that the connection must have been told of; 0: none */
	uint64_t selected_after; /* uv_hrtime: the mailbox must have been selected since; 0: ever */
	bool bulk;               /* nobody waits for it: others go first */
	bool fetches;            /* octets of messages: fails with ERR_DAYLIMIT where none may be */
	bool alone;              /* it keeps its connection busy for long: nobody else is put on it,
				    where there can be another */
	unsigned foreseen;    /* pool_foresee's number: it is granted the connection that comes to
				    its mailbox, where any other command than what was foreseen is
				    lost. 0: none */
	bool only_foreseen;   /* nobody waits for it: it fails when that does not come */
	unsigned newer_than;  /* pool_made of before: wants a connection that was made since, see
				pool_number; 0: any */
	bool patient;         /* waits as long as it takes: no outage fails it */
	uint64_t not_before;  /* uv_now; 0: at once. See pool_delay */
	uint64_t deadline;    /* uv_now; on_fail with ERR_TIMEOUT when not granted by then */
	uint64_t progress_by; /* uv_now; while granted: else the connection counts as dead, whatever
				 it says. The owner moves it; 0: none */
	struct conn *conn;    /* once granted */
	uint64_t granted_at;  /* uv_now */
	pool_task_conn *on_conn;
	pool_task_fail *on_fail;
	/* For tasks that hold a connection without a command under way: it is lost, end. */
	pool_task_fail *on_lost;
	/* Optional. uid as in imap_session_events. */
	pool_task_untagged *on_untagged;
	/* Optional: true claims the body; its data follow, and its row to on_untagged. */
	pool_task_body_begin *on_body_begin;
	/* The same of BODY[section]: prefix->section says which. */
	pool_task_body_begin *on_section_begin;
	pool_task_body_data *on_body_data;
};

/* Octets on the wire, and how often we spoke after the server had. */
struct pool_counts {
	uint64_t wire_in, wire_out, turns;
};

/* A connection, for people. */
struct pool_connection {
	const char *name, *state;
	const struct mailbox *mailbox; /* selected, or being selected; NULL: none */
	unsigned tasks;
	struct pool_counts counts;
	bool deflated;
};

/* events: on_first may be NULL. */
struct pool *pool_create(uv_loop_t *loop, const struct pool_options *options,
	const struct pool_events *events, void *ctx);
/* One more beside another, which must live longer: both share what is known of the line to the
 * server, and one back-off. */
struct pool *pool_create_beside(struct pool *main, const struct pool_options *options,
	const struct pool_events *events, void *ctx);
/* Makes the first connection; on_first will tell. When it could not be made the pool counts as down
 * (pool_is_down) and keeps trying. */
void pool_connect(struct pool *p);
/* LOGOUT everywhere; on_done is called from the loop when all connections are closed, after at most
 * a second. Waiting tasks fail with ERR_CANCELED. */
typedef void pool_on_shut_down(void *ctx);
void pool_shutdown(struct pool *p, pool_on_shut_down *on_done);
/* After the loop has closed what pool_shutdown left. */
void pool_destroy(struct pool *p);

void pool_start(struct pool *p, struct pool_task *t);
/* For a task that was just started: not before so many milliseconds; its deadline moves along. */
void pool_delay(struct pool_task *t, struct pool *p, uint64_t delay);
/* The task is done with its connection. */
void pool_end(struct pool_task *t);
/* For a granted task, before its end: the connection takes no more tasks, and selects its mailbox
 * anew when it has done those that it has. */
void pool_select_anew(struct pool_task *t);
/* The same for all connections with a mailbox that is wanted and with nothing else to select next;
 * on_begun is called for each. */
void pool_select_all_anew(struct pool *p, bool (*wanted)(const struct mailbox *mailbox),
	void (*on_begun)(struct mailbox *mailbox));
/* The same for the connections that have this one selected, or select it now: it may be another by
 * that name. */
void pool_select_named_anew(struct pool *p, const struct mailbox *mailbox);
/* Work on another mailbox than the one that is selected (STATUS): only the task knows which one it
 * is that the connection is lost over. Whether that may be tried, or has to wait since connections
 * were lost over it. */
bool pool_may_ask(const struct pool *p, const struct pool_task *t, const struct mailbox *mailbox);
/* For a granted task: the server answered, or the connection was lost before. */
void pool_note_asked(struct pool_task *t, const struct mailbox *mailbox, bool lost);
/* Mailboxes have died: waiting tasks of them fail with err, connections forget them. */
void pool_forget_dead(struct pool *p, int err);
/* The mailbox is about to be freed: another may soon be where it was. */
void pool_forget_freed(struct pool *p, const struct mailbox *mailbox);
/* Calls f for each mailbox that a connection or a task points at, perhaps more than once. */
void pool_each_mailbox(const struct pool *p, void (*f)(void *ctx, struct mailbox *mb), void *ctx);

/* What the other connections have selected by this name is another mailbox now. */
void pool_forget_elsewhere(struct pool *p, struct mailbox *mailbox, const struct conn *but);

/* The mailbox has another name on the server: no connection has it selected any more, and what was
 * under way there is lost (IMAP_LOST). For tasks that do not hold such a connection themselves. */
void pool_forget_renamed(struct pool *p, struct mailbox *mailbox);
/* Whether a connection may have it open on the server: it has it selected, or selects it, or had
 * selected what is forgotten here. */
bool pool_may_have_open(const struct pool *p, const struct mailbox *mailbox);

/* Whether the mailbox can be selected, and asked in, ahead of its turn, and need be. NULL: whether any
 * can. */
bool pool_may_foresee(const struct pool *p, const struct mailbox *mailbox);
#define POOL_FORESEEN_MAX 2
/* Sends EXAMINE of the mailbox and these commands (UID FETCH, CRLF included) behind what was
 * foreseen before. The number is for tasks that wait for the mailbox and will submit them (`foreseen`,
 * before the loop's next turn). 0, and nothing is sent, when that cannot be now. */
unsigned pool_foresee(
	struct pool *p, struct mailbox *mailbox, const char *const *commands, size_t n);
/* The same for who waits: only where the mailbox would have to be selected, and on a connection that is
 * free now. */
unsigned pool_foresee_now(
	struct pool *p, struct mailbox *mailbox, const char *const *commands, size_t n);
/* For what is foreseen, which no task of its own stands for yet: whether octets of messages may be
 * fetched. */
bool pool_may_fetch(const struct pool *p);
/* Whether the server takes that, as far as is known; and that it does not. */
bool pool_bears_trains(const struct pool *p);
void pool_take_no_trains(struct pool *p);

/* For granted tasks. */
void pool_submit(struct pool_task *t, struct imap_command *c);
/* Builds a command of one line, in the place of the one before, and submits it. */
void pool_send(struct pool_task *t, struct imap_command *c, imap_command_done *on_done,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The source of a command has octets again that it had not before: see imap_session_go_on. */
void pool_go_on(struct pool_task *t);
/* See imap_session_abandon. */
void pool_abandon(struct pool_task *t, struct imap_command *c);
/* Whether the connection was told of the UID, or was asked since it was known: what it says of that
 * message, or does not say, counts. */
bool pool_is_told(const struct pool_task *t, uint32_t uid);
/* For selected_after: selections from now on. */
uint64_t pool_selection_now(void);
/* Whether what does not say which command it answers is most likely this one's. */
bool pool_is_next(const struct pool_task *t, const struct imap_command *c);
/* IDLE (imap_session_end_idle, imap_session_tells) on a granted task's connection. */
void pool_end_idle(struct pool_task *t);
bool pool_tells(const struct pool_task *t);
/* A server may go on to tell a connection what was true when it began (Dovecot 2.3, of names). So
 * connections have numbers, rising from 1, and a task may ask for one that is newer than those made
 * so far. One more is logged in for that, at most one in POOL_RENEWAL; else it is the newest. */
unsigned pool_made(const struct pool *p);
unsigned pool_number(const struct pool_task *t);       /* of a granted task's connection */
uint64_t pool_logged_in_at(const struct pool_task *t); /* uv_now, the same one's */
uint64_t pool_renews_at(const struct pool *p); /* uv_now: from then on one more may be had so */
/* The task's connection is of no use any more: closes it. on_lost, or the end of the commands,
 * follows from within. */
void pool_drop(struct pool_task *t, const char *why);
/* Octets that a reader who goes on should be kept ahead by: see rate_lead. */
uint64_t pool_lead(const struct pool *p);
uint32_t pool_capabilities(const struct pool *p); /* of the last connection that was ready */
bool pool_enabled(const struct pool *p, uint32_t capability);
/* Messages that the server does in one command (MESSAGELIMIT), 0: all. */
uint32_t pool_message_limit(const struct pool *p);
/* What the server is known for; for people. */
const char *pool_capability_words(const struct pool *p);
const char *pool_login_name(const struct pool *p); /* NULL: none was logged in yet */
const char *pool_trouble(const struct pool *p);    /* one line, "": none */
/* Of all connections so far. */
struct pool_counts pool_counts(const struct pool *p);
void pool_each_connection(const struct pool *p,
	void (*f)(void *ctx, const struct pool_connection *connection), void *ctx);

bool conn_literal_plus(const struct conn *c);
/* See imap_literal_is_free. */
bool conn_literal_is_free(const struct conn *c, uint64_t size);
bool conn_has_selected(const struct conn *c, const struct mailbox *mailbox);
/* What the server said of the mailbox that is selected. */
const struct pool_selected *conn_selected(const struct conn *c);
/* Messages in the selected mailbox so far. */
uint32_t conn_exists(const struct conn *c);
/* The UID of a message number there; 0: not said yet. */
uint32_t conn_uid(const struct conn *c, uint32_t seq);
/* No server can be reached, for longer than the timeout. */
bool pool_is_down(const struct pool *p);
/* The server is reached again since then (uv_now). */
bool pool_is_back_since(const struct pool *p, uint64_t then);
/* None is reached at the moment, and the last attempt failed or the last connection fell silent: to
 * wait for it is likely to be in vain. */
bool pool_is_unsure(const struct pool *p);
/* Milliseconds, in all, during which octets waited for the throttle: who waits meanwhile is late
 * through no fault of the server. */
uint64_t pool_held(const struct pool *p);
/* A login waits for our own token, not for the server. */
bool pool_awaits_token(const struct pool *p);

#endif
