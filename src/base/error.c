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
	{ERR_NOT_CACHED, ENETDOWN, "not cached"},
	{ERR_CANCELED, EINTR, "interrupted"},
};

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
