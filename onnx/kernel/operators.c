#include "kernel.h"

const char *on_processor(const ort_operator *op) { return (void)op, "CPUExecutionProvider"; }
int all_required(const ort_operator *op, size_t i) { return (void)op, (void)i, ORT_REQUIRED; }
int any_memory(const ort_operator *op, size_t i) { return (void)op, (void)i, 0; }

ort_status kernel_domain(ort_api api, void **made) {
	void *domain = NULL;
	static const ort_operator *const operators[] = {&matmul_operator};
	ort_status s = ort_create_domain(api)("ortserve", &domain);
	for (size_t i = 0; !s && i < sizeof operators / sizeof *operators; i++) s = ort_add_operator(api)(domain, operators[i]);
	for (size_t i = 0; !s && attention_operator(i); i++) s = ort_add_operator(api)(domain, attention_operator(i));
	if (!s) *made = domain; // one that lacks an operator is of no use
	return s;
}
