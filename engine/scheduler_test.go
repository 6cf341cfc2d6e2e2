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
	t      *rapid.T
	s      *Scheduler
	kv     [][]kvRow // of each slot; the last is scratch. Position p is in row p modulo their number
	window int       // how many rows before its end a sequence needs
	live   []*Sequence
	turns  []string // "decode" or "prefill", of steps at which both could have run
}

// kvRow is what a row of KV memory was computed from.
type kvRow struct {
	position int // from 1 on
	token    int32
}

// write puts a token's row into a slot.
func (h *history) write(slot, position int, token int32) {
	rows := h.kv[slot]
	rows[position%len(rows)] = kvRow{position + 1, token}
}

// holds says whether a slot holds the rows that a sequence of these tokens needs.
func (h *history) holds(slot int, tokens []int32) bool {
	rows := h.kv[slot]
	for p := max(0, len(tokens)-h.window); p < len(tokens); p++ {
		if rows[p%len(rows)] != (kvRow{p + 1, tokens[p]}) {
			return false
		}
	}
	return true
}

// apply carries out moves on the KV memory.
func (h *history) apply(moves []move) {
	for _, m := range moves {
		n := min(m.n, len(h.kv[m.src]))
		copy(h.kv[m.dst][:n], h.kv[m.src])
		clear(h.kv[m.dst][n:])
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
		if limit := h.s.options.rows; limit > 0 && len(p.batch.Rows) > limit {
			h.t.Fatalf("%d rows, the limit is %d", len(p.batch.Rows), limit)
		}
		own := min(len(r.Tokens), len(seq.tokens)-r.Past) // behind them comes a draft
		if r.Past != seq.computed || !slices.Equal(r.Tokens[:own], seq.tokens[r.Past:r.Past+own]) {
			h.t.Fatalf("row %+v of a sequence with %d of %v computed", r, seq.computed, seq.tokens)
		}
		if draft := len(r.Tokens) - own; draft > 0 && (h.s.running != 1 || draft > h.s.options.draft || r.Logits != draft+1) {
			h.t.Fatalf("a draft of %d tokens in %+v beside %d running", draft, r, h.s.running)
		}
		if seq.prefilling() {
			kind = "prefill"
			if len(r.Tokens) == 1 && seq.prompt > 1 {
				h.t.Fatalf("a run of one token inside a prompt of %d", seq.prompt)
			}
			limit := h.s.options.idle
			if h.s.running > 0 {
				limit = h.s.options.chunk
			}
			if h.s.options.whole {
				limit = seq.prompt
				if r.Past != 0 || len(r.Tokens) != seq.prompt {
					h.t.Fatalf("%d tokens after %d of a prompt of %d that is one run", len(r.Tokens), r.Past, seq.prompt)
				}
			}
			if len(r.Tokens) > limit {
				h.t.Fatalf("a chunk of %d tokens, the limit is %d", len(r.Tokens), limit)
			}
		}
		if !h.holds(r.Slot, seq.tokens[:r.Past]) || h.s.options.strict && r.Past < seq.prompt && h.s.slots[r.Slot].sure < r.Past {
			h.t.Fatalf("slot %d holds %v, the sequence's tokens are %v", r.Slot, h.kv[r.Slot], seq.tokens[:r.Past])
		}
		for j, id := range r.Tokens {
			h.write(r.Slot, r.Past+j, id)
		}
		if h.s.options.wrap == 0 { // a model may pad
			h.write(r.Slot, r.Past+len(r.Tokens), -1)
		}
	}
	if h.s.options.wrap == 0 {
		h.write(p.batch.Rows[len(p.batch.Rows)-1].Slot+1, p.batch.Idle, -1)
	}
	if !both {
		h.turns = nil
	} else {
		h.turns = append(h.turns, kind)
	}
	h.s.advance(p)
	var ended []*Sequence
	for i, seq := range p.seqs {
		r := p.batch.Rows[i]
		for k := range r.Logits {
			id := int32(rapid.IntRange(0, 3).Draw(h.t, "token"))
			seq.accept(drawn{id: id}, time.Time{})
			draft := r.Tokens[len(r.Tokens)-r.Logits+1:]
			if seq.finish != "" || k == len(draft) || id != draft[k] {
				break
			}
		}
		switch {
		case r.Logits > 1:
			h.s.trim(seq)
			fallthrough
		default:
			if seq.finish != "" {
				ended = append(ended, seq)
			} else if r.Logits > 0 && seq == h.s.prefill {
				h.apply(h.s.join())
			}
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
		if !h.holds(i, slot.tokens) {
			h.t.Fatalf("slot %d claims %v, the memory holds %v", i, slot.tokens, h.kv[i])
		}
		if slot.sure > len(slot.tokens) {
			h.t.Fatalf("slot %d is sure of %d tokens and holds %d", i, slot.sure, len(slot.tokens))
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
	round := 1 // decode runs in a row
	if h.s.options.rows > 0 {
		round = len(h.s.slots)
	}
	if n := len(h.turns); n >= 2 && h.turns[n-1] == "prefill" && h.turns[n-2] == "prefill" {
		h.t.Fatal("two prefill runs in a row while decode waits")
	}
	if n := len(h.turns); n > round && !slices.Contains(h.turns[n-round-1:], "prefill") {
		h.t.Fatalf("%d decode runs in a row while prefill waits", round+1)
	}
}

// longest is the most tokens of a sequence in these tests.
const longest = 40

// TestScheduler drives the scheduler through random histories of arrivals, steps and cancellations.
func TestScheduler(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slots := rapid.IntRange(1, 5).Draw(t, "slots")
		o := schedulerOptions{
			slots: slots, chunk: rapid.IntRange(1, 6).Draw(t, "chunk"), idle: rapid.IntRange(3, 10).Draw(t, "idle"),
			draft: rapid.IntRange(0, 4).Draw(t, "draft"), strict: rapid.Bool().Draw(t, "strict"),
			rows: rapid.IntRange(0, 2).Draw(t, "rows"), whole: rapid.IntRange(0, 3).Draw(t, "whole") == 0,
			shared: [][]int32{{0, 1, 0, 1, 0, 1, 0, 1}},
		}
		window, rows := longest, longest+2 // one more for padding
		if rapid.Bool().Draw(t, "wraps") {
			window = rapid.IntRange(1, 24).Draw(t, "window")
			rows, o.wrap, o.draft = window, window, 0
		}
		if o.whole {
			o.draft = 0
		}
		h := &history{t: t, s: newScheduler(o), window: window}
		for range slots + 1 {
			h.kv = append(h.kv, make([]kvRow, rows))
		}
		t.Repeat(map[string]func(*rapid.T){
			"arrive": func(t *rapid.T) {
				prompt := rapid.SliceOfN(rapid.Int32Range(0, 2), 1, 20).Draw(t, "prompt")
				r := Request{Prompt: prompt, MaxTokens: rapid.IntRange(1, 12).Draw(t, "max"), StopTokens: []int32{3}, Detokenizer: silent{}}
				r.Scope = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "scope")
				r.Group = r.Scope
				r.Fresh = rapid.IntRange(0, 5).Draw(t, "fresh") == 0
				seq := newSequence(context.Background(), r, longest, time.Time{})
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

// TestStopMatcherBounded: as many and as long stop strings as a request may have, all of them nearly there, hold back no more than one of them,
// and a mebibyte passes. The bound only guards against a hang.
func TestStopMatcherBounded(t *testing.T) {
	const longest = 256
	m := stopMatcher{}
	for i := range 32 {
		m.stops = append(m.stops, strings.Repeat("a", longest-2)+"é"[:1]+string(rune('a'+i)))
	}
	begin, size := time.Now(), 0
	for range 1 << 18 {
		safe, found := m.feed("aaaa")
		if found || len(m.held) >= longest {
			t.Fatalf("found %v, %d bytes are held back", found, len(m.held))
		}
		size += len(safe)
	}
	if size += len(m.flush()); size != 1<<20 {
		t.Errorf("%d bytes of %d came through", size, 1<<20)
	}
	if took := time.Since(begin); took > 2*time.Minute {
		t.Errorf("it took %s", took)
	}
}

// BenchmarkDecodeStep is the engine's own part of a decode step of eight sequences.
func BenchmarkDecodeStep(b *testing.B) {
	s := newScheduler(schedulerOptions{slots: 8, chunk: 64, idle: 64})
	logits := make([]float32, 8*1000)
	for i := range 8 {
		r := Request{Prompt: []int32{int32(i), 1, 2}, Detokenizer: silent{}, Params: sample.Params{}}
		s.add(newSequence(context.Background(), r, 1<<30, time.Time{}))
	}
	step := func() {
		p := s.next()
		s.advance(p)
		for i, seq := range p.seqs {
			id, err := seq.sampler.Sample(logits[i*1000 : (i+1)*1000])
			if err != nil {
				b.Fatal(err)
			}
			seq.accept(drawn{id: id}, time.Time{})
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

// TestScope shows whose KV rows a request may use.
func TestScope(t *testing.T) {
	text := make([]int32, 50)
	for i := range text {
		text[i] = int32(i)
	}
	f := func(what string, o schedulerOptions, first, second Request, want int) {
		t.Helper()
		o.slots, o.chunk, o.idle = 3, 100, 100
		s := newScheduler(o)
		for _, r := range []Request{first, second} {
			r.Prompt, r.Detokenizer = text, silent{}
			seq := newSequence(context.Background(), r, 100, time.Time{})
			s.add(seq)
			s.advance(s.next())
			s.join()
			seq.accept(drawn{id: 99}, time.Time{})
			if r.Stop == nil { // what Stop holds is not looked at here: its presence keeps the sequence running
				s.remove(seq)
			}
			if seq.group == "second" && seq.cached != want {
				t.Errorf("%s: %d tokens were cached, want %d", what, seq.cached, want)
			}
		}
	}
	running := []string{"x"}
	f("same scope", schedulerOptions{}, Request{Scope: "a"}, Request{Scope: "a", Group: "second"}, 48)
	f("same scope, busy", schedulerOptions{}, Request{Scope: "a", Stop: running}, Request{Scope: "a", Group: "second"}, 48)
	f("another scope", schedulerOptions{}, Request{Scope: "a"}, Request{Scope: "b", Group: "second"}, 0)
	f("another scope, busy", schedulerOptions{}, Request{Scope: "a", Stop: running}, Request{Scope: "b", Group: "second"}, 0)
	f("shared text", schedulerOptions{shared: [][]int32{text[:20]}}, Request{Scope: "a"}, Request{Scope: "b", Group: "second"}, 20)
	f("fresh", schedulerOptions{}, Request{Scope: "a"}, Request{Scope: "a", Group: "second", Fresh: true}, 0)
}

// TestTurns shows that a group with many requests does not keep another waiting.
func TestTurns(t *testing.T) {
	s := newScheduler(schedulerOptions{slots: 1})
	for i, group := range []string{"a", "a", "a", "a", "b", "c", "b"} {
		s.add(newSequence(context.Background(), Request{Prompt: []int32{int32(i)}, Group: group, Detokenizer: silent{}}, 10, time.Time{}))
	}
	var got []string
	for len(s.waiting) > 0 {
		seq := s.takeWaiting()
		got = append(got, fmt.Sprint(seq.group, seq.tokens[0]))
	}
	if want := []string{"a0", "b4", "c5", "a1", "b6", "a2", "a3"}; !slices.Equal(got, want) {
		t.Errorf("turns %v, want %v", got, want)
	}
}

// TestKeepsOtherConversation shows that a short common beginning does not cost a long conversation its place.
func TestKeepsOtherConversation(t *testing.T) {
	s := newScheduler(schedulerOptions{slots: 2, chunk: 100, idle: 100})
	run := func(prompt []int32) *Sequence {
		seq := newSequence(context.Background(), Request{Prompt: prompt, Detokenizer: silent{}}, 200, time.Time{})
		s.add(seq)
		s.advance(s.next())
		s.join()
		seq.accept(drawn{id: 1}, time.Time{})
		s.remove(seq)
		return seq
	}
	system := []int32{7, 7, 7, 7, 7, 7, 7, 7}
	first := slices.Concat(system, make([]int32, 80))
	run(first)
	if seq := run(slices.Concat(system, []int32{1, 2, 3})); seq.cached != 8 {
		t.Errorf("%d tokens of the system text were cached, want 8", seq.cached)
	}
	if seq := run(append(first, 5, 5, 5)); seq.cached != 88 {
		t.Errorf("%d tokens of the first conversation were cached, want 88", seq.cached)
	}
}

func TestChunk(t *testing.T) {
	s := &Scheduler{}
	f := func(prompt, limit int, want ...int) {
		t.Helper()
		var got []int
		for rest := prompt; rest > 0; rest -= got[len(got)-1] {
			got = append(got, s.chunk(rest, limit))
		}
		if !slices.Equal(got, want) {
			t.Errorf("a prompt of %d, at most %d a run: %v, want %v", prompt, limit, got, want)
		}
	}
	f(1, 3, 1)
	f(3, 3, 3)
	f(4, 3, 2, 2)
	f(5, 3, 3, 2)
	f(7, 3, 3, 2, 2)
	f(128, 128, 128)
	f(129, 128, 65, 64)
	f(165, 128, 83, 82)
	f(1000, 256, 250, 250, 250, 250)
	s.options.strict = true // no run ends in a tile of one token
	f(16, 128, 16)
	f(17, 128, 15, 2)
	f(33, 128, 31, 2)
	f(129, 128, 63, 66)
	f(257, 256, 127, 130)
	s.options.whole = true
	f(33, 128, 33)
	for _, strict := range []bool{false, true} {
		s.options = schedulerOptions{strict: strict}
		for limit := minChunk; limit < 40; limit++ {
			for prompt := 2; prompt < 100; prompt++ {
				for rest := prompt; rest > 0; {
					n := s.chunk(rest, limit)
					if n < 2 || n > limit || strict && n%queryTile == 1 {
						t.Fatalf("a prompt of %d, at most %d a run: %d of %d left", prompt, limit, n, rest)
					}
					rest -= n
				}
			}
		}
	}
}
