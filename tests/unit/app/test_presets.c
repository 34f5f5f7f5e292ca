/* SPDX-License-Identifier: MIT */
/* The table of providers: it is found by whole domains, and says something in each row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "app/accounts/presets.h"

static void test_rows(void **state)
{
	const struct preset *preset;

	for (unsigned i = 0; (preset = preset_at(i)); i++) {
		size_t n = strlen(preset->domains);
		assert_true(n > 2 && preset->domains[0] == ' ' && preset->domains[n - 1] == ' ');
		assert_true(*preset->provider && *preset->login);
		if (preset->host)
			assert_string_equal(
				preset_of_host(preset->host)->provider, preset->provider);
		/* Each domain leads to its own row, so none stands twice. */
		char *domains = mem_strdup(preset->domains), *rest;
		for (char *d = strtok_r(domains, " ", &rest); d; d = strtok_r(NULL, " ", &rest))
			assert_ptr_equal(preset_of_domain(d), preset);
		free(domains);
	}
}

static void test_find(void **state)
{
	assert_string_equal(preset_of_domain("gmail.com")->host, "imap.gmail.com");
	assert_true(preset_of_domain("me.com")->local_part);
	assert_null(preset_of_domain("pm.me")->host);
	assert_null(preset_of_domain("mail.com"));
	assert_null(preset_of_domain("gmail.com googlemail.com"));
	assert_null(preset_of_domain("mail"));
	assert_null(preset_of_domain(""));
	assert_null(preset_of_host("gmail.com"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
