package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"ortserve/internal/pip"
)

// genai is a process of onnxruntime-genai with one model.
type genai struct {
	version string
	log     string
	cmd     *exec.Cmd
	in      io.WriteCloser
	lines   chan []byte // closed when the process has ended
}

// bare is a round without a server around it. Batch sequences of Prompt tokens each, then Tokens more of each.
type bare struct {
	Batch   int     `json:"batch"`
	Prompt  int     `json:"prompt"`
	Tokens  int     `json:"tokens"`
	Seed    uint64  `json:"seed"`
	Prefill float64 `json:"prefill_s"`
	Decode  float64 `json:"decode_s"`
	Others  float64 `json:"others_cpus"`
}

// prefillRate and decodeRate are tokens a second of all sequences together.
func (b bare) prefillRate() float64 { return float64(b.Batch*b.Prompt) / b.Prefill }
func (b bare) decodeRate() float64  { return float64(b.Batch*(b.Tokens-1)) / b.Decode }

// startGenAI makes the Python environment, if need be, and starts the process on a model directory.
func startGenAI(ctx context.Context, here, home, model, logs string) (*genai, error) {
	python, err := pip.Env(ctx, os.Stderr, home, filepath.Join(here, "requirements.txt"))
	if err != nil {
		return nil, err
	}
	g := &genai{log: filepath.Join(logs, "onnxruntime-genai.log"), lines: make(chan []byte)}
	log, err := os.Create(g.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	g.cmd = exec.CommandContext(ctx, python, filepath.Join(here, "genai.py"), model)
	g.cmd.Stderr = log
	endWithParent(g.cmd)
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if g.in, err = g.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(g.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			g.lines <- append([]byte(nil), s.Bytes()...)
		}
	}()
	var hello struct {
		Version string `json:"version"`
	}
	if err := g.read(ctx, &hello); err != nil {
		g.stop()
		return nil, err
	}
	g.version = hello.Version
	return g, nil
}

// round runs one round.
func (g *genai) round(ctx context.Context, b bare) (bare, error) {
	task, err := json.Marshal(b)
	if err != nil {
		return b, err
	}
	before := readUsage(g.cmd.Process.Pid)
	if _, err := g.in.Write(append(task, '\n')); err != nil {
		return b, fmt.Errorf("onnxruntime-genai: %w; its log is %s", err, g.log)
	}
	err = g.read(ctx, &b)
	b.Others = readUsage(g.cmd.Process.Pid).others(before)
	return b, err
}

// read reads a line of the process into v.
func (g *genai) read(ctx context.Context, v any) error {
	select {
	case line, ok := <-g.lines:
		if !ok {
			return fmt.Errorf("onnxruntime-genai ended; its log is %s", g.log)
		}
		if err := json.Unmarshal(line, v); err != nil {
			return fmt.Errorf("onnxruntime-genai says %.200q: %w", line, err)
		}
		return nil
	case <-time.After(startLimit):
		return errors.New("onnxruntime-genai does not answer; its log is " + g.log)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop ends the process and waits until it is gone. Further calls do nothing, nor does one on nil.
func (g *genai) stop() {
	if g == nil {
		return
	}
	_ = g.cmd.Process.Kill() // an error says that it has ended
	for range g.lines {      // what it still wrote
	}
	_ = g.cmd.Wait() // it was killed, or waited for before
}
