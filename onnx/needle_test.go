package onnx

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ortserve/engine"
	"ortserve/internal/testmodel"
	"ortserve/sample"
)

// witness is a Model that remembers the logits which followed each sequence of tokens. It keeps the tokens of every slot, so it knows
// what each row of a batch comes after.
type witness struct {
	*Session
	mu       sync.Mutex
	slots    map[int][]int32
	seen     map[string]seen // by the tokens
	rows     int
	repeated int      // rows whose tokens were seen before
	differ   int      // of those, the ones with other bits
	first    []string // how the first of these differ
}

// seen is what followed tokens for the first time, and how they were run.
type seen struct {
	logits []float32
	run    string
}

func newWitness(s *Session) *witness {
	return &witness{Session: s, slots: map[int][]int32{}, seen: map[string]seen{}}
}

// Forward implements engine.Model.
func (w *witness) Forward(b *engine.Batch) (engine.Logits, error) {
	logits, err := w.Session.Forward(b)
	if err != nil {
		return logits, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	at := 0
	for _, r := range b.Rows {
		tokens := append(slices.Clone(w.slots[r.Slot][:r.Past]), r.Tokens...)
		w.slots[r.Slot] = tokens
		for k := range r.Logits {
			w.witness(tokens[:len(tokens)-r.Logits+k+1], logits.Row(at), b)
			at++
		}
	}
	return logits, nil
}

// witness compares logits of a batch with those that followed the same tokens before.
func (w *witness) witness(tokens []int32, logits []float32, b *engine.Batch) {
	var key []byte
	for _, id := range tokens {
		key = binary.LittleEndian.AppendUint32(key, uint32(id))
	}
	run := ""
	for _, r := range b.Rows {
		run += fmt.Sprintf(" %d+%d", r.Past, len(r.Tokens))
	}
	w.rows++
	old, ok := w.seen[string(key)]
	if !ok {
		w.seen[string(key)] = seen{slices.Clone(logits), run}
		return
	}
	w.repeated++
	var at []int
	most := 0.0
	for i, l := range logits {
		if math.Float32bits(l) != math.Float32bits(old.logits[i]) {
			at = append(at, i)
			most = max(most, math.Abs(float64(l-old.logits[i])))
		}
	}
	if len(at) == 0 {
		return
	}
	if w.differ++; len(w.first) < 8 {
		w.first = append(w.first, fmt.Sprintf("after %d tokens, in a run of%s (past+new), at first in one of%s: %d of %d logits, from the %dth to the %dth, by up to %g",
			len(tokens), run, old.run, len(at), len(logits), at[0], at[len(at)-1], most))
	}
}

// Copy implements engine.Model.
func (w *witness) Copy(dst, src, n int) error {
	w.mu.Lock()
	w.slots[dst] = slices.Clone(w.slots[src][:n])
	w.mu.Unlock()
	return w.Session.Copy(dst, src, n)
}

// bytesOf is a Detokenizer for tests that look at ids.
type bytesOf struct{}

func (bytesOf) Next(ids []int32) string { return fmt.Sprint(ids) }

// needle runs the same request again and again among neighbours that come, end and are cancelled at random, with whatever earlier ones left
// in the cache. It returns how often the ids were not those of the first time.
func needle(t *testing.T, w *witness, trials int, strict bool) (mismatches int) {
	t.Helper()
	e := engine.New(w, engine.Options{Chunk: 16, Queue: 100, Strict: strict, Logger: slog.New(slog.DiscardHandler)})
	defer func() { _ = e.Close(t.Context()) }()
	request := func(prompt []int32, n int, seed uint64) engine.Request {
		return engine.Request{
			Prompt: prompt, MaxTokens: n, Detokenizer: bytesOf{},
			Params: sample.Params{Temperature: 0.8, Seed: seed},
		}
	}
	run := func(ctx context.Context, r engine.Request) []int32 {
		s, err := e.Submit(ctx, r)
		if err != nil {
			t.Error(err)
			return nil
		}
		var ids []int32
		for {
			ev, err := s.Next(context.Background())
			if err != nil {
				t.Error(err)
				return nil
			}
			if ids = append(ids, ev.Tokens...); ev.Finish != "" {
				return ids
			}
		}
	}
	rng := rand.New(rand.NewPCG(7, 7))
	base := tokens(1, 60)
	hay := func(i int) []int32 { // prompts that share beginnings with the needle, and come again
		return append(slices.Clone(base[:(i*13)%47]), tokens(i, 3+(i*7)%30)...)
	}
	needlePrompt := append(slices.Clone(base[:30]), tokens(99, 11)...)
	var want []int32
	for trial := range trials {
		var wg sync.WaitGroup
		for range rng.IntN(8) {
			i, n, after, cancelled := rng.IntN(40), 1+rng.IntN(30), rng.IntN(2000), rng.IntN(4) == 0
			wg.Add(1)
			go func() {
				defer wg.Done()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				time.Sleep(time.Duration(after) * time.Microsecond)
				if cancelled {
					time.AfterFunc(time.Duration(after)*time.Microsecond, cancel)
				}
				run(ctx, request(hay(i), n, uint64(i)))
			}()
		}
		ids := run(t.Context(), request(needlePrompt, 24, 42))
		wg.Wait()
		if trial == 0 {
			want = ids
		} else if !slices.Equal(ids, want) {
			mismatches++
		}
	}
	return mismatches
}

var layouts = []struct {
	name   string
	config testmodel.Config
}{
	{"4 bits, block 32", testmodel.Config{Bits: 4, AccuracyLevel: 4, Hidden: 128, Intermediate: 256}},
	{"4 bits, block 128", testmodel.Config{Bits: 4, Block: 128, AccuracyLevel: 4, Hidden: 128, Intermediate: 256}},
	{"8 bits, block 64", testmodel.Config{Bits: 8, Block: 64, AccuracyLevel: 4, Hidden: 128, Intermediate: 256}},
	{"float32", testmodel.Config{}},
}

// TestNeedle shows that a deterministic engine gives the same bits alone and in a crowd, whatever is cached: not for the needle alone, but
// for every sequence of tokens that occurs twice.
func TestNeedle(t *testing.T) {
	trials := 200
	if testing.Short() {
		trials = 40
	}
	f := func(name string, config testmodel.Config, kernels string) {
		t.Run(name+", "+kernels, func(t *testing.T) {
			o := options
			o.Slots, o.Deterministic, o.Kernels = 8, true, kernels
			w := newWitness(openTest(t, config, o))
			if n := needle(t, w, trials, true); n > 0 {
				t.Errorf("the ids of %d of %d trials differ from the first", n, trials)
			}
			if w.differ > 0 || w.repeated == 0 {
				t.Errorf("of %d rows of logits %d followed tokens seen before, %d with other bits; the first:\n%s", w.rows, w.repeated, w.differ, strings.Join(w.first, "\n"))
			}
			t.Logf("%d trials: %d rows of logits, %d after tokens seen before, %d with other bits", trials, w.rows, w.repeated, w.differ)
		})
	}
	for _, l := range layouts {
		f(l.name, l.config, KernelsORT)
		f(l.name, l.config, KernelsAuto)
	}
}

// TestNeedleCanFail runs the same without what makes it deterministic, in a layout that needs it.
func TestNeedleCanFail(t *testing.T) {
	o := options
	o.Slots, o.Kernels = 8, KernelsORT
	w := newWitness(openTest(t, layouts[1].config, o))
	needle(t, w, 40, false)
	if w.differ == 0 {
		t.Errorf("of %d rows of logits after tokens seen before none has other bits: the needle test would notice nothing", w.repeated)
	}
	t.Logf("%d of %d rows of logits differ", w.differ, w.repeated)
}
