package onnx

import (
	"runtime"
	"testing"

	"ortserve/engine"
	"ortserve/internal/testmodel"
)

var denormal = float32(1e-40) // a variable, so that the division is not the compiler's

// TestArithmeticOfThreads shows that a session leaves the arithmetic of the threads that call it as it was. Goroutines move between
// threads, so a thread that took denormal numbers for zero would give other bits than the next one.
func TestArithmeticOfThreads(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := openTest(t, testmodel.Config{}, options)
	if _, err := s.Forward(&engine.Batch{Rows: []engine.Row{{Tokens: []int32{1, 2, 3}, Logits: 1}}}); err != nil {
		t.Fatal(err)
	}
	if half := denormal / 2; half == 0 {
		t.Error("half of a denormal number is 0 on the thread that opened the graph")
	}
}
