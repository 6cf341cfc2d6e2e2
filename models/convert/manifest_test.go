package convert_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/models/convert"
)

// TestManifest: the digests are those of the files, and no file is left out.
func TestManifest(t *testing.T) {
	source, dir := filepath.Join(checkpoints, "qwen3"), filepath.Join(t.TempDir(), "m")
	if _, err := convert.Import(t.Context(), source, dir, convert.Options{Bits: 4, HeadBits: 8, EdgeBits: 8, Float16: true}); err != nil {
		t.Fatal(err)
	}
	var got convert.Manifest
	readJSON(t, filepath.Join(dir, convert.ManifestName), &got)
	digest := func(path string) convert.FileDigest {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		return convert.FileDigest{Name: filepath.Base(path), Size: int64(len(b)), SHA256: hex.EncodeToString(sum[:])}
	}
	want := convert.Manifest{
		Program: got.Program, Architecture: "qwen3", Float: "float16", KV: "float16",
		Weights: "int8 block 64 asymmetric, float16 scales", Edges: "int8 block 64 asymmetric, float16 scales",
		Head: "int8 block 64 asymmetric, float16 scales", Embedding: "int8 block 64 asymmetric, float16 scales",
		Source: []convert.FileDigest{digest(filepath.Join(source, "config.json")), digest(filepath.Join(source, "model.safetensors"))},
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != convert.ManifestName {
			want.Files = append(want.Files, digest(filepath.Join(dir, e.Name())))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
