// A stand-in for an ONNX Runtime with CUDA on a machine without a device: the library that FAKE_CUDA_ONNXRUNTIME names, which computes on
// the processor, behind a table of functions in which those that CUDA has a part in are others. Tensors in the memory "Cuda" must lie in
// the memory of the driver's stand-in, and can be touched in a run alone. FAKE_CUDA=broken refuses the provider as a library does whose
// CUDA is not there. FAKE_CUDA_COUNTS names a file for how many runs there were by where their KV lay, and
// how many copies before the last of them. It also has a provider DmlExecutionProvider, which writes its name and options into the file that
// FAKE_DML names, and refuses the option that is called wrong.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fake_cuda_touch(int yes);
int fake_cuda_owns(const void *p, size_t size);
extern int fake_cuda_copies;

// Places in the table, and how long it is in version 24.
enum {
	CREATE_STATUS = 0, RUN = 9, CREATE_TENSOR_WITH_DATA = 49, GET_TENSOR_MUTABLE_DATA = 51, CREATE_MEMORY_INFO = 68,
	RELEASE_MEMORY_INFO = 94, GET_AVAILABLE_PROVIDERS = 125, RELEASE_AVAILABLE_PROVIDERS = 126, APPEND_CUDA = 204,
	CREATE_CUDA_OPTIONS = 205, UPDATE_CUDA_OPTIONS = 206, RELEASE_CUDA_OPTIONS = 208, APPEND_BY_NAME = 216, LENGTH = 415,
};
typedef void *status;
typedef struct {
	void **(*get_api)(uint32_t);
	const char *(*get_version)(void);
} api_base;

static const api_base *real_base;
static void **real, *table[LENGTH];

static void die(const char *what) {
	fprintf(stderr, "fake CUDA: %s\n", what);
	abort();
}

// Names of the device's memory.
static void *infos[64];
static int *device_info(void *info) {
	static int place;
	for (place = 0; place < 64; place++)
		if (infos[place] == info) return &place;
	return NULL;
}

static status create_memory_info(const char *name, int kind, int id, int type, void **out) {
	int cuda = strcmp(name, "Cuda") == 0;
	status s = ((status (*)(const char *, int, int, int, void **))real[CREATE_MEMORY_INFO])(cuda ? "Cpu" : name, kind, id, type, out);
	if (cuda && !s) {
		int *free = device_info(NULL);
		if (!free) die("too many memory infos");
		infos[*free] = *out;
	}
	return s;
}

static void release_memory_info(void *info) {
	int *i = info ? device_info(info) : NULL;
	if (i) infos[*i] = NULL;
	((void (*)(void *))real[RELEASE_MEMORY_INFO])(info);
}

static status create_tensor(void *info, void *data, size_t size, const int64_t *shape, size_t dims, int type, void **out) {
	int on_device = device_info(info) != NULL;
	if (on_device && !fake_cuda_owns(data, size)) die("a tensor of the device whose memory is not the device's");
	if (!on_device && fake_cuda_owns(data, 1)) die("a tensor of the processor in the device's memory");
	return ((status (*)(void *, void *, size_t, const int64_t *, size_t, int, void **))real[CREATE_TENSOR_WITH_DATA])(info, data, size, shape, dims, type, out);
}

static int on_device(void *value) {
	void *data = NULL;
	if (!value || ((status (*)(void *, void **))real[GET_TENSOR_MUTABLE_DATA])(value, &data)) return 0;
	return fake_cuda_owns(data, 1);
}

static status run(void *session, void *options, const char **in, void **inputs, size_t n, const char **out, size_t m, void **outputs) {
	static int counts[3]; // runs whose KV lay: on the device, on the processor, here and there
	int device = 0, host = 0;
	for (size_t i = 0; i < n; i++)
		if (strncmp(in[i], "past_key_values.", 16) == 0) {
			if (on_device(inputs[i])) device++; else host++;
			int same = 0;
			for (size_t j = 0; j < m; j++) same |= strncmp(out[j], "present.", 8) == 0 && strcmp(out[j] + 8, in[i] + 16) == 0 && outputs[j] == inputs[i];
			if (on_device(inputs[i]) && !same) die("past and present on the device are not one tensor");
		}
	counts[device && host ? 2 : host ? 1 : 0]++;
	fake_cuda_touch(1);
	status s = ((status (*)(void *, void *, const char **, void **, size_t, const char **, size_t, void **))real[RUN])(session, options, in, inputs, n, out, m, outputs);
	fake_cuda_touch(0);
	const char *path = getenv("FAKE_CUDA_COUNTS");
	int f = path ? open(path, O_CREAT | O_WRONLY, 0644) : -1;
	if (f >= 0) {
		char text[96];
		int length = snprintf(text, sizeof text, "device %d host %d mixed %d copies %d\n", counts[0], counts[1], counts[2], fake_cuda_copies);
		if (pwrite(f, text, length, 0) != length) die("cannot write the counts");
		close(f);
	}
	return s;
}

static char *providers[] = {"CUDAExecutionProvider", "DmlExecutionProvider", "CPUExecutionProvider"};
static status get_providers(char ***out, int *n) { return *out = providers, *n = 3, NULL; }
static status release_providers(char **names, int n) { return NULL; }

static status create_options(void **out) { return *out = providers, NULL; }
static status update_options(void *options, const char *const *keys, const char *const *values, size_t n) {
	for (size_t i = 0; i < n; i++)
		if (strcmp(keys[i], "device_id") == 0) return NULL;
	die("the provider is not told its device");
	return NULL;
}
static void release_options(void *options) {}

// A provider's library may replace the process's handlers, and does not know Go's stacks.
static void foreign(int signal) { _exit(77); }
static status append(void *session_options, const void *cuda_options) {
	const char *how = getenv("FAKE_CUDA");
	if (how && strcmp(how, "broken") == 0)
		return ((status (*)(int, const char *))real[CREATE_STATUS])(1, "Failed to load library libonnxruntime_providers_cuda.so with error: "
			"libcublasLt.so.13: cannot open shared object file: No such file or directory");
	signal(SIGTERM, foreign);
	signal(SIGINT, foreign);
	return NULL;
}

static status append_by_name(void *session_options, const char *name, const char *const *keys, const char *const *values, size_t n) {
	const char *path = getenv("FAKE_DML");
	FILE *f = path ? fopen(path, "w") : NULL;
	if (!f) die("FAKE_DML names no file");
	fprintf(f, "%s", name);
	for (size_t i = 0; i < n; i++) {
		fprintf(f, " %s=%s", keys[i], values[i]);
		if (strcmp(keys[i], "wrong") == 0)
			return fclose(f), ((status (*)(int, const char *))real[CREATE_STATUS])(1, "unknown option wrong");
	}
	fclose(f);
	signal(SIGTERM, foreign);
	return NULL;
}

static void **get_api(uint32_t version) {
	if (version != 24) die("asked for another version of the table than 24");
	if (!real) {
		real = real_base->get_api(version);
		memcpy(table, real, sizeof table);
		table[RUN] = run;
		table[CREATE_TENSOR_WITH_DATA] = create_tensor;
		table[CREATE_MEMORY_INFO] = create_memory_info;
		table[RELEASE_MEMORY_INFO] = release_memory_info;
		table[GET_AVAILABLE_PROVIDERS] = get_providers;
		table[RELEASE_AVAILABLE_PROVIDERS] = release_providers;
		table[APPEND_CUDA] = append;
		table[APPEND_BY_NAME] = append_by_name;
		table[CREATE_CUDA_OPTIONS] = create_options;
		table[UPDATE_CUDA_OPTIONS] = update_options;
		table[RELEASE_CUDA_OPTIONS] = release_options;
	}
	return table;
}

const void *OrtGetApiBase(void) {
	static api_base base;
	if (!real_base) {
		void *library = dlopen(getenv("FAKE_CUDA_ONNXRUNTIME"), RTLD_NOW | RTLD_LOCAL);
		const void *(*get)(void) = library ? (const void *(*)(void))dlsym(library, "OrtGetApiBase") : NULL;
		if (!get) die(dlerror());
		real_base = get();
		base.get_api = get_api;
		base.get_version = real_base->get_version;
	}
	return &base;
}
