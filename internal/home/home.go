package home

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Env is the environment variable that names the folder.
const Env = "ORTSERVE_HOME"

// Dir returns HOME, absolute: $ORTSERVE_HOME, or "ortserve" in the user's cache folder. It need not exist.
func Dir() (string, error) {
	if d := os.Getenv(Env); d != "" {
		abs, err := filepath.Abs(d)
		if err != nil {
			return "", fmt.Errorf("%s=%s: %w", Env, d, err)
		}
		return abs, nil
	}
	d, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder (%w): set %s to a folder that can be written", err, Env)
	}
	return filepath.Join(d, "ortserve"), nil
}

// RuntimeDir is the folder of the pinned runtime library in the home folder dir.
func RuntimeDir(dir string) string { return filepath.Join(dir, "onnxruntime", RuntimeVersion) }

// RuntimeLibrary is the path of the pinned runtime library in the home folder dir.
func RuntimeLibrary(dir string) string { return filepath.Join(RuntimeDir(dir), RuntimeLibraryName()) }

// RuntimeDirCUDA is the folder of the pinned runtime library with CUDA, and of NVIDIA's libraries beside it, in the home folder dir.
func RuntimeDirCUDA(dir string) string {
	return filepath.Join(dir, "onnxruntime", RuntimeVersionCUDA+"-cuda")
}

// RuntimeLibraryCUDA is the path of the pinned runtime library with CUDA in the home folder dir.
func RuntimeLibraryCUDA(dir string) string {
	return filepath.Join(RuntimeDirCUDA(dir), "libonnxruntime.so."+RuntimeVersionCUDA)
}

// RuntimeLibraryName is the file name of the pinned runtime library on this system.
func RuntimeLibraryName() string {
	if runtime.GOOS == "darwin" {
		return "libonnxruntime." + RuntimeVersion + ".dylib"
	}
	return "libonnxruntime.so." + RuntimeVersion
}

// Models is the root of the model store in the home folder dir.
func Models(dir string) string { return filepath.Join(dir, "models") }

// Downloads is the folder of downloads and temporary files in the home folder dir.
func Downloads(dir string) string { return filepath.Join(dir, "downloads") }

// DefaultGGUF is the path of the default model's GGUF file in the home folder dir. Its licence lies beside it.
func DefaultGGUF(dir string) string {
	return filepath.Join(Downloads(dir), strings.TrimSuffix(DefaultModelFile, ".gguf"), DefaultModelFile)
}
