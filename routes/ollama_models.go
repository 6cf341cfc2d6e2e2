package routes

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"ortserve/models"
	"ortserve/template/thinking"
)

// ollamaModel is a model of /api/tags and /api/ps.
type ollamaModel struct {
	Name         string        `json:"name"`
	Model        string        `json:"model"`
	ModifiedAt   time.Time     `json:"modified_at"`
	Size         int64         `json:"size"`
	Digest       string        `json:"digest"`
	Details      ollamaDetails `json:"details"`
	Capabilities []string      `json:"capabilities,omitempty"`
	*ollamaRunning
}

// ollamaRunning is what /api/ps says besides.
type ollamaRunning struct {
	ExpiresAt     time.Time `json:"expires_at"`
	SizeVRAM      int64     `json:"size_vram"`
	ContextLength int       `json:"context_length"`
}

// ollamaDetails is what Ollama's lists say of a model's making.
type ollamaDetails struct {
	ParentModel       string   `json:"parent_model"`
	Format            string   `json:"format"`
	Family            string   `json:"family"`
	Families          []string `json:"families"`
	ParameterSize     string   `json:"parameter_size"`
	QuantizationLevel string   `json:"quantization_level"`
}

func detailsOf(m *models.Model) ollamaDetails {
	return ollamaDetails{
		ParentModel: m.Custom.From,
		Format:      "onnx", Family: m.Family, Families: []string{m.Family},
		ParameterSize: m.ParameterSize, QuantizationLevel: m.Quantization,
	}
}

func ollamaModelOf(m *models.Model) ollamaModel {
	return ollamaModel{
		Name: m.Name, Model: m.Name, ModifiedAt: m.Modified, Size: m.Size, Digest: m.Digest,
		Details: detailsOf(m), Capabilities: capabilities(m),
	}
}

// capabilities is what a model can do. Every model that chats can be told of tools.
func capabilities(m *models.Model) []string {
	if m.ChatTemplate == "" {
		return []string{"completion"}
	}
	can := []string{"completion", "tools"}
	if thinking.Detect(m.ChatTemplate) {
		can = append(can, "thinking")
	}
	return can
}

// ollamaModels is the answer of /api/tags and /api/ps.
type ollamaModels struct {
	Models []ollamaModel `json:"models"`
}

// tags serves GET /api/tags.
func (s *server) tags(c *fiber.Ctx) error {
	list := ollamaModels{Models: []ollamaModel{}}
	for _, m := range s.Pool.List() {
		list.Models = append(list.Models, ollamaModelOf(m))
	}
	return sendJSON(c, ollamaJSON, list)
}

// never is when a model that stays loaded expires. Clients read a date.
var never = time.Date(2999, time.December, 31, 0, 0, 0, 0, time.UTC)

// running serves GET /api/ps: the models that are loaded.
func (s *server) running(c *fiber.Ctx) error {
	list := ollamaModels{Models: []ollamaModel{}}
	for _, r := range s.Pool.Running() {
		m := ollamaModelOf(r.Model)
		m.Capabilities = nil
		m.Size = r.Bytes
		m.ollamaRunning = &ollamaRunning{ExpiresAt: never, ContextLength: r.Engine.Info().MaxLen}
		if !r.Expires.IsZero() {
			m.ExpiresAt = r.Expires
		}
		list.Models = append(list.Models, m)
	}
	return sendJSON(c, ollamaJSON, list)
}

// showRequest is the body of POST /api/show. Clients of old say name.
type showRequest struct{ model, name string }

var showFields = newTable([]field[showRequest]{
	textField("model", func(r *showRequest) *string { return &r.model }),
	textField("name", func(r *showRequest) *string { return &r.name }),
	refusedField[showRequest]("system", "the description is the model's own"),
	refusedField[showRequest]("template", "the description is the model's own"),
	refusedField[showRequest]("options", "the description is the model's own"),
}, inertFields[showRequest]("verbose"))

// showAnswer is the answer of POST /api/show.
type showAnswer struct {
	License      string         `json:"license"`
	Modelfile    string         `json:"modelfile"`
	Parameters   string         `json:"parameters"`
	Template     string         `json:"template"`
	System       string         `json:"system,omitempty"`
	Details      ollamaDetails  `json:"details"`
	ModelInfo    map[string]any `json:"model_info"`
	Capabilities []string       `json:"capabilities"`
	ModifiedAt   time.Time      `json:"modified_at"`
}

// show serves POST /api/show.
func (s *server) show(c *fiber.Ctx) error {
	var req showRequest
	if err := decodeBody(s, c, showFields, &req); err != nil {
		return err
	}
	name := req.model
	if name == "" {
		name = req.name
	}
	if name == "" {
		return invalid("model", "model is required")
	}
	m, err := s.findModel(name)
	if err != nil {
		return err
	}
	parameters := parametersOf(m)
	return sendJSON(c, ollamaJSON, showAnswer{
		License:      m.Custom.License,
		Modelfile:    modelfileOf(m, parameters),
		System:       m.Custom.System,
		Parameters:   strings.Join(parameters, "\n"),
		Template:     m.ChatTemplate,
		Details:      detailsOf(m),
		ModelInfo:    s.infoOf(m),
		Capabilities: capabilities(m),
		ModifiedAt:   m.Modified,
	})
}

// modelfileOf writes the model as a Modelfile, which Ollama's clients read.
func modelfileOf(m *models.Model, parameters []string) string {
	text := "FROM " + m.Name + "\n"
	for _, p := range parameters {
		text += "PARAMETER " + p + "\n"
	}
	if m.Custom.System != "" {
		text += "SYSTEM " + strconv.Quote(m.Custom.System) + "\n"
	}
	return text
}

// parametersOf are the model's own sampling defaults, a line each.
func parametersOf(m *models.Model) []string {
	var lines []string
	add := func(name string, v any) { lines = append(lines, fmt.Sprintf("%-30s %v", name, v)) }
	g := m.Generation
	if g.Temperature != nil {
		add("temperature", *g.Temperature)
	}
	if g.TopK != nil {
		add("top_k", *g.TopK)
	}
	if g.TopP != nil {
		add("top_p", *g.TopP)
	}
	if g.MinP != nil {
		add("min_p", *g.MinP)
	}
	if g.RepetitionPenalty != nil {
		add("repeat_penalty", *g.RepetitionPenalty)
	}
	if m.Custom.NumCtx > 0 {
		add("num_ctx", m.Custom.NumCtx)
	}
	for _, stop := range m.Custom.Stop {
		add("stop", strconv.Quote(stop))
	}
	return lines
}

// windowOf returns how many tokens the model serves, once that is known: until then, how many its files say it could.
func (s *server) windowOf(m *models.Model) int {
	for _, l := range s.Pool.Loaded() {
		if l.Model == m {
			return l.Engine.Info().MaxLen
		}
	}
	return m.ContextLength
}

// infoOf describes the model in the words of GGUF's metadata. The context length is the one that is served.
func (s *server) infoOf(m *models.Model) map[string]any {
	arch := m.Architecture
	return map[string]any{
		"general.architecture":            arch,
		"general.basename":                strings.TrimSuffix(m.Name, ":latest"),
		arch + ".block_count":             m.Layers,
		arch + ".context_length":          s.windowOf(m),
		arch + ".embedding_length":        m.Hidden,
		arch + ".attention.head_count":    m.Heads,
		arch + ".attention.head_count_kv": m.KVHeads,
		arch + ".vocab_size":              m.Vocab,
	}
}
