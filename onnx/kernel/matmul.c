#include "matmul.h"
#include <stdlib.h>
#include <string.h>

static const struct matmul_kernel *kernel_of(const struct matmul *m) {
#if defined(__x86_64__)
	return m->isa == ISA_AVX512 ? &matmul_avx512 : &matmul_avx2;
#else
	return NULL; // no instruction set runs, so no node comes here
#endif
}

// The original weights: numbers [N][blocks][block*bits/8], scales [N][blocks], zeros [N][blocks*bits/8] or NULL, which is the middle.
struct source {
	struct matmul *m;
	const uint8_t *numbers, *zeros;
	const float *scales;
};

static uint8_t zero_of(const struct source *s, int64_t row, int64_t block) {
	const struct matmul *m = s->m;
	if (!s->zeros) return (uint8_t)(1 << (m->bits - 1));
	if (m->bits == 8) return s->zeros[row * m->blocks + block];
	return s->zeros[row * ((m->blocks + 1) / 2) + block / 2] >> (block % 2 * 4) & 15;
}

// pack_strip packs one strip. Outputs beyond the last have scales of 0.
static void pack_strip(void *data, size_t strip) {
	const struct source *s = data;
	const struct matmul *m = s->m;
	uint8_t *to = m->weights + strip * m->strip;
	float *scales = (float *)(to + m->scales);
	int64_t first = (int64_t)strip * LANES, outputs = m->n - first < LANES ? m->n - first : LANES;
	size_t row = (size_t)m->blocks * m->block * m->bits / 8;
	if (outputs < LANES) memset(to, 0, m->strip);
	for (int lane = 0; lane < outputs; lane++) {
		const uint8_t *from = s->numbers + (first + lane) * row;
		for (size_t i = 0; i < row; i += 4) memcpy(to + i * LANES + lane * 4, from + i, 4);
		for (int64_t b = 0; b < m->blocks; b++) {
			scales[b * LANES + lane] = s->scales[(first + lane) * m->blocks + b];
			to[m->zeros + b * LANES + lane] = zero_of(s, first + lane, b);
		}
	}
}

static void destroy(void *kernel) {
	struct matmul *m = kernel;
	free(m->weights);
	free(m->bias);
	free(m);
}

// constant reads an input that does not change, of this type and number of elements; count 0 is any number.
static ort_status constant(ort_api api, const void *info, size_t at, int type, int64_t count, ort_tensor *t) {
	int is = 0;
	const void *value = NULL;
	ort_status s = ort_constant_input(api)(info, at, &is, &value);
	if (!s) s = ort_read_value(api, is ? value : NULL, t);
	if (!s && t->data && (t->type != type || t->count != count)) s = ort_error(api, "PackedMatMulNBits: weights, scales, zero points or bias of another type or size than the attributes ask for");
	return s;
}

static ort_status create(const ort_operator *op, ort_api api, const void *info, void **kernel) {
	(void)op;
	int k, n;
	struct matmul *m = calloc(1, sizeof *m);
	if (!m) return ort_error(api, "no memory");
	m->api = api;
	struct source from = {.m = m};
	ort_tensor numbers = {0}, scales = {0}, zeros = {0}, bias = {0};
	ort_status s = isa_read(api, info, &m->isa, &m->threads);
	if (!s) s = ort_int(api, info, "K", 1, 1 << 28, &k);
	if (!s) s = ort_int(api, info, "N", 1, 1 << 28, &n);
	if (!s) s = ort_int(api, info, "bits", 4, 8, &m->bits);
	if (!s) s = ort_int(api, info, "block_size", 16, 256, &m->block);
	if (!s && (m->bits % 4 || m->block & (m->block - 1))) s = ort_error(api, "PackedMatMulNBits: 4 or 8 bits in blocks of a power of two");
	if (s) goto fail;
	m->k = k, m->n = n;
	m->blocks = (m->k + m->block - 1) / m->block;
	m->strips = (m->n + LANES - 1) / LANES;
	s = constant(api, info, 1, ORT_UINT8, m->n * m->blocks * m->block * m->bits / 8, &numbers);
	if (!s) s = constant(api, info, 2, ORT_FLOAT, m->n * m->blocks, &scales);
	if (!s) s = constant(api, info, 3, ORT_UINT8, m->n * ((m->blocks * m->bits + 7) / 8), &zeros);
	if (!s) s = constant(api, info, 4, ORT_FLOAT, m->n, &bias);
	if (!s && (!numbers.data || !scales.data)) s = ort_error(api, "PackedMatMulNBits: weights or scales are not constant");
	if (s) goto fail;
	m->scales = (size_t)m->blocks * m->block * m->bits / 8 * LANES;
	m->zeros = m->scales + (size_t)m->blocks * LANES * sizeof(float);
	m->strip = (m->zeros + (size_t)m->blocks * LANES + 63) / 64 * 64;
	m->weights = memory_get(m->strip * (size_t)m->strips);
	if (bias.data) m->bias = calloc((size_t)m->strips * LANES, sizeof(float));
	if (!m->weights || (bias.data && !m->bias)) {
		s = ort_error(api, "PackedMatMulNBits: no memory for the packed weights");
		goto fail;
	}
	from.numbers = numbers.data, from.scales = scales.data, from.zeros = zeros.data;
	spread(m->threads, pack_strip, (size_t)m->strips, &from);
	if (bias.data) memcpy(m->bias, bias.data, (size_t)m->n * sizeof(float));
	memory_drop(numbers.data, (size_t)numbers.count);
	memory_drop(scales.data, (size_t)scales.count * sizeof(float));
	*kernel = m;
	return NULL;
fail:
	destroy(m);
	return s;
}

// A run: all that its tasks read.
struct run {
	const struct matmul *m;
	const struct matmul_kernel *kernel;
	const float *x;
	float *y;
	int64_t rows, groups;
	char *packed;         // the groups
	size_t row;           // bytes that a row takes there
	int64_t chunk, chunks; // groups that a task computes; of them
	int64_t width, widths; // strips that a task computes; of them
};

// Groups are as even as can be, so that none is narrow: group g begins at this row.
static int64_t begin_of(const struct run *r, int64_t g) { return g * r->rows / r->groups; }

static struct rows group_of(const struct run *r, int64_t g) {
	const struct matmul *m = r->m;
	int64_t begin = begin_of(r, g), n = begin_of(r, g + 1) - begin;
	const char *p = r->packed + r->row * (size_t)begin;
	const int32_t *numbers = (const int32_t *)p;
	const float *scales = (const float *)(numbers + m->blocks * m->block / 4 * n);
	return (struct rows){(int)n, numbers, scales, (const int32_t *)(scales + m->blocks * n)};
}

static void pack_group(void *data, size_t g) {
	const struct run *r = data;
	struct rows to = group_of(r, (int64_t)g);
	for (int i = 0; i < to.n; i++) {
		r->kernel->pack_row(r->m, r->x + (begin_of(r, (int64_t)g) + i) * r->m->k, i, to.n, (int32_t *)to.numbers, (float *)to.scales, (int32_t *)to.sums);
	}
}

static void compute_task(void *data, size_t task) {
	const struct run *r = data;
	const struct matmul *m = r->m;
	int64_t group = (int64_t)task / r->widths * r->chunk, strip = (int64_t)task % r->widths * r->width;
	int64_t groups = group + r->chunk < r->groups ? group + r->chunk : r->groups;
	int64_t strips = strip + r->width < m->strips ? strip + r->width : m->strips;
	// A few strips at a time, so that they stay in the processor's cache for the next group.
	for (int64_t to; strip < strips; strip = to) {
		to = groups - group == 1 || strip + 4 > strips ? strips : strip + 4;
		for (int64_t g = group; g < groups; g++) {
			struct rows rows = group_of(r, g);
			r->kernel->tile(m, &rows, strip, to, r->y + begin_of(r, g) * m->n);
		}
	}
}

enum {
	CACHED = 512 << 10,   // bytes of packed rows that stay in the second-level cache beside weights
	SERIAL = 64 << 10,    // numbers of rows that are packed by one thread
	TASKS_A_THREAD = 8,
	WIDEST = 64,          // strips of a task
};

static void plan(struct run *r) {
	const struct matmul *m = r->m;
	r->groups = (r->rows + r->kernel->group - 1) / r->kernel->group;
	r->row = (size_t)m->blocks * (m->block + 8);
	r->chunk = CACHED / (r->row * (size_t)r->kernel->group);
	if (r->chunk < 1) r->chunk = 1;
	r->chunks = (r->groups + r->chunk - 1) / r->chunk;
	r->chunk = (r->groups + r->chunks - 1) / r->chunks;
	r->width = m->strips * r->chunks / (m->threads * TASKS_A_THREAD);
	r->width = r->width / 4 * 4; // whole tiles of narrow groups
	if (r->width > WIDEST) r->width = WIDEST;
	if (r->width < 4) r->width = m->strips < 4 * m->threads ? 1 : 4;
	if (m->threads == 1) r->width = m->strips;
	r->widths = (m->strips + r->width - 1) / r->width;
}

static ort_status compute(void *kernel, void *context) {
	const struct matmul *m = kernel;
	ort_api api = m->api;
	ort_tensor x;
	ort_status s = ort_read_input(api, context, 0, &x);
	if (s) return s;
	if (x.rank < 1 || x.dims[x.rank - 1] != m->k) return ort_error(api, "PackedMatMulNBits: the last dimension is not K");
	struct run r = {.m = m, .kernel = kernel_of(m), .x = x.data, .rows = x.count / m->k};
	x.dims[x.rank - 1] = m->n;
	s = ort_make_output(api, context, 0, x.dims, x.rank, &r.y);
	if (s || !r.rows) return s;
	plan(&r);
	r.packed = scratch_get(r.row * (size_t)r.rows);
	if (!r.packed) return ort_error(api, "PackedMatMulNBits: no memory for a run");
	if (x.count < SERIAL || r.groups == 1) {
		for (int64_t g = 0; g < r.groups; g++) pack_group(&r, (size_t)g);
	} else {
		s = ort_parallel_for(api)(context, pack_group, (size_t)r.groups, 0, &r);
	}
	if (!s) s = ort_parallel_for(api)(context, compute_task, (size_t)(r.chunks * r.widths), 0, &r);
	scratch_put(r.packed);
	return s;
}

static const char *name(const ort_operator *op) { return (void)op, "PackedMatMulNBits"; }
static int input_type(const ort_operator *op, size_t i) { return (void)op, i == 1 || i == 3 ? ORT_UINT8 : ORT_FLOAT; }
static size_t inputs(const ort_operator *op) { return (void)op, 5; }
static int output_type(const ort_operator *op, size_t i) { return (void)op, (void)i, ORT_FLOAT; }
static size_t outputs(const ort_operator *op) { return (void)op, 1; }
static int input_kind(const ort_operator *op, size_t i) { return (void)op, i < 3 ? ORT_REQUIRED : ORT_OPTIONAL; }

const ort_operator matmul_operator = {
	.version = ORT_VERSION, .name = name, .provider = on_processor, .input_type = input_type, .inputs = inputs, .output_type = output_type,
	.outputs = outputs, .destroy = destroy, .input_kind = input_kind, .output_kind = all_required, .input_memory = any_memory,
	.create = create, .compute = compute,
};
