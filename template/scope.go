package template

// Which variable a name means is decided in jinja2 when a template is compiled (idtracking.py). It differs from looking
// the name up in the scopes that are open in one case: where a frame (the template, a loop's body, a macro, …) sets a
// name before it mentions it otherwise, and no frame around it mentions it, then the name is the frame's own from its
// beginning on: blocks and macros inside that read it before it is set see nothing, not the caller's variable of that
// name. hidden holds such names of each frame.

// frame is what is known of the names of one frame.
type frame struct {
	parent *frame
	known  map[string]bool // mentioned so far
	set    map[string]bool
	first  map[string]bool // set before mentioned otherwise, and not known around
}

func newFrame(parent *frame, params ...target) *frame {
	f := &frame{parent: parent, known: map[string]bool{}, set: map[string]bool{}, first: map[string]bool{}}
	for _, p := range params {
		for _, name := range p.names() {
			f.known[name] = true
		}
	}
	return f
}

func (t target) names() []string {
	if t.several == nil {
		return []string{t.name}
	}
	var names []string
	for _, part := range t.several {
		names = append(names, part.names()...)
	}
	return names
}

// finds says whether f or a frame around it knows the name.
func (f *frame) finds(name string) bool {
	for ; f != nil; f = f.parent {
		if f.known[name] {
			return true
		}
	}
	return false
}

func (f *frame) load(name string) {
	if !f.finds(name) {
		f.known[name] = true
	}
}

func (f *frame) store(t target) {
	for _, name := range t.names() {
		if t.attr != "" {
			f.load(name)
			continue
		}
		f.set[name] = true
		if !f.known[name] {
			f.first[name] = !f.parent.finds(name)
			f.known[name] = true
		}
	}
}

// branch is a copy of f for one branch of a condition.
func (f *frame) branch() *frame {
	b := newFrame(f.parent)
	for _, m := range [][2]map[string]bool{{f.known, b.known}, {f.set, b.set}, {f.first, b.first}} {
		for name, v := range m[0] {
			m[1][name] = v
		}
	}
	return b
}

// merge takes what branches found: what only a branch sets is looked up outside until then.
func (f *frame) merge(branches []*frame) {
	for _, b := range branches {
		for name := range b.known {
			f.known[name] = true
		}
	}
	for _, b := range branches {
		for name := range b.set {
			if !f.set[name] {
				f.first[name] = false
			}
		}
	}
	for _, b := range branches {
		for name := range b.set {
			f.set[name] = true
		}
	}
}

func (f *frame) hidden() []string {
	var names []string
	for _, name := range sortedKeys(f.first) {
		if f.first[name] {
			names = append(names, name)
		}
	}
	return names
}

// analyze notes the hidden names of the frames in body and returns those of the template.
func analyze(body []stmt) []string { return analyzeFrame(newFrame(nil), body) }

// analyzeFrame looks at a frame with this body, then at the frames inside, which must know all its names.
func analyzeFrame(f *frame, body []stmt) []string {
	for _, s := range body {
		f.visit(s)
	}
	for _, s := range body {
		f.inner(s)
	}
	return f.hidden()
}

// visit notes the names of a statement in the order in which jinja2 does, without the frames inside.
func (f *frame) visit(s stmt) {
	switch s := s.(type) {
	case *printStmt:
		f.loads(s.of)
	case *ifStmt:
		f.visitIf(s)
	case *forStmt:
		f.loads(s.over)
	case *setStmt:
		f.loads(s.to)
		f.store(s.target)
	case *setBlockStmt:
		f.store(s.target)
	case *macroStmt:
		f.store(target{name: s.name})
	case *callStmt:
		f.loads(s.call)
	case *filterStmt:
		for _, x := range s.filters {
			f.loads(x)
		}
	case *withStmt:
		for _, v := range s.values {
			f.loads(v)
		}
	}
}

func (f *frame) visitIf(s *ifStmt) {
	f.loads(s.branches[0].cond)
	var branches []*frame
	for i, b := range s.branches {
		inner := f.branch()
		if i > 0 && b.cond != nil {
			inner.loads(b.cond)
		}
		for _, s := range b.body {
			inner.visit(s)
		}
		branches = append(branches, inner)
	}
	f.merge(branches)
}

// inner looks at the frames inside of a statement.
func (f *frame) inner(s stmt) {
	switch s := s.(type) {
	case *ifStmt:
		for _, b := range s.branches {
			for _, s := range b.body {
				f.inner(s)
			}
		}
	case *forStmt:
		s.hidden = analyzeFrame(newFrame(f, s.target, target{name: "loop"}), s.body)
		s.noneHidden = analyzeFrame(newFrame(f), s.none)
	case *setBlockStmt:
		s.hidden = analyzeFrame(newFrame(f), s.body)
	case *macroStmt:
		s.hidden = s.analyze(f)
	case *callStmt:
		s.body.hidden = s.body.analyze(f)
	case *filterStmt:
		s.hidden = analyzeFrame(newFrame(f), s.body)
	case *withStmt:
		s.hidden = analyzeFrame(newFrame(f, s.targets...), s.body)
	case *scopeStmt:
		s.hidden = analyzeFrame(newFrame(f), s.body)
	}
}

func (m *macroDef) analyze(around *frame) []string {
	f := newFrame(around)
	for _, name := range append([]string{"caller", "varargs", "kwargs"}, m.params...) {
		f.known[name] = true
	}
	for _, d := range m.defaults {
		f.loads(d)
	}
	return analyzeFrame(f, m.body)
}

// loads notes the names that an expression reads.
func (f *frame) loads(x expr) {
	switch x := x.(type) {
	case *nameExpr:
		f.load(x.name)
	case *sequenceExpr:
		f.loadsAll(x.items...)
	case *dictExpr:
		for i := range x.keys {
			f.loadsAll(x.keys[i], x.values[i])
		}
	case *attrExpr:
		f.loads(x.of)
	case *indexExpr:
		f.loadsAll(x.of, x.at)
	case *sliceExpr:
		f.loadsAll(x.of, x.from, x.to, x.step)
	case *callExpr:
		f.loads(x.fn)
		f.loadsArguments(x.args)
	case *filterExpr:
		f.loads(x.of)
		f.loadsArguments(x.args)
	case *testExpr:
		f.loads(x.of)
		f.loadsArguments(x.args)
	case *binaryExpr:
		f.loadsAll(x.a, x.b)
	case *logicExpr:
		f.loadsAll(x.a, x.b)
	case *notExpr:
		f.loads(x.of)
	case *signExpr:
		f.loads(x.of)
	case *concatExpr:
		f.loadsAll(x.parts...)
	case *compareExpr:
		f.loads(x.first)
		f.loadsAll(x.rest...)
	case *ifExpr:
		f.loadsAll(x.cond, x.then, x.other)
	}
}

func (f *frame) loadsAll(list ...expr) {
	for _, x := range list {
		f.loads(x)
	}
}

func (f *frame) loadsArguments(a argumentExprs) {
	f.loadsAll(a.positional...)
	f.loadsAll(a.named...)
}
