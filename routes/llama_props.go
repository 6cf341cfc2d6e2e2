package routes

import (
	"strings"

	"github.com/gofiber/fiber/v2"
)

// props is the answer of GET /props: what llama.cpp's clients ask a server about its model.
type props struct {
	DefaultGenerationSettings propsSettings   `json:"default_generation_settings"`
	TotalSlots                int             `json:"total_slots"`
	ModelAlias                string          `json:"model_alias"`
	ModelPath                 string          `json:"model_path"` // the name: where it lies is nobody's business
	Modalities                propsModalities `json:"modalities"`
	ChatTemplate              string          `json:"chat_template"`
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

// getProps serves GET /props, of the default model or of ?model=NAME.
func (s *server) getProps(c *fiber.Ctx) error {
	g, err := s.begin(c, c.Query("model"))
	if err != nil {
		return err
	}
	defer g.done()
	info := g.Engine.Info()
	var none sampling
	return sendJSON(c, openaiJSON, props{
		DefaultGenerationSettings: propsSettings{
			Params: settingsOf(map[string]any{"n_predict": -1}, none.params(g.Model.Generation, llamaDefaults)),
			NCtx:   info.MaxLen,
		},
		TotalSlots: info.Slots, ModelAlias: g.Model.Name, ModelPath: g.Model.Name, ChatTemplate: g.Model.ChatTemplate,
		BOSToken: g.Model.BOSToken, EOSToken: g.Model.EOSToken, BuildInfo: "ortserve-" + strings.TrimPrefix(s.Version, "v"),
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
