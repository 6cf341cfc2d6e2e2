package main

import (
	"path/filepath"
	"strings"
	"testing"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
)

// TestImportInt8KV imports a model with a cache of int8, whose scales come of running it, and opens it.
func TestImportInt8KV(t *testing.T) {
	library := testenv.Runtime(t)
	t.Setenv("ORTSERVE_HOME", t.TempDir())
	gguf := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := (testmodel.Config{Positions: 256}).GGUF("smollm").Write(gguf); err != nil {
		t.Fatal(err)
	}
	for _, dtype := range []string{"fp32", "fp16"} {
		code, out, failure := at("import", gguf, "--name", "tiny:"+dtype, "--dtype", dtype, "--kv", "int8", "--onnxruntime", library)
		if code != 0 || !strings.Contains(out, "KV cache int8") {
			t.Fatalf("%s: %d %s %s", dtype, code, out, failure)
		}
		// 2 layers, keys and values, 2 heads of 16 numbers.
		code, out, failure = at("inspect", "tiny:"+dtype, "--onnxruntime", library, "--provider", "cpu", "--slots", "2")
		if said := strings.Join(strings.Fields(out), " "); code != 0 || !strings.Contains(said, "int8 [B, 2, P, 16]") || !strings.Contains(said, "cache, a token 128 bytes") {
			t.Errorf("%s: %d %s %s", dtype, code, out, failure)
		}
	}
	f := func(want string, args ...string) {
		t.Helper()
		if code, _, failure := at(append([]string{"import", gguf, "--name", "other"}, args...)...); code != 1 || !strings.Contains(failure, want) {
			t.Errorf("%q: %d %q, want %q", args, code, failure, want)
		}
	}
	f(`--kv "int4": it is int8, or as --dtype (fp32 unless given)`, "--kv", "int4")
	f(`--kv "fp16"`, "--kv", "fp16")
	f(`--kv "fp32"`, "--kv", "fp32", "--dtype", "fp16")
	if code, out, failure := at("import", gguf, "--name", "other", "--kv", "fp32"); code != 0 || !strings.Contains(out, "KV cache float32") {
		t.Errorf("%d %s %s", code, out, failure)
	}
}
