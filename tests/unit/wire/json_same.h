/*
 * jspan_parse() against jansson: both take or both refuse a text, and see the same in it. Shared by
 * the unit test (mutations, recordings) and the fuzzer.
 *
 * Where they may differ: only jansson refuses numbers beyond its types and U+0000 in a key, which
 * hide nothing from a reader of byte ranges; only jspan_parse() refuses nesting deeper than
 * JSPAN_DEPTH_MAX, and a NUL byte behind a value, which jansson takes for the end of the text.
 */
#ifndef TESTS_JSON_SAME_H
#define TESTS_JSON_SAME_H

#include "base/def.h"
#include "wire/jsonspan.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

static bool json_same_node(const struct jdoc *d, const struct jnode *n, const json_t *j,
			   struct arena *a);

static bool json_same_object(const struct jdoc *d, const struct jnode *n, const json_t *j,
			     struct arena *a)
{
	bool repeated = false;
	const char *key;
	size_t count = 0;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)j, key, v) {
		if (!json_same_node(d, jspan_get(d, n, key), v, a))
			return false;
	}
	for (const struct jnode *m = jspan_first(d, n); m; m = jspan_next(d, m)) {
		if (m->parent != (uint32_t)(n - d->nodes))
			return false;
		count++;
	}
	repeated = count > json_object_size(j);
	return count >= json_object_size(j) && (!repeated || d->duplicates);
}

static bool json_same_array(const struct jdoc *d, const struct jnode *n, const json_t *j,
			    struct arena *a)
{
	const struct jnode *m = jspan_first(d, n);

	for (size_t i = 0; i < json_array_size(j); i++, m = jspan_next(d, m))
		if (!json_same_node(d, m, json_array_get(j, i), a))
			return false;
	return m == NULL;
}

/* Decoded text, and every decoded offset leads to a raw one that stands for it. */
static bool json_same_string(const struct jdoc *d, const struct jnode *n, const json_t *j,
			     struct arena *a)
{
	struct slice text = jspan_text(d, n, a), raw = jspan_raw(d, n);
	struct jcursor hint = { 0, 0 };
	uint32_t before = 0;

	if (!text.ptr ||
	    !slice_eq(text, slice_of(json_string_value(j), json_string_length(j))))
		return false;
	if (text.len > 4096)
		return true;
	for (uint32_t i = 0; i <= text.len; i++) {
		struct jcursor fresh = { 0, 0 };
		uint32_t at = jspan_raw_offset(d, n, i, &hint);

		if (at != jspan_raw_offset(d, n, i, &fresh) || at < before || at > raw.len)
			return false;
		before = at;
	}
	return before == raw.len;
}

static bool json_same_number(const struct jdoc *d, const struct jnode *n, const json_t *j)
{
	int64_t got = jspan_int(d, n, -1);

	if (json_is_integer(j))
		return got == (json_integer_value(j) < 0 ? -1 : json_integer_value(j));
	/* Beyond 2^53 a double tells no more which whole number it was. */
	if (got < 0 || got > INT64_C(1) << 53)
		return true;
	return (double)got == json_real_value(j);
}

static bool json_same_node(const struct jdoc *d, const struct jnode *n, const json_t *j,
			   struct arena *a)
{
	if (!n || n->start > n->end || n->end > d->text.len)
		return false;
	switch (n->type) {
	case JT_NULL:
		return json_is_null(j);
	case JT_FALSE:
		return json_is_false(j);
	case JT_TRUE:
		return json_is_true(j);
	case JT_NUMBER:
		return json_is_number(j) && json_same_number(d, n, j);
	case JT_STRING:
		return json_is_string(j) && json_same_string(d, n, j, a);
	case JT_ARRAY:
		return json_is_array(j) && json_same_array(d, n, j, a);
	default:
		return json_is_object(j) && json_same_object(d, n, j, a);
	}
}

/* NULL, or how the two parsers differ over `text`. */
static const char *json_differs(struct slice text)
{
	const char *how = NULL;
	struct arena a;
	struct jdoc d = { .n = 0 };
	json_error_t e;
	json_t *j = json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
	int r;

	arena_init(&a, 256 << 20);
	r = jspan_parse(text, &a, &d);
	if (r == -EBADMSG)
		how = j && !memchr(text.ptr, '\0', text.len) ?
			      "jansson takes it, jspan_parse() does not" :
			      NULL;
	else if (r == 0 && !j)
		how = json_error_code(&e) == json_error_numeric_overflow ||
				      json_error_code(&e) == json_error_null_byte_in_key ?
			      NULL :
			      "jspan_parse() takes it, jansson does not";
	else if (r == 0 && !json_same_node(&d, jspan_root(&d), j, &a))
		how = "they see different things";
	json_decref(j);
	arena_done(&a);
	return how;
}

#endif
