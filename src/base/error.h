/* SPDX-License-Identifier: MIT */
/*
 * The results of everything that can fail: 0 or one of these negative codes, ordered by how much
 * stops working. One function turns them into errno for the kernel.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>

enum error {
	ERR_OK = 0,
	/* One message. */
	ERR_GONE = -1002,       /* expunged, or never existed */
	ERR_UNREADABLE = -1001, /* the server refuses it or sends nonsense for it */
	/* One mailbox. */
	ERR_NO_MAILBOX = -1000,
	ERR_STALE = -999,     /* its UIDVALIDITY changed */
	ERR_READONLY = -998,  /* it, or the whole mount, is read-only */
	ERR_DENIED = -997,    /* the account lacks a right */
	ERR_UNSAFE = -996,    /* it could do harm to other mail */
	ERR_REFUSED = -995,   /* the server answered NO or BAD */
	ERR_PARTIAL = -994,   /* the server answered OK, but did it for some messages only */
	ERR_QUOTA = -980,     /* there is no room for it */
	ERR_TOO_LARGE = -979, /* the server takes no message of that size */
	ERR_UNSURE = -978,    /* whether it was done cannot be known, and it is not done again */
	ERR_EXISTS = -977,    /* there is one of that name */
	ERR_NOT_EMPTY = -976, /* it has messages, or mailboxes below it */
	ERR_BUSY = -975,      /* INBOX: it cannot go */
	ERR_TOO_LONG = -974,  /* the name */
	/* One connection, and with it perhaps the account. */
	ERR_NET = -993,       /* no name, no route, refused, reset, closed by BYE */
	ERR_TIMEOUT = -992,   /* no answer within the deadline */
	ERR_PROTOCOL = -991,  /* the octets cannot be IMAP, or framing is lost */
	ERR_TLS = -990,       /* handshake or certificate */
	ERR_AUTH = -989,      /* login refused */
	ERR_THROTTLED = -988, /* the server asks for patience */
	ERR_TOKEN = -981,     /* there is no token to log in with */
	/* Ourselves. */
	ERR_NOMEM = -987,
	ERR_LIMIT = -986,      /* a maximum of our own was exceeded */
	ERR_INVALID = -985,    /* what the user or the caller gave makes no sense */
	ERR_IO = -984,         /* a local file, the cache */
	ERR_DISK_FULL = -972,  /* the local one */
	ERR_NOT_CACHED = -983, /* only the network can tell */
	ERR_DAYLIMIT = -973,   /* as much has come from the server as the user allows for a day */
	/* Nobody's fault. */
	ERR_CANCELED = -982,
};

/* No server was reached: later one may be. */
bool error_is_outage(int err);
/* One of a connection, or of what may come over it today: it says nothing of a mailbox or of a message. */
bool error_is_connection(int err);
/* The errno (positive) that a filesystem call ends with. */
int error_errno(int err);
/* A few lower-case words for logs: "timed out". Never NULL. */
const char *error_text(int err);

#endif
