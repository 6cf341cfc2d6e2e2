// What onnxruntime.c asks of the driver's stand-in, where there is none.
#include <stddef.h>

int fake_cuda_copies;
void fake_cuda_touch(int yes) {}
int fake_cuda_owns(const void *p, size_t size) { return 0; }
