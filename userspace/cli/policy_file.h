/* The policy file with what it is checked against: detector types and providers. */
#ifndef CLI_POLICY_FILE_H
#define CLI_POLICY_FILE_H

#include "catalog/catalog.h"
#include "cli/policies.h"
#include "policy/policy.h"

struct policy_file {
	char path[PATH_MAX];
	struct mistakes mistakes; /* of policy.json; what is wrong elsewhere goes to stderr */
	struct catalog *catalog;
	struct dlp *dlp;
	struct policy *policy; /* NULL after EXIT_NO */
};

/* EXIT_FINE; EXIT_NO: mistakes in it (not printed); EXIT_SYSTEM: told to stderr. policy_file_done()
 * after each of them. */
int policy_file_load(const char *command, const char *given, struct policy_file *f);
void policy_file_done(struct policy_file *f);
/* Only the detectors, with the operator's own. EXIT_FINE, EXIT_NO, EXIT_SYSTEM: told to stderr. */
int policy_file_dlp(const char *command, struct dlp **out);

#endif
