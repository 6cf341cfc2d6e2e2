package main

import (
	"context"
	"errors"
	"fmt"

	"ortserve/models"
	"ortserve/models/hub"
)

// pullUsage is the help of the command.
const pullUsage = `pull ORG/REPO[:FORM] [flags]

Brings a model from a Hugging Face hub into the store: an ONNX repository as it is, safetensors or a
GGUF file by importing them. FORM says which one of those that the repository has: a part of the name
of a graph, its folder or a GGUF file (q4, fp16, cpu-int4, Q4_K_M), or for safetensors 4bit, 8bit, fp16
or fp32. Without it: a graph of few bits for the CPU, else safetensors, else a GGUF file.

What was interrupted goes on when it is pulled again. HF_ENDPOINT names another hub, HF_TOKEN holds the
token for private and gated repositories; a cache of huggingface_hub (HF_HOME, HF_HUB_CACHE) is read.`

// runPull brings a model from a hub.
func runPull(ctx context.Context, args []string, t terminal) error {
	f := newFlags("pull", pullUsage, t)
	revision := f.String("revision", "main", "`REV` of the repository: a branch, a tag or a commit")
	name := f.String("name", "", "`NAME` in the store; ORG/REPO:FORM unless given")
	offline := f.Bool("offline", false, "use no network: what such a cache holds is pulled, and what it lacks is named (HF_HUB_OFFLINE=1)")
	names, err := parseNames(f, args, 1, 1)
	if err != nil {
		return err
	}
	ref, err := hub.ParseRef(names[0])
	if err != nil {
		return err
	}
	h, err := newHub(*offline)
	if err != nil {
		return err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	return withStore(func(s *models.Store) error {
		bars := &pullBars{t: t}
		r, err := h.Pull(ctx, s, hub.Request{Ref: ref, Revision: *revision, Name: *name, Progress: bars.show})
		bars.end()
		if errors.Is(err, context.Canceled) {
			return errors.New("interrupted; pull again to go on")
		}
		if err != nil {
			return err
		}
		if r.Fresh {
			_, err = fmt.Fprintf(t.out, "%s is up to date (%s at commit %s)\n", r.Name, r.Form, r.Commit[:12])
			return err
		}
		_, err = fmt.Fprintf(t.out, "pulled %s (%s at commit %s, %s downloaded): %s in %s\n", r.Name, r.Form, r.Commit[:12],
			size(r.Received), size(r.Model.Size), r.Model.Dir)
		return err
	})
}

// pullBars shows a pull: a bar for what is downloaded, another for what is imported.
type pullBars struct {
	t        terminal
	what     string
	progress func(done, total int64)
	finish   func()
}

func (b *pullBars) show(p hub.Progress) {
	switch p.Stage {
	case hub.StageDownloading:
		b.bar("downloading", p.AllDone, p.AllSize)
	case hub.StageImporting:
		b.bar("importing", p.Done, p.Size)
	}
}

func (b *pullBars) bar(what string, done, total int64) {
	if b.what != what {
		b.end()
		b.what = what
		b.progress, b.finish = progressOf(b.t.err, what)
	}
	if total > 0 {
		b.progress(done, total)
	}
}

func (b *pullBars) end() {
	if b.finish != nil {
		b.finish()
		b.finish = nil
	}
}
