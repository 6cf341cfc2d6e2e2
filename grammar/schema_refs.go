package grammar

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// index finds the identifiers and anchors below v. What stands in enum, const, default and examples is data.
func (c *schemaCompiler) index(v *value, base string) error {
	if c.resources == nil {
		c.resources = map[string]*value{"": v}
		if s := v.get("$schema"); s != nil && s.kind == 's' {
			c.draft7 = strings.Contains(s.text, "draft-07") || strings.Contains(s.text, "draft-06") || strings.Contains(s.text, "draft-04")
		}
	}
	if v.kind == 'o' {
		hidden := c.draft7 && v.get("$ref") != nil
		if id := v.get("$id"); id != nil && id.kind == 's' && !hidden {
			u, err := join(base, id.text)
			if err != nil {
				return fail(v, "$id", "%s", err)
			}
			base = strings.TrimSuffix(u, "#")
			c.resources[base] = v
		}
		if a := v.get("$anchor"); a != nil && a.kind == 's' {
			c.resources[base+"#"+a.text] = v
		}
	}
	v.base = base
	c.all = append(c.all, v)
	for _, x := range v.list {
		if err := c.index(x, base); err != nil {
			return err
		}
	}
	for _, k := range v.keys {
		if k == "enum" || k == "const" || k == "default" || k == "examples" {
			continue
		}
		if err := c.index(v.fields[k], base); err != nil {
			return err
		}
	}
	return nil
}

// join resolves a reference against a base.
func join(base, to string) (string, error) {
	b, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	r, err := url.Parse(to)
	if err != nil {
		return "", err
	}
	if b.Opaque != "" && strings.HasPrefix(to, "#") {
		return base + to, nil
	}
	return b.ResolveReference(r).String(), nil
}

// find returns the schema that a reference from base names.
func (c *schemaCompiler) find(base, to string) (*value, error) {
	u, err := join(base, to)
	if err != nil {
		return nil, err
	}
	if v, ok := c.resources[u]; ok {
		return v, nil
	}
	doc, fragment, _ := strings.Cut(u, "#")
	v, ok := c.resources[doc]
	if !ok {
		return nil, fmt.Errorf("%q is not in this document, others are not read", clip(to))
	}
	if fragment == "" {
		return v, nil
	}
	if !strings.HasPrefix(fragment, "/") {
		return nil, fmt.Errorf("%q names no anchor of this document", clip(to))
	}
	if fragment, err = url.PathUnescape(fragment); err != nil {
		return nil, err
	}
	for _, token := range strings.Split(fragment[1:], "/") {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		next := v.get(token)
		if v.kind == 'a' {
			if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(v.list) {
				next = v.list[i]
			}
		}
		if next == nil {
			return nil, fmt.Errorf("%q names nothing in this document", clip(to))
		}
		v = next
	}
	return v, nil
}

// inPlace returns the schemas that n applies to the same value.
func (c *schemaCompiler) inPlace(n *value) []*value {
	if n.kind != 'o' {
		return nil
	}
	var out []*value
	if r := n.get("$ref"); r != nil && r.kind == 's' {
		if v, err := c.find(n.base, r.text); err == nil {
			out = append(out, v)
		}
	}
	for _, k := range []string{"allOf", "anyOf", "oneOf"} {
		if l := n.get(k); l != nil {
			out = append(out, l.list...)
		}
	}
	for _, k := range []string{"not", "if", "then", "else"} {
		if x := n.get(k); x != nil {
			out = append(out, x)
		}
	}
	for _, k := range []string{"dependentSchemas", "dependencies"} {
		if d := n.get(k); d != nil {
			for _, name := range d.keys {
				out = append(out, d.fields[name])
			}
		}
	}
	return out
}

// acyclic refuses a schema that refers to itself for the same value.
func (c *schemaCompiler) acyclic() error {
	const (
		open   = 1
		closed = 2
	)
	mark := make(map[*value]int)
	var visit func(n *value, depth int) error
	visit = func(n *value, depth int) error {
		switch {
		case mark[n] == open:
			return fail(n, "$ref", "the schema refers to itself for the same value")
		case mark[n] == closed:
			return nil
		case depth > 20*maxDepth:
			return &LimitError{"references follow each other too deeply"}
		}
		mark[n] = open
		for _, x := range c.inPlace(n) {
			if err := visit(x, depth+1); err != nil {
				return err
			}
		}
		mark[n] = closed
		return nil
	}
	for _, n := range c.all {
		if err := visit(n, 0); err != nil {
			return err
		}
	}
	return nil
}
