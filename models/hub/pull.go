package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"ortserve/models"
	"ortserve/models/convert"
)

// Stage is a part of a pull.
type Stage int

// The stages in their order.
const (
	StageListing Stage = iota
	StageDownloading
	StageVerifying
	StageImporting
	StageWriting
)

// Progress is how far a pull is.
type Progress struct {
	Stage            Stage
	File             string // what is downloaded or verified
	Digest           string // of it: SHA-256, or git's blob id
	Size, Done       int64  // bytes of the file; of an import: of the weights
	AllSize, AllDone int64  // bytes of all files
}

// Request is what to pull.
type Request struct {
	Ref      Ref
	Revision string // a branch, a tag or a commit; "" is main
	Name     string // in the store; "" is the reference's

	// Progress, if not nil, is called from one goroutine at a time.
	Progress func(Progress)
}

// Result says what was pulled.
type Result struct {
	Name     string
	Commit   string
	Form     string // which of the repository's
	Fresh    bool   // the store had it already, at this commit
	Received int64  // bytes that were downloaded
	Model    *models.Model
}

// Source is what sourceFile says: where a model came from.
type Source struct {
	Hub    string       `json:"hub"`
	Repo   string       `json:"repo"`
	Commit string       `json:"commit"`
	Form   string       `json:"form"`
	Files  []SourceFile `json:"files"`
}

// SourceFile is a file as it was downloaded.
type SourceFile struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256,omitempty"`
	Blob   string `json:"git_blob,omitempty"`
}

const (
	sourceFile = "source.json" // in the model's directory, written last
	stageKind  = "pulling"
	blobs      = ".blobs" // what was downloaded, in the staging directory
	room       = 64 << 20 // bytes that a disk shall have left
)

// Pull brings a model into the store. When it fails, or ctx ends, what has come is kept for the next attempt. The errors are a
// models.ErrName, a models.ErrBusy, and those of the hub, the disk and the import.
func (h *Hub) Pull(ctx context.Context, store *models.Store, r Request) (*Result, error) {
	if r.Progress == nil {
		r.Progress = func(Progress) {}
	}
	set(&r.Name, r.Ref.Name())
	name, err := models.CleanName(r.Name)
	if err != nil {
		return nil, err
	}
	r.Progress(Progress{Stage: StageListing})
	repo, err := h.Repo(ctx, r.Ref.ID, r.Revision)
	if err != nil {
		return nil, err
	}
	c, err := choose(repo.Files, r.Ref.Quant)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", repo.ID, err)
	}
	for _, p := range c.picks {
		if p.file.id() == "" {
			return nil, fmt.Errorf("%s: %s: %w", repo.ID, p.file.Path, errNoDigest)
		}
	}
	if h.Offline {
		if err := h.offlineGaps(repo.ID, c.picks); err != nil {
			return nil, fmt.Errorf("%s: %w", repo.ID, err)
		}
	}
	result := &Result{Name: name, Commit: repo.Commit, Form: c.label}
	source := h.source(repo, c)
	if m, err := store.Find(name); err == nil && same(m, source) {
		result.Fresh, result.Model = true, m
		return result, nil
	}
	st, err := store.Stage(name, stageKind)
	if err != nil {
		return nil, err
	}
	p := &pull{hub: h, repo: repo, choice: c, staging: st, request: r}
	err = p.run(ctx, store, name, source)
	result.Received = p.received
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pull %s: %w", repo.ID, err), st.Close())
	}
	if err := st.Close(); err != nil {
		return nil, err
	}
	result.Model, err = store.Find(name)
	return result, err
}

// source is what is written down of the choice.
func (h *Hub) source(repo *Repo, c *choice) Source {
	s := Source{Hub: h.endpoint.Host, Repo: repo.ID, Commit: repo.Commit, Form: c.label}
	if c.bits != 0 {
		s.Form = fmt.Sprintf("%s as %d bits", c.label, c.bits)
	}
	for _, p := range c.picks {
		s.Files = append(s.Files, SourceFile{p.file.Path, p.file.Size, p.file.SHA256, p.file.Blob})
	}
	return s
}

// same says whether the model was made of the same.
func same(m *models.Model, s Source) bool {
	data, err := os.ReadFile(filepath.Join(m.Dir, sourceFile))
	if err != nil {
		return false
	}
	want, err := json.MarshalIndent(s, "", "  ")
	return err == nil && string(data) == string(want)
}

// pull is one model on its way.
type pull struct {
	hub      *Hub
	repo     *Repo
	choice   *choice
	staging  *models.Staging
	request  Request
	received int64
}

func (p *pull) run(ctx context.Context, store *models.Store, name string, source Source) error {
	if err := p.staging.Root.MkdirAll(blobs, 0o755); err != nil {
		return full(err)
	}
	root, err := p.staging.Root.OpenRoot(blobs)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := p.download(ctx, root); err != nil {
		return err
	}
	if err := p.arrange(); err != nil {
		return full(err)
	}
	if p.choice.form != formONNX {
		return p.convert(ctx, store, name, source)
	}
	p.request.Progress(Progress{Stage: StageWriting})
	if _, err := models.Describe(p.staging.Dir()); err != nil {
		return err
	}
	if err := p.staging.Root.RemoveAll(blobs); err != nil {
		return err
	}
	if err := writeSource(p.staging.Root, source); err != nil {
		return err
	}
	return p.staging.Commit()
}

// download brings the chosen files into blobs and removes what lies there of others.
func (p *pull) download(ctx context.Context, root *os.Root) error {
	d := &download{hub: p.hub, repo: p.repo, report: p.request.Progress}
	defer func() {
		for _, part := range d.opened {
			_ = part.close() // what was written is there already
		}
	}()
	seen := map[string]bool{}
	keep := map[string]bool{}
	for _, pick := range p.choice.picks {
		f := pick.file
		keep[f.id()], keep[f.partName()], keep[f.marksName()] = true, true, true
		if seen[f.id()] {
			continue
		}
		seen[f.id()] = true
		d.total += f.Size
		part, err := openPart(root, f)
		if err != nil {
			return full(err)
		}
		if part == nil {
			d.completed += f.Size
			continue
		}
		d.opened = append(d.opened, part)
	}
	if err := sweep(root, keep); err != nil {
		return err
	}
	if err := d.open(p.hub.cached(p.repo.ID)); err != nil {
		return err
	}
	if p.hub.Offline {
		var damaged []File
		for _, part := range d.parts {
			damaged = append(damaged, part.file)
		}
		if err := p.hub.lacking(damaged); err != nil {
			return err
		}
	}
	before := d.completed
	if err := roomFor(p.staging.Dir(), d.total-before); err != nil {
		return err
	}
	err := d.run(ctx)
	p.received = max(d.completed-before, 0)
	return err
}

// open takes what the cache has, and verifies what was whole.
func (d *download) open(cache fs.FS) error {
	for _, p := range d.opened {
		d.completed += p.done
		if p.done < p.file.Size {
			found, err := p.fromCache(cache)
			if err != nil {
				return err
			}
			if found {
				d.completed += p.file.Size - p.done
				continue
			}
			if !p.old {
				d.parts = append(d.parts, p)
				continue
			}
		}
		if p.left > 0 {
			d.parts = append(d.parts, p)
			continue
		}
		err := p.finish()
		if errors.Is(err, errDigest) && p.old {
			d.completed -= p.done
			d.parts = append(d.parts, p)
			err = p.restart()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sweep removes all but what is kept.
func sweep(root *os.Root, keep map[string]bool) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !keep[e.Name()] {
			if err := root.RemoveAll(e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// cached returns what a huggingface_hub cache holds of the repository, nil where there is none.
func (h *Hub) cached(id string) fs.FS {
	if h.Cache == "" {
		return nil
	}
	dir := h.cacheDir(id)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil
	}
	return os.DirFS(dir)
}

// cacheDir is where a huggingface_hub cache keeps the repository.
func (h *Hub) cacheDir(id string) string {
	return filepath.Join(h.Cache, "models--"+strings.ReplaceAll(id, "/", "--"))
}

// roomFor refuses what the disk cannot hold.
func roomFor(dir string, bytes int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return nil //nolint:nilerr // not known: the disk will say
	}
	free := int64(st.Bavail) * int64(st.Bsize) //nolint:unconvert // their types are the system's
	if bytes+room > free {
		return fmt.Errorf("%d MB are needed in %s, %d MB are free: make room, or set ORTSERVE_HOME to a larger disk", (bytes+room)/1e6, dir, max(free, 0)/1e6)
	}
	return nil
}

// arrange gives the files their names. Of each the contents stay in blobs until all is done.
func (p *pull) arrange() error {
	root := p.staging.Root
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries { // of an attempt that was killed
		if e.Name() != blobs {
			if err := root.RemoveAll(e.Name()); err != nil {
				return err
			}
		}
	}
	for _, pick := range p.choice.picks {
		if err := root.MkdirAll(path.Dir(pick.local), 0o755); err != nil {
			return err
		}
		from := path.Join(blobs, pick.file.id())
		if root.Link(from, pick.local) == nil {
			continue
		}
		if err := copyFile(root, from, pick.local); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(root *os.Root, from, to string) error {
	in, err := root.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := root.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// convert imports what was downloaded, and then removes it.
func (p *pull) convert(ctx context.Context, store *models.Store, name string, source Source) error {
	dst, err := store.Path(name)
	if err != nil {
		return err
	}
	src := p.staging.Dir()
	if p.choice.form == formGGUF {
		src = filepath.Join(src, p.choice.main)
	}
	p.request.Progress(Progress{Stage: StageImporting})
	_, err = convert.Import(ctx, src, dst, convert.Options{
		Bits: p.choice.bits, Float16: p.choice.bits == 16, Name: name,
		Progress: func(done, total int64) {
			p.request.Progress(Progress{Stage: StageImporting, Done: done, Size: total})
		},
	})
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dst)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := writeSource(root, source); err != nil {
		return err
	}
	return p.staging.Discard()
}

func writeSource(root *os.Root, s Source) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return full(root.WriteFile(sourceFile, data, 0o644))
}
