/*
 * What a method and a path mean, by the path's ending: the same words stand behind many prefixes
 * ("/v1", "/openai/v1", "/api/paas/v4", a gateway's own). The table names the dialects this version
 * reads; "generic" stands for the others.
 */
#include "catalog/catalog.h"

#include "base/def.h"
#include "base/text.h"

#define CHAT "openai-chat"
#define RESPONSES "openai-responses"
#define MESSAGES "anthropic-messages"
#define GENERIC "generic"

/* What stands around the ending. */
enum where {
	ENDS,     /* the path ends so */
	WITHIN,   /* the text stands anywhere */
	VERB,     /* ".../{model}:verb", Google's way */
};

static const struct row {
	const char *text;
	const char *name, *dialect;
	enum where where;
	bool inference;
	const char *before; /* the model stands between this and `text`; NULL: in the body */
} rows[] = {
	/* openai and its many relatives; the longer ending first */
	{ "/chat/completions", "chat", CHAT, ENDS, true, "/deployments/" },
	{ "/completions", "completions", GENERIC, ENDS, true, "/deployments/" },
	{ "/responses/input_tokens", "count-tokens", RESPONSES, ENDS, true, NULL },
	{ "/responses/compact", "responses", RESPONSES, ENDS, true, NULL },
	{ "/responses", "responses", RESPONSES, ENDS, true, NULL },
	{ "/embeddings", "embeddings", GENERIC, ENDS, true, "/deployments/" },
	{ "/images/generations", "images", GENERIC, ENDS, true, "/deployments/" },
	{ "/images/edits", "images", GENERIC, ENDS, true, "/deployments/" },
	{ "/images/variations", "images", GENERIC, ENDS, true, NULL },
	{ "/audio/speech", "audio", GENERIC, ENDS, true, "/deployments/" },
	{ "/audio/transcriptions", "audio", GENERIC, ENDS, true, "/deployments/" },
	{ "/audio/translations", "audio", GENERIC, ENDS, true, "/deployments/" },
	{ "/moderations", "moderations", GENERIC, ENDS, true, NULL },
	{ "/realtime", "realtime", GENERIC, ENDS, true, NULL },
	{ "/realtime/calls", "realtime", GENERIC, ENDS, true, NULL },
	{ "/threads/", "assistants", GENERIC, WITHIN, true, NULL },
	{ "/threads", "assistants", GENERIC, ENDS, true, NULL },
	{ "/assistants", "assistants", GENERIC, ENDS, true, NULL },
	{ "/conversations", "conversations", GENERIC, ENDS, true, NULL },
	{ "/invocations", "invoke", CHAT, ENDS, true, "/serving-endpoints/" },
	{ "/invocations", "invoke", GENERIC, ENDS, true, "/endpoints/" },
	{ "/invocations-response-stream", "invoke", GENERIC, ENDS, true, "/endpoints/" },
	/* anthropic */
	{ "/messages", "messages", MESSAGES, ENDS, true, NULL },
	{ "/messages/count_tokens", "count-tokens", MESSAGES, ENDS, true, NULL },
	{ "/messages/batches", "batches", GENERIC, ENDS, true, NULL },
	{ "/complete", "completions", GENERIC, ENDS, true, NULL },
	{ ":rawPredict", "messages", MESSAGES, VERB, true, "/publishers/anthropic/models/" },
	{ ":streamRawPredict", "messages", MESSAGES, VERB, true, "/publishers/anthropic/models/" },
	/* google */
	{ ":generateContent", "generate", GENERIC, VERB, true, "/" },
	{ ":streamGenerateContent", "generate", GENERIC, VERB, true, "/" },
	{ ":countTokens", "count-tokens", GENERIC, VERB, true, "/" },
	{ ":embedContent", "embeddings", GENERIC, VERB, true, "/" },
	{ ":batchEmbedContents", "embeddings", GENERIC, VERB, true, "/" },
	{ ":batchGenerateContent", "batches", GENERIC, VERB, true, "/" },
	{ ":predict", "predict", GENERIC, VERB, true, "/" },
	{ ":predictLongRunning", "predict", GENERIC, VERB, true, "/" },
	{ ":rawPredict", "predict", GENERIC, VERB, true, "/" },
	{ ":streamRawPredict", "predict", GENERIC, VERB, true, "/" },
	{ "/interactions", "interactions", GENERIC, ENDS, true, NULL },
	{ "/cachedContents", "caches", GENERIC, ENDS, true, NULL },
	/* bedrock */
	{ "/converse", "converse", GENERIC, ENDS, true, "/model/" },
	{ "/converse-stream", "converse", GENERIC, ENDS, true, "/model/" },
	{ "/invoke", "invoke", GENERIC, ENDS, true, "/model/" },
	{ "/invoke-with-response-stream", "invoke", GENERIC, ENDS, true, "/model/" },
	{ "/count-tokens", "count-tokens", GENERIC, ENDS, true, "/model/" },
	/* cohere, ollama, other local servers, others */
	{ "/v2/chat", "chat", GENERIC, ENDS, true, NULL },
	{ "/v1/chat", "chat", GENERIC, ENDS, true, NULL },
	{ "/api/chat", "chat", GENERIC, ENDS, true, NULL },
	{ "/generate", "generate", GENERIC, ENDS, true, NULL },
	{ "/generate_stream", "generate", GENERIC, ENDS, true, NULL },
	{ "/completion", "completions", GENERIC, ENDS, true, NULL },
	{ "/embed", "embeddings", GENERIC, ENDS, true, NULL },
	{ "/rerank", "rerank", GENERIC, ENDS, true, NULL },
	{ "/predictions", "predict", GENERIC, ENDS, true, "/models/" },
	{ "/text/generation", "generate", GENERIC, ENDS, true, NULL },
	{ "/text/generation_stream", "generate", GENERIC, ENDS, true, NULL },
	{ "/text/chat", "chat", GENERIC, ENDS, true, NULL },
	{ "/text/chat_stream", "chat", GENERIC, ENDS, true, NULL },
	{ "/text-generation/generation", "generate", GENERIC, ENDS, true, NULL },
	{ "/tokenize", "count-tokens", GENERIC, ENDS, true, NULL },
	/* web applications */
	{ "/backend-api/conversation", "chat", GENERIC, ENDS, true, NULL },
	{ "/backend-api/f/conversation", "chat", GENERIC, ENDS, true, NULL },
	{ "/conversations/new", "chat", GENERIC, ENDS, true, NULL },
	{ "/StreamGenerate", "chat", GENERIC, ENDS, true, NULL },
	{ "/perplexity_ask", "chat", GENERIC, ENDS, true, NULL },
	/* around the prompt */
	{ "/files", "files", GENERIC, ENDS, true, NULL },
	{ "/uploads", "files", GENERIC, ENDS, true, NULL },
	{ "/uploads/", "files", GENERIC, WITHIN, true, NULL },
	{ "/upload/", "files", GENERIC, WITHIN, true, NULL },
	{ "/batches", "batches", GENERIC, ENDS, true, NULL },
	{ "/fine_tuning/jobs", "fine-tuning", GENERIC, ENDS, true, NULL },
	{ "/mcp", "mcp", GENERIC, ENDS, true, NULL },
	{ "/sse", "mcp", GENERIC, ENDS, true, NULL },
	{ "/models", "models", GENERIC, ENDS, false, NULL },
	{ "/tags", "models", GENERIC, ENDS, false, NULL },
	{ "/pull", "models", GENERIC, ENDS, false, NULL },
	{ "/push", "models", GENERIC, ENDS, false, NULL },
	{ "/responses/", "responses", RESPONSES, WITHIN, false, NULL },
	{ "/files/", "files", GENERIC, WITHIN, false, NULL },
	{ "/batches/", "batches", GENERIC, WITHIN, false, NULL },
	{ "/models/", "models", GENERIC, WITHIN, false, NULL },
};

/* The one segment between `before` and the row's text, or what follows the last '/' for "/". */
static struct slice model_between(struct slice path, const struct row *r)
{
	struct slice head = slice_sub(path, 0, path.len - strlen(r->text));
	struct slice before = slice_str(r->before);
	size_t at = head.len;

	while (at && head.ptr[at - 1] != '/')
		at--;
	if (at < before.len || !slice_ends(slice_sub(head, 0, at), before) || at == head.len)
		return (struct slice){ NULL, 0 };
	return slice_from(head, at);
}

static bool row_matches(const struct row *r, struct slice path)
{
	struct slice text = slice_str(r->text);

	if (r->where == WITHIN)
		return slice_find(path, text) >= 0;
	if (path.len < text.len || path.ptr[path.len - 1] != text.ptr[text.len - 1] ||
	    !slice_ends(path, text))
		return false;
	/* These two share an ending with others; the segment before decides. */
	if (r->where == VERB || slice_is(text, "/invocations"))
		return r->before[1] == '\0' || model_between(path, r).ptr;
	return true;
}

static bool has_dialect(const struct catalog_match *m, const char *dialect)
{
	for (size_t i = 0; m && i < m->n_dialects; i++)
		if (strcmp(m->dialects[i], dialect) == 0)
			return true;
	return false;
}

void endpoint_find(const struct catalog_match *m, struct slice method, struct slice path,
		   struct endpoint *out)
{
	bool body = slice_is(method, "POST") || slice_is(method, "PUT") ||
		    slice_is(method, "PATCH");
	size_t len = 0;

	while (len < path.len && path.ptr[len] != '?' && path.ptr[len] != '#')
		len++;
	while (len && path.ptr[len - 1] == '/')
		len--;
	path.len = len;
	*out = (struct endpoint){ .name = "other", .dialect = GENERIC, .inference = body };
	if (len == 0)
		return;
	for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
		if (!row_matches(r, path))
			continue;
		out->name = r->name;
		out->dialect = r->dialect;
		out->inference = r->inference && body;
		if (r->before)
			out->model = model_between(path, r);
		break;
	}
	/* A stored message of an assistant's thread ends like Anthropic's endpoint. */
	if (strcmp(out->name, "messages") == 0 && slice_find(path, SLICE("/threads/")) >= 0) {
		out->name = "assistants";
		out->dialect = GENERIC;
	}
	/* "/v1/chat" is Cohere's first version, and Writer's way to say chat/completions. */
	if (slice_ends(path, SLICE("/v1/chat")) && has_dialect(m, "writer"))
		out->dialect = CHAT;
	if (strcmp(out->name, "other") == 0 && m && strcmp(m->role, "mcp") == 0)
		out->name = "mcp";
}

struct slice endpoint_model(const struct endpoint *e, struct arena *a)
{
	char *out = e->model.ptr ? arena_bytes(a, e->model.len + 1) : NULL;
	size_t n = 0;

	if (!out)
		return (struct slice){ NULL, 0 };
	for (size_t i = 0; i < e->model.len; i++) {
		unsigned char byte;

		if (e->model.ptr[i] == '%' && i + 2 < e->model.len &&
		    text_unhex(slice_sub(e->model, i + 1, i + 3), &byte, 1) == 1) {
			out[n++] = (char)byte;
			i += 2;
		} else {
			out[n++] = e->model.ptr[i];
		}
	}
	out[n] = '\0';
	return slice_of(out, n);
}
