package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"ortserve/internal/testenv"
)

// fakeCUDA builds the stand-ins for NVIDIA's driver and for an ONNX Runtime with CUDA (testdata/fakecuda) and returns the latter's path.
// The runs themselves are the real library's, on the processor.
func fakeCUDA(t *testing.T) (library string) {
	t.Helper()
	dir := t.TempDir()
	library = filepath.Join(dir, "libonnxruntime.so")
	for _, args := range [][]string{
		{"-o", filepath.Join(dir, "libcuda.so.1"), "-Wl,-soname,libcuda.so.1", "testdata/fakecuda/driver.c"},
		{"-o", library, "testdata/fakecuda/onnxruntime.c", "-L" + dir, "-l:libcuda.so.1", "-Wl,-rpath,$ORIGIN"},
	} {
		cmd := exec.CommandContext(t.Context(), "cc", append([]string{"-shared", "-fPIC", "-O1"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("cc: %v\n%s", err, out)
		}
	}
	t.Setenv("FAKE_CUDA_ONNXRUNTIME", testenv.Runtime(t))
	t.Setenv("LD_LIBRARY_PATH", dir)
	return library
}

// With CUDA the KV memory lies on the device, no run and no copy of a prefix takes it through the processor's memory, the answers are
// those that Python's onnxruntime gave (the stand-in computes on the processor), and signals still reach the server, though the provider
// sets its own handlers.
func TestCUDA(t *testing.T) {
	const name = "genai-llama-int4-dml" // float16, GroupQueryAttention
	want := testenv.ReadExpected(t)[name]
	if want == nil {
		t.Fatalf("there is no %s", name)
	}
	library, counts := fakeCUDA(t), filepath.Join(t.TempDir(), "counts")
	t.Setenv("FAKE_CUDA_COUNTS", counts)
	s := testenv.Start(t, binary, "--model", name+"="+filepath.Join(testenv.Graphs(t), name), "--slots", "3", "--max-len", "512",
		"--provider", "cuda", "--onnxruntime", library, "--drain-delay", "0s")
	s.WaitLog(t, regexp.MustCompile(`msg="model loaded".* device="cuda: a fake"`))
	checkAnswers(t, s, name, "auto", want)
	if code := s.Stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("on SIGTERM it ended with exit code %d", code)
	}
	b, err := os.ReadFile(counts)
	if err != nil {
		t.Fatal(err)
	}
	var device, host, mixed, copies int
	if _, err := fmt.Sscanf(string(b), "device %d host %d mixed %d copies %d", &device, &host, &mixed, &copies); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	// The probe and the self-check have past and present of their own in three runs.
	if device < 32 || host > 3 || mixed != 0 || copies == 0 {
		t.Errorf("runs by where their KV memory lay: %s", b)
	}
}

// Where CUDA cannot be had, --provider cuda says in one line why, and auto computes on the processor and says so.
func TestCUDAIsMissing(t *testing.T) {
	library := fakeCUDA(t)
	real := testenv.Runtime(t)
	alone := filepath.Join(t.TempDir(), filepath.Base(library)) // a library with CUDA, no driver beside it
	withoutDriver := []string{"-shared", "-fPIC", "-o", alone, "testdata/fakecuda/onnxruntime.c", "testdata/fakecuda/nodevice.c"}
	if out, err := exec.CommandContext(t.Context(), "cc", withoutDriver...).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	f := func(library, want string, env ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), binary, "serve", "--addr", "127.0.0.1:0", "--provider", "cuda", "--onnxruntime", library,
			"--model", filepath.Join(testenv.Graphs(t), "genai-llama-int4"))
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if last := lines[len(lines)-1]; err == nil || !strings.Contains(last, want) || !strings.HasPrefix(last, "ortserve serve: ") {
			t.Errorf("with %q it says %q, %v; want a line with %q", env, out, err, want)
		}
	}
	f(real, "--provider cuda: the ONNX Runtime 1.")
	f(real, "was built without CUDA")
	f(alone, "no NVIDIA driver: libcuda.so.1: cannot open shared object file", "LD_LIBRARY_PATH=")
	f(library, "the NVIDIA driver has no device", "FAKE_CUDA_DEVICES=0")
	f(library, "the NVIDIA driver has no device", "FAKE_CUDA_DEVICES=-1")
	f(library, "there is no device 1 (--device)", "ORTSERVE_DEVICE=1")
	f(library, "the KV cache is float32, GroupQueryAttention on CUDA takes float16")

	// What CUDA cannot compute, auto leaves to the processor.
	auto := func(library, reason, name string) {
		t.Helper()
		s := testenv.Start(t, binary, "--model", name+"="+filepath.Join(testenv.Graphs(t), name), "--slots", "1", "--onnxruntime", library)
		s.WaitLog(t, regexp.MustCompile(`msg="the processor computes.*`+reason))
		s.WaitLog(t, regexp.MustCompile(`msg="model loaded".* device=cpu `))
		checkAnswers(t, s, name, "auto", testenv.ReadExpected(t)[name])
	}
	auto(real, "was built without CUDA", "genai-llama-int4")
	auto(library, "the KV cache is float32", "genai-llama-int4")
	t.Setenv("FAKE_CUDA", "broken")
	auto(library, "libcublasLt.so.13: cannot open shared object file", "genai-llama-int4-dml")
}
