/* Loading the four files into one set. */
#include "relay/snapshot.h"

#include <errno.h>
#include <stdlib.h>

const char *const snapshot_names[SNAPSHOT_FILES] = { "policy.json", "providers.json", "prices.json",
						     "detectors.json" };

static bool provider_exists(void *ctx, const char *id)
{
	return catalog_provider_id(ctx, id) != NULL;
}

/* Appends what `m` collected and empties it. */
static void mistakes_move(struct mistakes *m, struct buf *why)
{
	(void)buf_append(why, buf_slice(&m->text));
	mistakes_done(m);
}

static int catalog_part(struct snapshot *s, struct slice text, struct buf *why)
{
	struct mistakes m;
	int r;

	mistakes_init(&m, snapshot_names[SNAPSHOT_CATALOG]);
	r = catalog_load(text, &m, &s->catalog);
	mistakes_move(&m, why);
	return r;
}

static int prices_part(struct snapshot *s, struct slice text, struct buf *why)
{
	struct mistakes m;
	int r;

	mistakes_init(&m, snapshot_names[SNAPSHOT_PRICES]);
	r = prices_load(text, &m, &s->prices);
	mistakes_move(&m, why);
	return r;
}

static int dlp_part(struct snapshot *s, struct slice text, struct buf *why)
{
	struct mistakes m;
	int r;

	mistakes_init(&m, snapshot_names[SNAPSHOT_DETECTORS]);
	r = dlp_new(text, &m, &s->dlp);
	mistakes_move(&m, why);
	return r;
}

static int policy_part(struct snapshot *s, struct slice text, int mode_override, struct buf *why)
{
	const struct policy_names names = { provider_exists, s->catalog };
	struct mistakes m;
	int r;

	mistakes_init(&m, snapshot_names[SNAPSHOT_POLICY]);
	r = policy_load(text, s->dlp, &names, mode_override, &m, &s->policy);
	mistakes_move(&m, why);
	return r;
}

int snapshot_load(const struct slice texts[SNAPSHOT_FILES], int mode_override, uint64_t generation,
		  struct buf *why, struct snapshot **out)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	int r[SNAPSHOT_FILES];

	if (!s)
		return -ENOMEM;
	s->refs = 1;
	s->generation = generation;
	/* The policy is checked against the others, so it comes last; all report their mistakes. */
	r[SNAPSHOT_CATALOG] = catalog_part(s, texts[SNAPSHOT_CATALOG], why);
	r[SNAPSHOT_PRICES] = prices_part(s, texts[SNAPSHOT_PRICES], why);
	r[SNAPSHOT_DETECTORS] = dlp_part(s, texts[SNAPSHOT_DETECTORS], why);
	r[SNAPSHOT_POLICY] = s->catalog && s->dlp ?
				     policy_part(s, texts[SNAPSHOT_POLICY], mode_override, why) :
				     -EINVAL;
	for (size_t i = 0; i < SNAPSHOT_FILES; i++) {
		if (r[i] < 0) {
			snapshot_unref(s);
			return r[i];
		}
	}
	*out = s;
	return 0;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void snapshot_unref(struct snapshot *s)
{
	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	policy_unref(s->policy);
	prices_unref(s->prices);
	dlp_unref(s->dlp);
	catalog_unref(s->catalog);
	free(s);
}
