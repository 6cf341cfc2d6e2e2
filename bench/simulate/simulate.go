package simulate

import (
	"context"
	"errors"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"ortserve/engine"
)

// vocab is that of the made-up model, whose every token is the same.
const vocab = 1 << 12

// model is one that takes time and knows nothing.
type model struct {
	info   engine.ModelInfo
	cost   Cost
	logits []float32
}

func newModel(c Cost, slots, maxLen int) *model {
	m := &model{cost: c, info: engine.ModelInfo{Vocab: vocab, Slots: slots, MaxLen: maxLen, Chunk: 512, Logits: 1}}
	m.logits = make([]float32, slots*vocab)
	for i := 1; i < len(m.logits); i += vocab {
		m.logits[i] = 1
	}
	return m
}

func (m *model) Info() engine.ModelInfo { return m.info }

func (m *model) Forward(b *engine.Batch) (engine.Logits, error) {
	time.Sleep(time.Duration(m.cost.Seconds(b) * float64(time.Second)))
	return engine.Logits{Data: m.logits, Vocab: vocab}, nil
}

func (m *model) Copy(int, int, int) error { return nil }
func (m *model) Close() error             { return nil }

// Request is one of a trace.
type Request struct {
	At           time.Duration // since the trace begins; those of a Trace with Clients are asked one after the other
	Conversation uint64
	Prompt       []int32
	Answer       int // tokens
}

// Trace is requests in the order of their times.
type Trace struct {
	Requests []Request
	Clients  int // that ask one request after the other; 0: each comes at its time
}

// Chats is a trace of conversations that begin at random (so many a second, for so long), of one to four turns, each of which brings the
// turns before as its prompt's beginning. All have a system prompt of 200 tokens in common. Lengths of messages and answers spread as
// people's do, around 60 and 150 tokens.
func Chats(seed uint64, perSecond float64, long time.Duration) Trace {
	r := rand.New(rand.NewPCG(seed, 1))
	system := tokens(r, 200)
	about := func(mean, most float64) int { return int(math.Min(most, mean*math.Exp(0.8*r.NormFloat64()-0.32))) + 1 }
	var t Trace
	for at, n := 0.0, uint64(0); ; n++ {
		if at += r.ExpFloat64() / perSecond; at > long.Seconds() {
			break
		}
		prompt, when := slices.Clone(system), at
		for range 1 + r.IntN(4) {
			prompt = append(prompt, tokens(r, about(60, 1000))...)
			q := Request{time.Duration(when * float64(time.Second)), n, slices.Clone(prompt), about(150, 600)}
			t.Requests = append(t.Requests, q)
			prompt = append(prompt, slices.Repeat([]int32{1}, q.Answer)...) // what the model says
			when += 20 + r.ExpFloat64()*20                                  // reading and writing
		}
	}
	slices.SortStableFunc(t.Requests, func(a, b Request) int { return int(a.At - b.At) })
	return t
}

// Burst is so many clients that ask at once and once more for each round, prompts that have nothing in common.
func Burst(seed uint64, clients, rounds, prompt, answer int) Trace {
	r, t := rand.New(rand.NewPCG(seed, 2)), Trace{Clients: clients}
	for n := range clients * rounds {
		t.Requests = append(t.Requests, Request{Conversation: uint64(n), Prompt: tokens(r, prompt), Answer: answer})
	}
	return t
}

func tokens(r *rand.Rand, n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = 2 + r.Int32N(vocab-2)
	}
	return ids
}

// Setup is what answers.
type Setup struct {
	Cost     Cost
	Slots    int
	MaxLen   int
	Chunk    int // tokens of a prompt's run while others decode
	Queue    int
	Replicas int
	// Sticky sends a conversation to the replica that has its tokens, unless that has a quarter more than its share; else the least busy one
	// gets it.
	Sticky bool
}

// Result is what the clients saw.
type Result struct {
	Requests, Refused int
	Took              time.Duration
	Tokens            int             // of all answers
	Prompt, Cached    int             // tokens of all prompts, and those that were not computed again
	First, Between    []time.Duration // sorted: to the first token, and the mean from one to the next of each answer
}

// Rate is tokens a second of all answers.
func (r *Result) Rate() float64 { return float64(r.Tokens) / r.Took.Seconds() }

// Percentile is the smallest of sorted times that so many of 100 do not exceed.
func Percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, int(math.Ceil(p/100*float64(len(sorted))))-1)]
}

// replicas are engines, and how many requests each has.
type replicas struct {
	setup   Setup
	engines []*engine.Engine

	mu   sync.Mutex
	busy []int
}

// take chooses a replica for a conversation.
func (p *replicas) take(conversation uint64) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, all := 0, 1
	for i, n := range p.busy {
		all += n
		if n < p.busy[at] {
			at = i
		}
	}
	if p.setup.Sticky {
		h := fnv.New64a()
		_, _ = h.Write([]byte{byte(conversation), byte(conversation >> 8), byte(conversation >> 16), byte(conversation >> 24)}) // no error
		own := int(h.Sum64() % uint64(len(p.busy)))
		if float64(p.busy[own]+1) <= math.Ceil(1.25*float64(all)/float64(len(p.busy))) {
			at = own
		}
	}
	p.busy[at]++
	return at
}

func (p *replicas) put(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy[i]--
}

// Run answers the trace. It is called in a bubble of testing/synctest.
func Run(ctx context.Context, s Setup, t Trace) (*Result, error) {
	p := &replicas{setup: s, busy: make([]int, s.Replicas)}
	for range s.Replicas {
		p.engines = append(p.engines, engine.New(newModel(s.Cost, s.Slots, s.MaxLen), engine.Options{Chunk: s.Chunk, Queue: s.Queue}))
	}
	out, begin := &Result{Requests: len(t.Requests)}, time.Now()
	var mu sync.Mutex
	var failed []error
	one := func(q *Request) {
		first, between, usage, err := p.ask(ctx, q)
		mu.Lock()
		defer mu.Unlock()
		if busy := (*engine.OverloadedError)(nil); errors.As(err, &busy) {
			out.Refused++
			return
		}
		if err != nil {
			failed = append(failed, err)
			return
		}
		out.Tokens, out.Prompt, out.Cached = out.Tokens+usage.CompletionTokens, out.Prompt+usage.PromptTokens, out.Cached+usage.CachedTokens
		out.First, out.Between = append(out.First, first), append(out.Between, between)
	}
	var wait sync.WaitGroup
	for i := range t.Clients {
		wait.Go(func() {
			for j := i; j < len(t.Requests); j += t.Clients {
				one(&t.Requests[j])
			}
		})
	}
	for i := range t.Requests {
		if t.Clients == 0 {
			time.Sleep(t.Requests[i].At - time.Since(begin))
			wait.Go(func() { one(&t.Requests[i]) })
		}
	}
	wait.Wait()
	out.Took = time.Since(begin)
	for _, e := range p.engines {
		failed = append(failed, e.Close(ctx))
	}
	slices.Sort(out.First)
	slices.Sort(out.Between)
	return out, errors.Join(failed...)
}

// text is what the made-up tokens say.
type text struct{}

func (text) Next(ids []int32) string { return string(make([]byte, len(ids))) }

// ask sends a request and reads its answer.
func (p *replicas) ask(ctx context.Context, q *Request) (first, between time.Duration, usage engine.Usage, err error) {
	at := p.take(q.Conversation)
	defer p.put(at)
	begin := time.Now()
	stream, err := p.engines[at].Submit(ctx, engine.Request{Prompt: q.Prompt, MaxTokens: q.Answer, Detokenizer: text{}})
	if err != nil {
		return 0, 0, usage, err
	}
	for {
		e, err := stream.Next(ctx)
		if err != nil {
			return 0, 0, usage, err
		}
		if first == 0 && len(e.Tokens) > 0 {
			first = time.Since(begin)
		}
		if e.Finish == engine.FinishError {
			return 0, 0, usage, e.Err
		}
		if e.Finish != "" {
			took := time.Since(begin) - first
			return first, took / time.Duration(max(1, e.Usage.CompletionTokens-1)), e.Usage, nil
		}
	}
}
