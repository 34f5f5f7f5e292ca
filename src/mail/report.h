/* SPDX-License-Identifier: MIT */
/* What the account is doing, as text for people (and for scripts: one fact a line). */
#ifndef MAIL_REPORT_H
#define MAIL_REPORT_H

#include "base/buf.h"
#include "mail/model/account.h"

/* Appends the report. Returns buf's errors. */
int report_print(struct account *a, struct buf *out);

#endif
