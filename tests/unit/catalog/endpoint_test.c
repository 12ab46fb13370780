/* What a method and a path mean. */
#include "tests/t.h"

#include "base/def.h"
#include "catalog/catalog.h"

static const struct {
	const char *method, *path, *name, *dialect, *model;
	bool inference;
} rows[] = {
	{ "POST", "/v1/chat/completions", "chat", "openai-chat", "", true },
	{ "POST", "/api/paas/v4/chat/completions/", "chat", "openai-chat", "", true },
	{ "POST", "/chat/completions?x=/v1/messages", "chat", "openai-chat", "", true },
	{ "POST", "/openai/deployments/gpt4o-eu/chat/completions?api-version=2024-06-01", "chat",
	  "openai-chat", "gpt4o-eu", true },
	{ "POST", "/serving-endpoints/llama%2D70b/invocations", "invoke", "openai-chat", "llama%2D70b",
	  true },
	{ "POST", "/endpoints/mine/invocations", "invoke", "generic", "mine", true },
	{ "POST", "/v1/completions", "completions", "generic", "", true },
	{ "POST", "/backend-api/codex/responses", "responses", "openai-responses", "", true },
	{ "GET", "/v1/responses/resp_123", "responses", "openai-responses", "", false },
	{ "POST", "/v1/responses/input_tokens", "count-tokens", "openai-responses", "", true },
	{ "POST", "/v1/messages?beta=true", "messages", "anthropic-messages", "", true },
	{ "POST", "/v1/messages/count_tokens", "count-tokens", "anthropic-messages", "", true },
	{ "POST", "/v1/threads/t_1/messages", "assistants", "generic", "", true },
	{ "POST", "/v1/projects/p/locations/l/publishers/anthropic/models/claude-opus-4:streamRawPredict",
	  "messages", "anthropic-messages", "claude-opus-4", true },
	{ "POST", "/v1/projects/p/locations/l/publishers/mistralai/models/m:rawPredict", "predict",
	  "generic", "m", true },
	{ "POST", "/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse", "generate", "generic",
	  "gemini-2.0-flash", true },
	{ "POST", "/model/us.anthropic.claude-3-v1%3A0/converse-stream", "converse", "generic",
	  "us.anthropic.claude-3-v1%3A0", true },
	{ "POST", "/v1/embeddings", "embeddings", "generic", "", true },
	{ "POST", "/v1/audio/transcriptions", "audio", "generic", "", true },
	{ "GET", "/v1/models", "models", "generic", "", false },
	{ "GET", "/v1/models/gpt-4o", "models", "generic", "", false },
	{ "POST", "/v1/files", "files", "generic", "", true },
	{ "POST", "/v1/unheard/of", "other", "generic", "", true },
	{ "GET", "/", "other", "generic", "", false },
	{ "POST", "", "other", "generic", "", true },
};

int main(void)
{
	static const char *const writer[] = { "openai-chat", "writer" };
	struct catalog_match m = { .role = "inference", .dialects = writer, .n_dialects = 2 };
	struct endpoint e;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		endpoint_find(NULL, slice_str(rows[i].method), slice_str(rows[i].path), &e);
		t_str(e.name, rows[i].name, "name of %s", rows[i].path);
		t_str(e.dialect, rows[i].dialect, "dialect of %s", rows[i].path);
		t_ok(slice_is(e.model, rows[i].model), "model of %s: %.*s", rows[i].path,
		     SLICE_FMT(e.model));
		t_int(e.inference, rows[i].inference, "inference of %s %s", rows[i].method,
		      rows[i].path);
	}
	endpoint_find(NULL, SLICE("POST"), SLICE("/v1/chat"), &e);
	t_str(e.dialect, "generic", "Cohere's /v1/chat");
	endpoint_find(&m, SLICE("POST"), SLICE("/v1/chat"), &e);
	t_str(e.dialect, "openai-chat", "Writer's /v1/chat");
	m.role = "mcp";
	endpoint_find(&m, SLICE("POST"), SLICE("/anything"), &e);
	t_str(e.name, "mcp", "a host that is an MCP server");
	return t_done();
}
