package models

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Remove deletes the model called name, and what an attempt to get one of that name has left. What has its files open keeps them. The
// error is an ErrNotFound, an ErrName or an ErrBusy, or that of the file system.
func (s *Store) Remove(name string) error {
	clean, err := CleanName(name)
	if err != nil {
		return err
	}
	place := filepath.FromSlash(relativePath(clean))
	dir, base := filepath.Split(place)
	gone := filepath.Join(dir, "."+base+".removed")
	if err := s.root.RemoveAll(gone); err != nil { // what a killed process left
		return fmt.Errorf("model store: %w", err)
	}
	staged, err := s.removeStaged(clean)
	if err != nil {
		return err
	}
	err = s.root.Rename(place, gone)
	switch {
	case errors.Is(err, fs.ErrNotExist) && staged:
		s.removeFolders(dir)
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s is not in %s", ErrNotFound, clean, s.path)
	case err != nil:
		return fmt.Errorf("model store: %w", err)
	}
	s.mu.Lock()
	delete(s.cache, clean)
	s.mu.Unlock()
	if err := s.root.RemoveAll(gone); err != nil {
		return fmt.Errorf("model store: %w", err)
	}
	s.removeFolders(dir)
	return nil
}

// removeStaged removes what nobody goes on with of a model that was being prepared, and says whether there was any.
func (s *Store) removeStaged(clean string) (bool, error) {
	place := filepath.FromSlash(relativePath(clean))
	dir, base := filepath.Split(place)
	left, err := fs.Glob(s.root.FS(), path.Join(filepath.ToSlash(dir), "."+base+".*ing"))
	if err != nil {
		return false, err
	}
	for _, l := range left {
		st, err := s.Stage(clean, strings.TrimPrefix(path.Base(l), "."+base+"."))
		if err != nil {
			return false, err
		}
		if err := st.Discard(); err != nil {
			return false, err
		}
	}
	return len(left) > 0, nil
}

// removeFolders removes folders that hold nothing any more, from dir upwards.
func (s *Store) removeFolders(dir string) {
	for dir = filepath.Clean(dir); dir != "."; dir = filepath.Dir(dir) {
		if s.root.Remove(dir) != nil {
			return
		}
	}
}

// Copy gives the model called from a second name, in place of the model that has it. The files are shared where the file system can
// link them; each name can be removed without the other. The error is an ErrNotFound, an ErrName or an ErrBusy, or that of the file
// system.
func (s *Store) Copy(from, to string) error { return s.derive(from, to, nil) }

// derive puts a model called to in the store that has the files of from, but for those that changes holds; a change to nil leaves a
// file out.
func (s *Store) derive(from, to string, changes map[string][]byte) error {
	m, err := s.Find(from)
	if err != nil {
		return err
	}
	clean, err := CleanName(to)
	if err != nil {
		return err
	}
	if clean == m.Name && changes == nil {
		return nil
	}
	src, err := s.root.OpenRoot(filepath.FromSlash(relativePath(m.Name)))
	if err != nil {
		return fmt.Errorf("model store: %w", err)
	}
	defer src.Close()
	st, err := s.Stage(clean, "deriving")
	if err != nil {
		return err
	}
	err = st.Clear()
	if err == nil {
		err = st.fill(src, filepath.FromSlash(relativePath(m.Name)), changes)
	}
	if err == nil {
		err = st.Commit()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("model store: %w", err), st.Discard())
	}
	return st.Close()
}

// fill links, or else copies, the files of the model directory src, which is from in the store, and writes changes.
func (st *Staging) fill(src *os.Root, from string, changes map[string][]byte) error {
	err := fs.WalkDir(src.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		_, changed := changes[name]
		switch {
		case err != nil || name == ".":
			return err
		case strings.HasPrefix(e.Name(), ".") && e.IsDir():
			return fs.SkipDir
		case e.IsDir():
			return st.Root.MkdirAll(name, 0o755)
		case changed || strings.HasPrefix(e.Name(), "."):
			return nil
		}
		if e.Type().IsRegular() && st.store.root.Link(filepath.Join(from, name), filepath.Join(st.rel, name)) == nil {
			return nil
		}
		return copyFile(src, st.Root, name)
	})
	if err != nil {
		return err
	}
	for name, data := range changes {
		if data == nil {
			continue
		}
		if err := st.Root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		if err := st.Root.WriteFile(name, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies what is, or links to, a regular file.
func copyFile(src, dst *os.Root, name string) error {
	in, err := src.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	if info, err := in.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, fmt.Errorf("%s is not a regular file", name))
	}
	out, err := dst.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
