package grammar

import (
	"fmt"
	"slices"
)

// What an object may be like.
const (
	maxPatterns    = 4 // of patternProperties that may overlap
	maxPropertySum = 100_000
)

// property is one declared or required property.
type property struct {
	name     string
	value    *expr
	required bool
}

// objects returns the expression of the objects that are valid by nodes.
func (c *schemaCompiler) objects(nodes []*value) (*expr, error) {
	for _, v := range notEnumOf(nodes) {
		if v.kind == 'o' {
			return nil, fail(nodes[0], "not", "to exclude an object is not compiled")
		}
	}
	required := make(map[string]bool)
	var names, undeclared []string
	declared := make(map[string]bool)
	for _, n := range nodes {
		if p := n.get("properties"); p != nil {
			for _, k := range p.keys {
				if !declared[k] {
					declared[k] = true
					names = append(names, k)
				}
			}
		}
		if r := n.get("required"); r != nil {
			for _, x := range r.list {
				if !required[x.text] {
					required[x.text] = true
					undeclared = append(undeclared, x.text)
				}
			}
		}
	}
	for _, k := range undeclared {
		if !declared[k] {
			declared[k] = true
			names = append(names, k)
		}
	}
	patterns, err := c.patterns(nodes)
	if err != nil {
		return nil, err
	}
	var props []property
	for _, k := range names {
		p := property{name: k, required: required[k]}
		ok, err := c.nameAllowed(nodes, k)
		if err != nil {
			return nil, err
		}
		if ok {
			if p.value, err = c.compile(c.valuesOf(nodes, k, patterns)...); err != nil {
				return nil, err
			}
		} else {
			p.value = nothing
		}
		if p.value.kind == kindRef && p.value.sub == nothing {
			p.value = nothing
		}
		switch {
		case p.value == nothing && p.required:
			return nothing, nil
		case p.value == nothing:
			continue
		}
		props = append(props, p)
	}
	others, err := c.others(nodes, names, patterns)
	if err != nil {
		return nil, err
	}
	return c.members(nodes, props, others)
}

// patterns returns the patterns of patternProperties, each once.
func (c *schemaCompiler) patterns(nodes []*value) ([]string, error) {
	var out []string
	for _, n := range nodes {
		if p := n.get("patternProperties"); p != nil {
			for _, k := range p.keys {
				if !slices.Contains(out, k) {
					out = append(out, k)
				}
				if len(out) > maxPatterns {
					return nil, fail(n, "patternProperties", "there are more than %d patterns", maxPatterns)
				}
			}
		}
	}
	return out, nil
}

// matches says whether a name matches a pattern.
func (c *schemaCompiler) matches(n *value, pattern, name string) (bool, error) {
	e, err := regex(pattern, true, encodeJSON)
	if err == nil {
		err = analyse(e)
	}
	if err != nil {
		return false, fail(n, "patternProperties", "%s", err)
	}
	text := quoted(name)
	return (&Grammar{root: e}).Matches([]byte(text[1 : len(text)-1])), nil
}

// valuesOf returns the schemas of the property name's value.
func (c *schemaCompiler) valuesOf(nodes []*value, name string, patterns []string) []*value {
	matching := make(map[string]bool)
	for _, p := range patterns {
		for _, n := range nodes {
			if n.get("patternProperties") != nil {
				matching[p], _ = c.matches(n, p, name)
				break
			}
		}
	}
	return c.valueSchemas(nodes, matching, func(n *value) *value {
		if p := n.get("properties"); p != nil {
			return p.get(name)
		}
		return nil
	}, true)
}

// valueSchemas returns the schemas of the value of a property that matches these patterns; own gives its schema in properties.
func (c *schemaCompiler) valueSchemas(nodes []*value, matching map[string]bool, own func(n *value) *value, named bool) []*value {
	var all []*value
	for _, n := range nodes {
		found := false
		if v := own(n); v != nil {
			all, found = append(all, v), true
		}
		if p := n.get("patternProperties"); p != nil {
			for _, k := range p.keys {
				if matching[k] {
					all, found = append(all, p.fields[k]), true
				}
			}
		}
		if found {
			continue
		}
		if v := additional(n); v != nil {
			all = append(all, v)
		}
	}
	if !named && len(all) == 0 && c.closed(nodes) {
		all = append(all, c.truth(false))
	}
	return all
}

// additional is what n says of properties that it does not name.
func additional(n *value) *value {
	if v := n.get("additionalProperties"); v != nil {
		return v
	}
	return n.get("unevaluatedProperties")
}

// closed says whether no other properties are meant where nothing says so.
func (c *schemaCompiler) closed(nodes []*value) bool {
	if !c.o.Closed {
		return false
	}
	for _, n := range nodes {
		if !n.made && (n.get("properties") != nil || n.get("patternProperties") != nil) {
			return true
		}
	}
	return false
}

// nameSchemas returns what propertyNames says.
func nameSchemas(nodes []*value) []*value {
	var all []*value
	for _, n := range nodes {
		if v := n.get("propertyNames"); v != nil {
			all = append(all, v)
		}
	}
	return all
}

// nameExpr is the expression of the names that propertyNames allows, in the one spelling; nil for any.
func (c *schemaCompiler) nameExpr(nodes []*value) (*expr, error) {
	schemas := nameSchemas(nodes)
	if len(schemas) == 0 {
		return nil, nil
	}
	leaves, err := c.alternatives(append(schemas, c.synthetic(nodes[0], "type", c.text("string"))))
	if err != nil {
		return nil, err
	}
	var branches []*expr
	for _, l := range leaves {
		e, err := c.leaf(l)
		if err != nil {
			return nil, err
		}
		branches = append(branches, e)
	}
	plain := cat(literal(`"`), repeat(c.words.plain, 0, -1), literal(`"`))
	return product(&c.budget, "the property's name", factor{e: alt(branches...)}, factor{e: plain})
}

// nameAllowed says whether propertyNames allows name.
func (c *schemaCompiler) nameAllowed(nodes []*value, name string) (bool, error) {
	e, err := c.nameExpr(nodes)
	if err != nil || e == nil {
		return e == nil, err
	}
	return (&Grammar{root: e}).Matches([]byte(quoted(name))), nil
}

// others returns the members of names that are not declared: for each set of patterns that a name may match, one.
func (c *schemaCompiler) others(nodes []*value, names, patterns []string) (*expr, error) {
	allowed, err := c.nameExpr(nodes)
	if err != nil {
		return nil, err
	}
	var branches []*expr
	for set := range 1 << len(patterns) {
		matching := make(map[string]bool)
		for i, p := range patterns {
			matching[p] = set>>i&1 != 0
		}
		schemas := c.valueSchemas(nodes, matching, func(*value) *value { return nil }, false)
		v, err := c.compile(schemas...)
		if err != nil {
			return nil, err
		}
		if v.kind == kindRef && v.sub == nothing {
			continue
		}
		name, err := c.otherName(nodes, names, patterns, matching, allowed)
		if err != nil {
			return nil, err
		}
		if name != nothing {
			branches = append(branches, c.words.member(name, v))
		}
	}
	return alt(branches...), nil
}

// otherName is the expression of a name that is not among names and matches exactly these patterns.
func (c *schemaCompiler) otherName(nodes []*value, names, patterns []string, matching map[string]bool, allowed *expr) (*expr, error) {
	k := fmt.Sprintf("%q %q %v %p", names, patterns, matching, allowed)
	if e, ok := c.names[k]; ok {
		return e, nil
	}
	plain := cat(literal(`"`), repeat(c.words.plain, 0, -1), literal(`"`))
	if allowed == nil {
		allowed = plain
	}
	var factors []factor
	for _, p := range patterns {
		e, err := regex(p, true, encodeJSON)
		if err != nil {
			return nil, fail(nodes[0], "patternProperties", "%s", err)
		}
		factors = append(factors, factor{e: cat(literal(`"`), e, literal(`"`)), not: !matching[p]})
	}
	if len(names) > 0 {
		texts := make([]string, len(names))
		for i, n := range names {
			texts[i] = quoted(n)
		}
		factors = append(factors, factor{e: choice(texts), not: true})
	}
	if len(factors) == 0 {
		return allowed, nil
	}
	e, err := product(&c.budget, "the property's name", append(factors, factor{e: allowed})...)
	if err != nil {
		return nil, fail(nodes[0], "additionalProperties", "%s", err)
	}
	c.names[k] = e
	return e, nil
}

// members returns the object of props, of which those that are required are there, then others.
func (c *schemaCompiler) members(nodes []*value, props []property, others *expr) (*expr, error) {
	least, most := counts(nodes, "minProperties", "maxProperties")
	needed := 0
	for _, p := range props {
		if p.required {
			needed++
		}
	}
	// Members are counted as far as it matters: whether there is one, and the bounds.
	track := 1
	if least > needed {
		track = max(track, least)
	}
	if most >= 0 && (most < len(props) || others != nothing) {
		track = max(track, min(most, len(props))+1)
	}
	if track > len(props)+1 {
		track = len(props) + 1
	}
	if (len(props)+1)*(track+1) > maxPropertySum {
		return nil, &LimitError{"properties are counted up to too many"}
	}
	after := make([]*expr, track+1) // what may follow, by how many members there are
	for n := range after {
		after[n] = c.tail(others, n, least, most)
	}
	for i := len(props) - 1; i >= 0; i-- {
		p := props[i]
		name := literal(quoted(p.name))
		before := make([]*expr, track+1)
		for n := range before {
			member := nothing
			if most < 0 || n < most {
				next := after[min(n+1, track)]
				if n > 0 {
					member = cat(c.words.comma, name, c.words.colon, p.value, next)
				} else {
					member = cat(name, c.words.colon, p.value, next)
				}
			}
			if p.required {
				before[n] = member
			} else {
				before[n] = alt(member, after[n])
			}
		}
		after = before
	}
	return cat(literal("{"), c.words.space, after[0], literal("}")), nil
}

// tail is what may follow n declared members: others, and space. Their names are not compared with each other, so that of those that count for
// minProperties at most one may be among them.
func (c *schemaCompiler) tail(others *expr, n, least, most int) *expr {
	missing := max(0, least-n)
	end := nothing
	if missing == 0 {
		if n == 0 {
			end = empty
		} else {
			end = c.words.space
		}
	}
	if others == nothing || missing > 1 || most >= 0 && n >= most {
		return end
	}
	more := cat(c.words.comma, others)
	if n > 0 {
		return cat(repeat(more, missing, sub(most, n)), c.words.space)
	}
	return alt(end, cat(others, repeat(more, 0, sub(most, 1)), c.words.space))
}
