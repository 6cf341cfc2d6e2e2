package onnx

/*
#include <stdlib.h>

#ifdef __GLIBC__
#include <malloc.h>
static void release_memory(void) { malloc_trim(0); }
#else
static void release_memory(void) {}
#endif
*/
import "C"

import (
	"runtime/debug"

	"ortserve/onnx/kernel"
)

// ReleaseMemory gives the system back what closed sessions leave in the process. The C library keeps freed pages in the arenas of all
// threads that ever allotted some, and Go returns its own by and by.
func ReleaseMemory() {
	kernel.Release()
	C.release_memory()
	debug.FreeOSMemory()
}
