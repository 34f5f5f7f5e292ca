/* SPDX-License-Identifier: MIT */
/* The command line: each option, its limits, its defaults, and the words of each refusal. */
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/mem.h"
#include "app/options/options.h"

enum { ARGS_MAX = 16 };

static char error[400];

static int parse(struct options *o, const char *const *args)
{
	char *argv[ARGS_MAX + 2] = {mem_strdup("imapfs")};
	int argc = 1;

	for (; args[argc - 1]; argc++)
		argv[argc] = mem_strdup(args[argc - 1]);
	error[0] = '\0';
	int err = options_parse(argc, argv, NULL, o, error, sizeof(error));
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	return err;
}

#define ARGS(...) ((const char *const[ARGS_MAX]){__VA_ARGS__})

static void parse_ok(struct options *o, const char *const *args)
{
	if (parse(o, args) < 0)
		fail_msg("%s", error);
}

/* With one -o. */
static void parse_o(struct options *o, const char *list)
{
	parse_ok(o, ARGS("-o", list, "anna@h", "/m"));
}

static void assert_refused(const char *const *args, const char *words)
{
	struct options o;

	assert_int_equal(parse(&o, args), ERR_INVALID);
	if (!strstr(error, words))
		fail_msg("'%s' is not in '%s'", words, error);
	assert_null(strchr(error, '\n'));
	assert_null(o.mountpoint);
	assert_null(o.cache);
}

static int set_environment(void **state)
{
	setenv("HOME", "/home/anna", 1);
	unsetenv("XDG_CACHE_HOME");
	return 0;
}

static void test_defaults(void **state)
{
	struct options o;

	parse_ok(&o, ARGS("anna@example.org@imap.example.org", "/mnt"));
	assert_string_equal(o.source.user, "anna@example.org");
	assert_string_equal(o.source.host, "imap.example.org");
	assert_string_equal(o.account, "anna@example.org@imap.example.org");
	assert_string_equal(o.mountpoint, "/mnt");
	assert_string_equal(o.cache, "/home/anna/.cache/imapfs/anna@example.org@imap.example.org");
	assert_string_equal(
		o.mount_options, "fsname=anna@example.org@imap.example.org,subtype=imapfs");
	assert_string_equal(o.suffix, "");
	assert_null(o.passfile);
	assert_null(o.passcmd);
	assert_null(o.cafile);
	assert_true(o.cache_size == (uint64_t)2 << 30);
	assert_int_equal(o.timeout, 30);
	assert_int_equal(o.connections, 3);
	assert_int_equal(o.compress, COMPRESS_AUTO);
	assert_int_equal(o.sizes, OPTIONS_SIZES_AUTO);
	assert_false(o.help || o.version || o.foreground || o.debug || o.ro || o.subscribed ||
		     o.has_uid || o.has_gid);
	assert_int_equal(o.fmask | o.dmask, 0);
	options_finish(&o);
}

static void test_letters(void **state)
{
	struct options o;

	parse_ok(&o, ARGS("-f", "-s", "h", "/m"));
	assert_true(o.foreground && !o.debug);
	options_finish(&o);
	parse_ok(&o, ARGS("-sd", "h", "/m"));
	assert_true(o.foreground && o.debug);
	options_finish(&o);
	parse_ok(&o, ARGS("-h", "--nonsense"));
	assert_true(o.help);
	options_finish(&o);
	parse_ok(&o, ARGS("--help"));
	assert_true(o.help);
	options_finish(&o);
	parse_ok(&o, ARGS("-V"));
	assert_true(o.version);
	options_finish(&o);
}

/* mount(8) and mount.fuse3 put the options last, whatever the environment says of POSIX. */
static void test_options_behind(void **state)
{
	struct options o;

	setenv("POSIXLY_CORRECT", "1", 1);
	parse_ok(&o, ARGS("anna@h", "/m", "-o", "rw,suid,dev,ro", "-f"));
	unsetenv("POSIXLY_CORRECT");
	assert_true(o.ro && o.foreground);
	assert_string_equal(o.mountpoint, "/m");
	options_finish(&o);
	parse_ok(&o, ARGS("anna@h", "-oro", "/m"));
	assert_true(o.ro);
	options_finish(&o);
	parse_ok(&o, ARGS("-f", "--", "anna@h", "-m"));
	assert_string_equal(strrchr(o.mountpoint, '/'), "/-m");
	options_finish(&o);
}

static void test_values(void **state)
{
	struct options o;

	parse_o(&o, "passfile=/p,cafile=/c,cache=/"
		    "k,cache_size=1M,timeout=3600,connections=16,compress=off,"
		    "suffix=.eml,layout=plain,layout=named,layout=maildir,views=hide,views=list,"
		    "subscribed,uid="
		    "1000,gid=0,ro,sizes=trust,"
		    "sizes=verify,"
		    "expunge=safe,expunge=force");
	assert_string_equal(o.passfile, "/p");
	assert_string_equal(o.cafile, "/c");
	assert_string_equal(o.cache, "/k");
	assert_true(o.cache_size == 1 << 20);
	assert_int_equal(o.timeout, 3600);
	assert_int_equal(o.connections, 16);
	assert_int_equal(o.compress, COMPRESS_OFF);
	assert_int_equal(o.sizes, OPTIONS_SIZES_VERIFY);
	assert_true(o.expunge_force);
	assert_string_equal(o.suffix, ".eml");
	assert_true(o.list_views);
	assert_int_equal(o.layout, OPTIONS_LAYOUT_MAILDIR);
	assert_true(o.subscribed && o.ro && o.has_uid && o.has_gid);
	assert_int_equal(o.uid, 1000);
	assert_int_equal(o.gid, 0);
	options_finish(&o);
}

static void test_fingerprint(void **state)
{
	/* As openssl(1) writes it, and without its colons. */
	static const char *const ways[] = {
		"fingerprint=00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:"
		"00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff",
		"fingerprint=00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"};
	struct options o;

	for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
		parse_o(&o, ways[w]);
		assert_true(o.has_fingerprint);
		for (unsigned i = 0; i < 32; i++)
			assert_int_equal(o.fingerprint[i], i % 16 * 0x11);
		options_finish(&o);
	}
}

static void test_login(void **state)
{
	struct options o;

	parse_ok(&o, ARGS("h", "/m"));
	assert_int_equal(o.auth, IMAP_AUTH_ANY);
	assert_false(o.without_password);
	options_finish(&o);
	parse_o(&o, "auth=scram-sha-256,authzid=jane");
	assert_int_equal(o.auth, IMAP_AUTH_SCRAM_SHA_256);
	assert_string_equal(o.authzid, "jane");
	assert_false(o.without_password);
	options_finish(&o);
	/* A certificate is enough, unless something says that there is a password, too. */
	parse_o(&o, "certfile=/c");
	assert_string_equal(o.certfile, "/c");
	assert_string_equal(o.keyfile, "/c");
	assert_true(o.without_password);
	options_finish(&o);
	parse_o(&o, "certfile=~/c,keyfile=~/k,passfile=/p");
	assert_string_equal(o.certfile, "/home/anna/c");
	assert_string_equal(o.keyfile, "/home/anna/k");
	assert_false(o.without_password);
	options_finish(&o);
	parse_o(&o, "offline");
	assert_true(o.without_password);
	options_finish(&o);
	parse_o(&o, "certfile=/c,auth=PLAIN");
	assert_false(o.without_password);
	options_finish(&o);
	parse_o(&o, "netrc=~/n");
	assert_string_equal(o.netrc, "/home/anna/n");
	assert_true(o.netrc_given);
	options_finish(&o);
	parse_o(&o, "tokencmd=get 'a token'");
	assert_string_equal(o.netrc, "/home/anna/.netrc");
	assert_false(o.netrc_given);
	assert_string_equal(o.tokencmd, "get 'a token'");
	assert_true(o.without_password);
	options_finish(&o);
	parse_o(&o, "certfile=/c,passfile=/p,auth=EXTERNAL");
	assert_true(o.without_password);
	options_finish(&o);
}

static void test_last_wins(void **state)
{
	struct options o;

	parse_ok(&o, ARGS("-o", "ro,timeout=1,passfile=/a", "-o", "rw,timeout=2,passfile=/b", "h",
			     "/m"));
	assert_false(o.ro);
	assert_int_equal(o.timeout, 2);
	assert_string_equal(o.passfile, "/b");
	options_finish(&o);
}

static void test_sizes(void **state)
{
	static const struct {
		const char *list;
		uint64_t size;
	} sizes[] = {{"cache_size=1048576", 1 << 20}, {"cache_size=1024K", 1 << 20},
		{"cache_size=20G", (uint64_t)20 << 30},
		{"cache_size=8589934591G", INT64_MAX >> 30 << 30},
		{"cache_size=9223372036854775807", INT64_MAX}};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct options o;
		parse_o(&o, sizes[i].list);
		assert_true(o.cache_size == sizes[i].size);
		options_finish(&o);
	}
}

static void test_rates(void **state)
{
	struct options o;

	parse_o(&o, "ro");
	assert_true(o.bwlimit == 0 && o.daylimit == 0);
	assert_null(o.statedir);
	options_finish(&o);
	parse_o(&o, "bwlimit=100k,daylimit=2G");
	assert_true(o.bwlimit == 100 << 10);
	assert_true(o.daylimit == (uint64_t)2 << 30);
	options_finish(&o);
	/* What has come is counted, also where nothing is promised. */
	parse_o(&o, "ro,daylimit=2500M");
	assert_true(o.daylimit == (uint64_t)2500 << 20);
	assert_non_null(o.statedir);
	options_finish(&o);
}

static void test_masks(void **state)
{
	struct options o;

	parse_o(&o, "umask=077");
	assert_int_equal(o.fmask, 077);
	assert_int_equal(o.dmask, 077);
	options_finish(&o);
	parse_o(&o, "fmask=0377,umask=22");
	assert_int_equal(o.fmask, 0377);
	assert_int_equal(o.dmask, 022);
	options_finish(&o);
	parse_o(&o, "dmask=0,umask=0777");
	assert_int_equal(o.fmask, 0777);
	assert_int_equal(o.dmask, 0);
	options_finish(&o);
}

static void test_commas(void **state)
{
	struct options o;

	parse_o(&o, "passcmd=pass a\\,b \\\\c,,timeout=5,fsname=x\\,y\\\\z,");
	assert_string_equal(o.passcmd, "pass a,b \\c");
	assert_int_equal(o.timeout, 5);
	assert_string_equal(o.mount_options, "fsname=x\\,y\\\\z,subtype=imapfs");
	options_finish(&o);
}

static void assert_mounts_with(const char *words, const char *mount_options)
{
	struct options o;

	parse_o(&o, words);
	assert_string_equal(o.mount_options, mount_options);
	options_finish(&o);
}

static void test_mount_options(void **state)
{
	/* Where others are let in, a file may be another's, or less is allowed than usual. */
	static const char *const words[] = {
		"default_permissions", "uid=1", "fmask=0400", "dmask=700", "umask=0777"};

	assert_mounts_with(
		"allow_other,allow_other,default_permissions,auto_unmount,fsname=f,subtype=s,ro,"
		"noexec,noatime,nosuid,nodev,sync",
		"noexec,noatime,nosuid,nodev,ro,sync,allow_other,default_permissions,fsname=f,"
		"subtype=s");
	assert_mounts_with(
		"allow_other", "allow_other,default_permissions,fsname=anna@h,subtype=imapfs");
	assert_mounts_with(
		"allow_root", "allow_root,default_permissions,fsname=anna@h,subtype=imapfs");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		assert_mounts_with(words[i], "default_permissions,fsname=anna@h,subtype=imapfs");
	assert_mounts_with("umask=077,gid=5", "fsname=anna@h,subtype=imapfs");
}

static void test_fstab_words(void **state)
{
	assert_mounts_with(
		"defaults,_netdev,nofail,noauto,auto,user,users,nouser,owner,group,suid,dev,"
		"relatime,comment=x=y,x-systemd.automount,X-mount.mkdir=0700,rw,nonempty,"
		"reconnect,big_writes,max_read=131072",
		"fsname=anna@h,subtype=imapfs");
}

static void test_tls(void **state)
{
	struct options o;

	parse_o(&o, "tls=starttls");
	assert_int_equal(o.source.tls, SOURCE_TLS_STARTTLS);
	assert_int_equal(o.source.port, 143);
	assert_string_equal(o.cache, "/home/anna/.cache/imapfs/anna@h:143");
	options_finish(&o);
	parse_ok(&o, ARGS("-o", "tls=none", "imap://anna@h:1143/", "/m"));
	assert_int_equal(o.source.tls, SOURCE_TLS_NONE);
	assert_int_equal(o.source.port, 1143);
	options_finish(&o);
	assert_refused(ARGS("-o", "tls=none", "imaps://h/", "/m"), "contradicts imaps://");
	assert_refused(ARGS("-o", "tls=implicit", "imap://h/", "/m"), "contradicts imap://");
	assert_refused(ARGS("-o", "tls=none,tls=starttls", "h", "/m"), "contradicts");
	assert_refused(ARGS("-o", "tls=yes", "h", "/m"), "implicit, starttls or none");
}

static void test_user(void **state)
{
	const struct passwd *pw = getpwuid(getuid());
	struct options o;

	assert_non_null(pw);
	parse_ok(&o, ARGS("h", "/m"));
	assert_string_equal(o.source.user, pw->pw_name);
	options_finish(&o);
	parse_ok(&o, ARGS("h", "/m", "-o", "user=berta"));
	assert_string_equal(o.source.user, "berta");
	options_finish(&o);
	parse_o(&o, "user=berta");
	assert_string_equal(o.source.user, "anna");
	options_finish(&o);
}

static void test_cache_directory(void **state)
{
	struct options o;

	setenv("XDG_CACHE_HOME", "/var/c", 1);
	parse_ok(&o, ARGS("imaps://a%2Fb%25@h:1993/", "/m"));
	assert_string_equal(o.cache, "/var/c/imapfs/a%2Fb%25@h:1993");
	options_finish(&o);
	parse_ok(&o, ARGS("..@[::1]", "/m"));
	assert_string_equal(o.cache, "/var/c/imapfs/%2E.@[::1]");
	assert_string_equal(o.account, "..@[::1]");
	options_finish(&o);
	parse_ok(&o, ARGS("imap://anna@H/", "/m", "-o", "auth=PLAIN,authzid=bert/a"));
	assert_string_equal(o.cache, "/var/c/imapfs/anna@h:143,bert%2Fa");
	assert_string_equal(o.identity, "anna@h port 143 acting as bert/a");
	options_finish(&o);
	setenv("XDG_CACHE_HOME", "relative", 1);
	parse_ok(&o, ARGS("anna@h", "/m"));
	assert_string_equal(o.identity, "anna@h port 993");
	assert_string_equal(o.cache, "/home/anna/.cache/imapfs/anna@h");
	assert_string_equal(o.statedir, "/home/anna/.local/state/imapfs/anna@h");
	options_finish(&o);
	unsetenv("XDG_CACHE_HOME");
	setenv("XDG_STATE_HOME", "/var/s", 1);
	parse_ok(&o, ARGS("anna@h", "/m"));
	assert_string_equal(o.statedir, "/var/s/imapfs/anna@h");
	options_finish(&o);
	unsetenv("XDG_STATE_HOME");
}

static void test_long_account(void **state)
{
	char source[300];
	struct options o;

	memset(source, 'a', sizeof(source));
	memcpy(source + 270, "@h", 3);
	assert_refused(ARGS(source, "/m"), "use cache=DIR");
	assert_refused(ARGS(source, "/m", "-o", "cache=/k"), "use statedir=DIR");
	parse_ok(&o, ARGS(source, "/m", "-o", "cache=/k,statedir=/s"));
	assert_string_equal(o.cache, "/k");
	assert_string_equal(o.statedir, "/s");
	options_finish(&o);
	parse_ok(&o, ARGS(source, "/m", "-o", "cache=/k,ro"));
	assert_null(o.statedir);
	options_finish(&o);
}

static void test_paths(void **state)
{
	char *cwd = getcwd(NULL, 0), *expected = mem_printf("%s/mail", cwd);
	struct options o;

	parse_ok(&o, ARGS("h", "mail", "-o", "passfile=~/p,cafile=mail,cache=~/k"));
	assert_string_equal(o.mountpoint, expected);
	assert_string_equal(o.cafile, expected);
	assert_string_equal(o.passfile, "/home/anna/p");
	assert_string_equal(o.cache, "/home/anna/k");
	options_finish(&o);
	free(expected);
	free(cwd);
}

static void test_refused(void **state)
{
	static const char *const lists[][2] = {
		{"passfil=x", "unknown option 'passfil' (did you mean passfile=?)"},
		{"readony", "unknown option 'readony' (imapfs -h lists them)"},
		{"allow-other", "(did you mean allow_other?)"},
		{"timout=3", "(did you mean timeout=?)"},
		{"cachesize=3", "(did you mean cache_size=?)"},
		{"TLS=none", "unknown option 'TLS'"},
		{"a\x1b[m", "unknown option 'a?[m'"},
		{"=", "unknown option ''"},
		{"x-", "unknown option 'x-'"},
		{"password=tiger", "a password never belongs on the command line"},
		{"ro=1", "'ro' takes no value"},
		{"passfile", "'passfile' needs a value: passfile=FILE"},
		{"passfile=", "'passfile' needs a value"},
		{"passcmd='a", "a quote or a backslash has no end"},
		{"passfile=/a,passcmd=b", "exclude each other"},
		{"allow_other,allow_root", "exclude each other"},
		{"timeout=0", "from 1 to 3600"},
		{"timeout=3601", "from 1 to 3600"},
		{"timeout=10x", "from 1 to 3600"},
		{"timeout=-1", "from 1 to 3600"},
		{"timeout= 1", "from 1 to 3600"},
		{"connections=0", "from 1 to 16"},
		{"connections=17", "from 1 to 16"},
		{"compress=yes", "auto, on or off, not 'yes'"},
		{"sizes=always", "auto, trust or verify, not 'always'"},
		{"expunge=all", "safe or force, not 'all'"},
		{"cache_size=1048575", "at least 1M"},
		{"bwlimit=1023", "bwlimit= is a number of bytes a second, of at least 1k"},
		{"bwlimit=fast", "with k, M or G behind it, not 'fast'"},
		{"daylimit=1000k", "daylimit= is a number of bytes a day, of at least 1M"},
		{"cache_size=0G", "at least 1M"},
		{"cache_size=8589934592G", "at least 1M"},
		{"cache_size=18446744073709551616", "at least 1M"},
		{"cache_size=1T", "at least 1M"},
		{"cache_size=G", "at least 1M"},
		{"cache_size=1GB", "at least 1M"},
		{"fingerprint=00", "64 hexadecimal digits"},
		{"fingerprint=00112233445566778899aabbccddeeff00112233445566778899aabbccddee0g",
			"64 hexadecimal digits"},
		{"fingerprint=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff:",
			"64 hexadecimal digits"},
		{"fingerprint=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00",
			"64 hexadecimal digits"},
		{"fingerprint=00112233445566778899aabbccddeeff00112233445566778899aabbccddeef",
			"64 hexadecimal digits"},
		{"tls=none,fingerprint="
		 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
			"with tls=none there is no certificate"},
		{"auth=CRAM-MD5",
			"auth= is one of OAUTHBEARER, XOAUTH2, EXTERNAL, SCRAM-SHA-256-PLUS, "},
		{"auth=EXTERNAL", "auth=EXTERNAL needs certfile="},
		{"auth=XOAUTH2", "auth=XOAUTH2 needs tokencmd="},
		{"auth=PLAIN,tokencmd=x", "auth=PLAIN has no use for tokencmd="},
		{"passcmd=y,tokencmd=x", "exclude each other"},
		{"netrc=/n,passfile=/p", "exclude each other"},
		{"tokencmd='x", "tokencmd= is no command"},
		{"keyfile=/k", "keyfile= needs its certificate"},
		{"auth=login,authzid=jane", "auth=LOGIN cannot carry an authzid="},
		{"tls=none,auth=SCRAM-SHA-256-PLUS", "needs TLS"},
		{"tls=none,certfile=/c", "with tls=none no certificate"},
		{"uid=anna", "uid= is a number"},
		{"gid=4294967295", "gid= is a number"},
		{"umask=8", "octal"},
		{"fmask=1000", "octal"},
		{"dmask=00777", "octal"},
		{"umask=-1", "octal"},
		{"layout=mbox", "layout= is plain, maildir or named"},
		{"views=all", "views= is hide or list"},
		{"suffix=eml", "suffix= is a dot"},
		{"suffix=.", "suffix= is a dot"},
		{"suffix=.1", "suffix= is a dot"},
		{"suffix=.a/b", "suffix= is a dot"},
		{"suffix=.a\x01", "suffix= is a dot"},
		{"suffix=.\xff", "suffix= is a dot"},
		{"suffix=.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			"suffix="},
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		assert_refused(ARGS("anna@h", "/m", "-o", lists[i][0]), lists[i][1]);
}

static void test_secret_is_not_repeated(void **state)
{
	assert_refused(ARGS("h", "/m", "-o", "passwort=tiger"), "unknown option 'passwort'");
	assert_null(strstr(error, "tiger"));
	assert_refused(ARGS("--password=tiger", "h", "/m"), "'--password'");
	assert_null(strstr(error, "tiger"));
	assert_refused(ARGS("imaps://anna:tiger@h/", "/m"), "passcmd=");
	assert_null(strstr(error, "tiger"));
}

static void test_usage(void **state)
{
	assert_refused(ARGS(NULL), "SOURCE and MOUNTPOINT are missing; usage: imapfs");
	assert_refused(ARGS("h"), "MOUNTPOINT is missing");
	assert_refused(ARGS("h", "/m", "/n"), "too many arguments");
	assert_refused(ARGS("h", ""), "MOUNTPOINT is empty");
	assert_refused(ARGS("h", "/m", "-o"), "-o needs options behind it");
	assert_refused(ARGS("-fx", "h", "/m"), "unknown option '-x'");
	assert_refused(
		ARGS("--passfile=/x", "h", "/m"), "'--passfile' (did you mean -o passfile=?)");
	assert_refused(ARGS("--nonsense", "h", "/m"), "unknown option '--nonsense' (imapfs -h");
}

static void test_suffix_of_64_octets(void **state)
{
	char list[] = "suffix=.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	struct options o;

	parse_o(&o, list);
	assert_int_equal(strlen(o.suffix), 64);
	options_finish(&o);
}

static void test_help(void **state)
{
	static const char *const names[] = {"ro", "subscribed",
		"suffix=", "passfile=", "passcmd=", "netrc=", "tls=", "cafile=", "fingerprint=",
		"tls_priority=", "certfile=", "keyfile=", "tokencmd=", "auth=", "authzid=",
		"timeout=", "connections=", "compress=", "sizes=", "expunge=", "cache=",
		"cache_size=", "uid=", "gid=", "umask=", "fmask=", "dmask=", "allow_other",
		"allow_root", "default_permissions", "auto_unmount", "fsname=", "subtype=", "-h",
		"-V", "-f", "-d", "-s"};
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	options_print_version(out);
	options_print_help(out);
	assert_int_equal(fclose(out), 0);
	assert_memory_equal(
		text, "imapfs " IMAPFS_VERSION "\nusage: ", strlen(IMAPFS_VERSION) + 15);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_non_null(strstr(text, names[i]));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_letters),
		cmocka_unit_test(test_options_behind),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_fingerprint),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_last_wins),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_masks),
		cmocka_unit_test(test_commas),
		cmocka_unit_test(test_mount_options),
		cmocka_unit_test(test_fstab_words),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_cache_directory),
		cmocka_unit_test(test_long_account),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_secret_is_not_repeated),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_suffix_of_64_octets),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, set_environment, NULL);
}
