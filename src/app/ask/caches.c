/* SPDX-License-Identifier: MIT */
#include "app/ask/caches.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/text.h"
#include "app/accounts/home.h"
#include "app/discover/discover.h"
#include "app/options/options.h"
#include "cache/care.h"

#define ERROR_MAX 1024
/* Options of a mount that are taken along, with its source. */
#define WORDS_MAX 64
#define NAME_WIDTH 36

/* --- what there is --- */

/* "1.9 GB" */
static const char *size_text(uint64_t octets, char *text, size_t size)
{
	static const char *const units[] = {"kB", "MB", "GB", "TB"};
	double value = (double)octets / 1000;
	size_t i = 0;

	while (value >= 999.95 && i + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1000;
		i++;
	}
	snprintf(text, size, "%.1f %s", value, units[i]);
	return text;
}

static void print_heading(void)
{
	printf("%-*s %9s %9s  %s\n", NAME_WIDTH, "ACCOUNT", "SIZE", "MESSAGES", "LAST USED");
}

static void print_look(const char *name, const struct cache_look *look)
{
	char printable[512], size[32], count[32] = "-", used[32] = "-";
	time_t t = (time_t)look->used;
	struct tm tm;

	if (look->account)
		snprintf(count, sizeof(count), "%llu", (unsigned long long)look->messages);
	if (t > 0 && localtime_r(&t, &tm))
		strftime(used, sizeof(used), "%Y-%m-%d %H:%M", &tm);
	printf("%-*s %9s %9s  %s", NAME_WIDTH,
		text_printable(span_of(name), printable, sizeof(printable)),
		size_text(look->octets, size, sizeof(size)), count, used);
	if (look->in_use && look->pid)
		printf("  mounted (PID %u)", look->pid);
	printf("%s\n", look->in_use && !look->pid ? "  mounted" : "");
}

static int list_all(void)
{
	char *base = home_place("XDG_CACHE_HOME", "/.cache");
	struct dirent **names = NULL;
	int n = base ? scandir(base, &names, NULL, alphasort) : -1;
	unsigned found = 0;

	for (int i = 0; i < n; i++) {
		char *dir = mem_printf("%s/%s", base, names[i]->d_name);
		struct cache_look look;
		if (names[i]->d_name[0] != '.' && cache_look(dir, &look)) {
			if (found++ == 0)
				print_heading();
			print_look(names[i]->d_name, &look);
			cache_look_finish(&look);
		}
		free(dir);
		free(names[i]);
	}
	free(names);
	free(base);
	return fflush(stdout) == 0 ? EXIT_STATUS_OK : EXIT_STATUS_INTERNAL;
}

/* --- of one account --- */

static int fail_usage(const char *what)
{
	log_error("--cache %s: whose cache? usage: imapfs --cache [list | verify | trim SIZE | "
		  "clear] ACCOUNT or SOURCE",
		what);
	return EXIT_STATUS_USAGE;
}

static int parse_as(int argc, char **argv, const char *found, struct options *o)
{
	static char program[] = "imapfs", check[] = "--check";
	char *words[WORDS_MAX + 3] = {program, check}, error[ERROR_MAX];

	if (argc > WORDS_MAX) {
		log_error("--cache: too many arguments");
		return EXIT_STATUS_USAGE;
	}
	memcpy(words + 2, argv, (size_t)argc * sizeof(*words));
	if (options_parse(argc + 2, words, found, o, error, sizeof(error)) < 0) {
		log_error("%s", error);
		return EXIT_STATUS_USAGE;
	}
	if (!o->help && !o->version)
		return EXIT_STATUS_OK;
	options_finish(o);
	return fail_usage(argv[0]);
}

/* The words of the account, whose server is looked for only where the cache is not under the address
 * itself. */
static int parse_account(int argc, char **argv, struct options *o, struct cache_look *look)
{
	char error[ERROR_MAX], *source = NULL;
	int status = parse_as(argc, argv, NULL, o);

	if (status != EXIT_STATUS_OK)
		return status;
	bool found = cache_look(o->cache, look);
	if (!found && o->is_address && discover_server(o, &source, error, sizeof(error)) == 0 &&
		source) {
		options_finish(o);
		status = parse_as(argc, argv, source, o);
		found = status == EXIT_STATUS_OK && cache_look(o->cache, look);
	}
	free(source);
	if (found || status != EXIT_STATUS_OK)
		return status;
	log_error("%s: there is no cache of this account; 'imapfs --cache' lists those that there "
		  "are",
		o->cache);
	options_finish(o);
	return EXIT_STATUS_CACHE;
}

static int run_verify(struct cache *c, const struct options *o, uint64_t size)
{
	struct cache_verified v;
	char text[32];

	if (cache_verify(c, &v) < 0) {
		log_error("%s: the database is damaged; the next mount begins a new one", o->cache);
		return EXIT_STATUS_CACHE;
	}
	printf("%s: %llu messages, %s: sound\n", o->account, (unsigned long long)v.messages,
		size_text(v.octets, text, sizeof(text)));
	if (v.damaged == 0)
		return EXIT_STATUS_OK;
	printf("%s: %llu messages were damaged; they are fetched again when they are read\n",
		o->account, (unsigned long long)v.damaged);
	return EXIT_STATUS_NOT_DONE;
}

static int run_trim(struct cache *c, const struct options *o, uint64_t size)
{
	struct cache_counts counts;
	char text[32];

	cache_counts(c, &counts);
	if (cache_trim(c, size) == 0) {
		if (counts.kept > 0)
			printf("%s: %s are kept, and stay (imapfs --unkeep)\n", o->account,
				size_text(counts.kept, text, sizeof(text)));
		return EXIT_STATUS_OK;
	}
	log_error("%s: the cache cannot be trimmed; `imapfs --cache verify` looks why", o->cache);
	return EXIT_STATUS_CACHE;
}

static int run_clear(struct cache *c, const struct options *o, uint64_t size)
{
	int err = cache_clear(c);

	if (err == 0)
		return EXIT_STATUS_OK;
	if (err != ERR_BUSY) {
		log_error("%s: the cache is not cleared: what is owed to the server cannot be "
			  "read, or its counter not be written",
			o->cache);
		return EXIT_STATUS_CACHE;
	}
	log_error("%s: it knows of flags that are still to be given back on the server, after a "
		  "removal that was interrupted: mount the account once, then clear",
		o->cache);
	return EXIT_STATUS_NOT_DONE;
}

static const struct care {
	const char *name;
	bool has_size;
	int (*run)(struct cache *c, const struct options *o, uint64_t size);
} cares[] = {
	{"verify", false, run_verify},
	{"trim", true, run_trim},
	{"clear", false, run_clear},
};

static int run_care(const struct care *care, const struct options *o, uint64_t size)
{
	const struct cache_options options = {
		.dir = o->cache, .account = o->identity, .max_bytes = o->cache_size};
	char error[ERROR_MAX];
	struct cache *c = cache_open_alone(&options, error, sizeof(error));

	if (!c) {
		log_error("%s", error);
		return EXIT_STATUS_CACHE;
	}
	int status = care->run(c, o, size);
	cache_close(c);
	return status;
}

static int refuse_in_use(const struct options *o, const struct cache_look *look)
{
	if (look->pid)
		log_error("%s: a mount uses this cache (PID %u); unmount it first", o->cache,
			look->pid);
	else
		log_error("%s: a mount uses this cache; unmount it first", o->cache);
	return EXIT_STATUS_CACHE;
}

/* As a list of all would call it, where that would find it. Valid as long as the options. */
static const char *name_of(const struct options *o)
{
	char *base = home_place("XDG_CACHE_HOME", "/.cache");
	size_t n = base ? strlen(base) : 0;
	bool listed = base && strncmp(o->cache, base, n) == 0 && o->cache[n] == '/' &&
		      o->cache[n + 1] && !strchr(o->cache + n + 1, '/');

	free(base);
	return listed ? o->cache + n + 1 : o->account;
}

/* What there is of it afterwards is what a list would say. */
static int take_care(const struct care *care, uint64_t size, int argc, char **argv)
{
	struct options o;
	struct cache_look look;
	int status = parse_account(argc, argv, &o, &look);

	if (status != EXIT_STATUS_OK)
		return status;
	if (care && look.in_use) {
		status = refuse_in_use(&o, &look);
	} else if (care) {
		status = run_care(care, &o, size);
		cache_look_finish(&look);
		cache_look(o.cache, &look);
	}
	if (status == EXIT_STATUS_OK || status == EXIT_STATUS_NOT_DONE) {
		print_heading();
		print_look(name_of(&o), &look);
	}
	cache_look_finish(&look);
	options_finish(&o);
	return fflush(stdout) == 0 ? status : EXIT_STATUS_INTERNAL;
}

int caches_run(int argc, char **argv)
{
	const struct care *care = NULL;
	uint64_t size = 0;

	bool list = argc > 0 && strcmp(argv[0], "list") == 0;
	if (argc == 0 || (list && argc == 1))
		return list_all();
	if (list)
		return take_care(NULL, 0, argc - 1, argv + 1);
	for (size_t i = 0; i < sizeof(cares) / sizeof(cares[0]); i++)
		if (strcmp(argv[0], cares[i].name) == 0)
			care = &cares[i];
	if (!care)
		return take_care(NULL, 0, argc, argv);
	int words = 1 + care->has_size;
	if (argc <= words)
		return fail_usage(care->name);
	if (care->has_size && !size_parse(span_of(argv[1]), &size)) {
		log_error(
			"--cache trim takes a number of bytes, with k, M or G behind it, not '%s'",
			argv[1]);
		return EXIT_STATUS_USAGE;
	}
	return take_care(care, size, argc - words, argv + words);
}
