package models

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Store is a directory of model directories: the model org/repo:tag lies in org/repo@tag. Its methods may be called
// concurrently.
type Store struct {
	path string
	root *os.Root

	mu    sync.Mutex
	cache map[string]described // by clean name
}

// described is a model and what its files looked like when it was described.
type described struct {
	model *Model
	stamp string
}

// OpenStore opens the store in the directory root, which it makes where it does not exist.
func OpenStore(root string) (*Store, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("model store %s: %w", root, err)
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return nil, fmt.Errorf("model store: %w", err)
	}
	r, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("model store: %w", err)
	}
	return &Store{path: abs, root: r, cache: map[string]described{}}, nil
}

// Close ends the use of the store.
func (s *Store) Close() error { return s.root.Close() }

// Path returns the directory in which the model called name lies or will lie.
func (s *Store) Path(name string) (string, error) {
	clean, err := CleanName(name)
	if err != nil {
		return "", err
	}
	return filepath.Join(s.path, filepath.FromSlash(relativePath(clean))), nil
}

// Find describes the model called name; "name" is "name:latest". The error is an ErrNotFound where the store has no such
// model and an ErrName where no store could.
func (s *Store) Find(name string) (*Model, error) {
	clean, err := CleanName(name)
	if err != nil {
		return nil, err
	}
	return s.find(clean)
}

func (s *Store) find(clean string) (*Model, error) {
	rel := relativePath(clean)
	dir := filepath.Join(s.path, filepath.FromSlash(rel))
	root, err := s.root.OpenRoot(filepath.FromSlash(rel))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s is not in %s", ErrNotFound, clean, s.path)
	case err != nil:
		return nil, fmt.Errorf("model directory %s: %w", dir, cause(err))
	}
	defer root.Close()
	f := files{fsys: root.FS(), dir: dir}

	stamp, err := stampOf(f)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	known, ok := s.cache[clean]
	s.mu.Unlock()
	if ok && known.stamp == stamp {
		return known.model, nil
	}
	m, err := describe(f, clean, "")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.cache[clean]; known.stamp == stamp {
		return known.model, nil // described by two at once: the same files are the same model
	}
	s.cache[clean] = described{model: m, stamp: stamp}
	return m, nil
}

// List describes every model of the store in the order of their names. A model that cannot be described does not hide
// the others: the error then joins what is wrong with each such model, and the list holds the rest.
func (s *Store) List() ([]*Model, error) {
	names, err := s.names(".", 1)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var list []*Model
	var errs []error
	for _, name := range names {
		m, err := s.find(name)
		switch {
		case err == nil:
			list = append(list, m)
		case !errors.Is(err, ErrNotFound): // removed meanwhile
			errs = append(errs, err)
		}
	}
	return list, errors.Join(errs...)
}

// names returns the clean names of the directories below folder that a name can stand for.
func (s *Store) names(folder string, depth int) ([]string, error) {
	entries, err := fs.ReadDir(s.root.FS(), folder)
	if err != nil {
		return nil, fmt.Errorf("model store %s: %w", s.path, cause(err))
	}
	var names []string
	for _, e := range entries {
		rel := path.Join(folder, e.Name())
		info, err := fs.Stat(s.root.FS(), rel) // follows links inside the store
		if err != nil || !info.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if name, ok := nameOf(rel); ok {
			names = append(names, name)
			continue
		}
		if depth < maxSegments && checkSegment(e.Name()) == nil {
			below, err := s.names(rel, depth+1)
			if err != nil {
				return nil, err
			}
			names = append(names, below...)
		}
	}
	return names, nil
}

// stampOf tells whether a directory changed since it was described: names, sizes and times of all its files.
func stampOf(f files) (string, error) {
	var b strings.Builder
	err := fs.WalkDir(f.fsys, ".", func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return f.fail(p, err)
		case e.IsDir() && p != "." && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		}
		info, err := fs.Stat(f.fsys, p)
		if err != nil {
			return nil //nolint:nilerr // describe says what is wrong where it matters
		}
		fmt.Fprintf(&b, "%s %d %s\n", p, info.Size(), info.ModTime().Format(time.RFC3339Nano))
		return nil
	})
	return b.String(), err
}

// cause returns what a path error says without its path.
func cause(err error) error {
	var perr *fs.PathError
	if errors.As(err, &perr) {
		return perr.Err
	}
	return err
}
