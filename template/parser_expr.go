package template

import (
	"errors"
	"slices"
	"strconv"
)

// constants are the names that are values.
var constants = map[string]value{
	"true": true, "True": true, "false": false, "False": false, "none": nil, "None": nil,
}

// tuple parses an expression, or several separated by commas. condition says whether `a if b` may stand there.
func (p *parser) tuple(condition bool) (expr, error) {
	one := p.or
	if condition {
		one = p.expression
	}
	var items []expr
	for {
		item, err := one()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		if !p.skip(tokenOperator, ",") {
			break
		}
		if t := p.peek(); t.kind == tokenPrintEnd || t.kind == tokenBlockEnd || p.is(tokenOperator, ")") {
			return &sequenceExpr{items, kindTuple}, nil
		}
	}
	if len(items) == 1 {
		return items[0], nil
	}
	return &sequenceExpr{items, kindTuple}, nil
}

// expression parses an expression with its condition.
func (p *parser) expression() (expr, error) {
	up, err := p.deeper()
	if err != nil {
		return nil, err
	}
	defer up()
	then, err := p.or()
	if err != nil {
		return nil, err
	}
	for n := 0; p.skip(tokenName, "if"); {
		if err := p.linked(&n); err != nil {
			return nil, err
		}
		cond, err := p.or()
		if err != nil {
			return nil, err
		}
		var other expr
		if p.skip(tokenName, "else") {
			if other, err = p.expression(); err != nil {
				return nil, err
			}
		}
		then = &ifExpr{cond, then, other}
	}
	return then, nil
}

func (p *parser) or() (expr, error) {
	return p.logic("or", func() (expr, error) { return p.logic("and", p.not) })
}

func (p *parser) logic(word string, operand func() (expr, error)) (expr, error) {
	a, err := operand()
	if err != nil {
		return nil, err
	}
	for n := 0; p.skip(tokenName, word); {
		if err := p.linked(&n); err != nil {
			return nil, err
		}
		b, err := operand()
		if err != nil {
			return nil, err
		}
		a = &logicExpr{word == "or", a, b}
	}
	return a, nil
}

func (p *parser) not() (expr, error) {
	if p.skip(tokenName, "not") {
		up, err := p.deeper()
		if err != nil {
			return nil, err
		}
		defer up()
		of, err := p.not()
		return &notExpr{of}, err
	}
	return p.compare()
}

func (p *parser) compare() (expr, error) {
	first, err := p.sum()
	if err != nil {
		return nil, err
	}
	c := &compareExpr{first: first}
	for {
		t := p.peek()
		switch {
		case t.kind == tokenOperator && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, t.s),
			t.kind == tokenName && t.s == "in":
			p.take()
			c.ops = append(c.ops, t.s)
		case t.kind == tokenName && t.s == "not" && p.tokens[p.at+1].kind == tokenName && p.tokens[p.at+1].s == "in":
			p.take()
			p.take()
			c.ops = append(c.ops, "not in")
		case len(c.ops) == 0:
			return first, nil
		default:
			return c, nil
		}
		b, err := p.sum()
		if err != nil {
			return nil, err
		}
		c.rest = append(c.rest, b)
	}
}

// binary parses operands joined by one of ops, from the left.
func (p *parser) binary(operand func() (expr, error), ops ...string) (expr, error) {
	a, err := operand()
	if err != nil {
		return nil, err
	}
	for n := 0; ; {
		t := p.peek()
		if t.kind != tokenOperator || !slices.Contains(ops, t.s) {
			return a, nil
		}
		p.take()
		if err := p.linked(&n); err != nil {
			return nil, err
		}
		b, err := operand()
		if err != nil {
			return nil, err
		}
		a = &binaryExpr{t.s, a, b}
	}
}

func (p *parser) sum() (expr, error) { return p.binary(p.concat, "+", "-") }

func (p *parser) concat() (expr, error) {
	first, err := p.product()
	if err != nil || !p.is(tokenOperator, "~") {
		return first, err
	}
	c := &concatExpr{parts: []expr{first}}
	for p.skip(tokenOperator, "~") {
		part, err := p.product()
		if err != nil {
			return nil, err
		}
		c.parts = append(c.parts, part)
	}
	return c, nil
}

func (p *parser) product() (expr, error) {
	return p.binary(func() (expr, error) {
		return p.binary(func() (expr, error) { return p.unary(true) }, "**")
	}, "*", "/", "//", "%")
}

func (p *parser) unary(filters bool) (expr, error) {
	var of expr
	var err error
	if p.is(tokenOperator, "-") || p.is(tokenOperator, "+") {
		up, deep := p.deeper()
		if deep != nil {
			return nil, deep
		}
		defer up()
		minus := p.take().s == "-"
		if of, err = p.unary(false); err != nil {
			return nil, err
		}
		of = &signExpr{minus, of}
	} else {
		if of, err = p.primary(); err != nil {
			return nil, err
		}
		if of, err = p.postfix(of); err != nil {
			return nil, err
		}
	}
	if filters {
		return p.filterExpression(of)
	}
	return of, nil
}

func (p *parser) primary() (expr, error) {
	t := p.peek()
	switch t.kind {
	case tokenName:
		p.take()
		if v, ok := constants[t.s]; ok {
			return &constExpr{v}, nil
		}
		for _, m := range p.macros {
			m.caller = m.caller || t.s == "caller"
			m.varargs = m.varargs || t.s == "varargs"
			m.kwargs = m.kwargs || t.s == "kwargs"
		}
		return &nameExpr{t.s}, nil
	case tokenString:
		s := ""
		for p.peek().kind == tokenString {
			s += p.take().s
		}
		return &constExpr{own(s)}, nil
	case tokenInteger:
		n, err := strconv.ParseInt(t.s, 0, 64)
		if err != nil {
			return nil, p.errorf("the number %s is too large", t.s)
		}
		p.take()
		return &constExpr{n}, nil
	case tokenFloat:
		f, err := strconv.ParseFloat(t.s, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) { // beyond the range is infinity
			return nil, p.errorf("the number %s cannot be read", t.s)
		}
		p.take()
		return &constExpr{f}, nil
	case tokenOperator:
		switch t.s {
		case "(":
			p.take()
			if p.skip(tokenOperator, ")") {
				return &sequenceExpr{nil, kindTuple}, nil
			}
			of, err := p.tuple(true)
			if err != nil {
				return nil, err
			}
			return of, p.expect(tokenOperator, ")")
		case "[":
			return p.list()
		case "{":
			return p.dict()
		}
	}
	return nil, p.errorf("unexpected %s", t.describe())
}

func (p *parser) list() (expr, error) {
	p.take()
	l := &sequenceExpr{kind: kindList}
	for !p.skip(tokenOperator, "]") {
		if len(l.items) > 0 {
			if err := p.expect(tokenOperator, ","); err != nil {
				return nil, err
			}
			if p.skip(tokenOperator, "]") {
				break
			}
		}
		item, err := p.expression()
		if err != nil {
			return nil, err
		}
		l.items = append(l.items, item)
	}
	return l, nil
}

func (p *parser) dict() (expr, error) {
	p.take()
	d := &dictExpr{}
	for !p.skip(tokenOperator, "}") {
		if len(d.keys) > 0 {
			if err := p.expect(tokenOperator, ","); err != nil {
				return nil, err
			}
			if p.skip(tokenOperator, "}") {
				break
			}
		}
		k, err := p.expression()
		if err != nil {
			return nil, err
		}
		if err := p.expect(tokenOperator, ":"); err != nil {
			return nil, err
		}
		v, err := p.expression()
		if err != nil {
			return nil, err
		}
		d.keys, d.values = append(d.keys, k), append(d.values, v)
	}
	return d, nil
}
