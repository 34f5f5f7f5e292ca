/* SPDX-License-Identifier: MIT */
/* Why a stream ends: the code and the line for people that on_closed will be given. */
#ifndef NET_FAILURE_H
#define NET_FAILURE_H

#include "base/error.h"

struct net_failure {
	int err; /* an enum error, 0 while nothing failed */
	char text[512];
};

/* Returns err. */
int net_failure_set(struct net_failure *f, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
