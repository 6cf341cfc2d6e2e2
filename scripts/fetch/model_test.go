package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ortserve/internal/home"
)

// setUpImport makes a checkout with importer sources and an importer that writes a model and notes its calls.
func setUpImport(t *testing.T) (f *fetcher, importer string, calls func() string) {
	t.Helper()
	f, _, bin := setUp(t, "")
	f.root = t.TempDir()
	for _, dir := range []string{"models/convert", "onnx/graph", "onnx/graph/llama"} {
		if err := os.MkdirAll(filepath.Join(f.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		writeSource(t, f, dir+"/x.go", "package x")
	}
	importer = filepath.Join(bin, "ortserve")
	writeScript(t, importer, `PATH=/usr/bin:/bin
echo "$*" >> "${0%/*}/imports"
mkdir -p "$ORTSERVE_HOME/models/smollm2@135m"
cp "$2" "$ORTSERVE_HOME/models/smollm2@135m/model"
`)
	return f, importer, func() string {
		b, err := os.ReadFile(filepath.Join(bin, "imports"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(b)
	}
}

func writeSource(t *testing.T, f *fetcher, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.root, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func mustImport(t *testing.T, f *fetcher, importer string) {
	t.Helper()
	var out bytes.Buffer
	if err := f.run(t.Context(), "model", importer, &out); err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(home.Models(f.dir), home.DefaultModelPath) + "\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}

func TestImport(t *testing.T) {
	f, importer, calls := setUpImport(t)
	mustImport(t, f, importer)
	once := "import " + home.DefaultGGUF(f.dir) + " --name smollm2:135m --temperature 0\n"
	if got := calls(); got != once {
		t.Errorf("importer was called with %q, want %q", got, once)
	}
	if got := tree(t, f.dir)["models/smollm2@135m/model"]; got != "the model" {
		t.Errorf("imported %q", got)
	}

	mustImport(t, f, importer)
	writeSource(t, f, "models/convert/x_test.go", "package x")
	mustImport(t, f, importer)
	if got := calls(); got != once {
		t.Errorf("nothing changed, but the importer was called: %q", got)
	}

	writeSource(t, f, "onnx/graph/llama/x.go", "package x // another")
	mustImport(t, f, importer)
	if got := calls(); got != once+once {
		t.Errorf("after a change of the importer its calls are %q, want two", got)
	}
}

func TestImportLeavesTheUsersModelAlone(t *testing.T) {
	f, importer, calls := setUpImport(t)
	if err := os.MkdirAll(filepath.Join(home.Models(f.dir), home.DefaultModelPath), 0o755); err != nil {
		t.Fatal(err)
	}
	mustImport(t, f, importer)
	if got := calls(); got != "" {
		t.Errorf("importer was called: %q", got)
	}
}

func TestImportFails(t *testing.T) {
	f := func(script, want string) {
		t.Helper()
		f, importer, _ := setUpImport(t)
		good, err := os.ReadFile(importer)
		if err != nil {
			t.Fatal(err)
		}
		writeScript(t, importer, script)
		err = f.run(t.Context(), "model", importer, new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error is %v, want one line with %q", err, want)
		}
		if err := os.WriteFile(importer, good, 0o755); err != nil {
			t.Fatal(err)
		}
		mustImport(t, f, importer)
	}
	f("exit 1", "exit status 1")
	f("exit 0", "did not write")
}

func TestImportOutsideTheCheckout(t *testing.T) {
	f, importer, _ := setUpImport(t)
	f.root = t.TempDir()
	err := f.run(t.Context(), "model", importer, new(bytes.Buffer))
	if err == nil || !strings.Contains(err.Error(), "root of the checkout") {
		t.Errorf("error is %v", err)
	}
}
