package routes

import (
	"context"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"ortserve/models"
	"ortserve/template"
)

// createRequest is the body of POST /api/create.
type createRequest struct {
	model, name, from, system, template string
	license                             []string
	parameters                          createParameters
	stream                              bool
}

// createParameters are the parameters that a model can have of its own.
type createParameters struct {
	temperature, topP, minP, repeatPenalty *float64
	topK, numCtx                           *int64
	stop                                   []string
}

var createParameterFields = newTable([]field[createParameters]{
	numberField("temperature", func(p *createParameters) **float64 { return &p.temperature }),
	numberField("top_p", func(p *createParameters) **float64 { return &p.topP }),
	numberField("min_p", func(p *createParameters) **float64 { return &p.minP }),
	numberField("repeat_penalty", func(p *createParameters) **float64 { return &p.repeatPenalty }),
	integerField("top_k", 0, math.MaxInt32, func(p *createParameters) **int64 { return &p.topK }),
	integerField("num_ctx", 1, math.MaxInt32, func(p *createParameters) **int64 { return &p.numCtx }),
	{name: "stop", schema: stopSchema, read: func(_ *decoder, at string, v value, p *createParameters) (err error) {
		p.stop, err = readStops(at, v)
		return err
	}},
	refusedField[createParameters]("num_predict", "requests say it"),
	refusedField[createParameters]("seed", "requests say it"),
	refusedField[createParameters]("repeat_last_n", "requests say it"),
	refusedField[createParameters]("presence_penalty", "requests say it"),
	refusedField[createParameters]("frequency_penalty", "requests say it"),
}, inertFields[createParameters]("num_gpu", "num_thread", "num_batch", "use_mmap", "main_gpu", "num_keep"))

var createFields = newTable(
	nameFields(func(r *createRequest) *string { return &r.model }, func(r *createRequest) *string { return &r.name }),
	[]field[createRequest]{
		textField("from", func(r *createRequest) *string { return &r.from }),
		textField("system", func(r *createRequest) *string { return &r.system }),
		textField("template", func(r *createRequest) *string { return &r.template }),
		{name: "license", schema: schema{"anyOf": []schema{textSchema, listOf(textSchema)}}, read: func(_ *decoder, at string, v value, r *createRequest) error {
			list := v.list
			if v.kind == kindText {
				list = []value{v}
			}
			for _, l := range list {
				r.license = append(r.license, l.text)
			}
			if v.kind != kindText && v.kind != kindList {
				return wrongType(at, "a string or a list of strings", v)
			}
			return nil
		}},
		objectFieldOf("parameters", createParameterFields, func(r *createRequest) *createParameters { return &r.parameters }),
		boolField("stream", func(r *createRequest) *bool { return &r.stream }),
		refusedField[createRequest]("files", "ortserve import takes files"),
		refusedField[createRequest]("adapters", "adapters are not supported"),
		refusedField[createRequest]("messages", "requests say them"),
		refusedField[createRequest]("quantize", "ortserve import quantizes"),
		refusedField[createRequest]("modelfile", "from, system, template and parameters take its place"),
	},
)

// objectFieldOf is the row of an object that is read into a part of the request.
func objectFieldOf[T, U any](name string, t *table[U], of func(*T) *U) field[T] {
	return field[T]{name: name, schema: t.schema(), read: func(d *decoder, at string, v value, dst *T) error {
		return t.object(d, at, v, of(dst))
	}}
}

// createModel serves POST /api/create.
func (s *server) createModel(c *fiber.Ctx) error {
	req := createRequest{stream: true}
	if err := decodeBody(s, c, createFields, &req); err != nil {
		return err
	}
	if req.model == "" {
		req.model = req.name
	}
	if _, err := models.CleanName(req.model); err != nil {
		return invalid("model", "%s", err.Error())
	}
	if req.from == "" {
		return invalid("from", "from is required: the name of a model that this server has")
	}
	chat, err := chatTemplate(req.template)
	if err != nil {
		return err
	}
	custom, err := req.custom()
	if err != nil {
		return err
	}
	store, err := s.storeFor()
	if err != nil {
		return err
	}
	if _, err := store.Find(req.from); err != nil {
		return s.storeError(req.from, err)
	}
	return s.runJob(c, req.stream, func(_ context.Context, say func(any, bool)) error {
		say(jobStatus{Status: "using existing model " + req.from}, false)
		if err := store.Create(req.from, req.model, custom, chat); err != nil {
			return s.storeError(req.from, err)
		}
		say(jobStatus{Status: "writing manifest"}, false)
		return nil
	})
}

// custom is what the request gives the model.
func (r *createRequest) custom() (models.Custom, error) {
	p := r.parameters
	c := models.Custom{System: r.system, License: strings.Join(r.license, "\n\n"), Stop: p.stop}
	c.Temperature, c.TopP, c.MinP, c.RepetitionPenalty = p.temperature, p.topP, p.minP, p.repeatPenalty
	if p.topK != nil {
		k := int(*p.topK)
		c.TopK = &k
	}
	if p.numCtx != nil {
		c.NumCtx = int(*p.numCtx)
	}
	var none sampling
	if err := none.params(c.Generation, ollamaDefaults).Validate(); err != nil {
		e := explain(err)
		return c, invalid("parameters."+e.param, "parameters.%s", e.message)
	}
	return c, nil
}

// goTemplates are the chat templates that Ollama's library gives families of models, told by the control tokens that they write, and
// the same in Jinja.
var goTemplates = []struct {
	tokens []string
	jinja  string
}{
	{
		[]string{"<|im_start|>", "<|im_end|>"},
		"{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}" +
			"{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
	},
	{
		[]string{"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
		"{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + m.content + '<|eot_id|>' }}{% endfor %}" +
			"{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
	},
}

var (
	goAction     = regexp.MustCompile(`{{-? *(\.|if|range|end|else|with|block|define|\$)[^}]*}}`)
	controlToken = regexp.MustCompile(`<\|[a-z_]+\|>`)
)

// chatTemplate returns the template of a request as Jinja, which it may be already.
func chatTemplate(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if goAction.MatchString(text) && !strings.Contains(text, "{%") {
		return fromGo(text)
	}
	if _, err := template.Parse(text, nil); err != nil {
		return "", invalid("template", "template is not a Jinja template: %s", err.Error())
	}
	return text, nil
}

// fromGo returns the Jinja template of the family whose control tokens, and no others, a Go template writes.
func fromGo(text string) (string, error) {
	found := controlToken.FindAllString(text, -1)
	slices.Sort(found)
	found = slices.DeleteFunc(slices.Compact(found), func(t string) bool { return t == "<|begin_of_text|>" })
	tools := strings.Contains(text, ".Tools") || strings.Contains(text, ".Suffix") || strings.Contains(text, ".Think")
	for _, t := range goTemplates {
		want := slices.Sorted(slices.Values(t.tokens))
		if !tools && slices.Equal(found, want) {
			return t.jinja, nil
		}
	}
	return "", invalid("template", "template is a Go template of no known family (ChatML and Llama 3 are known, without tools); write it in Jinja")
}
