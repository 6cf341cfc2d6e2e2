// GroupQueryAttention as an operator: inputs, outputs and attributes are those of "com.microsoft", as far as attention.h goes. There is one
// operator for each type of the cache, because ONNX Runtime wants to know the types of outputs.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attention.h"
#include "kernel.h"

enum { QUERY, KEY, VALUE, PAST_KEY, PAST_VALUE, LENGTHS, TOTAL, COS, SIN, POSITIONS, BIAS, SINK, KEY_SCALE, VALUE_SCALE, INPUTS };
enum { OUTPUT, PRESENT_KEY, PRESENT_VALUE, OUTPUTS };

// attention_operator is an operator with the type of its cache.
struct attention_operator {
	ort_operator base;
	const char *name;
	int kv, element;
};

struct attention_node {
	ort_api api;
	const struct attention_operator *op;
	int isa, heads, kv_heads, turns, interleaved, window;
	float scale; // 0: 1/sqrt(size)
};

static ort_status create(const ort_operator *op, ort_api api, const void *info, void **kernel) {
	struct attention_node *n = calloc(1, sizeof *n);
	if (!n) return ort_error(api, "GroupQueryAttention: no memory");
	int threads;
	n->api = api, n->op = (const struct attention_operator *)op;
	ort_status s = isa_read(api, info, &n->isa, &threads);
	if (!s) s = ort_int(api, info, "num_heads", 1, 1 << 16, &n->heads);
	if (!s) s = ort_int(api, info, "kv_num_heads", 1, 1 << 16, &n->kv_heads);
	if (!s) s = ort_int(api, info, "do_rotary", 0, 1, &n->turns);
	if (!s) s = ort_int(api, info, "rotary_interleaved", 0, 1, &n->interleaved);
	if (!s) s = ort_int(api, info, "local_window_size", -1, 1 << 30, &n->window);
	if (!s) s = ort_attribute_float(api)(info, "scale", &n->scale);
	if (s) {
		free(n);
		return s;
	}
	*kernel = n;
	return NULL;
}

static void destroy(void *kernel) { free(kernel); }

// pool is ONNX Runtime's threads during a run.
struct pool {
	ort_api api;
	void *context;
	ort_status status; // of the first call that failed
};

static void pool_run(void *data, void (*task)(void *, size_t), size_t n, void *of) {
	struct pool *p = data;
	if (!p->status) p->status = ort_parallel_for(p->api)(p->context, task, n, 0, of);
}

static int is(const ort_tensor *t, int type, size_t rank) { return t->data && t->type == type && t->rank == rank; }

// read_call fills a from the inputs of a run, whose outputs are not allotted yet. It returns what does not fit, or NULL.
static const char *read_call(const struct attention_node *n, const ort_tensor in[INPUTS], attention *a, int64_t *scales) {
	const ort_tensor *q = &in[QUERY], *past = &in[PAST_KEY];
	if (!is(q, ORT_FLOAT, 3)) return "query is not float32 of 3 dimensions";
	if (!past->rank || past->rank != 4 || past->type != n->op->element || in[PAST_VALUE].rank != 4 || in[PAST_VALUE].type != past->type) return "past is not of 4 dimensions and the operator's type";
	for (size_t i = 0; i < 4; i++) {
		if (past->dims[i] != in[PAST_VALUE].dims[i]) return "past_key and past_value have other shapes";
	}
	*a = (attention){.batch = q->dims[0], .tokens = q->dims[1], .heads = n->heads, .kv_heads = n->kv_heads, .size = past->dims[3], .past_rows = past->dims[2],
		.kv = n->op->kv, .interleaved = n->interleaved, .window = n->window < 0 ? 0 : n->window,
		.query = q->data, .past_key = past->data, .past_value = in[PAST_VALUE].data, .lengths = in[LENGTHS].data};
	if (past->dims[0] != a->batch || past->dims[1] != a->kv_heads) return "past is of another batch or other KV heads";
	a->scale = n->scale ? n->scale : 1 / sqrtf((float)a->size);
	const int64_t wide = a->heads * a->size, narrow = a->kv_heads * a->size;
	if (in[KEY].data) {
		a->key = in[KEY].data, a->value = in[VALUE].data;
		a->query_stride = wide, a->key_stride = a->value_stride = narrow;
		if (!is(&in[KEY], ORT_FLOAT, 3) || !is(&in[VALUE], ORT_FLOAT, 3) || in[KEY].count != a->batch * a->tokens * narrow || in[VALUE].count != in[KEY].count) return "key or value is of another size than query and the KV heads";
	} else {
		a->key = a->query + wide, a->value = a->key + narrow;
		a->query_stride = a->key_stride = a->value_stride = wide + 2 * narrow;
	}
	if (q->dims[2] != a->query_stride) return "the last dimension of query does not fit the heads";
	if (!in[LENGTHS].data || in[LENGTHS].type != ORT_INT32 || in[LENGTHS].count != a->batch) return "seqlens_k is not one int32 a row";
	if (!in[TOTAL].data || in[TOTAL].type != ORT_INT32 || in[TOTAL].count != 1) return "total_sequence_length is not one int32";
	a->total = *(const int32_t *)in[TOTAL].data;
	a->rows = a->total > a->past_rows ? a->total : a->past_rows;
	if (n->turns) {
		if (!is(&in[COS], ORT_FLOAT, 2) || !is(&in[SIN], ORT_FLOAT, 2) || in[COS].count != in[SIN].count || in[COS].dims[0] != in[SIN].dims[0]) return "cos_cache and sin_cache are not float32 of one shape of 2 dimensions";
		a->cos = in[COS].data, a->sin = in[SIN].data, a->positions = in[COS].dims[0], a->turned = 2 * in[COS].dims[1];
		a->position_ids = in[POSITIONS].data;
		if (a->position_ids && (in[POSITIONS].type != ORT_INT64 || in[POSITIONS].count != a->batch * a->tokens)) return "position_ids is not one int64 a token";
	}
	if (in[BIAS].data || in[SINK].data) return "attention_bias and head_sink are not supported";
	for (int i = KEY_SCALE; i <= VALUE_SCALE; i++) {
		if (a->kv != KV_INT8) continue;
		if (!in[i].data || in[i].type != ORT_FLOAT || (in[i].count != 1 && in[i].count != narrow)) return "k_scale or v_scale is not one float32, or one for each number of the KV heads";
		*scales = 2 * narrow;
	}
	return NULL;
}

// spread_scale writes a scale for each number of the KV heads.
static const float *spread_scale(float *dst, const ort_tensor *scale, int64_t n) {
	for (int64_t i = 0; i < n; i++) dst[i] = ((const float *)scale->data)[scale->count == 1 ? 0 : i];
	return dst;
}

static ort_status compute(void *kernel, void *context) {
	const struct attention_node *n = kernel;
	ort_api api = n->api;
	ort_tensor in[INPUTS];
	for (size_t i = 0; i < INPUTS; i++) {
		ort_status s = ort_read_input(api, context, i, &in[i]);
		if (s) return s;
	}
	attention a;
	int64_t scales = 0;
	const char *wrong = read_call(n, in, &a, &scales);
	if (!wrong) wrong = attention_check(&a);
	if (wrong) return ort_error(api, wrong);
	const int64_t output[] = {a.batch, a.tokens, a.heads * a.size}, present[] = {a.batch, a.kv_heads, a.rows, a.size};
	ort_status s = ort_make_output(api, context, OUTPUT, output, 3, &a.output);
	if (!s) s = ort_make_output(api, context, PRESENT_KEY, present, 4, (float **)&a.present_key);
	if (!s) s = ort_make_output(api, context, PRESENT_VALUE, present, 4, (float **)&a.present_value);
	if (s) return s;
	const size_t before = ((size_t)scales * sizeof(float) + 63) / 64 * 64;
	char *scratch = scratch_get(before + attention_scratch(&a));
	if (!scratch) return ort_error(api, "GroupQueryAttention: no memory for a run");
	if (scales) {
		a.key_scale = spread_scale((float *)scratch, &in[KEY_SCALE], scales / 2);
		a.value_scale = spread_scale((float *)scratch + scales / 2, &in[VALUE_SCALE], scales / 2);
	}
	struct pool p = {api, context, NULL};
	attention_run(&a, scratch + before, (parallel){pool_run, &p}, n->isa);
	scratch_put(scratch);
	return p.status;
}

static const char *name(const ort_operator *op) { return ((const struct attention_operator *)op)->name; }
static size_t inputs(const ort_operator *op) { return (void)op, INPUTS; }
static size_t outputs(const ort_operator *op) { return (void)op, OUTPUTS; }
static int input_type(const ort_operator *op, size_t i) {
	if (i == PAST_KEY || i == PAST_VALUE) return ((const struct attention_operator *)op)->element;
	return i == LENGTHS || i == TOTAL ? ORT_INT32 : i == POSITIONS ? ORT_INT64 : ORT_FLOAT;
}
static int output_type(const ort_operator *op, size_t i) { return i == OUTPUT ? ORT_FLOAT : ((const struct attention_operator *)op)->element; }
static int input_kind(const ort_operator *op, size_t i) {
	return (void)op, i == QUERY || (i >= PAST_KEY && i <= TOTAL) ? ORT_REQUIRED : ORT_OPTIONAL;
}

#define OPERATOR(text, type, number) {{ \
	.version = ORT_VERSION, .name = name, .provider = on_processor, .input_type = input_type, .inputs = inputs, .output_type = output_type, \
	.outputs = outputs, .destroy = destroy, .input_kind = input_kind, .output_kind = all_required, .input_memory = any_memory, \
	.create = create, .compute = compute}, text, type, number}

static const struct attention_operator operators[] = {
	OPERATOR("GroupQueryAttention", KV_FLOAT32, ORT_FLOAT),
	OPERATOR("GroupQueryAttentionFloat16", KV_FLOAT16, ORT_FLOAT16),
	OPERATOR("GroupQueryAttentionInt8", KV_INT8, ORT_INT8),
};

const ort_operator *attention_operator(size_t i) { return i < sizeof operators / sizeof *operators ? &operators[i].base : NULL; }
