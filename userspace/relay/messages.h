/*
 * What the monitor and its workers say to each other: fixed-size structs over SOCK_SEQPACKET
 * (base/channel.h), one channel a worker thread. `type` says which member of the union holds.
 */
#ifndef RELAY_MESSAGES_H
#define RELAY_MESSAGES_H

#include "bpf/sallyport.h"
#include "ident/principal.h"

#define MESSAGE_TEXT 1024

enum message_type {
	MESSAGE_SETUP = 1,   /* monitor -> worker, first; fds in the order of enum setup_fd */
	MESSAGE_RULES,       /* monitor -> worker; fds: policy, catalogue, prices, detectors (memfd) */
	MESSAGE_LISTENER,    /* monitor -> worker; fd: a listening, marked socket */
	MESSAGE_SIGNER,      /* monitor -> worker; fd: a new signer after a crash */
	MESSAGE_RULES_DONE,  /* worker -> monitor: status, text */
	MESSAGE_WHOIS,       /* worker -> monitor */
	MESSAGE_PRINCIPAL,   /* monitor -> worker, same id */
	MESSAGE_ALIVE,       /* worker -> monitor, several times a second */
	MESSAGE_STOP,        /* monitor -> worker: finish what is open, then end */
};

enum setup_fd { SETUP_SPOOL, SETUP_BUDGETS, SETUP_METRICS, SETUP_SIGNER, SETUP_ORIGINS, SETUP_MARKS,
		SETUP_WAKE, SETUP_CA /* PEM of the interception root */, SETUP_FDS };

struct message_setup {
	uint32_t slot;             /* number of this worker thread, from 0 */
	uint32_t upstream_timeout_s;
	uint64_t max_body;         /* bytes of a request or held answer we inspect */
	uint64_t seed;             /* random, for request ids */
	char extra_ca[256];        /* path, "" none */
};

struct message_rules {
	uint64_t generation;
	int32_t mode_override;     /* -1 none */
	int32_t status;            /* RULES_DONE: 0 or -errno */
	char text[MESSAGE_TEXT];   /* RULES_DONE: the mistakes */
};

struct ipc {
	uint32_t type;   /* enum message_type */
	uint32_t id;
	union {
		struct message_setup setup;
		struct message_rules rules;
		struct sp_task task;
		struct principal principal;
	};
};

#endif
