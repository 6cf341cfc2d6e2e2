package routes

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ortserve/engine"
	"ortserve/pool"
	"ortserve/sample"
	"ortserve/template/thinking"
)

// TestResponseOfThoughts: however many tokens an event of a stream holds, the response at its end is that of the whole answer, and the
// log-probabilities are those of the answer's tokens.
func TestResponseOfThoughts(t *testing.T) {
	w := newWorld(t, "", withTemplate(r1Template))
	loaded, release, err := w.pool.Get(t.Context(), "", pool.User{})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	f := func(at thinking.Place, answered string, finish engine.FinishReason, items, logprobs string) {
		t.Helper()
		frames := func() *responseFrames {
			g := &generation{Loaded: loaded, server: w.server, place: at}
			return &responseFrames{spelling: spelling{loaded}, held: heldLogprobs{}, id: fixedID, calls: g.reader(&toolbox{}, &thinkWish{}, "call_", fixedID)}
		}
		a := answer{text: answered, finish: finish}
		for _, c := range []byte(answered) { // the tiny model's tokens of bytes
			a.tokens = append(a.tokens, int32(c))
			a.logprobs = append(a.logprobs, sample.Logprobs{Logprob: sample.Logprob{ID: int32(c)}})
		}
		whole := frames()
		whole.whole([]answer{a}, engine.Usage{})
		var got, spelt string
		for _, item := range whole.response.Output {
			part := (*item.Content)[0]
			got += fmt.Sprintf("%s %s %q; ", item.Type, item.Status, part.Text)
			if part.Logprobs != nil {
				for _, l := range *part.Logprobs {
					spelt += l.Token
				}
			}
		}
		if got != items || spelt != logprobs {
			t.Errorf("%q: %s with %q, want %s with %q", answered, got, spelt, items, logprobs)
		}
		for range 30 {
			streamed, out := frames(), &frameWriter{}
			lag := rand.IntN(2) // of the text and its log-probabilities behind the tokens
			shown := 0
			for n := 0; n < len(answered); {
				next := n + 1 + rand.IntN(min(len(answered)-n, 12))
				ev := engine.Event{Tokens: a.tokens[n:next]}
				to := next - lag
				if next == len(answered) {
					to, ev.Finish = next, finish
				}
				ev.Text, ev.Logprobs = answered[shown:to], a.logprobs[shown:to]
				shown, n = to, next
				streamed.event(out, 0, ev)
			}
			streamed.end(out, engine.Usage{})
			if diff := cmp.Diff(whole.response.Output, streamed.response.Output); diff != "" {
				t.Fatalf("%q (-whole +streamed):\n%s\n%s", answered, diff, out.buf.String())
			}
		}
	}
	const done, cut = engine.FinishStop, engine.FinishLength
	f(thinking.Inside, "Hm.</think>\n\nYes.", done, `reasoning completed "Hm."; message completed "Yes."; `, "\n\nYes.")
	f(thinking.Before, "\n<think>Hm.</think>Yes.", done, `reasoning completed "Hm."; message completed "Yes."; `, "Yes.")
	f(thinking.Before, " Yes.", done, `message completed " Yes."; `, " Yes.")
	f(thinking.Inside, "</think>Yes.", cut, `message incomplete "Yes."; `, "Yes.")
	f(thinking.Inside, "Hm. And", cut, `reasoning incomplete "Hm. And"; message incomplete ""; `, "")
	f(thinking.Inside, "Hm.</thi", cut, `reasoning incomplete "Hm.</thi"; message incomplete ""; `, "")
	f(thinking.Inside, "Hm.</think>\n", cut, `reasoning completed "Hm."; message incomplete ""; `, "\n")
	f(thinking.Inside, "Hm. And", done, `reasoning completed "Hm. And"; message completed ""; `, "")
}

// TestResponseLogprobsOfThoughts: the same over HTTP, with the deltas' own.
func TestResponseLogprobsOfThoughts(t *testing.T) {
	w := newWorld(t, "Hm.</think>Yes.", withTemplate(r1Template))
	r := w.post("/v1/responses", `{"input":"hi","include":["message.output_text.logprobs"],"top_logprobs":1,"stream":true}`)
	want := `"logprobs":[` + sure("Y") + "," + sure("e") + "," + sure("s") + "," + sure(".") + `]`
	var deltas string
	for line := range strings.Lines(r.body) {
		if strings.HasPrefix(line, `data: {"type":"response.output_text.delta"`) {
			deltas += line
		}
	}
	if n := strings.Count(deltas, `"top_logprobs"`); r.status != http.StatusOK || n != 4 || strings.Count(r.body, want) < 4 {
		t.Errorf("%d, %d of deltas: %s", r.status, n, r.body)
	}
}
