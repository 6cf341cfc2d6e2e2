//go:build !linux

package onnx

import "runtime/debug"

// ReleaseMemory gives the system back what Go keeps of what is used no more.
func ReleaseMemory() { debug.FreeOSMemory() }
