package test

import (
	"debug/buildinfo"
	"strconv"
	"strings"
	"testing"
)

// TestFloor: the program holds no version of a dependency that is known to be unsafe.
func TestFloor(t *testing.T) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, m := range info.Deps {
		have[m.Path] = m.Version
	}
	f := func(path, floor, why string) {
		t.Helper()
		if v, ok := have[path]; !ok || older(t, v, floor) {
			t.Errorf("%s is %q, want %s or later: %s", path, v, floor, why)
		}
	}
	f("github.com/valyala/fasthttp", "v1.73.0", "requests could be smuggled past a proxy")
	f("github.com/gofiber/fiber/v2", "v2.52.15", "the last release of the line with all its fixes")
	f("github.com/yalue/onnxruntime_go", "v1.27.0", "the API of the pinned runtime library")
}

// older says whether version v comes before w; both are vX.Y.Z.
func older(t *testing.T, v, w string) bool {
	t.Helper()
	numbers := func(v string) []int {
		parts := strings.Split(strings.TrimPrefix(v, "v"), ".")
		n := make([]int, len(parts))
		for i, p := range parts {
			var err error
			if n[i], err = strconv.Atoi(p); err != nil {
				t.Fatalf("version %q: %v", v, err)
			}
		}
		return n
	}
	a, b := numbers(v), numbers(w)
	for i := range b {
		if i >= len(a) || a[i] != b[i] {
			return i >= len(a) || a[i] < b[i]
		}
	}
	return false
}

func TestOlder(t *testing.T) {
	f := func(v, w string, want bool) {
		t.Helper()
		if got := older(t, v, w); got != want {
			t.Errorf("older(%s, %s) = %v", v, w, got)
		}
	}
	f("v1.51.0", "v1.73.0", true)
	f("v1.73.0", "v1.73.0", false)
	f("v1.73.1", "v1.73.0", false)
	f("v1.9.0", "v1.73.0", true)
	f("v2.0.0", "v1.73.0", false)
	f("v2.52.9", "v2.52.15", true)
}
