package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"ortserve/onnx/graph/llama"
)

// staging is a directory beside its final place, while it is filled. Its name begins with a dot, which hides it from the
// model store; a lock on it tells an import that runs from what a dead one left.
type staging struct {
	dir, dst, old string
	lock          *os.File
}

func stageDir(dst string) (*staging, error) {
	dst, err := filepath.Abs(dst)
	if err != nil {
		return nil, err
	}
	parent, base := filepath.Split(dst)
	s := &staging{dir: filepath.Join(parent, "."+base+".importing"), old: filepath.Join(parent, "."+base+".replaced"), dst: dst}
	if err := replaceable(dst); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	if s.lock, err = os.Open(s.dir); err != nil {
		return nil, err
	}
	if err := s.clean(); err != nil {
		_ = s.lock.Close()
		return nil, err
	}
	return s, nil
}

// replaceable refuses to write over what is no model.
func replaceable(dst string) error {
	entries, err := os.ReadDir(dst)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dst, llama.GraphFile)); err != nil {
		return fmt.Errorf("%s is there and holds no %s: not replaced", dst, llama.GraphFile)
	}
	return nil
}

// clean takes the lock and removes what an import that did not end has left.
func (s *staging) clean() error {
	if err := syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("%s is being imported by another process", s.dst)
		}
		return fmt.Errorf("lock %s: %w", s.dir, err)
	}
	// Another import may have renamed the directory between opening and locking it.
	mine, err := s.lock.Stat()
	if err != nil {
		return err
	}
	if there, err := os.Stat(s.dir); err != nil || !os.SameFile(mine, there) {
		return fmt.Errorf("%s was just imported by another process", s.dst)
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(s.dir, e.Name())); err != nil {
			return err
		}
	}
	// Killed between its two renames, an import leaves the model under the old name alone.
	if _, err := os.Stat(s.dst); errors.Is(err, fs.ErrNotExist) {
		if err := os.Rename(s.old, s.dst); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.RemoveAll(s.old)
}

// commit makes the directory durable and puts it in its place.
func (s *staging) commit() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := syncPath(filepath.Join(s.dir, e.Name())); err != nil {
			return err
		}
	}
	if err := syncPath(s.dir); err != nil {
		return err
	}
	if err := os.Rename(s.dst, s.old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(s.dir, s.dst); err != nil {
		return errors.Join(err, os.Rename(s.old, s.dst))
	}
	s.dir = ""
	return errors.Join(os.RemoveAll(s.old), syncPath(filepath.Dir(s.dst)))
}

// discard removes the directory, unless it is in its place.
func (s *staging) discard() {
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
	_ = s.lock.Close()
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
