package routes

import (
	"fmt"
	"slices"
	"strings"

	"ortserve/template"
	"ortserve/tokenize"
)

// conversation is what a prompt is made of.
type conversation struct {
	messages  []template.Message
	tools     toolbox
	variables map[string]any // chat_template_kwargs
	open      bool           // no answer is begun: add_generation_prompt is false
	think     thinkWish
}

// chatPrompt renders a conversation with the model's template. What looks like a control token in a message stays text.
func (g *generation) chatPrompt(conv conversation) ([]int32, error) {
	p, err := g.render(conv)
	if err != nil {
		return nil, err
	}
	return g.Tokenizer.Encode(p.Text, tokenize.Options{Literal: p.Literal}), nil
}

func (g *generation) render(conv conversation) (template.Prompt, error) {
	if g.Template == nil {
		return template.Prompt{}, notSupported("messages", "%s does not support chat: it has no chat template", quote(g.name))
	}
	if own := g.Model.Custom.System; own != "" && !slices.ContainsFunc(conv.messages, func(m template.Message) bool { return m.Role == "system" }) {
		conv.messages = append([]template.Message{{Role: "system", Content: own}}, conv.messages...)
	}
	messages, tools, err := g.forTemplate(conv)
	if err != nil {
		return template.Prompt{}, err
	}
	variables, err := g.thinkVariables(conv)
	if err != nil {
		return template.Prompt{}, err
	}
	p, err := g.Template.Render(template.Input{
		Messages:            messages,
		Tools:               tools,
		AddGenerationPrompt: !conv.open,
		Variables:           variables,
		BOS:                 g.Model.BOSToken,
		EOS:                 g.Model.EOSToken,
		Now:                 g.server.now,
	})
	if err != nil {
		return template.Prompt{}, err
	}
	p.Text += g.beginThoughts(conv, p.Text)
	return p, nil
}

// rawPrompt encodes a prompt that the client has written to the last token: control tokens in it count. The tokenizer puts the
// model's first token before it, unless the client did.
func (g *generation) rawPrompt(text string) []int32 {
	ids := g.Tokenizer.Encode(text, tokenize.Options{Template: true})
	if bos := g.Model.BOS; len(ids) > 1 && ids[0] == bos && ids[1] == bos {
		ids = ids[1:]
	}
	return ids
}

// plainTokens encodes a text in which nothing counts as a control token.
func (g *generation) plainTokens(text string) []int32 {
	return g.Tokenizer.Encode(text, tokenize.Options{LiteralAll: true})
}

// nextTurn renders messages that follow a context: prompt and answer of the turn before, as ids. It is what the template writes
// from the end of an assistant's message on, so that neither its own system prompt nor the first token comes a second time.
func (g *generation) nextTurn(context []int32, conv conversation) ([]int32, error) {
	messages := conv.messages
	marker := "The answer before." // stands for the answer that the context ends with
	for slices.ContainsFunc(messages, func(m template.Message) bool { return strings.Contains(m.Content, marker) }) {
		marker += "."
	}
	conv.messages = append([]template.Message{{Role: "user", Content: "?"}, {Role: "assistant", Content: marker}}, messages...)
	p, err := g.render(conv)
	if err != nil {
		return nil, err
	}
	at := strings.Index(p.Text, marker)
	if at < 0 {
		return nil, fmt.Errorf("the chat template of %s leaves out an assistant's message", g.Model.Name)
	}
	at += len(marker)
	var literal [][2]int
	for _, r := range p.Literal {
		if r[0] >= at {
			literal = append(literal, [2]int{r[0] - at, r[1] - at})
		}
	}
	turn := g.Tokenizer.Encode(p.Text[at:], tokenize.Options{Literal: literal})
	return append(context[:len(context):len(context)], turn...), nil
}

// withoutEnd takes the token off that ended the answer, because a template writes its own after an assistant's message.
func (g *generation) withoutEnd(tokens []int32) []int32 {
	if n := len(tokens); n > 0 {
		for _, id := range g.StopTokens {
			if tokens[n-1] == id {
				return tokens[:n-1]
			}
		}
	}
	return tokens
}
