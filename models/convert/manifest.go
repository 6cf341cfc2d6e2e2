package convert

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"

	"ortserve/internal/buildinfo"
	"ortserve/onnx/graph/llama"
)

// ManifestName is the file in a model's directory that says what the model was made of.
const ManifestName = "manifest.json"

// Manifest is what manifest.json says.
type Manifest struct {
	Program      string       `json:"program"` // that made the model, and its version
	Architecture string       `json:"architecture"`
	Float        string       `json:"float"`   // type of activations
	KV           string       `json:"kv"`      // type of the KV cache
	Weights      string       `json:"weights"` // forms, as a Report has them
	Edges        string       `json:"edges"`
	Head         string       `json:"head"`
	Embedding    string       `json:"embedding"`
	Source       []FileDigest `json:"source"` // the files the model was made of
	Files        []FileDigest `json:"files"`  // the model's own, all but this
}

// FileDigest tells a file.
type FileDigest struct {
	Name   string `json:"name"` // without folders
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // lower-case hex
}

// digests are those of files, worked out while something else is done.
type digests struct {
	list []FileDigest
	err  error
	done chan struct{}
}

// digest begins to read the files.
func digest(ctx context.Context, paths []string) *digests {
	d := &digests{done: make(chan struct{})}
	go func() {
		defer close(d.done)
		failed, fail := context.WithCancelCause(ctx)
		defer fail(nil)
		d.err = context.Canceled // in case of a panic
		defer func() {
			if cause := context.Cause(failed); cause != nil {
				d.err = cause
			}
		}()
		defer fence(fail)
		d.list, d.err = digestAll(ctx, paths)
	}()
	return d
}

// wait returns the digests when they are there.
func (d *digests) wait() ([]FileDigest, error) {
	<-d.done
	return d.list, d.err
}

func digestAll(ctx context.Context, paths []string) ([]FileDigest, error) {
	var list []FileDigest
	for _, path := range paths {
		d, err := digestFile(ctx, path)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

func digestFile(ctx context.Context, path string) (FileDigest, error) {
	f, err := os.Open(path)
	if err != nil {
		return FileDigest{}, err
	}
	defer f.Close()
	h, buf, size := sha256.New(), make([]byte, 1<<20), int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return FileDigest{}, err
		}
		n, err := f.Read(buf)
		_, _ = h.Write(buf[:n]) // never fails
		size += int64(n)
		if err == io.EOF {
			return FileDigest{filepath.Base(path), size, hex.EncodeToString(h.Sum(nil))}, nil
		}
		if err != nil {
			return FileDigest{}, err
		}
	}
}

// writeManifest writes the manifest into dir, where all other files are.
func (r *Report) writeManifest(ctx context.Context, dir string, c llama.Config, source []FileDigest) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var paths []string
	for _, e := range entries {
		paths = append(paths, filepath.Join(dir, e.Name()))
	}
	files, err := digestAll(ctx, paths)
	if err != nil {
		return err
	}
	return llama.WriteJSON(filepath.Join(dir, ManifestName), Manifest{
		Program: "ortserve " + buildinfo.Version, Architecture: r.Architecture, Float: c.Float().String(), KV: r.KV.String(),
		Weights: r.Weights.String(), Edges: r.Edges.String(), Head: r.Head.String(), Embedding: r.Embedding.String(),
		Source: source, Files: files,
	})
}
