/*
 * Compiles host patterns into the automaton of bpf/names.h (subset construction over the patterns
 * read backwards) and swaps it under the running programs.
 *
 * Which pattern wins: an exact one, then the wildcard with the most literal characters, then the
 * longest suffix; among equals the first. As catalog_match() does in user space.
 */
#include "kern/load.h"

#include "bpf/names.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* A position in a pattern: how many of its characters (from the end) are behind us. */
struct place {
	uint32_t pattern;
	uint16_t pos;
	uint8_t in; /* enum below */
};

/* in a '*', which may take more of its label; below the dot of a suffix, which takes anything */
enum { IN_TEXT, IN_STAR, IN_SUBDOMAIN };

struct set {
	uint64_t hash;
	size_t at, n; /* range in build.places */
};

struct build {
	const struct kern_name *names;
	uint16_t *len; /* of each pattern */
	struct place *places;
	size_t n_places, cap_places;
	struct set *sets; /* set i is state i; 0 dead, 1 start */
	size_t n_sets, cap_sets;
	uint32_t *index; /* open-addressed: hash of a set -> state */
	size_t cap_index;
	struct names_row *rows;
};

static void build_done(struct build *b)
{
	free(b->len);
	free(b->places);
	free(b->sets);
	free(b->index);
	free(b->rows);
}

/* '\0' past the front. */
static char char_at(const struct build *b, uint32_t pattern, uint16_t pos)
{
	uint16_t len = b->len[pattern];

	return pos < len ? b->names[pattern].pattern[len - 1 - pos] : '\0';
}

static int places_push(struct build *b, struct place p)
{
	if (b->n_places == b->cap_places) {
		size_t cap = b->cap_places ? b->cap_places * 2 : 8192;
		struct place *grown = realloc(b->places, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		b->places = grown;
		b->cap_places = cap;
	}
	b->places[b->n_places++] = p;
	return 0;
}

static bool is_wild_class(unsigned cls)
{
	return cls != NAMES_OTHER && cls != NAMES_DOT && cls != NAMES_UNDERSCORE;
}

/* Where place p goes on a character of class cls: up to two places. */
static size_t place_step(const struct build *b, struct place p, unsigned cls, struct place out[2])
{
	char want = char_at(b, p.pattern, p.pos);
	size_t n = 0;

	if (p.in == IN_STAR && is_wild_class(cls))
		out[n++] = p;
	if (want == '\0') { /* whole pattern behind us: only a suffix goes on, below its dot */
		if (b->names[p.pattern].suffix && (p.in == IN_SUBDOMAIN || cls == NAMES_DOT))
			out[n++] = (struct place){ p.pattern, p.pos, IN_SUBDOMAIN };
		return n;
	}
	if (want == '*' ? is_wild_class(cls) : names_class[(unsigned char)want] == cls)
		out[n++] = (struct place){ p.pattern, (uint16_t)(p.pos + 1),
					   want == '*' ? IN_STAR : IN_TEXT };
	return n;
}

static bool is_at_end(const struct build *b, struct place p)
{
	return p.pos == b->len[p.pattern];
}

static unsigned literals(const char *pattern)
{
	unsigned n = 0;

	for (; *pattern; pattern++)
		n += *pattern != '*';
	return n;
}

static uint32_t provider_of(const struct build *b, const struct set *s)
{
	unsigned best = 0;
	uint32_t provider = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct place p = b->places[s->at + i];
		const struct kern_name *name = &b->names[p.pattern];
		bool wild = strchr(name->pattern, '*');
		unsigned rank = p.in == IN_SUBDOMAIN ? 1 : wild ? 2 : 3;

		if (!is_at_end(b, p))
			continue;
		rank = rank << 16 | literals(name->pattern);
		if (rank > best) {
			best = rank;
			provider = name->provider;
		}
	}
	return provider;
}

static int place_compare(const void *x, const void *y)
{
	const struct place *a = x, *b = y;

	if (a->pattern != b->pattern)
		return a->pattern < b->pattern ? -1 : 1;
	if (a->pos != b->pos)
		return a->pos < b->pos ? -1 : 1;
	return (int)a->in - (int)b->in;
}

static uint64_t set_hash(const struct place *p, size_t n)
{
	uint64_t h = 14695981039346656037ULL;

	for (size_t i = 0; i < n; i++) {
		h = (h ^ p[i].pattern) * 1099511628211ULL;
		h = (h ^ ((uint32_t)p[i].pos << 2 | p[i].in)) * 1099511628211ULL;
	}
	return h;
}

static bool set_equal(const struct build *b, const struct set *s, const struct place *p, size_t n)
{
	if (s->n != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (place_compare(&b->places[s->at + i], &p[i]) != 0)
			return false;
	return true;
}

static int index_grow(struct build *b)
{
	size_t cap = b->cap_index ? b->cap_index * 2 : 16384;
	uint32_t *grown = calloc(cap, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	for (size_t s = 1; s < b->n_sets; s++) {
		size_t i = b->sets[s].hash & (cap - 1);

		while (grown[i])
			i = (i + 1) & (cap - 1);
		grown[i] = (uint32_t)s;
	}
	free(b->index);
	b->index = grown;
	b->cap_index = cap;
	return 0;
}

/*
 * The state of the places pushed since `from` (sorted here; taken back when the state is known).
 * Returns its number, 0 for none, or -errno.
 */
static int state_of(struct build *b, size_t from)
{
	struct place *p = b->places + from;
	size_t n = b->n_places - from, kept = 0, i;
	uint64_t hash;
	int r;

	if (n == 0)
		return 0;
	qsort(p, n, sizeof(*p), place_compare);
	for (size_t j = 0; j < n; j++)
		if (kept == 0 || place_compare(&p[kept - 1], &p[j]) != 0)
			p[kept++] = p[j];
	b->n_places = from + kept;
	hash = set_hash(p, kept);
	if (b->n_sets * 2 >= b->cap_index && (r = index_grow(b)) < 0)
		return r;
	for (i = hash & (b->cap_index - 1); b->index[i]; i = (i + 1) & (b->cap_index - 1))
		if (b->sets[b->index[i]].hash == hash &&
		    set_equal(b, &b->sets[b->index[i]], p, kept)) {
			b->n_places = from;
			return (int)b->index[i];
		}
	if (b->n_sets > NAMES_STATES_MAX)
		return -E2BIG;
	if (b->n_sets == b->cap_sets) {
		size_t cap = b->cap_sets ? b->cap_sets * 2 : 4096;
		struct set *sets = realloc(b->sets, cap * sizeof(*sets));
		struct names_row *rows;

		if (!sets)
			return -ENOMEM;
		b->sets = sets;
		rows = realloc(b->rows, cap * sizeof(*rows));
		if (!rows)
			return -ENOMEM;
		b->rows = rows;
		b->cap_sets = cap;
	}
	b->sets[b->n_sets] = (struct set){ hash, from, kept };
	b->rows[b->n_sets] = (struct names_row){ 0 };
	b->rows[b->n_sets].provider = provider_of(b, &b->sets[b->n_sets]);
	b->index[i] = (uint32_t)b->n_sets;
	return (int)b->n_sets++;
}

static int build_start(struct build *b, const struct kern_name *names, size_t n)
{
	int r = 0;

	b->names = names;
	b->len = calloc(n + 1, sizeof(*b->len));
	b->sets = calloc(4096, sizeof(*b->sets));
	b->rows = calloc(4096, sizeof(*b->rows));
	if (!b->len || !b->sets || !b->rows)
		return -ENOMEM;
	b->cap_sets = 4096;
	b->n_sets = 1; /* 0 is dead */
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		size_t len = strlen(names[i].pattern);

		if (len == 0 || len > 253 || !names[i].provider)
			return -EINVAL;
		b->len[i] = (uint16_t)len;
		r = places_push(b, (struct place){ i, 0, IN_TEXT });
	}
	if (r == 0 && n == 0) /* a start state that leads nowhere */
		b->n_sets = 2;
	return r < 0 || n == 0 ? r : MIN(state_of(b, 0), 0);
}

static int build_run(struct build *b)
{
	for (size_t s = NAMES_START; s < b->n_sets; s++)
		for (unsigned cls = 0; cls < NAMES_CLASSES; cls++) {
			size_t from = b->n_places;
			int state;

			for (size_t i = 0; i < b->sets[s].n; i++) {
				struct place next[2], p = b->places[b->sets[s].at + i];
				size_t n = place_step(b, p, cls, next);

				for (size_t j = 0; j < n; j++) {
					int r = places_push(b, next[j]);

					if (r < 0)
						return r;
				}
			}
			state = state_of(b, from);
			if (state < 0)
				return state;
			b->rows[s].next[cls] = (uint16_t)state;
		}
	return 0;
}

int names_compile(const struct kern_name *names, size_t n, struct names_row **rows, size_t *n_rows)
{
	cleanup(build_done) struct build b = { 0 };
	int r = build_start(&b, names, n);

	if (r == 0)
		r = build_run(&b);
	if (r < 0)
		return r;
	*rows = take(b.rows);
	*n_rows = b.n_sets;
	return 0;
}

uint32_t names_walk(const struct names_row *rows, size_t n_rows, struct slice host)
{
	uint32_t state = NAMES_START;

	for (size_t i = host.len; i > 0 && state; i--) {
		if (state >= n_rows)
			return 0;
		state = rows[state].next[names_class[(unsigned char)host.ptr[i - 1]]];
	}
	return state && state < n_rows ? rows[state].provider : 0;
}

void names_unmap(struct kern *k)
{
	if (k->rows)
		(void)munmap(k->rows, k->rows_n * sizeof(*k->rows));
	k->rows = NULL;
	k->rows_n = 0;
}

int kern_names_set(struct kern *k, const struct kern_name *names, size_t n)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	cleanup(freep) struct names_row *rows = NULL;
	cleanup(closep) int fd = -1;
	size_t n_rows, len;
	uint32_t zero = 0;
	void *p;
	int r = names_compile(names, n, &rows, &n_rows);

	if (r < 0)
		return r;
	len = n_rows * sizeof(*rows);
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "sp_names_rows", sizeof(uint32_t), sizeof(*rows),
			    (uint32_t)n_rows, &o);
	if (fd < 0)
		return -errno;
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	memcpy(p, rows, len);
	if (bpf_map_update_elem(maps_fd(&k->maps, "sp_names"), &zero, &fd, BPF_ANY) < 0) {
		r = -errno;
		(void)munmap(p, len);
		return r;
	}
	names_unmap(k);
	k->rows = p;
	k->rows_n = n_rows;
	return 0;
}

uint32_t kern_name_match(struct kern *k, struct slice host)
{
	if (host.len && host.ptr[host.len - 1] == '.')
		host.len--;
	return k->rows && host.len ? names_walk(k->rows, k->rows_n, host) : 0;
}
