package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"ortserve/internal/config"
	"ortserve/internal/home"
	"ortserve/routes"
)

// runUsage is the help of the command.
const runUsage = `run [MODEL] [PROMPT]... [flags]

Talks to a model: of a running server with --server, else one that is loaded here, with the settings of
ortserve serve taken from their environment variables (ORTSERVE_PROVIDER, ORTSERVE_MAX_LEN, …).

On a terminal it is a conversation: /help lists its commands, Ctrl-C stops an answer, Ctrl-D leaves. With a
PROMPT, or with text on standard input, it prints the answer and nothing else.`

// runChat is a conversation on the terminal, or one question.
func runChat(ctx context.Context, args []string, t terminal) error {
	f := newFlags("run", runUsage, t)
	c := &chat{client: &http.Client{}, options: map[string]any{}, key: os.Getenv("ORTSERVE_API_KEY")}
	f.StringVar(&c.url, "server", os.Getenv("ORTSERVE_SERVER"), "`URL` of a running server; also ORTSERVE_SERVER. Its key is ORTSERVE_API_KEY")
	f.StringVar(&c.system, "system", "", "system `TEXT`")
	f.Func("set", "`NAME=VALUE`: an option like temperature=0, seed=7 or num_predict=100; may be repeated", c.setOption)
	f.Func("format", "answers are `json`, or fit the JSON Schema in this file", c.setFormat)
	stats := f.Bool("stats", false, "print tokens and times after each answer")
	words, err := parseRun(f, args)
	if err != nil {
		return err
	}
	model, words := words[0], words[1:]
	if err := checkURL(c.url); err != nil {
		return err
	}
	prompt := strings.Join(words, " ")
	talk := isTerminal(t.in) && isTerminal(t.out) && prompt == ""
	if !isTerminal(t.in) {
		text, err := io.ReadAll(t.in)
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		prompt = strings.TrimSpace(prompt + "\n\n" + string(text))
	}
	if prompt == "" && !talk {
		return errors.New("there is no prompt, neither in the command line nor on standard input")
	}
	c.model = model
	if c.url == "" {
		end, err := c.serveHere(ctx, model, t)
		if err != nil {
			return err
		}
		defer end()
	}
	c.url = strings.TrimRight(c.url, "/")
	if talk {
		return converse(ctx, c, t, *stats)
	}
	return askOnce(ctx, c, prompt, *stats, t)
}

// parseRun returns the model and the words of the prompt. Flags may stand before, between and after them; behind -- is text.
func parseRun(f *flag.FlagSet, args []string) ([]string, error) {
	var text []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, text = args[:i], args[i+1:]
	}
	words, err := parseWords(f, args)
	if err != nil {
		return nil, err
	}
	words = append(words, text...)
	if len(words) == 0 {
		words = []string{home.DefaultModel}
	}
	return words, nil
}

// setOption takes NAME=VALUE; the value is JSON, or else text. An empty one takes the option back.
func (c *chat) setOption(s string) error {
	name, text, ok := strings.Cut(s, "=")
	name = strings.TrimSpace(name)
	if !ok || name == "" {
		return fmt.Errorf("%q is not NAME=VALUE", s)
	}
	text = strings.TrimSpace(text)
	if text == "" {
		delete(c.options, name)
		return nil
	}
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		value = text
	}
	c.options[name] = value
	return nil
}

// setFormat takes "json", the path of a schema, or "" and "off" for any text.
func (c *chat) setFormat(s string) error {
	switch s {
	case "", "off":
		c.format = nil
		return nil
	case "json":
		c.format = json.RawMessage(`"json"`)
		return nil
	}
	schema, err := os.ReadFile(s)
	if err != nil {
		return err
	}
	if !json.Valid(schema) {
		return fmt.Errorf("%s is not JSON", s)
	}
	c.format = schema
	return nil
}

func checkURL(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Errorf("--server: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("--server %s: an address like http://127.0.0.1:9112 is expected", s)
	}
	return nil
}

// serveHere serves the models of the store, or the directory that model is, in this process: on a port of the loopback
// address, to whom has a key that only this process knows.
func (c *chat) serveHere(ctx context.Context, model string, t terminal) (end func(), err error) {
	args := []string{"--addr", "127.0.0.1:0", "--log-level", "error", "--slots", "1"}
	_, err = os.Stat(model)
	isPath := err == nil
	if isPath {
		args = append(args, "--model", model)
	}
	conf, err := config.ParseServe(args, serveEnv, t.out)
	if err != nil {
		return nil, err
	}
	c.key = rand.Text()
	keys, err := routes.LoadKeys(c.key, "", "")
	if err != nil {
		return nil, err
	}
	s, err := newServer(conf, newLogger(t.err, conf), keys)
	if err != nil {
		return nil, err
	}
	if isPath {
		if err := s.pool.Load(ctx); err != nil {
			return nil, errors.Join(err, s.close())
		}
		c.model = s.pool.Served()[0]
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", conf.Addr)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	served := fenced(func() error { return s.serve(listener) })
	c.url = "http://" + listener.Addr().String()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		c.client.CloseIdleConnections()
		// The process ends: what is not closed in time is closed by that.
		_ = errors.Join(s.pool.Close(ctx), s.shutdown(ctx), <-served, s.close())
	}, nil
}

// serveEnv is the environment without what says how a server is reached and what it serves.
func serveEnv(name string) string {
	switch name {
	case "ORTSERVE_API_KEY", "ORTSERVE_ADMIN_KEY", "ORTSERVE_API_KEY_FILE", "ORTSERVE_MODEL":
		return ""
	}
	return os.Getenv(name)
}

// askOnce prints the answer to one question. The statistics go where errors go.
func askOnce(ctx context.Context, c *chat, prompt string, stats bool, t terminal) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	last := byte('\n')
	s, err := c.ask(ctx, prompt, func(text string) error {
		last = text[len(text)-1]
		_, err := io.WriteString(t.out, text)
		return err
	})
	if last != '\n' {
		fmt.Fprintln(t.out)
	}
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted")
	}
	if err == nil && stats {
		fmt.Fprintln(t.err, s)
	}
	return err
}

// isTerminal says that a person is at that end.
func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// working says on a terminal what takes a while, until the function that it returns is called.
func working(w io.Writer, what string) (done func()) {
	if !isTerminal(w) {
		return func() {}
	}
	begin, end, ended := time.Now(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			fmt.Fprintf(w, "\r%s … %.0f s", what, time.Since(begin).Seconds())
			select {
			case <-end:
				fmt.Fprint(w, "\r\x1b[K") // clears the line
				return
			case <-time.After(time.Second):
			}
		}
	}()
	return func() { close(end); <-ended }
}

// historyFile is where the lines of earlier conversations are.
func historyFile() string {
	dir, err := home.Dir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "history")
}
