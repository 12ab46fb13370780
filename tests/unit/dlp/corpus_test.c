/*
 * Floors on the labelled corpora (../shared/data/dlp): what was reached stays reached. A finding is
 * right when it overlaps a span of its type; on benign text every one is wrong but the ignored types.
 */
#include "base/buf.h"
#include "base/def.h"
#include "dlp/dlp.h"
#include "tests/t.h"

#include <unistd.h>
#include <zlib.h>

#define DATA "../shared/data/dlp/"

static struct dlp *dlp;
static struct dlp_scratch *scratch;

struct score {
	size_t spans, found, wrong, bytes, touched, cases;
};

static bool type_in(const json_t *list, const char *name)
{
	const json_t *one;
	size_t i;

	json_array_foreach((json_t *)list, i, one)
		if (strcmp(json_string_value(one), name) == 0)
			return true;
	return false;
}

static bool overlaps(const json_t *span, const struct finding *f)
{
	return f->start < json_integer_value(json_object_get(span, "end")) &&
	       json_integer_value(json_object_get(span, "start")) < f->end;
}

static void case_score(const json_t *c, const struct findings *f, struct score *s)
{
	const json_t *spans = json_object_get(c, "spans"), *span;
	const char *labels = json_string_value(json_object_get(c, "labels"));
	size_t i, wrong = 0;

	json_array_foreach((json_t *)spans, i, span) {
		int type = dlp_type_find(dlp, json_string_value(json_object_get(span, "type")));
		bool hit = false;

		if (type < 0)
			continue; /* a type we do not claim */
		for (size_t k = 0; k < f->n; k++)
			hit = hit || (f->items[k].type == type && overlaps(span, &f->items[k]));
		s->spans++;
		s->found += hit;
	}
	for (size_t k = 0; k < f->n; k++) {
		const char *name = dlp_type_name(dlp, f->items[k].type);

		if (strcmp(labels, "benign") == 0)
			wrong += !type_in(json_object_get(c, "ignore"), name);
		else if (strcmp(labels, "neg") == 0)
			wrong += type_in(json_object_get(c, "neg_types"), name);
	}
	s->wrong += wrong;
	s->touched += wrong > 0;
	s->cases++;
}

static bool corpus_score(const char *file, struct score *s)
{
	static char line[1u << 22];
	gzFile in = gzopen(file, "rb");
	struct arena arena;

	*s = (struct score){ 0 };
	if (!in)
		return false;
	arena_init(&arena, 1u << 26);
	while (gzgets(in, line, sizeof(line))) {
		json_t *c = json_loads(line, 0, NULL);
		const json_t *text = json_object_get(c, "text");
		struct findings f = { .arena = &arena };

		s->bytes += json_string_length(text);
		t_ok(text && dlp_scan(dlp, scratch, slice_of(json_string_value(text), json_string_length(text)),
				      (struct slice){ 0 }, 0, &f) == 0, "%s: scan", file);
		case_score(c, &f, s);
		json_decref(c);
		arena_reset(&arena);
	}
	gzclose(in);
	arena_done(&arena);
	return true;
}

int main(void)
{
	/* permille of the spans of our types; wrong findings in all. */
	static const struct { const char *file; size_t recall, wrong; } floors[] = {
		{ "dev-secrets", 555, 50 }, { "dev-pii-ids", 920, 1 }, { "dev-pii-recognisers", 650, 1 },
		{ "dev-pii-synth", 870, 0 }, { "dev-benign", 0, 2 },
	};
	struct mistakes m;

	if (access(DATA, R_OK) != 0) {
		t_skip("no corpora at %s", DATA);
		return t_done();
	}
	mistakes_init(&m, "rules.json");
	t_ok(dlp_new((struct slice){ 0 }, &m, &dlp) == 0 && dlp_scratch_new(dlp, &scratch) == 0,
	     "the engine compiles");
	for (size_t i = 0; i < ARRAY_LEN(floors) && scratch; i++) {
		struct score s;
		char path[128];

		(void)snprintf(path, sizeof(path), DATA "%s.jsonl.gz", floors[i].file);
		if (!corpus_score(path, &s)) {
			t_skip("%s is not there", path);
			continue;
		}
		printf("# %s: %zu of %zu spans of our types, %zu wrong (%.1f a MB), %zu of %zu cases touched\n",
		       floors[i].file, s.found, s.spans, s.wrong, (double)s.wrong * 1e6 / (double)s.bytes,
		       s.touched, s.cases);
		t_ok(s.found * 1000 >= s.spans * floors[i].recall, "%s: recall %zu of %zu",
		     floors[i].file, s.found, s.spans);
		t_ok(s.wrong <= floors[i].wrong, "%s: %zu wrong", floors[i].file, s.wrong);
	}
	dlp_scratch_free(scratch);
	dlp_unref(dlp);
	mistakes_done(&m);
	return t_done();
}
