/* SPDX-License-Identifier: MIT */
/*
 * The command line: imapfs [options] SOURCE MOUNTPOINT, options before, between or behind the
 * arguments, as mount(8) and fstab write them; and what the file of accounts says of SOURCE.
 */
#ifndef APP_OPTIONS_OPTIONS_H
#define APP_OPTIONS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "imap/sasl.h"
#include "app/options/source.h"

/* The process's exit status; the manual lists them. */
enum exit_status {
	EXIT_STATUS_OK = 0,
	EXIT_STATUS_USAGE = 1,    /* the command line */
	EXIT_STATUS_CONNECT = 2,  /* name, network, timeout */
	EXIT_STATUS_TLS = 3,      /* handshake or certificate */
	EXIT_STATUS_LOGIN = 4,    /* refused, or no password to be had */
	EXIT_STATUS_MOUNT = 5,    /* the mountpoint, or mounting itself */
	EXIT_STATUS_CACHE = 6,    /* the directory of the cache, or of the state, cannot be used */
	EXIT_STATUS_INTERNAL = 7, /* out of memory and the like */
	EXIT_STATUS_NOT_DONE = 8, /* --sync: something was refused, or waits */
};

enum options_compress { COMPRESS_AUTO, COMPRESS_ON, COMPRESS_OFF };
/* What to think of the sizes that the server states. */
enum options_sizes { OPTIONS_SIZES_AUTO, OPTIONS_SIZES_TRUST, OPTIONS_SIZES_VERIFY };

struct options {
	bool help, version; /* -h, -V: nothing but these is set */
	bool foreground;    /* -f or -d */
	bool debug;
	bool check;   /* --check: look at everything; then mountpoint may be NULL */
	bool fake;    /* mount -f: all but mounting */
	bool remount; /* only ro of a mount that is there is changed */
	bool ro;
	bool offline; /* implies ro */
	bool subscribed;
	bool has_uid, has_gid;
	uid_t uid;
	gid_t gid;
	mode_t fmask, dmask; /* bits taken from the mode of files and of directories */

	char *name;               /* of the account in the file of accounts; NULL: none */
	char *setuid;             /* NULL; else who is to mount instead of root */
	struct source source;     /* user is always set */
	bool is_address;          /* SOURCE may be an address, whose host is but a domain */
	bool bare_name;           /* SOURCE may have been meant as the name of an account */
	char *account;            /* user@host, for people */
	char *identity;           /* the same with the port and authzid=: whose mail it is */
	char *mountpoint;         /* this and the other paths are absolute */
	char *passfile;           /* this and those that follow may be NULL */
	char *passcmd;            /* words_split takes it */
	char *netrc;              /* NULL: there is no home directory to have one */
	bool netrc_given;         /* else it need not exist, nor have this account */
	char *tokencmd;           /* as passcmd; at most one of these four is given */
	enum imap_mechanism auth; /* IMAP_AUTH_ANY: the strongest */
	char *authzid;            /* NULL: the user */
	char *certfile, *keyfile; /* both or none */
	bool without_password;    /* the login needs none */
	char *cafile;
	char *tls_priority; /* for GnuTLS; NULL: its own choice */
	bool has_fingerprint;
	unsigned char fingerprint[32]; /* SHA-256 of the server's certificate */
	char *cache;                   /* the account's directory; need not exist */
	char *statedir;                /* the same for what must not be lost; NULL with
					   ro, unless there is a daylimit */
	uint64_t cache_size;           /* octets */
	uint64_t bwlimit;              /* octets a second, each way; 0: as many as there are */
	uint64_t daylimit;             /* octets from the server a day; 0: any */
	unsigned timeout;              /* seconds */
	unsigned refresh;              /* seconds */
	unsigned connections;
	enum options_compress compress;
	enum options_sizes sizes;
	bool seen;
	bool sync;
	enum options_delete {
		OPTIONS_DELETE_EXPUNGE,
		OPTIONS_DELETE_TRASH,
		OPTIONS_DELETE_NEVER
	} delete;
	char *trash; /* as a path; NULL: the server says which */
	bool expunge_force;
	bool list_views; /* at the root */
	enum options_layout {
		OPTIONS_LAYOUT_PLAIN,
		OPTIONS_LAYOUT_MAILDIR,
		OPTIONS_LAYOUT_NAMED
	} layout;
	char *suffix;        /* of messages' names; "" for none */
	char *mount_options; /* for -o of libfuse: separated by commas, escaped; never empty */
};

/* found: what stands in the place of SOURCE, or NULL. Returns 0, or an error and one line in error.
 * On success o is to be options_finish'ed. Reads the environment, the user database, the current
 * directory, and the file of accounts. */
int options_parse(
	int argc, char **argv, const char *found, struct options *o, char *error, size_t size);
void options_finish(struct options *o);

void options_print_help(FILE *out);
void options_print_version(FILE *out);
/* "0.1.0" */
const char *options_version(void);

#endif
