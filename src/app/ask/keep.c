/* SPDX-License-Identifier: MIT */
/* The mount does the work, while it is asked how far it is (fs/keep.h); this looks at that and tells. */
#include "app/ask/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "app/ask/bar.h"
#include "app/ask/mount.h"
#include "app/options/options.h"
#include "app/start/mountpoint.h"

/* Milliseconds between two looks: at first, and at most. Of a mailbox that is all here it takes few. */
#define LOOK_FIRST 5
#define LOOK_TIME 200

struct keeping {
	const char *path;     /* as given */
	const char *name;     /* of the mailbox, as a path in the mount */
	char mount[PATH_MAX]; /* where that is */
	char real[PATH_MAX];  /* the directory */
	unsigned long long inode;
	struct buf text;    /* the last answer, */
	const char *answer; /* which is here */
	unsigned answers;   /* so many came */
	struct bar bar;
	struct bar_state state; /* what it told */
	uint64_t unreadable;
};

/* --- signals --- */

static volatile sig_atomic_t caught;

static void keep_on_signal(int number)
{
	caught = number;
}

static void catch_signals(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = keep_on_signal}, old;

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
}

/* Ends as who did not catch it. */
static void die_of_signal(void)
{
	int number = caught;

	fflush(stdout);
	signal(number, SIG_DFL);
	raise(number);
}

/* --- where it is --- */

static int fail(const struct keeping *k, int status, const char *what)
{
	log_error("%s: %s", k->path, what);
	return status;
}

static int fail_path(const struct keeping *k, int error)
{
	char text[PATH_MAX];

	if (error != ENOTCONN)
		return fail(k, EXIT_STATUS_USAGE, strerror(error));
	int status = mountpoint_fail_stale(k->path, text, sizeof(text));
	log_error("%s", text);
	return status;
}

static int find_mailbox(struct keeping *k)
{
	struct stat st;

	if (!realpath(k->path, k->real) || stat(k->real, &st) < 0)
		return fail_path(k, errno);
	if (!S_ISDIR(st.st_mode))
		return fail(k, EXIT_STATUS_USAGE, "no directory of a mailbox");
	if (!ask_find_mount(k->real, k->mount))
		return fail(k, EXIT_STATUS_MOUNT, "no imapfs is mounted there");
	k->inode = st.st_ino;
	k->name = k->real + strlen(k->mount);
	k->name += *k->name == '/';
	if (!*k->name)
		k->name = k->real;
	return EXIT_STATUS_OK;
}

/* --- asking --- */

static int fail_asking(const struct keeping *k, int error)
{
	if (caught)
		return EXIT_STATUS_NOT_DONE;
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return fail(k, EXIT_STATUS_MOUNT,
			"no imapfs is mounted there, or one of an older version");
	case ENETDOWN:
	case ETIMEDOUT:
		return fail(k, EXIT_STATUS_CONNECT,
			"the server cannot be reached, and the messages of this mailbox were never "
			"listed");
	case ENOTCONN:
	case ECONNABORTED:
		return fail(k, EXIT_STATUS_MOUNT, "the filesystem is not mounted any more");
	default:
		return fail(k, EXIT_STATUS_MOUNT, strerror(error));
	}
}

/* The answer to a verb. An exit status. */
static int ask(struct keeping *k, const char *verb)
{
	char file[64];
	int error;

	snprintf(file, sizeof(file), "%s.%llu", verb, k->inode);
	/* Who was stopped (Ctrl-Z) while he waited, and goes on, asks again. */
	do {
		buf_clear(&k->text);
		error = ask_try(k->mount, file, &k->text);
	} while (error == EINTR && !caught);
	k->answer = buf_cstr(&k->text);
	k->answers += error == 0;
	return error ? fail_asking(k, error) : EXIT_STATUS_OK;
}

/* The value of a line; empty: there is none. */
static struct span value_of(const struct keeping *k, const char *key)
{
	const char *text = k->answer;
	size_t n = strlen(key);

	for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
		if (strncmp(text, key, n) == 0 && strncmp(text + n, ": ", 2) == 0)
			return (struct span){text + n + 2, strcspn(text + n + 2, "\n")};
	return (struct span){"", 0};
}

static bool says(const struct keeping *k, const char *key, const char *value)
{
	return span_equal(value_of(k, key), span_of(value));
}

/* The first question. The kernel may not know yet that another mailbox has this name now, as where the
 * messages were numbered anew: who opens the directory has it look again. */
static int ask_first(struct keeping *k, const char *verb)
{
	int status = ask(k, verb), fd;

	if (status != EXIT_STATUS_OK || !says(k, "reason", "gone"))
		return status;
	fd = open(k->real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	k->answers = 0;
	status = find_mailbox(k);
	return status == EXIT_STATUS_OK ? ask(k, verb) : status;
}

/* "HERE of ALL" */
static void take_pair(struct span value, uint64_t *here, uint64_t *all)
{
	static const char between[] = " of ";
	const char *at = memmem(value.p, value.n, between, sizeof(between) - 1);
	uint64_t first, second;

	if (!at)
		return;
	const char *rest = at + sizeof(between) - 1;
	if (text_parse_number((struct span){value.p, (size_t)(at - value.p)}, UINT64_MAX, &first) &&
		text_parse_number((struct span){rest, (size_t)(value.p + value.n - rest)},
			UINT64_MAX, &second)) {
		*here = first;
		*all = second;
	}
}

static void take_numbers(struct keeping *k)
{
	k->state = (struct bar_state){.name = k->name};
	k->unreadable = 0;
	take_pair(value_of(k, "messages"), &k->state.messages, &k->state.all_messages);
	take_pair(value_of(k, "bytes"), &k->state.octets, &k->state.all_octets);
	text_parse_number(value_of(k, "unreadable"), UINT64_MAX, &k->unreadable);
}

/* Another one that asked for the same was interrupted, and had it left; or this one slept for too long. */
static bool was_left(const struct keeping *k)
{
	return says(k, "state", "stopped") && says(k, "kept", "yes");
}

/* Until nothing is under way any more, or a signal comes. */
static int watch(struct keeping *k, const char *verb)
{
	long wait = LOOK_FIRST;
	struct timespec now;
	int status = ask_first(k, verb);

	while (status == EXIT_STATUS_OK && says(k, "state", "busy") && !caught) {
		take_numbers(k);
		clock_gettime(CLOCK_MONOTONIC, &now);
		bar_show(&k->bar, &k->state, now.tv_sec * 1000 + now.tv_nsec / 1000000);
		nanosleep(&(struct timespec){.tv_nsec = wait * 1000000}, NULL);
		wait = 2 * wait < LOOK_TIME ? 2 * wait : LOOK_TIME;
		status = ask(k, "kept");
		if (status == EXIT_STATUS_OK && was_left(k) && !caught)
			status = ask(k, verb);
	}
	if (status == EXIT_STATUS_OK && caught)
		status = ask(k, "pause");
	take_numbers(k);
	bar_wipe(&k->bar);
	return status;
}

/* --- what came of it --- */

static const char gone[] =
	"it is gone, or its messages were numbered anew; where it is still there "
	"the next --keep fetches them";

static const struct {
	const char *reason, *text;
	int status;
} reasons[] = {
	{"mailbox", "no messages are in this directory itself; name a mailbox below it",
		EXIT_STATUS_USAGE},
	{"gone", gone, EXIT_STATUS_NOT_DONE},
	{"view", "this is no mailbox's own directory; name the mailbox itself", EXIT_STATUS_USAGE},
	{"memory", "the cache of this mount is not on the disk: there is nothing to keep it in",
		EXIT_STATUS_CACHE},
	{"offline", "the server cannot be reached", EXIT_STATUS_CONNECT},
	{"daylimit", "what daylimit= allows for today has come", EXIT_STATUS_NOT_DONE},
	{"room", "the disk is full", EXIT_STATUS_CACHE},
};

/* "812 of 2000 messages (51.2 of 130.0 MB) are kept" */
static const char *print_part(const struct keeping *k, char *text, size_t size)
{
	snprintf(text, size, "%llu of %llu messages (%.1f of %.1f MB) are kept",
		(unsigned long long)k->state.messages, (unsigned long long)k->state.all_messages,
		(double)k->state.octets / 1e6, (double)k->state.all_octets / 1e6);
	return text;
}

static int fail_for_reason(const struct keeping *k)
{
	struct span reason = value_of(k, "reason"), error = value_of(k, "error");
	char part[160];

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (!span_equal(reason, span_of(reasons[i].reason)))
			continue;
		if (!says(k, "state", "failed"))
			return fail(k, reasons[i].status, reasons[i].text);
		bool why = reasons[i].status == EXIT_STATUS_CONNECT;
		log_error("%s: %s%s%.*s%s: %s; the next --keep fetches the rest", k->path,
			reasons[i].text, why ? " (" : "", why ? (int)error.n : 0, error.p,
			why ? ")" : "", print_part(k, part, sizeof(part)));
		return reasons[i].status;
	}
	log_error("%s: %.*s: %s; the next --keep fetches the rest", k->path, (int)error.n, error.p,
		print_part(k, part, sizeof(part)));
	return EXIT_STATUS_NOT_DONE;
}

static int tell_kept(const struct keeping *k)
{
	char name[512], part[160], size[32];

	text_printable(span_of(k->path), name, sizeof(name));
	if (k->unreadable > 0) {
		log_error("%s: %s; the server does not give the other %llu", name,
			print_part(k, part, sizeof(part)), (unsigned long long)k->unreadable);
		return EXIT_STATUS_NOT_DONE;
	}
	if (!says(k, "state", "done")) {
		log_error("%s: %s; %s", name, print_part(k, part, sizeof(part)),
			says(k, "state", "busy") ? "another imapfs --keep goes on with the rest"
						 : "the next --keep fetches the rest");
		return EXIT_STATUS_NOT_DONE;
	}
	bar_megabytes(k->state.octets, size, sizeof(size));
	if (k->state.messages == 1)
		printf("%s: the only message (%s) is kept\n", name, size);
	else
		printf("%s: all %llu messages (%s) are kept\n", name,
			(unsigned long long)k->state.messages, size);
	return fflush(stdout) == 0 ? EXIT_STATUS_OK : EXIT_STATUS_INTERNAL;
}

/* What there was when it was asked first is no mailbox any more. */
static bool is_gone(const struct keeping *k)
{
	return k->answers > 1 && says(k, "reason", "mailbox");
}

static int keep_one(struct keeping *k)
{
	int status = watch(k, "keep");

	if (status != EXIT_STATUS_OK)
		return status;
	if (is_gone(k))
		return fail(k, EXIT_STATUS_NOT_DONE, gone);
	if (value_of(k, "reason").n > 0)
		return fail_for_reason(k);
	if (!says(k, "kept", "yes"))
		return fail(k, EXIT_STATUS_NOT_DONE, "--unkeep was given it meanwhile");
	return tell_kept(k);
}

static int unkeep_one(struct keeping *k)
{
	char name[512];
	int status = ask_first(k, "kept");
	bool was = says(k, "kept", "yes");

	if (status == EXIT_STATUS_OK && (was || says(k, "state", "busy")))
		status = watch(k, "unkeep");
	if (status != EXIT_STATUS_OK || caught)
		return status;
	if (says(k, "state", "failed"))
		return fail(k, EXIT_STATUS_CACHE, "the cache cannot be written; it stays kept");
	if (value_of(k, "reason").n > 0)
		return fail_for_reason(k);
	printf("%s: %s\n", text_printable(span_of(k->path), name, sizeof(name)),
		was ? "not kept any more" : "was not kept");
	return fflush(stdout) == 0 ? EXIT_STATUS_OK : EXIT_STATUS_INTERNAL;
}

/* A path that begins with a dash is written ./-name. */
static int fail_usage(const char *verb, const char *word)
{
	if (word)
		log_error("%s has no option '%s'; usage: imapfs %s MOUNTPOINT/MAILBOX...", verb,
			word, verb);
	else
		log_error(
			"%s: which mailboxes? usage: imapfs %s MOUNTPOINT/MAILBOX...", verb, verb);
	return EXIT_STATUS_USAGE;
}

static int run(int argc, char **argv, const char *verb, int (*one)(struct keeping *k))
{
	int result = EXIT_STATUS_OK;

	if (argc == 0)
		return fail_usage(verb, NULL);
	for (int i = 0; i < argc; i++)
		if (argv[i][0] == '-')
			return fail_usage(verb, argv[i]);
	catch_signals();
	for (int i = 0; i < argc && !caught; i++) {
		struct keeping k = {.path = argv[i]};
		buf_init(&k.text, ASK_MAX);
		int status = find_mailbox(&k);
		if (status == EXIT_STATUS_OK)
			status = one(&k);
		buf_finish(&k.text);
		if (result == EXIT_STATUS_OK)
			result = status;
	}
	if (caught)
		die_of_signal();
	return result;
}

int keep_run(int argc, char **argv)
{
	return run(argc, argv, "--keep", keep_one);
}

int unkeep_run(int argc, char **argv)
{
	return run(argc, argv, "--unkeep", unkeep_one);
}
