package grammar

import (
	"errors"
	"slices"
)

// leaf returns the expression of the values that are valid by all nodes, whose alternatives are settled.
func (c *schemaCompiler) leaf(nodes []*value) (*expr, error) {
	k := key(nodes)
	if e, ok := c.leaves[k]; ok {
		return e, nil
	}
	allowed := allTypes
	for _, n := range nodes {
		t, err := typesOf(n)
		if err != nil {
			return nil, err
		}
		allowed &= t
	}
	var e *expr
	var err error
	if list, where := enumOf(nodes); where != nil {
		e, err = c.enum(nodes, allowed, list, where)
	} else {
		e, err = c.byType(nodes, allowed)
	}
	if err != nil {
		return nil, err
	}
	c.leaves[k] = e
	return e, nil
}

// byType returns the expression of the values of the allowed types that are valid by nodes, which have neither enum nor const.
func (c *schemaCompiler) byType(nodes []*value, allowed types) (*expr, error) {
	if len(nodes) == 0 {
		return c.words.value, nil
	}
	var branches []*expr
	add := func(t types, build func([]*value) (*expr, error)) error {
		if allowed&t == 0 {
			return nil
		}
		e, err := build(nodes)
		if err != nil {
			return err
		}
		branches = append(branches, e)
		return nil
	}
	err := errors.Join(
		add(typeObject, c.objects),
		add(typeArray, c.arrays),
		add(typeString, c.strings),
		add(typeNumber, func(nodes []*value) (*expr, error) { return c.numbers(nodes, allowed) }),
		add(typeBoolean, c.booleans),
		add(typeNull, c.nulls),
	)
	if err != nil {
		return nil, first(err)
	}
	return alt(branches...), nil
}

// first returns the first of joined errors: one is enough to mend.
func first(err error) error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) && len(joined.Unwrap()) > 0 {
		return joined.Unwrap()[0]
	}
	return err
}

// enumOf returns the values that enum and const of all nodes have in common, and one of the nodes that has them; nil where none has.
func enumOf(nodes []*value) (list []*value, where *value) {
	for _, n := range nodes {
		var own []*value
		switch {
		case n.get("enum") != nil && n.get("const") != nil:
			own = common(n.get("enum").list, []*value{n.get("const")})
		case n.get("enum") != nil:
			own = n.get("enum").list
		case n.get("const") != nil:
			own = []*value{n.get("const")}
		default:
			continue
		}
		if where == nil {
			list, where = own, n
			continue
		}
		list = common(list, own)
	}
	return list, where
}

// common returns the values of a that are in b.
func common(a, b []*value) []*value {
	texts := make(map[string][]*value, len(b))
	hash := func(v *value) string {
		if v.kind == 'o' {
			return "{"
		}
		return string(v.canonical(nil))
	}
	for _, v := range b {
		texts[hash(v)] = append(texts[hash(v)], v)
	}
	var out []*value
	for _, v := range a {
		if slices.ContainsFunc(texts[hash(v)], v.equal) {
			out = append(out, v)
		}
	}
	return out
}

// notEnumOf returns the values that nodes exclude.
func notEnumOf(nodes []*value) []*value {
	var out []*value
	for _, n := range nodes {
		if v := n.get("$notEnum"); v != nil {
			out = append(out, v.list...)
		}
	}
	return out
}

// enum returns the expression of those values of list that are valid by nodes too.
func (c *schemaCompiler) enum(nodes []*value, allowed types, list []*value, where *value) (*expr, error) {
	var possible types
	for _, v := range list {
		possible |= v.types()
	}
	var rest []*value // nodes without what is settled here
	bound := false
	for _, n := range nodes {
		bare := c.synthetic(n)
		for _, k := range n.keys {
			if k != "enum" && k != "const" {
				bare.set(k, n.fields[k])
			}
			switch k {
			case "enum", "const", "type", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "$ref":
			default:
				bound = bound || slices.Contains(known, k) || k == "$notEnum" || k == "$notPattern"
			}
		}
		rest = append(rest, bare)
	}
	var check *Grammar
	var texts []string
	var others []*expr
	for _, v := range list {
		if v.types()&allowed == 0 {
			continue
		}
		if bound {
			if check == nil {
				e, err := c.byType(rest, allowed&possible)
				if err != nil {
					return nil, err
				}
				if err := analyse(e); err != nil {
					return nil, fail(where, "enum", "is not compiled beside keywords that refer to the schema itself")
				}
				check = &Grammar{root: e}
			}
			if !check.Matches(v.canonical(nil)) {
				continue
			}
		}
		if v.kind == 'a' || v.kind == 'o' {
			others = append(others, c.constant(v))
		} else {
			texts = append(texts, string(v.canonical(nil)))
		}
	}
	if len(texts) > 0 {
		others = append([]*expr{choice(texts)}, others...)
	}
	return alt(others...), nil
}

// types is the kind of v.
func (v *value) types() types {
	switch v.kind {
	case 'n':
		return typeNull
	case 'b':
		return typeBoolean
	case 's':
		return typeString
	case 'a':
		return typeArray
	case 'o':
		return typeObject
	}
	if v.number.IsInt() {
		return typeInteger
	}
	return typeFraction
}

// constant is the text of v, with space where JSON may have some.
func (c *schemaCompiler) constant(v *value) *expr {
	var parts []*expr
	item := func(i int, e *expr) {
		if i > 0 {
			parts = append(parts, c.words.comma)
		}
		parts = append(parts, e)
	}
	switch v.kind {
	case 'a':
		for i, x := range v.list {
			item(i, c.constant(x))
		}
		return c.enclose("[", cat(parts...), "]")
	case 'o':
		for i, k := range v.keys {
			item(i, c.words.member(literal(quoted(k)), c.constant(v.fields[k])))
		}
		return c.enclose("{", cat(parts...), "}")
	}
	return literal(string(v.canonical(nil)))
}

// enclose puts brackets around a list that may be empty.
func (c *schemaCompiler) enclose(open string, list *expr, end string) *expr {
	if list == empty {
		return cat(literal(open), c.words.space, literal(end))
	}
	return cat(literal(open), c.words.space, list, c.words.space, literal(end))
}

func (c *schemaCompiler) nulls(nodes []*value) (*expr, error) {
	for _, v := range notEnumOf(nodes) {
		if v.kind == 'n' {
			return nothing, nil
		}
	}
	return c.words.null, nil
}

func (c *schemaCompiler) booleans(nodes []*value) (*expr, error) {
	texts := []string{"false", "true"}
	for _, v := range notEnumOf(nodes) {
		texts = slices.DeleteFunc(texts, func(s string) bool { return v.kind == 'b' && s == string(v.canonical(nil)) })
	}
	if len(texts) == 0 {
		return nothing, nil
	}
	return choice(texts), nil
}
