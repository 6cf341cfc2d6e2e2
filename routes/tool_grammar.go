package routes

import (
	"fmt"
	"regexp"
	"strings"

	"ortserve/grammar"
	"ortserve/template/toolcall"
)

// maxCalls is how many calls an answer may hold where a grammar keeps it to calls.
const maxCalls = 16

// constrained says whether a grammar keeps the calls of the answer right.
func (t *toolbox) constrained() bool {
	if t.forced() {
		return true
	}
	for _, of := range t.offered() {
		if of.strict {
			return true
		}
	}
	return false
}

// constrainCalls makes sampling follow what the request says of calls. Where tool_choice forces them the answer is calls and nothing
// else; where a tool is strict it is text, then calls. A format that the request asks for is that of an answer without calls.
func (g *generation) constrainCalls(t *toolbox, s *sampling) error {
	tools := t.callable()
	if len(tools) == 0 || !t.constrained() && s.grammar == nil {
		return nil
	}
	t.tagged = true
	format := g.format()
	source := fmt.Sprint("calls ", format, t.forced(), t.single)
	for _, of := range tools {
		source += fmt.Sprintf(" %s %t %s", of.name, t.forced() || of.strict, of.parameterSchema().appendJSON(nil))
	}
	calls, err := g.server.grammars.Get(source, func() (*grammar.Grammar, error) { return callsGrammar(format, tools, t) })
	if err != nil {
		return err
	}
	switch {
	case t.forced():
	case s.grammar != nil:
		calls = grammar.Alternatives(calls, s.grammar)
	default:
		if calls, err = g.server.grammars.Get("text or "+source, func() (*grammar.Grammar, error) { return textOr(format, calls) }); err != nil {
			return err
		}
	}
	s.grammar = calls
	return nil
}

// callsGrammar is the grammar of one or several calls as a model writes them.
func callsGrammar(format toolcall.Format, tools []tool, t *toolbox) (*grammar.Grammar, error) {
	var each []*grammar.Grammar
	for _, of := range tools {
		arguments := grammar.JSON()
		if t.forced() || of.strict {
			var err error
			if arguments, err = grammar.JSONSchema(of.parameterSchema().appendJSON(nil), grammar.Options{Closed: true}); err != nil {
				return nil, refusedGrammar(of.where, err)
			}
		}
		each = append(each, grammar.Sequence(grammar.Literal(format.Begin(of.name)), arguments, grammar.Literal(format.End())))
	}
	call := grammar.Alternatives(each...)
	before, between, after := format.Around()
	more := maxCalls - 1
	if t.single || t.choice == chooseNamed || !format.Parallel() {
		more = 0
	}
	return grammar.Sequence(grammar.Literal(before), call, grammar.Repeat(grammar.Sequence(grammar.Literal(between), call), 0, more), grammar.Literal(after)), nil
}

// textOr is the grammar of a text in which nothing is read as a call, after which calls may come.
func textOr(format toolcall.Format, calls *grammar.Grammar) (*grammar.Grammar, error) {
	if format == toolcall.Llama || format == toolcall.Mistral { // no line begins as a call does
		line := `[\t\r ]*([^{\s][^\n]*)?`
		if format == toolcall.Mistral {
			line = `[\t\r ]*([^{\[\s][^\n]*)?`
		}
		lines, err := grammar.Regex("(" + line + `\n)*`)
		if err != nil {
			return nil, err
		}
		last, err := grammar.Regex(line)
		if err != nil {
			return nil, err
		}
		return grammar.Sequence(lines, grammar.Alternatives(last, calls)), nil
	}
	text, err := grammar.Regex(withoutTag(toolcall.Tag))
	if err != nil {
		return nil, err
	}
	return grammar.Sequence(text, grammar.Repeat(calls, 0, 1)), nil
}

// withoutTag is a regular expression of the texts without that tag. Only the tag's first character is a <.
func withoutTag(tag string) string {
	var ends []string // the tag's beginnings, each with a character that is not the tag's next and begins no tag
	begun := ""       // any beginning of the tag
	for i := len(tag) - 1; i > 0; i-- {
		ends = append(ends, regexp.QuoteMeta(tag[:i])+"[^<"+regexp.QuoteMeta(tag[i:i+1])+"]")
		begun = regexp.QuoteMeta(tag[i-1:i]) + begun
		if i > 1 {
			begun = "(" + begun + ")?"
		}
	}
	return "([^<]|(" + begun + ")*(" + strings.Join(ends, "|") + "))*(" + begun + ")*"
}
