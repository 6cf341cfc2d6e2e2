//go:build !linux

package onnx

import (
	"runtime/debug"

	"ortserve/onnx/kernel"
)

// ReleaseMemory gives the system back what closed sessions leave in the process.
func ReleaseMemory() {
	kernel.Release()
	debug.FreeOSMemory()
}
