/* SPDX-License-Identifier: MIT */
#include "net/failure.h"

#include <stdarg.h>
#include <stdio.h>

int net_failure_set(struct net_failure *f, int err, const char *format, ...)
{
	va_list args;

	f->err = err;
	va_start(args, format);
	vsnprintf(f->text, sizeof(f->text), format, args);
	va_end(args);
	return err;
}
