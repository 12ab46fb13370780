/* The HTML report's parts among themselves. */
#ifndef DISCOVER_REPORT_PAGE_H
#define DISCOVER_REPORT_PAGE_H

#include "discover/report.h"

extern const char report_style[];

struct page {
	const struct report *r;
	struct buf *out;
	struct arena arena;
	int error; /* the first; later writes do nothing */
};

void page_put(struct page *p, const char *markup);
void page_f(struct page *p, const char *fmt, ...) printf_like(2, 3); /* markup; at most 1 KB */
/* Text of others: what is special to HTML, in text and in quoted attributes, is escaped. */
void page_text(struct page *p, const char *text);
/* The same with `commands` set as such. */
void page_prose(struct page *p, const char *text);

/* report_tables.c */
void page_callers(struct page *p, bool unsanctioned);
void page_providers(struct page *p);
void page_findings(struct page *p);
void page_budgets(struct page *p);
void page_distrust(struct page *p);

#endif
