package template

import (
	"errors"
	"fmt"
	"time"
)

// The limits of a render. Steps bound its work: evaluated nodes, visited items, and bytes of text that is made, so that
// the same render always ends the same way; the time is for what steps do not see. What a template is given adds to the first two:
// that a prompt is longer than the model's window is for those to say who know the window.
const (
	maxSteps  = 1_000_000
	maxText   = 4 << 20 // bytes of the prompt, and of any text made on the way
	maxCalls  = 64      // macros inside macros
	maxTime   = 10 * time.Second
	bytesStep = 128 // bytes of text that count as one step

	stepsPerValue = 64            // that a value of the input adds
	passes        = 8             // over the input's text, whose steps it adds
	mostSteps     = 10 * maxSteps // whatever the input is
)

var tooLong = fmt.Sprintf("makes a text of more than %d bytes beside what it is given", maxText)

// evaluator is the state of one render.
type evaluator struct {
	scope    *scope
	out      *builder
	line     int
	steps    int
	maxSteps int
	maxText  int
	calls    int
	now      func() time.Time
	deadline time.Time
}

// newEvaluator returns the evaluator of a template that is given context, made of in.
func newEvaluator(context *scope, in Input) *evaluator {
	now := in.Now
	if now == nil {
		now = time.Now
	}
	bytes, values := in.size()
	return &evaluator{
		scope: newScope(context), out: &builder{}, now: now, deadline: time.Now().Add(maxTime),
		maxText:  maxText + bytes,
		maxSteps: min(maxSteps+values*stepsPerValue+passes*bytes/bytesStep, mostSteps),
	}
}

// scope holds variables, few, so that a list of them is faster than a map. What is not in it is looked up in its parent.
type scope struct {
	vars   []variable
	parent *scope
	first  [4]variable // the memory of the first variables
}

func newScope(parent *scope) *scope {
	s := &scope{parent: parent}
	s.vars = s.first[:0]
	return s
}

type variable struct {
	name string
	v    value
}

func (s *scope) set(name string, v value) {
	for i := range s.vars {
		if s.vars[i].name == name {
			s.vars[i].v = v
			return
		}
	}
	s.vars = append(s.vars, variable{name, v})
}

// get returns absent{} for what has no value.
func (s *scope) get(name string) value {
	for ; s != nil; s = s.parent {
		for i := range s.vars {
			if s.vars[i].name == name {
				return s.vars[i].v
			}
		}
	}
	return absent{}
}

// spend counts n steps.
func (e *evaluator) spend(n int) error {
	before := e.steps
	e.steps += n
	if e.steps > e.maxSteps {
		return &Error{Text: fmt.Sprintf("takes more than %d steps", e.maxSteps)}
	}
	if before>>10 != e.steps>>10 && time.Now().After(e.deadline) {
		return &Error{Text: fmt.Sprintf("takes longer than %s", maxTime)}
	}
	return nil
}

// made counts text that was made, of n bytes.
func (e *evaluator) made(n int) error {
	if n > e.maxText {
		return &Error{Text: tooLong}
	}
	return e.spend(n / bytesStep)
}

// inside runs body in a scope of its own.
func (e *evaluator) inside(hidden []string, body func() (signal, error)) (signal, error) {
	outer := e.scope
	e.scope = newScope(outer)
	e.hide(hidden)
	s, err := body()
	e.scope = outer
	return s, err
}

// hide declares names that have no value yet.
func (e *evaluator) hide(names []string) {
	for _, name := range names {
		e.scope.set(name, absent{})
	}
}

// capture runs body and returns what it printed.
func (e *evaluator) capture(body func() error) (text, error) {
	outer := e.out
	e.out = &builder{}
	err := body()
	t := e.out.text()
	e.out = outer
	return t, err
}

func (e *evaluator) run(body []stmt) (signal, error) {
	for _, s := range body {
		if err := e.spend(1); err != nil {
			return signalNone, err
		}
		if sig, err := s.exec(e); err != nil || sig != signalNone {
			return sig, err
		}
	}
	return signalNone, nil
}

// at notes the line of a statement, for errors.
func (e *evaluator) at(line int) { e.line = line }

func (e *evaluator) print(t text) error {
	e.out.join(t)
	if e.out.len() > e.maxText {
		return &Error{Text: tooLong}
	}
	return e.spend(len(t.s) / bytesStep)
}

func (s *dataStmt) exec(e *evaluator) (signal, error) { return signalNone, e.print(own(s.s)) }

func (s *printStmt) exec(e *evaluator) (signal, error) {
	e.at(s.line)
	v, err := s.of.eval(e)
	if err != nil {
		return signalNone, err
	}
	t, err := e.text(v)
	if err != nil {
		return signalNone, err
	}
	return signalNone, e.print(t)
}

func (s *ifStmt) exec(e *evaluator) (signal, error) {
	e.at(s.line)
	for _, b := range s.branches {
		if b.cond != nil {
			v, err := b.cond.eval(e)
			if err != nil {
				return signalNone, err
			}
			if !truth(v) {
				continue
			}
		}
		return e.run(b.body)
	}
	return signalNone, nil
}

func (s *forStmt) exec(e *evaluator) (signal, error) {
	e.at(s.line)
	over, err := s.over.eval(e)
	if err != nil {
		return signalNone, err
	}
	items, err := e.iterate(over)
	if err != nil {
		return signalNone, err
	}
	if s.filter != nil {
		if items, err = s.keep(e, items); err != nil {
			return signalNone, err
		}
	}
	if len(items) == 0 {
		return e.inside(s.noneHidden, func() (signal, error) { return e.run(s.none) })
	}
	l := &loop{items: items}
	for i := range items {
		l.at = i
		if err := e.spend(1); err != nil {
			return signalNone, err
		}
		sig, err := e.inside(s.hidden, func() (signal, error) {
			e.scope.set("loop", l)
			if err := e.assign(s.target, items[i]); err != nil {
				return signalNone, err
			}
			return e.run(s.body)
		})
		if err != nil {
			return signalNone, err
		}
		if sig == signalBreak {
			break
		}
	}
	return signalNone, nil
}

// keep returns the items that the loop's filter accepts.
func (s *forStmt) keep(e *evaluator, items []value) ([]value, error) {
	var kept []value
	for _, item := range items {
		_, err := e.inside(nil, func() (signal, error) {
			if err := e.assign(s.target, item); err != nil {
				return signalNone, err
			}
			v, err := s.filter.eval(e)
			if err == nil && truth(v) {
				kept = append(kept, item)
			}
			return signalNone, err
		})
		if err != nil {
			return nil, err
		}
	}
	return kept, nil
}

func (e *evaluator) assign(t target, v value) error {
	switch {
	case t.several != nil:
		items, err := e.iterate(v)
		if err != nil {
			return err
		}
		if len(items) != len(t.several) {
			return typeErrorf("%d values for %d names", len(items), len(t.several))
		}
		for i := range items {
			if err := e.assign(t.several[i], items[i]); err != nil {
				return err
			}
		}
	case t.attr != "":
		n, ok := e.scope.get(t.name).(*namespace)
		if !ok {
			return typeErrorf("cannot assign attribute on non-namespace object")
		}
		n.set(t.attr, v)
	default:
		e.scope.set(t.name, v)
	}
	return nil
}

func (n *namespace) set(name string, v value) {
	if _, ok := n.values[name]; !ok {
		n.names = append(n.names, name)
	}
	n.values[name] = v
}

func (s *setStmt) exec(e *evaluator) (signal, error) {
	e.at(s.line)
	v, err := s.to.eval(e)
	if err != nil {
		return signalNone, err
	}
	return signalNone, e.assign(s.target, v)
}

func (s *setBlockStmt) exec(e *evaluator) (signal, error) {
	v, err := e.filtered(s.line, s.filters, s.hidden, s.body)
	if err != nil {
		return signalNone, err
	}
	return signalNone, e.assign(s.target, v)
}

func (s *filterStmt) exec(e *evaluator) (signal, error) {
	v, err := e.filtered(s.line, s.filters, s.hidden, s.body)
	if err != nil {
		return signalNone, err
	}
	t, err := e.text(v)
	if err != nil {
		return signalNone, err
	}
	return signalNone, e.print(t)
}

// filtered is what body prints, through filters.
func (e *evaluator) filtered(line int, filters []*filterExpr, hidden []string, body []stmt) (value, error) {
	e.at(line)
	t, err := e.capture(func() error {
		_, err := e.inside(hidden, func() (signal, error) { return e.run(body) })
		return err
	})
	var v value = t
	for _, f := range filters {
		if err == nil {
			v, err = f.apply(e, v)
		}
	}
	return v, err
}

func (s *scopeStmt) exec(e *evaluator) (signal, error) {
	return e.inside(s.hidden, func() (signal, error) { return e.run(s.body) })
}

func (s *withStmt) exec(e *evaluator) (signal, error) {
	e.at(s.line)
	values := make([]value, len(s.values))
	for i, x := range s.values {
		var err error
		if values[i], err = x.eval(e); err != nil {
			return signalNone, err
		}
	}
	return e.inside(s.hidden, func() (signal, error) {
		for i, t := range s.targets {
			if err := e.assign(t, values[i]); err != nil {
				return signalNone, err
			}
		}
		return e.run(s.body)
	})
}

func (*breakStmt) exec(*evaluator) (signal, error) { return signalBreak, nil }

func (*continueStmt) exec(*evaluator) (signal, error) { return signalContinue, nil }

func (s *macroStmt) exec(e *evaluator) (signal, error) {
	e.scope.set(s.name, s.function(e.scope))
	return signalNone, nil
}

func (s *callStmt) exec(e *evaluator) (signal, error) {
	e.at(s.line)
	fn, err := s.call.fn.eval(e)
	if err != nil {
		return signalNone, err
	}
	a, err := s.call.args.eval(e)
	if err != nil {
		return signalNone, err
	}
	a.names = append(a.names, "caller")
	a.named = append(a.named, s.body.function(e.scope))
	v, err := e.call(fn, a)
	if err != nil {
		return signalNone, err
	}
	t, err := e.text(v)
	if err != nil {
		return signalNone, err
	}
	return signalNone, e.print(t)
}

// where adds the line to an error of the template's.
func (e *evaluator) where(err error) error {
	var fault *Error
	if !errors.As(err, &fault) {
		return fmt.Errorf("chat template, line %d: %w", e.line, err)
	}
	if fault.raised {
		return fault
	}
	return &Error{Text: fmt.Sprintf("chat template, line %d: %s", e.line, fault.Text)}
}
