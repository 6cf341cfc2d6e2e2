package grammar

import (
	"math/big"
	"slices"
)

// negate returns schemas of which one holds where not does not. Not everything has such: the error names what.
func (c *schemaCompiler) negate(not, where *value) ([]*value, error) {
	if list, ok := c.negations[not]; ok {
		return list, nil
	}
	if c.work++; c.work > maxWork {
		return nil, &LimitError{"the schema's parts refer to each other in too many ways"}
	}
	var out []*value
	switch not.kind {
	case 'b':
		if !not.truth {
			out = []*value{c.truth(true)}
		}
	case 'o':
		if err := c.check(not); err != nil {
			return nil, err
		}
		for _, k := range not.keys {
			list, err := c.negateKeyword(not, k, where)
			if err != nil {
				return nil, err
			}
			out = append(out, list...)
			if c.draft7 && k == "$ref" {
				out = list
				break
			}
		}
	default:
		return nil, fail(not, "", "a schema is an object or a boolean")
	}
	c.negations[not] = out
	return out, nil
}

// negateKeyword returns schemas of which one holds where keyword k of n does not.
func (c *schemaCompiler) negateKeyword(n *value, k string, where *value) ([]*value, error) {
	v := n.fields[k]
	one := func(fields ...any) ([]*value, error) { return []*value{c.synthetic(where, fields...)}, nil }
	of := func(kind, key string, to *value) ([]*value, error) { return one("type", c.text(kind), key, to) }
	less := func(d int64) *value {
		i := new(big.Rat).Add(v.number, big.NewRat(d, 1))
		return &value{id: c.next(), kind: '#', number: i, text: decimal(i)}
	}
	switch k {
	case "type":
		t, err := typesOf(n)
		if err != nil {
			return nil, err
		}
		return c.otherTypes(where, t)
	case "enum":
		return one("$notEnum", v)
	case "const":
		return one("$notEnum", c.array(v))
	case "$notEnum":
		return one("enum", v)
	case "$notPattern":
		return of("string", "pattern", v)
	case "pattern":
		return of("string", "$notPattern", v)
	case "minLength", "minItems", "minProperties":
		if v.number.Sign() == 0 {
			return nil, nil
		}
		return of(counted[k[3:]], "max"+k[3:], less(-1))
	case "maxLength", "maxItems", "maxProperties":
		return of(counted[k[3:]], "min"+k[3:], less(1))
	case "minimum":
		return of("number", "exclusiveMaximum", v)
	case "maximum":
		return of("number", "exclusiveMinimum", v)
	case "exclusiveMinimum":
		return of("number", "maximum", v)
	case "exclusiveMaximum":
		return of("number", "minimum", v)
	case "required":
		var out []*value
		for _, x := range v.list {
			out = append(out, c.synthetic(where, "type", c.text("object"), "properties", c.object(x.text, c.truth(false))))
		}
		return out, nil
	case "properties":
		var out []*value
		for _, name := range v.keys {
			list, err := c.negate(v.fields[name], where)
			if err != nil {
				return nil, err
			}
			if len(list) == 0 {
				continue
			}
			out = append(out, c.synthetic(where, "type", c.text("object"), "required", c.array(c.text(name)),
				"properties", c.object(name, c.some(where, list))))
		}
		return out, nil
	case "allOf":
		var out []*value
		for _, x := range v.list {
			list, err := c.negate(x, where)
			if err != nil {
				return nil, err
			}
			out = append(out, list...)
		}
		return out, nil
	case "anyOf":
		var all []*value
		for _, x := range v.list {
			list, err := c.negate(x, where)
			if err != nil {
				return nil, err
			}
			if len(list) == 0 {
				return nil, nil
			}
			all = append(all, c.some(where, list))
		}
		return one("allOf", c.array(all...))
	case "not":
		return []*value{v}, nil
	case "$ref":
		target, err := c.resolve(n, v)
		if err != nil {
			return nil, err
		}
		return c.negate(target, where)
	}
	if slices.Contains(inert, k) || len(k) > 2 && k[:2] == "x-" {
		return nil, nil
	}
	return nil, fail(n, k, "is not compiled where it must not hold (not, if, or oneOf whose branches are not seen to exclude each other)")
}

// counted is the type of what the keywords min… and max… count.
var counted = map[string]string{"Length": "string", "Items": "array", "Properties": "object"}

// otherTypes returns the schema of the types that are not in t.
func (c *schemaCompiler) otherTypes(where *value, t types) ([]*value, error) {
	var names []*value
	for _, name := range []string{"object", "array", "string", "number", "boolean", "null"} {
		if typeNames[name]&t == 0 {
			names = append(names, c.text(name))
		}
	}
	if t&typeNumber == typeInteger {
		names = append(names, c.text(fraction))
	}
	if len(names) == 0 {
		return nil, nil
	}
	return []*value{c.synthetic(where, "type", c.array(names...))}, nil
}
