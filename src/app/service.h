/* SPDX-License-Identifier: MIT */
/*
 * Being a service of systemd: with Type=notify it is told when the mount is there, what it is doing,
 * and that it ends (sd_notify(3)); and in the journal each line has its priority (sd-daemon(3)).
 *
 * The protocol is a datagram to a socket; libsystemd, with its compressors, would be a large thing to
 * load into a program that holds passwords, and is not there without systemd.
 */
#ifndef APP_SERVICE_H
#define APP_SERVICE_H

/* Takes what the environment says; to be called before that is cleaned. */
void service_begin(void);
/* Each does nothing when there is nobody to tell. text: one line. */
void service_ready(const char *text);
void service_status(const char *text);
void service_stopping(void);

#endif
