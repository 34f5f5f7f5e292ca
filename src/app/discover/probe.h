/* SPDX-License-Identifier: MIT */
/* Asks whether a host answers on a port, and at the same time what its SRV record is. */
#ifndef APP_DISCOVER_PROBE_H
#define APP_DISCOVER_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "net/srv.h"

struct probe {
	bool answers;   /* a connection was made; srv is not waited for then */
	char text[512]; /* to which address, or why not */
	struct net_srv srv;
};

/* Blocks for at most limit milliseconds, on an event loop of its own. */
void probe_host(const char *host, uint16_t port, uint64_t limit, bool ask_srv, struct probe *probe);

#endif
