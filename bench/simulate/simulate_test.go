package simulate

import (
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// plain is a cost of round numbers.
var plain = Cost{Step: 20e-3, Row: 2e-3, KV: 1e-6, Prompt: 3e-3, Attend: 1e-7}

func simulate(t *testing.T, s Setup, trace Trace) (r *Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		if r, err = Run(t.Context(), s, trace); err != nil {
			t.Fatal(err)
		}
	})
	return r
}

// TestFit finds the cost that points were computed with, and leaves out what would be negative.
func TestFit(t *testing.T) {
	var s Speed
	for _, context := range []int{128, 512, 2048} {
		n := float64(context)
		s.Prefill = append(s.Prefill, struct {
			Context int     `json:"context"`
			Seconds float64 `json:"seconds"`
		}{context, n*plain.Prompt + n*n/2*plain.Attend})
		for _, batch := range []int{1, 4, 8} {
			b := float64(batch)
			s.Decode = append(s.Decode, struct {
				Context int     `json:"context"`
				Batch   int     `json:"batch"`
				Seconds float64 `json:"step_seconds"`
			}{context, batch, plain.Step + b*plain.Row + b*n*plain.KV})
		}
	}
	same := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-6*want+1e-12 {
			t.Errorf("%s is %g, want %g", what, got, want)
		}
	}
	c, err := Fit(&s)
	if err != nil {
		t.Fatal(err)
	}
	same("Step", c.Step, plain.Step)
	same("Row", c.Row, plain.Row)
	same("KV", c.KV, plain.KV)
	same("Prompt", c.Prompt, plain.Prompt)
	same("Attend", c.Attend, plain.Attend)
	for i := range s.Prefill { // as if a longer prompt were faster
		s.Prefill[i].Seconds = float64(s.Prefill[i].Context) * (4e-3 - 1e-6*float64(s.Prefill[i].Context))
	}
	if c, err = Fit(&s); err != nil || c.Attend != 0 || c.Prompt <= 0 {
		t.Errorf("%+v, %v", c, err)
	}
	s.Decode = s.Decode[:2]
	if _, err := Fit(&s); err == nil {
		t.Error("two points are enough")
	}
}

// TestOneClient: the simulated times of one request are those that can be worked out by hand.
func TestOneClient(t *testing.T) {
	const prompt, answer = 300, 50
	r := simulate(t, Setup{Cost: plain, Slots: 1, MaxLen: 1024, Chunk: 512, Queue: 4, Replicas: 1}, Burst(1, 1, 1, prompt, answer))
	first := prompt*plain.Prompt + prompt*prompt/2*plain.Attend
	rest := 0.0
	for i := range answer - 1 {
		rest += plain.Step + plain.Row + float64(prompt+i)*plain.KV
	}
	for what, v := range map[string][2]float64{
		"the first token": {r.First[0].Seconds(), first}, "between tokens": {r.Between[0].Seconds(), rest / (answer - 1)}, "all": {r.Took.Seconds(), first + rest},
	} {
		if math.Abs(v[0]-v[1]) > 1e-4*v[1] {
			t.Errorf("%s takes %g s, want %g", what, v[0], v[1])
		}
	}
	if r.Tokens != answer || r.Prompt != prompt || r.Cached != 0 || r.Refused != 0 {
		t.Errorf("%+v", r)
	}
}

// TestCrowd: what is true of any server is true of the simulated one.
func TestCrowd(t *testing.T) {
	trace := Chats(3, 0.5, 5*time.Minute)
	s := Setup{Cost: plain, Slots: 8, MaxLen: 8192, Chunk: 128, Queue: 1000, Replicas: 1}
	one := simulate(t, s, trace)
	if again := simulate(t, s, trace); again.Took != one.Took || !slices.Equal(again.First, one.First) {
		t.Errorf("the same trace takes %v, then %v", one.Took, again.Took)
	}
	want := 0
	for _, q := range trace.Requests {
		want += q.Answer
	}
	if one.Tokens != want || one.Refused > 0 {
		t.Errorf("%d tokens, want %d; %d refused", one.Tokens, want, one.Refused)
	}
	if one.Cached == 0 {
		t.Error("no turn finds the turns before it")
	}
	s.Replicas = 4
	least := simulate(t, s, trace)
	s.Sticky = true
	sticky := simulate(t, s, trace)
	if Percentile(least.First, 95) >= Percentile(one.First, 95) {
		t.Errorf("four replicas: the first token after %v, one: %v", Percentile(least.First, 95), Percentile(one.First, 95))
	}
	if sticky.Cached <= least.Cached {
		t.Errorf("conversations that stay find %d tokens, others %d", sticky.Cached, least.Cached)
	}
	s.Replicas, s.Sticky, s.Queue = 1, false, 2
	if few := simulate(t, s, trace); few.Refused == 0 || few.Refused+len(few.First) != len(trace.Requests) {
		t.Errorf("with a short queue %d are refused and %d answered of %d", few.Refused, len(few.First), len(trace.Requests))
	}
}
