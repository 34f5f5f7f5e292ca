/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes of messages:
 *
 *   user.imap.flags         system flags and keywords, "\Seen \Flagged $Work"; may be set;
 *   user.imap.uid           the UID
 *   user.imap.internaldate  when the server received it, as IMAP writes it, in UTC
 *   user.imap.emailid       what the server names the message by, in all mailboxes (RFC 8474)
 *   user.imap.mailbox       the raw name of the mailbox, also of a directory
 *
 * Only the first is listed, so that who copies attributes (cp -a, rsync -X) copies what may be set
 * elsewhere, too. All other names are answered EOPNOTSUPP, which ls and cp remember for the
 * filesystem: with ENODATA `ls -l` would ask for two of each file.
 */
#ifndef FS_XATTR_H
#define FS_XATTR_H

#include "base/span.h"
#include "fs/fuse.h"
#include "mail/model/mailbox.h"

/* Of messages. */
void xattr_get(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void xattr_list(fuse_req_t req, fuse_ino_t ino, size_t size);
void xattr_set(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
	int flags);
/* The flags of a message that came in as another inode, and whose row may not have come yet. */
void xattr_set_flags(
	fuse_req_t req, fuse_ino_t ino, struct mailbox *mb, uint32_t uid, struct span value);
void xattr_remove(fuse_req_t req, fuse_ino_t ino, const char *name);
void xattr_get_of_directory(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);

#endif
