/* -h and -V. Short: the manual explains. */
#include "options.h"

void options_print_version(FILE *out)
{
	fputs("imapfs " IMAPFS_VERSION "\n", out);
}

static const char help[] =
	"usage: imapfs [options] SOURCE MOUNTPOINT\n"
	"       imapfs --status MOUNTPOINT\n"
	"\n"
	"Mounts an IMAP account: folders are directories, messages are files.\n"
	"\n"
	"SOURCE\n"
	"    [user@]host[:mailbox]             TLS, port 993\n"
	"    imaps://user@host:port/mailbox    TLS, port 993\n"
	"    imap://user@host:port/mailbox     STARTTLS, port 143\n"
	"\n"
	"Options\n"
	"    -o opt[,opt...]   see below\n"
	"    -f                stay in the foreground\n"
	"    -d                the same, and show the protocol (without secrets)\n"
	"    -s                accepted: one thread is all there is\n"
	"    -h                this help\n"
	"    -V                the version\n"
	"\n"
	"    -o ro             nothing can be deleted (the opposite is rw, the default)\n"
	"    -o offline        only what the cache holds, never connecting\n"
	"    -o subscribed     only the mailboxes that are subscribed\n"
	"    -o suffix=.EXT    behind the name of each message, as .eml\n"
	"\n"
	"    -o passfile=FILE  the password is its first line; nobody else may read it\n"
	"    -o passcmd=CMD    the password is the first line that it prints\n"
	"    -o netrc=FILE     the password is in it (without any of these: ~/.netrc, or asked "
	"for)\n"
	"\n"
	"    -o tokencmd=CMD   OAuth: the token is the first line that it prints\n"
	"    -o certfile=FILE, keyfile=FILE\n"
	"                      a client certificate (PEM); without keyfile= both are in one\n"
	"    -o auth=MECHANISM to log in by (default: the strongest that the server offers)\n"
	"    -o authzid=NAME   whose mail it is, when the user may act as another\n"
	"\n"
	"    -o tls=MODE       implicit, starttls, or none: plain text\n"
	"    -o cafile=FILE    trust these certificates (PEM) instead of the system's\n"
	"    -o fingerprint=X  the SHA-256 of the only certificate to accept, and in any case\n"
	"    -o tls_priority=X what GnuTLS may use, as SECURE192\n"
	"    -o timeout=SEC    for each answer of the server (default 30)\n"
	"    -o refresh=SEC    between looks at mailboxes that the server does not tell of\n"
	"                      (default 60)\n"
	"    -o connections=N  at most this many for data (default 3)\n"
	"    -o compress=MODE  auto: where the line is slow (default); on; off\n"
	"    -o sizes=MODE     that the server states: auto: proved where one was wrong\n"
	"                      (default); trust; verify: each is proved\n"
	"    -o expunge=MODE   safe (default): rm only where the server can expunge one message\n"
	"                      alone; force: also where it could take along others\n"
	"\n"
	"    -o cache=DIR      of this account (default $XDG_CACHE_HOME/imapfs/USER@HOST)\n"
	"    -o cache_size=N   for its messages, with K, M or G (default 2G)\n"
	"\n"
	"    -o uid=N,gid=N    the owner of the files (default: you)\n"
	"    -o umask=OCTAL    permissions to take away; fmask= of files, dmask= of directories\n"
	"    -o allow_other, allow_root, default_permissions, auto_unmount, fsname=, subtype=\n"
	"                      as mount.fuse3(8) has them\n"
	"\n"
	"Words of mount(8) and fstab (noexec, noauto, user, x-*, ...) are accepted.\n"
	"Unmount: fusermount3 -u MOUNTPOINT\n"
	"The manual, imapfs(1), has the exit statuses and examples.\n";

void options_print_help(FILE *out)
{
	fputs(help, out);
}
