package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"ortserve/internal/testenv"
)

// A provider that this program does not know is passed on by its name, with its options; the library of these tests has a stand-in for one
// (testdata/fakecuda), the nodes are the processor's.
func TestProvider(t *testing.T) {
	const name = "genai-llama-int4-dml"
	library, said := fakeCUDA(t), filepath.Join(t.TempDir(), "said")
	t.Setenv("FAKE_DML", said)
	model := name + "=" + filepath.Join(testenv.Graphs(t), name)
	s := testenv.Start(t, binary, "--model", model, "--slots", "3", "--max-len", "512", "--onnxruntime", library, "--drain-delay", "0s",
		"--provider", "dml", "--provider-option", "device_id=1")
	s.WaitLog(t, regexp.MustCompile(`msg="model loaded".* device=dml`))
	checkAnswers(t, s, name, "auto", testenv.ReadExpected(t)[name])
	if code := s.Stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("on SIGTERM it ended with exit code %d", code)
	}
	if b, err := os.ReadFile(said); err != nil || string(b) != "DmlExecutionProvider device_id=1" {
		t.Errorf("the provider was told %q, %v", b, err)
	}

	f := func(library, want string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), binary, append([]string{"serve", "--addr", "127.0.0.1:0", "--onnxruntime", library, "--model", model}, args...)...)
		out, err := cmd.CombinedOutput()
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if last := lines[len(lines)-1]; err == nil || !strings.Contains(last, want) || !strings.HasPrefix(last, "ortserve serve: ") {
			t.Errorf("%q: it says %q, %v; want a line with %q", args, out, err, want)
		}
	}
	real := testenv.Runtime(t)
	f(real, "was built without openvino, it has azure, cpu (--onnxruntime names another)", "--provider", "openvino")
	f(library, "ONNX Runtime cannot use dml (wrong=1): unknown option wrong", "--provider", "dml", "--provider-option", "wrong=1")
	f(real, "--provider-option is for a provider that is named", "--provider-option", "a=b")
	f(real, "--device is CUDA's", "--provider", "dml", "--device", "1")
}
