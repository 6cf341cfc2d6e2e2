// A stand-in for NVIDIA's driver (libcuda.so.1) on a machine without a device. Its device memory is this process's, but neither readable
// nor writable outside of what the device does: whoever takes it for the processor's memory dies. FAKE_CUDA_DEVICES says how many devices
// there are (1).
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct {
	size_t src_x, src_y;
	unsigned src_type;
	const void *src_host;
	uint64_t src;
	void *src_array;
	size_t src_pitch, dst_x, dst_y;
	unsigned dst_type;
	void *dst_host;
	uint64_t dst;
	void *dst_array;
	size_t dst_pitch, width, height;
} copy2d;

enum { NO_DEVICE = 100, INVALID = 1, NO_CONTEXT = 201, MOST = 4096 };

static struct { char *at; size_t size; } blocks[MOST];
static int devices(void) {
	const char *n = getenv("FAKE_CUDA_DEVICES");
	return n ? atoi(n) : 1;
}
static __thread void *context;
static int retained;

// fake_cuda_touch lets the device's memory be read and written, or not.
void fake_cuda_touch(int yes) {
	for (int i = 0; i < MOST; i++)
		if (blocks[i].at && mprotect(blocks[i].at, blocks[i].size, yes ? PROT_READ | PROT_WRITE : PROT_NONE)) abort();
}

// fake_cuda_copies is how many copies there were.
int fake_cuda_copies;

// fake_cuda_owns says whether size bytes at p are the device's.
int fake_cuda_owns(const void *p, size_t size) {
	for (int i = 0; i < MOST; i++)
		if (blocks[i].at && (const char *)p >= blocks[i].at && (const char *)p + size <= blocks[i].at + blocks[i].size) return 1;
	return 0;
}

int cuInit(unsigned flags) { return devices() < 0 ? NO_DEVICE : flags != 0; }
int cuGetErrorName(int r, const char **name) {
	*name = r == NO_DEVICE ? "CUDA_ERROR_NO_DEVICE" : r == NO_CONTEXT ? "CUDA_ERROR_INVALID_CONTEXT" : "CUDA_ERROR_INVALID_VALUE";
	return 0;
}
int cuDeviceGetCount(int *n) { return *n = devices(), 0; }
int cuDeviceGet(int *device, int ordinal) { return ordinal < devices() ? (*device = ordinal, 0) : INVALID; }
int cuDeviceGetName(char *name, int size, int device) { return device < devices() ? (strncpy(name, "a fake", size), 0) : INVALID; }
int cuDevicePrimaryCtxRetain(void **c, int device) { return device < devices() ? (*c = &retained, retained++, 0) : INVALID; }
int cuDevicePrimaryCtxRelease_v2(int device) { return device < devices() && retained-- > 0 ? 0 : INVALID; }
int cuCtxSetCurrent(void *c) { return context = c, 0; }
int cuCtxSynchronize(void) { return context ? 0 : NO_CONTEXT; }
int cuMemGetInfo_v2(size_t *free, size_t *total) {
	if (!context) return NO_CONTEXT;
	*free = 6l << 30, *total = 8l << 30;
	return 0;
}

int cuMemAlloc_v2(uint64_t *out, size_t size) {
	if (!context) return NO_CONTEXT;
	for (int i = 0; i < MOST; i++)
		if (!blocks[i].at) {
			size_t page = sysconf(_SC_PAGESIZE);
			size = (size + page - 1) / page * page;
			char *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
			if (p == MAP_FAILED) return INVALID;
			blocks[i].at = p, blocks[i].size = size, *out = (uint64_t)(uintptr_t)p;
			return 0;
		}
	return INVALID;
}

int cuMemFree_v2(uint64_t at) {
	if (!context) return NO_CONTEXT;
	for (int i = 0; i < MOST; i++)
		if (blocks[i].at == (char *)(uintptr_t)at) {
			munmap(blocks[i].at, blocks[i].size);
			blocks[i].at = NULL;
			return 0;
		}
	return INVALID;
}

int cuMemsetD8_v2(uint64_t at, unsigned char value, size_t size) {
	char *p = (char *)(uintptr_t)at;
	if (!context) return NO_CONTEXT;
	if (!fake_cuda_owns(p, size) || value) return INVALID; // new memory is zeroed
	return 0;
}

int cuMemcpy2D_v2(const copy2d *c) {
	char *dst = (char *)(uintptr_t)c->dst, *src = (char *)(uintptr_t)c->src;
	if (!context) return NO_CONTEXT;
	if (c->src_type != 2 || c->dst_type != 2 || c->height == 0 || c->width > c->src_pitch || c->width > c->dst_pitch) return INVALID;
	if (!fake_cuda_owns(src, (c->height - 1) * c->src_pitch + c->width) || !fake_cuda_owns(dst, (c->height - 1) * c->dst_pitch + c->width)) return INVALID;
	fake_cuda_copies++;
	fake_cuda_touch(1);
	for (size_t i = 0; i < c->height; i++) memcpy(dst + i * c->dst_pitch, src + i * c->src_pitch, c->width);
	fake_cuda_touch(0);
	return 0;
}
