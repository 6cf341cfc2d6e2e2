package onnx

/*
#cgo linux LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// ONNX Runtime's C API is a table of functions that only grows at its end: these are their places in it, as onnxruntime_c_api.h of
// version 1.24 has them. api_check calls each that can be called without a device.
enum {
	CREATE_STATUS = 0, GET_ERROR_CODE = 1, GET_ERROR_MESSAGE = 2,
	CREATE_TENSOR_WITH_DATA = 49, IS_TENSOR = 50, GET_TENSOR_MUTABLE_DATA = 51,
	CREATE_MEMORY_INFO = 68, MEMORY_INFO_GET_NAME = 71, MEMORY_INFO_GET_ID = 72,
	RELEASE_STATUS = 93, RELEASE_MEMORY_INFO = 94, RELEASE_VALUE = 96,
	GET_AVAILABLE_PROVIDERS = 125, RELEASE_AVAILABLE_PROVIDERS = 126,
	GET_TENSOR_MEMORY_INFO = 194,
};

typedef void *status; // NULL where it went well
typedef struct {
	void **(*get_api)(uint32_t version);
	const char *(*get_version)(void);
} api_base;

// api_load returns the table of a library that is loaded already, or NULL.
static void **api_load(const char *path, uint32_t version, const char **library_version) {
	void *library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
	if (!library) return NULL;
	const api_base *(*base)(void) = (const api_base *(*)(void))dlsym(library, "OrtGetApiBase");
	if (!base || !base()) return NULL;
	*library_version = base()->get_version();
	return base()->get_api(version);
}

// api_error returns the text of a status, which it releases, for the caller to free; NULL where it went well.
static char *api_error(void **api, status s) {
	if (!s) return NULL;
	char *text = strdup(((const char *(*)(status))api[GET_ERROR_MESSAGE])(s));
	((void (*)(status))api[RELEASE_STATUS])(s);
	return text;
}

// Memory of a device: its default allocator's kind (0) and its default type (0).
static char *api_memory_info(void **api, const char *name, int device, void **out) {
	return api_error(api, ((status (*)(const char *, int, int, int, void **))api[CREATE_MEMORY_INFO])(name, 0, device, 0, out));
}

static void api_release_memory_info(void **api, void *info) { ((void (*)(void *))api[RELEASE_MEMORY_INFO])(info); }

static char *api_tensor(void **api, void *info, uintptr_t data, size_t size, const int64_t *shape, size_t dims, int type, void **out) {
	return api_error(api, ((status (*)(void *, void *, size_t, const int64_t *, size_t, int, void **))api[CREATE_TENSOR_WITH_DATA])(
		info, (void *)data, size, shape, dims, type, out));
}

static void api_release_value(void **api, void *value) { ((void (*)(void *))api[RELEASE_VALUE])(value); }

// api_providers gives the names of the providers that the library was built with, for api_release_providers.
static char *api_providers(void **api, char ***names, int *n) {
	return api_error(api, ((status (*)(char ***, int *))api[GET_AVAILABLE_PROVIDERS])(names, n));
}

static char *api_release_providers(void **api, char **names, int n) {
	return api_error(api, ((status (*)(char **, int))api[RELEASE_AVAILABLE_PROVIDERS])(names, n));
}

// api_check calls the functions above on memory of the processor and compares what they give. It returns what is wrong, or NULL.
static const char *api_check(void **api) {
	static float data[6];
	const int64_t shape[] = {2, 3};
	const char *name = NULL;
	void *info = NULL, *value = NULL, *pointer = NULL;
	int number = -1;
	status s = ((status (*)(int, const char *))api[CREATE_STATUS])(2, "a text");
	if (!s || ((int (*)(status))api[GET_ERROR_CODE])(s) != 2) return "CreateStatus, GetErrorCode";
	char *text = api_error(api, s);
	int same = text && strcmp(text, "a text") == 0;
	free(text);
	if (!same) return "GetErrorMessage";
	if (api_memory_info(api, "Cpu", 0, &info) || !info) return "CreateMemoryInfo";
	if (((status (*)(void *, const char **))api[MEMORY_INFO_GET_NAME])(info, &name) || strcmp(name, "Cpu")) return "MemoryInfoGetName";
	if (((status (*)(void *, int *))api[MEMORY_INFO_GET_ID])(info, &number) || number) return "MemoryInfoGetId";
	if (api_tensor(api, info, (uintptr_t)data, sizeof data, shape, 2, 1, &value) || !value) return "CreateTensorWithDataAsOrtValue";
	if (((status (*)(void *, int *))api[IS_TENSOR])(value, &number) || number != 1) return "IsTensor";
	if (((status (*)(void *, void **))api[GET_TENSOR_MUTABLE_DATA])(value, &pointer) || pointer != data) return "GetTensorMutableData";
	name = NULL;
	if (((status (*)(void *, void **))api[GET_TENSOR_MEMORY_INFO])(value, &pointer) ||
		((status (*)(void *, const char **))api[MEMORY_INFO_GET_NAME])(pointer, &name) || strcmp(name, "Cpu")) return "GetTensorMemoryInfo";
	api_release_value(api, value);
	api_release_memory_info(api, info);
	char **names = NULL;
	int cpu = 0;
	if (api_providers(api, &names, &number) || number < 1) return "GetAvailableProviders";
	for (int i = 0; i < number; i++) cpu |= strcmp(names[i], "CPUExecutionProvider") == 0;
	if (!cpu || api_release_providers(api, names, number)) return "GetAvailableProviders, ReleaseAvailableProviders";
	return NULL;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"

	"ortserve/onnx/kernel"
)

// apiVersion is that of the table of functions, which every library that Load takes has.
const apiVersion = 24

// ortAPI is what the binding lacks of ONNX Runtime's C API: tensors in a device's memory.
type ortAPI struct{ table *unsafe.Pointer }

// loadAPI returns the C API of the library that Load has loaded. The error says what of the library or of the binding is not laid out as
// expected; nothing is called before that is known.
func loadAPI() (*ortAPI, error) {
	environment.Lock()
	path := environment.path
	environment.Unlock()
	if path == "" {
		return nil, errors.New("no ONNX Runtime library is loaded")
	}
	if t := reflect.TypeFor[ort.ValueInternalData](); t.NumField() != 1 || t.Field(0).Type.Kind() != reflect.Pointer {
		return nil, errors.New("the binding's ValueInternalData is not one pointer")
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var version *C.char
	table := C.api_load(name, apiVersion, &version)
	if table == nil {
		return nil, fmt.Errorf("%s has no C API of version %d", path, apiVersion)
	}
	if v := C.GoString(version); v != Version() {
		return nil, fmt.Errorf("%s is version %s, loaded is %s", path, v, Version())
	}
	if wrong := C.api_check(table); wrong != nil {
		return nil, fmt.Errorf("the C API of ONNX Runtime %s is not laid out as expected (%s)", Version(), C.GoString(wrong))
	}
	return &ortAPI{table}, nil
}

// addOperators gives a session the operators of package kernel.
func addOperators(o *ort.SessionOptions) error {
	api, err := loadAPI()
	if err != nil {
		return err
	}
	if t := reflect.TypeFor[ort.SessionOptions](); t.NumField() != 1 || t.Field(0).Type.Kind() != reflect.Pointer {
		return errors.New("the binding's SessionOptions are not one pointer")
	}
	return kernel.AddTo(unsafe.Pointer(api.table), *(*unsafe.Pointer)(unsafe.Pointer(o)))
}

// goError makes an error of a text that C allotted, which it frees.
func goError(text *C.char) error {
	if text == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(text))
	return errors.New(C.GoString(text))
}

// providers returns ONNX Runtime's names of the providers that the library was built with, such as "CUDAExecutionProvider".
func (a *ortAPI) providers() ([]string, error) {
	var names **C.char
	var n C.int
	if err := goError(C.api_providers(a.table, &names, &n)); err != nil {
		return nil, err
	}
	var all []string
	for _, name := range unsafe.Slice(names, int(n)) {
		all = append(all, C.GoString(name))
	}
	return all, goError(C.api_release_providers(a.table, names, n))
}

// memoryInfo names the memory of a device.
type memoryInfo struct{ pointer unsafe.Pointer }

// memory returns the name of a device's memory: "Cpu" or "Cuda", and the number of the device.
func (a *ortAPI) memory(name string, device int) (memoryInfo, error) {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	var m memoryInfo
	err := goError(C.api_memory_info(a.table, text, C.int(device), &m.pointer))
	return m, err
}

// release frees the name. Tensors have their own.
func (a *ortAPI) release(m memoryInfo) { C.api_release_memory_info(a.table, m.pointer) }

// deviceTensor is a tensor in a device's memory, for runs alone: what an ort.Value has beside GetInternals and Destroy would need its
// content. Its embedded Value is nil.
type deviceTensor struct {
	ort.Value
	api   *ortAPI
	value unsafe.Pointer // an OrtValue
}

// tensor returns a tensor of this shape over size bytes at address in the memory of a device.
func (a *ortAPI) tensor(m memoryInfo, address uintptr, size int, shape ort.Shape, dtype ort.TensorElementDataType) (ort.Value, error) {
	t := &deviceTensor{api: a}
	err := goError(C.api_tensor(a.table, m.pointer, C.uintptr_t(address), C.size_t(size), (*C.int64_t)(&shape[0]), C.size_t(len(shape)), C.int(dtype), &t.value))
	if err != nil {
		return nil, fmt.Errorf("a tensor of %v on the device: %w", shape, err)
	}
	return t, nil
}

// GetInternals returns the OrtValue in the binding's own wrapping, which is one pointer.
func (t *deviceTensor) GetInternals() *ort.ValueInternalData {
	return (*ort.ValueInternalData)(unsafe.Pointer(&t.value))
}

// Destroy frees the tensor, not its memory.
func (t *deviceTensor) Destroy() error {
	if t.value != nil {
		C.api_release_value(t.api.table, t.value)
	}
	t.value = nil
	return nil
}
