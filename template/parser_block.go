package template

func (p *parser) forStatement(line int) (stmt, error) {
	s := &forStmt{line: line}
	var err error
	if s.target, err = p.assignTarget(false); err != nil {
		return nil, err
	}
	if err := p.expect(tokenName, "in"); err != nil {
		return nil, err
	}
	if s.over, err = p.tuple(false); err != nil {
		return nil, err
	}
	if p.skip(tokenName, "if") {
		if s.filter, err = p.expression(); err != nil {
			return nil, err
		}
	}
	if p.is(tokenName, "recursive") {
		return nil, p.errorf("recursive loops are not supported")
	}
	if err := p.blockEnd(); err != nil {
		return nil, err
	}
	p.loops++
	body, end, err := p.body("else", "endfor")
	p.loops--
	if err != nil {
		return nil, err
	}
	s.body = body
	if end == "else" {
		s.none, err = p.closedBody("endfor")
		return s, err
	}
	return s, p.blockEnd()
}

// assignTarget parses names, or with parts also name.attr, separated by commas.
func (p *parser) assignTarget(parts bool) (target, error) {
	var all []target
	several := false
	for {
		t, err := p.oneTarget(parts)
		if err != nil {
			return target{}, err
		}
		all = append(all, t)
		if !p.skip(tokenOperator, ",") {
			break
		}
		several = true
		if p.peek().kind != tokenName && !p.is(tokenOperator, "(") || p.is(tokenName, "in") {
			break
		}
	}
	if !several {
		return all[0], nil
	}
	return target{several: all}, nil
}

func (p *parser) oneTarget(parts bool) (target, error) {
	if p.skip(tokenOperator, "(") {
		up, err := p.deeper()
		if err != nil {
			return target{}, err
		}
		defer up()
		t, err := p.assignTarget(parts)
		if err != nil {
			return target{}, err
		}
		return t, p.expect(tokenOperator, ")")
	}
	name, err := p.name()
	if err != nil {
		return target{}, err
	}
	if _, ok := constants[name]; ok {
		return target{}, p.errorf("cannot assign to %q", name)
	}
	t := target{name: name}
	if parts && p.skip(tokenOperator, ".") {
		t.attr, err = p.name()
	}
	return t, err
}

func (p *parser) setStatement(line int) (stmt, error) {
	t, err := p.assignTarget(true)
	if err != nil {
		return nil, err
	}
	if p.skip(tokenOperator, "=") {
		to, err := p.tuple(true)
		if err != nil {
			return nil, err
		}
		return &setStmt{line, t, to}, p.blockEnd()
	}
	s := &setBlockStmt{line: line, target: t}
	if p.is(tokenOperator, "|") {
		p.take()
		if s.filters, err = p.filters(); err != nil {
			return nil, err
		}
	}
	s.body, err = p.closedBody("endset")
	return s, err
}

// macroBody parses what follows the signature of a macro or call block.
func (p *parser) macroBody(m *macroDef, end string) error {
	loops := p.loops
	p.loops = 0
	p.macros = append(p.macros, m)
	body, err := p.closedBody(end)
	p.macros = p.macros[:len(p.macros)-1]
	p.loops = loops
	m.body = body
	return err
}

// signature parses the parameters in brackets.
func (p *parser) signature(m *macroDef) error {
	if err := p.expect(tokenOperator, "("); err != nil {
		return err
	}
	for !p.skip(tokenOperator, ")") {
		if len(m.params) > 0 {
			if err := p.expect(tokenOperator, ","); err != nil {
				return err
			}
		}
		name, err := p.name()
		if err != nil {
			return err
		}
		m.params = append(m.params, name)
		if p.skip(tokenOperator, "=") {
			d, err := p.expression()
			if err != nil {
				return err
			}
			m.defaults = append(m.defaults, d)
		} else if len(m.defaults) > 0 {
			return p.errorf("parameter %q without a default follows one with", name)
		}
	}
	return nil
}

func (p *parser) macroStatement(line int) (stmt, error) {
	s := &macroStmt{line: line}
	var err error
	if s.name, err = p.name(); err != nil {
		return nil, err
	}
	if err := p.signature(&s.macroDef); err != nil {
		return nil, err
	}
	return s, p.macroBody(&s.macroDef, "endmacro")
}

func (p *parser) callStatement(line int) (stmt, error) {
	s := &callStmt{line: line}
	s.body.name = "caller"
	if p.is(tokenOperator, "(") {
		if err := p.signature(&s.body); err != nil {
			return nil, err
		}
	}
	of, err := p.expression()
	if err != nil {
		return nil, err
	}
	call, ok := of.(*callExpr)
	if !ok {
		return nil, p.errorf("a call block needs a call")
	}
	s.call = call
	return s, p.macroBody(&s.body, "endcall")
}

func (p *parser) withStatement(line int) (stmt, error) {
	s := &withStmt{line: line}
	for p.peek().kind != tokenBlockEnd {
		if len(s.targets) > 0 {
			if err := p.expect(tokenOperator, ","); err != nil {
				return nil, err
			}
		}
		t, err := p.oneTarget(false)
		if err != nil {
			return nil, err
		}
		if err := p.expect(tokenOperator, "="); err != nil {
			return nil, err
		}
		v, err := p.expression()
		if err != nil {
			return nil, err
		}
		s.targets, s.values = append(s.targets, t), append(s.values, v)
	}
	body, err := p.closedBody("endwith")
	s.body = body
	return s, err
}
