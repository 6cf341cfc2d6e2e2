package main

import (
	"bytes"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/internal/home"
)

// The files of all wheels lie in one folder, each wheel's licence under its name.
func TestCUDA(t *testing.T) {
	f, _, _ := setUp(t, "")
	w := f.modelWheel
	other := w
	other.Package = "other-thing"
	f.cudaWheels = map[string][]home.WheelFiles{runtime.GOOS + "/" + runtime.GOARCH: {
		{Wheel: w, Files: []string{"onnxruntime/capi/" + home.RuntimeLibraryName()}, Licence: "onnxruntime/LICENSE"},
		{Wheel: other, Files: []string{"onnxruntime/other"}, Licence: home.ModelWheelNotice},
	}}
	var out bytes.Buffer
	if err := f.run(t.Context(), "cuda", "", &out); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(out.String()); got != home.RuntimeLibraryCUDA(f.dir) {
		t.Errorf("printed %q", got)
	}
	dir := "onnxruntime/" + home.RuntimeVersionCUDA + "-cuda/"
	want := map[string]string{
		dir + home.RuntimeLibraryName(): "the library", dir + "other": "not wanted",
		dir + "LICENSE.thing": "its licence", dir + "LICENSE.other-thing": "the model's licence",
	}
	if diff := cmp.Diff(want, tree(t, f.dir)); diff != "" {
		t.Errorf("home (-want +got):\n%s", diff)
	}

	f.cudaWheels = nil
	f.dir = t.TempDir()
	if err := f.run(t.Context(), "cuda", "", &out); err == nil || !strings.Contains(err.Error(), "no runtime library with CUDA is pinned") {
		t.Errorf("error is %v", err)
	}
}
