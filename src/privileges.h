/*
 * What the process gives up: at its start what it never needs, after mounting what it needed for
 * that.
 */
#ifndef PRIVILEGES_H
#define PRIVILEGES_H

/* There are three standard streams, no core and no debugger of the user's own gets at the secrets,
 * and what was inherited, descriptors and the service manager's variables, is not passed on to the
 * programs that we run. */
void privileges_begin(void);
/* From now on nothing that this thread starts can gain privileges by a set-user-ID program, as
 * fusermount3 is one: unmounting is left to the guardian. */
void privileges_drop(void);

#endif
