package models

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
)

// ErrBusy is the error of a change to a model that another process, or another request, is making.
var ErrBusy = errors.New("is being changed by another process")

// Staging is a directory beside a model's place, while it is filled. Its name begins with a dot, which hides it from lists; a lock on
// it, which ends with the process, tells who fills it from what a dead one left.
type Staging struct {
	Root *os.Root // of the directory; nothing outside it can be written

	store     *Store
	rel, path string // of the directory, and of the model's place, relative to the store
	lock      *os.File
}

// Stage makes, or opens where it was left, the directory in which the model called name is prepared. kind tells the ways of preparing
// one apart. The error is an ErrName or an ErrBusy, or that of the file system.
func (s *Store) Stage(name, kind string) (*Staging, error) {
	clean, err := CleanName(name)
	if err != nil {
		return nil, err
	}
	place := filepath.FromSlash(relativePath(clean))
	dir, base := filepath.Split(place)
	st := &Staging{store: s, path: place, rel: filepath.Join(dir, "."+base+"."+kind)}
	if err := s.root.MkdirAll(st.rel, 0o755); err != nil {
		return nil, fmt.Errorf("model store: %w", err)
	}
	if st.lock, err = s.root.Open(st.rel); err != nil {
		return nil, fmt.Errorf("model store: %w", err)
	}
	if err := st.take(clean); err != nil {
		return nil, errors.Join(err, st.lock.Close())
	}
	if st.Root, err = s.root.OpenRoot(st.rel); err != nil {
		return nil, errors.Join(err, st.lock.Close())
	}
	return st, nil
}

// take locks the directory.
func (st *Staging) take(name string) error {
	err := syscall.Flock(int(st.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("model %s %w", name, ErrBusy)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", st.rel, err)
	}
	mine, err := st.lock.Stat()
	if err != nil {
		return err
	}
	// Another may have put the directory in its place between opening and locking it.
	if there, err := st.store.root.Stat(st.rel); err != nil || !os.SameFile(mine, there) {
		return fmt.Errorf("model %s %w", name, ErrBusy)
	}
	// Killed between its two renames, Commit leaves the model under the old name alone.
	if _, err := st.store.root.Stat(st.path); errors.Is(err, fs.ErrNotExist) {
		if err := st.store.root.Rename(st.replaced(), st.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// replaced is where Commit puts the model that was there.
func (st *Staging) replaced() string {
	dir, base := filepath.Split(st.path)
	return filepath.Join(dir, "."+base+".replaced")
}

// Dir is the directory's path.
func (st *Staging) Dir() string { return filepath.Join(st.store.path, st.rel) }

// Clear removes what is in the directory.
func (st *Staging) Clear() error {
	entries, err := fs.ReadDir(st.Root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := st.Root.RemoveAll(e.Name()); err != nil {
			return err
		}
	}
	return nil
}

// Commit makes the directory durable and puts it in the model's place, in that of the one that is there. A process killed between its
// two renames leaves the old one for the next Stage to put back.
func (st *Staging) Commit() error {
	if err := st.sync("."); err != nil {
		return err
	}
	root := st.store.root
	old := st.replaced()
	if err := root.RemoveAll(old); err != nil {
		return err
	}
	if err := root.Rename(st.path, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := root.Rename(st.rel, st.path); err != nil {
		return errors.Join(err, root.Rename(old, st.path))
	}
	return errors.Join(syncDir(root, filepath.Dir(st.path)), root.RemoveAll(old))
}

// sync makes all files and folders below one durable.
func (st *Staging) sync(folder string) error {
	entries, err := fs.ReadDir(st.Root.FS(), filepath.ToSlash(folder))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(folder, e.Name())
		if e.IsDir() {
			err = st.sync(name)
		} else {
			err = syncDir(st.Root, name)
		}
		if err != nil {
			return err
		}
	}
	return syncDir(st.Root, folder)
}

// syncDir makes a folder's entries, or a file, durable.
func syncDir(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Discard removes the directory and what is in it.
func (st *Staging) Discard() error {
	return errors.Join(st.store.root.RemoveAll(st.rel), st.Close())
}

// Close leaves the directory as it is, for a later Stage to go on with.
func (st *Staging) Close() error {
	if st.lock == nil {
		return nil
	}
	err := errors.Join(st.Root.Close(), st.lock.Close())
	st.lock = nil
	return err
}
