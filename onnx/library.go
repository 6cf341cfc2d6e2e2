package onnx

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"ortserve/internal/home"
)

// MinVersion is the oldest ONNX Runtime that is taken: 1.28 mended ragged batches and reads past the end of the KV cache.
const MinVersion = "1.28"

// environment is ONNX Runtime's, of which a process has one.
var environment struct {
	sync.Mutex
	path string // of the library that is loaded, "" before
}

// ErrNoLibrary is the error of Load where no library was found.
var ErrNoLibrary = errors.New("no ONNX Runtime library found")

// Load loads the ONNX Runtime library at path, or, if path is "", the first that is found: in the home folder, then on the system's
// library path. It returns the path that was loaded. Further calls return the same one. The errors are ErrNoLibrary with what was
// tried, or the loader's.
func Load(path string) (string, error) {
	environment.Lock()
	defer environment.Unlock()
	if environment.path != "" {
		if path != "" && path != environment.path {
			return "", fmt.Errorf("cannot load %s: %s is loaded already", path, environment.path)
		}
		return environment.path, nil
	}
	tried := []string{path}
	if path == "" {
		tried = candidates()
	}
	var errs []error
	for _, p := range tried {
		if strings.ContainsRune(p, os.PathSeparator) {
			if _, err := os.Stat(p); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		ort.SetSharedLibraryPath(p)
		if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p, err))
			continue
		}
		if v := ort.GetVersion(); older(v, MinVersion) {
			return "", fmt.Errorf("%s is ONNX Runtime %s, at least %s is needed (--onnxruntime)", p, v, MinVersion)
		}
		environment.path = p
		return p, nil
	}
	return "", fmt.Errorf("%w: run `make run` once, or name one with --onnxruntime PATH; tried:\n%w", ErrNoLibrary, errors.Join(errs...))
}

// candidates returns where a library may be.
func candidates() []string {
	var c []string
	if dir, err := home.Dir(); err == nil {
		c = append(c, home.RuntimeLibrary(dir))
	}
	if runtime.GOOS == "darwin" {
		return append(c, "libonnxruntime.dylib")
	}
	return append(c, "libonnxruntime.so", "libonnxruntime.so.1")
}

// Version returns the version of the loaded library, such as "1.32.0".
func Version() string { return ort.GetVersion() }

// older says whether version v comes before w. A part that is no number counts as 0.
func older(v, w string) bool {
	a, b := strings.Split(v, "."), strings.Split(w, ".")
	for i := range b {
		var x, y int
		if i < len(a) {
			x, _ = strconv.Atoi(a[i])
		}
		y, _ = strconv.Atoi(b[i])
		if x != y {
			return x < y
		}
	}
	return false
}
