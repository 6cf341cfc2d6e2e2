package grammar

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Options say how a schema is read.
type Options struct {
	// Closed lets an object that declares properties have no others where the schema does not say (additionalProperties). A schema that
	// does not say so allows others; what a model adds then is rarely meant.
	Closed bool
}

// SchemaError is the error for a schema that is not compiled.
type SchemaError struct {
	Keyword string // empty where it is the whole schema
	Path    string // JSON pointer (RFC 6901) of the schema that has the keyword
	Text    string
}

// Error implements error.
func (e *SchemaError) Error() string {
	if e.Keyword == "" {
		return fmt.Sprintf("schema at %s: %s", e.Path, e.Text)
	}
	return fmt.Sprintf("keyword %s at %s: %s", e.Keyword, e.Path, e.Text)
}

// JSONSchema is the grammar of the JSON values that are valid by schema (JSON Schema 2020-12, and what older drafts write otherwise). Properties
// come in the order in which they are declared, then those that are only required, then others. The errors are *SchemaError, *LimitError and, for what is
// not JSON, one of encoding/json.
func JSONSchema(schema []byte, o Options) (*Grammar, error) {
	c := &schemaCompiler{budget: maxSeen, o: o, words: words(), memo: make(map[string]*expr), leaves: make(map[string]*expr), negations: make(map[*value][]*value), names: make(map[string]*expr)}
	root, err := parseValue(schema, c.next)
	if err != nil {
		return nil, err
	}
	c.root = root
	if err := c.index(root, ""); err != nil {
		return nil, err
	}
	if err := c.acyclic(); err != nil {
		return nil, err
	}
	e, err := c.compile(root)
	if err != nil {
		return nil, err
	}
	g, err := compile(e)
	if errors.Is(err, ErrNothing) {
		return nil, &SchemaError{Path: "/", Text: "no value is valid, or none that can be compiled"}
	}
	return g, err
}

// What the work on a schema is bounded by.
const (
	maxBranches = 512     // combinations of alternatives of one schema
	maxWork     = 200_000 // schemas looked at
)

// schemaCompiler compiles one schema.
type schemaCompiler struct {
	o         Options
	words     *lexicon
	root      *value
	draft7    bool // references hide what stands beside them, and items may be a list
	ids       int
	work      int
	budget    int               // of products
	resources map[string]*value // by URI, with the fragment of an anchor
	all       []*value          // the schemas that were indexed
	memo      map[string]*expr  // by the schemas that hold together
	leaves    map[string]*expr  // the same, without alternatives
	negations map[*value][]*value
	names     map[string]*expr // of properties that are not declared, by what is
}

func (c *schemaCompiler) next() int {
	c.ids++
	return c.ids
}

// fail is the error of keyword in the schema v.
func fail(v *value, keyword, format string, args ...any) error {
	return &SchemaError{Keyword: keyword, Path: v.path(), Text: fmt.Sprintf(format, args...)}
}

// key names a set of schemas.
func key(nodes []*value) string {
	ids := make([]int, len(nodes))
	for i, n := range nodes {
		ids[i] = n.id
	}
	slices.Sort(ids)
	var b []byte
	for _, id := range slices.Compact(ids) {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	return string(b)
}

// compile returns the expression of the values that are valid by all nodes. It is a reference, so that a schema may contain itself.
func (c *schemaCompiler) compile(nodes ...*value) (*expr, error) {
	k := key(nodes)
	if e, ok := c.memo[k]; ok {
		return e, nil
	}
	r := ref("schema")
	c.memo[k] = r
	leaves, err := c.alternatives(nodes)
	if err != nil {
		return nil, err
	}
	var branches []*expr
	for _, l := range leaves {
		e, err := c.leaf(l)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(branches, e) {
			branches = append(branches, e)
		}
	}
	r.sub = alt(branches...)
	return r, nil
}

// conjunction is a set of schemas that hold together, and the alternatives of which one each has to hold too.
type conjunction struct {
	plain   []*value // without booleans
	seen    map[*value]bool
	choices [][]*value
	never   bool
}

func (j *conjunction) clone() *conjunction {
	seen := make(map[*value]bool, len(j.seen))
	for k := range j.seen {
		seen[k] = true
	}
	return &conjunction{plain: slices.Clone(j.plain), seen: seen, choices: slices.Clone(j.choices), never: j.never}
}

// alternatives returns the sets of schemas without alternatives of which one has to hold.
func (c *schemaCompiler) alternatives(nodes []*value) ([][]*value, error) {
	j := &conjunction{seen: make(map[*value]bool)}
	for _, n := range nodes {
		if err := c.add(j, n); err != nil {
			return nil, err
		}
	}
	var out [][]*value
	err := c.branch(j, &out)
	return out, err
}

func (c *schemaCompiler) branch(j *conjunction, out *[][]*value) error {
	if c.work++; c.work > maxWork {
		return &LimitError{"the schema's parts refer to each other in too many ways"}
	}
	if j.never {
		return nil
	}
	if len(j.choices) == 0 {
		if len(*out) >= maxBranches {
			where := c.root
			if len(j.plain) > 0 {
				where = j.plain[0]
			}
			return fail(where, "anyOf", "there are more than %d combinations of alternatives", maxBranches)
		}
		*out = append(*out, j.plain)
		return nil
	}
	first := j.choices[0]
	for _, n := range first {
		one := j.clone()
		one.choices = one.choices[1:]
		if err := c.add(one, n); err != nil {
			return err
		}
		if one.never || c.evident(one.plain) {
			continue
		}
		if err := c.branch(one, out); err != nil {
			return err
		}
	}
	return nil
}

// evident says whether it is seen at once that nodes exclude each other: by their types.
func (c *schemaCompiler) evident(nodes []*value) bool {
	types := allTypes
	for _, n := range nodes {
		if t, err := typesOf(n); err == nil {
			types &= t
		}
	}
	return types == 0
}

// add puts n into j, with all that holds where n does.
func (c *schemaCompiler) add(j *conjunction, n *value) error {
	if j.seen[n] {
		return nil
	}
	j.seen[n] = true
	if c.work++; c.work > maxWork {
		return &LimitError{"the schema's parts refer to each other in too many ways"}
	}
	switch n.kind {
	case 'b':
		j.never = j.never || !n.truth
		return nil
	case 'o':
	default:
		return fail(n, "", "a schema is an object or a boolean")
	}
	if err := c.check(n); err != nil {
		return err
	}
	if r := n.get("$ref"); r != nil {
		target, err := c.resolve(n, r)
		if err != nil {
			return err
		}
		if err := c.add(j, target); err != nil {
			return err
		}
		if c.draft7 {
			return nil
		}
	}
	j.plain = append(j.plain, n)
	if all := n.get("allOf"); all != nil {
		for _, x := range all.list {
			if err := c.add(j, x); err != nil {
				return err
			}
		}
	}
	if any := n.get("anyOf"); any != nil {
		j.choices = append(j.choices, any.list)
	}
	if one := n.get("oneOf"); one != nil {
		branches, err := c.exclusive(n, one.list)
		if err != nil {
			return err
		}
		j.choices = append(j.choices, branches)
	}
	if not := n.get("not"); not != nil {
		branches, err := c.negate(not, n)
		if err != nil {
			return err
		}
		j.choices = append(j.choices, branches)
	}
	if cond := n.get("if"); cond != nil {
		branches, err := c.conditional(n, cond)
		if err != nil {
			return err
		}
		j.choices = append(j.choices, branches...)
	}
	return c.dependencies(j, n)
}

// synthetic returns a schema that stands at n's place and is not written there: its fields are keys and values in turn.
func (c *schemaCompiler) synthetic(n *value, fields ...any) *value {
	v := &value{id: c.next(), kind: 'o', fields: make(map[string]*value), parent: n.parent, name: n.name, base: n.base, made: true}
	for i := 0; i < len(fields); i += 2 {
		v.set(fields[i].(string), fields[i+1].(*value))
	}
	return v
}

// The parts of synthetic schemas.
func (c *schemaCompiler) array(list ...*value) *value {
	return &value{id: c.next(), kind: 'a', list: list}
}

func (c *schemaCompiler) object(key string, to *value) *value {
	v := &value{id: c.next(), kind: 'o', fields: make(map[string]*value)}
	v.set(key, to)
	return v
}

func (c *schemaCompiler) text(s string) *value { return &value{id: c.next(), kind: 's', text: s} }

func (c *schemaCompiler) truth(b bool) *value { return &value{id: c.next(), kind: 'b', truth: b} }

// some returns a schema that holds where one of list does.
func (c *schemaCompiler) some(n *value, list []*value) *value {
	switch len(list) {
	case 0:
		return c.truth(false)
	case 1:
		return list[0]
	}
	return c.synthetic(n, "anyOf", c.array(list...))
}

// conditional returns the alternatives of if, then and else.
func (c *schemaCompiler) conditional(n, cond *value) ([][]*value, error) {
	then, otherwise := n.get("then"), n.get("else")
	if then == nil && otherwise == nil {
		return nil, nil
	}
	not, err := c.negate(cond, n)
	if err != nil {
		return nil, err
	}
	yes := cond
	if then != nil {
		yes = c.synthetic(n, "allOf", c.array(cond, then))
	}
	no := c.some(n, not)
	if otherwise != nil {
		no = c.synthetic(n, "allOf", c.array(no, otherwise))
	}
	return [][]*value{{yes, no}}, nil
}

// dependencies adds what holds where a property is there.
func (c *schemaCompiler) dependencies(j *conjunction, n *value) error {
	for _, keyword := range []string{"dependentRequired", "dependentSchemas", "dependencies"} {
		d := n.get(keyword)
		if d == nil {
			continue
		}
		for _, name := range d.keys {
			then := d.fields[name]
			absent := c.synthetic(n, "properties", c.object(name, c.truth(false)))
			present := c.synthetic(n, "type", c.text("object"), "required", c.array(c.text(name)))
			if then.kind == 'a' {
				present.set("required", c.array(append([]*value{c.text(name)}, then.list...)...))
			} else {
				present.set("allOf", c.array(then))
			}
			j.choices = append(j.choices, []*value{absent, present})
		}
	}
	return nil
}

// resolve returns the schema that a reference names.
func (c *schemaCompiler) resolve(n, r *value) (*value, error) {
	target, err := c.find(n.base, r.text)
	if err != nil {
		return nil, fail(n, "$ref", "%s", err)
	}
	return target, nil
}

// types are the kinds of values that a schema allows.
type types uint8

const (
	typeNull types = 1 << iota
	typeBoolean
	typeInteger
	typeFraction // numbers that are not integers
	typeString
	typeArray
	typeObject
	allTypes   types = 1<<iota - 1
	typeNumber       = typeInteger | typeFraction
)

var typeNames = map[string]types{
	"null": typeNull, "boolean": typeBoolean, "integer": typeInteger, "number": typeNumber, "string": typeString, "array": typeArray, "object": typeObject,
}

// fraction is the name, in schemas that are not written, of the type of numbers that are not integers.
const fraction = "$fraction"

// typesOf returns what the keyword type allows.
func typesOf(n *value) (types, error) {
	t := n.get("type")
	switch {
	case t == nil:
		return allTypes, nil
	case t.kind == 's':
		if x, ok := typeNames[t.text]; ok {
			return x, nil
		}
		if n.made && t.text == fraction {
			return typeFraction, nil
		}
	case t.kind == 'a' && len(t.list) > 0:
		var all types
		for _, x := range t.list {
			one, ok := typeNames[x.text]
			if n.made && x.text == fraction {
				one, ok = typeFraction, true
			}
			if x.kind != 's' || !ok {
				return 0, fail(n, "type", "%s is no type", clip(string(x.canonical(nil))))
			}
			all |= one
		}
		return all, nil
	}
	return 0, fail(n, "type", "%s is no type: one of array, boolean, integer, null, number, object, string", clip(string(t.canonical(nil))))
}

// inert are the keywords that say nothing about which values are valid.
var inert = strings.Fields(`title description default examples example $comment $schema $id id $anchor $defs definitions deprecated readOnly writeOnly
	contentMediaType contentEncoding contentSchema discriminator externalDocs xml propertyOrdering $vocabulary $dynamicAnchor then else minContains additionalItems`)

// known are the keywords that are compiled.
var known = strings.Fields(`type enum const properties required additionalProperties patternProperties propertyNames minProperties maxProperties
	items prefixItems minItems maxItems contains uniqueItems minLength maxLength pattern format minimum maximum exclusiveMinimum exclusiveMaximum
	multipleOf $ref allOf anyOf oneOf not if dependentRequired dependentSchemas dependencies
	unevaluatedProperties unevaluatedItems maxContains`)

var keywords = func() map[string]bool {
	m := make(map[string]bool)
	for _, k := range append(slices.Clone(inert), known...) {
		m[k] = true
	}
	return m
}()
