/* What `sallyport daemon` was told on its command line; the same for all its processes. */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include <limits.h>
#include <stdbool.h>

struct options {
	const char *policy;      /* the policy file; NULL: found by policies_path() */
	const char *policies;    /* directory of the data files; NULL: searched */
	const char *cgroup;      /* cgroup v2 directory to attach to; NULL: the root */
	const char *state;       /* /var/lib/sallyport */
	const char *run;         /* /run/sallyport */
	const char *pin;         /* directory on a bpffs; "" none */
	const char *upstream_ca; /* further roots for providers' certificates; NULL none */
	int mode;                /* enum sp_mode, or -1: the policy's own */
	unsigned workers;        /* threads of the worker process */
	unsigned upstream_timeout_s;
	unsigned max_body_mib;
	bool verbose;
	bool prefetch;           /* resolve the catalogue at start */
	/* inside: which process this is */
	const char *role;        /* NULL: the monitor */
	int fd;
	char data_file[4][PATH_MAX]; /* by enum snapshot_file */
};

/* 0, or an exit status of cli.h with the complaint printed (help is EXIT_FINE with *help set). */
int options_parse(int argc, char **argv, struct options *o, bool *help);

#endif
