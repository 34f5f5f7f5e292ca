/* SPDX-License-Identifier: MIT */
#include "app/check/check.h"

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <gnutls/gnutls.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <uv.h>

#include "base/span.h"
#include "base/text.h"
#include "app/check/private.h"

__attribute__((format(printf, 3, 0))) static void print_line(
	const char *verdict, const char *what, const char *format, va_list args)
{
	char text[2048], printable[2048];

	vsnprintf(text, sizeof(text), format, args);
	printf("%-4s  %-13s %s\n", verdict, what,
		text_printable(span_of(text), printable, sizeof(printable)));
	fflush(stdout);
}

void check_ok(struct check *c, const char *what, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line("ok", what, format, args);
	va_end(args);
}

void check_note(struct check *c, const char *what, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line("note", what, format, args);
	va_end(args);
}

void check_fail(struct check *c, int status, const char *what, const char *format, ...)
{
	va_list args;

	if (c->status == EXIT_STATUS_OK)
		c->status = status;
	va_start(args, format);
	print_line("FAIL", what, format, args);
	va_end(args);
}

static void print_versions(void)
{
	struct utsname machine;

	printf("imapfs %s, libfuse %s, GnuTLS %s, libuv %s", options_version(), fuse_pkgversion(),
		gnutls_check_version(NULL), uv_version_string());
	if (uname(&machine) == 0)
		printf(", %s %s %s", machine.sysname, machine.release, machine.machine);
	putchar('\n');
}

int check_run(const struct options *o)
{
	struct check c = {.o = o, .status = EXIT_STATUS_OK};

	print_versions();
	check_local(&c);
	check_server(&c);
	return c.status;
}
