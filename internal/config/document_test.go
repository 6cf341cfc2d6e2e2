package config

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the generated part of docs/configuration.md")

// TestConfigurationDocument: docs/configuration.md says what the flags say, and each has a text that ends as a sentence does.
func TestConfigurationDocument(t *testing.T) {
	const path, begin, end = "../../docs/configuration.md", "<!-- flags -->\n", "<!-- /flags -->\n"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(b), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no part between %q and %q", path, begin, end)
	}
	want := head + begin + ServeDocument() + "\n" + end + tail
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Errorf("docs/configuration.md is not what `go test ./internal/config -run Document -update` writes (-want +got):\n%s", diff)
	}
	for _, o := range new(Serve).flags().flags {
		if !strings.HasSuffix(o.help, ".") {
			t.Errorf("--%s: %q does not end with a full stop", o.name, o.help)
		}
		if !strings.Contains(want, "| `"+envName(o.name)+"` |") {
			t.Errorf("--%s has no row with its variable", o.name)
		}
	}
	// What is read of the environment without a flag is told above the tables.
	for _, name := range []string{"ORTSERVE_API_KEY", "ORTSERVE_ADMIN_KEY", "ORTSERVE_HOME", "HF_TOKEN", "HF_ENDPOINT", "HF_HUB_CACHE", "HF_HOME", "HF_HUB_OFFLINE"} {
		if !strings.Contains(head, "`"+name+"`") {
			t.Errorf("%s is not told", name)
		}
	}
}
