package routes

import (
	"fmt"
	"strings"

	"ortserve/template"
	"ortserve/template/toolcall"
)

// tool is a function that a model may call.
type tool struct {
	name, description string
	parameters        *value // a JSON Schema of an object; nil where there are none
	where             string // the path of parameters in the body
	strict            bool
	sent              template.Object // what the model's template is given; nil: made of the fields above
}

// toolChoice says whether the answer calls tools.
type toolChoice uint8

const (
	chooseAuto     toolChoice = iota // the model decides
	chooseNone                       // it does not
	chooseRequired                   // it calls at least one
	chooseNamed                      // it calls that one
)

// toolbox is what a request says of tools.
type toolbox struct {
	all    []tool
	choice toolChoice
	named  string // of chooseNamed
	single bool   // at most one call: parallel_tool_calls is false
	tagged bool   // a grammar lets no call through that is not in the format's own form
}

// offered are the tools that the model is told of: none where it may not call any.
func (t *toolbox) offered() []tool {
	if t.choice == chooseNone {
		return nil
	}
	return t.all
}

// callable are the tools that the answer may call.
func (t *toolbox) callable() []tool {
	if t.choice != chooseNamed {
		return t.offered()
	}
	for _, of := range t.all {
		if of.name == t.named {
			return []tool{of}
		}
	}
	return nil
}

// check refuses what the fields together do not allow.
func (t *toolbox) check() error {
	switch {
	case t.choice == chooseRequired && len(t.all) == 0:
		return invalid("tool_choice", "tool_choice wants a call, and there are no tools")
	case t.choice == chooseNamed && len(t.callable()) == 0:
		return invalid("tool_choice", "tool_choice names %s, which is not among the tools", quote(t.named))
	}
	return nil
}

// parameterSchema is the schema of the tool's arguments.
func (t *tool) parameterSchema() value {
	if t.parameters == nil {
		return value{kind: kindObject, members: []member{{"type", value{kind: kindText, text: "object"}}, {"properties", value{kind: kindObject}}}}
	}
	return *t.parameters
}

// object is the tool as templates know it: OpenAI's form.
func (t *tool) object() template.Object {
	if t.sent != nil {
		return t.sent
	}
	f := template.Object{{Name: "name", Value: t.name}}
	if t.description != "" {
		f = append(f, template.Member{Name: "description", Value: t.description})
	}
	f = append(f, template.Member{Name: "parameters", Value: t.parameterSchema().plain()})
	return template.Object{{Name: "type", Value: "function"}, {Name: "function", Value: f}}
}

// toolRows are the rows of OpenAI's fields about tools, whose tools have that form.
func toolRows[T any](form *table[tool], of func(*T) *toolbox) []field[T] {
	return []field[T]{
		toolsRow(form, of),
		{name: "tool_choice", schema: toolChoiceSchema, read: func(_ *decoder, at string, v value, r *T) error {
			return readToolChoice(at, v, of(r))
		}},
		{name: "parallel_tool_calls", schema: schema{"type": "boolean"}, read: func(d *decoder, at string, v value, r *T) error {
			var parallel bool
			err := boolField("", func(*T) *bool { return &parallel }).read(d, at, v, r)
			of(r).single = !parallel
			return err
		}},
	}
}

// toolsField is the row of the tools that a prompt is rendered with.
func toolsField[T any](of func(*T) *toolbox) field[T] { return toolsRow(chatToolFields, of) }

func toolsRow[T any](form *table[tool], of func(*T) *toolbox) field[T] {
	return field[T]{name: "tools", schema: listOf(toolSchema(form)), read: func(d *decoder, at string, v value, r *T) (err error) {
		of(r).all, err = readTools(d, form, at, v)
		return err
	}}
}

// knownTypes are the types of the tools that are not left out; a tool without a type is a function.
func knownTypes(form *table[tool]) []string {
	if form == anthropicToolFields {
		return []string{"", "function", "custom"}
	}
	return []string{"", "function"}
}

// toolSchema describes a tool: one of that form, or one of another type, which may hold anything.
func toolSchema(form *table[tool]) schema {
	other := schema{"type": "string", "not": schema{"enum": knownTypes(form)}}
	return schema{"anyOf": []schema{form.schema(), {"type": "object", "required": []string{"type"}, "properties": schema{"type": other}}}}
}

// functionFields are the fields of a function.
var functionFields = newTable(functionRows("parameters"))

func functionRows(parameters string) []field[tool] {
	return []field[tool]{
		textField("name", func(t *tool) *string { return &t.name }),
		textField("description", func(t *tool) *string { return &t.description }),
		{name: parameters, schema: objectSchema, read: readParameters},
		boolField("strict", func(t *tool) *bool { return &t.strict }),
	}
}

// chatToolFields are the fields of a tool of OpenAI's chat completions, and of Ollama's.
var chatToolFields = newTable([]field[tool]{
	typeField[tool](),
	{name: "function", schema: functionFields.schema(), read: func(d *decoder, at string, v value, t *tool) error {
		if err := functionFields.object(d, at, v, t); err != nil {
			return err
		}
		function, _ := v.plain().(template.Object)
		if t.parameters == nil {
			function = append(without(function, "parameters"), template.Member{Name: "parameters", Value: t.parameterSchema().plain()})
		}
		t.sent = template.Object{{Name: "type", Value: "function"}, {Name: "function", Value: function}}
		return nil
	}},
})

// responseToolFields are the fields of a tool of OpenAI's responses.
var responseToolFields = newTable([]field[tool]{typeField[tool]()}, functionRows("parameters"))

// anthropicToolFields are the fields of a tool of Anthropic's.
var anthropicToolFields = newTable([]field[tool]{typeField[tool]()}, functionRows("input_schema"),
	inertFields[tool]("allowed_callers", "cache_control", "defer_loading", "eager_input_streaming", "input_examples"))

// typeField is a row of a type that was looked at before.
func typeField[T any]() field[T] {
	return field[T]{name: "type", schema: textSchema, read: func(_ *decoder, at string, v value, _ *T) error {
		if v.kind != kindText {
			return wrongType(at, "a string", v)
		}
		return nil
	}}
}

// without returns an object's members but one.
func without(o template.Object, name string) template.Object {
	var kept template.Object
	for _, m := range o {
		if m.Name != name {
			kept = append(kept, m)
		}
	}
	return kept
}

// readParameters reads the schema of a tool's arguments, which are always an object.
func readParameters(_ *decoder, at string, v value, t *tool) error {
	if v.kind != kindObject {
		return wrongType(at, "an object", v)
	}
	switch typ := v.get("type"); {
	case len(v.members) == 0:
	case typ.kind == kindNull:
		v.members = append([]member{{"type", value{kind: kindText, text: "object"}}}, v.members...)
	case !isText("object")(typ):
		return invalid(at+".type", "%s.type must be \"object\": the arguments of a tool are an object", at)
	}
	t.where = at
	if len(v.members) > 0 {
		t.parameters = &v
	}
	return nil
}

const (
	maxTools    = 256
	maxToolName = 128
)

// readTools reads a list of tools. One of a type that is not known here, such as a search that the server would do itself, is left out
// and listed as ignored.
func readTools(d *decoder, form *table[tool], at string, v value) ([]tool, error) {
	if v.kind != kindList {
		return nil, wrongType(at, "a list of tools", v)
	}
	var tools []tool
	seen := map[string]bool{}
	for i, of := range v.list {
		at := fmt.Sprintf("%s[%d]", at, i)
		if typ := of.get("type"); typ.kind == kindText && !isText(knownTypes(form)...)(typ) {
			d.ignored = append(d.ignored, at)
			continue
		}
		var t tool
		if err := form.object(d, at, of, &t); err != nil {
			return nil, err
		}
		if _, nested := form.at["function"]; nested {
			at += ".function"
		}
		switch {
		case t.name == "":
			return nil, invalid(at+".name", "%s.name is missing", at)
		case len(t.name) > maxToolName || strings.ContainsFunc(t.name, notOfNames):
			return nil, invalid(at+".name", "%s.name is %s, must be letters, digits and any of _.:/-, at most %d", at, quote(t.name), maxToolName)
		case seen[t.name]:
			return nil, invalid(at+".name", "%s.name is %s, which another tool has too", at, quote(t.name))
		case len(tools) == maxTools:
			return nil, invalid("tools", "there are more than %d tools", maxTools)
		}
		seen[t.name] = true
		tools = append(tools, t)
	}
	return tools, nil
}

// notOfNames says whether r cannot be in a tool's name. No character that can has to be escaped in JSON.
func notOfNames(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_.:/-", r)
}

var toolChoiceSchema = schema{"anyOf": []schema{{"type": "string", "enum": []string{"none", "auto", "required"}}, objectSchema}}

// readToolChoice reads OpenAI's tool_choice: a word, or an object that names a function, nested as in chat completions or flat as in
// responses.
func readToolChoice(at string, v value, t *toolbox) error {
	switch v.kind {
	case kindText:
		if v.text == "" {
			return nil
		}
		choices := map[string]toolChoice{"none": chooseNone, "auto": chooseAuto, "required": chooseRequired, "any": chooseRequired}
		c, ok := choices[v.text]
		if !ok {
			return invalid(at, "%s is %s, must be none, auto, required or an object that names a function", at, quote(v.text))
		}
		t.choice = c
		return nil
	case kindObject:
	default:
		return wrongType(at, "a string or an object", v)
	}
	if typ := v.get("type"); !isText("function")(typ) {
		if typ.kind == kindText {
			return notSupported(at+".type", "%s.type is %s; only a function can be named", at, quote(typ.text))
		}
		return invalid(at+".type", "%s.type must be \"function\"", at)
	}
	name := v.get("name")
	if f := v.get("function"); f.kind == kindObject {
		name = f.get("name")
	}
	if name.kind != kindText {
		return invalid(at+".function.name", "%s.function.name must be the name of a tool", at)
	}
	t.choice, t.named = chooseNamed, name.text
	return nil
}

// format is how the model writes calls.
func (g *generation) format() toolcall.Format { return toolcall.Detect(g.Model.ChatTemplate) }
