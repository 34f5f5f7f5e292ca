/* SPDX-License-Identifier: MIT */
#include "app/check/private.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/map.h"
#include "base/mem.h"
#include "app/accounts/presets.h"
#include "mail/account.h"
#include "mail/quota.h"
#include "net/tls_facts.h"

/* A certificate that ends sooner than in so many seconds is worth a word. */
#define CERTIFICATE_SOON (14 * 24 * 3600)

static void check_tls(struct check *c, const struct net_tls *tls)
{
	const struct net_tls_facts *facts;
	time_t until;
	struct tm tm;
	char date[32] = "";

	if (!tls) {
		check_note(
			c, "TLS", "none: everyone on the way can read the password and the mail");
		return;
	}
	facts = net_tls_facts(tls);
	until = (time_t)facts->until;
	if (gmtime_r(&until, &tm))
		strftime(date, sizeof(date), "%Y-%m-%d", &tm);
	if (facts->until < time(NULL) + CERTIFICATE_SOON)
		check_note(c, "TLS", "%s; the certificate by %s ends on %s", facts->session,
			facts->issuer, date);
	else
		check_ok(c, "TLS", "%s; certificate by %s, until %s", facts->session, facts->issuer,
			date);
}

/* What a server lacks, and what follows for who uses the mount. */
static const struct {
	const char *one, *other; /* either is enough; other may be NULL */
	const char *text;
	bool change; /* nothing to a read-only mount */
} lacks[] = {
	{"UIDPLUS", "IMAP4rev2",
		"no UIDPLUS: rm is refused, as the server cannot delete one message alone "
		"(expunge=force takes the risk)",
		true},
	{"MOVE", "IMAP4rev2", "no MOVE: mv copies and deletes", true},
	{"IDLE", "NOTIFY", "neither IDLE nor NOTIFY: new mail is looked for every refresh= seconds",
		false},
	{"CONDSTORE", "QRESYNC", "no CONDSTORE: large mailboxes that changed are compared in whole",
		false},
	{"LIST-STATUS", "NOTIFY", "no LIST-STATUS: many mailboxes are asked for one by one", false},
};

static bool has_word(const char *words, const char *word)
{
	char *all = mem_printf(" %s ", words), *wanted = mem_printf(" %s ", word);
	bool has = strcasestr(all, wanted) != NULL;

	free(all);
	free(wanted);
	return has;
}

/* A mount has a connection for that, which comes to be used only after the start. */
static const char *watching(const char *words)
{
	return has_word(words, "NOTIFY") ? "the server tells of them, in all mailboxes (NOTIFY)"
	       : has_word(words, "IDLE") ? "the server tells of them, in one mailbox (IDLE)"
					 : "the server tells of none, and is asked";
}

static void check_capabilities(struct check *c, struct account *a)
{
	const char *words = pool_capability_words(a->pool);

	check_ok(c, "capabilities", "%s", words);
	for (size_t i = 0; i < sizeof(lacks) / sizeof(lacks[0]); i++)
		if (!has_word(words, lacks[i].one) &&
			!(lacks[i].other && has_word(words, lacks[i].other)) &&
			!(lacks[i].change && c->o->ro))
			check_note(c, "server", "%s", lacks[i].text);
	check_ok(c, "changes", "%s", watching(words));
}

static void check_provider(struct check *c)
{
	const struct preset *preset = preset_of_host(c->o->source.host);

	if (preset && preset->rm)
		check_note(c, preset->provider, "rm %s", preset->rm);
	if (preset && preset->limits)
		check_note(c, preset->provider, "%s", preset->limits);
}

struct counting {
	unsigned mailboxes, selectable;
};

static void count_mailbox(void *ctx, uint64_t key, void *value)
{
	struct counting *count = ctx;
	const struct mailbox *mb = value;

	count->mailboxes++;
	count->selectable += mailbox_selectable(mb);
}

static void check_folders(struct check *c, struct account *a)
{
	struct counting count = {0};

	map_each(&a->tree.by_id, count_mailbox, &count);
	if (count.selectable == 0)
		check_note(c, "folders", "%u, and none holds messages", count.mailboxes);
	else
		check_ok(c, "folders", "%u, %u of them hold messages", count.mailboxes,
			count.selectable);
}

static void check_quota(struct check *c, const struct quota *q)
{
	if (!q->limit)
		check_ok(c, "quota", "the server tells of none");
	else if (q->used >= q->limit / 20 * 19)
		check_note(c, "quota", "%llu of %llu MB are used: new mail may soon be refused",
			(unsigned long long)q->used / 1000000,
			(unsigned long long)q->limit / 1000000);
	else
		check_ok(c, "quota", "%llu of %llu MB are used",
			(unsigned long long)q->used / 1000000,
			(unsigned long long)q->limit / 1000000);
}

void check_facts(struct check *c, struct account *a, const struct net_tls *tls)
{
	check_tls(c, tls);
	check_ok(c, "login", "by %s",
		pool_login_name(a->pool) ? pool_login_name(a->pool) : "nothing");
	check_capabilities(c, a);
	check_provider(c);
	check_folders(c, a);
	check_quota(c, a->quota);
}
