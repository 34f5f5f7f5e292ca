/* SPDX-License-Identifier: MIT */
/* The part of a session between the greeting and READY (capabilities, STARTTLS, login,
 * introduction) and COMPRESS, which has its command from here. */
#ifndef IMAP_LOGIN_H
#define IMAP_LOGIN_H

#include "imap/session.h"

void imap_login_init(struct imap_session *s);
void imap_login_finish(struct imap_session *s);

void imap_login_on_greeting(struct imap_session *s, const struct imap_response *r);
void imap_login_on_capability(struct imap_session *s, struct span words);
void imap_login_on_challenge(struct imap_session *s, struct span challenge);
void imap_login_on_token(struct imap_session *s, struct span token);
void imap_login_on_tls(struct imap_session *s);

#endif
