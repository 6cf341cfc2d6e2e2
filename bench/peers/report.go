package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// markdown is the tables.
func (r *results) markdown() string {
	var w strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&w, format+"\n", args...) }
	p("Measured %s on %s, %d cores, %s of memory, %s, load average %s before the run.",
		r.When.Format("2006-01-02 15:04"), r.Machine.CPU, r.Machine.Cores, r.Machine.Memory, r.Machine.System, r.Machine.Load)
	p("%s.\n", strings.Join(r.Versions, ", "))
	p("    %s\n", r.Command)
	p("Every server has as many slots as there are clients and its own choice of threads. All get the same prompts at once, of %d words where", promptWords)
	p("no length is told, in an order that no other prompt has; answers are greedy, streamed, %d tokens long. Figures are medians of %d rounds in turn.", r.Tokens, r.Rounds)
	p("A ratio is the median of the ratios round by round, with the least and the greatest: above 1 for tokens a second, and below 1 for")
	p("times, is better than llama.cpp's server. Without `--speculate off` a text that happens to repeat itself would be faster.")
	for i := range r.Models {
		r.Models[i].markdown(p)
	}
	return w.String()
}

func (m *modelResult) markdown(p func(string, ...any)) {
	p("\n### %s\n", m.Title)
	p("* llama.cpp: the GGUF file, %.2f bits a weight", m.Bits)
	for _, f := range m.Forms {
		p("* ortserve, %s", f)
	}
	if slices.ContainsFunc(m.Stages, func(s stage) bool { return s.Kind == kindClients || s.Kind == kindLength }) {
		p("\n![%s: tokens a second by clients and by length of the prompt](%s)", m.Title, m.image())
	}
	table(m.Stages, kindClients, "\n| clients | server | output tokens/s | ratio | first token, ms: median, p95 | ratio | between tokens, ms | ratio |\n"+
		"|---|---|---|---|---|---|---|---|", p, (*stage).clientRows)
	for i := range m.Stages {
		if m.Stages[i].Kind == kindClients {
			m.Stages[i].bareRows(p)
		}
	}
	table(m.Stages, kindLength, "\n| prompt | one client | prompt tokens/s to the first token | ratio | between tokens behind it, ms | ratio |\n|---|---|---|---|---|---|", p, (*stage).lengthRows)
	table(m.Stages, kindLoad, "\n| | start to first token, s | ratio |\n|---|---|---|", p, (*stage).loadRows)
	table(m.Stages, kindMemory, "\n| full slots | memory, MiB (Pss) | ratio |\n|---|---|---|", p, (*stage).memoryRows)
	for i := range m.Stages {
		switch s := &m.Stages[i]; s.Kind {
		case kindRepeat:
			s.repeatRows(p)
		case kindTurns:
			s.turnRows(p)
		}
	}
	m.commands(p)
}

// table shows the stages of a kind under a head, if there are any.
func table(all []stage, kind, head string, p func(string, ...any), rows func(*stage, func(string, ...any))) {
	for i := range all {
		if all[i].Kind != kind {
			continue
		}
		if head != "" {
			p("%s", head)
		}
		head = ""
		rows(&all[i], p)
	}
}

// title says what a stage is.
func (s *stage) title() string {
	if s.Length > 0 {
		return fmt.Sprintf("%s, %d clients, %d tokens", s.Kind, s.Clients, s.Length)
	}
	return fmt.Sprintf("%s, %d clients", s.Kind, s.Clients)
}

// against is f of a series over f of llama.cpp's, "" for that itself.
func (s *stage) against(r *series, f func(*series) []float64) string {
	peer := s.peer()
	if peer == nil || r == peer {
		return ""
	}
	return spread(ratios(f(r), f(peer)))
}

func (s *stage) lengthRows(p func(string, ...any)) {
	between := func(r *series) []float64 { return r.perRound((*answer).betweenTokens) }
	for i := range s.Series {
		r := &s.Series[i]
		p("| %d | %s | %.0f | %s | %.2f | %s |", s.Length, r.Name, median(r.prefill()), s.against(r, (*series).prefill), 1e3*median(between(r)), s.against(r, between))
	}
	var rates, steps []float64
	for _, b := range s.Bare {
		rates, steps = append(rates, b.prefillRate()), append(steps, b.Decode/float64(b.Tokens-1))
	}
	if peer := s.peer(); len(s.Bare) > 0 && peer != nil {
		p("| %d | onnxruntime-genai, no server around it | %.0f | %s | %.2f | %s |", s.Length,
			median(rates), spread(ratios(rates, peer.prefill())), 1e3*median(steps), spread(ratios(steps, between(peer))))
	}
	if s.BareError != "" {
		p("| %d | onnxruntime-genai | %s | | | |", s.Length, s.BareError)
	}
}

func (s *stage) loadRows(p func(string, ...any)) {
	took := func(r *series) []float64 { return r.perRound((*answer).firstToken) }
	for i := range s.Series {
		r := &s.Series[i]
		p("| %s | %.2f | %s |", r.Name, median(took(r)), s.against(r, took))
	}
}

func (s *stage) memoryRows(p func(string, ...any)) {
	size := func(r *series) []float64 { return []float64{float64(r.Pss) / (1 << 20)} }
	for i := range s.Series {
		r := &s.Series[i]
		p("| %s: %d x %d tokens | %.0f | %s |", r.Name, s.Clients, s.Length, size(r)[0], s.against(r, size))
	}
}

// peer is the series of llama.cpp.
func (s *stage) peer() *series {
	for i := range s.Series {
		if s.Series[i].Name == "llama.cpp" {
			return &s.Series[i]
		}
	}
	return nil
}

func (s *stage) clientRows(p func(string, ...any)) {
	rate := func(r *series) []float64 { return r.each((*round).rate) }
	first := func(r *series) []float64 { return r.perRound((*answer).firstToken) }
	between := func(r *series) []float64 { return r.perRound((*answer).betweenTokens) }
	for i := range s.Series {
		r := &s.Series[i]
		p("| %d | %s | %.1f | %s | %.0f, %.0f | %s | %.2f | %s |", s.Clients, r.Name,
			median(rate(r)), s.against(r, rate),
			1e3*median(first(r)), 1e3*percentile(r.answers((*answer).firstToken), 95), s.against(r, first),
			1e3*median(between(r)), s.against(r, between))
	}
}

// bareRows shows onnxruntime-genai, and the time between tokens of this server beside it.
func (s *stage) bareRows(p func(string, ...any)) {
	if s.BareError != "" {
		p("\nonnxruntime-genai, batch %d, %d of its rounds: %s.", s.Clients, len(s.Bare), s.BareError)
	}
	if len(s.Bare) == 0 {
		return
	}
	var prefill, decode, step []float64
	for _, b := range s.Bare {
		prefill, decode = append(prefill, b.prefillRate()), append(decode, b.decodeRate())
		step = append(step, b.Decode/float64(b.Tokens-1))
	}
	b, ours := s.Bare[0], &s.Series[0]
	p("\nonnxruntime-genai on the same file, no server around it, batch %d, %d tokens in and %d out: prefill %.0f tokens/s, decode %.1f",
		b.Batch, b.Prompt, b.Tokens, median(prefill), median(decode))
	p("tokens/s (%.2f ms a step). Time between tokens of %s, through HTTP, is %s of that.", 1e3*median(step), ours.Name,
		spread(ratios(ours.perRound((*answer).betweenTokens), step)))
}

func (s *stage) repeatRows(p func(string, ...any)) {
	p("\nText that repeats itself, one client, a passage of 100 words that stands twice in the prompt, %d tokens out:\n", repeatTokens)
	p("| server | tokens/s after the first | ratio to the first row |\n|---|---|---|")
	rate := func(a *answer) float64 { return 1 / a.betweenTokens() }
	base := s.Series[0].answers(rate)
	for i := range s.Series {
		r := &s.Series[i]
		p("| %s | %.1f | %s |", r.Name, median(r.answers(rate)), spread(ratios(r.answers(rate), base)))
	}
}

func (s *stage) turnRows(p func(string, ...any)) {
	var cold, second []float64
	var tokens, cached []float64
	for i, a := range s.Series[0].answers((*answer).firstToken) {
		if i%2 == 0 {
			cold = append(cold, a)
		} else {
			second = append(second, a)
			tokens = append(tokens, float64(s.Series[0].Rounds[i].Answers[0].Prompt))
			cached = append(cached, float64(s.Series[0].Rounds[i].Answers[0].Cached))
		}
	}
	p("\nSecond turn of a chat, one client, %s: %.0f tokens of which %.0f are cached. First token of the first turn after %.0f ms, of the", s.Series[0].Name, median(tokens), median(cached), 1e3*median(cold))
	p("second after %.0f ms: %s of it.", 1e3*median(second), spread(ratios(second, cold)))
}

// commands lists what was run, once each.
func (m *modelResult) commands(p func(string, ...any)) {
	p("\n<details><summary>Commands, memory, what else ran</summary>\n")
	for i := range m.Stages {
		s := &m.Stages[i]
		p("%s: other programs used up to %.2f processors in a round; answers shorter than asked: %d.\n", s.title(), s.others(), s.short())
		for _, r := range s.Series {
			p("    %s   # ready after %.1f s, then %.0f MiB (Pss)", r.Command, r.Ready, float64(r.Pss)/(1<<20))
		}
		p("")
	}
	p("</details>")
}

// short counts the answers that have fewer tokens than the longest of the stage.
func (s *stage) short() int {
	most, n := 0.0, 0
	var all []float64
	for i := range s.Series {
		all = append(all, s.Series[i].answers(func(a *answer) float64 { return float64(a.Tokens) })...)
	}
	for _, t := range all {
		most = max(most, t)
	}
	for _, t := range all {
		if t < most {
			n++
		}
	}
	return n
}

// spread is a median with the least and the greatest value.
func spread(v []float64) string {
	if len(v) == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", median(v), slices.Min(v), slices.Max(v))
}

// The part of the document that this program writes.
const (
	beginMarker = "<!-- peers -->"
	endMarker   = "<!-- /peers -->"
)

// writeDocument puts text between the markers of the document, which is begun if there is none.
func writeDocument(path, text string) error {
	old, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		old, err = []byte("# Benchmarks\n"), os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err != nil {
		return err
	}
	replaced, err := replacePart(string(old), text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(replaced), 0o644)
}

// replacePart replaces what is between the markers, or appends a part where there are none.
func replacePart(document, text string) (string, error) {
	part := beginMarker + "\n" + text + endMarker
	before, rest, ok := strings.Cut(document, beginMarker)
	if !ok {
		return strings.TrimRight(document, "\n") + "\n\n## Beside llama.cpp and onnxruntime-genai\n\n" + part + "\n", nil
	}
	_, after, ok := strings.Cut(rest, endMarker)
	if !ok {
		return "", fmt.Errorf("%s without %s", beginMarker, endMarker)
	}
	return before + part + after, nil
}
