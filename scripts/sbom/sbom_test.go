package main

import (
	"debug/buildinfo"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"ortserve/internal/home"
	"ortserve/internal/testenv"
)

// component is what a reader of CycloneDX JSON looks for.
type component struct {
	Ref     string `json:"bom-ref"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl"`
	Hashes  []struct{ Alg, Content string }
}

// Every module that Go recorded in the program, the program itself, Go's library and the pinned runtime library are listed, the program
// depends on the latter, and each module's licence is there.
func TestSBOM(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds cyclonedx-gomod, 40 s the first time; make test-long and make test-image run it")
	}
	program, err := testenv.Build(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	out := t.TempDir()
	if err := run(t.Context(), []string{"-version", "v1.2.3", "-out", out, program}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(out, "sbom.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat    string
		Metadata     struct{ Component component }
		Components   []component
		Dependencies []struct {
			Ref       string
			DependsOn []string
		}
	}
	if err := json.Unmarshal(b, &bom); err != nil {
		t.Fatal(err)
	}
	if c := bom.Metadata.Component; bom.BOMFormat != "CycloneDX" || c.Name != "ortserve" || c.Version != "v1.2.3" {
		t.Errorf("it is a %s of %+v", bom.BOMFormat, c)
	}
	listed := map[string]component{}
	for _, c := range bom.Components {
		listed[c.Name] = c
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Deps) < 10 {
		t.Fatalf("the program has %d modules", len(info.Deps))
	}
	for _, m := range info.Deps {
		if c := listed[m.Path]; c.Version != m.Version {
			t.Errorf("%s %s is listed as %q", m.Path, m.Version, c.Version)
		}
		files, err := notices(filepath.Join(out, "licenses", filepath.FromSlash(m.Path)))
		if err != nil || len(files) == 0 {
			t.Errorf("%s has no licence: %v", m.Path, err)
		}
	}
	wheel := home.RuntimeWheels[runtime.GOOS+"/"+runtime.GOARCH]
	if c := listed["onnxruntime"]; c.Version != wheel.Version || len(c.Hashes) != 1 || c.Hashes[0].Content != wheel.SHA256 {
		t.Errorf("the runtime library is listed as %+v", c)
	}
	if c := listed["@highlightjs/cdn-assets"]; c.PURL != "pkg:npm/%40highlightjs/cdn-assets@11.12.0" || listed["dompurify"].Version == "" || listed["marked"].Version == "" {
		t.Errorf("of the pages' libraries one is listed as %+v", c)
	}
	for _, name := range []string{"@highlightjs/cdn-assets", "dompurify", "marked"} {
		if _, err := os.Stat(filepath.Join(out, "licenses", "npm", filepath.FromSlash(name), "LICENSE")); err != nil {
			t.Error(err)
		}
	}
	if _, ok := listed["std"]; !ok {
		t.Error("Go's own library is not listed")
	}
	depends := false
	for _, d := range bom.Dependencies {
		for _, on := range d.DependsOn {
			depends = depends || d.Ref == bom.Metadata.Component.Ref && on == listed["onnxruntime"].Ref
		}
	}
	if !depends {
		t.Error("the program does not depend on the runtime library")
	}
}
