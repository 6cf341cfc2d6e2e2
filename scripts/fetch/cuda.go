package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"

	"ortserve/internal/home"
	"ortserve/internal/pip"
)

// cuda brings the runtime library with CUDA, and NVIDIA's libraries and everybody's licences into the same folder. It returns the path of
// the runtime library.
func (f *fetcher) cuda(ctx context.Context) (string, error) {
	err := f.place(ctx, "cuda", home.RuntimeDirCUDA(f.dir), func(tmp string) (string, error) {
		platform := runtime.GOOS + "/" + runtime.GOARCH
		wheels := f.cudaWheels[platform]
		if len(wheels) == 0 {
			return "", fmt.Errorf("no runtime library with CUDA is pinned for %s: install one and name it with --onnxruntime", platform)
		}
		dir := filepath.Join(tmp, "cuda")
		if err := os.Mkdir(dir, 0o755); err != nil {
			return "", err
		}
		for _, w := range wheels {
			file, err := f.download(ctx, w.Wheel, tmp)
			if err != nil {
				return "", err
			}
			files := map[string]string{w.Licence: filepath.Join(dir, "LICENSE."+w.Package)}
			for _, name := range w.Files {
				files[name] = filepath.Join(dir, path.Base(name))
			}
			if err := pip.Unpack(file, files); err != nil {
				return "", err
			}
			if err := os.Remove(file); err != nil { // they are large together
				return "", err
			}
		}
		return dir, pip.SyncDir(dir)
	})
	return home.RuntimeLibraryCUDA(f.dir), err
}
