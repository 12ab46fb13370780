/* Names of the counters. */
#include "relay/metrics.h"

const char *const metric_names[METRIC_N] = {
#define METRIC(name, what) #name,
	METRICS(METRIC)
#undef METRIC
};

const char *const metric_texts[METRIC_N] = {
#define METRIC(name, what) what,
	METRICS(METRIC)
#undef METRIC
};
