package template

import (
	"slices"
	"strconv"
)

// postfix parses attributes, indices and calls.
func (p *parser) postfix(of expr) (expr, error) {
	for n := 0; ; {
		err := p.linked(&n)
		if err != nil {
			return nil, err
		}
		switch {
		case p.skip(tokenOperator, "."):
			t := p.take()
			switch t.kind {
			case tokenName:
				of = &attrExpr{of, t.s}
			case tokenInteger:
				n, err := strconv.ParseInt(t.s, 0, 64)
				if err != nil {
					return nil, p.errorf("the number %s is too large", t.s)
				}
				of = &indexExpr{of, &constExpr{n}}
			default:
				return nil, p.errorf("expected a name or a number after '.'")
			}
		case p.skip(tokenOperator, "["):
			of, err = p.subscript(of)
		case p.is(tokenOperator, "("):
			of, err = p.call(of)
		default:
			return of, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *parser) subscript(of expr) (expr, error) {
	var parts [3]expr
	n := 0
	slice := false
	for {
		switch {
		case p.skip(tokenOperator, "]"):
			if slice {
				return &sliceExpr{of, parts[0], parts[1], parts[2]}, nil
			}
			if parts[0] == nil {
				return nil, p.errorf("expected an index")
			}
			return &indexExpr{of, parts[0]}, nil
		case p.skip(tokenOperator, ":"):
			if n++; n > 2 {
				return nil, p.errorf("a slice has three parts at most")
			}
			slice = true
		case parts[n] != nil:
			return nil, p.errorf("expected \"]\", there is %s", p.peek().describe())
		default:
			part, err := p.expression()
			if err != nil {
				return nil, err
			}
			parts[n] = part
		}
	}
}

func (p *parser) call(fn expr) (expr, error) {
	args, err := p.arguments()
	return &callExpr{fn, args}, err
}

// arguments parses the arguments of a call with their brackets.
func (p *parser) arguments() (argumentExprs, error) {
	var a argumentExprs
	p.take()
	for first := true; !p.skip(tokenOperator, ")"); first = false {
		if !first {
			if err := p.expect(tokenOperator, ","); err != nil {
				return a, err
			}
			if p.skip(tokenOperator, ")") {
				break
			}
		}
		if p.is(tokenOperator, "*") || p.is(tokenOperator, "**") {
			return a, p.errorf("arguments with %s are not supported", p.peek().s)
		}
		if next := p.tokens[min(p.at+1, len(p.tokens)-1)]; p.peek().kind == tokenName && next.kind == tokenOperator && next.s == "=" {
			name := p.take().s
			p.take()
			v, err := p.expression()
			if err != nil {
				return a, err
			}
			a.names, a.named = append(a.names, name), append(a.named, v)
			continue
		}
		if len(a.named) > 0 {
			return a, p.errorf("an argument without a name follows one with")
		}
		v, err := p.expression()
		if err != nil {
			return a, err
		}
		a.positional = append(a.positional, v)
	}
	return a, nil
}

// filterExpression parses filters and tests, and calls after them.
func (p *parser) filterExpression(of expr) (expr, error) {
	for n := 0; ; {
		err := p.linked(&n)
		if err != nil {
			return nil, err
		}
		switch {
		case p.skip(tokenOperator, "|"):
			of, err = p.filter(of)
		case p.skip(tokenName, "is"):
			of, err = p.test(of)
		case p.is(tokenOperator, "("):
			of, err = p.call(of)
		default:
			return of, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *parser) dottedName() (string, error) {
	name, err := p.name()
	for err == nil && p.skip(tokenOperator, ".") {
		var part string
		part, err = p.name()
		name += "." + part
	}
	return name, err
}

func (p *parser) filter(of expr) (*filterExpr, error) {
	name, err := p.dottedName()
	if err != nil {
		return nil, err
	}
	f := &filterExpr{of: of, name: name}
	if p.is(tokenOperator, "(") {
		f.args, err = p.arguments()
	}
	return f, err
}

// filters parses the filters of a filter or set block.
func (p *parser) filters() ([]*filterExpr, error) {
	var all []*filterExpr
	for {
		f, err := p.filter(nil)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
		if !p.skip(tokenOperator, "|") {
			return all, nil
		}
	}
}

func (p *parser) test(of expr) (expr, error) {
	negated := p.skip(tokenName, "not")
	name, err := p.dottedName()
	if err != nil {
		return nil, err
	}
	t := &testExpr{of: of, name: name}
	next := p.peek()
	switch {
	case p.is(tokenOperator, "("):
		if t.args, err = p.arguments(); err != nil {
			return nil, err
		}
	case next.kind == tokenName && !slices.Contains([]string{"else", "or", "and"}, next.s),
		next.kind == tokenString, next.kind == tokenInteger, next.kind == tokenFloat,
		p.is(tokenOperator, "["), p.is(tokenOperator, "{"):
		if next.kind == tokenName && next.s == "is" {
			return nil, p.errorf("tests cannot be chained with is")
		}
		arg, err := p.primary()
		if err != nil {
			return nil, err
		}
		if arg, err = p.postfix(arg); err != nil {
			return nil, err
		}
		t.args.positional = []expr{arg}
	}
	if negated {
		return &notExpr{t}, nil
	}
	return t, nil
}
