package test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
)

// startStore serves a store of its own that holds tiny models of these names, each with other weights.
func startStore(t *testing.T, names []string, args ...string) (s *testenv.Server, root string) {
	t.Helper()
	t.Setenv("ORTSERVE_ONNXRUNTIME", testenv.Runtime(t)) // found in the usual home
	home := t.TempDir()
	t.Setenv("ORTSERVE_HOME", home)
	root = filepath.Join(home, "models")
	for i, name := range names {
		writeModel(t, filepath.Join(root, strings.ReplaceAll(name, ":", "@")), uint64(i+1))
	}
	return testenv.Start(t, binary, args...), root
}

func writeModel(t *testing.T, dir string, seed uint64) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := testmodel.Write(dir, testmodel.Config{Seed: seed}); err != nil {
		t.Fatal(err)
	}
}

type modelNames struct {
	Data []struct {
		ID string `json:"id"`
	} `json:"data"`
}

// TestServeStore: without --model what the store holds is served, an empty one too, and names may hold slashes.
func TestServeStore(t *testing.T) {
	s, root := startStore(t, nil)
	f := func(want ...string) {
		t.Helper()
		var got []string
		for _, m := range decode[modelNames](t, get(t, s.URL+"/v1/models")).Data {
			got = append(got, m.ID)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("/v1/models lists %q, want %q", got, want)
		}
	}
	f()
	if a := post(t, s.URL+"/api/generate", `{"model":"tiny","prompt":"1"}`); a.status != http.StatusNotFound || !strings.Contains(a.body, "this server has none") {
		t.Errorf("a model of an empty store: %d %s", a.status, a.body)
	}
	writeModel(t, filepath.Join(root, "tiny@latest"), 1)
	writeModel(t, filepath.Join(root, "org", "repo@q4"), 2)
	f("org/repo:q4", "tiny:latest")
	for _, path := range []string{"org/repo:q4", "org%2Frepo:q4", "org%2frepo%3Aq4"} {
		if a := get(t, s.URL+"/v1/models/"+path); a.status != http.StatusOK || !strings.Contains(a.body, `"id":"org/repo:q4"`) {
			t.Errorf("/v1/models/%s: %d %s", path, a.status, a.body)
		}
	}
	for _, path := range []string{"org/repo", "repo:q4", "..%2Forg/repo:q4", "%2e%2e/tiny"} {
		if a := get(t, s.URL+"/v1/models/"+path); a.status != http.StatusNotFound {
			t.Errorf("/v1/models/%s: %d %s", path, a.status, a.body)
		}
	}
	a := decode[generated](t, post(t, s.URL+"/api/generate", `{"model":"org/repo:q4","prompt":"1 2 3","stream":false,"options":{"num_predict":4,"temperature":0}}`))
	if a.EvalCount != 4 {
		t.Errorf("%+v", a)
	}
}

// TestReadOnlyStore: a store that nothing can be written to, or that is not there and cannot be made, keeps no server from starting.
func TestReadOnlyStore(t *testing.T) {
	home := t.TempDir()
	writeModel(t, filepath.Join(home, "models", "tiny@latest"), 1)
	t.Setenv("ORTSERVE_ONNXRUNTIME", testenv.Runtime(t))
	t.Setenv("ORTSERVE_HOME", filepath.Join(home, "models", "tiny@latest", "model.onnx")) // a file
	s := testenv.Start(t, binary)
	if names := decode[modelNames](t, get(t, s.URL+"/v1/models")).Data; len(names) > 0 {
		t.Errorf("without a store these are listed: %v", names)
	}
	t.Setenv("ORTSERVE_HOME", home)
	if os.Getuid() == 0 {
		t.Log("root writes where nobody may: this shows less than it should")
	}
	for _, dir := range []string{filepath.Join(home, "models"), home} {
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	}
	s = testenv.Start(t, binary)
	a := decode[generated](t, post(t, s.URL+"/api/generate", `{"model":"tiny","prompt":"1 2 3","stream":false,"options":{"num_predict":4,"temperature":0}}`))
	if a.EvalCount != 4 {
		t.Errorf("%+v", a)
	}
}

// TestSwitchingModels: eight clients ask at random for three models where two fit. Each answer is what the model says alone; the one
// error that may come is that of a server that has no room.
func TestSwitchingModels(t *testing.T) {
	names := []string{"a:x", "b:x", "org/c:x"}
	s, _ := startStore(t, names, "--memory-limit", "600MiB")
	const tokens = 60
	body := func(name string, stream bool) string {
		return fmt.Sprintf(`{"model":%q,"prompt":"1 2 3 4 5","stream":%v,"options":{"num_predict":%d,"temperature":0}}`, name, stream, tokens)
	}
	alone := map[string]string{}
	for _, name := range names {
		a := decode[generated](t, post(t, s.URL+"/api/generate", body(name, false)))
		alone[name] = a.Response
	}
	if alone["a:x"] == alone["b:x"] || alone["a:x"] == "" {
		t.Fatalf("the models cannot be told apart: %q", alone)
	}
	long := 4 * time.Second
	if !testing.Short() {
		long = 2 * time.Minute
	}
	end := time.Now().Add(long)
	var served, busy atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		r := rand.New(rand.NewPCG(5, uint64(i)))
		all.Go(func() {
			for time.Now().Before(end) && !t.Failed() {
				name := names[r.IntN(len(names))]
				stream := r.IntN(2) == 0
				a := post(t, s.URL+"/api/generate", body(name, stream))
				switch {
				case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "":
					busy.Add(1)
					continue
				case a.status != http.StatusOK:
					t.Errorf("%s: %d %s", name, a.status, a.body)
					return
				}
				got := ""
				if stream {
					text, last := generateStream(t, a)
					got = text
					if last.EvalCount != tokens {
						t.Errorf("%s: a stream ended after %d tokens: %s", name, last.EvalCount, a.body)
					}
				} else {
					got = decode[generated](t, a).Response
				}
				if got != alone[name] {
					t.Errorf("%s says %q, alone %q", name, got, alone[name])
				}
				served.Add(1)
			}
		})
	}
	all.Wait()
	unloaded := len(regexp.MustCompile(`msg="model unloaded"`).FindAllString(s.Log(), -1))
	t.Logf("in %s: %d answers, %d times busy, %d models unloaded", long, served.Load(), busy.Load(), unloaded)
	if served.Load() < 8 || unloaded < 2 {
		t.Errorf("too few to show anything")
	}
}
