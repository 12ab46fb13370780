/* JSON: jspan_parse() and jansson take the same texts and see the same in them. */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/wire/json_same.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *how = json_differs(slice_of(data, len));

	fuzz_must(!how, "%s", how);
	return 0;
}
