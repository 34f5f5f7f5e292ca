/* SPDX-License-Identifier: MIT */
/* The file of accounts: what it makes of SOURCE and the options, and what is wrong with it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/mem.h"
#include "app/accounts/config.h"
#include "app/accounts/home.h"
#include "app/options/options.h"

enum { ARGS_MAX = 16 };

static char error[400], directory[] = "/tmp/imapfs-config-XXXXXX", *path;

static void write_config(const char *text, mode_t mode)
{
	unlink(path);
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fchmod(fileno(out), mode), 0);
	fclose(out);
}

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

static void refuse(const char *const *args, const char *words)
{
	struct options o;

	if (parse(&o, args) != ERR_INVALID)
		fail_msg("not refused: %s", words);
	if (!strstr(error, words))
		fail_msg("'%s' is not in '%s'", words, error);
	assert_null(strchr(error, '\n'));
}

static const char text[] = "# mine\n"
			   "[work]\n"
			   "source = anna@imap.example.org\n"
			   "mountpoint = ~/mail\n"
			   "  passcmd = pass show 'mail/anna, work'   ; indented, and a comma\n"
			   "delete = trash\n"
			   "trash = Bin\n"
			   "ro = no\n"
			   "sync = yes\n"
			   "timeout = 7\n"
			   "\n"
			   "[url]\n"
			   "source = imaps://anna@h:1993/\n"
			   "tls = implicit\n"
			   "certfile = /c\n"
			   "[anna@example.org]\n"
			   "connections = 5\n"
			   "[bare]\n"
			   "ro = yes\n";

static void test_account(void **state)
{
	struct options o;

	write_config(text, 0600);
	parse_ok(&o, ARGS("work"));
	assert_string_equal(o.name, "work");
	assert_string_equal(o.source.user, "anna");
	assert_string_equal(o.source.host, "imap.example.org");
	assert_string_equal(o.mountpoint, "/home/anna/mail");
	assert_string_equal(o.passcmd, "pass show 'mail/anna, work'");
	assert_string_equal(o.trash, "Bin");
	assert_true(o.sync && !o.ro);
	assert_int_equal(o.timeout, 7);
	assert_non_null(strstr(o.mount_options, "fsname=work,"));
	options_finish(&o);
	parse_ok(&o, ARGS("work:Archive/2024", "/m"));
	assert_string_equal(o.mountpoint, "/m");
	assert_string_equal(o.source.mailbox, "Archive/2024");
	options_finish(&o);
	parse_ok(&o, ARGS("url:INBOX", "/m"));
	assert_int_equal(o.source.port, 1993);
	assert_string_equal(o.source.mailbox, "INBOX");
	options_finish(&o);
}

/* A section may be called as the address is; what is no account is a host, as before. */
static void test_names(void **state)
{
	struct options o;

	write_config(text, 0600);
	parse_ok(&o, ARGS("anna@example.org", "/m"));
	assert_int_equal(o.connections, 5);
	assert_string_equal(o.source.host, "example.org");
	options_finish(&o);
	parse_ok(&o, ARGS("anna@work", "/m"));
	assert_null(o.name);
	assert_string_equal(o.source.host, "work");
	options_finish(&o);
	parse_ok(&o, ARGS("imaps://anna@work/", "/m"));
	assert_null(o.name);
	options_finish(&o);
	refuse(ARGS("bare", "/m"), "the account [bare] has no line source = USER@HOST");
	refuse(ARGS("url"), "MOUNTPOINT is missing");
}

static void test_command_line_wins(void **state)
{
	struct options o;

	write_config(text, 0600);
	parse_ok(&o, ARGS("-o", "timeout=9,passfile=/p,delete=never", "work", "-o", "ro,async"));
	assert_int_equal(o.timeout, 9);
	assert_string_equal(o.passfile, "/p");
	assert_null(o.passcmd);
	assert_null(o.trash);
	assert_true(o.ro && !o.sync);
	options_finish(&o);
	parse_ok(&o, ARGS("-o", "netrc=/n", "work", "-o", "trash=Other"));
	assert_null(o.passcmd);
	assert_string_equal(o.trash, "Other");
	options_finish(&o);
	refuse(ARGS("work", "-o", "delete=never,trash=X"), "trash= is of use with delete=trash");
	refuse(ARGS("work", "-o", "passfile=/p,passcmd=x"), "exclude each other");
}

static void test_permissions(void **state)
{
	struct options o;

	write_config(text, 0640);
	refuse(ARGS("work"), "others can read");
	assert_non_null(strstr(error, "chmod 600 '"));
	write_config("[work]\nsource = a@h\n", 0644);
	parse_ok(&o, ARGS("work", "/m"));
	options_finish(&o);
	write_config("[work]\nsource = a@h\n", 0664);
	refuse(ARGS("work", "/m"), "others can write");
	/* Nobody asked for it. */
	parse_ok(&o, ARGS("imaps://a@h/", "/m"));
	options_finish(&o);
	unlink(path);
	parse_ok(&o, ARGS("work", "/m"));
	assert_string_equal(o.source.host, "work");
	options_finish(&o);
	assert_int_equal(mkdir(path, 0700), 0);
	refuse(ARGS("work", "/m"), "is not a file");
	rmdir(path);
}

static void test_wrong_lines(void **state)
{
	static const struct {
		const char *text, *words;
	} wrong[] = {
		{"source = a@h\n", "config:1: there is no [NAME] of an account above this line"},
		{"[work]\n\nnonsense\n", "config:3: not understood; a line is [NAME] or WORD"},
		{"[work\n", "config:1: an account begins with [NAME]"},
		{"[]\n", "config:1: an account begins with [NAME]"},
		{"[a b]\n", "config:1: the name of an account has no blanks"},
		{"[a:b]\n", "config:1: the name of an account has no blanks"},
		{"[work]\nsource = a@h\npasswd = geheim\n",
			"config:3: there is no option 'passwd': a password never belongs into this "
			"file"},
		{"[work]\nsource = a@h\npassfil = /x\n", "config:3: unknown option 'passfil' (did "
							 "you mean passfile=?)"},
		{"[work]\nsource = a@h\nro = perhaps\n", "config:3: ro = is yes or no, not "
							 "'perhaps'"},
		{"[work]\nsource = a@h\ntimeout =\n", "config:3: option 'timeout' needs a value"},
		{"[work]\nsource = a@h\npasscmd = pass x | head -1\n",
			"config:3: passcmd= is not run by a shell, to which the '|' in it"},
		{"[work]\nsource = http://h/\n", "a URL as SOURCE starts with imaps:// or"},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		write_config(wrong[i].text, 0600);
		refuse(ARGS("work", "/m"), wrong[i].words);
		assert_null(strstr(error, "geheim"));
	}
}

/* inih would cut these without a word. */
static void test_long_lines(void **state)
{
	char *name = mem_zalloc(400);
	char *config;

	memset(name, 'x', 399);
	config = mem_printf("[work]\nsource = a@h\npasscmd = %s\n", name);
	write_config(config, 0600);
	refuse(ARGS("work", "/m"), "config:3: the line is longer than ");
	free(config);
	config = mem_printf("[%.50s]\n", name);
	write_config(config, 0600);
	refuse(ARGS("work", "/m"), "config:1: an account begins with [NAME], of at most 49");
	free(config);
	free(name);
}

/* mount(8) leaves root's home directory to who is no longer root. */
static void test_home(void **state)
{
	if (getuid() != 0)
		skip();
	assert_string_equal(home_directory(), "/home/anna");
	setenv("HOME", "/root", 1);
	assert_string_equal(home_directory(), "/root");
	setenv("HOME", "/home/anna", 1);
}

static int prepare(void **state)
{
	assert_non_null(mkdtemp(directory));
	char *below = mem_printf("%s/imapfs", directory);
	mkdir(below, 0700);
	free(below);
	path = mem_printf("%s/imapfs/config", directory);
	setenv("HOME", "/home/anna", 1);
	setenv("XDG_CONFIG_HOME", directory, 1);
	return 0;
}

static int clean(void **state)
{
	unlink(path);
	free(path);
	char *below = mem_printf("%s/imapfs", directory);
	rmdir(below);
	free(below);
	rmdir(directory);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_account),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_command_line_wins),
		cmocka_unit_test(test_permissions),
		cmocka_unit_test(test_wrong_lines),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_home),
	};

	return cmocka_run_group_tests(tests, prepare, clean);
}
