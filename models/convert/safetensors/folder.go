package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The files of a folder that Hugging Face's libraries write.
const (
	singleFile = "model.safetensors"
	indexFile  = "model.safetensors.index.json"
	maxIndex   = 64 << 20 // bytes
	maxShards  = 1 << 12
)

// Folder is the tensors of a model in a folder: of model.safetensors, or of the files that model.safetensors.index.json names.
type Folder struct {
	Paths []string // of the files that were read, the index too
	Bytes int64    // of all values

	files  []*file
	byName map[string]*Tensor
}

// OpenFolder reads the headers of a folder's files; values stay in the files.
func OpenFolder(dir string) (_ *Folder, err error) {
	f := &Folder{byName: map[string]*Tensor{}}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	single := filepath.Join(dir, singleFile)
	if _, err := os.Stat(single); err == nil {
		return f, f.add(single, nil)
	}
	index := filepath.Join(dir, indexFile)
	shards, err := readIndex(index)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds neither %s nor %s", dir, singleFile, indexFile)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", index, err)
	}
	f.Paths = append(f.Paths, index)
	for _, name := range slices.Sorted(maps.Keys(shards)) {
		if err := f.add(filepath.Join(dir, name), shards[name]); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// readIndex reads which tensors lie in which file.
func readIndex(path string) (map[string]map[string]bool, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > maxIndex {
		return nil, fmt.Errorf("has %d bytes, at most %d are read", st.Size(), maxIndex)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var index struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(b, &index); err != nil {
		return nil, fmt.Errorf("is damaged: %w", err)
	}
	if len(index.Map) == 0 {
		return nil, errors.New("names no tensors (weight_map)")
	}
	shards := map[string]map[string]bool{}
	for tensor, name := range index.Map {
		if err := checkName(tensor); err != nil {
			return nil, err
		}
		if !filepath.IsLocal(name) || strings.ContainsAny(name, `/\`) || filepath.Ext(name) != ".safetensors" {
			return nil, fmt.Errorf("tensor %q is in the file %q, which is no .safetensors file of this folder", tensor, clip(name))
		}
		if shards[name] == nil {
			shards[name] = map[string]bool{}
		}
		shards[name][tensor] = true
	}
	if len(shards) > maxShards {
		return nil, fmt.Errorf("names %d files, at most %d are read", len(shards), maxShards)
	}
	return shards, nil
}

// add reads a file's header. Where wanted is not nil, it must hold just those tensors.
func (f *Folder) add(path string, wanted map[string]bool) error {
	part, err := open(path)
	if err != nil {
		return err
	}
	f.files = append(f.files, part)
	f.Paths = append(f.Paths, path)
	for _, t := range part.tensors {
		if wanted != nil && !wanted[t.Name] {
			return fmt.Errorf("%s holds the tensor %q, of which the index does not know", path, t.Name)
		}
		delete(wanted, t.Name)
		f.byName[t.Name] = t
		f.Bytes += t.bytes
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		return fmt.Errorf("%s lacks the tensor %q, which the index says it has", path, name)
	}
	return nil
}

// Names returns the names of all tensors in order.
func (f *Folder) Names() []string { return slices.Sorted(maps.Keys(f.byName)) }

// Tensor returns the tensor called name, or nil.
func (f *Folder) Tensor(name string) *Tensor { return f.byName[name] }

// Close closes all files.
func (f *Folder) Close() error {
	var errs []error
	for _, part := range f.files {
		errs = append(errs, part.file.Close())
	}
	return errors.Join(errs...)
}
