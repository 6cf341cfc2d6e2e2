package routes

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"ortserve/models"
	"ortserve/template/thinking"
)

// props is the answer of GET /props: what llama.cpp's clients ask a server about its model.
type props struct {
	DefaultGenerationSettings propsSettings   `json:"default_generation_settings"`
	TotalSlots                int             `json:"total_slots"`
	ModelAlias                string          `json:"model_alias"`
	ModelPath                 string          `json:"model_path"` // the name: where it lies is nobody's business
	Modalities                propsModalities `json:"modalities"`
	ChatTemplate              string          `json:"chat_template"`
	Thinking                  bool            `json:"thinking"` // whether the model thinks before it answers
	BOSToken                  string          `json:"bos_token"`
	EOSToken                  string          `json:"eos_token"`
	BuildInfo                 string          `json:"build_info"`
}

type propsSettings struct {
	Params map[string]any `json:"params"`
	NCtx   int            `json:"n_ctx"`
}

type propsModalities struct {
	Vision bool `json:"vision"`
	Audio  bool `json:"audio"`
}

// getProps serves GET /props, of the default model or of ?model=NAME. With ?autoload=false, llama.cpp's word for it, a model that is not
// loaded stays so: it has no slots then.
func (s *server) getProps(c *fiber.Ctx) error {
	slots := 0
	var m *models.Model
	if c.Query("autoload") == "false" {
		found, err := s.findModel(c.Query("model"))
		if err != nil {
			return err
		}
		m = found
	} else {
		g, err := s.begin(c, c.Query("model"))
		if err != nil {
			return err
		}
		defer g.done()
		m = g.Model
	}
	for _, l := range s.Pool.Loaded() {
		if l.Model == m {
			slots = l.Engine.Info().Slots
		}
	}
	var none sampling
	return sendJSON(c, openaiJSON, props{
		DefaultGenerationSettings: propsSettings{
			Params: settingsOf(map[string]any{"n_predict": -1}, none.params(m.Generation, llamaDefaults)),
			NCtx:   s.windowOf(m),
		},
		TotalSlots: slots, ModelAlias: m.Name, ModelPath: m.Name, ChatTemplate: m.ChatTemplate, Thinking: thinking.Detect(m.ChatTemplate),
		BOSToken: m.BOSToken, EOSToken: m.EOSToken, BuildInfo: "ortserve-" + strings.TrimPrefix(s.Version, "v"),
	})
}

// slotState is a slot of GET /slots. No text is shown: it may be another key's.
type slotState struct {
	ID           int  `json:"id"`
	NCtx         int  `json:"n_ctx"`
	NPast        int  `json:"n_past"` // tokens that the slot holds
	IsProcessing bool `json:"is_processing"`
}

// getSlots serves GET /slots, of the default model or of ?model=NAME. With ?fail_on_no_slot=1 it is a 503 while no slot is free.
func (s *server) getSlots(c *fiber.Ctx) error {
	g, err := s.begin(c, c.Query("model"))
	if err != nil {
		return err
	}
	defer g.done()
	info, now := g.Engine.Info(), g.Engine.Snapshot()
	busy := now.Running + now.Prefilling
	if c.Query("fail_on_no_slot") == "1" && busy >= info.Slots {
		return &apiError{kind: kindOverloaded, message: "no slot is free"}
	}
	all := make([]slotState, info.Slots)
	for i := range all {
		all[i] = slotState{ID: i, NCtx: info.MaxLen, IsProcessing: i < busy}
		if i < len(now.SlotTokens) {
			all[i].NPast = now.SlotTokens[i]
		}
	}
	return sendJSON(c, openaiJSON, all)
}

// noSlotActions serves POST /slots/{id}: which slot holds what is the server's to say, because other keys' requests have theirs there too.
func noSlotActions(*fiber.Ctx) error {
	return notSupported("action", "slots are not saved, restored or erased: a request finds the longest prefix that its key's requests have left, or none with cache_prompt false")
}

// noResuming serves GET /v1/stream, by which llama.cpp's clients go on with a stream that was cut: here an answer ends with its client.
func noResuming(*fiber.Ctx) error {
	return notSupported("conv_id", "streams are not resumed: an answer ends when its client leaves; send the request again, its prompt is cached")
}
