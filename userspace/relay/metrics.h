/* Counters of a worker thread in memory shared with the monitor, which only reads them. */
#ifndef RELAY_METRICS_H
#define RELAY_METRICS_H

#include <stdint.h>

/* METRIC(name, what it counts): once in an enum, once in `sallyport status`. */
#define METRICS(METRIC)                                                                            \
	METRIC(accepted, "connections accepted from applications")                                \
	METRIC(dialled, "of these: nobody was redirected, somebody dialled the listener")         \
	METRIC(inspected, "connections terminated and inspected")                                 \
	METRIC(spliced, "connections passed through unread")                                      \
	METRIC(refused, "connections refused")                                                    \
	METRIC(distrusted, "handshakes that a client broke off over our certificate")             \
	METRIC(open, "connections open now")                                                      \
	METRIC(exchanges, "requests inspected")                                                   \
	METRIC(redacted, "requests or answers changed")                                           \
	METRIC(blocked, "requests refused by policy, DLP or budget")                              \
	METRIC(cut, "answers cut in mid-stream")                                                  \
	METRIC(failed, "requests that failed upstream or in inspection")                          \
	METRIC(findings, "DLP findings")                                                          \
	METRIC(upstream_tls_failed, "upstream certificates refused and handshakes failed")        \
	METRIC(records, "records handed to the recorder")                                         \
	METRIC(records_refused, "records that found the spool full")                              \
	METRIC(bytes_out, "bytes of request bodies sent")                                         \
	METRIC(bytes_in, "bytes of answer bodies received")

enum metric {
#define METRIC(name, what) METRIC_##name,
	METRICS(METRIC)
#undef METRIC
	METRIC_N
};

/* One writer each (its thread), so plain stores of aligned words are enough. */
struct metrics {
	uint64_t value[METRIC_N];
};

#define metric_add(m, name, n) ((m)->value[METRIC_##name] += (uint64_t)(n))

extern const char *const metric_names[METRIC_N];
extern const char *const metric_texts[METRIC_N];

#endif
