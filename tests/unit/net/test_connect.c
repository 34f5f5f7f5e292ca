/* SPDX-License-Identifier: MIT */
/*
 * Several addresses, and addresses and resolvers that do not answer. The resolver here is our own:
 * libuv's thread calls this file's getaddrinfo.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "client.h"
#include "server.h"

enum { ATTEMPT_DELAY = 250 }; /* ms, RFC 8305 section 5 */

static const char *answers[4]; /* addresses, up to a NULL */
static sem_t *resolver_waits;  /* NULL: it answers at once */
static uint64_t attempt_delay; /* ms, instead of those from one attempt to the next; 0: as it is */

int __real_uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout, uint64_t repeat);
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout, uint64_t repeat);

int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
	if (timeout == ATTEMPT_DELAY && attempt_delay)
		timeout = attempt_delay;
	return __real_uv_timer_start(timer, cb, timeout, repeat);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
	struct addrinfo **result)
{
	struct addrinfo **at = result;

	if (resolver_waits)
		sem_wait(resolver_waits);
	for (size_t i = 0; i < 4 && answers[i]; i++) {
		struct addrinfo *a = calloc(1, sizeof(*a) + sizeof(struct sockaddr_in));
		struct sockaddr_in *sin = (struct sockaddr_in *)(void *)(a + 1);
		sin->sin_family = AF_INET;
		sin->sin_port = htons((uint16_t)strtoul(service, NULL, 10));
		inet_pton(AF_INET, answers[i], &sin->sin_addr);
		a->ai_family = AF_INET;
		a->ai_socktype = hints->ai_socktype;
		a->ai_addr = (struct sockaddr *)sin;
		a->ai_addrlen = sizeof(*sin);
		*at = a;
		at = &a->ai_next;
	}
	return 0;
}

void freeaddrinfo(struct addrinfo *a)
{
	while (a) {
		struct addrinfo *next = a->ai_next;
		free(a);
		a = next;
	}
}

static void set_answers(const char *first, const char *second, const char *third)
{
	answers[0] = first;
	answers[1] = second;
	answers[2] = third;
}

/* A listener whose queue is full, so that further SYNs are dropped. */
struct hole {
	int listener, filler[8];
};

static void dig(struct hole *h, const char *address, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};

	inet_pton(AF_INET, address, &sin.sin_addr);
	h->listener = server_listen(address, &port, 0);
	for (size_t i = 0; i < 8; i++) {
		h->filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(h->filler[i], (struct sockaddr *)&sin, sizeof(sin));
	}
}

static void fill_in(struct hole *h)
{
	for (size_t i = 0; i < 8; i++)
		close(h->filler[i]);
	close(h->listener);
}

static void greet(struct peer *p, void *ctx)
{
	char octet;

	peer_say(p, "* OK\r\n");
	peer_read(p, &octet, 1);
}

/* Milliseconds until the greeting was there. */
static uint64_t time_to_greeting(uint16_t port)
{
	struct client c;

	client_init(&c);
	uint64_t start = uv_hrtime();
	client_connect(&c, "imap.example.org", port, NULL, false);
	client_run_until_received(&c, 6);
	uint64_t took = (uv_hrtime() - start) / 1000000;
	client_finish(&c);
	return took;
}

/* Each refusal starts the next attempt, whatever the time between attempts. */
static void test_next_when_refused(void **state)
{
	struct server server;

	server_start(&server, greet, NULL);
	set_answers("127.0.0.2", "127.0.0.3", "127.0.0.1");
	attempt_delay = 60 * 60 * 1000;
	time_to_greeting(server.port);
	attempt_delay = 0;
	server_stop(&server);
}

static void test_next_when_silent(void **state)
{
	struct server server;
	struct hole hole;

	server_start(&server, greet, NULL);
	dig(&hole, "127.0.0.2", server.port);
	set_answers("127.0.0.2", "127.0.0.1", NULL);
	assert_in_range(time_to_greeting(server.port), ATTEMPT_DELAY - 10, UINT64_MAX);
	fill_in(&hole);
	server_stop(&server);
}

static void check_timeout(uint16_t port, uint64_t timeout, const char *text)
{
	struct client c;
	struct net_stream_options options = {
		.host = "imap.example.org",
		.port = port,
		.connect_timeout = timeout,
	};

	client_init(&c);
	client_start(&c, &options);
	client_run_until(&c, &c.closed, 1);
	assert_int_equal(c.err, ERR_TIMEOUT);
	assert_string_equal(c.text, text);
	assert_int_equal(c.opened, 0);
	if (resolver_waits)
		sem_post(resolver_waits);
	client_finish(&c);
}

static void test_silent_server(void **state)
{
	struct hole hole;
	char text[128];
	uint16_t port = 0;

	close(server_listen("127.0.0.2", &port, 0));
	dig(&hole, "127.0.0.2", port);
	set_answers("127.0.0.2", "127.0.0.2", NULL);
	snprintf(text, sizeof(text), "connecting to imap.example.org port %u took longer than 3 s",
		port);
	/* The lookup, in a thread, is within that time, too. */
	check_timeout(port, 3000, text);
	fill_in(&hole);
}

static void test_silent_resolver(void **state)
{
	sem_t waits;

	sem_init(&waits, 0, 0);
	resolver_waits = &waits;
	set_answers("127.0.0.1", NULL, NULL);
	check_timeout(993, 400,
		"looking up the address of imap.example.org port 993 took longer than 0.4 s");
	resolver_waits = NULL;
	sem_destroy(&waits);
}

static void test_all_refuse(void **state)
{
	struct client c;
	uint16_t port = 0;

	close(server_listen("127.0.0.2", &port, 0));
	set_answers("127.0.0.2", "127.0.0.3", "127.0.0.4");
	client_init(&c);
	client_connect(&c, "imap.example.org", port, NULL, false);
	client_run_until(&c, &c.closed, 1);
	assert_int_equal(c.err, ERR_NET);
	assert_non_null(strstr(c.text, "cannot connect to imap.example.org port"));
	client_finish(&c);
}

/* Two attempts are running when the stream goes. */
static void test_destroy_while_connecting(void **state)
{
	struct hole hole;
	struct client c;
	uint16_t port = 0;

	close(server_listen("127.0.0.2", &port, 0));
	dig(&hole, "127.0.0.2", port);
	set_answers("127.0.0.2", "127.0.0.2", NULL);
	client_init(&c);
	client_connect(&c, "imap.example.org", port, NULL, false);
	uint64_t start = uv_hrtime();
	while (uv_hrtime() - start < 255u * 1000 * 1000)
		uv_run(&c.loop, UV_RUN_ONCE);
	client_finish(&c);
	fill_in(&hole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next_when_refused),
		cmocka_unit_test(test_next_when_silent),
		cmocka_unit_test(test_silent_server),
		cmocka_unit_test(test_silent_resolver),
		cmocka_unit_test(test_all_refuse),
		cmocka_unit_test(test_destroy_while_connecting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
