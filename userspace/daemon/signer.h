/* The signer process: holds the CA's keys, has no network and no files, answers "sign this". */
#ifndef DAEMON_SIGNER_H
#define DAEMON_SIGNER_H

#include <stddef.h>

/* The user it becomes when started as root; "nobody" where there is none of this name. */
#define SIGNER_USER "sallyport-signer"

/*
 * The body of the process. control_fd: the monitor's end of a channel_pair(); messages as
 * tls/signer.h says. ca_dir (/var/lib/sallyport/ca) is opened or created first, then the process
 * gives up its user, capabilities, core dumps and all system calls but a handful. permitted: the
 * hosts it may name (ca_open). Returns the exit status: 0 when the monitor closed the channel, 1
 * when the CA could not be opened or the sandbox not be set up (logged).
 */
int signer_main(int control_fd, const char *ca_dir, const char *const *permitted, size_t n);

#endif
