package routes

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"ortserve/grammar"
	"ortserve/template/thinking"
	"ortserve/tokenize"
)

// thinkWish is what a request says of the thoughts that some models write before their answer.
type thinkWish struct {
	set, on bool   // whether to think; where it is not set, the template's own way holds
	effort  string // low, medium, high or another word of the template's
	must    bool   // a model that cannot is an error, as Ollama has it; for the others the fields are inert there
	budget  string // the field that limits thoughts, which is not supported where there are any
	hidden  bool   // they are not sent
	inText  bool   // they stay in the text, with their tags
}

// want takes an effort: none is no thoughts.
func (t *thinkWish) want(effort string) {
	if effort != "" {
		t.set, t.on, t.effort = true, effort != "none", effort
	}
}

// thinks says whether the model thinks before it answers.
func (g *generation) thinks() bool { return thinking.Detect(g.Model.ChatTemplate) }

// canThink refuses a request that must have thoughts, of a model that cannot think.
func (g *generation) canThink(wish *thinkWish) error {
	if wish.must && wish.on && !g.thinks() {
		return notSupported("think", "%s does not support thinking", quote(g.name))
	}
	return nil
}

// thinkVariables returns what the template is told of thinking. What chat_template_kwargs says stands.
func (g *generation) thinkVariables(conv conversation) (map[string]any, error) {
	wish := conv.think
	if err := g.canThink(&wish); err != nil {
		return nil, err
	}
	if !g.thinks() {
		return conv.variables, nil
	}
	if wish.budget != "" {
		return nil, notSupported(wish.budget, "%s is not supported: thoughts have no limit of their own; 0 turns them off", wish.budget)
	}
	if !wish.set {
		return conv.variables, nil
	}
	own := map[string]any{}
	for _, name := range thinking.Switches(g.Model.ChatTemplate) {
		own[name] = wish.on
	}
	if wish.on && wish.effort != "" && strings.Contains(g.Model.ChatTemplate, "reasoning_effort") {
		own["reasoning_effort"] = wish.effort
	}
	maps.Copy(own, conv.variables)
	return own, nil
}

// beginThoughts notes where the answer to a rendered prompt begins, and returns what has to follow the prompt: empty thoughts, where none
// are wanted and the template cannot be told.
func (g *generation) beginThoughts(conv conversation, prompt string) string {
	if !g.thinks() || conv.open {
		return ""
	}
	g.place = thinking.Begun(prompt)
	after := ""
	if off := conv.think.set && !conv.think.on; off && (g.place == thinking.Inside || len(thinking.Switches(g.Model.ChatTemplate)) == 0) {
		after = thinking.Skip(g.place)
		g.place = thinking.Answer
	}
	return after
}

// constrainAnswer makes sampling follow what the request says of calls, and lets thoughts come before what a grammar allows.
func (g *generation) constrainAnswer(t *toolbox, s *sampling) error {
	if err := g.constrainCalls(t, s); err != nil {
		return err
	}
	if s.grammar == nil || g.place == thinking.Answer {
		return nil
	}
	thoughts, err := g.server.grammars.Get("thoughts", func() (*grammar.Grammar, error) { return grammar.Regex(withoutTag(thinking.Close)) })
	if err != nil {
		return err
	}
	between, err := g.server.grammars.Get("after thoughts", func() (*grammar.Grammar, error) { return grammar.Regex(`\n{0,2}`) })
	if err != nil {
		return err
	}
	answer := s.grammar
	s.grammar = grammar.Sequence(thoughts, grammar.Literal(thinking.Close), between, answer)
	if g.place == thinking.Before {
		s.grammar = grammar.Alternatives(grammar.Sequence(grammar.Literal(thinking.Open), s.grammar), answer)
	}
	return nil
}

// thinkFields are the rows by which OpenAI's chat completions, and servers that took them over, say whether to think.
func thinkFields[T any](of func(*T) *thinkWish) []field[T] {
	return []field[T]{
		effortField("reasoning_effort", of),
		reasoningField(of),
		thoughtLimitField("thinking_budget_tokens", of),
		thoughtLimitField("thinking_token_budget", of),
	}
}

// thoughtFields are the rows by which chat completions say where the thoughts go.
func thoughtFields[T any](of func(*T) *thinkWish) []field[T] {
	return []field[T]{
		withoutField("include_reasoning", func(r *T) *bool { return &of(r).hidden }),
		{name: "reasoning_format", schema: schema{"type": "string", "enum": []string{"auto", "deepseek", "none"}}, read: func(_ *decoder, at string, v value, r *T) error {
			if v.kind != kindText || !slices.Contains([]string{"", "auto", "deepseek", "none"}, v.text) {
				return invalid(at, "%s must be auto, deepseek or none", at)
			}
			of(r).inText = v.text == "none"
			return nil
		}},
	}
}

// thoughtLimitField is a row of a limit of thoughts: 0 is none of them, -1 is no limit.
func thoughtLimitField[T any](name string, of func(*T) *thinkWish) field[T] {
	return field[T]{name: name, schema: integerSchema(-1, maxThoughts), read: func(_ *decoder, at string, v value, r *T) error {
		n, err := integer(at, v, -1, maxThoughts)
		switch {
		case err != nil:
			return err
		case n == 0:
			of(r).want("none")
		case n > 0:
			of(r).budget = at
		}
		return nil
	}}
}

// maxThoughts is the largest number that a field takes for a limit of thoughts.
const maxThoughts = 1 << 31

// effortField is a row of how much to think.
func effortField[T any](name string, of func(*T) *thinkWish) field[T] {
	return field[T]{name: name, schema: textSchema, read: func(_ *decoder, at string, v value, r *T) error {
		if v.kind != kindText {
			return wrongType(at, "a string", v)
		}
		if len(v.text) > 16 {
			return invalid(at, "%s is %s, must be a word such as none, low, medium or high", at, quote(v.text))
		}
		of(r).want(v.text)
		return nil
	}}
}

// reasoning is the object of that name, of OpenAI's responses and of OpenRouter's chat completions.
type reasoning struct {
	think   thinkWish
	enabled *bool
}

func (r *reasoning) wish() *thinkWish { return &r.think }

// reasoningFields are its fields. A summary of thoughts is not made: they come as they are.
var reasoningFields = newTable([]field[reasoning]{
	effortField("effort", (*reasoning).wish),
	thoughtLimitField("max_tokens", (*reasoning).wish),
	boolField("exclude", func(r *reasoning) *bool { return &r.think.hidden }),
	{name: "enabled", schema: schema{"type": "boolean"}, read: func(d *decoder, at string, v value, r *reasoning) error {
		r.enabled = new(bool)
		return boolField("", func(r *reasoning) *bool { return r.enabled }).read(d, at, v, r)
	}},
}, inertFields[reasoning]("generate_summary", "summary"))

// reasoningField is the row of the object.
func reasoningField[T any](of func(*T) *thinkWish) field[T] {
	return field[T]{name: "reasoning", schema: reasoningFields.schema(), read: func(d *decoder, at string, v value, dst *T) error {
		r := reasoning{think: *of(dst)}
		if err := reasoningFields.object(d, at, v, &r); err != nil {
			return err
		}
		if r.enabled != nil {
			if r.think.set && r.think.on != *r.enabled {
				return invalid(at+".enabled", "%s.enabled is %t, and another field says otherwise; send one of them", at, *r.enabled)
			}
			r.think.set, r.think.on = true, *r.enabled
		}
		*of(dst) = r.think
		return nil
	}}
}

// readThink reads Ollama's think: whether, or how much.
func readThink(at string, v value, t *thinkWish) error {
	t.must = true
	switch {
	case v.kind == kindBool:
		t.set, t.on = true, v.text == "true"
	case v.kind == kindText && v.text == "":
	case v.kind == kindText && slices.Contains([]string{"low", "medium", "high", "max"}, v.text):
		t.want(v.text)
	case v.kind == kindText:
		return invalid(at, "invalid think value: %s (must be \"high\", \"medium\", \"low\", \"max\", true, or false)", strconv.Quote(clip(v.text)))
	default:
		return wrongType(at, "a boolean or a string", v)
	}
	return nil
}

// anthropicThinking is Anthropic's thinking.
type anthropicThinking struct {
	kind, display string
}

// anthropicThinkingFields are its fields. The budget is an estimate there and has no effect here.
var anthropicThinkingFields = newTable([]field[anthropicThinking]{
	textField("type", func(t *anthropicThinking) *string { return &t.kind }),
	{name: "display", schema: schema{"type": "string", "enum": []string{"summarized", "omitted"}}, read: func(_ *decoder, at string, v value, t *anthropicThinking) error {
		if !isText("summarized", "omitted")(v) { // what is summarized there comes as it is
			return invalid(at, "%s must be summarized or omitted", at)
		}
		t.display = v.text
		return nil
	}},
}, inertFields[anthropicThinking]("budget_tokens"))

// readAnthropicThinking reads Anthropic's thinking.
func readAnthropicThinking(d *decoder, at string, v value, t *thinkWish) error {
	var of anthropicThinking
	if err := anthropicThinkingFields.object(d, at, v, &of); err != nil {
		return err
	}
	switch of.kind {
	case "enabled", "adaptive":
		t.set, t.on = true, true
	case "disabled":
		t.set = true
	default:
		return invalid(at+".type", "%s.type must be enabled, adaptive or disabled", at)
	}
	t.hidden = of.display == "omitted"
	return nil
}

// thoughtCount counts the tokens of an answer that are thoughts, their tags with them.
type thoughtCount struct {
	split *thinking.Splitter
	text  *tokenize.Stream
	seen  int
	n     int
}

func (g *generation) newThoughtCount(at thinking.Place) *thoughtCount {
	return &thoughtCount{split: thinking.NewSplitter(at), text: g.Tokenizer.NewStream(true)}
}

// add takes the answer's next tokens.
func (c *thoughtCount) add(tokens []int32) {
	for i := range tokens {
		before := c.split.At()
		if before == thinking.Answer {
			return
		}
		_, _ = c.split.Write(c.text.Next(tokens[i : i+1]))
		c.seen++
		if before == thinking.Inside || c.split.At() == thinking.Inside {
			c.n = c.seen
		}
	}
}
