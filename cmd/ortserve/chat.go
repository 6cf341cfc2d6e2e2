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
	"time"
)

// chat is a conversation with a model of a server, through Ollama's /api/chat.
type chat struct {
	url    string // of the server, without a slash at the end
	key    string // empty: none
	client *http.Client

	model    string
	system   string
	options  map[string]any  // by Ollama's names
	format   json.RawMessage // "json" or a schema; nil: any text
	messages []message
}

// message is one of a conversation.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// statistics are what the last line of an answer tells. Durations are nanoseconds.
type statistics struct {
	DoneReason   string        `json:"done_reason"`
	Load         time.Duration `json:"load_duration"`
	PromptTokens int           `json:"prompt_eval_count"`
	CachedTokens int           `json:"prompt_eval_cached_count"`
	Prefill      time.Duration `json:"prompt_eval_duration"`
	Tokens       int           `json:"eval_count"`
	Decode       time.Duration `json:"eval_duration"`
}

// String is one line.
func (s statistics) String() string {
	line := fmt.Sprintf("%d tokens", s.Tokens)
	if s.Tokens > 1 && s.Decode > 0 {
		line += fmt.Sprintf(", %.1f a second", float64(s.Tokens-1)/s.Decode.Seconds())
	}
	line += fmt.Sprintf("; prompt %d tokens, %d cached, %d ms", s.PromptTokens, s.CachedTokens, s.Prefill.Milliseconds())
	if s.DoneReason == "length" {
		line += "; cut at the length"
	}
	return line
}

// longestLine bounds a line of a streamed answer.
const longestLine = 16 << 20

// ask puts a question and writes the answer as it comes. An answer that ctx cuts off stays in the conversation as far as it
// went, with ctx's error; after any other error the conversation is as it was.
func (c *chat) ask(ctx context.Context, question string, write func(text string) error) (statistics, error) {
	var messages []message
	if c.system != "" {
		messages = append(messages, message{"system", c.system})
	}
	asked := append(c.messages, message{"user", question})
	messages = append(messages, asked...)
	request := map[string]any{"model": c.model, "messages": messages, "stream": true}
	if len(c.options) > 0 {
		request["options"] = c.options
	}
	if c.format != nil {
		request["format"] = c.format
	}
	body, err := c.post(ctx, "/api/chat", request)
	if err != nil {
		return statistics{}, err
	}
	defer body.Close()
	var answer strings.Builder
	s, err := readAnswer(body, func(text string) error {
		answer.WriteString(text)
		return write(text)
	})
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err == nil || ctx.Err() != nil && answer.Len() > 0 {
		c.messages = append(asked, message{"assistant", answer.String()})
	}
	return s, err
}

// readAnswer reads the lines of a streamed answer.
func readAnswer(body io.Reader, write func(text string) error) (statistics, error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		var line struct {
			Message message `json:"message"`
			Error   string  `json:"error"`
			Done    bool    `json:"done"`
			statistics
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return statistics{}, fmt.Errorf("a line of the answer: %w", err)
		}
		if line.Error != "" {
			return statistics{}, errors.New(line.Error)
		}
		if line.Message.Content != "" {
			if err := write(line.Message.Content); err != nil {
				return statistics{}, err
			}
		}
		if line.Done {
			return line.statistics, nil
		}
	}
	if err := lines.Err(); err != nil {
		return statistics{}, err
	}
	return statistics{}, errors.New("the answer ended before its end")
}

// load has the model loaded.
func (c *chat) load(ctx context.Context) error {
	return c.call(ctx, "/api/generate", map[string]any{"model": c.model, "stream": false}, nil)
}

// describe returns what the server tells of the model.
func (c *chat) describe(ctx context.Context) (string, error) {
	var d struct {
		Details struct {
			Family        string `json:"family"`
			ParameterSize string `json:"parameter_size"`
			Quantization  string `json:"quantization_level"`
		} `json:"details"`
		Info map[string]any `json:"model_info"`
	}
	if err := c.call(ctx, "/api/show", map[string]any{"model": c.model}, &d); err != nil {
		return "", err
	}
	text := fmt.Sprintf("%s: %s, %s parameters, %s", c.model, d.Details.Family, d.Details.ParameterSize, d.Details.Quantization)
	for name, v := range d.Info {
		if window, ok := v.(float64); ok && strings.HasSuffix(name, ".context_length") {
			text += fmt.Sprintf(", %.0f tokens of context", window)
		}
	}
	return text, nil
}

// models returns the names of what the server has.
func (c *chat) models(ctx context.Context) ([]string, error) {
	var list struct {
		Models []struct {
			Name string `json:"name"`
		} `json:"models"`
	}
	if err := c.call(ctx, "/api/tags", nil, &list); err != nil {
		return nil, err
	}
	names := make([]string, len(list.Models))
	for i, m := range list.Models {
		names[i] = m.Name
	}
	return names, nil
}

// call posts a request, or gets where it is nil, and reads the answer into v unless that is nil.
func (c *chat) call(ctx context.Context, path string, request, v any) error {
	body, err := c.post(ctx, path, request)
	if err != nil {
		return err
	}
	defer body.Close()
	if v == nil {
		_, err = io.Copy(io.Discard, body)
		return err
	}
	if err := json.NewDecoder(body).Decode(v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// post returns the body of the answer to a request. What the server refuses is an error in its words.
func (c *chat) post(ctx context.Context, path string, request any) (io.ReadCloser, error) {
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if request != nil {
		text, err := json.Marshal(request)
		if err != nil {
			return nil, err
		}
		method, body = http.MethodPost, bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return nil, err
	}
	if request != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		r.Header.Set("Authorization", "Bearer "+c.key)
	}
	answer, err := c.client.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	var refused struct {
		Error string `json:"error"`
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(text, &refused) == nil && refused.Error != "" {
		return nil, errors.New(refused.Error)
	}
	return nil, fmt.Errorf("%s: %s", path, answer.Status)
}
