package grammar

import (
	"slices"
	"strings"
)

// strings returns the expression of the strings that are valid by nodes.
func (c *schemaCompiler) strings(nodes []*value) (*expr, error) {
	body, err := c.body(nodes)
	if err != nil {
		return nil, err
	}
	return cat(literal(`"`), body, literal(`"`)), nil
}

// body returns the expression of the characters of the strings that are valid by nodes.
func (c *schemaCompiler) body(nodes []*value) (*expr, error) {
	least, most := counts(nodes, "minLength", "maxLength")
	var factors []factor
	var where *value
	keyword := ""
	for _, n := range nodes {
		if p := n.get("pattern"); p != nil {
			e, err := regex(p.text, true, encodeJSON)
			if err != nil {
				return nil, fail(n, "pattern", "%s", err)
			}
			factors = append(factors, factor{e: e})
			where, keyword = n, "pattern"
		}
		if p := n.get("$notPattern"); p != nil {
			e, err := regex(p.text, true, encodeJSON)
			if err != nil {
				return nil, fail(n, "not", "%s", err)
			}
			factors = append(factors, factor{e: e, not: true})
			where, keyword = n, "not"
		}
		if f := n.get("format"); f != nil {
			e, err := format(f.text)
			if err != nil {
				return nil, fail(n, "format", "%s", err)
			}
			if e != nil {
				factors = append(factors, factor{e: e})
				where, keyword = n, "format"
			}
		}
	}
	var not []string
	for _, v := range notEnumOf(nodes) {
		if v.kind == 's' {
			text := quoted(v.text)
			not = append(not, text[1:len(text)-1])
			where, keyword = nodes[0], "not"
		}
	}
	if len(not) > 0 {
		factors = append(factors, factor{e: choice(not), not: true})
	}
	if len(factors) == 0 {
		return repeat(c.words.character, least, most), nil
	}
	if least == 0 && most < 0 && len(factors) == 1 && !factors[0].not {
		return factors[0].e, nil
	}
	if least > 0 || most >= 0 || slices.IndexFunc(factors, func(f factor) bool { return !f.not }) < 0 {
		factors = append(factors, factor{e: repeat(c.words.plain, least, most)})
	}
	e, err := product(&c.budget, "the string", factors...)
	if err != nil {
		return nil, fail(where, keyword, "%s", err)
	}
	return e, nil
}

// formats are the formats of strings that are compiled, as patterns; an empty one says nothing about strings.
var formats = map[string]string{
	"date":          date,
	"time":          clock + offset,
	"date-time":     date + `T` + clock + offset,
	"duration":      `P(\d{1,9}W|(\d{1,9}Y(\d{1,9}M(\d{1,9}D)?)?|\d{1,9}M(\d{1,9}D)?|\d{1,9}D)(T` + span + `)?|T` + span + `)`,
	"email":         `[A-Za-z0-9_+-]{1,20}(\.[A-Za-z0-9_+-]{1,20}){0,2}@` + host,
	"hostname":      host,
	"ipv4":          octet + `(\.` + octet + `){3}`,
	"ipv6":          ipv6,
	"uuid":          `[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`,
	"uri":           `[a-zA-Z][a-zA-Z0-9+.-]{0,20}://` + host + `(:\d{1,4})?` + rest,
	"uri-reference": `([a-zA-Z][a-zA-Z0-9+.-]{0,20}://` + host + `(:\d{1,4})?)?` + rest,
	"json-pointer":  `(/([^/~]|~[01])*)*`,
	"regex":         `[A-Za-z0-9 _-]*`,
	"byte":          `([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?`,
	"int32":         "", "int64": "", "float": "", "double": "", // of numbers
}

const (
	leap   = `(\d\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29`
	date   = `(\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))|` + leap + `)`
	clock  = `([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?`
	offset = `(Z|[+-]([01]\d|2[0-3]):[0-5]\d)`
	span   = `(\d{1,9}H(\d{1,9}M(\d{1,9}S)?)?|\d{1,9}M(\d{1,9}S)?|\d{1,9}S)`
	label  = `[a-zA-Z0-9]([a-zA-Z0-9]|-[a-zA-Z0-9]){0,15}`
	host   = label + `(\.` + label + `){0,5}`
	octet  = `(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)`
	group  = `[0-9a-fA-F]{1,4}`
	rest   = `(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})*)*(\?([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9a-fA-F]{2})*)?(#([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9a-fA-F]{2})*)?`
)

// ipv6 is RFC 4291's text form without an embedded IPv4 address: eight groups, or fewer with one gap.
var ipv6 = func() string {
	forms := []string{`(` + group + `:){7}` + group}
	for before := range 8 {
		left := ``
		switch {
		case before == 1:
			left = group
		case before > 1:
			left = group + `(:` + group + `){` + string(rune('0'+before-1)) + `}`
		}
		right := ``
		if after := 7 - before; after > 0 {
			right = `(` + group + `(:` + group + `){0,` + string(rune('0'+after-1)) + `})?`
		}
		forms = append(forms, left+`::`+right)
	}
	return `(` + strings.Join(forms, `|`) + `)`
}()

// format returns the expression of a format; nil where it says nothing about strings.
func format(name string) (*expr, error) {
	p, ok := formats[name]
	if !ok {
		names := make([]string, 0, len(formats))
		for n := range formats {
			names = append(names, n)
		}
		slices.Sort(names)
		return nil, &unknownFormat{name, names}
	}
	if p == "" {
		return nil, nil
	}
	return regex(p, false, encodeJSON)
}

type unknownFormat struct {
	name  string
	known []string
}

func (e *unknownFormat) Error() string {
	return `"` + clip(e.name) + `" is not compiled, known are ` + strings.Join(e.known, ", ")
}
