package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"ortserve/engine"
	"ortserve/internal/config"
	"ortserve/models"
	"ortserve/models/convert"
	"ortserve/onnx"
	"ortserve/tokenize"
)

// measureWindow is how many tokens of the text are read without what went before them.
const measureWindow = 512

// measurement is what the form of a model's weights costs on a text.
type measurement struct {
	Tokens    int     // whose probability was looked at
	Reference float64 // mean of -log p(token), natural logarithm, of the source's values
	NLL       float64 // the same of the model
	Noise     float64 // standard error of NLL - Reference: how far another text of the kind may be from this one
	KL        float64 // mean of KL(source || model) a position
	Same      float64 // share of positions whose likeliest token is the source's
}

func (m measurement) String() string {
	return fmt.Sprintf("on %d tokens: nll %.4f, of the source's values %.4f: loss %.4f ± %.4f; kl %.4f; likeliest token the same %.1f %%",
		m.Tokens, m.NLL, m.Reference, m.NLL-m.Reference, m.Noise, m.KL, 100*m.Same)
}

// measure compares the model in dir with the source at path, on a text. For that the source is imported once more, in float32.
func measure(ctx context.Context, path, name, dir, text, library string, progress func(done, total int64)) (m measurement, err error) {
	if _, err := onnx.Load(library); err != nil {
		return m, err
	}
	err = withStore(func(store *models.Store) error {
		m, err = measureIn(ctx, store, path, name, dir, text, progress)
		return err
	})
	return m, err
}

// measureIn does what measure does, with room for the other import in the store.
func measureIn(ctx context.Context, store *models.Store, path, name, dir, text string, progress func(done, total int64)) (m measurement, err error) {
	st, err := store.Stage(name, "measuring")
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, st.Discard()) }()
	if err := st.Clear(); err != nil {
		return m, err
	}
	reference := filepath.Join(st.Dir(), "reference")
	if _, err := convert.Import(ctx, path, reference, convert.Options{Bits: 32, Name: name}); err != nil {
		return m, err
	}
	source, err := openScorer(reference)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, source.session.Close()) }()
	model, err := openScorer(dir)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, model.session.Close()) }()
	ids := model.tokenizer.Encode(text, tokenize.Options{})
	if len(ids) < 2 {
		return m, fmt.Errorf("the text has %d tokens, at least 2 are needed", len(ids))
	}
	return compare(ctx, source, model, ids, progress)
}

// readText reads the text that --measure names.
func readText(path string) (string, error) {
	const most = 64 << 20
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("--measure: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return "", fmt.Errorf("--measure: %w", err)
	}
	if len(text) > most {
		return "", fmt.Errorf("--measure: %s has more than %s", path, config.Bytes(most))
	}
	return string(text), nil
}

// scorer gives the logits of a text's tokens.
type scorer struct {
	session   *onnx.Session
	tokenizer *tokenize.Tokenizer
	window    int
}

func openScorer(dir string) (*scorer, error) {
	m, tokenizer, contract, err := readModel(dir)
	if err != nil {
		return nil, err
	}
	threads, quota, _ := config.Threads()
	window := longest(longest(m.ContextLength, contract.MaxLen()), measureWindow)
	s, err := onnx.Open(m.Graph, contract, onnx.Options{Threads: threads, Spin: !quota, Slots: 1, MaxLen: window, Chunk: window})
	if err != nil {
		return nil, err
	}
	return &scorer{s, tokenizer, window}, nil
}

// forward returns the logits [len(tokens), Vocab] of tokens that follow past others of a window. They are valid until the next call.
func (s *scorer) forward(tokens []int32, past int) (engine.Logits, error) {
	return s.session.Forward(&engine.Batch{Rows: []engine.Row{{Past: past, Tokens: tokens, Logits: len(tokens)}}})
}

// score is what one position says of the two models.
type score struct {
	reference, nll, kl float64
	same               bool
}

// compare reads the text with both models, window by window.
func compare(ctx context.Context, source, model *scorer, ids []int32, progress func(done, total int64)) (measurement, error) {
	var m measurement
	losses := []float64{} // of each window
	step := min(source.session.Info().Logits, model.session.Info().Logits)
	for from := 0; from+1 < len(ids); from += source.window {
		window := ids[from:min(from+source.window, len(ids))]
		var scores []score
		for at := 0; at+1 < len(window); at += step {
			if ctx.Err() != nil {
				return m, context.Cause(ctx)
			}
			tokens := window[at:min(at+step, len(window)-1)] // nothing follows the last
			want, err := source.forward(tokens, at)
			if err != nil {
				return m, err
			}
			got, err := model.forward(tokens, at)
			if err != nil {
				return m, err
			}
			for i, next := range window[at+1 : at+1+len(tokens)] {
				scores = append(scores, scoreOf(want.Row(i), got.Row(i), next))
			}
		}
		loss := 0.0
		for _, s := range scores {
			m.Reference += s.reference
			m.NLL += s.nll
			m.KL += s.kl
			loss += s.nll - s.reference
			if s.same {
				m.Same++
			}
		}
		m.Tokens += len(scores)
		losses = append(losses, loss/float64(len(scores)))
		if progress != nil {
			progress(int64(from+len(window)), int64(len(ids)))
		}
	}
	n := float64(m.Tokens)
	m.Reference, m.NLL, m.KL, m.Same = m.Reference/n, m.NLL/n, m.KL/n, m.Same/n
	m.Noise = standardError(losses)
	return m, nil
}

// scoreOf compares a row of logits with the source's; next is the token that follows.
func scoreOf(want, got []float32, next int32) score {
	a, first := normalizer(want)
	b, second := normalizer(got)
	s := score{reference: a - float64(want[next]), nll: b - float64(got[next]), same: first == second}
	for i, v := range want {
		p := float64(v) - a
		s.kl += math.Exp(p) * (p - (float64(got[i]) - b))
	}
	return s
}

// normalizer is the logarithm of the sum of exponentials, and the index of the largest.
func normalizer(logits []float32) (sum float64, largest int) {
	for i, v := range logits {
		if v > logits[largest] {
			largest = i
		}
	}
	most := float64(logits[largest])
	for _, v := range logits {
		sum += math.Exp(float64(v) - most)
	}
	return most + math.Log(sum), largest
}

// standardError is that of the mean of x; 0 of a single one, which tells nothing of it.
func standardError(x []float64) float64 {
	n := float64(len(x))
	if n < 2 {
		return 0
	}
	mean, square := 0.0, 0.0
	for _, v := range x {
		mean += v / n
	}
	for _, v := range x {
		square += (v - mean) * (v - mean)
	}
	return math.Sqrt(square / (n - 1) / n)
}
