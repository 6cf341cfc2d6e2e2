package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
)

const (
	piece   = 1 << 20 // bytes: what a connection that ends may have to fetch again
	longest = 32      // pieces of a request
)

// errDigest is the error of a file that is not what the hub's list says.
var errDigest = errors.New("is not what the list says")

// download brings files of a repository into a folder, several ranges at a time.
type download struct {
	hub  *Hub
	repo *Repo

	reporting sync.Mutex
	report    func(Progress)

	opened []*part // to be closed

	mu        sync.Mutex
	parts     []*part // those that are not whole
	completed int64   // bytes, of all files
	total     int64
}

// run downloads all parts. What is whole and verified when it fails stays so.
func (d *download) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	for range d.hub.Connections {
		workers.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					cancel(fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
				}
			}()
			for ctx.Err() == nil {
				p, from, to := d.next()
				if p == nil {
					return
				}
				if err := d.work(ctx, p, from, to); err != nil {
					cancel(fmt.Errorf("%s: %w", p.file.Path, err))
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// next takes a run of pieces that nobody fetches.
func (d *download) next() (p *part, from, to int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.parts {
		from := 0
		for from < len(p.state) && p.state[from] != missing {
			from++
		}
		if from == len(p.state) {
			continue
		}
		most := longest
		if p.whole {
			most = len(p.state)
		} else if share := (len(p.state) - from) / d.hub.Connections; share < most {
			most = max(share, 1) // the end of a file is everybody's
		}
		to := from
		for to < len(p.state) && to-from < most && p.state[to] == missing {
			p.state[to] = taken
			to++
		}
		return p, from, to
	}
	return nil, 0, 0
}

// work fetches pieces, and verifies the file with the last of them. A file that turns out wrong is fetched once more: what a killed
// process left of it may not have reached the disk.
func (d *download) work(ctx context.Context, p *part, from, to int) error {
	if err := d.hub.repeat(ctx, func() (bool, error) { return d.fetch(ctx, p, from, to) }); err != nil {
		return err
	}
	d.mu.Lock()
	whole := p.left == 0 && !p.verifying
	p.verifying = p.verifying || whole
	d.mu.Unlock()
	if !whole {
		return nil
	}
	d.tell(Progress{Stage: StageVerifying, File: p.file.Path, Digest: p.file.id(), Size: p.file.Size, Done: p.file.Size})
	err := p.finish()
	if errors.Is(err, errDigest) && p.old {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.completed -= p.file.Size
		return p.restart()
	}
	return err
}

// tell reports progress with the sums of all files.
func (d *download) tell(p Progress) {
	d.mu.Lock()
	p.AllDone, p.AllSize = d.completed, d.total
	d.mu.Unlock()
	d.reporting.Lock()
	defer d.reporting.Unlock()
	d.report(p)
}

// fetch asks once for the pieces of a run that are missing yet. It says whether at least one came.
func (d *download) fetch(ctx context.Context, p *part, from, to int) (progress bool, err error) {
	d.mu.Lock()
	for from < to && p.state[from] == there {
		from++
	}
	d.mu.Unlock()
	if from == to {
		return true, nil
	}
	first, last := int64(from)*piece, min(int64(to)*piece, p.file.Size)-1
	u := d.hub.endpoint.JoinPath(d.repo.ID, "resolve", d.repo.Commit, escaped(p.file.Path))
	a, err := d.hub.open(ctx, u, http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", first, last)}})
	if err != nil {
		return false, err
	}
	defer a.close()
	switch a.status {
	case http.StatusPartialContent:
		if want := fmt.Sprintf("bytes %d-%d/%d", first, last, p.file.Size); a.header.Get("Content-Range") != want {
			return false, permanent{fmt.Errorf("the hub sends %q for %q: its size is not what the list says", clip(a.header.Get("Content-Range")), want)}
		}
	case http.StatusOK: // the whole file, whatever was asked for
		if a.length >= 0 && a.length != p.file.Size {
			return false, permanent{fmt.Errorf("the hub sends %d bytes, the list says %d", a.length, p.file.Size)}
		}
		if _, err := io.CopyN(io.Discard, a.body, first); err != nil {
			return false, unexpected(err)
		}
		d.mu.Lock()
		p.whole = true
		d.mu.Unlock()
	default:
		return false, statusOf(a)
	}
	buf := make([]byte, min(piece, last-first+1))
	for i := from; i < to; i++ {
		b := buf[:min(piece, p.file.Size-int64(i)*piece)]
		if _, err := io.ReadFull(a.body, b); err != nil {
			return progress, unexpected(err)
		}
		if err := p.write(i, b); err != nil {
			return progress, permanent{err}
		}
		d.mu.Lock()
		p.state[i] = there
		p.left--
		p.done += int64(len(b))
		d.completed += int64(len(b))
		done := p.done
		d.mu.Unlock()
		progress = true
		d.tell(Progress{Stage: StageDownloading, File: p.file.Path, Digest: p.file.id(), Size: p.file.Size, Done: done})
	}
	return progress, nil
}

// unexpected names the end of a body that ended too early.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the connection ended before the file did")
	}
	return err
}

// escaped is a path for url.URL.JoinPath, which takes its elements as they stand in a URL.
func escaped(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

// full says what a full disk means.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("the disk is full (%w): make room and pull again, what has come is kept", err)
	}
	return err
}
