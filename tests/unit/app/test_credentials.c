/* SPDX-License-Identifier: MIT */
/*
 * Passwords from files, from commands and from a terminal: a pseudo-terminal, with a child process
 * that is asked on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <uv.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/mem.h"
#include "app/login/credentials.h"
#include "app/login/command.h"

static const char *source; /* of the last password */

static char directory[] = "/tmp/imapfs-test-XXXXXX";
static char *path;
static char error[400];

static int make_directory(void **state)
{
	if (!mkdtemp(directory))
		return -1;
	path = mem_printf("%s/secret", directory);
	return 0;
}

static int remove_directory(void **state)
{
	unlink(path);
	free(path);
	return rmdir(directory);
}

/* --- passfile --- */

static void write_file(const char *octets, size_t n, mode_t mode)
{
	unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, octets, n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int read_secret(int wait, struct buf *password)
{
	buf_init_secret(password, CREDENTIALS_MAX);
	error[0] = '\0';
	return credentials_read_file(path, wait, password, error, sizeof(error));
}

static void assert_file_gives(const char *expected)
{
	struct buf password;

	if (read_secret(0, &password) < 0)
		fail_msg("%s", error);
	assert_string_equal(buf_cstr(&password), expected);
	buf_finish(&password);
}

static void assert_file_refused(int expected, const char *words)
{
	struct buf password;

	assert_int_equal(read_secret(0, &password), expected);
	if (!strstr(error, words) || !strstr(error, path))
		fail_msg("%s", error);
	assert_int_equal(password.len, 0);
	buf_finish(&password);
}

static void test_file(void **state)
{
	static const char *const contents[][2] = {{"tiger", "tiger"}, {"tiger\n", "tiger"},
		{"tiger\r\nrest\n", "tiger"}, {" ti ger \n", " ti ger "}, {"tiger\r", "tiger"},
		{"t\xc3\xafger\n", "t\xc3\xafger"}};

	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
		write_file(contents[i][0], strlen(contents[i][0]), i % 2 ? 0600 : 0400);
		assert_file_gives(contents[i][1]);
	}
}

static void test_file_without_password(void **state)
{
	write_file("", 0, 0600);
	assert_file_refused(ERR_INVALID, "is empty");
	write_file("\ntiger\n", 7, 0600);
	assert_file_refused(ERR_INVALID, "is empty");
	write_file("\r\n", 2, 0600);
	assert_file_refused(ERR_INVALID, "is empty");
	write_file("ti\0ger\n", 7, 0600);
	assert_file_refused(ERR_INVALID, "NUL");
}

static void test_file_length(void **state)
{
	char *line = mem_alloc(CREDENTIALS_MAX + 3);

	memset(line, 'x', CREDENTIALS_MAX + 3);
	write_file(line, CREDENTIALS_MAX + 3, 0600);
	assert_file_refused(ERR_LIMIT, "longer than 4096 bytes");
	write_file(line, CREDENTIALS_MAX + 1, 0600);
	assert_file_refused(ERR_LIMIT, "too long");
	line[CREDENTIALS_MAX] = '\0';
	write_file(line, CREDENTIALS_MAX, 0600);
	assert_file_gives(line);
	free(line);
}

static void test_file_permissions(void **state)
{
	static const mode_t modes[] = {0640, 0604, 0644, 0620, 0602, 0666};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		write_file("tiger\n", 6, modes[i]);
		assert_file_refused(ERR_INVALID, "chmod 600");
	}
	write_file("tiger\n", 6, 0711);
	assert_file_gives("tiger");
}

static void test_file_owner(void **state)
{
	if (geteuid() != 0)
		skip();
	write_file("tiger\n", 6, 0600);
	assert_int_equal(chown(path, 12345, 12345), 0);
	assert_file_refused(ERR_INVALID, "another user (uid 12345)");
}

/* A private key is looked at in the same way. */
static void test_key(void **state)
{
	write_file("key\n", 4, 0600);
	assert_int_equal(credentials_check_key(path, error, sizeof(error)), 0);
	write_file("key\n", 4, 0640);
	assert_int_equal(credentials_check_key(path, error, sizeof(error)), ERR_INVALID);
	assert_non_null(strstr(error, "others can read or write keyfile "));
	unlink(path);
	assert_int_equal(credentials_check_key(path, error, sizeof(error)), ERR_IO);
	assert_non_null(strstr(error, "No such file"));
}

static void test_file_kinds(void **state)
{
	char *target = mem_printf("%s/target", directory);

	write_file("tiger\n", 6, 0600);
	assert_int_equal(rename(path, target), 0);
	assert_file_refused(ERR_IO, "No such file");
	assert_int_equal(symlink(target, path), 0);
	assert_file_gives("tiger");
	unlink(path);
	unlink(target);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_file_refused(ERR_INVALID, "neither a file nor a pipe");
	rmdir(path);
	free(target);
}

static void test_pipe(void **state)
{
	struct buf password;

	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_file_refused(ERR_TIMEOUT, "nobody writes");
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "tiger", 5), 5);
	assert_file_refused(ERR_TIMEOUT, "nobody writes");
	assert_int_equal(write(fd, "tiger\n", 6), 6);
	assert_int_equal(read_secret(CREDENTIALS_TIMEOUT, &password), 0);
	assert_string_equal(buf_cstr(&password), "tiger");
	buf_finish(&password);
	close(fd);
}

static void test_anonymous_pipe(void **state)
{
	struct options o = {.passfile = NULL};
	struct buf password;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "tiger", 5), 5);
	close(fds[1]);
	o.passfile = mem_printf("/dev/fd/%d", fds[0]);
	buf_init_secret(&password, CREDENTIALS_MAX);
	assert_int_equal(credentials_get(&o, &password, &source, error, sizeof(error)), 0);
	assert_string_equal(buf_cstr(&password), "tiger");
	buf_finish(&password);
	close(fds[0]);
	free(o.passfile);
}

/* --- passcmd --- */

struct result {
	int calls;
	int err;
	char password[CREDENTIALS_MAX + 1];
	char error[300];
};

static void on_done(void *ctx, int err, struct span password, const char *text)
{
	struct result *r = ctx;

	r->calls++;
	r->err = err;
	memcpy(r->password, password.n ? password.p : "", password.n);
	snprintf(r->error, sizeof(r->error), "%s", text);
}

static void run(const char *command, uint64_t timeout, struct result *r)
{
	uv_loop_t loop;

	*r = (struct result){.calls = 0};
	assert_int_equal(uv_loop_init(&loop), 0);
	const struct command_options options = {.option = "passcmd",
		.noun = "password",
		.command = command,
		.max = CREDENTIALS_MAX,
		.timeout = timeout};
	command_start(&loop, &options, on_done, r);
	assert_int_equal(r->calls, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(r->calls, 1);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_command(void **state)
{
	static const char *const commands[][2] = {
		{"echo tiger", "tiger"},
		{"printf 'tiger\\r\\nrest\\n'", "tiger"},
		{"printf tiger", "tiger"},
		{"echo $HOME '*'", "$HOME *"},
		{"sh -c 'echo tiger; head -c 1000000 /dev/zero'", "tiger"},
		{"sh -c 'printf ti; printf ger; echo'", "tiger"},
		{"yes tiger", "tiger"},
		{"sh -c 'yes tiger; echo no'", "tiger"},
		/* As an agent that was started and stays. */
		{"sh -c 'echo tiger; sleep 5 2>/dev/null &'", "tiger"},
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		struct result r;
		run(commands[i][0], CREDENTIALS_TIMEOUT, &r);
		if (r.err < 0)
			fail_msg("%s: %s", commands[i][0], r.error);
		assert_string_equal(r.password, commands[i][1]);
	}
}

static void test_command_fails(void **state)
{
	static const struct {
		const char *command;
		int err;
		const char *words;
	} rows[] = {
		{"/nonexistent/x 1", ERR_IO, "(/nonexistent/x) cannot be run: no such file"},
		{"/tmp", ERR_IO, "cannot be run: permission denied"},
		{"'x", ERR_INVALID, "is no command"},
		{"sh -c 'echo tiger; exit 3'", ERR_IO, "(sh) failed with exit status 3"},
		{"sh -c 'echo tiger; kill -9 $$'", ERR_IO, "ended by signal 9 (Killed)"},
		{"true", ERR_IO, "printed no password"},
		{"echo", ERR_IO, "printed no password"},
		{"cat", ERR_IO, "printed no password"},
		{"printf 'a\\0b\\n'", ERR_IO, "NUL byte"},
		{"printf %04097d 1", ERR_LIMIT, "more than 4096 bytes"},
		{"cat /dev/zero", ERR_LIMIT, "more than 4096 bytes"},
		{"sh -c 'tr \"\\0\" x </dev/zero'", ERR_LIMIT, "more than 4096 bytes"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct result r;
		run(rows[i].command, CREDENTIALS_TIMEOUT, &r);
		assert_int_equal(r.err, rows[i].err);
		if (!strstr(r.error, rows[i].words))
			fail_msg("%s: %s", rows[i].command, r.error);
		assert_null(strstr(r.error, "tiger"));
		assert_string_equal(r.password, "");
	}
}

static void test_command_longest(void **state)
{
	struct result r;

	run("printf %04096d 1", CREDENTIALS_TIMEOUT, &r);
	assert_int_equal(r.err, 0);
	assert_int_equal(strlen(r.password), CREDENTIALS_MAX);
}

static void test_command_timeout(void **state)
{
	struct result r;

	run("sleep 1000", 20, &r);
	assert_int_equal(r.err, ERR_TIMEOUT);
	assert_non_null(strstr(r.error, "(sleep) took too long"));
	run("sh -c 'printf tiger; sleep 5 2>/dev/null &'", 500, &r);
	assert_int_equal(r.err, ERR_TIMEOUT);
	assert_non_null(strstr(r.error, "output stays open"));
}

static void test_command_cancel(void **state)
{
	static const char *const commands[] = {"sleep 1000", "true", "/nonexistent/x", "'x"};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		struct result r = {.calls = 0};
		uv_loop_t loop;
		assert_int_equal(uv_loop_init(&loop), 0);
		const struct command_options options = {.option = "passcmd",
			.noun = "password",
			.command = commands[i],
			.max = CREDENTIALS_MAX,
			.timeout = CREDENTIALS_TIMEOUT};
		struct command *c = command_start(&loop, &options, on_done, &r);
		if (i == 1)
			uv_run(&loop, UV_RUN_NOWAIT);
		if (r.calls == 0)
			command_cancel(c);
		int calls = r.calls;
		uv_run(&loop, UV_RUN_DEFAULT);
		assert_int_equal(r.calls, calls);
		assert_int_equal(uv_loop_close(&loop), 0);
	}
}

static void test_get_by_command(void **state)
{
	struct options o = {.passcmd = mem_strdup("echo tiger")};
	struct buf password;

	buf_init_secret(&password, CREDENTIALS_MAX);
	assert_int_equal(credentials_get(&o, &password, &source, error, sizeof(error)), 0);
	assert_string_equal(buf_cstr(&password), "tiger");
	buf_clear(&password);
	free(o.passcmd);
	o.passcmd = mem_strdup("false");
	assert_int_equal(credentials_get(&o, &password, &source, error, sizeof(error)), ERR_IO);
	assert_non_null(strstr(error, "(false) failed with exit status 1"));
	assert_int_equal(password.len, 0);
	buf_finish(&password);
	free(o.passcmd);
}

/* --- prompt --- */

struct terminal {
	int master, slave;
	int report; /* what the child got, or why not */
	pid_t child;
};

static void ask_in_child(int report)
{
	char user[] = "anna", host[] = "imap.example.org";
	struct options o = {.source = {.user = user, .host = host}};
	struct buf password;

	buf_init_secret(&password, CREDENTIALS_MAX);
	int err = credentials_get(&o, &password, &source, error, sizeof(error));
	dprintf(report, "%d %s", err, err < 0 ? error : buf_cstr(&password));
	buf_finish(&password);
	_exit(0);
}

static void start_child(struct terminal *t, bool has_terminal)
{
	int fds[2];

	assert_int_equal(openpty(&t->master, &t->slave, NULL, NULL, NULL), 0);
	assert_int_equal(pipe(fds), 0);
	t->report = fds[0];
	t->child = fork();
	assert_true(t->child >= 0);
	if (t->child == 0) {
		signal(SIGINT, SIG_DFL);
		setsid();
		if (has_terminal)
			ioctl(t->slave, TIOCSCTTY, 0);
		close(t->slave);
		close(t->master);
		ask_in_child(fds[1]);
	}
	close(fds[1]);
}

/* Reads what the terminal shows until it shows `words`. */
static void read_until(struct terminal *t, const char *words, char *shown, size_t size)
{
	size_t n = 0;

	shown[0] = '\0';
	while (!strstr(shown, words)) {
		ssize_t got = read(t->master, shown + n, size - n - 1);
		assert_true(got > 0);
		n += (size_t)got;
		shown[n] = '\0';
	}
}

static int finish_child(struct terminal *t, char *report, size_t size)
{
	struct termios modes;
	size_t n = 0;
	ssize_t got;
	int status;

	while ((got = read(t->report, report + n, size - n - 1)) > 0)
		n += (size_t)got;
	report[n] = '\0';
	assert_int_equal(waitpid(t->child, &status, 0), t->child);
	assert_int_equal(tcgetattr(t->slave, &modes), 0);
	assert_true(modes.c_lflag & ECHO);
	close(t->report);
	close(t->slave);
	close(t->master);
	return status;
}

static void type(struct terminal *t, const char *text)
{
	assert_int_equal(write(t->master, text, strlen(text)), strlen(text));
}

/* --- what is there without being named --- */

static int get(struct options *o, struct buf *password)
{
	o->source.host = (char *)(uintptr_t) "imap.example.org";
	o->source.user = (char *)(uintptr_t) "anna";
	buf_init_secret(password, CREDENTIALS_MAX);
	error[0] = '\0';
	return credentials_get(o, password, &source, error, sizeof(error));
}

static void assert_gets(struct options *o, const char *expected)
{
	struct buf password;

	if (get(o, &password) < 0)
		fail_msg("%s", error);
	assert_string_equal(buf_cstr(&password), expected);
	buf_finish(&password);
}

static void assert_get_refused(struct options *o, int expected, const char *words)
{
	struct buf password;

	assert_int_equal(get(o, &password), expected);
	if (!strstr(error, words))
		fail_msg("%s", error);
	assert_int_equal(password.len, 0);
	buf_finish(&password);
}

#define NETRC "machine imap.example.org login anna password lion\n"

static void test_netrc(void **state)
{
	struct options o = {.netrc = path, .netrc_given = true};

	write_file(NETRC, strlen(NETRC), 0600);
	assert_gets(&o, "lion");
	write_file(NETRC, strlen(NETRC), 0644);
	assert_get_refused(&o, ERR_INVALID, "others can read or write netrc ");
	write_file("machine x password y", 20, 0600);
	assert_get_refused(&o, ERR_INVALID, "has no password of anna at machine imap.example.org");
	write_file("machine \"x", 10, 0600);
	assert_get_refused(&o, ERR_INVALID, "a quote has no end");
	unlink(path);
	assert_get_refused(&o, ERR_IO, "No such file");
	/* The usual one is used, and is no trouble where it has nothing for us. */
	o.netrc_given = false;
	write_file(NETRC, strlen(NETRC), 0600);
	assert_gets(&o, "lion");
	write_file(NETRC, strlen(NETRC), 0644);
	assert_get_refused(&o, ERR_INVALID, "others can read or write netrc ");
}

/* A service's credential goes before the netrc, and systemd's way to let the user at it is known.
 */
static void test_credential(void **state)
{
	struct options o = {.netrc = path};
	char *credential = mem_printf("%s/imapfs", directory);

	write_file(NETRC, strlen(NETRC), 0600);
	setenv("CREDENTIALS_DIRECTORY", directory, 1);
	assert_gets(&o, "lion");
	int fd = open(credential, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0440);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "tiger\n", 6), 6);
	assert_int_equal(fchmod(fd, 0440), 0);
	assert_gets(&o, "tiger");
	o.passfile = credential;
	assert_gets(&o, "tiger");
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_get_refused(&o, ERR_INVALID, "others can read or write passfile");
	setenv("CREDENTIALS_DIRECTORY", directory, 1);
	assert_int_equal(fchmod(fd, 0444), 0);
	assert_get_refused(&o, ERR_INVALID, "others can read or write passfile");
	unsetenv("CREDENTIALS_DIRECTORY");
	close(fd);
	unlink(credential);
	free(credential);
}

static void test_prompt(void **state)
{
	char shown[1000], report[1000];
	struct terminal t;

	start_child(&t, true);
	read_until(&t, "Password for anna@imap.example.org: ", shown, sizeof(shown));
	type(&t, "tiger\n");
	read_until(&t, "\n", shown, sizeof(shown));
	assert_null(strstr(shown, "t"));
	int status = finish_child(&t, report, sizeof(report));
	assert_string_equal(report, "0 tiger");
	assert_int_equal(status, 0);
}

static void test_prompt_without_answer(void **state)
{
	static const char *const answers[] = {"\n", "\x04"};

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		char shown[1000], report[1000], expected[100];
		struct terminal t;
		start_child(&t, true);
		read_until(&t, ": ", shown, sizeof(shown));
		type(&t, answers[i]);
		read_until(&t, "\n", shown, sizeof(shown));
		finish_child(&t, report, sizeof(report));
		snprintf(expected, sizeof(expected), "%d no password was given", ERR_CANCELED);
		assert_string_equal(report, expected);
	}
}

static void test_prompt_interrupted(void **state)
{
	char shown[1000], report[1000];
	struct terminal t;

	start_child(&t, true);
	read_until(&t, ": ", shown, sizeof(shown));
	type(&t, "tig\x03");
	int status = finish_child(&t, report, sizeof(report));
	assert_string_equal(report, "");
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGINT);
}

/* Stopped, the shell has its echo; continued, the question comes again. The stop is sent by number:
 * the child leads an orphaned group, in which the terminal's own Ctrl-Z stops nobody. */
static void test_prompt_stopped(void **state)
{
	char shown[1000], report[1000];
	struct terminal t;

	start_child(&t, true);
	read_until(&t, ": ", shown, sizeof(shown));
	type(&t, "tig");
	assert_int_equal(kill(t.child, SIGTSTP), 0);
	read_until(&t, "Password for anna@imap.example.org: ", shown, sizeof(shown));
	type(&t, "\x15tiger\n");
	read_until(&t, "\n", shown, sizeof(shown));
	finish_child(&t, report, sizeof(report));
	assert_string_equal(report, "0 tiger");
}

/* The leader of the session, as a shell is: tells whom to kill, and then whether there is echo. */
static _Noreturn void lead_session(struct terminal *t, int report)
{
	struct termios modes;
	int held[2], null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	char none;

	setsid();
	ioctl(t->slave, TIOCSCTTY, 0);
	if (pipe(held) < 0)
		_exit(1);
	pid_t asker = fork();
	if (asker == 0)
		ask_in_child(null);
	close(held[1]);
	dprintf(report, "%d\n", (int)asker);
	waitpid(asker, NULL, 0);
	/* Whoever the asker has started holds it, too. */
	while (read(held[0], &none, 1) < 0)
		continue;
	dprintf(report, "%s\n",
		tcgetattr(t->slave, &modes) == 0 && modes.c_lflag & ECHO ? "echo" : "silent");
	_exit(0);
}

static void test_prompt_killed(void **state)
{
	char shown[1000], report[1000];
	struct terminal t;
	int fds[2];

	assert_int_equal(openpty(&t.master, &t.slave, NULL, NULL, NULL), 0);
	assert_int_equal(pipe(fds), 0);
	t.report = fds[0];
	t.child = fork();
	if (t.child == 0)
		lead_session(&t, fds[1]);
	close(fds[1]);
	ssize_t n = read(t.report, report, sizeof(report) - 1);
	assert_true(n > 0);
	report[n] = '\0';
	read_until(&t, ": ", shown, sizeof(shown));
	assert_int_equal(kill((pid_t)strtol(report, NULL, 10), SIGKILL), 0);
	finish_child(&t, report, sizeof(report));
	assert_string_equal(report, "echo\n");
}

static void test_no_terminal(void **state)
{
	char report[1000];
	struct terminal t;

	start_child(&t, false);
	finish_child(&t, report, sizeof(report));
	assert_int_equal(strtol(report, NULL, 10), ERR_IO);
	assert_non_null(strstr(report, "no terminal to ask for the password; use -o passfile="));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_file_without_password),
		cmocka_unit_test(test_file_length),
		cmocka_unit_test(test_file_permissions),
		cmocka_unit_test(test_file_owner),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_file_kinds),
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_anonymous_pipe),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_command_fails),
		cmocka_unit_test(test_command_longest),
		cmocka_unit_test(test_command_timeout),
		cmocka_unit_test(test_command_cancel),
		cmocka_unit_test(test_get_by_command),
		cmocka_unit_test(test_netrc),
		cmocka_unit_test(test_credential),
		cmocka_unit_test(test_prompt),
		cmocka_unit_test(test_prompt_without_answer),
		cmocka_unit_test(test_prompt_interrupted),
		cmocka_unit_test(test_prompt_stopped),
		cmocka_unit_test(test_prompt_killed),
		cmocka_unit_test(test_no_terminal),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
