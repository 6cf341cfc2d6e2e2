package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

const (
	window       = 1024 // tokens a slot may hold
	chatWindow   = 4096
	chatTokens   = 2000 // of the first turn, about
	repeatTokens = 128  // of an answer that repeats
	turnTokens   = 32   // of an answer in a chat
	genaiPrompt  = 128
	settle       = 300 * time.Millisecond // for threads that still spin after a round
)

// bench is one run of this program.
type bench struct {
	settings
	home   string // folder of what is brought and made
	logs   string
	say    func(string, ...any)
	prompt uint64 // number of the next prompt: each is used once
}

// ours starts this server on a form of a model. Without speculation a text that happens to repeat itself does not count.
func (b *bench) ours(f form, slots, window int, speculate bool) launch {
	l := launch{name: "ortserve, " + f.name, dialect: generate, home: b.home, argv: []string{
		b.ortserve, "serve", "--addr", "127.0.0.1:{port}", "--model", servedName + "=" + f.dir,
		"--slots", strconv.Itoa(slots), "--max-len", strconv.Itoa(window),
	}}
	if !speculate {
		l.argv = append(l.argv, "--speculate", "off")
	} else {
		l.name += ", speculating"
	}
	return l
}

// theirs starts llama.cpp's server with its own defaults, but without a cache of prompts in memory: it would only cost.
func (b *bench) theirs(m model, slots, window int) launch {
	return launch{name: "llama.cpp", dialect: completion, home: b.home, argv: []string{
		b.llamaServer, "-m", m.gguf, "--host", "127.0.0.1", "--port", "{port}",
		"-np", strconv.Itoa(slots), "-c", strconv.Itoa(slots * window), "--cache-ram", "0",
	}}
}

// run measures all stages of a model.
func (b *bench) run(ctx context.Context, m model) (modelResult, error) {
	out := modelResult{Title: m.title, Bits: m.bits}
	for _, f := range m.forms {
		out.Forms = append(out.Forms, fmt.Sprintf("%s: %s, %.2f bits a weight", f.name, f.said, f.bits))
	}
	for _, n := range b.clients {
		s, err := b.clientStage(ctx, m, n)
		out.Stages = append(out.Stages, s) // the rounds before an error count
		if err != nil {
			return out, err
		}
	}
	if !m.chat || !b.extras {
		return out, nil
	}
	for _, f := range []func(context.Context, model) (stage, error){b.repeatStage, b.turnStage} {
		s, err := f(ctx, m)
		if err != nil {
			return out, err
		}
		out.Stages = append(out.Stages, s)
	}
	return out, nil
}

// clientStage lets n clients at once ask every server.
func (b *bench) clientStage(ctx context.Context, m model, n int) (stage, error) {
	st := stage{Kind: kindClients, Clients: n}
	var launches []launch
	for _, f := range m.forms {
		launches = append(launches, b.ours(f, n, window, false))
	}
	if n == 1 && m.chat {
		launches = append(launches, b.ours(m.forms[0], n, window, true))
	}
	launches = append(launches, b.theirs(m, n, window))
	var peer *genai
	if b.genai && slices.Contains([]int{1, 8}, n) {
		var err error
		if peer, err = startGenAI(ctx, b.here, b.home, m.forms[0].dir, b.logs); err == nil {
			defer peer.stop()
			_, err = peer.round(ctx, bare{Batch: n, Prompt: 16, Tokens: 4})
		}
		if err != nil {
			b.without(ctx, &st, err)
		}
	}
	text := func() string { return prompt(b.seed, b.next(), promptWords) }
	err := b.turns(ctx, &st, launches, func(ctx context.Context, servers []*server) error {
		prompts := make([]string, n)
		for i := range prompts {
			prompts[i] = text()
		}
		for i, s := range servers {
			r, err := s.burst(ctx, s.dialect, prompts, b.tokens)
			if err != nil {
				return err
			}
			st.Series[i].Rounds = append(st.Series[i].Rounds, r)
			time.Sleep(settle)
		}
		if peer != nil && st.BareError == "" {
			r, err := peer.round(ctx, bare{Batch: n, Prompt: genaiPrompt, Tokens: b.tokens, Seed: b.next()})
			if err != nil {
				peer.stop() // it may still use the processors
				b.without(ctx, &st, err)
				return ctx.Err()
			}
			st.Bare = append(st.Bare, r)
		}
		return nil
	})
	return st, err
}

// without leaves onnxruntime-genai out of the rest of a stage: what the servers do counts without it.
func (b *bench) without(ctx context.Context, st *stage, err error) {
	if ctx.Err() == nil {
		st.BareError = err.Error()
		b.say("goes on without onnxruntime-genai: %v", err)
	}
}

// repeatStage has one client ask for a text that repeats itself, with speculation and without.
func (b *bench) repeatStage(ctx context.Context, m model) (stage, error) {
	st := stage{Kind: kindRepeat, Clients: 1}
	launches := []launch{b.ours(m.forms[0], 1, window, false), b.ours(m.forms[0], 1, window, true), b.theirs(m, 1, window)}
	err := b.turns(ctx, &st, launches, func(ctx context.Context, servers []*server) error {
		text := repeat(b.seed, b.next())
		for i, s := range servers {
			r, err := s.burst(ctx, s.dialect, []string{text}, repeatTokens)
			if err != nil {
				return err
			}
			st.Series[i].Rounds = append(st.Series[i].Rounds, r)
			time.Sleep(settle)
		}
		return nil
	})
	return st, err
}

// turnStage has one client send the first and the second turn of a long chat.
func (b *bench) turnStage(ctx context.Context, m model) (stage, error) {
	st := stage{Kind: kindTurns, Clients: 1}
	launches := []launch{b.ours(m.forms[0], 1, chatWindow, false)}
	err := b.turns(ctx, &st, launches, func(ctx context.Context, servers []*server) error {
		s, long := servers[0], prompt(b.seed, b.next(), chatTokens-50)
		first, err := s.burst(ctx, chatWith(), []string{long}, turnTokens)
		if err != nil {
			return err
		}
		before := []object{{"role": "user", "content": long}, {"role": "assistant", "content": first.Answers[0].text}}
		second, err := s.burst(ctx, chatWith(before...), []string{prompt(b.seed, b.next(), 12)}, turnTokens)
		if err != nil {
			return err
		}
		st.Series[0].Rounds = append(st.Series[0].Rounds, first, second)
		time.Sleep(settle)
		return nil
	})
	return st, err
}

// turns starts the servers of a stage, warms them, and calls round as often as there are rounds.
func (b *bench) turns(
	ctx context.Context, st *stage, launches []launch, round func(context.Context, []*server) error,
) error {
	servers, err := startAll(ctx, launches, b.logs)
	if err != nil {
		return err
	}
	defer stopAll(servers)
	for _, s := range servers {
		st.Series = append(st.Series, series{Name: s.name, Command: s.command, Ready: s.ready.Seconds()})
		prompts := make([]string, st.Clients)
		for i := range prompts {
			prompts[i] = prompt(b.seed, b.next(), promptWords)
		}
		if _, err := s.burst(ctx, s.dialect, prompts, 8); err != nil {
			return err
		}
	}
	time.Sleep(settle)
	for n := range b.rounds {
		if !b.busy {
			if err := idle(ctx, busyLimit, b.wait, b.say); err != nil {
				return err
			}
		}
		if err := round(ctx, servers); err != nil {
			return err
		}
		b.say("%s, %d clients: round %d of %d", st.Kind, st.Clients, n+1, b.rounds)
	}
	for i, s := range servers {
		st.Series[i].Pss = pss(s.pid())
	}
	return nil
}

// next numbers prompts.
func (b *bench) next() uint64 {
	b.prompt++
	return b.prompt
}
