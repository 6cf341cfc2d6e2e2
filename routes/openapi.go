package routes

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// operation is what a route takes and gives, as /openapi.json and docs/api.md tell it.
type operation struct {
	method, path string
	summary      string
	tag          string // the dialect
	request      schema // of the body; nil where there is none
	required     []string
	query        []string
	answer       any    // a value of the type that is answered; a string is plain text
	streamType   string // content type of the stream, where the route streams
	refuses      bool   // it answers errors alone
}

// The dialects.
const (
	tagOpenAI    = "OpenAI"
	tagAnthropic = "Anthropic"
	tagOllama    = "Ollama"
	tagLlama     = "llama.cpp"
	tagServer    = "Server"
)

// operations are all routes but those of OpenAI's that exist without /v1 too.
var operations = []operation{
	{method: "POST", path: "/v1/chat/completions", tag: tagOpenAI, summary: "Answer a conversation", request: chatFields.schema(), required: []string{"messages"}, answer: chatCompletion{}, streamType: eventStream},
	{method: "POST", path: "/v1/chat/completions/input_tokens", tag: tagOpenAI, summary: "Count the tokens of a conversation", request: chatFields.schema(), required: []string{"messages"}, answer: inputTokens{}},
	{method: "POST", path: "/v1/completions", tag: tagOpenAI, summary: "Continue a text", request: completionFields.schema(), required: []string{"prompt"}, answer: completion{}, streamType: eventStream},
	{method: "POST", path: "/v1/responses", tag: tagOpenAI, summary: "Answer a conversation; nothing is stored", request: responsesFields.schema(), required: []string{"input"}, answer: response{}, streamType: eventStream},
	{method: "POST", path: "/v1/responses/input_tokens", tag: tagOpenAI, summary: "Count the tokens of a response's input", request: responsesFields.schema(), required: []string{"input"}, answer: inputTokens{}},
	{method: "POST", path: "/v1/score", tag: tagOpenAI, summary: "How probable the model finds given continuations of a prompt", request: scoreFields.schema(), required: []string{"prompt", "continuations"}, answer: scoreAnswer{}},
	{method: "POST", path: "/v1/embeddings", tag: tagOpenAI, summary: "Refused: no model here gives embeddings", refuses: true},
	{method: "GET", path: "/v1/models", tag: tagOpenAI, summary: "List the models", answer: modelList{}},
	{method: "GET", path: "/v1/models/{model}", tag: tagOpenAI, summary: "Describe a model", answer: openaiModel{}},

	{method: "POST", path: "/v1/messages", tag: tagAnthropic, summary: "Answer a conversation", request: messagesFields.schema(), required: []string{"messages", "max_tokens"}, answer: anthropicMessage{}, streamType: eventStream},
	{method: "POST", path: "/v1/messages/count_tokens", tag: tagAnthropic, summary: "Count the tokens of a conversation", request: messagesFields.schema(), required: []string{"messages"}, answer: inputTokens{}},

	{method: "POST", path: "/api/generate", tag: tagOllama, summary: "Answer a prompt, or load a model", request: generateFields.schema(), required: []string{"model"}, answer: generateAnswer{}, streamType: jsonLines},
	{method: "POST", path: "/api/chat", tag: tagOllama, summary: "Answer a conversation, or load a model", request: ollamaChatFields.schema(), required: []string{"model"}, answer: chatAnswer{}, streamType: jsonLines},
	{method: "POST", path: "/api/embed", tag: tagOllama, summary: "Refused: no model here gives embeddings", refuses: true},
	{method: "POST", path: "/api/embeddings", tag: tagOllama, summary: "Refused: no model here gives embeddings", refuses: true},
	{method: "GET", path: "/api/tags", tag: tagOllama, summary: "List the models", answer: ollamaModels{}},
	{method: "GET", path: "/api/ps", tag: tagOllama, summary: "List the models that are loaded", answer: ollamaModels{}},
	{method: "POST", path: "/api/show", tag: tagOllama, summary: "Describe a model", request: showFields.schema(), answer: showAnswer{}},
	{method: "POST", path: "/api/pull", tag: tagOllama, summary: "Bring a model from a hub into the store (scope admin)", request: pullFields.schema(), answer: jobStatus{}, streamType: jsonLines},
	{method: "POST", path: "/api/create", tag: tagOllama, summary: "Make a model of another with parameters, a system prompt, a template (scope admin)", request: createFields.schema(), required: []string{"from"}, answer: jobStatus{}, streamType: jsonLines},
	{method: "POST", path: "/api/copy", tag: tagOllama, summary: "Give a model a second name (scope admin)", request: copyFields.schema(), required: []string{"source", "destination"}, answer: ""},
	{method: "DELETE", path: "/api/delete", tag: tagOllama, summary: "Delete a model (scope admin)", request: deleteFields.schema(), answer: ""},
	{method: "GET", path: "/api/version", tag: tagOllama, summary: "The version of Ollama's API, and this server's", answer: versionAnswer{}},
	{method: "GET", path: "/version", tag: tagOllama, summary: "The same as /api/version", answer: versionAnswer{}},

	{method: "POST", path: "/completion", tag: tagLlama, summary: "Continue a text", request: llamaFields.schema(), required: []string{"prompt"}, answer: llamaAnswer{}, streamType: eventStream},
	{method: "POST", path: "/tokenize", tag: tagLlama, summary: "Text or messages to token ids", request: tokenizeFields.schema(), answer: tokenizeAnswer{}},
	{method: "POST", path: "/detokenize", tag: tagLlama, summary: "Token ids to text", request: detokenizeFields.schema(), answer: detokenizeAnswer{}},
	{method: "POST", path: "/apply-template", tag: tagLlama, summary: "Messages to the text of a prompt", request: applyTemplateFields.schema(), required: []string{"messages"}, answer: templateAnswer{}},
	{method: "GET", path: "/props", tag: tagLlama, summary: "What a model is served with", query: []string{"model", "autoload"}, answer: props{}},
	{method: "GET", path: "/slots", tag: tagLlama, summary: "What the slots do; no text is shown", query: []string{"model", "fail_on_no_slot"}, answer: []slotState{}},
	{method: "POST", path: "/slots/{id}", tag: tagLlama, summary: "Refused: slots are not saved, restored or erased", refuses: true},
	{method: "GET", path: "/v1/stream", tag: tagLlama, summary: "Refused: streams are not resumed", refuses: true},

	{method: "GET", path: "/", tag: tagServer, summary: "The chat page for browsers; for others the text by which Ollama's clients know a server", answer: ""},
	{method: "GET", path: "/livez", tag: tagServer, summary: "Whether the process works", answer: health{}},
	{method: "GET", path: "/readyz", tag: tagServer, summary: "Whether requests should come here", answer: health{}},
	{method: "GET", path: "/health", tag: tagServer, summary: "The same as /readyz", answer: health{}},
	{method: "GET", path: "/metrics", tag: tagServer, summary: "What the server counts, in Prometheus's format", answer: ""},
	{method: "GET", path: "/openapi.json", tag: tagServer, summary: "This description", answer: schema{}},
}

// document is the OpenAPI document: OpenAPI 3.1.
func document(version string) schema {
	paths := schema{}
	for _, o := range operations {
		for _, path := range o.paths() {
			at, ok := paths[path].(schema)
			if !ok {
				at = schema{}
				paths[path] = at
			}
			at[strings.ToLower(o.method)] = o.describe(path)
		}
	}
	return schema{
		"openapi": "3.1.0",
		"info":    schema{"title": "ortserve", "version": version, "description": "Language models as ONNX graphs, behind the APIs of OpenAI, Anthropic, Ollama and llama.cpp."},
		"paths":   paths,
		"components": schema{
			"schemas": schema{
				"OpenAIError":    typeSchema(reflect.TypeFor[openaiError]()),
				"OllamaError":    typeSchema(reflect.TypeFor[ollamaError]()),
				"AnthropicError": typeSchema(reflect.TypeFor[anthropicError]()),
			},
			"securitySchemes": schema{
				"bearer": schema{"type": "http", "scheme": "bearer"},
				"header": schema{"type": "apiKey", "in": "header", "name": "x-api-key"},
			},
		},
	}
}

// paths returns where the operation is served.
func (o operation) paths() []string {
	if short, ok := strings.CutPrefix(o.path, "/v1"); ok && o.tag == tagOpenAI {
		return []string{o.path, short}
	}
	return []string{o.path}
}

// errorSchema names the shape of the errors of a path.
func errorSchema(path string) schema {
	name := "OpenAIError"
	switch {
	case isOllama(path):
		name = "OllamaError"
	case isAnthropic(path):
		name = "AnthropicError"
	}
	return schema{"$ref": "#/components/schemas/" + name}
}

// statuses are those of all errors, once each. A client that has gone reads none.
func statuses() []int {
	var all []int
	for _, row := range errorTable {
		if row.status != 499 {
			all = append(all, row.status)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (o operation) describe(path string) schema {
	responses := schema{}
	for _, status := range statuses() {
		responses[strconv.Itoa(status)] = schema{
			"description": http.StatusText(status),
			"content":     schema{"application/json": schema{"schema": errorSchema(path)}},
		}
	}
	if !o.refuses {
		content := schema{"application/json": schema{"schema": typeSchema(reflect.TypeOf(o.answer))}}
		if _, text := o.answer.(string); text {
			content = schema{"text/plain": schema{"schema": textSchema}}
		}
		if o.streamType != "" {
			content[o.streamType] = schema{}
		}
		responses["200"] = schema{"description": "OK", "content": content}
	}
	d := schema{
		"tags": []string{o.tag}, "summary": o.summary, "responses": responses,
		"operationId": strings.ToLower(o.method) + strings.NewReplacer("/", "_", "{", "", "}", "", ".", "_", "-", "_").Replace(path),
	}
	var parameters []schema
	if _, after, ok := strings.Cut(path, "{"); ok {
		parameters = append(parameters, schema{"name": strings.TrimSuffix(after, "}"), "in": "path", "required": true, "schema": textSchema})
	}
	for _, name := range o.query {
		parameters = append(parameters, schema{"name": name, "in": "query", "required": false, "schema": textSchema})
	}
	if parameters != nil {
		d["parameters"] = parameters
	}
	if o.request != nil {
		body := maps.Clone(o.request)
		if properties, ok := body["properties"].(schema); ok && o.required != nil {
			properties = maps.Clone(properties)
			for _, name := range o.required {
				if p, ok := properties[name].(schema); ok {
					properties[name] = present(p)
				}
			}
			body["properties"], body["required"] = properties, o.required
		}
		d["requestBody"] = schema{"required": true, "content": schema{"application/json": schema{"schema": body}}}
	}
	if accessOf(o.method, path) != accessOpen {
		d["security"] = []schema{{"bearer": []string{}}, {"header": []string{}}, {}}
	}
	return d
}

// openAPI serves GET /openapi.json.
func (s *server) openAPI(c *fiber.Ctx) error {
	return sendJSON(c, openaiJSON, document(strings.TrimPrefix(s.Version, "v")))
}
