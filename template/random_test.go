package template

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// expressions writes random expressions of the language. Most are wrong in some way, as Python is to agree.
type expressions struct{ r *rand.Rand }

func (x expressions) pick(of ...string) string { return of[x.r.IntN(len(of))] }

func (x expressions) atom() string {
	return x.pick("0", "1", "-3", "7", "2.5", "1e3", "true", "none", "''", "'a'", "'Ab c'", "'ü\\n'", "'12'", "x", "extra", "messages",
		"messages[0]", "messages[-1].content", "[]", "[3, 1, 2]", "['b', 'A']", "{}", "{'k': 1, 'j': [2]}", "(1, 'z')", "half", "tools")
}

func (x expressions) expression(depth int) string {
	if depth == 0 {
		return x.atom()
	}
	a := func() string { return x.expression(depth - 1 - x.r.IntN(depth)) }
	switch x.r.IntN(13) {
	case 0, 1:
		return "(" + a() + " " + x.pick("+", "-", "*", "/", "//", "%", "~", "~") + " " + a() + ")"
	case 2:
		return "(" + a() + " " + x.pick("==", "!=", "<", ">=", "in", "not in", "and", "or") + " " + a() + ")"
	case 3:
		return "(" + a() + " if " + a() + " else " + a() + ")"
	case 4, 5:
		return a() + "|" + x.pick("upper", "lower", "trim", "title", "capitalize", "length", "string", "int", "float", "list", "first", "last",
			"join('-')", "reverse|list", "sort", "unique|list", "tojson", "tojson(indent=1)", "default('d')", "default('d', true)", "abs", "round(1)", "sum", "max",
			"min", "dictsort", "items|list", "replace('a', 'b')", "map('string')|list", "select|list", "reject('none')|list", "indent", "wordcount", "batch(2)|list", "center(9)", "e")
	case 6:
		return a() + " is " + x.pick("defined", "none", "string", "mapping", "iterable", "sequence", "number", "boolean", "true", "false", "odd", "even", "integer", "float", "in [1, 'a']", "eq 1", "not none")
	case 7:
		return "(" + a() + ")" + x.pick("[0]", "[-1]", "['k']", ".k", ".role", "[5]", "[none]")
	case 8:
		return "(" + a() + ")" + x.pick(".strip()", ".split()", ".split('a')", ".upper()", ".lower()", ".startswith('a')", ".endswith('c')", ".replace('a', 'xx')", ".items()|list",
			".get('k')", ".get('zz', 4)", ".keys()|list", ".title()", ".find('b')", ".count('a')", ".splitlines()", ".rsplit('b', 1)", ".join(['p', 'q'])", ".format(1, 2)", ".isdigit()", ".swapcase()")
	case 12:
		return x.pick("messages", "extra", "extra.split()", "(extra ~ half)", "range(4)|list") + x.pick("[1:]", "[:2]", "[::-1]", "[::2]", "[-2:]", "[:-1]", "[5:]", "[2:1]", "[none:1]")
	case 9:
		return "[" + a() + ", " + a() + "]"
	case 10:
		return "(not " + a() + ")"
	}
	return "{" + x.pick("'k'", "1", "none", "true", "(1, 2)", "2.5", "extra") + ": " + a() + "}"
}

// Random expressions give what they give in Python, errors included.
func TestRandomExpressions(t *testing.T) {
	seed := uint64(2026)
	if !testing.Short() {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	x := expressions{rand.New(rand.NewPCG(seed, 0))}
	snippets := make([]string, 3000)
	for i := range snippets {
		snippets[i] = fmt.Sprintf("{{ %s }}", x.expression(1+i%4))
		if i%5 == 0 { // statements around it
			snippets[i] = "{% set v = " + strings.Trim(snippets[i], "{} ") + " %}{% for w in v %}[{{ w }}]{% else %}{{ v }}{% endfor %}"
		}
	}
	compareSnippets(t, snippets)
}
