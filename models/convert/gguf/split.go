package gguf

import (
	"errors"
	"fmt"
	"strings"
)

const maxParts = 9999

// openParts opens the other parts of a model that is split as llama.cpp's gguf-split does it: NAME-00001-of-00003.gguf, whose
// first part has the metadata and each some tensors.
func (f *File) openParts(path string) error {
	count, number := f.Metadata.Int("split.count", 0), f.Metadata.Int("split.no", 0)
	if err := f.Metadata.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if count <= 1 {
		return nil
	}
	if count > maxParts {
		return fmt.Errorf("%s: damaged: one of %d parts", path, count)
	}
	end := func(part int64) string { return fmt.Sprintf("-%05d-of-%05d.gguf", part, count) }
	name, ok := strings.CutSuffix(path, end(1))
	switch {
	case number != 0:
		return fmt.Errorf("%s: is part %d of %d: name the first (…%s)", path, number+1, count, end(1))
	case !ok:
		return fmt.Errorf("%s: is the first of %d parts, but its name does not end in %s", path, count, end(1))
	}
	for i := int64(2); i <= count; i++ {
		if err := f.join(name+end(i), i, count); err != nil {
			return err
		}
	}
	if n := f.Metadata.Int("split.tensors.count", int64(len(f.Tensors))); n != int64(len(f.Tensors)) {
		return fmt.Errorf("%s: damaged: %d tensors in all parts, %d are expected", path, len(f.Tensors), n)
	}
	return f.Metadata.Err()
}

// join adds the tensors of a part.
func (f *File) join(path string, number, count int64) error {
	part, err := openPart(path)
	if err != nil {
		return fmt.Errorf("part %d of %d: %w", number, count, err)
	}
	f.files = append(f.files, part.files...)
	m := part.Metadata
	if n, of := m.Int("split.no", -1), m.Int("split.count", -1); n != number-1 || of != count || m.Err() != nil {
		return errors.Join(m.Err(), fmt.Errorf("%s: is part %d of %d, not %d of %d", path, n+1, of, number, count))
	}
	for _, t := range part.Tensors {
		if f.byName[t.Name] != nil {
			return fmt.Errorf("%s: damaged: the tensor %q is in an earlier part too", path, t.Name)
		}
		f.byName[t.Name] = t
	}
	f.Tensors = append(f.Tensors, part.Tensors...)
	f.Paths = append(f.Paths, path)
	f.Size += part.Size
	return nil
}
