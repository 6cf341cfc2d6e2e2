package clients

import (
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
)

var schemathesis = flag.Duration("schemathesis", 0, "how long TestSchemathesis makes up requests; 0 is a minute, with -short 20 seconds")

// TestSchemathesis makes up requests from /openapi.json, right ones and wrong ones: none may be answered with a 5xx, with a status, a
// content type or a body that the document does not have, or be accepted where the document forbids it. Left out is the check that
// all that the document allows is accepted: which token ids, models and lengths there are, and which fields are refused, no schema says.
func TestSchemathesis(t *testing.T) {
	python := testenv.Python(t, "schemathesis")
	s := testenv.Start(t, binary, "--model", "tiny="+model(t, testmodel.Config{}), "--max-len", "128")
	args := []string{
		"-m", "schemathesis.cli", "run", s.URL + "/openapi.json", "--no-color", "--checks", "all",
		"--exclude-checks", "positive_data_acceptance", "--max-examples", "30", "--suppress-health-check", "all",
	}
	long := *schemathesis
	switch {
	case long > 0:
	case testing.Short():
		long = 20 * time.Second
		args = append(args, "--generation-deterministic")
	default:
		long = time.Minute
	}
	args = append(args, "--max-time", strconv.Itoa(int(long.Seconds())))
	cmd := exec.CommandContext(t.Context(), python, args...)
	cmd.Dir = t.TempDir() // it keeps what it found
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	generated := regexp.MustCompile(`(\d+) generated`).FindSubmatch(out)
	if generated == nil {
		t.Fatalf("it does not say how many requests it sent:\n%s", out)
	}
	if n, _ := strconv.Atoi(string(generated[1])); n < 300 {
		t.Errorf("only %d requests:\n%s", n, out)
	}
	t.Logf("%s requests", generated[1])
}
