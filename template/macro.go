package template

import (
	"fmt"
	"slices"
)

// function is a macro that sees the variables of the scope it is defined in.
func (m *macroDef) function(defined *scope) *function {
	return &function{name: m.name, call: func(e *evaluator, a arguments) (value, error) {
		if e.calls++; e.calls > maxCalls {
			return nil, &Error{Text: fmt.Sprintf("macros call each other more than %d deep", maxCalls)}
		}
		outer, line := e.scope, e.line
		e.scope = newScope(defined)
		defer func() { e.scope, e.line = outer, line; e.calls-- }()
		e.hide(m.hidden)
		if err := m.bind(e, a); err != nil {
			return nil, err
		}
		return e.capture(func() error {
			_, err := e.run(m.body)
			return err
		})
	}}
}

// bind gives the parameters their values.
func (m *macroDef) bind(e *evaluator, a arguments) error {
	left := newDict()
	given := map[string]value{}
	for i, name := range a.names {
		switch {
		case name == "caller":
			given[name] = a.named[i]
		case slices.Contains(m.params, name):
			given[name] = a.named[i]
		case !m.kwargs:
			return typeErrorf("macro '%s' takes no keyword argument '%s'", m.name, name)
		default:
			if err := left.set(e, own(name), a.named[i]); err != nil {
				return err
			}
		}
	}
	if len(a.positional) > len(m.params) && !m.varargs {
		return typeErrorf("macro '%s' takes not more than %d argument(s)", m.name, len(m.params))
	}
	for i, name := range m.params {
		v, ok := given[name]
		switch d := i - (len(m.params) - len(m.defaults)); {
		case i < len(a.positional):
			if ok {
				return typeErrorf("macro '%s' got multiple values for argument '%s'", m.name, name)
			}
			v = a.positional[i]
		case ok:
		case d >= 0:
			var err error
			if v, err = m.defaults[d].eval(e); err != nil {
				return err
			}
		default:
			v = undefined{message: fmt.Sprintf("parameter '%s' was not provided", name)}
		}
		e.scope.set(name, v)
	}
	if m.varargs {
		e.scope.set("varargs", newTuple(a.positional[min(len(m.params), len(a.positional)):]...))
	}
	if m.kwargs {
		e.scope.set("kwargs", left)
	}
	if caller, ok := given["caller"]; ok && !slices.Contains(m.params, "caller") {
		e.scope.set("caller", caller)
	} else if m.caller && !ok {
		e.scope.set("caller", undefined{message: "no caller defined"})
	}
	return nil
}
