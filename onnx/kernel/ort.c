#include "ort.h"
#include <stdio.h>

ort_status ort_read_value(ort_api api, const void *value, ort_tensor *t) {
	*t = (ort_tensor){0};
	if (!value) return NULL;
	void *shape = NULL;
	ort_status s = ort_tensor_data(api)(value, &t->data);
	if (!s) s = ort_shape_of(api)(value, &shape);
	if (s) return s;
	s = ort_element_type(api)(shape, &t->type);
	if (!s) s = ort_dims_count(api)(shape, &t->rank);
	size_t most = sizeof t->dims / sizeof *t->dims;
	if (!s && t->rank > most) s = ort_error(api, "a tensor of more than 6 dimensions");
	if (!s) s = ort_dims(api)(shape, t->dims, t->rank);
	ort_release_shape(api)(shape);
	t->count = 1;
	for (size_t i = 0; !s && i < t->rank; i++) t->count *= t->dims[i];
	return s;
}

ort_status ort_read_input(ort_api api, const void *context, size_t at, ort_tensor *t) {
	const void *value = NULL;
	ort_status s = ort_input(api)(context, at, &value);
	return s ? s : ort_read_value(api, value, t);
}

ort_status ort_make_output(ort_api api, void *context, size_t at, const int64_t *dims, size_t rank, float **data) {
	void *value = NULL, *p = NULL;
	ort_status s = ort_output(api)(context, at, dims, rank, &value);
	if (!s) s = ort_tensor_data(api)(value, &p);
	*data = p;
	return s;
}

ort_status ort_int(ort_api api, const void *info, const char *name, int64_t least, int64_t most, int *out) {
	int64_t v = 0;
	ort_status s = ort_attribute_int(api)(info, name, &v);
	if (s) return s;
	if (v < least || v > most) {
		char text[128];
		snprintf(text, sizeof text, "attribute %s is %lld, want %lld to %lld", name, (long long)v, (long long)least, (long long)most);
		return ort_error(api, text);
	}
	*out = (int)v;
	return NULL;
}
