/* All a rule may look at, and what it says: plain data, so that `policy explain` and a replay of
 * the audit log run the very code of the worker. */
#ifndef POLICY_FACTS_H
#define POLICY_FACTS_H

#include "base/slice.h"
#include "bpf/sallyport.h"
#include "dlp/dlp.h"
#include "ident/principal.h"

struct facts {
	const struct principal *who;
	const char *provider; /* id; "" unknown */
	struct slice host;    /* lower case */
	/* request time; empty at connect time */
	const char *endpoint; /* "chat"; NULL at connect time */
	const char *dialect;
	struct slice model;
	struct slice method, path;
};

enum verdict { VERDICT_ALLOW, VERDICT_BLOCK };
enum distrust { DISTRUST_SPLICE, DISTRUST_REFUSE };

struct decision {
	enum sp_mode mode;
	enum verdict verdict;
	const char *rule;   /* id of the rule that matched; "default" */
	const char *reason; /* for the person; "" none */
	bool sanctioned;    /* the rule names this use as approved */
	bool fail_closed;   /* when inspection itself fails */
	enum distrust on_distrust;
	const uint8_t *dlp_request; /* enum dlp_action by type */
	const uint8_t *dlp_response;
};

#endif
