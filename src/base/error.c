/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <errno.h>
#include <stddef.h>

static const struct {
	int err;
	int number;
	const char *text;
} table[] = {
	{ERR_OK, 0, "no error"},
	{ERR_GONE, ENOENT, "message is gone"},
	{ERR_UNREADABLE, EIO, "message cannot be read"},
	{ERR_NO_MAILBOX, ENOENT, "no such mailbox"},
	{ERR_STALE, ESTALE, "UIDVALIDITY changed"},
	{ERR_READONLY, EROFS, "read-only"},
	{ERR_DENIED, EACCES, "permission denied by the server"},
	{ERR_UNSAFE, EPERM, "not without danger to other mail"},
	{ERR_REFUSED, EIO, "refused by the server"},
	{ERR_PARTIAL, EIO, "done in part only"},
	{ERR_QUOTA, EDQUOT, "over quota"},
	{ERR_TOO_LARGE, EFBIG, "too large for the server"},
	{ERR_UNSURE, EIO, "it is not known whether the server did it"},
	{ERR_EXISTS, EEXIST, "exists"},
	{ERR_NOT_EMPTY, ENOTEMPTY, "not empty"},
	{ERR_BUSY, EBUSY, "in use"},
	{ERR_TOO_LONG, ENAMETOOLONG, "the name is too long"},
	{ERR_NET, ENETDOWN, "no connection"},
	{ERR_TIMEOUT, ETIMEDOUT, "timed out"},
	{ERR_PROTOCOL, EIO, "protocol error"},
	{ERR_TLS, EIO, "TLS error"},
	{ERR_AUTH, EACCES, "login refused"},
	{ERR_TOKEN, EACCES, "no token to log in with"},
	{ERR_THROTTLED, EAGAIN, "throttled by the server"},
	{ERR_NOMEM, ENOMEM, "out of memory"},
	{ERR_LIMIT, EFBIG, "too large"},
	{ERR_INVALID, EINVAL, "invalid"},
	{ERR_IO, EIO, "input/output error"},
	{ERR_DISK_FULL, ENOSPC, "the disk is full"},
	{ERR_NOT_CACHED, ENETDOWN, "not cached"},
	{ERR_DAYLIMIT, EDQUOT, "the daylimit is reached"},
	{ERR_CANCELED, EINTR, "interrupted"},
};

bool error_is_outage(int err)
{
	return err == ERR_NET || err == ERR_TIMEOUT;
}

bool error_is_connection(int err)
{
	switch (err) {
	case ERR_NET:
	case ERR_TIMEOUT:
	case ERR_PROTOCOL:
	case ERR_TLS:
	case ERR_AUTH:
	case ERR_THROTTLED:
	case ERR_TOKEN:
	case ERR_DAYLIMIT:
		return true;
	default:
		return false;
	}
}

int error_errno(int err)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].err == err)
			return table[i].number;
	return EIO;
}

const char *error_text(int err)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].err == err)
			return table[i].text;
	return "unknown error";
}
