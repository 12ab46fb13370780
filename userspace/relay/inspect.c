/* Stage "inspect": every part of a message through DLP. */
#include "relay/txn.h"

#include <errno.h>

int inspect_parts(struct txn *t, const uint8_t *actions, const struct jdoc *doc, struct slice raw,
		  const struct part *parts, size_t n, struct findings *out)
{
	struct worker *w = t->c->w;

	for (size_t i = 0; i < n; i++) {
		struct slice text = raw, key = { "", 0 };
		int r;

		if (parts[i].node != UINT32_MAX) {
			const struct jnode *node = &doc->nodes[parts[i].node];

			text = jspan_text(doc, node, out->arena);
			if (!text.ptr)
				return -ENOMEM;
			key = jspan_key(doc, node);
		}
		r = dlp_scan_for(t->rules->dlp, w->dlp_scratch, actions, text, key, (uint32_t)i, out);
		if (r < 0)
			return r;
	}
	return 0;
}

enum dlp_action inspect_strictest(const struct findings *f, const uint8_t *actions)
{
	enum dlp_action worst = DLP_OFF;

	for (size_t i = 0; i < f->n; i++)
		worst = MAX(worst, (enum dlp_action)actions[f->items[i].type]);
	return worst;
}

int request_inspect(struct txn *t)
{
	int r;

	if (t->not_ai)
		return 0;
	r = inspect_parts(t, t->decision.dlp_request, &t->message.doc, t->text, t->message.parts,
			  t->message.n_parts, &t->findings);
	return r < 0 ? r : t->unread;
}
