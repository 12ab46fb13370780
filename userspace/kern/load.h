/*
 * Inside the room: one loaded set of programs and the maps they share. Everybody else includes
 * kern/kern.h.
 */
#ifndef KERN_LOAD_H
#define KERN_LOAD_H

#include "bpf/names.h"
#include "kern/kern.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/limits.h>
#include <stdbool.h>

enum need { NEED_WATCH, NEED_REDIRECT, LIKE_WATCH, LIKE_REDIRECT };

struct program_def {
	const char *object, *function, *hook;
	enum bpf_attach_type type;
	enum need need;
	const char *without;
};
extern const struct program_def load_programs[];
extern const size_t load_programs_n;

/* The shared maps by name; a map lives here once, whichever object made it. */
struct maps {
	struct {
		char name[16];
		int fd;
	} at[24];
	size_t n;
};
void maps_done(struct maps *m);
/* -1 when there is none of that name. */
int maps_fd(const struct maps *m, const char *name);
/*
 * Adopts the maps pinned in `dir` that still have the layout of this binary; the others are
 * unpinned with a warning and made new. 0 or -errno.
 */
int maps_adopt(struct maps *m, const char *dir);
int maps_pin(const struct maps *m, const char *dir);

/*
 * Loads one object of programs.def with the maps of `m`, adds those it made. watch_only: no path
 * that changes a connection is loaded. 0, or -errno with `why` saying what the kernel refused.
 */
int load_object(const char *object, bool watch_only, struct maps *m, struct bpf_object **out,
		struct buf *why);
void load_objectp(struct bpf_object **o);

struct kern {
	int cgroup_fd;
	char cgroup[PATH_MAX];
	char pins[PATH_MAX]; /* versioned; "" when nothing is pinned */
	struct maps maps;
	struct bpf_link **links; /* as load_programs; NULL: not attached */
	struct ring_buffer *ring;
	struct sp_config *config; /* the map itself, mapped */
	size_t config_len;
	struct names_row *rows; /* the automaton's map, mapped; NULL before kern_names_set() */
	size_t rows_n;
	void (*event)(void *ctx, const struct sp_event *e);
	void *event_ctx;
};

/*
 * Attaches a program to the cgroup, or swaps it into the link that is pinned for it. `path` of the
 * pin or NULL. 0, or -errno with `why`.
 */
int attach_program(struct kern *k, const struct program_def *def, struct bpf_program *prog,
		   struct bpf_link **out, struct buf *why);
/* Path of the pin of a program's link into out. */
void attach_pin(const char *dir, const struct program_def *def, char out[PATH_MAX]);
/* Detaches what is pinned under `path` and removes the pin. Nothing there is fine. */
void attach_unpin(const char *path);

/*
 * The automaton of bpf/names.h for these patterns; *rows is malloc'd. 0, -EINVAL (an empty or
 * overlong pattern, provider 0), -E2BIG (over 65,535 states), -ENOMEM.
 */
int names_compile(const struct kern_name *names, size_t n, struct names_row **rows, size_t *n_rows);
/* What the kernel's walk says for a name without trailing dot; 0 for none. */
uint32_t names_walk(const struct names_row *rows, size_t n_rows, struct slice host);
void names_unmap(struct kern *k);

#endif
