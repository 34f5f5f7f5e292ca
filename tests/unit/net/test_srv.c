/* SPDX-License-Identifier: MIT */
/* Answers of the DNS to the question for a domain's IMAP server; whole, and cut at each octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "net/srv.h"

static struct buf message;

static void put16(unsigned value)
{
	buf_append_char(&message, (char)(value >> 8));
	buf_append_char(&message, (char)(value & 0xff));
}

/* Labels separated by dots; "" is the root. */
static void put_name(const char *name)
{
	while (*name) {
		size_t n = strcspn(name, ".");
		buf_append_char(&message, (char)n);
		buf_append(&message, name, n);
		name += n + (name[n] == '.');
	}
	buf_append_char(&message, '\0');
}

static void begin(unsigned answers)
{
	buf_finish(&message);
	buf_init(&message, 4096);
	put16(7);
	put16(0x8180);
	put16(1);
	put16(answers);
	put16(0);
	put16(0);
	put_name("_imaps._tcp.example.org");
	put16(33);
	put16(1);
}

static void put_record(
	unsigned type, unsigned priority, unsigned weight, unsigned port, const char *target)
{
	put16(0xc00c); /* the name of the question */
	put16(type);
	put16(1);
	put16(0);
	put16(300);
	put16((unsigned)(6 + strlen(target) + (*target ? 2 : 1)));
	put16(priority);
	put16(weight);
	put16(port);
	put_name(target);
}

static struct net_srv parse(void)
{
	struct net_srv srv;

	/* Nothing is read behind the end. */
	for (size_t n = 0; n < message.len; n++) {
		struct buf cut;
		buf_init(&cut, 4096);
		buf_append(&cut, message.data, n);
		net_srv_parse((const unsigned char *)buf_cstr(&cut), n, &srv);
		assert_true(!srv.found || srv.none || *srv.host);
		buf_finish(&cut);
	}
	net_srv_parse((const unsigned char *)message.data, message.len, &srv);
	return srv;
}

static void test_best(void **state)
{
	begin(4);
	put_record(33, 10, 50, 993, "c.example.org");
	put_record(33, 5, 10, 993, "b.example.org");
	put_record(33, 5, 60, 9993, "IMAP.Example.org");
	put_record(33, 5, 20, 993, "d.example.org");
	struct net_srv srv = parse();
	assert_true(srv.found && !srv.none);
	assert_string_equal(srv.host, "imap.example.org");
	assert_int_equal(srv.port, 9993);
}

static void test_none(void **state)
{
	begin(1);
	put_record(33, 0, 0, 0, "");
	struct net_srv srv = parse();
	assert_true(srv.found && srv.none);
	begin(0);
	srv = parse();
	assert_false(srv.found);
}

/* A record of another type (an alias), a port of 0, and what cannot be a host. */
static void test_passed_over(void **state)
{
	begin(4);
	put_record(5, 0, 0, 993, "a.example.org");
	put_record(33, 0, 0, 0, "b.example.org");
	put_record(33, 0, 0, 993, "-c; rm.example.org");
	put_record(33, 9, 0, 993, "d.example.org");
	struct net_srv srv = parse();
	assert_true(srv.found);
	assert_string_equal(srv.host, "d.example.org");
}

static int finish(void **state)
{
	buf_finish(&message);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_best),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, finish);
}
