/* SPDX-License-Identifier: MIT */
#include "app/accounts/presets.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define APP_PASSWORD(where) "the account's own password is refused: make an app password at " where

static const struct preset presets[] = {
	{"Gmail", " gmail.com googlemail.com ", "imap.gmail.com", false,
		APP_PASSWORD("https://myaccount.google.com/apppasswords") " (needs 2-step "
									  "verification), or "
									  "use OAuth "
									  "(tokencmd=)",
		"takes the label off; the message stays in [Gmail]/All Mail unless Gmail's "
		"settings say otherwise",
		"15 connections; 2.5 GB a day downloaded, 0.5 GB uploaded"},
	{"Outlook.com",
		" outlook.com outlook.de outlook.fr outlook.es outlook.it outlook.at hotmail.com "
		"hotmail.co.uk hotmail.de hotmail.fr hotmail.es hotmail.it live.com live.de "
		"live.nl live.co.uk msn.com ",
		"outlook.office365.com", false,
		"no password is accepted: OAuth is needed (tokencmd=); see OAUTH in the manual",
		NULL, "sizes that the server states are often wrong, so each is proved first"},
	{"iCloud", " icloud.com me.com mac.com ", "imap.mail.me.com", true,
		APP_PASSWORD("https://account.apple.com (Sign-In and Security, App-Specific "
			     "Passwords)"),
		NULL, NULL},
	{"Yahoo",
		" yahoo.com ymail.com rocketmail.com myyahoo.com yahoo.co.uk yahoo.de yahoo.fr "
		"yahoo.es yahoo.it yahoo.ca yahoo.com.br yahoo.in ",
		"imap.mail.yahoo.com", false,
		APP_PASSWORD("https://login.yahoo.com/account/security"), NULL,
		"1,000 messages in one command; older messages of large mailboxes may be hidden"},
	{"AOL", " aol.com aim.com ", "imap.aol.com", false,
		APP_PASSWORD("https://login.aol.com/account/security"), NULL,
		"1,000 messages in one command; older messages of large mailboxes may be hidden"},
	{"Fastmail", " fastmail.com fastmail.fm fastmail.net fastmail.org ", "imap.fastmail.com",
		false, APP_PASSWORD("Settings, Privacy & Security, App passwords"), NULL, NULL},
	{"GMX", " gmx.de gmx.net gmx.at gmx.ch ", "imap.gmx.net", false,
		"IMAP must first be allowed in GMX's settings (E-Mail, POP3/IMAP Abruf); with "
		"2-factor login an app password is needed",
		NULL, NULL},
	{"GMX", " gmx.com gmx.us gmx.co.uk gmx.fr gmx.es ", "imap.gmx.com", false,
		"IMAP must first be allowed in GMX's settings (Email, POP3 & IMAP)", NULL, NULL},
	{"WEB.DE", " web.de ", "imap.web.de", false,
		"IMAP must first be allowed in WEB.DE's settings (E-Mail, POP3/IMAP); with "
		"2-factor login an app password is needed",
		NULL, NULL},
	{"Posteo", " posteo.de posteo.net posteo.eu posteo.org posteo.at posteo.ch ", "posteo.de",
		false, "the account's password", NULL, NULL},
	{"mailbox.org", " mailbox.org ", "imap.mailbox.org", false,
		"the account's password; with 2-factor login an app password", NULL, NULL},
	{"T-Online", " t-online.de magenta.de ", "secureimap.t-online.de", false,
		"the password for mail programs, which is set in the E-Mail Center", NULL, NULL},
	{"Zoho", " zoho.com zohomail.com ", "imap.zoho.com", false,
		"IMAP must first be allowed in Zoho's settings; with 2-factor login an app "
		"password is needed",
		NULL, NULL},
	{"Yandex", " yandex.com yandex.ru ya.ru ", "imap.yandex.com", false,
		APP_PASSWORD("https://id.yandex.com/security/app-passwords"), NULL, NULL},
	{"Proton Mail", " proton.me protonmail.com protonmail.ch pm.me ", NULL, false,
		"it has no IMAP but by Proton Mail Bridge, on this machine: imap://USER@127.0.0.1:"
		"1143/ with the Bridge's password and its certificate (cafile= or fingerprint=)",
		NULL, NULL},
	{"Tuta", " tuta.com tutanota.com tutanota.de tutamail.com tuta.io keemail.me ", NULL, false,
		"it has no IMAP at all", NULL, NULL},
};

const struct preset *preset_at(unsigned i)
{
	return i < sizeof(presets) / sizeof(presets[0]) ? &presets[i] : NULL;
}

const struct preset *preset_of_domain(const char *domain)
{
	const struct preset *preset = NULL;
	char *word = mem_printf(" %s ", domain);

	if (!strchr(domain, ' '))
		for (unsigned i = 0; (preset = preset_at(i)); i++)
			if (strstr(preset->domains, word))
				break;
	free(word);
	return preset;
}

const struct preset *preset_of_host(const char *host)
{
	const struct preset *preset = NULL;

	for (unsigned i = 0; (preset = preset_at(i)); i++)
		if (preset->host && strcmp(preset->host, host) == 0)
			break;
	return preset;
}
