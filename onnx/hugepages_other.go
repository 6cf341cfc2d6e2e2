//go:build !linux

package onnx

// UseHugePages leaves the memory as it is: only Linux moves pages on request.
func UseHugePages() (int64, error) { return 0, nil }
