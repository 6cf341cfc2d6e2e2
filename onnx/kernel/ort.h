// What the operators use of ONNX Runtime's C API (onnxruntime_c_api.h of version 1.24, which later ones only append to).
#ifndef ORTSERVE_ORT_H
#define ORTSERVE_ORT_H

#include <stddef.h>
#include <stdint.h>

enum { ORT_VERSION = 24 };
enum { ORT_FAIL = 1 };                            // OrtErrorCode
enum { ORT_FLOAT = 1, ORT_UINT8 = 2, ORT_INT8 = 3, ORT_INT32 = 6, ORT_INT64 = 7, ORT_FLOAT16 = 10 }; // ONNXTensorElementDataType
enum { ORT_REQUIRED = 0, ORT_OPTIONAL = 1 };      // OrtCustomOpInputOutputCharacteristic

typedef void *ort_status;       // OrtStatusPtr, NULL where it went well
typedef const void *const *ort_api; // OrtApi, a table of functions

// ort_operator is OrtCustomOp.
typedef struct ort_operator ort_operator;
struct ort_operator {
	uint32_t version;
	void *(*create_v1)(const ort_operator *, ort_api, const void *info);
	const char *(*name)(const ort_operator *);
	const char *(*provider)(const ort_operator *);
	int (*input_type)(const ort_operator *, size_t);
	size_t (*inputs)(const ort_operator *);
	int (*output_type)(const ort_operator *, size_t);
	size_t (*outputs)(const ort_operator *);
	void (*compute_v1)(void *kernel, void *context);
	void (*destroy)(void *kernel);
	int (*input_kind)(const ort_operator *, size_t);
	int (*output_kind)(const ort_operator *, size_t);
	int (*input_memory)(const ort_operator *, size_t);
	int (*variadic[4])(const ort_operator *);
	ort_status (*create)(const ort_operator *, ort_api, const void *info, void **kernel);
	ort_status (*compute)(void *kernel, void *context);
	ort_status (*infer)(const ort_operator *, void *context);
	int (*start_version)(const ort_operator *);
	int (*end_version)(const ort_operator *);
	size_t (*may_inplace)(int **inputs, int **outputs);
	void (*release_inplace)(int *inputs, int *outputs);
	size_t (*alias)(int **inputs, int **outputs);
	void (*release_alias)(int *inputs, int *outputs);
};

// The functions by their places in the table.
#define ORT_CALL(api, place, ...) (((ort_status (*)(__VA_ARGS__))(api)[place]))
#define ort_create_status(api) (((ort_status (*)(int, const char *))(api)[0]))
#define ort_error_text(api) (((const char *(*)(ort_status))(api)[2]))
#define ort_release_status(api) (((void (*)(ort_status))(api)[93]))
#define ort_create_domain(api) ORT_CALL(api, 26, const char *, void **)
#define ort_add_operator(api) ORT_CALL(api, 27, void *, const ort_operator *)
#define ort_add_domain(api) ORT_CALL(api, 28, void *options, void *domain)
#define ort_tensor_data(api) ORT_CALL(api, 51, const void *value, void **)
#define ort_element_type(api) ORT_CALL(api, 60, const void *shape, int *)
#define ort_dims_count(api) ORT_CALL(api, 61, const void *shape, size_t *)
#define ort_dims(api) ORT_CALL(api, 62, const void *shape, int64_t *, size_t)
#define ort_shape_of(api) ORT_CALL(api, 65, const void *value, void **shape)
#define ort_attribute_float(api) ORT_CALL(api, 85, const void *info, const char *, float *)
#define ort_attribute_int(api) ORT_CALL(api, 86, const void *info, const char *, int64_t *)
#define ort_input(api) ORT_CALL(api, 90, const void *context, size_t, const void **)
#define ort_output(api) ORT_CALL(api, 91, void *context, size_t, const int64_t *dims, size_t, void **)
#define ort_release_shape(api) (((void (*)(void *))(api)[99]))
#define ort_constant_input(api) ORT_CALL(api, 249, const void *info, size_t, int *is_constant, const void **)
#define ort_parallel_for(api) ORT_CALL(api, 274, const void *context, void (*)(void *, size_t), size_t total, size_t batches, void *)

// ort_error makes a status of a text.
static inline ort_status ort_error(ort_api api, const char *text) { return ort_create_status(api)(ORT_FAIL, text); }

// ort_tensor is what a value holds. Dims beyond the sixth are not read.
typedef struct {
	void *data; // NULL where an optional input is left out
	int type;
	size_t rank;
	int64_t dims[6];
	int64_t count;
} ort_tensor;

// ort_read_value fills t from a value, which may be NULL.
ort_status ort_read_value(ort_api api, const void *value, ort_tensor *t);

// ort_read_input fills t from an input of a run.
ort_status ort_read_input(ort_api api, const void *context, size_t at, ort_tensor *t);

// ort_make_output allots an output of a run and fills t; it has float32 elements.
ort_status ort_make_output(ort_api api, void *context, size_t at, const int64_t *dims, size_t rank, float **data);

// ort_int reads an attribute that the node must have.
ort_status ort_int(ort_api api, const void *info, const char *name, int64_t least, int64_t most, int *out);

#endif
