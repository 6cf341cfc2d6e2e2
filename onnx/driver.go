package onnx

/*
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// What is used of NVIDIA's driver API (cuda.h), whose functions keep their form for ever: a new form has a new name.
typedef int cu_result;
typedef uint64_t cu_address;
typedef struct {
	size_t src_x, src_y;
	unsigned src_type;
	const void *src_host;
	cu_address src;
	void *src_array;
	size_t src_pitch, dst_x, dst_y;
	unsigned dst_type;
	void *dst_host;
	cu_address dst;
	void *dst_array;
	size_t dst_pitch, width, height;
} cu_copy; // CUDA_MEMCPY2D
enum { CU_DEVICE_MEMORY = 2, CU_NO_DEVICE = 100 };

static struct {
	cu_result (*init)(unsigned);
	cu_result (*error_name)(cu_result, const char **);
	cu_result (*count)(int *);
	cu_result (*get)(int *device, int ordinal);
	cu_result (*name)(char *, int, int device);
	cu_result (*retain)(void **context, int device);
	cu_result (*release)(int device);
	cu_result (*current)(void *context);
	cu_result (*info)(size_t *free, size_t *total);
	cu_result (*alloc)(cu_address *, size_t);
	cu_result (*free)(cu_address);
	cu_result (*set)(cu_address, unsigned char, size_t);
	cu_result (*copy)(const cu_copy *);
	cu_result (*wait)(void);
} cu;

// cu_load finds the driver's functions. It returns what is missing, or NULL.
static const char *cu_load(void) {
	void *library = dlopen("libcuda.so.1", RTLD_LAZY);
	if (!library) return dlerror();
	const struct { void *place; const char *name; } functions[] = {
		{&cu.init, "cuInit"}, {&cu.error_name, "cuGetErrorName"}, {&cu.count, "cuDeviceGetCount"}, {&cu.get, "cuDeviceGet"},
		{&cu.name, "cuDeviceGetName"}, {&cu.retain, "cuDevicePrimaryCtxRetain"}, {&cu.release, "cuDevicePrimaryCtxRelease_v2"},
		{&cu.current, "cuCtxSetCurrent"}, {&cu.info, "cuMemGetInfo_v2"}, {&cu.alloc, "cuMemAlloc_v2"}, {&cu.free, "cuMemFree_v2"},
		{&cu.set, "cuMemsetD8_v2"}, {&cu.copy, "cuMemcpy2D_v2"}, {&cu.wait, "cuCtxSynchronize"},
	};
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		void *f = dlsym(library, functions[i].name);
		if (!f) return dlerror();
		memcpy(functions[i].place, &f, sizeof f);
	}
	return NULL;
}

static int cu_preload(const char *path) { return dlopen(path, RTLD_LAZY | RTLD_GLOBAL) != NULL; }
static cu_result cu_init(void) { return cu.init(0); }
static cu_result cu_count(int *n) { return cu.count(n); }
static const char *cu_name_of(cu_result r) {
	const char *name = NULL;
	return cu.error_name(r, &name) == 0 && name ? name : "unknown error";
}
static cu_result cu_open(int ordinal, int *device, char *name, int size, void **context) {
	cu_result r = cu.get(device, ordinal);
	if (!r) r = cu.name(name, size, *device);
	return r ? r : cu.retain(context, *device);
}
static cu_result cu_close(int device) { return cu.release(device); }
// A context belongs to a thread, and Go's goroutines change theirs: every call sets it.
static cu_result cu_info(void *context, size_t *free, size_t *total) {
	cu_result r = cu.current(context);
	return r ? r : cu.info(free, total);
}
static cu_result cu_alloc(void *context, size_t size, cu_address *out) {
	cu_result r = cu.current(context);
	if (!r) r = cu.alloc(out, size);
	if (!r) r = cu.set(*out, 0, size);
	return r ? r : cu.wait();
}
static cu_result cu_free(void *context, cu_address p) {
	cu_result r = cu.current(context);
	return r ? r : cu.free(p);
}
// cu_copy_rows copies n times height rows of width bytes, the same for each of n pairs of addresses, and waits: a run may use another
// stream.
static cu_result cu_copy_rows(void *context, const cu_address *dst, const cu_address *src, const size_t *pitch, const size_t *width, int n, size_t height) {
	cu_result r = cu.current(context);
	for (int i = 0; i < n && !r; i++) {
		cu_copy c = {
			.src_type = CU_DEVICE_MEMORY, .src = src[i], .src_pitch = pitch[i],
			.dst_type = CU_DEVICE_MEMORY, .dst = dst[i], .dst_pitch = pitch[i],
			.width = width[i], .height = height,
		};
		r = cu.copy(&c);
	}
	return r ? r : cu.wait();
}
*/
import "C"

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"unsafe"
)

// device is an NVIDIA device by way of its driver: memory that no run moves.
type device struct {
	number  int
	name    string
	handle  C.int
	context unsafe.Pointer // the primary one, which ONNX Runtime uses too
}

// What the machine lacks.
var (
	errNoDriver = errors.New("no NVIDIA driver")
	errNoDevice = errors.New("the NVIDIA driver has no device")
)

// loadDriver finds the driver, once.
var loadDriver = sync.OnceValue(func() error {
	if missing := C.cu_load(); missing != nil {
		return fmt.Errorf("%w: %s", errNoDriver, C.GoString(missing))
	}
	if r := C.cu_init(); r != C.CU_NO_DEVICE {
		return driverError("cuInit", r)
	}
	return errNoDevice
})

// preload loads NVIDIA's libraries that lie in dir, so that the provider's library, which looks for them by name, finds these. Where there are
// none the system's are taken; what is missing the provider says.
func preload(dir string) {
	for _, name := range []string{"cudart", "cublasLt", "cublas", "curand", "nvrtc-builtins", "nvrtc", "cudnn"} {
		files, _ := filepath.Glob(filepath.Join(dir, "lib"+name+".so.*")) // the pattern is right
		for _, f := range files {
			path := C.CString(f)
			C.cu_preload(path)
			C.free(unsafe.Pointer(path))
		}
	}
}

// driverError makes an error of the driver's result.
func driverError(call string, r C.cu_result) error {
	if r == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s (%d)", call, C.GoString(C.cu_name_of(r)), r)
}

// openDevice returns device number n. The error says that there is no driver, or no such device.
func openDevice(n int) (*device, error) {
	if err := loadDriver(); err != nil {
		return nil, err
	}
	var count C.int
	if err := driverError("cuDeviceGetCount", C.cu_count(&count)); err != nil {
		return nil, err
	}
	switch {
	case count == 0:
		return nil, errNoDevice
	case n >= int(count):
		return nil, fmt.Errorf("there is no device %d (--device): the driver has %d, the first is 0", n, count)
	}
	d := &device{number: n}
	var name [256]C.char
	if err := driverError("opening the device", C.cu_open(C.int(n), &d.handle, &name[0], C.int(len(name)), &d.context)); err != nil {
		return nil, err
	}
	d.name = C.GoString(&name[0])
	return d, nil
}

// free returns how many bytes of the device's memory nobody has.
func (d *device) free() (int64, error) {
	var free, total C.size_t
	err := driverError("cuMemGetInfo", C.cu_info(d.context, &free, &total))
	return int64(free), err
}

// alloc returns the address of size bytes, zeroed.
func (d *device) alloc(size int) (uintptr, error) {
	var p C.cu_address
	if err := driverError("cuMemAlloc", C.cu_alloc(d.context, C.size_t(size), &p)); err != nil {
		return 0, fmt.Errorf("%d bytes on %s: %w", size, d.name, err)
	}
	return uintptr(p), nil
}

// release frees what alloc gave.
func (d *device) release(p uintptr) error {
	return driverError("cuMemFree", C.cu_free(d.context, C.cu_address(p)))
}

// region is a copy of rows in the device's memory: width bytes of each row, the rows pitch bytes apart.
type region struct {
	dst, src     uintptr
	pitch, width int
}

// copy copies height rows of each region, and waits until that is done.
func (d *device) copy(regions []region, height int) error {
	if len(regions) == 0 || height == 0 {
		return nil
	}
	dst, src := make([]C.cu_address, len(regions)), make([]C.cu_address, len(regions))
	pitch, width := make([]C.size_t, len(regions)), make([]C.size_t, len(regions))
	for i, r := range regions {
		dst[i], src[i], pitch[i], width[i] = C.cu_address(r.dst), C.cu_address(r.src), C.size_t(r.pitch), C.size_t(r.width)
	}
	return driverError("cuMemcpy2D", C.cu_copy_rows(d.context, &dst[0], &src[0], &pitch[0], &width[0], C.int(len(regions)), C.size_t(height)))
}

// close gives the device back.
func (d *device) close() error { return driverError("cuDevicePrimaryCtxRelease", C.cu_close(d.handle)) }
