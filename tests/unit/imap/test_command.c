/* SPDX-License-Identifier: MIT */
/* Building commands, what their answers stand for, and what servers offer. */
#include "imap/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/oom.h"
#include "base/error.h"
#include "imap/capability.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_text(const struct imap_command *c, struct span expected)
{
	assert_int_equal(c->build_error, 0);
	assert_int_equal(c->text.len, expected.n);
	assert_memory_equal(c->text.data, expected.p, expected.n);
}

static void check_string(struct span s, bool literal_plus, struct span expected)
{
	struct imap_command c;

	imap_command_init(&c, literal_plus, NULL);
	imap_command_add_string(&c, s);
	assert_text(&c, expected);
	bool waits = expected.p[0] == '{' && !literal_plus;
	assert_int_equal(c.literal_count, waits);
	if (waits)
		assert_int_equal(c.literals[0], expected.n - s.n);
	imap_command_finish(&c);
}

static void strings_are_quoted_where_they_can_be(void **state)
{
	check_string(SPAN(""), false, SPAN("\"\""));
	check_string(SPAN("INBOX"), false, SPAN("\"INBOX\""));
	check_string(SPAN("a \"b\" \\c{5}"), false, SPAN("\"a \\\"b\\\" \\\\c{5}\""));
	check_string(SPAN("~*%&AOQ-"), false, SPAN("\"~*%&AOQ-\""));
	check_string(SPAN("NIL"), false, SPAN("\"NIL\""));
}

static void other_strings_are_literals(void **state)
{
	check_string(SPAN("\n"), false, SPAN("{1}\r\n\n"));
	check_string(SPAN("\r"), true, SPAN("{1+}\r\n\r"));
	check_string(SPAN("a\0b"), true, SPAN("{3+}\r\na\0b"));
	check_string(SPAN("\x7f"), false, SPAN("{1}\r\n\x7f"));
	check_string(SPAN("\x80"), false, SPAN("{1}\r\n\x80"));
	check_string(SPAN("\xff"), false, SPAN("{1}\r\n\xff"));
	check_string(SPAN("\x1f"), false, SPAN("{1}\r\n\x1f"));
	check_string(SPAN("Entw\xc3\xbcrfe"), true, SPAN("{9+}\r\nEntw\xc3\xbcrfe"));
}

/* Every octet but those that RFC 3501 excludes, and the two that are escaped. */
static void each_octet(void **state)
{
	for (int i = 1; i < 256; i++) {
		char octet = (char)i, quoted[3] = {'"', octet, '"'};
		char literal[6] = {'{', '1', '}', '\r', '\n', octet};
		bool plain = i >= 0x20 && i < 0x7f;
		if (octet == '"' || octet == '\\')
			continue;
		check_string((struct span){&octet, 1}, false,
			plain ? (struct span){quoted, 3} : (struct span){literal, 6});
	}
}

/* Long ones need not be understood by a server in quotes. */
static void long_strings_are_literals(void **state)
{
	char text[513], expected[520];

	memset(text, 'x', sizeof(text));
	memset(expected, 'x', sizeof(expected));
	memcpy(expected, "{513}\r\n", 7);
	check_string((struct span){text, 513}, false, (struct span){expected, 520});
	expected[0] = expected[513] = '"';
	memset(expected + 1, 'x', 512);
	check_string((struct span){text, 512}, false, (struct span){expected, 514});
}

static void parts_are_joined(void **state)
{
	struct imap_command c;

	imap_command_init(&c, false, NULL);
	imap_command_add(&c, "UID %s %u:%s ", "STORE", 7u, "*");
	imap_command_add_string(&c, SPAN("\x80"));
	imap_command_add(&c, " ");
	imap_command_add_string(&c, SPAN("\x81"));
	imap_command_add(&c, "\r\n");
	assert_text(&c, SPAN("UID STORE 7:* {1}\r\n\x80 {1}\r\n\x81\r\n"));
	assert_int_equal(c.literal_count, 2);
	assert_int_equal(c.literals[0], 19);
	assert_int_equal(c.literals[1], 26);
	imap_command_finish(&c);
}

static void too_many_literals(void **state)
{
	struct imap_command c;

	imap_command_init(&c, false, NULL);
	for (int i = 0; i < IMAP_COMMAND_LITERALS; i++)
		imap_command_add_string(&c, SPAN("\x80"));
	assert_int_equal(c.build_error, 0);
	imap_command_add_string(&c, SPAN("\x80"));
	assert_int_equal(c.build_error, ERR_LIMIT);
	imap_command_finish(&c);
}

/* They wait for nothing, so they need no place. */
static void any_number_with_literal_plus(void **state)
{
	struct imap_command c;

	imap_command_init(&c, true, NULL);
	for (int i = 0; i < 2 * IMAP_COMMAND_LITERALS; i++)
		imap_command_add_string(&c, SPAN("\x80"));
	assert_int_equal(c.build_error, 0);
	assert_int_equal(c.literal_count, 0);
	imap_command_finish(&c);
}

static void too_long(void **state)
{
	static char text[IMAP_COMMAND_MAX];
	struct imap_command c;

	memset(text, 'x', sizeof(text) - 1);
	imap_command_init(&c, true, NULL);
	imap_command_add_string(&c, (struct span){text, sizeof(text) - 8});
	assert_int_equal(c.build_error, ERR_LIMIT);
	imap_command_finish(&c);

	/* One piece of format. */
	imap_command_init(&c, true, NULL);
	imap_command_add(&c, "%s", text);
	assert_int_equal(c.build_error, ERR_LIMIT);
	/* The first error is kept. */
	oom_arm(1);
	imap_command_add(&c, "more");
	assert_true(oom_disarm());
	assert_int_equal(c.build_error, ERR_LIMIT);
	imap_command_finish(&c);
}

static void out_of_memory(void **state)
{
	struct imap_command c;
	bool failed = true;

	for (size_t n = 1; failed; n++) {
		imap_command_init(&c, false, NULL);
		oom_arm(n);
		imap_command_add(&c, "LOGIN ");
		imap_command_add_string(&c, SPAN("joe"));
		imap_command_add_string(&c, SPAN("0123456789012345678901234567890123456789\x80"));
		imap_command_add_string(&c, SPAN("0123456789012345678901234567890123456789"));
		failed = oom_disarm();
		assert_int_equal(c.build_error, failed ? ERR_NOMEM : 0);
		imap_command_finish(&c);
	}
}

static void what_conditions_mean(void **state)
{
	static const struct {
		enum imap_condition condition;
		enum imap_code code;
		const char *text;
		int err;
	} cases[] = {
		{IMAP_OK, IMAP_CODE_NONE, "done", 0},
		{IMAP_OK, IMAP_CODE_THROTTLED, "Too many", 0},
		{IMAP_PREAUTH, IMAP_CODE_NONE, NULL, 0},
		{IMAP_NO, IMAP_CODE_NONE, NULL, ERR_REFUSED},
		{IMAP_BAD, IMAP_CODE_NONE, "what?", ERR_REFUSED},
		{IMAP_NO, IMAP_CODE_OTHER, "no", ERR_REFUSED},
		{IMAP_NO, IMAP_CODE_TRYCREATE, "no", ERR_REFUSED},
		{IMAP_NO, IMAP_CODE_EXPIRED, "no", ERR_REFUSED},
		{IMAP_NO, IMAP_CODE_LIMIT, NULL, ERR_THROTTLED},
		{IMAP_NO, IMAP_CODE_MESSAGELIMIT, NULL, ERR_REFUSED},
		{IMAP_OK, IMAP_CODE_MESSAGELIMIT, NULL, ERR_PARTIAL},
		{IMAP_BYE, IMAP_CODE_UNAVAILABLE, NULL, ERR_THROTTLED},
		{IMAP_NO, IMAP_CODE_THROTTLED, "x", ERR_THROTTLED},
		{IMAP_NO, IMAP_CODE_INUSE, "x", ERR_THROTTLED},
		{IMAP_NO, IMAP_CODE_NOPERM, "x", ERR_DENIED},
		{IMAP_NO, IMAP_CODE_AUTHORIZATIONFAILED, "x", ERR_DENIED},
		{IMAP_NO, IMAP_CODE_READ_ONLY, "x", ERR_READONLY},
		{IMAP_NO, IMAP_CODE_NONEXISTENT, "x", ERR_NO_MAILBOX},
		{IMAP_BAD, IMAP_CODE_NONE, "User is authenticated but not connected.",
			ERR_THROTTLED},
		{IMAP_BAD, IMAP_CODE_NONE, "Request is throttled. Suggested Backoff Time: 9 s",
			ERR_THROTTLED},
		{IMAP_NO, IMAP_CODE_ALERT, "Too many simultaneous connections. (Failure)",
			ERR_THROTTLED},
		{IMAP_BYE, IMAP_CODE_NONE, "there are too many of you", ERR_THROTTLED},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct imap_response r = {.kind = IMAP_TAGGED,
			.condition = cases[i].condition,
			.code = cases[i].code,
			.text = span_of(cases[i].text)};
		assert_int_equal(imap_condition_error(&r), cases[i].err);
	}
}

static uint32_t parse(const char *words)
{
	return imap_capability_parse(span_of(words));
}

static void capabilities(void **state)
{
	assert_int_equal(parse(""), 0);
	assert_int_equal(parse("  XYZZY   X-GM-EXT-1 AUTH=XOAUTH2 "), 0);
	assert_int_equal(imap_capability_parse((struct span){0}), 0);
	assert_int_equal(parse("IMAP4rev1 id"), IMAP_CAP_IMAP4REV1 | IMAP_CAP_ID);
	/* Whole words only. */
	assert_int_equal(parse("IDLENESS XID ID2 AUTH=PLAINTEXT AUTH= LITERAL"), 0);
	assert_int_equal(
		parse("LITERAL- LITERAL+"), IMAP_CAP_LITERAL_MINUS | IMAP_CAP_LITERAL_PLUS);
	assert_int_equal(parse("QRESYNC"), IMAP_CAP_QRESYNC | IMAP_CAP_CONDSTORE | IMAP_CAP_ENABLE);
	assert_int_equal(parse("UTF8=ONLY"), IMAP_CAP_UTF8_ONLY);
	assert_int_equal(
		parse("UIDONLY MESSAGELIMIT=1000"), IMAP_CAP_UIDONLY | IMAP_CAP_MESSAGELIMIT);
	assert_int_equal(parse("MESSAGELIMIT MESSAGELIMIT= MESSAGELIMIT=x"), 0);
	assert_int_equal(imap_capability_limit(SPAN("IMAP4rev1 messagelimit=1000")), 1000);
	uint32_t two = parse("IMAP4rev2");
	assert_true(two & IMAP_CAP_IMAP4REV2);
	assert_true(two & IMAP_CAP_UIDPLUS);
	assert_false(two & IMAP_CAP_LITERAL_PLUS);
	assert_false(two & IMAP_CAP_CONDSTORE);
}

/* Of those that stand for nothing else. */
static void each_capability_is_another(void **state)
{
	static const char *const words[] = {"ACL", "APPENDLIMIT", "COMPRESS=DEFLATE", "CONDSTORE",
		"ENABLE", "ESEARCH", "ID", "IDLE", "IMAP4rev1", "LIST-EXTENDED", "LIST-STATUS",
		"LITERAL+", "LITERAL-", "LOGINDISABLED", "MESSAGELIMIT=1000", "MOVE", "NAMESPACE",
		"NOTIFY", "OBJECTID", "QUOTA", "SASL-IR", "SPECIAL-USE", "STARTTLS", "UIDONLY",
		"UIDPLUS", "UTF8=ACCEPT", "UTF8=ONLY"};
	uint32_t seen = 0;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		uint32_t set = parse(words[i]);
		if (set == 0 || (set & seen))
			fail_msg("%s means 0x%x, and another word does, too", words[i], set);
		seen |= set;
	}
	assert_int_equal(parse("QRESYNC") & ~seen, IMAP_CAP_QRESYNC);
	assert_int_equal(parse("IMAP4rev2") & ~seen, IMAP_CAP_IMAP4REV2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_are_quoted_where_they_can_be),
		cmocka_unit_test(other_strings_are_literals),
		cmocka_unit_test(each_octet),
		cmocka_unit_test(long_strings_are_literals),
		cmocka_unit_test(parts_are_joined),
		cmocka_unit_test(too_many_literals),
		cmocka_unit_test(any_number_with_literal_plus),
		cmocka_unit_test(too_long),
		cmocka_unit_test(out_of_memory),
		cmocka_unit_test(what_conditions_mean),
		cmocka_unit_test(capabilities),
		cmocka_unit_test(each_capability_is_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
