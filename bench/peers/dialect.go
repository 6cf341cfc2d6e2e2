package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// dialect is how a server is asked for a streamed completion.
type dialect struct {
	path string
	body func(prompt string, tokens int) any
	// read takes a line of the stream into a and returns the text it brought and whether it is the last.
	read func(line []byte, a *answer) (text string, done bool, err error)
}

type object = map[string]any

// generate is this server's /api/generate, with a prompt that is taken as it is.
var generate = dialect{
	path: "/api/generate",
	body: func(prompt string, tokens int) any {
		return object{
			"model": servedName, "prompt": prompt, "raw": true, "stream": true,
			"options": object{"temperature": 0, "num_predict": tokens},
		}
	},
	read: readOllama,
}

// chatWith is this server's /api/chat with messages before the prompt.
func chatWith(messages ...object) dialect {
	return dialect{
		path: "/api/chat",
		body: func(prompt string, tokens int) any {
			return object{
				"model": servedName, "stream": true, "options": object{"temperature": 0, "num_predict": tokens},
				"messages": append(messages[:len(messages):len(messages)], object{"role": "user", "content": prompt}),
			}
		},
		read: readOllama,
	}
}

// readOllama reads a line of /api/generate or /api/chat.
func readOllama(line []byte, a *answer) (string, bool, error) {
	var v struct {
		Response string `json:"response"`
		Message  struct {
			Content string `json:"content"`
		} `json:"message"`
		Error  string `json:"error"`
		Done   bool   `json:"done"`
		Prompt int    `json:"prompt_eval_count"`
		Cached int    `json:"prompt_eval_cached_count"`
		Tokens int    `json:"eval_count"`
	}
	if err := json.Unmarshal(line, &v); err != nil {
		return "", false, fmt.Errorf("line %.200q: %w", line, err)
	}
	if v.Error != "" {
		return "", false, errors.New(v.Error)
	}
	if v.Done {
		a.Prompt, a.Cached, a.Tokens = v.Prompt, v.Cached, v.Tokens
	}
	return v.Response + v.Message.Content, v.Done, nil
}

// completion is the /completion of llama.cpp's server. It goes on where the model would end, and keeps no prompt.
var completion = dialect{
	path: "/completion",
	body: func(prompt string, tokens int) any {
		return object{
			"prompt": prompt, "n_predict": tokens, "stream": true, "temperature": 0, "ignore_eos": true, "cache_prompt": false,
		}
	},
	read: func(line []byte, a *answer) (string, bool, error) {
		data, ok := bytes.CutPrefix(line, []byte("data: "))
		if !ok {
			if after, ok := bytes.CutPrefix(line, []byte("error: ")); ok {
				return "", false, fmt.Errorf("%.200s", after)
			}
			return "", false, nil
		}
		var v struct {
			Content string `json:"content"`
			Stop    bool   `json:"stop"`
			Prompt  int    `json:"tokens_evaluated"`
			Tokens  int    `json:"tokens_predicted"`
			Error   struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if err := json.Unmarshal(data, &v); err != nil {
			return "", false, fmt.Errorf("event %.200q: %w", data, err)
		}
		if v.Error.Message != "" {
			return "", false, errors.New(v.Error.Message)
		}
		if v.Stop {
			a.Prompt, a.Tokens = v.Prompt, v.Tokens
		}
		return v.Content, v.Stop, nil
	},
}
