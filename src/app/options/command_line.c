/* SPDX-License-Identifier: MIT */
/*
 * The command line taken apart by getopt. mount(8) calls its helpers, mount.imapfs is one, with
 * letters of its own: there -f means "do all but mount", and -n, -s, -v and -t say nothing to us.
 */
#include "app/options/private.h"

#include <getopt.h>
#include <string.h>

#include "base/mem.h"

static int take_argument(struct options_parser *p, const char *argument)
{
	if (!p->source) {
		p->source = mem_strdup(argument);
		p->given = argument;
	} else if (!p->mountpoint) {
		p->mountpoint = mem_strdup(argument);
	} else {
		return options_fail(p,
			"too many arguments at '%.80s': there is one SOURCE and one MOUNTPOINT",
			argument);
	}
	return 0;
}

static int fail_letter(struct options_parser *p, char *const *argv)
{
	const char *word = argv[optind - 1];

	if (optopt == 'o')
		return options_fail(p, "-o needs options behind it (imapfs -h lists them)");
	if (strncmp(word, "--", 2) == 0) {
		struct span name = {word + 2, strcspn(word + 2, "=")};
		return options_fail_unknown(p, "--", name);
	}
	if (optopt == 'u')
		return options_fail(
			p, "there is no option '-u': fusermount3 -u MOUNTPOINT unmounts");
	return options_fail(p, "unknown option '-%c' (imapfs -h lists them)", optopt);
}

static int take_list(struct options_parser *p, const char *list)
{
	if (p->list_count == OPTIONS_LISTS_MAX)
		return options_fail(p, "-o is given more than %d times", OPTIONS_LISTS_MAX);
	p->lists[p->list_count++] = list;
	return 0;
}

static int take_letter(struct options_parser *p, int letter, char *const *argv)
{
	struct options *o = p->o;

	switch (letter) {
	case 1:
		return take_argument(p, optarg);
	case 'c':
		o->check = true;
		return 0;
	case 'd':
		o->debug = o->foreground = true;
		return 0;
	case 'f':
		*(p->helper ? &p->o->fake : &o->foreground) = true;
		return 0;
	case 'n':
	case 's':
	case 't':
	case 'v':
		return 0; /* one thread is all there is */
	case 'h':
		o->help = true;
		return 0;
	case 'V':
		o->version = true;
		return 0;
	case 'o':
		return take_list(p, optarg);
	default:
		return fail_letter(p, argv);
	}
}

static bool is_helper(const char *program)
{
	const char *slash = strrchr(program, '/');

	return strncmp(slash ? slash + 1 : program, "mount.", 6) == 0;
}

/* '-' in getopt's letters: arguments come in their order, whatever POSIXLY_CORRECT says. */
int options_take_command_line(struct options_parser *p, int argc, char **argv)
{
	static const struct option words[] = {{"check", no_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0}};
	const char *letters;
	int letter, err = 0;

	p->helper = is_helper(argv[0]);
	letters = p->helper ? "-:fhnst:vo:V" : "-:dfhso:V";
	optind = 0;
	opterr = 0;
	while (err == 0 && !p->o->help && !p->o->version &&
		(letter = getopt_long(argc, argv, letters, words, NULL)) != -1)
		err = take_letter(p, letter, argv);
	if (p->o->help || p->o->version)
		return 0;
	while (err == 0 && optind < argc)
		err = take_argument(p, argv[optind++]);
	if (err == 0 && !p->source)
		err = options_fail(p, "SOURCE and MOUNTPOINT are missing; usage: imapfs [options] "
				      "SOURCE MOUNTPOINT (imapfs -h says more)");
	return err;
}
