package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ortserve/sample"
)

// silent is a Detokenizer that gives no text.
type silent struct{}

func (silent) Next([]int32) string { return "" }

// history drives a Scheduler as the engine does and keeps the KV memory that its moves and batches make.
type history struct {
	t     *rapid.T
	s     *Scheduler
	kv    [][]int32 // tokens whose rows each slot holds; the last is scratch
	live  []*Sequence
	turns []string // "decode" or "prefill", of steps at which both could have run
}

// apply carries out moves on the KV memory.
func (h *history) apply(moves []move) {
	for _, m := range moves {
		if m.n > len(h.kv[m.src]) {
			h.t.Fatalf("move %+v copies more than the %d tokens there", m, len(h.kv[m.src]))
		}
		h.kv[m.dst] = slices.Clone(h.kv[m.src][:m.n])
	}
}

// step is one step of the engine, with tokens drawn at random.
func (h *history) step() {
	both := h.s.running > 0 && (h.s.prefill != nil || len(h.s.waiting) > 0 && h.s.running < len(h.s.slots))
	p := h.s.next()
	if len(p.batch.Rows) == 0 {
		if len(h.live) > 0 {
			h.t.Fatalf("nothing to do, and %d sequences live", len(h.live))
		}
		return
	}
	h.apply(p.moves)
	kind := "decode"
	for i, r := range p.batch.Rows {
		seq := p.seqs[i]
		if r.Slot != p.batch.Rows[0].Slot+i || len(p.batch.Rows) > 1 && len(r.Tokens) != 1 {
			h.t.Fatalf("batch %+v is not dense", p.batch)
		}
		if r.Past != seq.computed || !slices.Equal(r.Tokens, seq.tokens[r.Past:r.Past+len(r.Tokens)]) {
			h.t.Fatalf("row %+v of a sequence with %d of %v computed", r, seq.computed, seq.tokens)
		}
		if seq.prefilling() {
			kind = "prefill"
			if len(r.Tokens) == 1 && seq.prompt > 1 {
				h.t.Fatalf("a run of one token inside a prompt of %d", seq.prompt)
			}
			limit := h.s.idle
			if h.s.running > 0 {
				limit = h.s.chunk
			}
			if len(r.Tokens) > limit {
				h.t.Fatalf("a chunk of %d tokens, the limit is %d", len(r.Tokens), limit)
			}
		}
		if !slices.Equal(h.kv[r.Slot][:r.Past], seq.tokens[:r.Past]) {
			h.t.Fatalf("slot %d holds %v, the sequence's tokens are %v", r.Slot, h.kv[r.Slot], seq.tokens[:r.Past])
		}
		h.kv[r.Slot] = append(slices.Clone(h.kv[r.Slot][:r.Past]), r.Tokens...)
	}
	if !both {
		h.turns = nil
	} else {
		h.turns = append(h.turns, kind)
	}
	var ended []*Sequence
	for _, seq := range h.s.advance(p) {
		if seq == nil {
			continue
		}
		seq.accept(int32(rapid.IntRange(0, 3).Draw(h.t, "token")), time.Time{})
		switch {
		case seq.finish != "":
			ended = append(ended, seq)
		case seq == h.s.prefill:
			h.apply(h.s.join())
		}
	}
	for _, seq := range ended {
		h.remove(seq)
	}
}

// remove takes a sequence out.
func (h *history) remove(seq *Sequence) {
	h.apply(h.s.remove(seq))
	h.live = slices.DeleteFunc(h.live, func(s *Sequence) bool { return s == seq })
}

// check asserts what holds between steps.
func (h *history) check() {
	seen := map[*Sequence]bool{}
	for i := range h.s.slots {
		slot := &h.s.slots[i]
		if len(slot.tokens) > len(h.kv[i]) || !slices.Equal(slot.tokens, h.kv[i][:len(slot.tokens)]) {
			h.t.Fatalf("slot %d claims %v, the memory holds %v", i, slot.tokens, h.kv[i])
		}
		if (slot.seq != nil) != (i < h.s.running || slot.seq == h.s.prefill && slot.seq != nil) {
			h.t.Fatalf("slot %d of %d running: sequence %p, prefill %p", i, h.s.running, slot.seq, h.s.prefill)
		}
		if seq := slot.seq; seq != nil {
			if seen[seq] || seq.slot != i || len(slot.tokens) != seq.computed {
				h.t.Fatalf("slot %d: sequence in slot %d, %d tokens of %d computed, seen %v", i, seq.slot, len(slot.tokens), seq.computed, seen[seq])
			}
			seen[seq] = true
		}
	}
	for _, seq := range h.s.waiting {
		if seen[seq] {
			h.t.Fatal("a waiting sequence has a slot")
		}
		seen[seq] = true
	}
	if len(seen) != len(h.live) {
		h.t.Fatalf("the scheduler holds %d sequences, %d live", len(seen), len(h.live))
	}
	if n := len(h.turns); n >= 2 && h.turns[n-1] == h.turns[n-2] {
		h.t.Fatalf("two %s runs in a row while the other kind waits", h.turns[n-1])
	}
}

// TestScheduler drives the scheduler through random histories of arrivals, steps and cancellations.
func TestScheduler(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slots := rapid.IntRange(1, 5).Draw(t, "slots")
		h := &history{t: t, s: newScheduler(slots, rapid.IntRange(1, 6).Draw(t, "chunk"), rapid.IntRange(3, 10).Draw(t, "idle"))}
		h.kv = make([][]int32, slots+1)
		t.Repeat(map[string]func(*rapid.T){
			"arrive": func(t *rapid.T) {
				prompt := rapid.SliceOfN(rapid.Int32Range(0, 2), 1, 20).Draw(t, "prompt")
				r := Request{Prompt: prompt, MaxTokens: rapid.IntRange(1, 12).Draw(t, "max"), StopTokens: []int32{3}, Detokenizer: silent{}}
				seq := newSequence(context.Background(), r, 40, time.Time{})
				h.live = append(h.live, seq)
				h.s.add(seq)
				h.turns = nil
			},
			"step": func(t *rapid.T) { h.t = t; h.step() },
			"steps": func(t *rapid.T) {
				h.t = t
				for range 10 {
					h.step()
					h.check()
				}
			},
			"cancel": func(t *rapid.T) {
				if len(h.live) == 0 {
					t.Skip("no sequence to cancel")
				}
				h.remove(h.live[rapid.IntRange(0, len(h.live)-1).Draw(t, "which")])
				h.turns = nil
			},
			"": func(t *rapid.T) { h.t = t; h.check() },
		})
		for range 10000 {
			if len(h.live) == 0 {
				return
			}
			h.step()
		}
		t.Fatalf("%d sequences never ended", len(h.live))
	})
}

// TestStopMatcher compares the matcher, fed piece by piece, with a search in the whole text.
func TestStopMatcher(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOfN(rapid.SampledFrom([]rune("abé")), 1, 4, -1)
		stops := rapid.SliceOfN(word, 0, 3).Draw(t, "stops")
		pieces := rapid.SliceOfN(word, 0, 12).Draw(t, "pieces")
		whole := strings.Join(pieces, "")

		m := stopMatcher{stops: stops}
		var got strings.Builder
		found, fed := false, 0
		for _, p := range pieces {
			var safe string
			safe, found = m.feed(p)
			got.WriteString(safe)
			fed += len(p)
			if found {
				break
			}
		}
		if !found {
			got.WriteString(m.flush())
		}
		// The matcher stops at the first piece that completes a stop string: the earliest begin of those complete by then counts.
		want, wantFound := whole, false
		for _, s := range stops {
			if i := strings.Index(whole[:fed], s); i >= 0 {
				wantFound = true
				if i < len(want) {
					want = whole[:i]
				}
			}
		}
		if found != wantFound || got.String() != want {
			t.Fatalf("stops %q, pieces %q: got %q %v, want %q %v", stops, pieces, got.String(), found, want, wantFound)
		}
	})
}

// TestStopMatcherHoldsLittle shows that only what may become a stop string is held back.
func TestStopMatcherHoldsLittle(t *testing.T) {
	m := stopMatcher{stops: []string{"END", "\n\n"}}
	var got []string
	for _, p := range []string{"text", " E", "N", "x\n", "E", "ND after"} {
		safe, found := m.feed(p)
		got = append(got, fmt.Sprintf("%q %v", safe, found))
	}
	want := []string{`"text" false`, `" " false`, `"" false`, `"ENx" false`, `"\n" false`, `"" true`}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// BenchmarkDecodeStep is the engine's own part of a decode step of eight sequences.
func BenchmarkDecodeStep(b *testing.B) {
	s := newScheduler(8, 64, 64)
	logits := make([]float32, 8*1000)
	for i := range 8 {
		r := Request{Prompt: []int32{int32(i), 1, 2}, Detokenizer: silent{}, Params: sample.Params{}}
		s.add(newSequence(context.Background(), r, 1<<30, time.Time{}))
	}
	step := func() {
		p := s.next()
		for i, seq := range s.advance(p) {
			id, err := seq.sampler.Sample(logits[i*1000 : (i+1)*1000])
			if err != nil {
				b.Fatal(err)
			}
			seq.accept(id, time.Time{})
			if seq == s.prefill {
				s.join()
			}
			if _, ok := seq.stream.take(); !ok {
				b.Fatal("no event")
			}
		}
	}
	for range 16 {
		step()
	}
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}
