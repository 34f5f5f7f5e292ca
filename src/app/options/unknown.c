/* SPDX-License-Identifier: MIT */
/* A word that is none of ours: what was probably meant. */
#include "app/options/private.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

enum { HINT_MAX = 32 };

/* Levenshtein's distance; both at most HINT_MAX octets. */
static unsigned distance(struct span a, struct span b)
{
	unsigned row[HINT_MAX + 1];

	for (unsigned j = 0; j <= b.n; j++)
		row[j] = j;
	for (size_t i = 0; i < a.n; i++) {
		unsigned diagonal = row[0]++;
		for (size_t j = 0; j < b.n; j++) {
			unsigned best = diagonal + (a.p[i] != b.p[j]);
			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (diagonal + 1 < best)
				best = diagonal + 1;
			row[j + 1] = best;
		}
	}
	return row[b.n];
}

/* The rule that was probably meant: at most a third of its letters differ. NULL: none is near. */
static const struct options_rule *nearest(struct span name)
{
	const struct options_rule *rule, *best = NULL;
	unsigned least = HINT_MAX;

	if (name.n > HINT_MAX)
		return NULL;
	for (size_t i = 0; (rule = options_rule_at(i)); i++) {
		struct span known = span_of(rule->name);
		unsigned d = distance(name, known);
		if (d < least && 3 * d <= known.n + 1) {
			best = rule;
			least = d;
		}
	}
	return best;
}

/* What other programs call something. */
static const struct {
	const char *name, *instead;
} others[] = {
	{"password", NULL},
	{"pass", NULL},
	{"passwd", NULL},
	{"readonly", "write ro"},
	{"read-only", "write ro"},
	{"readwrite", "write rw"},
	{"username", "write it before the host: USER@HOST, or user=USER"},
	{"login", "write the user before the host: USER@HOST, or user=USER"},
	{"host", "the host is in SOURCE: USER@HOST"},
	{"server", "the host is in SOURCE: USER@HOST"},
	{"credentials", "write passfile=FILE, where FILE holds nothing but the password"},
	{"password_stdin", "write passfile=/dev/stdin"},
	{"ssl", "TLS is always used; tls=starttls is for port 143"},
	{"starttls", "write tls=starttls"},
	{"insecure", "a certificate that is not trusted: see fingerprint= and cafile="},
	{"no_verify", "a certificate that is not trusted: see fingerprint= and cafile="},
	{"no_check_certificate", "a certificate that is not trusted: see fingerprint= and cafile="},
	{"compression", "write compress=on"},
	{"direct_io", "what was read is always cached; -o sync is for changes"},
	{"nocache", "mail is always cached; cache_size= says how much"},
	{"foreground", "write -f"},
	{"daemon", "without -f the program goes to the background"},
	{"idmap", "files belong to who mounts; uid= and gid= change that"},
	{"mailbox", "the mailbox is part of SOURCE: USER@HOST:MAILBOX"},
	{"folder", "the mailbox is part of SOURCE: USER@HOST:MAILBOX"},
	{"mode", "write fmask= for files, dmask= for directories"},
	{"file_mode", "write fmask=, the permissions to take away"},
	{"dir_mode", "write dmask=, the permissions to take away"},
	{"bind", "a mount is no directory to bind; mount it, then bind that"},
	{"move", "use mount --move without a type"},
	{"umount", "fusermount3 -u MOUNTPOINT unmounts"},
	{"unmount", "fusermount3 -u MOUNTPOINT unmounts"},
	{"mount", "write imapfs SOURCE MOUNTPOINT"},
	{"watch", "write imapfs --status --watch MOUNTPOINT"},
	{"json", "write imapfs --status --json MOUNTPOINT"},
	{"check", "imapfs --check SOURCE looks at all that a mount needs"},
	{"oauth", "write tokencmd=COMMAND, a program that prints a token"},
	{"token", "write tokencmd=COMMAND, a program that prints a token"},
};

static int fail_password(struct options_parser *p, const char *dashes, const char *name)
{
	return options_fail(p,
		"there is no option '%s%s': a password never belongs %s; use passfile=, passcmd=, "
		"netrc= or the prompt",
		dashes, name, p->reading_account ? "into this file" : "on the command line");
}

/* Whether it is one of others, and then the error is written. */
static bool explain_other(struct options_parser *p, const char *dashes, struct span name)
{
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (!span_equal_nocase(name, span_of(others[i].name)))
			continue;
		if (others[i].instead)
			options_fail(p, "there is no option '%s%s': %s", dashes, others[i].name,
				others[i].instead);
		else
			fail_password(p, dashes, others[i].name);
		return true;
	}
	return false;
}

int options_fail_unknown(struct options_parser *p, const char *dashes, struct span name)
{
	char printable[64];

	if (explain_other(p, dashes, name))
		return ERR_INVALID;
	const struct options_rule *hint = nearest(name);
	text_printable(name, printable, sizeof(printable));
	if (hint)
		return options_fail(p, "unknown option '%s%s' (did you mean %s%s%s?)", dashes,
			printable, *dashes ? "-o " : "", hint->name, hint->value ? "=" : "");
	if (p->before && !*dashes)
		return options_fail(p,
			"unknown option '%s' (if it belongs to the value of %s=: a comma in a "
			"value is written \\,)",
			printable, p->before);
	return options_fail(p, "unknown option '%s%s' (imapfs -h lists them)", dashes, printable);
}

/* --- what stands where SOURCE should --- */

static const struct {
	const char *name, *instead;
} verbs[] = {
	{"cache", "write imapfs --cache"},
	{"check", "write imapfs --check SOURCE"},
	{"help", "write imapfs -h"},
	{"keep", "write imapfs --keep MOUNTPOINT/MAILBOX"},
	{"list", "write imapfs --list"},
	{"mount", "write imapfs SOURCE MOUNTPOINT"},
	{"status", "write imapfs --status MOUNTPOINT"},
	{"sync", "write imapfs --sync MOUNTPOINT"},
	{"umount", "fusermount3 -u MOUNTPOINT unmounts"},
	{"unkeep", "write imapfs --unkeep MOUNTPOINT/MAILBOX"},
	{"unmount", "fusermount3 -u MOUNTPOINT unmounts"},
	{"version", "write imapfs -V"},
	{"wait", "write imapfs --wait DIRECTORY"},
};

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int options_refuse_mistaken(struct options_parser *p)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(p->source, verbs[i].name) == 0)
			return options_fail(p,
				"there is no account '%s': %s (a host of that name: USER@%s)",
				p->source, verbs[i].instead, p->source);
	if (p->mountpoint && strchr(p->mountpoint, '@') && access(p->mountpoint, F_OK) != 0 &&
		is_directory(p->source))
		return options_fail(p, "SOURCE stands before MOUNTPOINT: imapfs %s %s",
			p->mountpoint, p->source);
	return 0;
}
