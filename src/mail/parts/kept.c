/* SPDX-License-Identifier: MIT */
#include "mail/parts/kept.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "mail/parts/facts.h"

static bool find_missing(struct mailbox *mb, enum fact *kind)
{
	static const enum fact kinds[] = {FACT_SUMMARY, FACT_STRUCTURE};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		*kind = kinds[i];
		if (facts_try_all(mb, *kind) == ERR_NOT_CACHED)
			return true;
	}
	return false;
}

static void kept_on_wake(struct facts_wait *w, int err)
{
	struct mailbox *mb = w->mb;

	if (err == 0 && !mb->dead && find_missing(mb, &w->kind)) {
		facts_wait(w);
		return;
	}
	free(w);
	keep_more_came(mb, err);
}

int kept_ask_facts(struct mailbox *mb, bool look)
{
	enum fact kind;

	if (mb->dead)
		return ERR_STALE;
	if (look)
		facts_forget_memory(mb);
	if (!find_missing(mb, &kind))
		return 0;
	struct facts_wait *w = mem_zalloc(sizeof(*w));
	*w = (struct facts_wait){.mb = mb, .kind = kind, .on_wake = kept_on_wake};
	list_init(&w->link);
	facts_wait(w);
	return ERR_NOT_CACHED;
}
