/* SPDX-License-Identifier: MIT */
/* -h and -V. Short: the manual explains. */
#include "app/options/options.h"

void options_print_version(FILE *out)
{
	fputs("imapfs " IMAPFS_VERSION "\n", out);
}

const char *options_version(void)
{
	return IMAPFS_VERSION;
}

static const char usage[] =
	"usage: imapfs [options] SOURCE [MOUNTPOINT]\n"
	"       imapfs --list               the accounts of ~/.config/imapfs/config\n"
	"       imapfs --status [--json | --watch] MOUNTPOINT\n"
	"       imapfs --wait DIRECTORY     until something came or went\n"
	"       imapfs --keep MOUNTPOINT/MAILBOX...\n"
	"                                   fetches mailboxes, and keeps them for offline\n"
	"       imapfs --unkeep MOUNTPOINT/MAILBOX...\n"
	"       imapfs --check [options] SOURCE [MOUNTPOINT]\n"
	"                                   whether it would work, a line for each thing\n"
	"       imapfs --cache [list | verify | trim SIZE | clear] [ACCOUNT or SOURCE]\n"
	"                                   the caches; without an argument all of them\n"
	"       imapfs --sync MOUNTPOINT    waits until all changes are done\n"
	"\n"
	"Mounts an IMAP account: folders are directories, messages are files.\n"
	"\n"
	"SOURCE\n"
	"    ACCOUNT                           of ~/.config/imapfs/config\n"
	"    anna@example.org                  an address: its server is found\n"
	"    [user@]host[:mailbox]             TLS, port 993\n"
	"    imaps://user@host:port/mailbox    TLS, port 993\n"
	"    imap://user@host:port/mailbox     STARTTLS, port 143\n"
	"\n";

static const char options[] =
	"Options\n"
	"    -o opt[,opt...]   see below\n"
	"    -f                stay in the foreground\n"
	"    -d                the same, and show the protocol (without secrets)\n"
	"    -s                accepted: one thread is all there is\n"
	"    -h                this help\n"
	"    -V                the version\n"
	"\n"
	"    -o ro             nothing can be changed (the opposite is rw, the default)\n"
	"    -o offline        only what the cache holds, never connecting\n"
	"    -o seen           what was read whole is marked as seen (\\Seen)\n"
	"    -o sync           rm, mv and setfattr return when the server has confirmed\n"
	"    -o subscribed     only the mailboxes that are subscribed\n"
	"    -o suffix=.EXT    behind the name of each message, as .eml\n"
	"    -o layout=MODE    maildir: each mailbox is a Maildir, with cur, new and tmp; named:\n"
	"                      messages are called by date, sender and subject (default plain)\n"
	"    -o views=list     list what else there is at the root (.text and others)\n"
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
	"    -o bwlimit=RATE   bytes a second, each way, with k or M\n"
	"    -o daylimit=SIZE  bytes from the server a day, with M or G; then only what is cached\n"
	"                      can be read until midnight\n"
	"    -o connections=N  at most this many for data (default 3)\n"
	"    -o compress=MODE  auto: where the line is slow (default); on; off\n"
	"    -o sizes=MODE     that the server states: auto: proved where one was wrong\n"
	"                      (default); trust; verify: each is proved\n"
	"    -o delete=MODE    what rm does: expunge (default), trash or never\n"
	"    -o trash=NAME     where delete=trash moves to (default: what the server marks "
	"\\Trash)\n"
	"    -o expunge=MODE   safe (default): rm only where the server can expunge one message\n"
	"                      alone; force: also where it could take along others\n"
	"\n"
	"    -o cache=DIR      of this account (default $XDG_CACHE_HOME/imapfs/USER@HOST)\n"
	"    -o statedir=DIR   of changes that wait (default $XDG_STATE_HOME/imapfs/USER@HOST)\n"
	"    -o cache_size=N   for its messages, with K, M or G (default 2G)\n"
	"\n"
	"    -o uid=N,gid=N    the owner of the files (default: you)\n"
	"    -o umask=OCTAL    permissions to take away; fmask= of files, dmask= of directories\n"
	"    -o port=N         where SOURCE names none\n"
	"    -o setuid=USER    root mounts for this user\n"
	"    -o remount        with ro or rw: changes a mount that is there\n"
	"    -o allow_other, allow_root, default_permissions, auto_unmount, fsname=, subtype=\n"
	"                      as mount.fuse3(8) has them\n"
	"\n"
	"Words of mount(8) and fstab (noexec, noauto, user, x-*, ...) are accepted.\n"
	"Unmount: fusermount3 -u MOUNTPOINT\n"
	"The manual, imapfs(1), has the exit statuses and examples.\n";

void options_print_help(FILE *out)
{
	fputs(usage, out);
	fputs(options, out);
}
