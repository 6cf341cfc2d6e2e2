package routes

import (
	"slices"

	"ortserve/template"
)

// cut says what was taken off a prompt that was too long, where the request wanted that.
type cut struct {
	Truncated       bool `json:"truncated,omitempty"`
	TruncatedTokens int  `json:"truncated_tokens,omitempty"` // fewer than the prompt had
}

// fit returns the prompt of a conversation cut to what leaves room for an answer: the oldest messages but the system's go first, then the
// beginning of the last one. That is what Ollama does without being asked; here it is done for who asks with "truncate": true.
func (g *generation) fit(conv conversation, l limits) ([]int32, cut, error) {
	whole, err := g.chatPrompt(conv)
	if err != nil {
		return nil, cut{}, err
	}
	room := g.room(l)
	prompt := whole
	for len(prompt) > room {
		i := slices.IndexFunc(conv.messages, func(m template.Message) bool { return m.Role != "system" })
		if i < 0 || i >= len(conv.messages)-1 {
			break
		}
		end := i + 1
		for len(callsOf(conv.messages[i])) > 0 && end < len(conv.messages)-1 && conv.messages[end].Role == "tool" {
			end++ // results go with their calls
		}
		conv.messages = slices.Delete(slices.Clone(conv.messages), i, end)
		if prompt, err = g.chatPrompt(conv); err != nil {
			return nil, cut{}, err
		}
	}
	if len(prompt) > room && len(conv.messages) > 0 {
		if prompt, err = g.fitLast(conv, prompt, room); err != nil {
			return nil, cut{}, err
		}
	}
	gone := len(whole) - len(prompt)
	return prompt, cut{gone > 0, gone}, nil
}

// fitLast takes tokens off the beginning of the last message's text until the prompt fits. What does not fit without any of it stays
// too long, which is the engine's to say.
func (g *generation) fitLast(conv conversation, prompt []int32, room int) ([]int32, error) {
	last := &conv.messages[len(conv.messages)-1]
	ids := g.plainTokens(last.Content)
	for len(prompt) > room && len(ids) > 0 {
		ids = ids[min(len(prompt)-room, len(ids)):]
		conv.messages = slices.Clone(conv.messages)
		last = &conv.messages[len(conv.messages)-1]
		last.Content = g.Tokenizer.Decode(ids, false)
		var err error
		if prompt, err = g.chatPrompt(conv); err != nil {
			return nil, err
		}
	}
	return prompt, nil
}

// room is how many tokens a prompt may have when it is cut: the window, less what the answer may need, at least a quarter of it where
// the request does not say.
func (g *generation) room(l limits) int {
	window := g.Engine.Info().MaxLen
	if l.window > 0 {
		window = min(window, l.window)
	}
	answer := window / 4
	if l.maxTokens > 0 {
		answer = min(l.maxTokens, window/2)
	}
	return window - max(answer, 1)
}
