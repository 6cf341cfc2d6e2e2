// Command sbom writes what an image of this program is made of, for the people who must know: a software bill of materials in
// CycloneDX's format, and the licences of all Go modules and of the pages' libraries that are in the program.
//
//	go run ./scripts/sbom [-cuda] -version V -out DIR PROGRAM
//
// The modules are those that Go recorded in PROGRAM, listed by cyclonedx-gomod; the runtime library is added from the pins, the pages'
// libraries from web/vendor.sh. Debian's packages are not listed: an image has its own list of them, which scanners read.
package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"

	"ortserve/internal/home"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("sbom", flag.ContinueOnError)
	cuda := flags.Bool("cuda", false, "the runtime library is the one with CUDA")
	version := flags.String("version", "", "the program's version")
	out := flags.String("out", "", "`folder` to write to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *out == "" {
		return errors.New("usage: sbom [-cuda] -version V -out DIR PROGRAM")
	}
	platform := runtime.GOOS + "/" + runtime.GOARCH
	var wheels []home.Wheel
	if wheel, ok := home.RuntimeWheels[platform]; ok && !*cuda {
		wheels = append(wheels, wheel)
	}
	if *cuda {
		for _, w := range home.RuntimeWheelsCUDA[platform] {
			wheels = append(wheels, w.Wheel)
		}
	}
	if len(wheels) == 0 {
		return fmt.Errorf("no runtime library is pinned for %s", platform)
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	listed, err := modules(ctx, flags.Arg(0), *version)
	if err != nil {
		return err
	}
	libraries, err := pageLibraries()
	if err != nil {
		return err
	}
	bom, err := withParts(listed, wheels, libraries)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(*out, "sbom.cdx.json"), bom, 0o644); err != nil {
		return err
	}
	for _, l := range libraries {
		if err := l.copyLicence(*out); err != nil {
			return err
		}
	}
	return licences(ctx, flags.Arg(0), *out)
}

// modules returns what cyclonedx-gomod writes of the program at path.
func modules(ctx context.Context, path, version string) ([]byte, error) {
	return output(ctx, "go", "tool", "-modfile=tools/sbom/go.mod", "cyclonedx-gomod", "bin", "-json", "-std", "-version", version, "-output", "-", path)
}

// withParts adds what wheels bring, and the pages' libraries, to a bill of materials, as components that the program depends on.
func withParts(bom []byte, wheels []home.Wheel, libraries []pageLibrary) ([]byte, error) {
	var doc map[string]any
	if err := json.Unmarshal(bom, &doc); err != nil {
		return nil, fmt.Errorf("the bill of materials: %w", err)
	}
	metadata, _ := doc["metadata"].(map[string]any)
	program, _ := metadata["component"].(map[string]any)
	components, ok := doc["components"].([]any)
	if !ok || program["bom-ref"] == nil {
		return nil, errors.New("the bill of materials has no components")
	}
	dependencies, _ := doc["dependencies"].([]any)
	var refs []any
	for _, w := range wheels {
		ref := "pkg:pypi/" + w.Package + "@" + w.Version
		refs = append(refs, ref)
		components = append(components, map[string]any{
			"bom-ref": ref, "type": "library", "name": w.Package, "version": w.Version, "purl": ref, "scope": "required",
			"hashes": []any{map[string]any{"alg": "SHA-256", "content": w.SHA256}},
		})
	}
	for _, l := range libraries {
		refs = append(refs, l.purl())
		components = append(components, map[string]any{
			"bom-ref": l.purl(), "type": "library", "name": l.name, "version": l.version, "purl": l.purl(), "scope": "required",
		})
	}
	for _, d := range dependencies {
		if d, ok := d.(map[string]any); ok && d["ref"] == program["bom-ref"] {
			on, _ := d["dependsOn"].([]any)
			d["dependsOn"] = append(on, refs...)
		}
	}
	doc["components"] = components
	return json.MarshalIndent(doc, "", "  ")
}

// licences copies our licence, and the licence files of each module in the program at path to out/licenses/MODULE.
func licences(ctx context.Context, path, out string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	list := []string{"list", "-m", "-f", "{{.Path}} {{.Dir}}"}
	for _, m := range info.Deps {
		list = append(list, m.Path)
	}
	dirs, err := output(ctx, "go", list...)
	if err != nil {
		return err
	}
	if err := copyFile("LICENSE", filepath.Join(out, "LICENSE")); err != nil {
		return err
	}
	for line := range strings.Lines(string(dirs)) {
		module, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		files, err := notices(dir)
		if err != nil || len(files) == 0 {
			return errors.Join(fmt.Errorf("%s has no licence file in %s", module, dir), err)
		}
		for _, f := range files {
			if err := copyFile(f, filepath.Join(out, "licenses", filepath.FromSlash(module), filepath.Base(f))); err != nil {
				return err
			}
		}
	}
	return nil
}

// notices returns the files of a module that say under which terms it may be passed on.
func notices(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		if e.Type().IsRegular() && (strings.HasPrefix(name, "LICEN") || strings.HasPrefix(name, "COPYING") || strings.HasPrefix(name, "NOTICE")) {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, nil
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}

// output runs a command and returns what it printed. The error has what it complained about.
func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, args[0], err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}
