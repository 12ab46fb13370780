/* PCRE2 with JIT and limits. */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "dlp/regex.h"

#include "base/def.h"

#include <errno.h>
#include <pcre2.h>
#include <stdlib.h>

/* Our patterns need under a thousand steps a window; an operator's gets 50 times that, then fails.
 */
#define MATCH_LIMIT 50000
#define HEAP_LIMIT_KIB 1024
#define JIT_STACK_MIN (32 * 1024)
#define JIT_STACK_MAX (256 * 1024)

struct regex {
	pcre2_code *code;
	size_t lookbehind;
	bool jit;
};

struct regex_scratch {
	pcre2_match_data *match;
	pcre2_match_context *context;
	pcre2_jit_stack *stack;
};

static void regex_freep(struct regex **r)
{
	regex_free(*r);
}

void regex_free(struct regex *r)
{
	if (!r)
		return;
	pcre2_code_free(r->code);
	free(r);
}

int regex_new(const char *pattern, unsigned flags, struct regex **out, struct regex_mistake *why)
{
	cleanup(regex_freep) struct regex *r = calloc(1, sizeof(*r));
	uint32_t options = PCRE2_DOTALL | PCRE2_NEVER_BACKSLASH_C, lookbehind = 0;
	PCRE2_SIZE offset = 0;
	int error = 0;

	if (!r)
		return -ENOMEM;
	/* Looking ahead for a byte that every match needs costs more than failing at the first one.
	 */
	if (flags & REGEX_ANCHORED)
		options |= PCRE2_ANCHORED | PCRE2_NO_START_OPTIMIZE;
	if (flags & REGEX_IGNORE_CASE)
		options |= PCRE2_CASELESS;
	r->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &error,
				&offset, NULL);
	if (!r->code) {
		why->offset = offset;
		pcre2_get_error_message(error, (PCRE2_UCHAR *)why->text, sizeof(why->text));
		return error == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -EINVAL;
	}
	error = pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD);
	/* Without JIT (hardened kernels forbid writable code) the interpreter serves, slower. */
	if (error && error != PCRE2_ERROR_JIT_BADOPTION && error != PCRE2_ERROR_NOMEMORY)
		return -EINVAL;
	r->jit = error == 0;
	pcre2_pattern_info(r->code, PCRE2_INFO_MAXLOOKBEHIND, &lookbehind);
	r->lookbehind = MAX((size_t)lookbehind, (size_t)1);
	*out = take(r);
	return 0;
}

size_t regex_lookbehind(const struct regex *r)
{
	return r->lookbehind;
}

void regex_scratch_free(struct regex_scratch *s)
{
	if (!s)
		return;
	pcre2_match_data_free(s->match);
	pcre2_match_context_free(s->context);
	pcre2_jit_stack_free(s->stack);
	free(s);
}

static void regex_scratch_freep(struct regex_scratch **s)
{
	regex_scratch_free(*s);
}

int regex_scratch_new(struct regex_scratch **out)
{
	cleanup(regex_scratch_freep) struct regex_scratch *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->match = pcre2_match_data_create(1, NULL);
	s->context = pcre2_match_context_create(NULL);
	s->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
	if (!s->match || !s->context || !s->stack)
		return -ENOMEM;
	pcre2_set_match_limit(s->context, MATCH_LIMIT);
	pcre2_set_heap_limit(s->context, HEAP_LIMIT_KIB);
	pcre2_jit_stack_assign(s->context, NULL, s->stack);
	*out = take(s);
	return 0;
}

enum regex_result regex_match(const struct regex *r, struct regex_scratch *s, struct slice text,
			      size_t from, bool more, size_t *start, size_t *end)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(s->match);
	int n;

	/* One pair is kept, so a pattern with groups returns 0: a match all the same. The direct
	 * JIT entry leaves out checks of arguments that half of a short match would go into. */
	n = (r->jit ? pcre2_jit_match : pcre2_match)(r->code, (PCRE2_SPTR)text.ptr, text.len, from,
						     more ? PCRE2_PARTIAL_HARD : 0, s->match,
						     s->context);
	if (n == PCRE2_ERROR_NOMATCH)
		return REGEX_NO;
	if (n < 0 && n != PCRE2_ERROR_PARTIAL)
		return REGEX_LIMIT;
	*start = at[0];
	*end = at[1];
	return n == PCRE2_ERROR_PARTIAL ? REGEX_PARTIAL : REGEX_YES;
}
