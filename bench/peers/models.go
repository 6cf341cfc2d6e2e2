package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"ortserve/internal/home"
	"ortserve/models/convert"
	"ortserve/models/convert/gguf"
)

// model is a GGUF file and the forms in which it is imported.
type model struct {
	key   string
	title string
	gguf  string
	// random is the shape of weights that the file is made of, nil where it is brought.
	random *shape
	bits   float64 // of a weight in the GGUF file
	forms  []form
	chat   bool // it knows a chat's format and answers sensibly
}

// form is an import. The first of a model is compared with the peers.
type form struct {
	name    string
	options convert.Options
	dir     string
	bits    float64 // of a weight, scales and zero points included
	said    string
}

// models are what is compared; the files of random weights are written on first use.
func models(dir string) ([]model, error) {
	random := func(name string) string { return filepath.Join(dir, "peers", "llama-"+name+"-random.Q4_0.gguf") }
	return []model{
		{
			key: "smollm2", title: "SmolLM2-135M-Instruct", gguf: home.DefaultGGUF(dir), chat: true,
			forms: []form{
				{name: "4 bits", options: convert.Options{Bits: 4, Block: 32}},
				{name: "default import", options: convert.Options{}},
			},
		},
		{
			key: "1b", title: "random weights, shape of Llama-3.2-1B", gguf: random("1b"), random: &llama1B,
			forms: []form{{name: "4 bits", options: convert.Options{Bits: 4, Block: 128}}},
		},
		{
			key: "8b", title: "random weights, shape of Llama-3.1-8B", gguf: random("8b"), random: &llama8B,
			forms: []form{{name: "4 bits", options: convert.Options{Bits: 4, Block: 128}}},
		},
	}, nil
}

// prepare writes the file of random weights if it is missing, and imports the model in all forms, anew: the importer may be
// another one than last time.
func (m *model) prepare(ctx context.Context, dir string, say func(string, ...any)) error {
	if _, err := os.Stat(m.gguf); err != nil {
		if m.random == nil {
			return fmt.Errorf("%w: run `make model` first", err)
		}
		say("writing %s", filepath.Base(m.gguf))
		if err := os.MkdirAll(filepath.Dir(m.gguf), 0o755); err != nil {
			return err
		}
		if err := writeRandom(m.gguf, *m.random); err != nil {
			return err
		}
	}
	weights, bytes, rest, positions, err := measure(m.gguf)
	if err != nil {
		return err
	}
	m.bits = 8 * float64(bytes) / float64(weights)
	for i := range m.forms {
		f := &m.forms[i]
		f.dir = filepath.Join(dir, "peers", "models", fmt.Sprintf("%s-%d-%d", m.key, f.options.Bits, f.options.Block))
		say("importing %s, %s", m.title, f.name)
		report, err := convert.GGUF(ctx, m.gguf, f.dir, f.options)
		if err != nil {
			return err
		}
		f.bits = 8 * float64(report.Bytes-4*rest-4*positions) / float64(weights)
		f.said = fmt.Sprintf("%v, head %v", report.Weights, report.Head)
	}
	return nil
}

// measure counts what a GGUF file holds: the weights of its matrices and their bytes, the numbers outside matrices, and the
// numbers of the rotary tables that an import adds.
func measure(path string) (weights, bytes, rest, rotary int64, err error) {
	f, err := gguf.Open(path)
	if err != nil {
		return 0, 0, 0, 0, err
	}
	defer f.Close()
	for _, t := range f.Tensors {
		if len(t.Dims) < 2 {
			rest += t.RowLength()
			continue
		}
		weights += t.Rows() * t.RowLength()
		bytes += t.Bytes()
	}
	heads := f.Metadata.Int("llama.attention.head_count", 1)
	size := f.Metadata.Int("llama.attention.key_length", f.Metadata.Int("llama.embedding_length", 0)/max(1, heads))
	rotary = f.Metadata.Int("llama.context_length", 0) * size // cosines and sines of half a head each
	return weights, bytes, rest, rotary, f.Metadata.Err()
}
