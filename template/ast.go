package template

// expr is an expression.
type expr interface {
	eval(e *evaluator) (value, error)
}

type (
	constExpr struct{ v value }
	nameExpr  struct{ name string }
	// sequenceExpr is a list or a tuple.
	sequenceExpr struct {
		items []expr
		kind  listKind
	}
	dictExpr struct{ keys, values []expr }
	attrExpr struct {
		of   expr
		name string
	}
	indexExpr struct{ of, at expr }
	// sliceExpr is of[from:to:step]; parts that are not there are nil.
	sliceExpr struct{ of, from, to, step expr }
	callExpr  struct {
		fn   expr
		args argumentExprs
	}
	// filterExpr is of|name(args); of is nil in a block.
	filterExpr struct {
		of   expr
		name string
		args argumentExprs
	}
	testExpr struct {
		of   expr
		name string
		args argumentExprs
	}
	binaryExpr struct {
		op   string
		a, b expr
	}
	// logicExpr is `a and b` or, with or, `a or b`.
	logicExpr struct {
		or   bool
		a, b expr
	}
	notExpr  struct{ of expr }
	signExpr struct {
		minus bool
		of    expr
	}
	concatExpr struct{ parts []expr }
	// compareExpr is first ops[0] rest[0] ops[1] rest[1] …
	compareExpr struct {
		first expr
		ops   []string
		rest  []expr
	}
	// ifExpr is then if cond else other; other may be nil.
	ifExpr struct{ cond, then, other expr }
)

// argumentExprs are the arguments of a call.
type argumentExprs struct {
	positional []expr
	names      []string
	named      []expr
}

// stmt is a statement.
type stmt interface {
	exec(e *evaluator) (signal, error)
}

// signal says how a statement ended.
type signal uint8

const (
	signalNone signal = iota
	signalBreak
	signalContinue
)

type (
	dataStmt  struct{ s string }
	printStmt struct {
		line int
		of   expr
	}
	ifStmt struct {
		line     int
		branches []branch // the last may have no condition
	}
	branch struct {
		cond expr
		body []stmt
	}
	forStmt struct {
		line               int
		target             target
		over               expr
		filter             expr // nil for none
		body, none         []stmt
		hidden, noneHidden []string // see scope.go
	}
	setStmt struct {
		line   int
		target target
		to     expr
	}
	setBlockStmt struct {
		line    int
		target  target
		filters []*filterExpr
		body    []stmt
		hidden  []string
	}
	macroStmt struct {
		line int
		macroDef
	}
	macroDef struct {
		name                    string
		params                  []string
		defaults                []expr // of the last parameters
		body                    []stmt
		caller, varargs, kwargs bool // the body asks for them
		hidden                  []string
	}
	callStmt struct {
		line int
		call *callExpr
		body macroDef
	}
	filterStmt struct {
		line    int
		filters []*filterExpr
		body    []stmt
		hidden  []string
	}
	withStmt struct {
		line    int
		targets []target
		values  []expr
		body    []stmt
		hidden  []string
	}
	// scopeStmt is a generation block.
	scopeStmt struct {
		body   []stmt
		hidden []string
	}
	breakStmt    struct{}
	continueStmt struct{}
)

// target is what is assigned to: a name, a part of a namespace (name.attr) or several targets.
type target struct {
	name, attr string
	several    []target
}
