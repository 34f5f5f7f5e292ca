/* SPDX-License-Identifier: MIT */
#include "app/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "app/accounts/config.h"
#include "app/ask/caches.h"
#include "app/ask/keep.h"
#include "app/ask/mount.h"
#include "app/ask/status.h"
#include "app/ask/wait.h"
#include "app/options/options.h"

#define ERROR_MAX 1024

struct verb {
	const char *name;
	const char *flag;     /* that stands behind it; NULL: none */
	const char *argument; /* what it is called; NULL: there is none */
	int (*run)(const char *argument);
};

/* What is not done is all that it prints. */
static int run_sync(const char *mountpoint)
{
	struct buf text;
	char file[32];

	/* Each time another name: one that the kernel knows it looks up twice, and each look waits. */
	snprintf(file, sizeof(file), "sync.%ld", (long)getpid());
	buf_init(&text, ASK_MAX);
	int status = ask_mount(mountpoint, file, &text);
	if (status == EXIT_STATUS_OK && text.len > 0) {
		fwrite(text.data, 1, text.len, stdout);
		status = fflush(stdout) == 0 ? EXIT_STATUS_NOT_DONE : EXIT_STATUS_INTERNAL;
	}
	buf_finish(&text);
	return status;
}

static int run_list(const char *argument)
{
	char error[ERROR_MAX], *path = config_path();
	int err = path ? config_list(path, error, sizeof(error)) : 0;

	if (err < 0)
		log_error("%s", error);
	free(path);
	return err < 0 ? EXIT_STATUS_USAGE : EXIT_STATUS_OK;
}

static const struct verb verbs[] = {
	{"--status", "--json", "MOUNTPOINT", status_print_json},
	{"--status", "--watch", "MOUNTPOINT", status_watch},
	{"--status", NULL, "MOUNTPOINT", status_print},
	{"--sync", NULL, "MOUNTPOINT", run_sync},
	{"--wait", NULL, "DIRECTORY", wait_for_change},
	{"--list", NULL, NULL, run_list},
};

/* Those that take any number of arguments. */
static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} free_verbs[] = {
	{"--cache", caches_run},
	{"--keep", keep_run},
	{"--unkeep", unkeep_run},
};

/* A directory whose name begins with a dash is written ./-name. The flag may stand behind it. */
static int run_verb(const struct verb *v, int argc, char **argv)
{
	int given = 2 + (v->flag != NULL), at = given;
	bool has = v->argument != NULL;

	if (v->flag && argc > 2 && strcmp(argv[2], v->flag) != 0)
		at = 2;
	if (argc == given + has && !(has && argv[at][0] == '-'))
		return v->run(argv[at]);
	log_error("%s takes %s%s; usage: imapfs %s%s%s%s", v->name, has ? "one " : "no argument",
		has ? v->argument : "", v->name,
		v->run == status_print ? " [--json | --watch]" : "", has ? " " : "",
		has ? v->argument : "");
	return EXIT_STATUS_USAGE;
}

static bool is_meant(const struct verb *v, int argc, char **argv)
{
	return argc > 1 && strcmp(argv[1], v->name) == 0 &&
	       (!v->flag || (argc > 2 && strcmp(argv[2], v->flag) == 0) ||
		       (argc > 3 && strcmp(argv[3], v->flag) == 0));
}

bool verbs_run(int argc, char **argv, int *status)
{
	for (size_t i = 0; argc > 1 && i < sizeof(free_verbs) / sizeof(free_verbs[0]); i++)
		if (strcmp(argv[1], free_verbs[i].name) == 0) {
			*status = free_verbs[i].run(argc - 2, argv + 2);
			return true;
		}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (is_meant(&verbs[i], argc, argv)) {
			*status = run_verb(&verbs[i], argc, argv);
			return true;
		}
	return false;
}
