package template

import (
	"fmt"
	"slices"
)

// The parser follows the grammar of jinja2's (parser.py). Statements are here, expressions in parser_expr.go.

// maxDepth bounds how deep blocks and expressions of a template nest, maxChain how many operators, filters or calls
// follow each other in one expression, which nests too when it is evaluated.
const (
	maxDepth = 200
	maxChain = 1000
)

type parser struct {
	tokens []token
	at     int
	depth  int
	loops  int         // open for blocks of the present macro
	macros []*macroDef // open
}

func parse(source string) ([]stmt, error) {
	tokens, err := lex(source)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	body, _, err := p.body()
	return body, err
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) take() token {
	t := p.tokens[p.at]
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

func (p *parser) errorf(format string, a ...any) error {
	return fmt.Errorf("line %d: %s", p.peek().line, fmt.Sprintf(format, a...))
}

// is says whether the next token is the operator or name s.
func (p *parser) is(kind tokenKind, s string) bool {
	t := p.peek()
	return t.kind == kind && t.s == s
}

// skip takes the next token if it is the operator or name s.
func (p *parser) skip(kind tokenKind, s string) bool {
	if !p.is(kind, s) {
		return false
	}
	p.take()
	return true
}

func (p *parser) expect(kind tokenKind, s string) error {
	if !p.skip(kind, s) {
		return p.errorf("expected %q, there is %s", s, p.peek().describe())
	}
	return nil
}

func (p *parser) name() (string, error) {
	t := p.peek()
	if t.kind != tokenName {
		return "", p.errorf("expected a name, there is %s", t.describe())
	}
	return p.take().s, nil
}

func (p *parser) blockEnd() error {
	if p.peek().kind != tokenBlockEnd {
		return p.errorf("expected the end of the statement block, there is %s", p.peek().describe())
	}
	p.take()
	return nil
}

// deeper counts one level of nesting; the function that it returns ends it.
func (p *parser) deeper() (func(), error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.errorf("nested more than %d deep", maxDepth)
	}
	return func() { p.depth-- }, nil
}

// linked counts the links of a chain.
func (p *parser) linked(n *int) error {
	if *n++; *n > maxChain {
		return p.errorf("more than %d operators, filters or calls in a row", maxChain)
	}
	return nil
}

// body parses statements up to a block that one of the names begins, which is taken up to and with its name. Without
// names it is up to the end of the template.
func (p *parser) body(ends ...string) ([]stmt, string, error) {
	up, err := p.deeper()
	if err != nil {
		return nil, "", err
	}
	defer up()
	var body []stmt
	for {
		switch t := p.take(); t.kind {
		case tokenEnd:
			if len(ends) > 0 {
				return nil, "", p.errorf("the template ends before %q", ends[0])
			}
			return body, "", nil
		case tokenData:
			body = append(body, &dataStmt{t.s})
		case tokenPrintBegin:
			of, err := p.tuple(true)
			if err != nil {
				return nil, "", err
			}
			if p.peek().kind != tokenPrintEnd {
				return nil, "", p.errorf("expected the end of the print statement, there is %s", p.peek().describe())
			}
			p.take()
			body = append(body, &printStmt{t.line, of})
		default: // the lexer gives nothing else here than the begin of a block
			name, err := p.name()
			if err != nil {
				return nil, "", err
			}
			if slices.Contains(ends, name) {
				return body, name, nil
			}
			s, err := p.statement(name, t.line)
			if err != nil {
				return nil, "", err
			}
			body = append(body, s)
		}
	}
}

// closedBody parses the end of a tag, the body after it and its end tag.
func (p *parser) closedBody(end string) ([]stmt, error) {
	if err := p.blockEnd(); err != nil {
		return nil, err
	}
	body, _, err := p.body(end)
	if err != nil {
		return nil, err
	}
	return body, p.blockEnd()
}

func (p *parser) statement(name string, line int) (stmt, error) {
	switch name {
	case "if":
		return p.ifStatement(line)
	case "for":
		return p.forStatement(line)
	case "set":
		return p.setStatement(line)
	case "macro":
		return p.macroStatement(line)
	case "call":
		return p.callStatement(line)
	case "filter":
		f, err := p.filters()
		if err != nil {
			return nil, err
		}
		body, err := p.closedBody("endfilter")
		return &filterStmt{line: line, filters: f, body: body}, err
	case "with":
		return p.withStatement(line)
	case "generation":
		body, err := p.closedBody("endgeneration")
		return &scopeStmt{body: body}, err
	case "break", "continue":
		if p.loops == 0 {
			return nil, p.errorf("%s is not inside a for block", name)
		}
		if name == "break" {
			return &breakStmt{}, p.blockEnd()
		}
		return &continueStmt{}, p.blockEnd()
	case "print":
		of, err := p.tuple(true)
		if err != nil {
			return nil, err
		}
		return &printStmt{line, of}, p.blockEnd()
	case "block", "extends", "include", "import", "from", "autoescape":
		return nil, p.errorf("the statement %q is not supported", name)
	}
	return nil, p.errorf("unknown statement %q", name)
}

func (p *parser) ifStatement(line int) (stmt, error) {
	s := &ifStmt{line: line}
	for {
		cond, err := p.tuple(false)
		if err != nil {
			return nil, err
		}
		if err := p.blockEnd(); err != nil {
			return nil, err
		}
		body, end, err := p.body("elif", "else", "endif")
		if err != nil {
			return nil, err
		}
		s.branches = append(s.branches, branch{cond, body})
		switch end {
		case "else":
			body, err := p.closedBody("endif")
			s.branches = append(s.branches, branch{nil, body})
			return s, err
		case "endif":
			return s, p.blockEnd()
		}
	}
}
