package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// answer is what a client saw of one request. Times are seconds from the beginning of its round.
type answer struct {
	Sent   float64   `json:"sent"`
	Pieces []float64 `json:"pieces"` // when text arrived
	Prompt int       `json:"prompt_tokens"`
	Cached int       `json:"cached_tokens"`
	Tokens int       `json:"tokens"` // of the answer, as the server counts them

	text string
}

// firstToken is the time to the first token, in seconds.
func (a *answer) firstToken() float64 { return a.Pieces[0] - a.Sent }

// betweenTokens is the mean time from one token to the next, in seconds.
func (a *answer) betweenTokens() float64 {
	return (a.Pieces[len(a.Pieces)-1] - a.Pieces[0]) / float64(max(1, a.Tokens-1))
}

// round is one burst of requests, a client each.
type round struct {
	Wall    float64  `json:"wall_s"`
	Others  float64  `json:"others_cpus"` // processors that neither the server nor this program used, mean
	Answers []answer `json:"answers"`
}

// rate is the output of all clients, in tokens a second.
func (r *round) rate() float64 {
	n := 0
	for _, a := range r.Answers {
		n += a.Tokens
	}
	return float64(n) / r.Wall
}

// burst sends the prompts at once and reads the answers as they come.
func (s *server) burst(ctx context.Context, d dialect, prompts []string, tokens int) (round, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	before := readUsage(s.pid())
	r := round{Answers: make([]answer, len(prompts))}
	errs := make([]error, len(prompts))
	begin := time.Now()
	var wait sync.WaitGroup
	for i, p := range prompts {
		wait.Go(func() {
			errs[i] = s.ask(ctx, d, p, tokens, begin, &r.Answers[i])
			if errs[i] != nil {
				cancel() // one failure fails the round
			}
		})
	}
	wait.Wait()
	r.Wall = time.Since(begin).Seconds()
	r.Others = readUsage(s.pid()).others(before)
	if err := errors.Join(errs...); err != nil {
		return r, fmt.Errorf("%s: %w; its log is %s", s.name, err, s.log)
	}
	return r, nil
}

// ask sends one request and reads its answer into a.
func (s *server) ask(ctx context.Context, d dialect, prompt string, tokens int, begin time.Time, a *answer) error {
	body, err := json.Marshal(d.body(prompt, tokens))
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+d.path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	a.Sent = time.Since(begin).Seconds()
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000)) // the status is the error
		return fmt.Errorf("%s: %s: %s", d.path, resp.Status, text)
	}
	var text strings.Builder
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		piece, done, err := d.read(lines.Bytes(), a)
		if err != nil {
			return err
		}
		if piece != "" {
			a.Pieces = append(a.Pieces, time.Since(begin).Seconds())
			text.WriteString(piece)
		}
		if done {
			a.text = text.String()
			if len(a.Pieces) == 0 || a.Tokens == 0 {
				return errors.New("an answer without text")
			}
			return nil
		}
	}
	return errors.Join(fmt.Errorf("a stream of %d pieces ended before its last line", len(a.Pieces)), lines.Err())
}
