package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sys/cpu"

	"ortserve/engine"
	"ortserve/internal/buildinfo"
	"ortserve/internal/config"
	"ortserve/models"
	"ortserve/onnx"
	"ortserve/pool"
	"ortserve/template"
	"ortserve/tokenize"
)

// loader opens models for the pool.
type loader struct {
	config  *config.Serve
	threads int
	spin    bool
	memory  int64 // bytes that all models may take of the processor's memory, 0 for any
	log     *slog.Logger

	provider     string // what computes, as onnx.Options have it
	deviceMemory int64  // bytes that all models may take of the device's
	profile      string // onnx.Options.Profile of sessions
}

// idleChunk is how many prompt tokens a run takes while no other sequence decodes: enough for the matrix products to be efficient,
// few enough for a cancelled prompt to end soon.
const idleChunk = 512

// programBytes is what the program takes beside weights, KV cache and logits.
const programBytes = 256 << 20

// open is a pool.Opener.
func (l *loader) open(ctx context.Context, m *models.Model) (*pool.Loaded, error) {
	tokenizer, err := tokenize.Load(m.Dir)
	if err != nil {
		return nil, err
	}
	var chat *template.Template
	if m.ChatTemplate != "" {
		if chat, err = template.Parse(m.ChatTemplate, tokenizer.ControlTokens(m.ChatTemplate)); err != nil {
			return nil, fmt.Errorf("chat template: %w", err)
		}
	}
	p, session, err := l.session(m)
	if err != nil {
		return nil, err
	}
	moved := int64(0)
	if p.provider == onnx.ProviderCPU {
		if moved, err = onnx.UseHugePages(); err != nil {
			l.log.Warn("the weights stay in small pages of memory", "model", m.Name, "error", err)
		}
	}
	for _, f := range session.Report().Findings {
		if f.Lost != "" {
			l.log.Warn("the graph does not allow all", "model", m.Name, "off", f.Lost, "check", f.Check, "result", f.Result)
		}
	}
	shared, err := sharedPrefixes(l.config.SharedPrefix, tokenizer)
	if err != nil {
		return nil, errors.Join(err, session.Close())
	}
	e := engine.New(session, engine.Options{
		Chunk:       l.config.Chunk,
		Queue:       l.config.Queue,
		QueueTokens: l.config.QueueTokens,
		Speculate:   l.config.Speculate && !l.config.Deterministic,
		Strict:      l.config.Deterministic,
		Shared:      shared,
		Logger:      l.log.With("model", m.Name),
	})
	if err := warm(ctx, e, shared, tokenizer); err != nil {
		return nil, errors.Join(err, e.Close(ctx), session.Close())
	}
	l.log.Info("model loaded", "model", m.Name, "device", session.Report().Device, "kernels", session.Report().Kernels, "slots", p.slots, "max_len", p.maxLen, "threads", l.threads, "memory", config.Bytes(p.bytes),
		"huge_pages", config.Bytes(moved))
	return &pool.Loaded{
		Model:       m,
		Engine:      e,
		Tokenizer:   tokenizer,
		Template:    chat,
		StopTokens:  stopTokens(m, tokenizer),
		Fingerprint: l.fingerprint(m, session.Report()),
		Close: func(ctx context.Context) error {
			return errors.Join(e.Close(ctx), session.Close())
		},
	}, nil
}

// plan is how a model is loaded.
type plan struct {
	provider      string
	contract      *onnx.Contract
	slots, maxLen int
	chunk         int
	bytes         int64  // what it takes
	why           string // what was chosen for want of memory
}

// plan chooses how the model is loaded. Models that were named share the memory, so that all stay loaded; one that does not fit in its
// share has all of it, and others make room for it.
func (l *loader) plan(m *models.Model, provider string) (*plan, error) {
	contract, err := onnx.Inspect(m.Graph, hints(m))
	if err != nil {
		return nil, err
	}
	if contract, err = contract.For(onnx.Options{Provider: provider, Kernels: l.config.Kernels, KV: l.config.KV}); err != nil {
		return nil, err
	}
	p := &plan{provider: provider, contract: contract, chunk: max(l.config.Chunk, idleChunk)}
	file, err := os.Stat(m.Graph)
	if err != nil {
		return nil, err
	}
	// While it is loaded, a graph whose weights are inside is there thrice more: the file, and what is made of it.
	n := need{fixed: 2*m.Size + 3*file.Size() + programBytes, slot: contract.SlotBytes, row: int64(contract.Vocab) * 4}
	if !contract.OneRow && contract.Keep == "" {
		n.rows, n.whole = int64(p.chunk), contract.WholePrompts(l.config.Deterministic)
	}
	window := longest(m.ContextLength, contract.MaxLen())
	memory := l.memory
	if provider == onnx.ProviderCUDA {
		memory = l.deviceMemory
	}
	p.slots, p.maxLen, p.why, err = fit(n, memory/int64(max(len(l.config.Models), 1)), l.config.Slots, l.config.MaxLen, window)
	if err != nil && len(l.config.Models) > 1 {
		p.slots, p.maxLen, p.why, err = fit(n, memory, l.config.Slots, l.config.MaxLen, window)
	}
	p.bytes = n.total(p.slots, p.maxLen)
	return p, err
}

// need is how many bytes a model takes while it is loaded.
func (l *loader) need(m *models.Model) (int64, error) {
	p, err := l.plan(m, l.provider)
	if err != nil {
		return 0, err
	}
	return p.bytes, nil
}

// sharedPrefixes reads and encodes the texts of --shared-prefix. Control tokens in them count: they are rendered text.
func sharedPrefixes(files []string, t *tokenize.Tokenizer) ([][]int32, error) {
	var all [][]int32
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("--shared-prefix: %w", err)
		}
		all = append(all, t.Encode(string(text), tokenize.Options{}))
	}
	return all, nil
}

// warm computes the shared texts, so that the first request that begins with one finds it.
func warm(ctx context.Context, e *engine.Engine, shared [][]int32, t *tokenize.Tokenizer) error {
	for _, prompt := range shared {
		s, err := e.Submit(ctx, engine.Request{Prompt: prompt, MaxTokens: 1, Detokenizer: t.NewStream(true)})
		if err != nil {
			return fmt.Errorf("--shared-prefix: %w", err)
		}
		for ev := (engine.Event{}); ev.Finish == ""; {
			if ev, err = s.Next(ctx); err == nil {
				err = ev.Err
			}
			if err != nil {
				return fmt.Errorf("--shared-prefix: %w", err)
			}
		}
	}
	return nil
}

// hints are what the model's files say of its graph.
func hints(m *models.Model) onnx.Hints {
	return onnx.Hints{KVHeads: m.KVHeads, HeadSize: m.HeadSize, Vocab: m.Vocab, Inputs: m.Inputs, Outputs: m.Outputs}
}

// longest returns the smaller of two bounds, where 0 is none.
func longest(a, b int) int {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// turnEnds are the names of control tokens that end a turn or a text in the families of models that are served. A model's files do not
// always name all that it uses.
var turnEnds = []string{
	"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|im_end|>", "<|endoftext|>", "<|end|>", "<end_of_turn>", "</s>",
}

// stopTokens returns the ids that end an answer: those that the model's files name, and those known by name.
func stopTokens(m *models.Model, t *tokenize.Tokenizer) []int32 {
	ids := slices.Clone(m.EOS)
	for _, name := range append([]string{m.EOSToken}, turnEnds...) {
		if id, ok := t.ID(name); ok && name != "" && t.Special(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// fingerprint names all that the bits of an answer depend on but the request.
func (l *loader) fingerprint(m *models.Model, r onnx.Report) string {
	h := sha256.New()
	fmt.Fprintln(h, m.Digest, buildinfo.Version, onnx.Version(), r.Device, r.Kernels, l.config.KV, l.config.ProviderOptions, instructions(), l.threads, l.config.Deterministic, l.config.Speculate)
	return "fp_" + hex.EncodeToString(h.Sum(nil))[:12]
}

// instructions names the instruction set that ONNX Runtime's kernels are chosen by.
func instructions() string {
	switch x := &cpu.X86; {
	case x.HasAVX512VNNI:
		return "avx512vnni"
	case x.HasAVX512F:
		return "avx512"
	case x.HasAVXVNNI:
		return "avxvnni"
	case x.HasAVX2:
		return "avx2"
	}
	return runtime.GOARCH
}
