package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options say which hub. The zero value of a field takes the default in brackets.
type Options struct {
	Endpoint    string        // its address [https://huggingface.co]
	Token       string        // shown to the endpoint's host [none]
	Cache       string        // a cache in the layout of huggingface_hub, whose files need not be downloaded [none]
	UserAgent   string        // [ortserve]
	Connections int           // at once [4]
	Stall       time.Duration // how long a connection may be silent [30 s]
	Offline     bool          // ask nobody: what is pulled comes out of Cache [false]
	Attempts    int           // how often in a row something may fail [6]
	Backoff     time.Duration // after the first failure, twice as long after each further one [500 ms]
}

// DefaultEndpoint is the hub that is asked unless HF_ENDPOINT names another.
const DefaultEndpoint = "https://huggingface.co"

// FromEnv reads the variables that huggingface_hub reads: HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, and HF_HUB_CACHE or
// HF_HOME.
func FromEnv(env func(string) string) Options {
	o := Options{Endpoint: env("HF_ENDPOINT"), Token: env("HF_TOKEN"), Cache: env("HF_HUB_CACHE"), Offline: isTrue(env("HF_HUB_OFFLINE"))}
	if o.Cache == "" {
		home := env("HF_HOME")
		if user, err := os.UserHomeDir(); home == "" && err == nil {
			home = filepath.Join(user, ".cache", "huggingface")
		}
		if home != "" {
			o.Cache = filepath.Join(home, "hub")
		}
	}
	return o
}

// Hub is a hub. Its methods may be called concurrently.
type Hub struct {
	Options

	endpoint   *url.URL
	home, away *http.Client // to the endpoint's host, and to those it redirects to
}

// New returns the hub that o names. The error says what is wrong with its address.
func New(o Options) (*Hub, error) {
	set(&o.Endpoint, DefaultEndpoint)
	set(&o.UserAgent, "ortserve")
	set(&o.Connections, 4)
	set(&o.Stall, 30*time.Second)
	set(&o.Attempts, 6)
	set(&o.Backoff, 500*time.Millisecond)
	u, err := url.Parse(strings.TrimSuffix(o.Endpoint, "/"))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("HF_ENDPOINT: %q is not an address like %s", clip(o.Endpoint), DefaultEndpoint)
	}
	h := &Hub{Options: o, endpoint: u}
	h.home, h.away = clients(o.Connections)
	return h, nil
}

func set[T comparable](dst *T, v T) {
	if *dst == *new(T) {
		*dst = v
	}
}

// Repo is a repository at one commit.
type Repo struct {
	ID     string // "org/repo"
	Commit string // 40 hexadecimal digits
	Files  []File
}

// File is a file of a repository.
type File struct {
	Path   string // with slashes, checked: it leads nowhere else
	Size   int64
	SHA256 string // 64 hexadecimal digits, of a file in large-file storage
	Blob   string // 40 hexadecimal digits, git's id of any other file
}

// id names the contents.
func (f File) id() string {
	if f.SHA256 != "" {
		return f.SHA256
	}
	return f.Blob
}

// The bounds of a repository's list.
const (
	maxList  = 32 << 20 // bytes
	maxFiles = 20_000
)

// repoAnswer is the part of the hub's answer that is read.
type repoAnswer struct {
	SHA      string `json:"sha"`
	Siblings []struct {
		Path string `json:"rfilename"`
		Size *int64 `json:"size"`
		Blob string `json:"blobId"`
		LFS  *struct {
			SHA256 string `json:"sha256"`
			Size   int64  `json:"size"`
		} `json:"lfs"`
	} `json:"siblings"`
}

// Repo lists the repository id at a revision: a branch, a tag or a commit; "" is main.
func (h *Hub) Repo(ctx context.Context, id, revision string) (*Repo, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	set(&revision, "main")
	if strings.ContainsAny(revision, "\x00\\?#") || len(revision) > 255 || strings.Contains(revision, "..") {
		return nil, fmt.Errorf("%q is not a revision", clip(revision))
	}
	if h.Offline {
		return h.offlineRepo(id, revision)
	}
	u := h.endpoint.JoinPath("api", "models", id, "revision", url.PathEscape(revision))
	u.RawQuery = "blobs=true"
	var list repoAnswer
	err := h.repeat(ctx, func() (bool, error) {
		body, err := h.get(ctx, u, maxList)
		if err != nil {
			return false, err
		}
		list = repoAnswer{}
		if err := json.Unmarshal(body, &list); err != nil {
			return false, permanent{fmt.Errorf("its list is damaged: %w", err)}
		}
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s of %s on %s: %w", clip(revision), id, h.endpoint.Host, err)
	}
	r, err := list.repo(id)
	if err != nil {
		return nil, fmt.Errorf("%s on %s: %w", id, h.endpoint.Host, err)
	}
	return r, nil
}

// repo checks the answer.
func (a *repoAnswer) repo(id string) (*Repo, error) {
	if !isHex(a.SHA, 40) {
		return nil, fmt.Errorf("the list names no commit but %q", clip(a.SHA))
	}
	if len(a.Siblings) > maxFiles {
		return nil, fmt.Errorf("it has %d files, at most %d are listed", len(a.Siblings), maxFiles)
	}
	r := &Repo{ID: id, Commit: a.SHA}
	for _, s := range a.Siblings {
		f := File{Path: s.Path, Blob: s.Blob}
		if s.Size != nil {
			f.Size = *s.Size
		}
		if s.LFS != nil {
			f.SHA256, f.Size = s.LFS.SHA256, s.LFS.Size
		}
		if err := f.check(); err != nil {
			return nil, err
		}
		r.Files = append(r.Files, f)
	}
	slices.SortFunc(r.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return r, nil
}

// get reads a whole answer of at most limit bytes.
func (h *Hub) get(ctx context.Context, u *url.URL, limit int64) ([]byte, error) {
	a, err := h.open(ctx, u, nil)
	if err != nil {
		return nil, err
	}
	defer a.close()
	if a.status != http.StatusOK {
		return nil, statusOf(a)
	}
	body, err := io.ReadAll(io.LimitReader(a.body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, permanent{fmt.Errorf("the answer has more than %d bytes", limit)}
	}
	return body, nil
}

// permanent is an error that a further attempt would meet again.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// statusError is an answer that is none.
type statusError struct {
	code  int
	after time.Duration // what Retry-After says
	says  string
}

func (e *statusError) Error() string {
	switch e.code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Sprintf("the hub refuses (%d): the repository is private or gated, or does not exist; HF_TOKEN must hold a token that may read it%s", e.code, e.says)
	case http.StatusNotFound:
		return "there is no such repository, revision or file (404)"
	case http.StatusTooManyRequests:
		return "the hub has had too many requests (429)" + e.says
	}
	return fmt.Sprintf("the hub answers %d%s", e.code, e.says)
}

// repeat calls try until it succeeds, fails for good, or fails Attempts times in a row without progress.
func (h *Hub) repeat(ctx context.Context, try func() (progress bool, err error)) error {
	wait := h.Backoff
	for failures := 0; ; {
		progress, err := try()
		var status *statusError
		isStatus := errors.As(err, &status)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, new(permanent)), isStatus && status.code < 500 && status.code != http.StatusTooManyRequests && status.code != http.StatusRequestTimeout:
			return err
		}
		if progress {
			failures, wait = 0, h.Backoff
		}
		if failures++; failures >= h.Attempts {
			return fmt.Errorf("%d attempts failed, the last with: %w", failures, err)
		}
		pause := wait
		if isStatus && status.after > 0 {
			pause = status.after
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		wait = min(2*wait, 30*time.Second)
	}
}
