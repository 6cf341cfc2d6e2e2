package grammar

// maxOneOf is how many branches oneOf may have: each is compared with each.
const maxOneOf = 64

// exclusive returns branches of which exactly one holds for each value that is valid by one of them: where two are not seen to exclude each other, the
// first of them with the others ruled out.
func (c *schemaCompiler) exclusive(n *value, branches []*value) ([]*value, error) {
	if list, ok := c.negations[n]; ok {
		return list, nil
	}
	if len(branches) > maxOneOf {
		return nil, fail(n, "oneOf", "there are %d branches, at most %d are compiled", len(branches), maxOneOf)
	}
	rivals := make([][]*value, len(branches))
	for i := range branches {
		for j := range i {
			apart, err := c.exclude([]*value{branches[i], branches[j]}, 0)
			if err != nil {
				return nil, err
			}
			if !apart {
				rivals[i] = append(rivals[i], branches[j])
				rivals[j] = append(rivals[j], branches[i])
			}
		}
	}
	out := make([]*value, len(branches))
	for i, b := range branches {
		out[i] = b
		if len(rivals[i]) == 0 {
			continue
		}
		all := []*value{b}
		for _, r := range rivals[i] {
			list, err := c.negate(r, n)
			if err != nil {
				return nil, err
			}
			all = append(all, c.some(n, list))
		}
		out[i] = c.synthetic(n, "allOf", c.array(all...))
	}
	c.negations[n] = out
	return out, nil
}

// exclude says whether it is seen that no value is valid by all nodes.
func (c *schemaCompiler) exclude(nodes []*value, depth int) (bool, error) {
	leaves, err := c.alternatives(nodes)
	if err != nil {
		return false, err
	}
	for _, l := range leaves {
		void, err := c.void(l, depth)
		if err != nil || !void {
			return false, err
		}
	}
	return true, nil
}

// void is exclude for schemas whose alternatives are settled.
func (c *schemaCompiler) void(nodes []*value, depth int) (bool, error) {
	allowed := allTypes
	for _, n := range nodes {
		t, err := typesOf(n)
		if err != nil {
			return false, err
		}
		allowed &= t
	}
	if list, where := enumOf(nodes); where != nil {
		var possible types
		for _, v := range list {
			possible |= v.types()
		}
		if allowed &= possible; len(list) == 0 || allowed == 0 {
			return true, nil
		}
		if allowed&(typeArray|typeObject) == 0 { // what else is said of them can be tried
			e, err := c.leaf(nodes)
			if err != nil {
				return false, err
			}
			return e == nothing, nil
		}
	}
	if allowed&(typeNull|typeBoolean) != 0 {
		return false, nil
	}
	if allowed&typeNumber != 0 {
		e, err := c.numbers(nodes, allowed)
		if err != nil || e != nothing {
			return false, err
		}
	}
	if allowed&typeString != 0 {
		e, err := c.body(nodes)
		if err != nil || e != nothing {
			return false, err
		}
	}
	if allowed&typeArray != 0 {
		if least, most := counts(nodes, "minItems", "maxItems"); most < 0 || least <= most {
			return false, nil
		}
	}
	if allowed&typeObject == 0 {
		return true, nil
	}
	return c.voidObject(nodes, depth)
}

// maxLook is how deep the values of properties are looked at to see that two schemas exclude each other.
const maxLook = 4

// voidObject says whether a property must be there that has no value.
func (c *schemaCompiler) voidObject(nodes []*value, depth int) (bool, error) {
	if depth >= maxLook {
		return false, nil
	}
	patterns, err := c.patterns(nodes)
	if err != nil {
		return false, err
	}
	for _, n := range nodes {
		r := n.get("required")
		if r == nil {
			continue
		}
		for _, x := range r.list {
			apart, err := c.exclude(c.valuesOf(nodes, x.text, patterns), depth+1)
			if err != nil || apart {
				return apart, err
			}
		}
	}
	return false, nil
}
