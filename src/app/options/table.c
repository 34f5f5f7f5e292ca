/* SPDX-License-Identifier: MIT */
/*
 * The words of -o: a table of names says what each one does. What depends on several of them is
 * settled in settle.c.
 *
 * fuse_opt is not used: it stops at an unknown word without a chance to say which one was meant,
 * and takes "timeout=10x" for 10.
 */
#include "app/options/private.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const struct options_rule rules[] = {
	{"ro", NULL, options_set_flag},
	{"rw", NULL, options_set_flag},
	{"offline", NULL, options_set_flag},
	{"subscribed", NULL, options_set_flag},
	{"passfile", "FILE", options_set_text},
	{"passcmd", "COMMAND", options_set_command},
	{"netrc", "FILE", options_set_text},
	{"tokencmd", "COMMAND", options_set_command},
	{"auth", "MECHANISM", options_set_auth},
	{"authzid", "NAME", options_set_text},
	{"certfile", "FILE", options_set_text},
	{"keyfile", "FILE", options_set_text},
	{"cafile", "FILE", options_set_text},
	{"tls", "MODE", options_set_tls},
	{"tls_priority", "STRING", options_set_text},
	{"fingerprint", "SHA256", options_set_fingerprint},
	{"cache", "DIR", options_set_text},
	{"cache_size", "SIZE", options_set_size},
	{"statedir", "DIR", options_set_text},
	{"bwlimit", "RATE", options_set_size},
	{"daylimit", "SIZE", options_set_size},
	{"timeout", "SECONDS", options_set_count},
	{"refresh", "SECONDS", options_set_count},
	{"connections", "N", options_set_count},
	{"compress", "MODE", options_set_choice},
	{"sizes", "MODE", options_set_choice},
	{"expunge", "MODE", options_set_choice},
	{"delete", "MODE", options_set_choice},
	{"trash", "NAME", options_set_text},
	{"suffix", ".EXT", options_set_suffix},
	{"views", "MODE", options_set_choice},
	{"layout", "MODE", options_set_choice},
	{"uid", "N", options_set_id},
	{"gid", "N", options_set_id},
	{"umask", "OCTAL", options_set_mask},
	{"fmask", "OCTAL", options_set_mask},
	{"dmask", "OCTAL", options_set_mask},
	{"allow_other", NULL, options_set_allow},
	{"allow_root", NULL, options_set_allow},
	{"default_permissions", NULL, options_set_permissions},
	{"auto_unmount", NULL, options_set_ignored}, /* always so: see guardian.h */
	{"fsname", "NAME", options_set_text},
	{"subtype", "NAME", options_set_text},
	{"port", "N", options_set_count},
	{"setuid", "USER", options_set_text}, /* mount.fuse3 has done it before it calls us */
	{"remount", NULL, options_set_flag},
	{"debug", NULL, options_set_flag},
	/* mount(8) adds the name of who calls it. */
	{"user", "NAME", options_set_text},
	/* What libfuse passes on to mount(2). */
	{"exec", NULL, options_set_mount},
	{"noexec", NULL, options_set_mount},
	{"nosuid", NULL, options_set_mount},
	{"nodev", NULL, options_set_mount},
	{"atime", NULL, options_set_mount},
	{"noatime", NULL, options_set_mount},
	{"seen", NULL, options_set_flag},
	{"sync", NULL, options_set_sync},
	{"dirsync", NULL, options_set_sync},
	{"async", NULL, options_set_sync},
	/* Words of fstab for others. mount.fuse3 always adds suid and dev: there are no such files
	 * here, and nosuid and nodev stay. */
	{"suid", NULL, options_set_ignored},
	{"dev", NULL, options_set_ignored},
	{"relatime", NULL, options_set_ignored},
	{"defaults", NULL, options_set_ignored},
	{"auto", NULL, options_set_ignored},
	{"noauto", NULL, options_set_ignored},
	{"nofail", NULL, options_set_ignored},
	{"_netdev", NULL, options_set_ignored},
	{"user", NULL, options_set_ignored},
	{"users", NULL, options_set_ignored},
	{"nouser", NULL, options_set_ignored},
	{"owner", NULL, options_set_ignored},
	{"group", NULL, options_set_ignored},
	{"comment", "TEXT", options_set_ignored},
	/* Words of other FUSE filesystems, for what is always so here or is ours to decide. */
	{"nonempty", NULL, options_set_ignored},
	{"reconnect", NULL, options_set_ignored},
	{"big_writes", NULL, options_set_ignored},
	{"large_read", NULL, options_set_ignored},
	{"kernel_cache", NULL, options_set_ignored},
	{"auto_cache", NULL, options_set_ignored},
	{"noauto_cache", NULL, options_set_ignored},
	{"intr", NULL, options_set_ignored},
	{"use_ino", NULL, options_set_ignored},
	{"readdir_ino", NULL, options_set_ignored},
	{"max_read", "N", options_set_ignored},
	{"max_write", "N", options_set_ignored},
	{"attr_timeout", "SECONDS", options_set_ignored},
	{"entry_timeout", "SECONDS", options_set_ignored},
	{"negative_timeout", "SECONDS", options_set_ignored},
};

enum { RULES = sizeof(rules) / sizeof(rules[0]) };

const struct options_rule *options_rule_at(size_t i)
{
	return i < RULES ? &rules[i] : NULL;
}

const struct options_rule *options_find_rule(struct span name, bool with_value)
{
	for (size_t i = 0; i < RULES; i++)
		if (span_equal(name, span_of(rules[i].name)) && !rules[i].value == !with_value)
			return &rules[i];
	return NULL;
}

/* --- the words of -o --- */

int options_set(struct options_parser *p, struct span name, const char *value)
{
	const struct options_rule *rule = options_find_rule(name, value != NULL);
	const struct options_rule *other = options_find_rule(name, value == NULL);

	if (name.n > 2 && strncasecmp(name.p, "x-", 2) == 0)
		return 0;
	if (rule && (!value || *value))
		return rule->set(p, rule, value);
	if (!other)
		other = rule;
	if (!other)
		return options_fail_unknown(p, "", name);
	if (other->value)
		return options_fail(p, "option '%s' needs a value: %s=%s", other->name, other->name,
			other->value);
	return options_fail(p, "option '%s' takes no value", other->name);
}

/* Copies one word to out; a comma in it has a backslash before it, as libfuse has it. */
static const char *copy_option(const char *s, char *out)
{
	while (*s && *s != ',') {
		if (*s == '\\' && s[1])
			s++;
		*out++ = *s++;
	}
	*out = '\0';
	return s;
}

int options_parse_list(struct options_parser *p, const char *list)
{
	char *word = mem_alloc(strlen(list) + 1);
	const struct options_rule *rule;
	int err = 0;

	p->before = NULL;
	while (err == 0 && *list) {
		list = copy_option(list, word);
		size_t n = strcspn(word, "=");
		const char *value = word[n] ? word + n + 1 : NULL;
		if (*word)
			err = options_set(p, (struct span){word, n}, value);
		rule = options_find_rule((struct span){word, n}, true);
		p->before = value && rule ? rule->name : NULL;
		if (*list == ',')
			list++;
	}
	free(word);
	return err;
}
