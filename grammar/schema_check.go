package grammar

import "strings"

// check refuses keywords of n that are not compiled, and those of a wrong form.
func (c *schemaCompiler) check(n *value) error {
	for _, k := range n.keys {
		v := n.fields[k]
		ok, want := true, ""
		switch k {
		case "$ref":
			ok, want = v.kind == 's', "a string"
		case "pattern", "format":
			ok, want = v.kind == 's', "a string"
		case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains":
			ok, want = v.kind == '#' && v.number.IsInt() && v.number.Sign() >= 0, "a whole number of at least 0"
		case "minimum", "maximum":
			ok, want = v.kind == '#', "a number"
		case "exclusiveMinimum", "exclusiveMaximum":
			ok, want = v.kind == '#', "a number" // draft 4 has booleans
		case "multipleOf":
			ok, want = v.kind == '#' && v.number.Sign() > 0, "a number above 0"
		case "properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies", "dependentRequired":
			ok, want = v.kind == 'o', "an object"
		case "enum", "prefixItems":
			ok, want = v.kind == 'a', "an array"
		case "allOf", "anyOf", "oneOf":
			ok, want = v.kind == 'a' && len(v.list) > 0, "an array of schemas"
		case "items":
			ok, want = v.kind == 'o' || v.kind == 'b' || v.kind == 'a', "a schema"
		case "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else", "unevaluatedProperties", "unevaluatedItems", "additionalItems":
			ok, want = v.kind == 'o' || v.kind == 'b', "a schema"
		case "uniqueItems":
			ok, want = v.kind == 'b', "true or false"
		case "required":
			ok, want = v.kind == 'a', "an array of strings"
			for _, x := range v.list {
				ok = ok && x.kind == 's'
			}
		default:
			if !keywords[k] && !(n.made && (k == "$notEnum" || k == "$notPattern")) && !strings.HasPrefix(k, "x-") {
				return fail(n, k, "is not compiled")
			}
		}
		if !ok {
			return fail(n, k, "has to be %s", want)
		}
	}
	if _, err := typesOf(n); err != nil {
		return err
	}
	return c.unevaluated(n)
}

// unevaluated refuses the keywords that look at what other schemas have seen, where there may be such.
func (c *schemaCompiler) unevaluated(n *value) error {
	for _, k := range []string{"unevaluatedProperties", "unevaluatedItems"} {
		v := n.get(k)
		if v == nil || v.kind == 'b' && v.truth {
			continue
		}
		if len(c.inPlace(n)) > 0 {
			return fail(n, k, "is not compiled beside allOf, anyOf, oneOf, not, if, dependentSchemas and $ref")
		}
		if k == "unevaluatedItems" && n.get("contains") != nil {
			return fail(n, k, "is not compiled beside contains")
		}
	}
	return nil
}

// count returns keyword's whole number in n, false where it has none or one that no text is long enough for.
func count(n *value, keyword string) (int, bool) {
	v := n.get(keyword)
	if v == nil {
		return 0, false
	}
	const most = 1 << 30
	if i := v.number.Num(); !i.IsInt64() || i.Int64() > most {
		return most, true
	}
	return int(v.number.Num().Int64()), true
}

// counts returns the largest of the lower and the smallest of the upper bounds of nodes; -1 is no upper bound.
func counts(nodes []*value, lower, upper string) (least, most int) {
	most = -1
	for _, n := range nodes {
		if x, ok := count(n, lower); ok {
			least = max(least, x)
		}
		if x, ok := count(n, upper); ok && (most < 0 || x < most) {
			most = x
		}
	}
	return least, most
}
