package models

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

// The sizes above which a file is not what its name says.
const (
	maxConfigBytes   = 16 << 20 // tokenizer_config.json lists every added token
	maxTemplateBytes = 1 << 20
)

// files of one model directory; names have slashes. Errors name the file by its whole path.
type files struct {
	fsys fs.FS
	dir  string // for errors
}

// regular says whether name is a file. A link that leads out of a store is an error, not a missing file.
func (f files) regular(name string) (bool, error) {
	info, err := fs.Stat(f.fsys, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, f.fail(name, err)
	}
	return info.Mode().IsRegular(), nil
}

// read returns the contents of name, or false where there is no such file.
func (f files) read(name string, limit int64) ([]byte, bool, error) {
	info, err := fs.Stat(f.fsys, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, f.fail(name, err)
	case !info.Mode().IsRegular():
		return nil, false, f.fail(name, errors.New("is not a regular file"))
	case info.Size() > limit:
		return nil, false, f.fail(name, fmt.Errorf("has %d bytes, at most %d are read", info.Size(), limit))
	}
	data, err := fs.ReadFile(f.fsys, name)
	if err != nil {
		return nil, false, f.fail(name, err)
	}
	return data, true, nil
}

// readJSON decodes name into v, or returns false where there is no such file.
func (f files) readJSON(name string, v any) (bool, error) {
	data, ok, err := f.read(name, maxConfigBytes)
	if err != nil || !ok {
		return false, err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, f.fail(name, fmt.Errorf("is damaged: %w", err))
	}
	return true, nil
}

// fail wraps err with the path of name.
func (f files) fail(name string, err error) error {
	var perr *fs.PathError
	if errors.As(err, &perr) {
		err = perr.Err
	}
	return fmt.Errorf("model file %s/%s: %w", f.dir, name, err)
}
