package hub

import (
	"crypto/sha1" //nolint:gosec // git's blob ids are SHA-1
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
)

// The states of a piece.
const (
	missing byte = iota
	taken        // being fetched
	there
)

// part is a file while it is downloaded. Its contents lie in ID.part, where each piece has its final place, and ID.pieces has a byte
// for each piece, 1 once the piece is written: neither can be torn. When the contents are verified they are renamed to ID.
type part struct {
	file  File
	root  *os.Root // the folder that holds it
	data  *os.File
	marks *os.File

	// The rest belongs to the download's mu.
	state     []byte
	left      int   // pieces that are not there
	done      int64 // bytes that are
	whole     bool  // the hub ignores ranges: one connection reads the file from its beginning
	old       bool  // some of it was there before
	verifying bool
}

func (f File) partName() string  { return f.id() + ".part" }
func (f File) marksName() string { return f.id() + ".pieces" }

// openPart opens a part where it was left. It returns nil where the file is whole and verified.
func openPart(root *os.Root, f File) (*part, error) {
	if _, err := root.Stat(f.id()); err == nil {
		return nil, nil //nolint:nilnil // whole: renamed after it was verified
	}
	p := &part{file: f, root: root, state: make([]byte, (f.Size+piece-1)/piece)}
	p.left = len(p.state)
	var err error
	if p.data, err = root.OpenFile(f.partName(), os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return nil, err
	}
	if p.marks, err = root.OpenFile(f.marksName(), os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return nil, errors.Join(err, p.data.Close())
	}
	info, err := p.data.Stat()
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	marks, err := io.ReadAll(io.LimitReader(p.marks, int64(len(p.state))))
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	for i, m := range marks {
		end := min(int64(i+1)*piece, f.Size)
		if m == 1 && end <= info.Size() {
			p.state[i] = there
			p.left--
			p.done += end - int64(i)*piece
			p.old = true
		}
	}
	return p, nil
}

// write puts a piece in its place, then marks it.
func (p *part) write(i int, b []byte) error {
	if _, err := p.data.WriteAt(b, int64(i)*piece); err != nil {
		return full(err)
	}
	if _, err := p.marks.WriteAt([]byte{1}, int64(i)); err != nil {
		return full(err)
	}
	return nil
}

// restart forgets all pieces.
func (p *part) restart() error {
	p.old, p.verifying, p.left, p.done = false, false, len(p.state), 0
	clear(p.state)
	return errors.Join(p.marks.Truncate(0), p.data.Truncate(0))
}

// finish verifies the contents, makes them durable and gives them their name.
func (p *part) finish() error {
	if err := verify(p.data, p.file); err != nil {
		if errors.Is(err, errDigest) && !p.old {
			err = errors.Join(err, p.restart()) // of no use to a later attempt
		}
		return err
	}
	if err := p.data.Sync(); err != nil {
		return full(err)
	}
	if err := p.root.Rename(p.file.partName(), p.file.id()); err != nil {
		return err
	}
	return p.root.Remove(p.file.marksName())
}

func (p *part) close() error { return errors.Join(p.data.Close(), p.marks.Close()) }

// verify compares contents with the file's digest.
func verify(r io.ReadSeeker, f File) error {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var h hash.Hash
	if f.SHA256 != "" {
		h = sha256.New()
	} else {
		h = sha1.New() //nolint:gosec // git's blob ids are SHA-1
		fmt.Fprintf(h, "blob %d\x00", f.Size)
	}
	n, err := io.Copy(h, r)
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); n != f.Size || got != f.id() {
		return fmt.Errorf("what came (%d bytes, digest %s) %w (%d bytes, digest %s)", n, got, errDigest, f.Size, f.id())
	}
	return nil
}

// fromCache takes the contents of a file from a cache in huggingface_hub's layout (https://huggingface.co/docs/huggingface_hub/guides/manage-cache):
// models--ORG--REPO/blobs/ID. It returns false where they are not there, or are not what they should be.
func (p *part) fromCache(cache fs.FS) (bool, error) {
	if cache == nil {
		return false, nil
	}
	blob, err := cache.Open("blobs/" + p.file.id())
	if err != nil {
		return false, nil //nolint:nilerr // it will be downloaded
	}
	defer blob.Close()
	if info, err := blob.Stat(); err != nil || info.Size() != p.file.Size || !info.Mode().IsRegular() {
		return false, nil //nolint:nilerr // it will be downloaded
	}
	if _, err := io.Copy(io.NewOffsetWriter(p.data, 0), blob); err != nil {
		return false, full(err)
	}
	err = p.finish()
	if errors.Is(err, errDigest) {
		return false, p.restart()
	}
	return err == nil, err
}
