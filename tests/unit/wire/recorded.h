/* The recorded provider traffic beside the project (../shared/data/wire), where it is present. */
#ifndef TESTS_RECORDED_H
#define TESTS_RECORDED_H

#include "base/slice.h"
#include "tests/t.h"

#include <glob.h>
#include <jansson.h>
#include <zlib.h>

#define RECORDED "../shared/data/wire/dev-*.jsonl.gz"
#define RECORDED_LINE_MAX (16U << 20)

/* Calls fn with every case; how many there were. Says "skipped:" when there are none. */
static size_t recorded_each(void (*fn)(const json_t *one))
{
	char *line = malloc(RECORDED_LINE_MAX);
	size_t n = 0;
	glob_t files;

	if (!line || glob(RECORDED, 0, NULL, &files) != 0) {
		t_skip("no recorded traffic at %s", RECORDED);
		free(line);
		return 0;
	}
	for (size_t i = 0; i < files.gl_pathc; i++) {
		gzFile f = gzopen(files.gl_pathv[i], "rb");

		while (f && gzgets(f, line, (int)RECORDED_LINE_MAX)) {
			json_t *one = json_loads(line, 0, NULL);

			t_ok(one != NULL, "a line of %s is JSON", files.gl_pathv[i]);
			if (one)
				fn(one);
			json_decref(one);
			n++;
		}
		if (f)
			(void)gzclose(f);
	}
	globfree(&files);
	free(line);
	return n;
}

/* A body of a case as it was on the wire, when it was recorded as text. */
static struct slice recorded_body(const json_t *one, const char *which)
{
	char name[64];
	const json_t *body = json_object_get(one, which);
	const char *encoding;

	(void)snprintf(name, sizeof(name), "%.*s_encoding", (int)strcspn(which, "_"), which);
	encoding = json_string_value(json_object_get(one, name));
	if (!json_is_string(body) || (encoding && strcmp(encoding, "utf8") != 0))
		return (struct slice){ NULL, 0 };
	return slice_of(json_string_value(body), json_string_length(body));
}

#endif
