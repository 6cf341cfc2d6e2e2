package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"ortserve/internal/home"
	"ortserve/internal/pip"
)

// runtimeEnv names a runtime library that the user has already.
const runtimeEnv = "ORTSERVE_ONNXRUNTIME"

// runtime brings the runtime library with its licence and returns the library's path.
func (f *fetcher) runtime(ctx context.Context) (string, error) {
	if own := os.Getenv(runtimeEnv); own != "" {
		if !exists(own) {
			return "", fmt.Errorf("%s=%s: no such file; correct it, or unset it to have the library brought", runtimeEnv, own)
		}
		f.say("using the runtime library of %s", runtimeEnv)
		return own, nil
	}
	path := home.RuntimeLibrary(f.dir)
	err := f.place(ctx, "runtime", home.RuntimeDir(f.dir), func(tmp string) (string, error) {
		platform := runtime.GOOS + "/" + runtime.GOARCH
		wheel, ok := f.runtimeWheels[platform]
		if !ok {
			return "", fmt.Errorf("no runtime library is pinned for %s: install ONNX Runtime %s and set %s to its library",
				platform, home.RuntimeVersion, runtimeEnv)
		}
		file, err := f.download(ctx, wheel, tmp)
		if err != nil {
			return "", err
		}
		dir := filepath.Join(tmp, home.RuntimeVersion)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return "", err
		}
		files := map[string]string{"onnxruntime/capi/" + filepath.Base(path): filepath.Join(dir, filepath.Base(path))}
		for _, notice := range []string{"LICENSE", "ThirdPartyNotices.txt"} {
			files["onnxruntime/"+notice] = filepath.Join(dir, notice)
		}
		if err := pip.Unpack(file, files); err != nil {
			return "", err
		}
		return dir, pip.SyncDir(dir)
	})
	return path, err
}
