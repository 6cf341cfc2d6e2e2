package onnx

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memory is a private mapping: zeroed, not on Go's heap, and paid for only page by page as it is written.
type memory []byte

// mapMemory returns size bytes.
func mapMemory(size int) (memory, error) {
	m, err := unix.Mmap(-1, 0, max(size, 1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("mapping %d bytes: %w", size, err)
	}
	return m, nil
}

// free unmaps m. Nothing may point into it any more.
func (m memory) free() error {
	if m == nil {
		return nil
	}
	return unix.Munmap(m)
}

// view returns m as a slice of T.
func view[T any](m memory) []T {
	var t T
	return unsafe.Slice((*T)(unsafe.Pointer(&m[0])), len(m)/int(unsafe.Sizeof(t)))
}
