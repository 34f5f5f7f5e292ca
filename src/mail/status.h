/* What the account is doing, as text for people (and for scripts: one fact a line). */
#ifndef MAIL_STATUS_H
#define MAIL_STATUS_H

#include "base/buf.h"
#include "mail/account.h"

/* Appends the report. Returns buf's errors. */
int account_status(struct account *a, struct buf *out);

#endif
