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
	out := modelResult{Key: m.key, Title: m.title, Bits: m.bits}
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
	for _, n := range b.lengths {
		s, err := b.lengthStage(ctx, m, n)
		out.Stages = append(out.Stages, s)
		if err != nil {
			return out, err
		}
	}
	var more []func(context.Context, model) (stage, error)
	if b.load {
		more = append(more, b.loadStage)
	}
	if b.extras {
		more = append(more, b.memoryStage)
	}
	if b.extras && m.chat {
		more = append(more, b.repeatStage, b.turnStage)
	}
	for _, f := range more {
		s, err := f(ctx, m)
		if err != nil {
			return out, err
		}
		out.Stages = append(out.Stages, s)
	}
	return out, nil
}

// both starts this server on all forms of a model, and llama.cpp's.
func (b *bench) both(m model, slots, window int) []launch {
	var all []launch
	for _, f := range m.forms {
		all = append(all, b.ours(f, slots, window, false))
	}
	return append(all, b.theirs(m, slots, window))
}

// clientStage lets n clients at once ask every server.
func (b *bench) clientStage(ctx context.Context, m model, n int) (stage, error) {
	st := stage{Kind: kindClients, Clients: n}
	launches := b.both(m, n, window)
	if n == 1 && m.chat {
		launches = append(launches, b.ours(m.forms[0], n, window, true))
	}
	var peer *genai
	if slices.Contains([]int{1, 8}, n) {
		peer = b.bare(ctx, m, &st)
		defer peer.stop()
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
		return b.bareRound(ctx, peer, &st, genaiPrompt)
	})
	return st, err
}

// bare starts onnxruntime-genai for a stage, nil where it is not wanted or does not start.
func (b *bench) bare(ctx context.Context, m model, st *stage) *genai {
	if !b.genai {
		return nil
	}
	peer, err := startGenAI(ctx, b.here, b.home, m.forms[0].dir, b.logs)
	if err == nil {
		_, err = peer.round(ctx, bare{Batch: st.Clients, Prompt: 16, Tokens: 4})
	}
	if err != nil {
		peer.stop()
		b.without(ctx, st, err)
		return nil
	}
	return peer
}

// bareRound lets it run a round, if it is there, with prompts of so many tokens.
func (b *bench) bareRound(ctx context.Context, peer *genai, st *stage, tokens int) error {
	if peer == nil || st.BareError != "" {
		return nil
	}
	r, err := peer.round(ctx, bare{Batch: st.Clients, Prompt: tokens, Tokens: b.tokens, Seed: b.next()})
	if err != nil {
		peer.stop() // it may still use the processors
		b.without(ctx, st, err)
		return ctx.Err()
	}
	st.Bare = append(st.Bare, r)
	return nil
}

// lengthStage has one client ask with prompts of so many tokens: how fast is the prompt's run, and what comes after it.
func (b *bench) lengthStage(ctx context.Context, m model, tokens int) (stage, error) {
	st := stage{Kind: kindLength, Clients: 1, Length: tokens}
	peer := b.bare(ctx, m, &st)
	defer peer.stop()
	room := (tokens + b.tokens + 255) / 128 * 128
	err := b.turns(ctx, &st, b.both(m, 1, room), func(ctx context.Context, servers []*server) error {
		text := prompt(b.seed, b.next(), tokens)
		for i, s := range servers {
			r, err := s.burst(ctx, s.dialect, []string{text}, b.tokens)
			if err != nil {
				return err
			}
			st.Series[i].Rounds = append(st.Series[i].Rounds, r)
			time.Sleep(settle)
		}
		return b.bareRound(ctx, peer, &st, tokens)
	})
	return st, err
}

// loadStage starts each server anew in every round and asks for one token. The model's files are in the system's cache.
func (b *bench) loadStage(ctx context.Context, m model) (stage, error) {
	st := stage{Kind: kindLoad, Clients: 1}
	launches := b.both(m, 1, window)
	for _, l := range launches {
		st.Series = append(st.Series, series{Name: l.name, Command: l.command()})
	}
	for n := range b.rounds {
		if err := b.quiet(ctx); err != nil {
			return st, err
		}
		for i, l := range launches {
			s, err := start(ctx, l, b.logs)
			if err != nil {
				return st, err
			}
			r, err := s.burst(ctx, s.dialect, []string{prompt(b.seed, b.next(), 8)}, 2)
			ready := s.ready.Seconds()
			st.Series[i].Ready, st.Series[i].Pss = ready, pss(s.pid())
			s.stop()
			if err != nil {
				return st, err
			}
			for j := range r.Answers {
				r.Answers[j].Sent -= ready // the time begins with the process
			}
			st.Series[i].Rounds = append(st.Series[i].Rounds, r)
			time.Sleep(settle)
		}
		b.say("%s: round %d of %d", st.Kind, n+1, b.rounds)
	}
	return st, nil
}

// memoryStage fills the slots of every server.
func (b *bench) memoryStage(ctx context.Context, m model) (stage, error) {
	const slots, room = 8, 2048
	st := stage{Kind: kindMemory, Clients: slots, Length: room - b.tokens - 16}
	once := *b
	once.rounds = 1
	err := once.turns(ctx, &st, b.both(m, slots, room), func(ctx context.Context, servers []*server) error {
		for i, s := range servers {
			prompts := make([]string, slots)
			for j := range prompts {
				prompts[j] = prompt(b.seed, once.next(), st.Length)
			}
			r, err := s.burst(ctx, s.dialect, prompts, b.tokens)
			if err != nil {
				return err
			}
			st.Series[i].Rounds = append(st.Series[i].Rounds, r)
		}
		return nil
	})
	b.prompt = once.prompt
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
		if err := b.quiet(ctx); err != nil {
			return err
		}
		if err := round(ctx, servers); err != nil {
			return err
		}
		b.say("%s: round %d of %d", st.title(), n+1, b.rounds)
	}
	for i, s := range servers {
		st.Series[i].Pss = pss(s.pid())
	}
	return nil
}

// quiet waits until other programs leave the processors alone.
func (b *bench) quiet(ctx context.Context) error {
	if b.busy {
		return nil
	}
	return idle(ctx, busyLimit, b.wait, b.say)
}

// next numbers prompts.
func (b *bench) next() uint64 {
	b.prompt++
	return b.prompt
}
