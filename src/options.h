/*
 * The command line: imapfs [options] SOURCE MOUNTPOINT, options before, between or behind the
 * arguments, as mount(8) and fstab write them.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "imap/sasl.h"
#include "source.h"

/* The process's exit status; the manual lists them. */
enum exit_status {
	EXIT_STATUS_OK = 0,
	EXIT_STATUS_USAGE = 1,    /* the command line */
	EXIT_STATUS_CONNECT = 2,  /* name, network, timeout */
	EXIT_STATUS_TLS = 3,      /* handshake or certificate */
	EXIT_STATUS_LOGIN = 4,    /* refused, or no password to be had */
	EXIT_STATUS_MOUNT = 5,    /* the mountpoint, or mounting itself */
	EXIT_STATUS_CACHE = 6,    /* the cache directory cannot be used */
	EXIT_STATUS_INTERNAL = 7, /* out of memory and the like */
};

enum options_compress { COMPRESS_AUTO, COMPRESS_ON, COMPRESS_OFF };
/* What to think of the sizes that the server states. */
enum options_sizes { OPTIONS_SIZES_AUTO, OPTIONS_SIZES_TRUST, OPTIONS_SIZES_VERIFY };

struct options {
	bool help, version; /* -h, -V: nothing but these is set */
	bool foreground;    /* -f or -d */
	bool debug;
	bool ro;
	bool offline; /* implies ro */
	bool subscribed;
	bool has_uid, has_gid;
	uid_t uid;
	gid_t gid;
	mode_t fmask, dmask; /* bits taken from the mode of files and of directories */

	struct source source;     /* user is always set */
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
	uint64_t cache_size;           /* octets */
	unsigned timeout;              /* seconds */
	unsigned refresh;              /* seconds */
	unsigned connections;
	enum options_compress compress;
	enum options_sizes sizes;
	bool expunge_force;
	char *suffix;        /* of messages' names; "" for none */
	char *mount_options; /* for -o of libfuse: separated by commas, escaped; never empty */
};

/* Returns 0, or ERR_INVALID and one line in error. On success o is to be options_finish'ed. Reads
 * the environment, the user database and the current directory. */
int options_parse(int argc, char **argv, struct options *o, char *error, size_t size);
void options_finish(struct options *o);

void options_print_help(FILE *out);
void options_print_version(FILE *out);

#endif
