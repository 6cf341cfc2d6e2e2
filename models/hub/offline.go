package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// errOffline is the error of what only the network could bring.
var errOffline = errors.New("the network is not used (--offline, HF_HUB_OFFLINE)")

// isTrue reads a switch as huggingface_hub does.
func isTrue(v string) bool {
	return slices.Contains([]string{"1", "on", "yes", "true"}, strings.ToLower(v))
}

// offlineRepo lists what the cache holds of a repository: refs/REVISION names a commit, and snapshots/COMMIT has a link for each file
// that was downloaded, to blobs/ID, where ID is the digest that the hub's list names too.
func (h *Hub) offlineRepo(id, revision string) (*Repo, error) {
	missing := func(what string) error {
		if h.Cache == "" {
			return fmt.Errorf("%s: %w, and there is no cache of huggingface_hub (HF_HUB_CACHE, HF_HOME)", id, errOffline)
		}
		return fmt.Errorf("%s: %w, and the cache %s does not hold %s", id, errOffline, h.Cache, what)
	}
	cache := h.cached(id)
	if cache == nil {
		return nil, missing("the repository")
	}
	commit := revision
	if !isHex(commit, 40) {
		data, err := fs.ReadFile(cache, "refs/"+revision)
		if commit = strings.TrimSpace(string(data)); err != nil || !isHex(commit, 40) {
			return nil, missing("revision " + clip(revision))
		}
	}
	r := &Repo{ID: id, Commit: commit}
	root := "snapshots/" + commit
	err := fs.WalkDir(cache, root, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f := h.offlineFile(cache, id, name)
		f.Path = strings.TrimPrefix(name, root+"/")
		r.Files = append(r.Files, f)
		return f.check()
	})
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(r.Files) == 0 {
		return nil, missing("a file of commit " + commit)
	}
	return r, err
}

// offlineFile is a file as the link called name in the cache tells of it. One that is no link, as on systems without them, has no
// digest, and one whose contents are gone no size: both are refused when they are needed.
func (h *Hub) offlineFile(cache fs.FS, id, name string) File {
	var f File
	if info, err := fs.Stat(cache, name); err == nil {
		f.Size = info.Size()
	}
	link, err := os.Readlink(filepath.Join(h.cacheDir(id), filepath.FromSlash(name)))
	if err != nil {
		return f
	}
	switch digest := path.Base(filepath.ToSlash(link)); {
	case isHex(digest, 64):
		f.SHA256 = digest
	case isHex(digest, 40):
		f.Blob = digest
	}
	return f
}

// offlineGaps refuses what the cache does not hold of the chosen files.
func (h *Hub) offlineGaps(id string, picks []pick) error {
	cache := h.cached(id)
	var gone []File
	for _, p := range picks {
		if info, err := fs.Stat(cache, "blobs/"+p.file.id()); err != nil || info.Size() != p.file.Size {
			gone = append(gone, p.file)
		}
	}
	return h.lacking(gone)
}

// lacking is the error of files that the cache does not have whole, nil where there are none.
func (h *Hub) lacking(files []File) error {
	if len(files) == 0 {
		return nil
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Path)
	}
	return fmt.Errorf("%w, and the cache %s has no whole copy of %s", errOffline, h.Cache, clip(strings.Join(names, ", ")))
}
