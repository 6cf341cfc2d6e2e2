package grammar

// maxPrefix is how many items a list of schemas may have.
const maxPrefix = 2000

// itemsOf returns what n says of item i, and how many items it says something special of.
func (c *schemaCompiler) itemsOf(n *value) (prefix []*value, rest *value) {
	items := n.get("items")
	if p := n.get("prefixItems"); p != nil {
		prefix = p.list
	}
	rest = items
	if items != nil && items.kind == 'a' { // before 2020-12
		prefix, rest = items.list, n.get("additionalItems")
	}
	if u := n.get("unevaluatedItems"); rest == nil && u != nil {
		rest = u
	}
	return prefix, rest
}

// arrays returns the expression of the arrays that are valid by nodes.
func (c *schemaCompiler) arrays(nodes []*value) (*expr, error) {
	for _, v := range notEnumOf(nodes) {
		if v.kind == 'a' {
			return nil, fail(nodes[0], "not", "to exclude an array is not compiled")
		}
	}
	least, most := counts(nodes, "minItems", "maxItems")
	fixed := 0
	var contains *value
	for _, n := range nodes {
		prefix, _ := c.itemsOf(n)
		fixed = max(fixed, len(prefix))
		if x := n.get("contains"); x != nil {
			if contains != nil {
				return nil, fail(n, "contains", "is compiled once")
			}
			contains = n
		}
	}
	if fixed > maxPrefix {
		return nil, &LimitError{"an array has a list of too many schemas"}
	}
	for _, n := range nodes {
		if u := n.get("uniqueItems"); u != nil && u.truth && (most < 0 || most > 1) {
			return c.unique(n, nodes, least, most)
		}
	}
	item := func(i int) (*expr, error) {
		var all []*value
		for _, n := range nodes {
			prefix, rest := c.itemsOf(n)
			switch {
			case i < len(prefix):
				all = append(all, prefix[i])
			case rest != nil:
				all = append(all, rest)
			}
		}
		return c.compile(all...)
	}
	others, err := item(fixed)
	if err != nil {
		return nil, err
	}
	if contains != nil {
		return c.containing(contains, nodes, others, fixed, least, most)
	}
	// From the end on: what may follow once i items are there.
	next := repeat(cat(c.words.comma, others), max(0, least-fixed), sub(most, fixed))
	if fixed == 0 {
		next = nothing
		if least == 0 {
			next = empty
		}
		if most != 0 {
			list := cat(others, repeat(cat(c.words.comma, others), max(0, least-1), sub(most, 1)), c.words.space)
			next = alt(next, list)
		}
		return cat(literal("["), c.words.space, next, literal("]")), nil
	}
	for i := fixed - 1; i >= 0; i-- {
		one, err := item(i)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			one = cat(c.words.comma, one)
		}
		end := nothing
		if i >= least {
			end = empty
		}
		if most >= 0 && i >= most {
			next = end
			continue
		}
		if i == 0 {
			next = cat(next, c.words.space)
		}
		next = alt(end, cat(one, next))
	}
	return cat(literal("["), c.words.space, next, literal("]")), nil
}

// sub is most-n, where a negative most is no bound and what would fall below zero is zero.
func sub(most, n int) int {
	if most < 0 {
		return most
	}
	return max(0, most-n)
}

// containing is an array of others in which some items are valid by what n says that it contains.
func (c *schemaCompiler) containing(n *value, nodes []*value, others *expr, fixed, least, most int) (*expr, error) {
	times := 1
	if x, ok := count(n, "minContains"); ok {
		times = x
	}
	switch {
	case n.get("maxContains") != nil:
		return nil, fail(n, "maxContains", "is not compiled")
	case fixed > 0:
		return nil, fail(n, "contains", "is not compiled beside prefixItems")
	case times > 0 && (most >= 0 || least > times):
		return nil, fail(n, "contains", "is not compiled beside minItems and maxItems")
	case times > 1000:
		return nil, fail(n, "minContains", "is %d, at most 1000 is compiled", times)
	}
	more := repeat(cat(c.words.comma, others), 0, -1)
	if times == 0 {
		list := alt(empty, cat(others, repeat(cat(c.words.comma, others), max(0, least-1), sub(most, 1)), c.words.space))
		if least > 0 || most == 0 {
			return nil, fail(n, "contains", "is not compiled beside minItems and maxItems")
		}
		return cat(literal("["), c.words.space, list, literal("]")), nil
	}
	all := []*value{n.get("contains")}
	for _, m := range nodes {
		if _, rest := c.itemsOf(m); rest != nil {
			all = append(all, rest)
		}
	}
	match, err := c.compile(all...)
	if err != nil {
		return nil, err
	}
	again := repeat(cat(more, c.words.comma, match), times-1, times-1)
	return cat(literal("["), c.words.space, repeat(cat(others, c.words.comma), 0, -1), match, again, more, c.words.space, literal("]")), nil
}

// maxUnique is how many values an array of different ones may be made of: each subset of them is a state.
const maxUnique = 8

// unique is an array of different items: those of an enumeration, in any order.
func (c *schemaCompiler) unique(where *value, nodes []*value, least, most int) (*expr, error) {
	var items []*value
	for _, n := range nodes {
		prefix, rest := c.itemsOf(n)
		if len(prefix) > 0 || n.get("contains") != nil {
			return nil, fail(where, "uniqueItems", "is not compiled beside prefixItems and contains")
		}
		if rest != nil {
			items = append(items, rest)
		}
	}
	leaves, err := c.alternatives(items)
	if err != nil {
		return nil, err
	}
	var values []*value
	for _, l := range leaves {
		list, n := enumOf(l)
		if n == nil {
			return nil, fail(where, "uniqueItems", "is compiled for items of an enumeration alone: what was written is not remembered")
		}
		allowed, err := c.leaf(l)
		if err != nil {
			return nil, err
		}
		if err := analyse(allowed); err != nil {
			return nil, err
		}
		g := &Grammar{root: allowed}
		for _, v := range list {
			if g.Matches(v.canonical(nil)) && len(common([]*value{v}, values)) == 0 {
				values = append(values, v)
			}
		}
	}
	if len(values) > maxUnique {
		return nil, fail(where, "uniqueItems", "there are %d different items, at most %d are compiled", len(values), maxUnique)
	}
	memo := make(map[int]*expr)
	var after func(used, n int) *expr
	after = func(used, n int) *expr {
		if e, ok := memo[used]; ok {
			return e
		}
		var branches []*expr
		if n >= least {
			branches = append(branches, empty)
		}
		for i, v := range values {
			if used>>i&1 != 0 || most >= 0 && n >= most {
				continue
			}
			one := c.constant(v)
			if n > 0 {
				one = cat(c.words.comma, one)
			}
			branches = append(branches, cat(one, after(used|1<<i, n+1)))
		}
		memo[used] = alt(branches...)
		return memo[used]
	}
	return c.enclose("[", after(0, 0), "]"), nil
}
